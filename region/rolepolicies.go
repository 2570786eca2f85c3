package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// RolePolicyARNInput names a role and a managed policy.
type RolePolicyARNInput struct {
	RoleName  string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *RolePolicyARNInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{IAM: &IAMConditions{PolicyARN: in.PolicyARN}})
}

// AttachRolePolicy attaches a managed policy to a role.
func (s *Service) AttachRolePolicy(ctx context.Context, c *Call, in *RolePolicyARNInput) (*None, error) {
	return s.attach(ctx, c, fsm.IdentityRole, in.RoleName, in.PolicyARN)
}

// DetachRolePolicy detaches a managed policy from a role.
func (s *Service) DetachRolePolicy(ctx context.Context, c *Call, in *RolePolicyARNInput) (*None, error) {
	return s.detach(ctx, c, fsm.IdentityRole, in.RoleName, in.PolicyARN)
}

// ListAttachedRolePoliciesInput asks for a page of a role's managed policies.
type ListAttachedRolePoliciesInput struct {
	RoleName   string            `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PathPrefix string            `wire:"PathPrefix" len:"1..512" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListAttachedRolePoliciesInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// ListAttachedRolePolicies lists the managed policies that are attached to a role.
func (s *Service) ListAttachedRolePolicies(_ context.Context, c *Call, in *ListAttachedRolePoliciesInput) (*ListAttachedPoliciesOutput, error) {
	return s.listAttached(c, fsm.IdentityRole, in.RoleName, in.PathPrefix, page{in.Marker, in.MaxItems})
}

// PutRolePolicyInput adds or replaces an inline policy of a role.
type PutRolePolicyInput struct {
	RoleName       string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PolicyName     string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Resolve implements Input.
func (in *PutRolePolicyInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// PutRolePolicy adds or replaces an inline policy of a role.
func (s *Service) PutRolePolicy(ctx context.Context, c *Call, in *PutRolePolicyInput) (*None, error) {
	return s.putInline(ctx, c, fsm.IdentityRole, in.RoleName, in.PolicyName, in.PolicyDocument)
}

// RolePolicyNameInput names an inline policy of a role.
type RolePolicyNameInput struct {
	RoleName   string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PolicyName string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *RolePolicyNameInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// GetRolePolicyOutput is an inline policy of a role.
type GetRolePolicyOutput struct {
	RoleName       string   `wire:"RoleName"`
	PolicyName     string   `wire:"PolicyName"`
	PolicyDocument Document `wire:"PolicyDocument"`
}

// GetRolePolicy shows an inline policy of a role.
func (s *Service) GetRolePolicy(_ context.Context, c *Call, in *RolePolicyNameInput) (*GetRolePolicyOutput, error) {
	i, at, err := inline(c, fsm.IdentityRole, in.RoleName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetRolePolicyOutput{i.Name, i.Inline[at].Name, Document(i.Inline[at].Document)}, nil
}

// DeleteRolePolicy removes an inline policy of a role.
func (s *Service) DeleteRolePolicy(ctx context.Context, c *Call, in *RolePolicyNameInput) (*None, error) {
	return s.deleteInline(ctx, c, fsm.IdentityRole, in.RoleName, in.PolicyName)
}

// ListRolePolicies lists the names of a role's inline policies.
func (s *Service) ListRolePolicies(_ context.Context, c *Call, in *RolePageInput) (*ListPolicyNamesOutput, error) {
	return listInline(c, fsm.IdentityRole, in.RoleName, page{in.Marker, in.MaxItems})
}

// PutRoleBoundaryInput caps a role.
type PutRoleBoundaryInput struct {
	RoleName            string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PermissionsBoundary string `wire:"PermissionsBoundary,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *PutRoleBoundaryInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, boundaryConditions(in.PermissionsBoundary))
}

// PutRolePermissionsBoundary caps a role by a managed policy (spec 04 IDP-10).
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, c *Call, in *PutRoleBoundaryInput) (*None, error) {
	return s.setBoundary(ctx, c, fsm.IdentityRole, in.RoleName, in.PermissionsBoundary)
}

// DeleteRoleBoundaryInput names a role whose boundary is to end.
type DeleteRoleBoundaryInput struct {
	RoleName string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *DeleteRoleBoundaryInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, r.currentBoundary(fsm.IdentityRole, in.RoleName))
}

// DeleteRolePermissionsBoundary ends the cap of a role.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, c *Call, in *DeleteRoleBoundaryInput) (*None, error) {
	return s.setBoundary(ctx, c, fsm.IdentityRole, in.RoleName, "")
}

// TagRoleInput tags a role.
type TagRoleInput struct {
	RoleName string   `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	Tags     []IAMTag `wire:"Tags,required"`
}

// Resolve implements Input.
func (in *TagRoleInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{RequestTags: requestTags(in.Tags)})
}

// TagRole adds tags to a role or replaces their values.
func (s *Service) TagRole(ctx context.Context, c *Call, in *TagRoleInput) (*None, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	tags, err := merged(i.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = tags })
}

// UntagRoleInput removes tags of a role.
type UntagRoleInput struct {
	RoleName string   `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	TagKeys  []string `wire:"TagKeys,required" len:"1..128"`
}

// Resolve implements Input.
func (in *UntagRoleInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{TagKeys: in.TagKeys})
}

// UntagRole removes tags of a role.
func (s *Service) UntagRole(ctx context.Context, c *Call, in *UntagRoleInput) (*None, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = without(n.Tags, in.TagKeys) })
}

// ListRoleTags lists the tags of a role.
func (s *Service) ListRoleTags(_ context.Context, c *Call, in *RolePageInput) (*ListTagsOutput, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	return listTags(c, i.ID, page{in.Marker, in.MaxItems}, i.Tags)
}
