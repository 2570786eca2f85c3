package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// page is one page of any list.
type page struct {
	items     []string
	next      *string
	truncated bool
}

// walk takes all pages of a list, each of at most limit items, and returns the items and the markers.
func walk(t *testing.T, limit int32, fetch func(limit, marker *string, n int32) page) (items, markers []string) {
	t.Helper()
	var marker *string
	for {
		p := fetch(nil, marker, limit)
		if len(p.items) > int(limit) {
			t.Fatalf("%d items on a page of %d", len(p.items), limit)
		}
		items = append(items, p.items...)
		if p.truncated != (p.next != nil) {
			t.Fatalf("truncated %v with marker %v (PAG-02)", p.truncated, p.next)
		}
		if !p.truncated {
			return items, markers
		}
		if slices.Contains(markers, *p.next) || len(*p.next) > 1024 {
			t.Fatalf("marker %q repeats or is too long (PAG-06)", *p.next)
		}
		markers = append(markers, *p.next)
		marker = p.next
	}
}

func listKeys(t *testing.T, c *kms.Client) func(_, marker *string, n int32) page {
	return func(_, marker *string, n int32) (p page) {
		out := do(c.ListKeys(t.Context(), &kms.ListKeysInput{Limit: &n, Marker: marker})).ok(t)
		for _, k := range out.Keys {
			if *k.KeyArn != arnHead+"key/"+*k.KeyId {
				t.Errorf("key %s with ARN %s", *k.KeyId, *k.KeyArn)
			}
			p.items = append(p.items, *k.KeyId)
		}
		p.next, p.truncated = out.NextMarker, out.Truncated
		return p
	}
}

// TestListKeys: a walk through pages of any size meets each lasting key once, in order, whatever else is made meanwhile.
func TestListKeys(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	var mine []string
	for range 12 {
		mine = append(mine, *newKey(t, c).KeyId)
	}
	do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &mine[0]})).ok(t)
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &mine[1]})).ok(t)
	for _, limit := range []int32{1, 7, 1000} {
		items, _ := walk(t, limit, listKeys(t, c))
		if !slices.IsSorted(items) || len(slices.Compact(slices.Clone(items))) != len(items) {
			t.Errorf("pages of %d: out of order or twice", limit)
		}
		for _, id := range mine {
			if !slices.Contains(items, id) {
				t.Errorf("pages of %d: %s is missing", limit, id)
			}
		}
	}
}

func TestListAliasesPages(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("alias/page/%s/%d", *md.KeyId, i)
		createAlias(t, c, name, md)
		want = append(want, name)
	}
	list := func(key *string) func(_, marker *string, n int32) page {
		return func(_, marker *string, n int32) (p page) {
			out := do(c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: key, Limit: &n, Marker: marker})).ok(t)
			for _, a := range out.Aliases {
				p.items = append(p.items, *a.AliasName)
			}
			p.next, p.truncated = out.NextMarker, out.Truncated
			return p
		}
	}
	for _, limit := range []int32{1, 3, 7, 100} {
		if got, _ := walk(t, limit, list(md.Arn)); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", limit, got)
		}
	}
	all, _ := walk(t, 5, list(nil))
	if !slices.IsSorted(all) {
		t.Error("aliases of the account are out of order")
	}
	for _, name := range want {
		if !slices.Contains(all, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestListResourceTagsAndRotationsPages(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = numbered(11) })
	for range 4 {
		do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).ok(t)
	}
	for _, limit := range []int32{1, 4, 50} {
		tags, _ := walk(t, limit, func(_, marker *string, n int32) (p page) {
			out := do(c.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: md.KeyId, Limit: &n, Marker: marker})).ok(t)
			for _, tag := range out.Tags {
				p.items = append(p.items, *tag.TagKey)
			}
			p.next, p.truncated = out.NextMarker, out.Truncated
			return p
		})
		if len(tags) != 11 || !slices.IsSorted(tags) {
			t.Errorf("pages of %d: tags %v", limit, tags)
		}
		for include, want := range map[types.IncludeKeyMaterial]int{"": 4, "ROTATIONS_ONLY": 4, "ALL_KEY_MATERIAL": 5} {
			materials, _ := walk(t, limit, func(_, marker *string, n int32) (p page) {
				out := do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: md.KeyId, Limit: &n, Marker: marker, IncludeKeyMaterial: include})).ok(t)
				for _, r := range out.Rotations {
					p.items = append(p.items, *r.KeyMaterialId)
				}
				p.next, p.truncated = out.NextMarker, out.Truncated
				return p
			})
			slices.Sort(materials)
			if len(slices.Compact(materials)) != want {
				t.Errorf("pages of %d with %q: %d materials, want %d", limit, include, len(materials), want)
			}
		}
	}
}

