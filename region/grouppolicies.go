package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// GroupPolicyARNInput names a group and a managed policy.
type GroupPolicyARNInput struct {
	GroupName string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *GroupPolicyARNInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{IAM: &IAMConditions{PolicyARN: in.PolicyARN}})
}

// AttachGroupPolicy attaches a managed policy to a group.
func (s *Service) AttachGroupPolicy(ctx context.Context, c *Call, in *GroupPolicyARNInput) (*None, error) {
	return s.attach(ctx, c, fsm.IdentityGroup, in.GroupName, in.PolicyARN)
}

// DetachGroupPolicy detaches a managed policy from a group.
func (s *Service) DetachGroupPolicy(ctx context.Context, c *Call, in *GroupPolicyARNInput) (*None, error) {
	return s.detach(ctx, c, fsm.IdentityGroup, in.GroupName, in.PolicyARN)
}

// ListAttachedGroupPoliciesInput asks for a page of a group's managed policies.
type ListAttachedGroupPoliciesInput struct {
	GroupName  string            `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PathPrefix string            `wire:"PathPrefix" len:"1..512" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListAttachedGroupPoliciesInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

// ListAttachedGroupPolicies lists the managed policies that are attached to a group.
func (s *Service) ListAttachedGroupPolicies(_ context.Context, c *Call, in *ListAttachedGroupPoliciesInput) (*ListAttachedPoliciesOutput, error) {
	return s.listAttached(c, fsm.IdentityGroup, in.GroupName, in.PathPrefix, page{in.Marker, in.MaxItems})
}

// PutGroupPolicyInput adds or replaces an inline policy of a group.
type PutGroupPolicyInput struct {
	GroupName      string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyName     string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Resolve implements Input.
func (in *PutGroupPolicyInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

// PutGroupPolicy adds or replaces an inline policy of a group.
func (s *Service) PutGroupPolicy(ctx context.Context, c *Call, in *PutGroupPolicyInput) (*None, error) {
	return s.putInline(ctx, c, fsm.IdentityGroup, in.GroupName, in.PolicyName, in.PolicyDocument)
}

// GroupPolicyNameInput names an inline policy of a group.
type GroupPolicyNameInput struct {
	GroupName  string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	PolicyName string `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *GroupPolicyNameInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

// GetGroupPolicyOutput is an inline policy of a group.
type GetGroupPolicyOutput struct {
	GroupName      string   `wire:"GroupName"`
	PolicyName     string   `wire:"PolicyName"`
	PolicyDocument Document `wire:"PolicyDocument"`
}

// GetGroupPolicy shows an inline policy of a group.
func (s *Service) GetGroupPolicy(_ context.Context, c *Call, in *GroupPolicyNameInput) (*GetGroupPolicyOutput, error) {
	i, at, err := inline(c, fsm.IdentityGroup, in.GroupName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &GetGroupPolicyOutput{i.Name, i.Inline[at].Name, Document(i.Inline[at].Document)}, nil
}

// DeleteGroupPolicy removes an inline policy of a group.
func (s *Service) DeleteGroupPolicy(ctx context.Context, c *Call, in *GroupPolicyNameInput) (*None, error) {
	return s.deleteInline(ctx, c, fsm.IdentityGroup, in.GroupName, in.PolicyName)
}

// ListGroupPolicies lists the names of a group's inline policies.
func (s *Service) ListGroupPolicies(_ context.Context, c *Call, in *GroupPageInput) (*ListPolicyNamesOutput, error) {
	return listInline(c, fsm.IdentityGroup, in.GroupName, page{in.Marker, in.MaxItems})
}

// GroupPageInput asks for a page of something of a group.
type GroupPageInput struct {
	GroupName string            `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Marker    shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems  shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *GroupPageInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}
