package region

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

func showVersion(p *fsm.ManagedPolicy, v *fsm.PolicyVersion) PolicyVersion {
	return PolicyVersion{VersionID: versionID(v.Number), IsDefaultVersion: v.Number == p.Default, CreateDate: instant(v.CreatedAt)}
}

// CreatePolicyVersionInput adds a version.
type CreatePolicyVersionInput struct {
	PolicyARN      string `wire:"PolicyArn,required" len:"20..2048"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	SetAsDefault   bool   `wire:"SetAsDefault" default:"false"`
}

// Resolve implements Input.
func (in *CreatePolicyVersionInput) Resolve(r *Resolver) error {
	return r.policy(in.PolicyARN, Conditions{})
}

// PolicyVersionOutput holds one version.
type PolicyVersionOutput struct {
	PolicyVersion *PolicyVersion `wire:"PolicyVersion"`
}

// CreatePolicyVersion adds a version and, if asked, puts it in force.
func (s *Service) CreatePolicyVersion(ctx context.Context, c *Call, in *CreatePolicyVersionInput) (*PolicyVersionOutput, error) {
	p, err := own(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	if len(p.Versions) >= fsm.MaxPolicyVersions {
		return nil, iamfault.LimitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", fsm.MaxPolicyVersions)
	}
	if err := s.checkVersion(c, in.PolicyDocument); err != nil {
		return nil, err
	}
	next := *p
	next.Last, next.UpdatedAt = p.Last+1, c.Millis()
	v := fsm.PolicyVersion{Number: next.Last, Document: in.PolicyDocument, CreatedAt: c.Millis()}
	next.Versions = append(slices.Clone(p.Versions), v)
	if in.SetAsDefault {
		next.Default = v.Number
	}
	shown := showVersion(&next, &v)
	out := &PolicyVersionOutput{PolicyVersion: &shown}
	repeat, err := s.putPolicy(ctx, c, p, next, out)
	if err != nil {
		return nil, err
	}
	if repeat {
		return s.CreatePolicyVersionAgain(ctx, c, in)
	}
	return out, nil
}

// CreatePolicyVersionAgain answers a repeated CreatePolicyVersion with the version that has the document.
func (s *Service) CreatePolicyVersionAgain(_ context.Context, c *Call, in *CreatePolicyVersionInput) (*PolicyVersionOutput, error) {
	p, err := s.madePolicy(c)
	if err != nil {
		return nil, err
	}
	for _, v := range slices.Backward(p.Versions) {
		if v.Document == in.PolicyDocument {
			shown := showVersion(p, &v)
			return &PolicyVersionOutput{PolicyVersion: &shown}, nil
		}
	}
	return nil, iamfault.NoSuchEntity("The version that was created is gone.")
}

// PolicyVersionInput names a version.
type PolicyVersionInput struct {
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
	VersionID string `wire:"VersionId,required" pattern:"v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?"`
}

// Resolve implements Input.
func (in *PolicyVersionInput) Resolve(r *Resolver) error { return r.policy(in.PolicyARN, Conditions{}) }

func (in *PolicyVersionInput) find(p *fsm.ManagedPolicy) (*fsm.PolicyVersion, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(in.VersionID, "v"))
	if err == nil {
		if v := p.Find(n); v != nil {
			return v, nil
		}
	}
	return nil, iamfault.NoSuchEntity("Policy %s version %s does not exist or is not attachable.", in.PolicyARN, in.VersionID)
}

// GetPolicyVersion shows a version with its document.
func (s *Service) GetPolicyVersion(_ context.Context, c *Call, in *PolicyVersionInput) (*PolicyVersionOutput, error) {
	row, err := s.readPolicy(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	v, err := in.find(row)
	if err != nil {
		return nil, err
	}
	shown := showVersion(row, v)
	shown.Document = shape.Some(Document(v.Document))
	return &PolicyVersionOutput{PolicyVersion: &shown}, nil
}

// PolicyPageInput asks for a page of something of a managed policy.
type PolicyPageInput struct {
	PolicyARN string            `wire:"PolicyArn,required" len:"20..2048"`
	Marker    shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems  shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *PolicyPageInput) Resolve(r *Resolver) error { return r.policy(in.PolicyARN, Conditions{}) }

// ListPolicyVersionsOutput is a page of versions.
type ListPolicyVersionsOutput struct {
	Versions    []PolicyVersion   `wire:"Versions"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListPolicyVersions lists the versions, the newest first.
func (s *Service) ListPolicyVersions(_ context.Context, c *Call, in *PolicyPageInput) (*ListPolicyVersionsOutput, error) {
	row, err := s.readPolicy(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	scope := pageScope{c.Operation, c.Caller.Account, row.ID}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	rest := slices.Clone(row.Versions)
	slices.Reverse(rest)
	if n, err := strconv.Atoi(after); err == nil {
		rest = slices.DeleteFunc(rest, func(v fsm.PolicyVersion) bool { return v.Number >= n })
	}
	out := &ListPolicyVersionsOutput{Versions: []PolicyVersion{}}
	out.Marker, out.IsTruncated = fill(scope, slices.Values(rest), page{in.Marker, in.MaxItems}.limit(), func(v fsm.PolicyVersion) string {
		out.Versions = append(out.Versions, showVersion(row, &v))
		return strconv.Itoa(v.Number)
	})
	return out, nil
}

// DeletePolicyVersion removes a version that is not in force.
func (s *Service) DeletePolicyVersion(ctx context.Context, c *Call, in *PolicyVersionInput) (*None, error) {
	return s.changePolicy(ctx, c, in.PolicyARN, func(next *fsm.ManagedPolicy) error {
		v, err := in.find(next)
		if err != nil {
			return err
		}
		if v.Number == next.Default {
			return iamfault.DeleteConflict("Cannot delete the default version of a policy.")
		}
		next.Versions = slices.DeleteFunc(slices.Clone(next.Versions), func(o fsm.PolicyVersion) bool { return o.Number == v.Number })
		return nil
	})
}

// SetDefaultPolicyVersion puts a version in force.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, c *Call, in *PolicyVersionInput) (*None, error) {
	return s.changePolicy(ctx, c, in.PolicyARN, func(next *fsm.ManagedPolicy) error {
		v, err := in.find(next)
		if err != nil {
			return err
		}
		next.Default, next.UpdatedAt = v.Number, c.Millis()
		return nil
	})
}

// ListEntitiesForPolicyInput asks who uses a managed policy.
type ListEntitiesForPolicyInput struct {
	PolicyARN         string            `wire:"PolicyArn,required" len:"20..2048"`
	EntityFilter      shape.Opt[string] `wire:"EntityFilter" pattern:"User|Role|Group|LocalManagedPolicy|AWSManagedPolicy"`
	PathPrefix        string            `wire:"PathPrefix" len:"1..512" default:"/"`
	PolicyUsageFilter shape.Opt[string] `wire:"PolicyUsageFilter" pattern:"PermissionsPolicy|PermissionsBoundary"`
	Marker            shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems          shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListEntitiesForPolicyInput) Resolve(r *Resolver) error {
	return r.policy(in.PolicyARN, Conditions{})
}

// PolicyUser, PolicyGroup and PolicyRole are users of a policy.
type (
	PolicyUser struct {
		UserName string `wire:"UserName"`
		UserID   string `wire:"UserId"`
	}
	PolicyGroup struct {
		GroupName string `wire:"GroupName"`
		GroupID   string `wire:"GroupId"`
	}
	PolicyRole struct {
		RoleName string `wire:"RoleName"`
		RoleID   string `wire:"RoleId"`
	}
)

// ListEntitiesForPolicyOutput is a page of a policy's users, groups and roles.
type ListEntitiesForPolicyOutput struct {
	PolicyGroups []PolicyGroup     `wire:"PolicyGroups"`
	PolicyUsers  []PolicyUser      `wire:"PolicyUsers"`
	PolicyRoles  []PolicyRole      `wire:"PolicyRoles"`
	IsTruncated  bool              `wire:"IsTruncated"`
	Marker       shape.Opt[string] `wire:"Marker"`
}

// ListEntitiesForPolicy lists the users, groups and roles that have a policy attached or as their boundary.
func (s *Service) ListEntitiesForPolicy(_ context.Context, c *Call, in *ListEntitiesForPolicyInput) (*ListEntitiesForPolicyOutput, error) {
	m, ok := s.findPolicy(c.State, c.Caller.Account, in.PolicyARN)
	if !ok {
		return nil, noPolicy(in.PolicyARN)
	}
	ref := in.PolicyARN
	if m.row != nil {
		ref = m.row.ID
	}
	var using []*fsm.Identity
	for i := range everyIdentity(c.State, c.Caller.Account) {
		if in.wants(i, ref) {
			using = append(using, i)
		}
	}
	var shown []*fsm.Identity
	out := &ListEntitiesForPolicyOutput{PolicyGroups: []PolicyGroup{}, PolicyUsers: []PolicyUser{}, PolicyRoles: []PolicyRole{}}
	var err error
	out.Marker, out.IsTruncated, err = slicePage(c, ref, page{in.Marker, in.MaxItems}, using, func(i *fsm.Identity) string { return i.ID }, &shown)
	for _, i := range shown {
		switch i.Type {
		case fsm.IdentityUser:
			out.PolicyUsers = append(out.PolicyUsers, PolicyUser{i.Name, i.ID})
		case fsm.IdentityGroup:
			out.PolicyGroups = append(out.PolicyGroups, PolicyGroup{i.Name, i.ID})
		case fsm.IdentityRole:
			out.PolicyRoles = append(out.PolicyRoles, PolicyRole{i.Name, i.ID})
		}
	}
	return out, err
}

func (in *ListEntitiesForPolicyInput) wants(i *fsm.Identity, ref string) bool {
	if !strings.HasPrefix(i.Path, in.PathPrefix) || in.EntityFilter.Set && in.EntityFilter.Value != identityKinds[i.Type].title {
		return false
	}
	_, attached := slices.BinarySearch(i.Attached, ref)
	switch in.PolicyUsageFilter.Value {
	case "PermissionsPolicy":
		return attached
	case "PermissionsBoundary":
		return i.Boundary == ref
	}
	return attached || i.Boundary == ref
}
