package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/link"
	"github.com/trentkms/trent/region/shape"
)

// OtherRegions is what operations ask of other regions; *multiregion.Engine is it.
type OtherRegions interface {
	// Ask puts a question to another region and returns the answer. A *link.Refusal is the region's no.
	Ask(ctx context.Context, region string, question []byte) ([]byte, error)
	// Changed tells that a multi-Region key was changed. It must not block.
	Changed()
	// Decide hands a request that changes identities to their home; see multiregion.Engine.
	Decide(ctx context.Context, home string, request []byte) (reply []byte, incarnation, position uint64, err error)
	// Identities returns the commands that take over all identities of another region; see multiregion.Engine.
	Identities(ctx context.Context, region string, look bool) ([]*fsm.SyncIdentities, error)
}

// Federate gives the service its way to other regions. It is called once, before the service is used.
func (s *Service) Federate(o OtherRegions) { s.others = o }

// changed tells the other regions of a change of a multi-Region key.
func (s *Service) changed(k *fsm.Key) {
	if s.others != nil && k.MultiRegion {
		s.others.Changed()
	}
}

// Question asks another region whether a caller may do there what an operation here would bring about. The caller's identity goes with
// it as this region has authenticated it; what it may do, the other region decides on its own state.
type Question struct {
	// Operation is CreateKey, for a replica, or UpdatePrimaryRegion.
	Operation string `json:"operation"`
	Caller    Claim  `json:"caller"`
	RequestID string `json:"requestId"`
	Account   string `json:"account"`
	KeyID     string `json:"keyId"`
	// PrimaryRegion is what UpdatePrimaryRegion names.
	PrimaryRegion string `json:"primaryRegion,omitempty"`

	// The rest is of the replica.
	Spec        string    `json:"spec,omitempty"`
	Usage       string    `json:"usage,omitempty"`
	Origin      string    `json:"origin,omitempty"`
	Policy      *string   `json:"policy,omitempty"`
	Bypass      bool      `json:"bypass,omitempty"`
	Description string    `json:"description,omitempty"`
	Tags        []fsm.Tag `json:"tags,omitempty"`
}

// Claim is an authenticated caller on the way to another region.
type Claim struct {
	Account string `json:"account"`
	// Principal is the unique id of the user or role, or RootPrincipal.
	Principal   string   `json:"principal"`
	AccessKeyID string   `json:"accessKeyId"`
	Session     *Session `json:"session,omitempty"`
	SourceIP    string   `json:"sourceIp"`
	UserAgent   string   `json:"userAgent"`
}

// Verdict answers a Question. Fault is the name of the error that the caller is to be told, "" for yes.
type Verdict struct {
	Fault   string `json:"fault,omitempty"`
	Message string `json:"message,omitempty"`
	// Policy and Principals are the replica's key policy with the unique ids of whom it names.
	Policy     string                `json:"policy,omitempty"`
	Principals []fsm.PolicyPrincipal `json:"principals,omitempty"`
	// Record is the audit record of the other region, worded for success.
	Record []byte `json:"record,omitempty"`
}

// ask puts a question. The errors are for the client.
func (s *Service) ask(ctx context.Context, region string, q *Question) (*Verdict, error) {
	if s.others == nil {
		return nil, unreachable(region, errors.New("the node is not part of a federation"))
	}
	b, err := json.Marshal(q)
	if err != nil {
		return nil, fault.Internal(err)
	}
	b, err = s.others.Ask(ctx, region, b)
	if err != nil {
		return nil, unreachable(region, err)
	}
	v := new(Verdict)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fault.Internal(fmt.Errorf("region %s: %w", region, err))
	}
	if v.Fault == "" {
		return v, nil
	}
	code, ok := fault.ByName(v.Fault)
	if !ok {
		return nil, fault.Internal(fmt.Errorf("region %s answered with the unknown error %s", region, v.Fault))
	}
	return nil, fault.New(code, "%s", v.Message)
}

