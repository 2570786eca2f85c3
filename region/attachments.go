package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// AttachedPolicy is a managed policy that is attached to an identity.
type AttachedPolicy struct {
	PolicyName string `wire:"PolicyName"`
	PolicyARN  string `wire:"PolicyArn"`
}

// AttachmentInput names a user, group or role and a managed policy.
type AttachmentInput[N Named[N]] struct {
	Of        N      `wire:",inline"`
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *AttachmentInput[N]) Resolve(r *Resolver) error {
	return r.of(in.Of, Conditions{IAM: &IAMConditions{PolicyARN: in.PolicyARN}})
}

// AttachPolicy attaches a managed policy; one that is attached stays so.
func AttachPolicy[N Named[N]](s *Service, ctx context.Context, c *Call, in *AttachmentInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	ref, err := s.attachable(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	at, attached := slices.BinarySearch(i.Attached, ref)
	switch {
	case attached:
		return &None{}, nil
	case len(i.Attached) >= maxAttached:
		return nil, iamfault.LimitExceeded("Cannot exceed quota for %s: %d", identityKinds[i.Type].quota, maxAttached)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Attached = slices.Insert(slices.Clone(n.Attached), at, ref) })
}

// DetachPolicy ends an attachment, which must be there.
func DetachPolicy[N Named[N]](s *Service, ctx context.Context, c *Call, in *AttachmentInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(i.Attached, func(ref string) bool { return s.policyName(c.State, ref) == in.PolicyARN })
	if at < 0 {
		return nil, noPolicy(in.PolicyARN)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Attached = slices.Delete(slices.Clone(n.Attached), at, at+1) })
}

// ListAttachedPoliciesInput asks for a page of the managed policies of a user, group or role.
type ListAttachedPoliciesInput[N Named[N]] struct {
	Of         N                 `wire:",inline"`
	PathPrefix string            `wire:"PathPrefix" len:"1..512" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListAttachedPoliciesInput[N]) Resolve(r *Resolver) error { return r.of(in.Of, Conditions{}) }

// ListAttachedPoliciesOutput is a page of attached policies.
type ListAttachedPoliciesOutput struct {
	AttachedPolicies []AttachedPolicy  `wire:"AttachedPolicies"`
	IsTruncated      bool              `wire:"IsTruncated"`
	Marker           shape.Opt[string] `wire:"Marker"`
}

// ListAttachedPolicies lists the managed policies that are attached, ordered by ARN.
func ListAttachedPolicies[N Named[N]](s *Service, _ context.Context, c *Call, in *ListAttachedPoliciesInput[N]) (*ListAttachedPoliciesOutput, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	var all []AttachedPolicy
	for _, ref := range i.Attached {
		policy := s.policyName(c.State, ref)
		_, path, _ := strings.Cut(policy, ":policy")
		slash := strings.LastIndexByte(path, '/')
		if strings.HasPrefix(path[:slash+1], in.PathPrefix) {
			all = append(all, AttachedPolicy{path[slash+1:], policy})
		}
	}
	out := &ListAttachedPoliciesOutput{AttachedPolicies: []AttachedPolicy{}}
	out.Marker, out.IsTruncated, err = slicePage(c, i.ID, page{in.Marker, in.MaxItems}, all, func(a AttachedPolicy) string { return a.PolicyARN }, &out.AttachedPolicies)
	return out, err
}
