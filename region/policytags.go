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
	p, err := own(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	next := *p
	if next.Tags, err = merged(p.Tags, in.Tags); err != nil {
		return nil, err
	}
	_, err = s.putPolicy(ctx, c, p, next, nil)
	return &None{}, err
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
	p, err := own(c, in.PolicyARN)
	if err != nil {
		return nil, err
	}
	next := *p
	next.Tags = without(p.Tags, in.TagKeys)
	_, err = s.putPolicy(ctx, c, p, next, nil)
	return &None{}, err
}

// ListPolicyTags lists the tags of a managed policy.
func (s *Service) ListPolicyTags(_ context.Context, c *Call, in *PolicyPageInput) (*ListTagsOutput, error) {
	m, ok := s.findPolicy(c.State, c.Caller.Account, in.PolicyARN)
	if !ok {
		return nil, noPolicy(in.PolicyARN)
	}
	var tags []fsm.Tag
	if m.row != nil {
		tags = m.row.Tags
	}
	return listTags(c, in.PolicyARN, page{in.Marker, in.MaxItems}, tags)
}
