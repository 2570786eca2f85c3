package fsm

import (
	"slices"
	"strings"
	"testing"
)

// checkInvariants compares counters, indexes and references with what the rows say.
func checkInvariants(t *testing.T, s *State) {
	t.Helper()
	if s.Region() == nil {
		return
	}
	active := 0
	for d := range s.DomainKeys() {
		if d.Active {
			active++
		}
		if !slices.IsSortedFunc(d.Wrapped, func(a, b WrappedDomain) int { return strings.Compare(a.NodeID, b.NodeID) }) {
			t.Errorf("domain key %d: nodes are not in order", d.Version)
		}
	}
	if active != 1 {
		t.Errorf("%d active domain key versions", active)
	}
	var all []*Key
	for account := range s.Accounts("") {
		customer := 0
		for k := range s.Keys(account.ID, "") {
			all = append(all, k)
			if k.Manager == managedByCustomer {
				customer++
			}
			checkKey(t, s, k)
		}
		if account.KeyCount != customer {
			t.Errorf("account %s counts %d keys, has %d", account.ID, account.KeyCount, customer)
		}
		for a := range s.Aliases(account.ID, "") {
			if s.Key(a.Account, a.KeyID) == nil {
				t.Errorf("%s points nowhere", a.Name)
			}
		}
	}
	checkIndexes(t, s, all)
}

func checkKey(t *testing.T, s *State, k *Key) {
	t.Helper()
	if err := checkMaterials(k.Materials, k.Current); err != nil {
		t.Errorf("key %s: %v", k.ID, err)
	}
	aliases := slices.Collect(s.AliasesOf(k.Account, k.ID, ""))
	if len(aliases) != k.AliasCount {
		t.Errorf("key %s counts %d aliases, has %d", k.ID, k.AliasCount, len(aliases))
	}
	if !slices.IsSortedFunc(k.Tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) }) {
		t.Errorf("key %s: tags are not in order", k.ID)
	}
	for _, v := range []uint64{k.PolicyVersion, k.TagsVersion, k.AliasVersion} {
		if v == 0 || v > k.Version || k.Version > s.Index() {
			t.Errorf("key %s: versions %d %d %d, %d", k.ID, k.PolicyVersion, k.TagsVersion, k.AliasVersion, k.Version)
		}
	}
}

func checkIndexes(t *testing.T, s *State, all []*Key) {
	t.Helper()
	at := s.Now() + day
	count := func(due func(*Key) bool) (n int) {
		for _, k := range all {
			if due(k) {
				n++
			}
		}
		return n
	}
	if got, want := len(slices.Collect(s.DueDeletions(at))), count(func(k *Key) bool { return k.DeletionAt != 0 && k.DeletionAt <= at }); got != want {
		t.Errorf("%d due deletions, want %d", got, want)
	}
	if got, want := len(slices.Collect(s.DueRotations(at))), count(func(k *Key) bool {
		return k.Enabled && k.DeletionAt == 0 && k.Rotation != nil && k.Rotation.Enabled && k.Rotation.NextAt <= at
	}); got != want {
		t.Errorf("%d due rotations, want %d", got, want)
	}
	expiries, wanted := 0, 0
	for range s.DueExpiries(at) {
		expiries++
	}
	for _, k := range all {
		for _, m := range k.Materials {
			if m.Present() && m.Expires && m.ExpiresAt <= at {
				wanted++
			}
		}
	}
	if expiries != wanted {
		t.Errorf("%d due expiries, want %d", expiries, wanted)
	}
}
