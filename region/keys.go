package region

import (
	"context"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// CreateKeyInput asks for a new key (spec 01 CRE, spec 10 CKY).
type CreateKeyInput struct {
	Policy                         shape.Opt[string]                      `wire:"Policy" is:"PolicyType"`
	Description                    string                                 `wire:"Description" is:"DescriptionType" default:""`
	KeyUsage                       shape.Opt[shape.KeyUsageType]          `wire:"KeyUsage"`
	CustomerMasterKeySpec          shape.Opt[shape.CustomerMasterKeySpec] `wire:"CustomerMasterKeySpec"`
	KeySpec                        shape.Opt[shape.KeySpec]               `wire:"KeySpec"`
	Origin                         shape.OriginType                       `wire:"Origin" default:"AWS_KMS"`
	CustomKeyStoreID               shape.Opt[string]                      `wire:"CustomKeyStoreId" is:"CustomKeyStoreIdType"`
	BypassPolicyLockoutSafetyCheck shape.Opt[bool]                        `wire:"BypassPolicyLockoutSafetyCheck"`
	Tags                           []Tag                                  `wire:"Tags"`
	MultiRegion                    bool                                   `wire:"MultiRegion" default:"false"`
	XksKeyID                       shape.Opt[string]                      `wire:"XksKeyId" is:"XksKeyIdType"`

	// replica tells that the key is a replica that another region's ReplicateKey asks for.
	replica bool `wire:"-"`
}

// serviceLinkedRole is the role under which multi-Region keys are synchronized (spec 07 SYN-08). Who makes a primary must be allowed to
// create it; it is built in.
func serviceLinkedRole(partition, account string) string {
	return arn.Prefix + partition + ":iam::" + account + ":role/aws-service-role/mrk.kms.amazonaws.com/AWSServiceRoleForKeyManagementServiceMultiRegionKeys"
}

// spec is the key spec asked for, under either of its names.
func (in *CreateKeyInput) spec() shape.KeySpec {
	if v, ok := in.CustomerMasterKeySpec.Get(); ok {
		return shape.KeySpec(v)
	}
	return in.KeySpec.Or(shape.KeySpecSymmetricDefault)
}

func (in *CreateKeyInput) usage() shape.KeyUsageType {
	return in.KeyUsage.Or(shape.KeyUsageEncryptDecrypt)
}

// Check holds the rules between spec, usage, origin and key store (spec 10 CKY-02, CKY-03).
func (in *CreateKeyInput) Check() error {
	if in.KeySpec.Set && in.CustomerMasterKeySpec.Set {
		return fault.BothKeySpecs()
	}
	if err := keyspec.CheckPair(in.spec(), in.KeyUsage); err != nil {
		return err
	}
	if err := keyspec.CheckOrigin(in.spec(), in.Origin, in.MultiRegion); err != nil {
		return err
	}
	switch in.Origin {
	case shape.OriginAWSCloudHSM, shape.OriginExternalKeyStore:
		return fault.New(fault.UnsupportedOperationException, "Origin %s needs a custom key store, which this Region does not have.", in.Origin)
	}
	if in.CustomKeyStoreID.Set {
		return fault.New(fault.CustomKeyStoreNotFoundException, "Custom key store %s is not found.", in.CustomKeyStoreID.Value)
	}
	if in.XksKeyID.Set {
		return fault.New(fault.ValidationException, "XksKeyId is only valid with the Origin EXTERNAL_KEY_STORE.")
	}
	return checkTags(in.Tags)
}

// Resolve needs kms:CreateKey and, with tags, kms:TagResource on the key being created (spec 04 IDP-07).
func (in *CreateKeyInput) Resolve(r *Resolver) error {
	cond := Conditions{
		KeySpec: string(in.spec()), KeyUsage: string(in.usage()), KeyOrigin: string(in.Origin),
		MultiRegion: shape.Some(in.MultiRegion), BypassLockout: in.BypassPolicyLockoutSafetyCheck,
		RequestTags: rowTags(in.Tags),
	}
	if err := r.None(cond); err != nil {
		return err
	}
	me := r.Call.Caller.Account
	if in.MultiRegion && !in.replica {
		r.Call.Targets = append(r.Call.Targets, Target{
			Permission: "iam:CreateServiceLinkedRole", Account: me, ARN: serviceLinkedRole(r.svc.names.Partition, me), Conditions: cond,
		})
	}
	if len(in.Tags) == 0 {
		return nil
	}
	r.Call.Targets = append(r.Call.Targets, Target{
		Permission: "TagResource", Account: me, ARN: r.svc.names.Key(me, "*"), NewKey: true, Conditions: cond,
	})
	return nil
}

// CreateKeyOutput describes the new key.
type CreateKeyOutput struct {
	KeyMetadata *KeyMetadata `wire:"KeyMetadata"`
}

// CreateKey makes a key with its material (none for Origin EXTERNAL).
func (s *Service) CreateKey(ctx context.Context, c *Call, in *CreateKeyInput) (*CreateKeyOutput, error) {
	account := c.Caller.Account
	if n, q := accountKeys(c.State, account), c.State.Quotas().KeysPerAccount; n >= q {
		return nil, fault.KeyLimit(q)
	}
	k, err := s.newKey(ctx, c, in)
	if err != nil {
		return nil, err
	}
	if in.Policy.Set {
		if err := c.Edge.CheckKeyPolicy(ctx, c, k, k.Policy, in.BypassPolicyLockoutSafetyCheck.Or(false)); err != nil {
			return nil, err
		}
	}
	if k.Origin == string(shape.OriginAWSKMS) {
		m, err := s.generate(ctx, c.State, k)
		if err != nil {
			return nil, err
		}
		k.Materials, k.Current = []fsm.Material{m}, 0
	}
	out := &CreateKeyOutput{KeyMetadata: s.metadata(k, c.Now)}
	c.Resources = append(c.Resources, Resource{Account: account, ARN: s.KeyARN(k)})
	res, err := s.propose(ctx, c, &fsm.CreateKey{Key: *k}, out)
	if err != nil {
		return nil, err
	}
	if res.Repeat {
		c.Objects = res.Objects
		return s.CreateKeyAgain(ctx, c, in)
	}
	return out, nil
}

// CreateKeyAgain answers a repeated CreateKey with the key that the first attempt made.
func (s *Service) CreateKeyAgain(_ context.Context, c *Call, _ *CreateKeyInput) (*CreateKeyOutput, error) {
	if len(c.Objects) != 1 {
		return nil, fault.Internal(fmt.Errorf("a remembered CreateKey names %d objects", len(c.Objects)))
	}
	k := s.cfg.Cluster.State().Key(c.Caller.Account, c.Objects[0])
	if k == nil {
		return nil, fault.KeyNotFound(s.names.Key(c.Caller.Account, c.Objects[0]))
	}
	return &CreateKeyOutput{KeyMetadata: s.metadata(k, c.Now)}, nil
}

// newKey draws an id and makes the row, without material.
func (s *Service) newKey(ctx context.Context, c *Call, in *CreateKeyInput) (*fsm.Key, error) {
	var random [16]byte
	if err := s.cfg.HSM.Random(ctx, random[:]); err != nil {
		return nil, hsmFault(err)
	}
	return &fsm.Key{
		Account: c.Caller.Account, ID: arn.NewKeyID(random, in.MultiRegion),
		Spec: string(in.spec()), Usage: string(in.usage()), Origin: string(in.Origin), Manager: string(shape.KeyManagerCustomer),
		MultiRegion: in.MultiRegion, Description: in.Description, CreatedAt: c.Millis(), Enabled: true,
		Policy: in.Policy.Or(DefaultKeyPolicy(s.cfg.Partition, c.Caller.Account)), Tags: sortedTags(in.Tags), Current: -1,
	}, nil
}

func accountKeys(st *fsm.State, account string) int {
	if a := st.Account(account); a != nil {
		return a.KeyCount
	}
	return 0
}

// DescribeKeyInput names a key.
type DescribeKeyInput struct {
	KeyID       string   `wire:"KeyId,required" is:"KeyIdType"`
	GrantTokens []string `wire:"GrantTokens,hidden" is:"GrantTokenList"`
}

// Resolve implements Input.
func (in *DescribeKeyInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// DescribeKeyOutput describes a key.
type DescribeKeyOutput struct {
	KeyMetadata *KeyMetadata `wire:"KeyMetadata"`
}

// DescribeKey describes a key in any state (spec 10 DSK).
func (s *Service) DescribeKey(_ context.Context, c *Call, _ *DescribeKeyInput) (*DescribeKeyOutput, error) {
	return &DescribeKeyOutput{KeyMetadata: s.metadata(c.Key(), c.Now)}, nil
}

// ListKeysInput asks for a page of the account's keys.
type ListKeysInput struct {
	Limit  shape.Opt[int32]  `wire:"Limit" is:"LimitType"`
	Marker shape.Opt[string] `wire:"Marker" is:"MarkerType"`
}

// Resolve implements Input.
func (in *ListKeysInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// KeyListEntry is one key of a list.
type KeyListEntry struct {
	KeyID  string `wire:"KeyId"`
	KeyArn string `wire:"KeyArn"`
}

// ListKeysOutput is a page of keys, ordered by key id.
type ListKeysOutput struct {
	Keys       []KeyListEntry    `wire:"Keys"`
	NextMarker shape.Opt[string] `wire:"NextMarker"`
	Truncated  bool              `wire:"Truncated"`
}

// ListKeys lists the keys of account and Region in every state (spec 10 LKY).
func (s *Service) ListKeys(_ context.Context, c *Call, in *ListKeysInput) (*ListKeysOutput, error) {
	scope := pageScope{"ListKeys", c.Caller.Account, ""}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &ListKeysOutput{Keys: []KeyListEntry{}}
	out.NextMarker, out.Truncated = fill(scope, c.State.Keys(c.Caller.Account, after), int(in.Limit.Or(100)), func(k *fsm.Key) string {
		out.Keys = append(out.Keys, KeyListEntry{KeyID: k.ID, KeyArn: s.KeyARN(k)})
		return k.ID
	})
	return out, nil
}

// UpdateKeyDescriptionInput replaces a description.
type UpdateKeyDescriptionInput struct {
	KeyID       string `wire:"KeyId,required" is:"KeyIdType"`
	Description string `wire:"Description,required" is:"DescriptionType"`
}

// Resolve implements Input.
func (in *UpdateKeyDescriptionInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// UpdateKeyDescription replaces a description; empty clears it (spec 10 UKD).
func (s *Service) UpdateKeyDescription(ctx context.Context, c *Call, in *UpdateKeyDescriptionInput) (*None, error) {
	return s.change(ctx, c, &fsm.SetDescription{Key: keyRef(c.Key()), Description: in.Description})
}

// None is the answer of operations without output: an empty body (spec 10 PROTO-03).
type None struct{}

// change proposes a change whose operation has no output.
func (s *Service) change(ctx context.Context, c *Call, body fsm.Body) (*None, error) {
	if _, err := s.propose(ctx, c, body, nil); err != nil {
		return nil, err
	}
	return &None{}, nil
}

func keyRef(k *fsm.Key) fsm.KeyRef { return fsm.KeyRef{Account: k.Account, ID: k.ID} }

// Recorded is the input with the effective defaults that the audit record shows (spec 03 AUD-26).
func (in *CreateKeyInput) Recorded() Input {
	full := *in
	full.KeySpec = shape.Some(in.spec())
	full.CustomerMasterKeySpec = shape.Some(shape.CustomerMasterKeySpec(in.spec()))
	full.KeyUsage = shape.Some(in.usage())
	full.BypassPolicyLockoutSafetyCheck = shape.Some(in.BypassPolicyLockoutSafetyCheck.Or(false))
	if full.Tags == nil {
		full.Tags = []Tag{}
	}
	return &full
}