// TestMarkers: a marker is good for the list that gave it out and for nothing else.
func TestMarkers(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, other := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = numbered(3) }), newKey(t, c)
	for i := range 3 {
		createAlias(t, c, fmt.Sprintf("alias/marker/%d/%s", i, *md.KeyId), md)
		do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).ok(t)
	}
	one := aws.Int32(1)
	markers := map[string]*string{
		"ListKeys":         do(c.ListKeys(t.Context(), &kms.ListKeysInput{Limit: one})).ok(t).NextMarker,
		"ListAliases":      do(c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: md.KeyId, Limit: one})).ok(t).NextMarker,
		"ListResourceTags": do(c.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: md.KeyId, Limit: one})).ok(t).NextMarker,
		"ListKeyRotations": do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: md.KeyId, Limit: one})).ok(t).NextMarker,
	}
	body := func(op, key, marker string) string {
		if op == "ListKeys" {
			return `{"Marker":"` + marker + `"}`
		}
		return `{"KeyId":"` + key + `","Marker":"` + marker + `"}`
	}
	const pattern = `satisfy regular expression pattern: [\u0020-\u00FF]*`
	var rows []row
	for op := range markers {
		for from, marker := range markers {
			if from != op {
				rows = append(rows, row{op, body(op, *md.KeyId, *marker), "InvalidMarkerException"})
			}
		}
		good := *markers[op]
		for _, bad := range []string{"nonsense", "!!!!", " ", "AAAA", good[:8], good + "*", "A" + good[1:]} {
			if bad != good {
				rows = append(rows, row{op, body(op, *md.KeyId, bad), "InvalidMarkerException"})
			}
		}
		if op != "ListKeys" {
			rows = append(rows, row{op, body(op, *other.KeyId, good), "InvalidMarkerException"})
		}
		rows = append(rows,
			row{op, body(op, *md.KeyId, good), ""},
			row{op, body(op, *md.KeyId, ""), invalid(violation("''", "marker", "have length greater than or equal to 1"))},
			row{op, body(op, *md.KeyId, strings.Repeat("x", 1025)), invalid(violation("'"+strings.Repeat("x", 1025)+"'", "marker", "have length less than or equal to 1024"))},
			row{op, body(op, *md.KeyId, "\u2022"), invalid(violation("'\u2022'", "marker", pattern))},
		)
	}
	rows = append(rows,
		row{"ListAliases", `{"Marker":"` + *markers["ListAliases"] + `"}`, "InvalidMarkerException"}, // of one key, for all
		row{"ListKeyRotations", `{"KeyId":"` + *md.KeyId + `","Marker":"` + *markers["ListKeyRotations"] + `","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`, "InvalidMarkerException"},
		row{"ListKeyPolicies", `{"KeyId":"` + *md.KeyId + `","Marker":"x"}`, "ValidationException: The request is not valid: InvalidMarker."},
	)
	for op, most := range map[string]string{"ListKeys": "1000", "ListAliases": "100", "ListResourceTags": "50", "ListKeyRotations": "1000", "ListKeyPolicies": "1000"} {
		limited := func(n string) string { return `{"KeyId":"` + *md.KeyId + `","Limit":` + n + `}` }
		rows = append(rows, row{op, limited(most), ""},
			row{op, limited("0"), invalid(violation("'0'", "limit", "have value greater than or equal to 1"))},
			row{op, limited(most + "1"), invalid(violation("'"+most+"1'", "limit", "have value less than or equal to "+most))})
	}
	refuse(t, s, rows)
}

// TestPaginators: the SDK's own loops come to their end.
func TestPaginators(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Tags = numbered(5) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for p := kms.NewListResourceTagsPaginator(c, &kms.ListResourceTagsInput{KeyId: md.KeyId, Limit: aws.Int32(2)}); p.HasMorePages(); {
		n += len(do(p.NextPage(ctx)).ok(t).Tags)
	}
	if n != 5 {
		t.Errorf("%d tags", n)
	}
}
