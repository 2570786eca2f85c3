package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// TagIdentityInput tags a user or role.
type TagIdentityInput[N Named[N]] struct {
	Of   N        `wire:",inline"`
	Tags []IAMTag `wire:"Tags,required"`
}

// Resolve implements Input.
func (in *TagIdentityInput[N]) Resolve(r *Resolver) error {
	return r.of(in.Of, Conditions{RequestTags: requestTags(in.Tags)})
}

// TagIdentity adds tags to a user or role or replaces their values.
func TagIdentity[N Named[N]](s *Service, ctx context.Context, c *Call, in *TagIdentityInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	tags, err := merged(i.Tags, in.Tags)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = tags })
}

// UntagIdentityInput removes tags of a user or role.
type UntagIdentityInput[N Named[N]] struct {
	Of      N        `wire:",inline"`
	TagKeys []string `wire:"TagKeys,required" len:"1..128"`
}

// Resolve implements Input.
func (in *UntagIdentityInput[N]) Resolve(r *Resolver) error {
	return r.of(in.Of, Conditions{TagKeys: in.TagKeys})
}

// UntagIdentity removes tags of a user or role.
func UntagIdentity[N Named[N]](s *Service, ctx context.Context, c *Call, in *UntagIdentityInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Tags = without(n.Tags, in.TagKeys) })
}

// ListIdentityTags lists the tags of a user or role.
func ListIdentityTags[N Named[N]](_ *Service, _ context.Context, c *Call, in *PageInput[N]) (*ListTagsOutput, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	return listTags(c, i.ID, in.page(), i.Tags)
}

// merged adds tags to a list or replaces their values.
func merged(old []fsm.Tag, tags []IAMTag) ([]fsm.Tag, error) {
	added, err := iamTags(tags)
	if err != nil {
		return nil, err
	}
	next := slices.Clone(old)
	for _, t := range added {
		if at := slices.IndexFunc(next, func(o fsm.Tag) bool { return strings.EqualFold(o.Key, t.Key) }); at >= 0 {
			next[at] = t
		} else {
			next = append(next, t)
		}
	}
	slices.SortFunc(next, func(a, b fsm.Tag) int { return strings.Compare(a.Key, b.Key) })
	if len(next) > maxIdentityTags {
		return nil, iamfault.LimitExceeded("The number of tags has reached the maximum limit.")
	}
	return next, nil
}

// without removes tags; those that are not there are no error.
func without(old []fsm.Tag, keys []string) []fsm.Tag {
	return slices.DeleteFunc(slices.Clone(old), func(t fsm.Tag) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, t.Key) })
	})
}

// ListTagsOutput is a page of tags.
type ListTagsOutput struct {
	Tags        []IAMTag          `wire:"Tags"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

func listTags(c *Call, id string, p page, tags []fsm.Tag) (*ListTagsOutput, error) {
	out := &ListTagsOutput{Tags: []IAMTag{}}
	var err error
	out.Marker, out.IsTruncated, err = slicePage(c, id, p, showTags(tags), func(t IAMTag) string { return t.Key }, &out.Tags)
	return out, err
}
