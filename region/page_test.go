package region

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/shape"
)

// TestPages walks lists of all small lengths with pages of all small sizes: each item once, in order, and a marker exactly when
// there is more (spec 09 PAG-02, PAG-05).
func TestPages(t *testing.T) {
	scope := pageScope{"ListThings", labAccount, "filter"}
	for length := range 12 {
		var items []string
		for i := range length {
			items = append(items, fmt.Sprintf("item %02d ä", i))
		}
		for limit := 1; limit <= length+1; limit++ {
			var got []string
			marker := shape.Opt[string]{}
			for pages := 0; ; pages++ {
				after, err := scope.open(marker)
				if err != nil || pages > length {
					t.Fatalf("%d items in pages of %d: %v, %d pages", length, limit, err, pages)
				}
				rest := items
				if after != "" {
					rest = items[slices.Index(items, after)+1:]
				}
				n := 0
				next, truncated := fill(scope, slices.Values(rest), limit, func(item string) string {
					got = append(got, item)
					n++
					return item
				})
				if truncated != next.Set || n > limit || truncated && n != limit {
					t.Fatalf("%d items in pages of %d: page of %d, truncated %v, marker %v", length, limit, n, truncated, next.Set)
				}
				if !truncated {
					break
				}
				if next.Value == marker.Value {
					t.Fatal("the marker does not move on (PAG-06)")
				}
				marker = next
			}
			if !slices.Equal(got, items) {
				t.Errorf("%d items in pages of %d: %v", length, limit, got)
			}
		}
	}
}

// TestMarkerScope: a marker is good for its operation, account and filter alone.
func TestMarkerScope(t *testing.T) {
	scope := pageScope{"ListAliases", labAccount, "key"}
	marker := scope.seal("alias/last")
	if after, err := scope.open(shape.Some(marker)); err != nil || after != "alias/last" {
		t.Fatalf("%q, %v", after, err)
	}
	if len(scope.seal(strings.Repeat("ä", 256))) > 1024 {
		t.Error("a marker after the longest name is longer than the model allows")
	}
	for what, other := range map[string]pageScope{
		"operation": {"ListKeys", labAccount, "key"}, "account": {"ListAliases", "444455556666", "key"}, "filter": {"ListAliases", labAccount, ""},
		"borders": {"ListAliases", labAccount + "\x00key", ""},
	} {
		if _, err := other.open(shape.Some(marker)); err == nil && what != "borders" {
			t.Errorf("good for another %s", what)
		}
	}
	for _, bad := range []string{"", "x", "====", marker[:10], marker + "=", " " + marker, strings.ToUpper(marker)} {
		_, err := scope.open(shape.Some(bad))
		refused(t, err, "InvalidMarkerException")
	}
}

// FuzzMarker: what opens is what the scope has sealed.
func FuzzMarker(f *testing.F) {
	scope := pageScope{"ListKeys", labAccount, ""}
	f.Add(scope.seal("1234abcd-12ab-34cd-56ef-1234567890ab"))
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, marker string) {
		after, err := scope.open(shape.Some(marker))
		if err == nil && after == "" {
			t.Error("a marker of nothing")
		}
		if err == nil && strings.TrimRight(scope.seal(after), "\n") != strings.NewReplacer("\n", "", "\r", "").Replace(marker) {
			t.Errorf("%q opens to %q, which seals to %q", marker, after, scope.seal(after))
		}
	})
}
