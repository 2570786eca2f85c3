package policy

import (
	"slices"
	"testing"
)

// TestCollidingPairsKCK05: keys that differ in case only come together.
func TestCollidingPairsKCK05(t *testing.T) {
	got := Lookup(pairs("app", "1", "APP", "2", "other", "3"), newKey("kms:EncryptionContext:App").Variable).Strings()
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("%q", got)
	}
}

func TestValues(t *testing.T) {
	for _, v := range []struct {
		v      Values
		len    int
		absent bool
		void   bool
	}{{Absent(), 0, true, false}, {One(""), 1, false, false}, {NonEmpty(""), 0, true, false}, {NonEmpty("x"), 1, false, false},
		{Many(nil), 0, true, false}, {Many([]string{"a", "b"}), 2, false, false}, {Void(), 0, false, true}, {Flag(true), 1, false, false}} {
		if v.v.Len() != v.len || v.v.IsAbsent() != v.absent || v.v.IsVoid() != v.void || len(v.v.Strings()) != v.len {
			t.Errorf("%+v", v)
		}
	}
	if !PairKeys(nil).IsAbsent() || !Lookup(nil, "x").IsAbsent() || MapPairs(nil) != nil {
		t.Error("no pairs")
	}
}
