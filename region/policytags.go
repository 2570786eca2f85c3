package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
)

// TagPolicyInput tags a managed policy.
type TagPolicyInput struct {
	PolicyARN string   `wire:"PolicyArn,required" len:"20..2048"`
	Tags      []IAMTag `wire:"Tags,required"`
}

// Resolve implements Input.
func (in *TagPolicyInput) Resolve(r *Resolver) error {
	return r.policy(in.PolicyARN, Conditions{RequestTags: requestTags(in.Tags)})
}

// TagPolicy adds tags to a managed policy or replaces their values.
func (s *Service) TagPolicy(ctx context.Context, c *Call, in *TagPolicyInput) (*None, error) {
	return s.changePolicy(ctx, c, in.PolicyARN, func(next *fsm.ManagedPolicy) (err error) {
		next.Tags, err = merged(next.Tags, in.Tags)
		return err
	})
}

// UntagPolicyInput removes tags of a managed policy.
type UntagPolicyInput struct {
	PolicyARN string   `wire:"PolicyArn,required" len:"20..2048"`
	TagKeys   []string `wire:"TagKeys,required" len:"1..128"`
}

// Resolve implements Input.
func (in *UntagPolicyInput) Resolve(r *Resolver) error {
	return r.policy(in.PolicyARN, Conditions{TagKeys: in.TagKeys})
}

// UntagPolicy removes tags of a managed policy.
func (s *Service) UntagPolicy(ctx context.Context, c *Call, in *UntagPolicyInput) (*None, error) {
	return s.changePolicy(ctx, c, in.PolicyARN, func(next *fsm.ManagedPolicy) error {
		next.Tags = without(next.Tags, in.TagKeys)
		return nil
	})
}

// ListPolicyTags lists the tags of a managed policy.
func (s *Service) ListPolicyTags(_ context.Context, c *Call, in *PolicyPageInput) (*ListTagsOutput, error) {
	p, err := s.readPolicy(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	return listTags(c, in.PolicyARN, page{in.Marker, in.MaxItems}, p.Tags)
}
