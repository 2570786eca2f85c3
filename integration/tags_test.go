package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// tags makes tags of pairs of key and value.
func tags(pairs ...string) []types.Tag {
	list := []types.Tag{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.Tag{TagKey: &pairs[i], TagValue: &pairs[i+1]})
	}
	return list
}

func numbered(n int) (list []types.Tag) {
	for i := range n {
		list = append(list, tags(fmt.Sprintf("key%02d", i), "")...)
	}
	return list
}

func tagsOf(t testing.TB, c *kms.Client, md *types.KeyMetadata) kms.ListResourceTagsOutput {
	t.Helper()
	return *do(c.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: md.KeyId})).ok(t)
}

func TestTags(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = tags("stage", "prod", "Owner", "team +-=._:/@") })
	same(t, "made with the key", tagsOf(t, c, md), kms.ListResourceTagsOutput{Tags: tags("Owner", "team +-=._:/@", "stage", "prod")})
	do(c.TagResource(t.Context(), &kms.TagResourceInput{KeyId: md.Arn, Tags: tags("stage", "test", "empty", "", "Größe", "groß")})).ok(t)
	same(t, "added and replaced", tagsOf(t, c, md), kms.ListResourceTagsOutput{
		Tags: tags("Größe", "groß", "Owner", "team +-=._:/@", "empty", "", "stage", "test"),
	})
	do(c.UntagResource(t.Context(), &kms.UntagResourceInput{KeyId: md.KeyId, TagKeys: []string{"Owner", "never", "stage"}})).ok(t)
	same(t, "removed", tagsOf(t, c, md), kms.ListResourceTagsOutput{Tags: tags("Größe", "groß", "empty", "")})
	do(c.UntagResource(t.Context(), &kms.UntagResourceInput{KeyId: md.KeyId, TagKeys: []string{"Größe", "empty"}})).ok(t)
	same(t, "none left", tagsOf(t, c, md), kms.ListResourceTagsOutput{Tags: tags()})
	do(c.TagResource(t.Context(), &kms.TagResourceInput{KeyId: md.Arn, Tags: tags("K", "1", "k", "2")})).ok(t) // case-sensitive
	same(t, "two cases", tagsOf(t, c, md), kms.ListResourceTagsOutput{Tags: tags("K", "1", "k", "2")})
}

func TestTagLimits(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	full := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = numbered(50) })
	if n := len(tagsOf(t, c, full).Tags); n != 50 {
		t.Errorf("%d tags", n)
	}
	do(c.TagResource(t.Context(), &kms.TagResourceInput{KeyId: full.KeyId, Tags: tags("one more", "")})).refused(t, "TagException: Too many tags")
	do(c.TagResource(t.Context(), &kms.TagResourceInput{KeyId: full.KeyId, Tags: tags("key07", "changed")})).ok(t)
	do(c.CreateKey(t.Context(), &kms.CreateKeyInput{Tags: numbered(51)})).refused(t, "TagException: Too many tags")
	long := strings.Repeat("x", 129)
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = tags(strings.Repeat("ä", 128), strings.Repeat("ß", 256)) })
	refuse(t, s, []row{
		{"CreateKey", `{"Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"2"}]}`, "TagException: Duplicate tag keys"},
		{"CreateKey", `{"Tags":[{"TagKey":"aws:x","TagValue":"1"}]}`, "TagException: Tags beginning with aws: are reserved"},
		{"CreateKey", `{"Tags":[{"TagKey":"{long}","TagValue":"1"}]}`, invalid(violation("'{long}'", "tags.1.member.tagKey", "have length less than or equal to 128"))},
		{"CreateKey", `{"Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"","TagValue":"{long}{long}"}]}`, invalid(
			violation("''", "tags.2.member.tagKey", "have length greater than or equal to 1"),
			violation("'{long}{long}'", "tags.2.member.tagValue", "have length less than or equal to 256"))},
		{"CreateKey", `{"Tags":[{"TagKey":"a"}]}`, invalid(violation("null", "tags.1.member.tagValue", "not be null"))},
		{"TagResource", `{"KeyId":"{id}","Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"1"}]}`, "TagException: Duplicate tag keys"},
		{"TagResource", `{"KeyId":"{id}","Tags":[{"TagKey":"AwS:x","TagValue":"1"}]}`, "TagException: Tags beginning with aws: are reserved"},
		{"TagResource", `{"KeyId":"{id}","Tags":[]}`, "ValidationException: Tags must hold at least one tag."},
		{"TagResource", `{"KeyId":"{id}"}`, invalid(violation("null", "tags", "not be null"))},
		{"UntagResource", `{"KeyId":"{id}","TagKeys":["aws:x"]}`, "TagException: Tags beginning with aws: are reserved"},
		{"UntagResource", `{"KeyId":"{id}","TagKeys":[]}`, "ValidationException: TagKeys must hold at least one tag key."},
		{"UntagResource", `{"KeyId":"{id}"}`, invalid(violation("null", "tagKeys", "not be null"))},
		{"ListResourceTags", `{"KeyId":"{id}","Limit":51}`, invalid(violation("'51'", "limit", "have value less than or equal to 50"))},
	}, "{id}", *md.KeyId, "{long}", long)
	if n := len(tagsOf(t, c, md).Tags); n != 1 {
		t.Errorf("%d tags after refusals", n)
	}
}
