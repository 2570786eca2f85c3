package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// UserPolicyARNInput names a user and a managed policy.
type UserPolicyARNInput struct {
	UserName  string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *UserPolicyARNInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{IAM: &IAMConditions{PolicyARN: in.PolicyARN}})
}

// AttachUserPolicy attaches a managed policy to a user.
func (s *Service) AttachUserPolicy(ctx context.Context, c *Call, in *UserPolicyARNInput) (*None, error) {
	return s.attach(ctx, c, fsm.IdentityUser, in.UserName, in.PolicyARN)
}

// DetachUserPolicy detaches a managed policy from a user.
func (s *Service) DetachUserPolicy(ctx context.Context, c *Call, in *UserPolicyARNInput) (*None, error) {
	return s.detach(ctx, c, fsm.IdentityUser, in.UserName, in.PolicyARN)
}

// ListAttachedUserPoliciesInput asks for a page of a user's managed policies.
type ListAttachedUserPoliciesInput struct {
	UserName   string            `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PathPrefix string            `wire:"PathPrefix" len:"1..512" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListAttachedUserPoliciesInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{})
}

// ListAttachedUserPolicies lists the managed policies that are attached to a user.
func (s *Service) ListAttachedUserPolicies(_ context.Context, c *Call, in *ListAttachedUserPoliciesInput) (*ListAttachedPoliciesOutput, error) {
	return s.listAttached(c, fsm.IdentityUser, in.UserName, in.PathPrefix, page{in.Marker, in.MaxItems})
}

// PutUserPolicyInput adds or replaces an inline policy of a user.
type PutUserPolicyInput struct {
	UserName       string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyName     string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Resolve implements Input.
func (in *PutUserPolicyInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{})
}

// PutUserPolicy adds or replaces an inline policy of a user.
func (s *Service) PutUserPolicy(ctx context.Context, c *Call, in *PutUserPolicyInput) (*None, error) {
	return s.putInline(ctx, c, fsm.IdentityUser, in.UserName, in.PolicyName, in.PolicyDocument)
}

// UserPolicyNameInput names an inline policy of a user.
type UserPolicyNameInput struct {
	UserName   string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyName string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *UserPolicyNameInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{})
}

// GetUserPolicyOutput is an inline policy of a user.
type GetUserPolicyOutput struct {
	UserName       string   `wire:"UserName"`
	PolicyName     string   `wire:"PolicyName"`
	PolicyDocument Document `wire:"PolicyDocument"`
}

// GetUserPolicy shows an inline policy of a user.
func (s *Service) GetUserPolicy(_ context.Context, c *Call, in *UserPolicyNameInput) (*GetUserPolicyOutput, error) {
	i, at, err := inline(c, fsm.IdentityUser, in.UserName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetUserPolicyOutput{i.Name, i.Inline[at].Name, Document(i.Inline[at].Document)}, nil
}

// DeleteUserPolicy removes an inline policy of a user.
func (s *Service) DeleteUserPolicy(ctx context.Context, c *Call, in *UserPolicyNameInput) (*None, error) {
	return s.deleteInline(ctx, c, fsm.IdentityUser, in.UserName, in.PolicyName)
}

// ListUserPolicies lists the names of a user's inline policies.
func (s *Service) ListUserPolicies(_ context.Context, c *Call, in *UserPageInput) (*ListPolicyNamesOutput, error) {
	return listInline(c, fsm.IdentityUser, in.UserName, page{in.Marker, in.MaxItems})
}

// UserPageInput asks for a page of something of a user.
type UserPageInput struct {
	UserName string            `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Marker   shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *UserPageInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{})
}

// PutUserBoundaryInput caps a user.
type PutUserBoundaryInput struct {
	UserName            string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PermissionsBoundary string `wire:"PermissionsBoundary,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *PutUserBoundaryInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, boundaryConditions(in.PermissionsBoundary))
}

// PutUserPermissionsBoundary caps a user by a managed policy (spec 04 IDP-10).
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, c *Call, in *PutUserBoundaryInput) (*None, error) {
	return s.setBoundary(ctx, c, fsm.IdentityUser, in.UserName, in.PermissionsBoundary)
}

// DeleteUserBoundaryInput names a user whose boundary is to end.
type DeleteUserBoundaryInput struct {
	UserName string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *DeleteUserBoundaryInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, r.currentBoundary(fsm.IdentityUser, in.UserName))
}

// DeleteUserPermissionsBoundary ends the cap of a user.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, c *Call, in *DeleteUserBoundaryInput) (*None, error) {
	return s.setBoundary(ctx, c, fsm.IdentityUser, in.UserName, "")
}

// TagUserInput tags a user.
type TagUserInput struct {
	UserName string   `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Tags     []IAMTag `wire:"Tags,required"`
}

// Resolve implements Input.
func (in *TagUserInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{RequestTags: requestTags(in.Tags)})
}

// TagUser adds tags to a user or replaces their values.
func (s *Service) TagUser(ctx context.Context, c *Call, in *TagUserInput) (*None, error) {
	i, err := identityOf(c, fsm.IdentityUser, in.UserName)
	if err != nil {
		return nil, err
	}
	tags, err := merged(i.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = tags })
}

// UntagUserInput removes tags of a user.
type UntagUserInput struct {
	UserName string   `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	TagKeys  []string `wire:"TagKeys,required" len:"1..128"`
}

// Resolve implements Input.
func (in *UntagUserInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{TagKeys: in.TagKeys})
}

// UntagUser removes tags of a user.
func (s *Service) UntagUser(ctx context.Context, c *Call, in *UntagUserInput) (*None, error) {
	i, err := identityOf(c, fsm.IdentityUser, in.UserName)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = without(n.Tags, in.TagKeys) })
}

// ListUserTags lists the tags of a user.
func (s *Service) ListUserTags(_ context.Context, c *Call, in *UserPageInput) (*ListTagsOutput, error) {
	i, err := identityOf(c, fsm.IdentityUser, in.UserName)
	if err != nil {
		return nil, err
	}
	return listTags(c, i.ID, page{in.Marker, in.MaxItems}, i.Tags)
}
