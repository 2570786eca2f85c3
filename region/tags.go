package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// Tag is a tag of a key (spec 01 TAG).
type Tag struct {
	TagKey   string `wire:"TagKey,required" is:"TagKeyType"`
	TagValue string `wire:"TagValue,required" is:"TagValueType"`
}

const (
	reservedTagPrefix = "aws:"
	maxTags           = 50
)

// checkTags holds the rules of a list of tags in a request (spec 01 TAG-02, TAG-07).
func checkTags(tags []Tag) error {
	if len(tags) > maxTags {
		return fault.TooManyTags()
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if reservedTag(t.TagKey) {
			return fault.ReservedTag()
		}
		if seen[t.TagKey] {
			return fault.DuplicateTags()
		}
		seen[t.TagKey] = true
	}
	return nil
}

func reservedTag(key string) bool {
	return len(key) >= len(reservedTagPrefix) && strings.EqualFold(key[:len(reservedTagPrefix)], reservedTagPrefix)
}

func rowTags(tags []Tag) []fsm.Tag {
	if len(tags) == 0 {
		return nil
	}
	rows := make([]fsm.Tag, len(tags))
	for i, t := range tags {
		rows[i] = fsm.Tag{Key: t.TagKey, Value: t.TagValue}
	}
	return rows
}

func sortedTags(tags []Tag) []fsm.Tag {
	rows := rowTags(tags)
	slices.SortFunc(rows, func(a, b fsm.Tag) int { return strings.Compare(a.Key, b.Key) })
	return rows
}

// TagResourceInput adds or replaces tags.
type TagResourceInput struct {
	KeyID string `wire:"KeyId,required" is:"KeyIdType"`
	Tags  []Tag  `wire:"Tags,required"`
}

// Check implements Checker.
func (in *TagResourceInput) Check() error {
	if len(in.Tags) == 0 {
		return fault.New(fault.ValidationException, "Tags must hold at least one tag.")
	}
	return checkTags(in.Tags)
}

// Resolve implements Input.
func (in *TagResourceInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{RequestTags: rowTags(in.Tags)})
}

// TagResource adds tags or replaces their values (spec 10 TAG).
func (s *Service) TagResource(ctx context.Context, c *Call, in *TagResourceInput) (*None, error) {
	k := c.Key()
	n := len(k.Tags)
	for _, t := range in.Tags {
		if _, found := findTag(k.Tags, t.TagKey); !found {
			n++
		}
	}
	if n > c.State.Quotas().TagsPerKey {
		return nil, fault.TooManyTags()
	}
	return s.change(ctx, c, &fsm.TagKey{Key: keyRef(k), Tags: sortedTags(in.Tags)})
}

func findTag(tags []fsm.Tag, key string) (int, bool) {
	return slices.BinarySearchFunc(tags, key, func(t fsm.Tag, key string) int { return strings.Compare(t.Key, key) })
}

// UntagResourceInput removes tags by key.
type UntagResourceInput struct {
	KeyID   string   `wire:"KeyId,required" is:"KeyIdType"`
	TagKeys []string `wire:"TagKeys,required" is:"TagKeyList"`
}

// Check implements Checker.
func (in *UntagResourceInput) Check() error {
	if len(in.TagKeys) == 0 {
		return fault.New(fault.ValidationException, "TagKeys must hold at least one tag key.")
	}
	if slices.ContainsFunc(in.TagKeys, reservedTag) {
		return fault.ReservedTag()
	}
	return nil
}

// Resolve implements Input. The values stored under the keys count as aws:RequestTag (spec 05 GLB-06).
func (in *UntagResourceInput) Resolve(r *Resolver) error {
	t, err := r.Find(in.KeyID)
	if err != nil {
		return err
	}
	t.Conditions.TagKeys = in.TagKeys
	if t.Key != nil {
		for _, key := range in.TagKeys {
			if i, found := findTag(t.Key.Tags, key); found {
				t.Conditions.RequestTags = append(t.Conditions.RequestTags, t.Key.Tags[i])
			}
		}
	}
	r.add(t)
	return nil
}

// UntagResource removes tags; keys that are not there are no error (spec 10 UNT).
func (s *Service) UntagResource(ctx context.Context, c *Call, in *UntagResourceInput) (*None, error) {
	return s.change(ctx, c, &fsm.UntagKey{Key: keyRef(c.Key()), Keys: in.TagKeys})
}

// ListResourceTagsInput asks for a key's tags.
type ListResourceTagsInput struct {
	KeyID  string            `wire:"KeyId,required" is:"KeyIdType"`
	Limit  shape.Opt[int32]  `wire:"Limit" range:"1..50"`
	Marker shape.Opt[string] `wire:"Marker" is:"MarkerType"`
}

// Resolve implements Input.
func (in *ListResourceTagsInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// ListResourceTagsOutput is a page of tags, in key order.
type ListResourceTagsOutput struct {
	Tags       []Tag             `wire:"Tags"`
	NextMarker shape.Opt[string] `wire:"NextMarker"`
	Truncated  bool              `wire:"Truncated"`
}

// ListResourceTags lists a key's tags in every state (spec 10 LRT).
func (s *Service) ListResourceTags(_ context.Context, c *Call, in *ListResourceTagsInput) (*ListResourceTagsOutput, error) {
	k := c.Key()
	scope := pageScope{"ListResourceTags", k.Account, k.ID}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	rest := k.Tags
	if after != "" {
		i, found := findTag(rest, after)
		if found {
			i++
		}
		rest = rest[i:]
	}
	out := &ListResourceTagsOutput{Tags: []Tag{}}
	out.NextMarker, out.Truncated = fill(scope, slices.Values(rest), int(in.Limit.Or(50)), func(t fsm.Tag) string {
		out.Tags = append(out.Tags, Tag{TagKey: t.Key, TagValue: t.Value})
		return t.Key
	})
	return out, nil
}
