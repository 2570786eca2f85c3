package region

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// Status of an access key.
const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

func statusOf(active bool) string {
	if active {
		return statusActive
	}
	return statusInactive
}

// AccessKey is a new access key with its secret, which is shown once.
type AccessKey struct {
	UserName        shape.Opt[string] `wire:"UserName"`
	AccessKeyID     string            `wire:"AccessKeyId"`
	Status          string            `wire:"Status"`
	SecretAccessKey shape.Secret      `wire:"SecretAccessKey,text"`
	CreateDate      time.Time         `wire:"CreateDate"`
}

// AccessKeyMetadata is an access key without its secret.
type AccessKeyMetadata struct {
	UserName    shape.Opt[string] `wire:"UserName"`
	AccessKeyID string            `wire:"AccessKeyId"`
	Status      string            `wire:"Status"`
	CreateDate  time.Time         `wire:"CreateDate"`
}

// CreateAccessKeyInput names a user; without a name it is the caller.
type CreateAccessKeyInput struct {
	UserName shape.Opt[string] `wire:"UserName" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *CreateAccessKeyInput) Resolve(r *Resolver) error {
	return r.userOrSelf(in.UserName)
}

// CreateAccessKeyOutput holds a new access key.
type CreateAccessKeyOutput struct {
	AccessKey *AccessKey `wire:"AccessKey"`
}

// CreateAccessKey makes an access key of a user or of the root user.
func (s *Service) CreateAccessKey(ctx context.Context, c *Call, in *CreateAccessKeyInput) (*CreateAccessKeyOutput, error) {
	u, err := self(c, in.UserName)
	if err != nil {
		return nil, err
	}
	n := 0
	for range c.State.AccessKeysOf(c.Caller.Account, principalOf(u)) {
		n++
	}
	if n >= fsm.MaxAccessKeys {
		return nil, iamfault.LimitExceeded("Cannot exceed quota for AccessKeysPerUser: %d", fsm.MaxAccessKeys)
	}
	id, secret, err := s.newCredentials(ctx, "AKIA")
	if err != nil {
		return nil, err
	}
	row, err := s.sealAccessKey(ctx, c.State.ActiveDomainKey(), c.Caller.Account, id, secret, c.Millis())
	if err != nil {
		return nil, hsmFault(err)
	}
	row.Principal = principalOf(u)
	out := &CreateAccessKeyOutput{AccessKey: &AccessKey{
		UserName: nameOf(u), AccessKeyID: id, Status: statusActive, SecretAccessKey: secret, CreateDate: instant(row.CreatedAt),
	}}
	if _, err := s.propose(ctx, c, &fsm.PutAccessKey{AccessKey: *row}, &AccessKeyRecord{s.metadataOf(u, row)}); err != nil {
		secret.Wipe()
		return nil, err
	}
	return out, nil
}

// AccessKeyRecord is what the audit record of CreateAccessKey shows: all but the secret.
type AccessKeyRecord struct {
	AccessKey AccessKeyMetadata `wire:"AccessKey"`
}

// newCredentials draws an access key id and a secret of 40 characters.
func (s *Service) newCredentials(ctx context.Context, prefix string) (id string, secret shape.Secret, err error) {
	if id, err = s.newUniqueID(ctx, prefix, accessKeyLength); err != nil {
		return "", shape.Secret{}, err
	}
	var random [30]byte
	defer clear(random[:])
	if err := s.cfg.HSM.Random(ctx, random[:]); err != nil {
		return "", shape.Secret{}, hsmFault(err)
	}
	b := make([]byte, base64.StdEncoding.EncodedLen(len(random)))
	base64.StdEncoding.Encode(b, random[:])
	return id, shape.NewSecret(b), nil
}

// principalOf is the principal of a user's access keys, or of the root user's for nil.
func principalOf(u *fsm.Identity) string {
	if u == nil {
		return RootPrincipal
	}
	return u.ID
}

func nameOf(u *fsm.Identity) shape.Opt[string] {
	if u == nil {
		return shape.Opt[string]{}
	}
	return shape.Some(u.Name)
}

func (s *Service) metadataOf(u *fsm.Identity, k *fsm.AccessKey) AccessKeyMetadata {
	return AccessKeyMetadata{UserName: nameOf(u), AccessKeyID: k.ID, Status: statusOf(k.Active), CreateDate: instant(k.CreatedAt)}
}

// findAccessKey is an access key of a user or of the root user.
func findAccessKey(c *Call, name shape.Opt[string], id string) (*fsm.AccessKey, error) {
	u, err := self(c, name)
	if err != nil {
		return nil, err
	}
	k := c.State.AccessKey(id)
	if k == nil || k.Account != c.Caller.Account || k.Principal != principalOf(u) {
		return nil, iamfault.NoSuchEntity("The Access Key with id %s cannot be found.", id)
	}
	return k, nil
}

// UpdateAccessKeyInput activates or deactivates an access key.
type UpdateAccessKeyInput struct {
	UserName    shape.Opt[string] `wire:"UserName" len:"1..128" pattern:"[\\w+=,.@-]+"`
	AccessKeyID string            `wire:"AccessKeyId,required" len:"16..128" pattern:"[\\w]+"`
	Status      string            `wire:"Status,required" pattern:"Active|Inactive"`
}

// Resolve implements Input.
func (in *UpdateAccessKeyInput) Resolve(r *Resolver) error {
	return r.userOrSelf(in.UserName)
}

// UpdateAccessKey activates or deactivates an access key. Once it is acknowledged, a deactivated key signs nothing.
func (s *Service) UpdateAccessKey(ctx context.Context, c *Call, in *UpdateAccessKeyInput) (*None, error) {
	k, err := findAccessKey(c, in.UserName, in.AccessKeyID)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, c, &fsm.SetAccessKeyStatus{ID: k.ID, Active: in.Status == statusActive})
}

// DeleteAccessKeyInput names an access key.
type DeleteAccessKeyInput struct {
	UserName    shape.Opt[string] `wire:"UserName" len:"1..128" pattern:"[\\w+=,.@-]+"`
	AccessKeyID string            `wire:"AccessKeyId,required" len:"16..128" pattern:"[\\w]+"`
}

// Resolve implements Input.
func (in *DeleteAccessKeyInput) Resolve(r *Resolver) error {
	return r.userOrSelf(in.UserName)
}

// DeleteAccessKey removes an access key. Once it is acknowledged, the key and the sessions made with it sign nothing.
func (s *Service) DeleteAccessKey(ctx context.Context, c *Call, in *DeleteAccessKeyInput) (*None, error) {
	k, err := findAccessKey(c, in.UserName, in.AccessKeyID)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, c, &fsm.DeleteAccessKey{ID: k.ID})
}

// ListAccessKeysInput names a user; without a name it is the caller.
type ListAccessKeysInput struct {
	UserName shape.Opt[string] `wire:"UserName" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Marker   shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListAccessKeysInput) Resolve(r *Resolver) error {
	return r.userOrSelf(in.UserName)
}

