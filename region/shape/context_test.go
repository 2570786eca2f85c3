package shape_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/shape"
)

func context(t *testing.T, pairs ...string) shape.EncryptionContext {
	t.Helper()
	var list []shape.Pair
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, shape.Pair{Key: pairs[i], Value: pairs[i+1]})
	}
	c, err := shape.NewEncryptionContext(list)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContextIsCanonical(t *testing.T) {
	c := context(t, "b", "2", "", "empty", "B", "3", "ü", "4", "a", "1")
	var keys []string
	for k, v := range c.Pairs() {
		keys = append(keys, k)
		if got, ok := c.Get(k); !ok || got != v {
			t.Errorf("Get(%q) = %q, %v", k, got, ok)
		}
	}
	if want := []string{"", "B", "a", "b", "ü"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	if _, ok := c.Get("A"); ok {
		t.Error("keys are compared case-sensitively")
	}
	if got := shape.EncryptionContextOf(c.Map()); !got.Equal(c) || c.At(1) != (shape.Pair{Key: "B", Value: "3"}) {
		t.Errorf("by way of a map: %v", got)
	}
	for k := range c.Pairs() {
		_ = k
		break // stopping early is allowed
	}
}

func TestContextRefusesDuplicates(t *testing.T) {
	_, err := shape.NewEncryptionContext([]shape.Pair{{Key: "k", Value: "1"}, {Key: "a", Value: "1"}, {Key: "k", Value: "1"}})
	if err == nil || !strings.Contains(err.Error(), `"k" twice`) {
		t.Errorf("got %v", err)
	}
}

func TestContextPresence(t *testing.T) {
	var absent shape.EncryptionContext
	empty := context(t)
	if absent.IsSet() || !empty.IsSet() || absent.Len() != 0 || absent.Map() != nil || empty.Map() == nil {
		t.Error("absent and empty")
	}
	if !absent.Equal(empty) || shape.EncryptionContextOf(nil).IsSet() || !shape.EncryptionContextOf(map[string]string{}).IsSet() {
		t.Error("absent reads like empty, and maps keep the difference")
	}
	if _, ok := absent.Get("k"); ok || len(maps.Collect(absent.Pairs())) != 0 {
		t.Error("an absent context has no pairs")
	}
}

// TestContextContains: spec 01 CTX-10, case-sensitive in keys and values.
func TestContextContains(t *testing.T) {
	c := context(t, "a", "1", "b", "2")
	for _, tt := range []struct {
		part shape.EncryptionContext
		want bool
	}{
		{shape.EncryptionContext{}, true}, {context(t), true}, {context(t, "a", "1"), true}, {c, true},
		{context(t, "A", "1"), false}, {context(t, "a", "2"), false}, {context(t, "a", "1", "c", "3"), false},
	} {
		if got := c.Contains(tt.part); got != tt.want {
			t.Errorf("contains %v: %v", tt.part.Map(), got)
		}
	}
}