// unreachable is for an operation that needs another region, which does not answer.
func unreachable(region string, err error) error {
	var refused *link.Refusal
	if errors.As(err, &refused) {
		return fault.Wrap(fault.ServiceUnavailable, err, "Region %s cannot do this now. The request can be retried.", region)
	}
	return fault.Wrap(fault.ServiceUnavailable, err, "Region %s cannot be reached now. The request can be retried.", region)
}

// ReplicateKeyInput asks for a replica of a primary in another region (spec 07 REP-01).
type ReplicateKeyInput struct {
	KeyID                          string            `wire:"KeyId,required" is:"KeyIdType"`
	ReplicaRegion                  string            `wire:"ReplicaRegion,required" is:"RegionType"`
	Policy                         shape.Opt[string] `wire:"Policy" is:"PolicyType"`
	BypassPolicyLockoutSafetyCheck shape.Opt[bool]   `wire:"BypassPolicyLockoutSafetyCheck"`
	Description                    string            `wire:"Description" is:"DescriptionType" default:""`
	Tags                           []Tag             `wire:"Tags"`
}

// Check implements Checker.
func (in *ReplicateKeyInput) Check() error { return checkTags(in.Tags) }

// Resolve implements Input.
func (in *ReplicateKeyInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{ReplicaRegion: in.ReplicaRegion, BypassLockout: in.BypassPolicyLockoutSafetyCheck, RequestTags: rowTags(in.Tags)})
}

// Recorded is the input with the effective default that the audit record shows (spec 03 AUD-26).
func (in *ReplicateKeyInput) Recorded() Input {
	full := *in
	full.BypassPolicyLockoutSafetyCheck = shape.Some(in.BypassPolicyLockoutSafetyCheck.Or(false))
	return &full
}

// ReplicateKeyOutput describes the new replica.
type ReplicateKeyOutput struct {
	ReplicaKeyMetadata *KeyMetadata      `wire:"ReplicaKeyMetadata"`
	ReplicaPolicy      shape.Opt[string] `wire:"ReplicaPolicy"`
	ReplicaTags        []Tag             `wire:"ReplicaTags"`
}

// ReplicateKey adds a region to the key's set. The other region decides first whether the caller may make a key there, and makes it
// once it learns of this change (spec 07 A3).
func (s *Service) ReplicateKey(ctx context.Context, c *Call, in *ReplicateKeyInput) (*ReplicateKeyOutput, error) {
	k := c.Key()
	if err := s.checkReplicaRegion(c, k, in.ReplicaRegion); err != nil {
		return nil, err
	}
	q := &Question{
		Operation: "CreateKey", Caller: c.Edge.Claim(c), RequestID: c.RequestID, Account: k.Account, KeyID: k.ID,
		Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, Bypass: in.BypassPolicyLockoutSafetyCheck.Or(false),
		Description: in.Description, Tags: sortedTags(in.Tags),
	}
	if in.Policy.Set {
		q.Policy = &in.Policy.Value
	}
	v, err := s.ask(ctx, in.ReplicaRegion, q)
	if err != nil {
		return nil, err
	}
	fresh := fsm.NewReplica{Policy: v.Policy, Principals: v.Principals, Description: in.Description, Tags: q.Tags, Record: v.Record}
	out := s.replicated(k, in, &fresh, c)
	res, err := s.propose(ctx, c, &fsm.AddReplica{Key: keyRef(k), Region: in.ReplicaRegion, New: fresh}, out)
	if err != nil {
		return nil, err
	}
	s.changed(k)
	if res.Repeat {
		return s.ReplicateKeyAgain(ctx, c, in)
	}
	return out, nil
}