// ListAccessKeysOutput is a page of access keys.
type ListAccessKeysOutput struct {
	AccessKeyMetadata []AccessKeyMetadata `wire:"AccessKeyMetadata"`
	IsTruncated       bool                `wire:"IsTruncated"`
	Marker            shape.Opt[string]   `wire:"Marker"`
}

// ListAccessKeys lists the access keys of a user or of the root user.
func (s *Service) ListAccessKeys(_ context.Context, c *Call, in *ListAccessKeysInput) (*ListAccessKeysOutput, error) {
	u, err := self(c, in.UserName)
	if err != nil {
		return nil, err
	}
	var all []AccessKeyMetadata
	for k := range c.State.AccessKeysOf(c.Caller.Account, principalOf(u)) {
		all = append(all, s.metadataOf(u, k))
	}
	out := &ListAccessKeysOutput{AccessKeyMetadata: []AccessKeyMetadata{}}
	out.Marker, out.IsTruncated, err = slicePage(c, principalOf(u), page{in.Marker, in.MaxItems}, all,
		func(m AccessKeyMetadata) string { return m.AccessKeyID }, &out.AccessKeyMetadata)
	return out, err
}

// AccountSummaryInput has no members.
type AccountSummaryInput struct{}

// Resolve implements Input.
func (in *AccountSummaryInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// AccountSummaryOutput counts what the account has, and its quotas.
type AccountSummaryOutput struct {
	SummaryMap map[string]int32 `wire:"SummaryMap"`
}

// GetAccountSummary counts the account's identities.
func (s *Service) GetAccountSummary(_ context.Context, c *Call, _ *AccountSummaryInput) (*AccountSummaryOutput, error) {
	m := map[string]int32{
		"UsersQuota": 5000, "GroupsQuota": 300, "RolesQuota": 1000, "PoliciesQuota": 1500,
		"AccessKeysPerUserQuota": fsm.MaxAccessKeys, "GroupsPerUserQuota": maxUserGroups, "VersionsPerPolicyQuota": fsm.MaxPolicyVersions,
		"AttachedPoliciesPerUserQuota": maxAttached, "AttachedPoliciesPerGroupQuota": maxAttached, "AttachedPoliciesPerRoleQuota": maxAttached,
		"UserPolicySizeQuota": 2048, "GroupPolicySizeQuota": 5120, "RolePolicySizeQuota": 10240, "PolicySizeQuota": managedLimit,
		"AssumeRolePolicySizeQuota": trustPolicyLimit,
	}
	if a := c.State.Account(c.Caller.Account); a != nil {
		m["Users"], m["Groups"], m["Roles"], m["Policies"] = int32(a.Users), int32(a.Groups), int32(a.Roles), int32(a.Policies)
	}
	for range c.State.AccessKeysOf(c.Caller.Account, RootPrincipal) {
		m["AccountAccessKeysPresent"] = 1
	}
	return &AccountSummaryOutput{SummaryMap: m}, nil
}
