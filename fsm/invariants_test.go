package fsm

import (
	"cmp"
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
	checkDomains(t, s)
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
		checkIdentities(t, s, account)
		for a := range s.Aliases(account.ID, "") {
			if s.Key(a.Account, a.KeyID) == nil {
				t.Errorf("%s points nowhere", a.Name)
			}
		}
	}
	checkIndexes(t, s, all)
	checkGrants(t, s, all)
}

// checkGrants finds every grant in every way, and none that is not there.
func checkGrants(t *testing.T, s *State, keys []*Key) {
	t.Helper()
	rows, left := 0, 0
	for g := range from[Grant](&s.view, tableGrants, indexID, nil) {
		rows++
		if s.Key(g.Account, g.KeyID) != nil {
			checkGrant(t, s, g)
		} else if s.Grant(g.ID) != nil || s.Version(Read{Doc: DocGrant, Name: g.ID}) != 0 {
			t.Errorf("grant %s has outlived its key", g.ID)
		}
	}
	for r := range s.Remains() {
		left += r.Grants
		if r.Grants < 1 || s.Key(r.Account, r.KeyID) != nil {
			t.Errorf("%d grants remain of key %s", r.Grants, r.KeyID)
		}
	}
	for _, k := range keys {
		grants := slices.Collect(s.GrantsOf(KeyRef{k.Account, k.ID}, 0))
		if len(grants) != k.GrantCount {
			t.Errorf("key %s counts %d grants, has %d", k.ID, k.GrantCount, len(grants))
		}
		if !slices.IsSortedFunc(grants, func(a, b *Grant) int { return cmp.Compare(a.Version, b.Version) }) {
			t.Errorf("key %s: grants are not in the order of their creation", k.ID)
		}
		rows -= k.GrantCount
	}
	if rows != left {
		t.Errorf("%d grants without key, %d are known", rows, left)
	}
}

func checkGrant(t *testing.T, s *State, g *Grant) {
	t.Helper()
	ref := KeyRef{g.Account, g.KeyID}
	found := map[string]bool{
		"id":       s.Grant(g.ID) == g && s.Version(Read{Doc: DocGrant, Name: g.ID}) == g.Version,
		"key":      slices.Contains(slices.Collect(s.GrantsOf(ref, g.Version-1)), g),
		"grantee":  slices.Contains(slices.Collect(s.GrantsOfGrantee(ref, g.Grantee.Key(), "")), g),
		"same":     g.Name == "" || s.SameGrant(g) == g,
		"retiring": g.Retiring == nil || slices.Contains(slices.Collect(s.GrantsRetiredBy(g.Retiring.Key(), g.Version-1)), g),
	}
	for op := GrantOps(1); op <= allGrantOps; op <<= 1 {
		has := g.Operations&op != 0
		context := pairList(nil)
		if g.Constraint != nil {
			context = g.Constraint.Pairs
		}
		found["call"] = slices.Contains(slices.Collect(s.GrantsTo(ref, g.Grantee.Key(), op, context)), g) == has
		found["call without context"] = slices.Contains(slices.Collect(s.GrantsTo(ref, g.Grantee.Key(), op, nil)), g) == has
		for way, ok := range found {
			if !ok {
				t.Errorf("grant %s by %s: %+v", g.ID, way, g)
			}
		}
	}
}

func checkKey(t *testing.T, s *State, k *Key) {
	t.Helper()
	if err := checkMaterials(k.Materials, k.Current); err != nil {
		t.Errorf("key %s: %v", k.ID, err)
	}
	if set := k.Set; set != nil {
		home := s.Region().Name
		if !k.MultiRegion || set.Replica != (set.Primary != home) || set.Member(set.Primary) == nil || set.Member(home) == nil || set.ChangedAt == 0 ||
			set.ChangedAt > k.Version || s.ReplicaEnd(k.Account, k.ID) != nil {
			t.Errorf("key %s: set %+v", k.ID, set)
		}
		row := *k
		row.Set = set.clone()
		if owes := s.rehearsal().tend(&row); owes != s.Owes(k) {
			t.Errorf("key %s: something is owed to it: %v; found: %v", k.ID, owes, !owes)
		}
		if d := s.Doc(k); !set.Creating && d.Check() != nil {
			t.Errorf("key %s: %v", k.ID, d.Check())
		}
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
		return k.Enabled && !k.Ending() && k.rotatesHere() && k.Rotation != nil && k.Rotation.Enabled && k.Rotation.NextAt <= at
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