// checkReplicaRegion refuses a region that has a key of the set already, the primary's own among them, or in which none can be made
// (spec 07 REP-06).
func (s *Service) checkReplicaRegion(c *Call, k *fsm.Key, region string) error {
	if region == s.cfg.Region || k.Set != nil && k.Set.Member(region) != nil {
		return fault.New(fault.AlreadyExistsException, "A related multi-Region key already exists in Region %s.", region)
	}
	if o := c.State.OtherRegion(region); o == nil || o.State != fsm.RegionFederated {
		return fault.New(fault.UnsupportedOperationException, "Region %s is not available for replica keys.", region)
	}
	return nil
}

// replicated is the answer: the replica as it will be at first.
func (s *Service) replicated(k *fsm.Key, in *ReplicateKeyInput, fresh *fsm.NewReplica, c *Call) *ReplicateKeyOutput {
	set := &fsm.KeySet{Primary: s.cfg.Region, Replica: true, Creating: true, Members: []fsm.Member{{Region: s.cfg.Region}}}
	if k.Set != nil {
		set.Members = slices.Clone(k.Set.Members)
	}
	if set.Member(in.ReplicaRegion) == nil {
		set.Members = append(set.Members, fsm.Member{Region: in.ReplicaRegion})
	}
	slices.SortFunc(set.Members, func(a, b fsm.Member) int { return compareText(a.Region, b.Region) })
	row := &fsm.Key{
		Account: k.Account, ID: k.ID, Spec: k.Spec, Usage: k.Usage, Origin: k.Origin, Manager: k.Manager, MultiRegion: true,
		Description: fresh.Description, CreatedAt: c.Millis(), Enabled: true, Current: -1, Set: set,
	}
	out := &ReplicateKeyOutput{
		ReplicaKeyMetadata: describe(arn.Scope{Partition: s.cfg.Partition, Region: in.ReplicaRegion}, row, c.Now),
		ReplicaPolicy:      shape.Some(fresh.Policy), ReplicaTags: in.Tags,
	}
	return out
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ReplicateKeyAgain answers a repeated ReplicateKey: the replica as it began.
func (s *Service) ReplicateKeyAgain(_ context.Context, c *Call, in *ReplicateKeyInput) (*ReplicateKeyOutput, error) {
	k, err := s.again(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	fresh := &fsm.NewReplica{Policy: in.Policy.Or(DefaultKeyPolicy(s.cfg.Partition, k.Account)), Description: in.Description}
	return s.replicated(k, in, fresh, c), nil
}

// UpdatePrimaryRegionInput gives the primary to a replica's region (spec 07 PRI-01).
type UpdatePrimaryRegionInput struct {
	KeyID         string `wire:"KeyId,required" is:"KeyIdType"`
	PrimaryRegion string `wire:"PrimaryRegion,required" is:"RegionType"`
}

// Resolve implements Input.
func (in *UpdatePrimaryRegionInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{PrimaryRegion: in.PrimaryRegion})
}

// UpdatePrimaryRegion makes another region's replica the primary. This region stops being it with the change; the other one begins once
// it learns of it, so that there are never two (spec 07 A4).
func (s *Service) UpdatePrimaryRegion(ctx context.Context, c *Call, in *UpdatePrimaryRegionInput) (*None, error) {
	k := c.Key()
	if done, err := s.checkPrimaryRegion(c, k, in.PrimaryRegion); done || err != nil {
		return &None{}, err
	}
	v, err := s.ask(ctx, in.PrimaryRegion, &Question{
		Operation: "UpdatePrimaryRegion", Caller: c.Edge.Claim(c), RequestID: c.RequestID, Account: k.Account, KeyID: k.ID,
		PrimaryRegion: in.PrimaryRegion,
	})
	if err != nil {
		return nil, err
	}
	defer s.changed(k)
	return s.change(ctx, c, &fsm.MovePrimary{Key: keyRef(k), Region: in.PrimaryRegion, Record: v.Record})
}

// checkPrimaryRegion holds the rules of spec 07 PRI-03 and PRI-04. done tells a repetition of a change that runs.
func (s *Service) checkPrimaryRegion(c *Call, k *fsm.Key, region string) (done bool, err error) {
	at := c.Targets[0].ARN
	switch {
	case k.Set != nil && k.Set.Updating == region:
		return true, nil
	case k.Set != nil && k.Set.Updating != "":
		return false, fault.Updating(at)
	case k.Replica():
		return false, fault.NotMultiRegionPrimary(at)
	case region == s.cfg.Region:
		return false, fault.New(fault.UnsupportedOperationException, "%s is already the primary Region of %s.", region, at)
	case k.Set == nil || k.Set.Member(region) == nil:
		return false, fault.KeyNotFound(arn.Scope{Partition: s.cfg.Partition, Region: region}.Key(k.Account, k.ID))
	case k.Set.Member(region).New != nil:
		return false, fault.Creating(arn.Scope{Partition: s.cfg.Partition, Region: region}.Key(k.Account, k.ID))
	}
	return false, nil
}

// checkHeard refuses to encrypt in a region that was restored from an older state until it has heard from all regions of the key's set:
// it may not know that they have gone over to newer material.
func checkHeard(st *fsm.State, k *fsm.Key) error {
	if missing := st.UnheardOf(k); len(missing) > 0 {
		return fault.Wrap(fault.ServiceUnavailable, fmt.Errorf("key %s: restored, and not yet synchronized with %v", k.ID, missing),
			"This Region was restored and is synchronizing multi-Region keys. The request can be retried.")
	}
	return nil
}

// ReplicaInput is the CreateKey that a question about a replica amounts to.
func ReplicaInput(q *Question) *CreateKeyInput {
	in := &CreateKeyInput{
		Description: q.Description, KeySpec: shape.Some(shape.KeySpec(q.Spec)), KeyUsage: shape.Some(shape.KeyUsageType(q.Usage)),
		Origin: shape.OriginType(q.Origin), MultiRegion: true, BypassPolicyLockoutSafetyCheck: shape.Some(q.Bypass), replica: true,
	}
	if q.Policy != nil {
		in.Policy = shape.Some(*q.Policy)
	}
	for _, t := range q.Tags {
		in.Tags = append(in.Tags, Tag{TagKey: t.Key, TagValue: t.Value})
	}
	return in
}

// PlanReplica returns the replica that would be made here, and what CreateKey would answer. The errors are for the client.
func (s *Service) PlanReplica(c *Call, q *Question) (*fsm.Key, *CreateKeyOutput, error) {
	account := c.State.Account(q.Account)
	if q := c.State.Quotas().KeysPerAccount; account.KeyCount >= q {
		return nil, nil, fault.KeyLimit(q)
	}
	if c.State.Key(q.Account, q.KeyID) != nil {
		return nil, nil, fault.New(fault.AlreadyExistsException, "A related multi-Region key already exists in Region %s.", s.cfg.Region)
	}
	k := &fsm.Key{
		Account: q.Account, ID: q.KeyID, Spec: q.Spec, Usage: q.Usage, Origin: q.Origin, Manager: string(shape.KeyManagerCustomer),
		MultiRegion: true, Description: q.Description, CreatedAt: c.Millis(), Enabled: true, Tags: slices.Clone(q.Tags), Current: -1,
		Policy: DefaultKeyPolicy(s.cfg.Partition, q.Account), Set: &fsm.KeySet{Primary: "", Replica: true, Creating: true},
	}
	if q.Policy != nil {
		k.Policy = *q.Policy
	}
	t, u, err := hsmUse(k)
	if err != nil {
		return nil, nil, err
	}
	if !s.cfg.HSM.Capabilities().Can(t, u) {
		return nil, nil, fault.UnsupportedKeySpec(k.Spec)
	}
	md := describe(s.names, k, c.Now)
	md.MultiRegionConfiguration = nil // the primary's record has it
	return k, &CreateKeyOutput{KeyMetadata: md}, nil
}
