package fsm

import (
	"fmt"
	"slices"
	"testing"
)

func ids(keys []*Key) (out []string) {
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func TestPaging(t *testing.T) {
	l := newRegion(t)
	for _, n := range []int{3, 1, 2} {
		l.ok(newKey(account1, n))
		l.ok(newKey(account2, n+1))
		l.ok(&CreateAlias{account1, fmt.Sprint("alias/", n), keyID(n)})
		l.ok(&CreateAlias{account1, fmt.Sprint("alias/x", n), keyID(n)})
		l.ok(&PutAccessKey{AccessKey{ID: fmt.Sprint("AKIA", n), Account: account2, Principal: "root", Domain: 1, Secret: []byte("s")}})
	}
	s := l.state()
	for _, c := range []struct {
		after string
		want  []string
	}{
		{"", []string{keyID(1), keyID(2), keyID(3)}},
		{keyID(1), []string{keyID(2), keyID(3)}},
		{keyID(1) + "x", []string{keyID(2), keyID(3)}},
		{"1", []string{keyID(1), keyID(2), keyID(3)}},
		{keyID(3), nil},
		{"z", nil},
	} {
		if got := ids(slices.Collect(s.Keys(account1, c.after))); !slices.Equal(got, c.want) {
			t.Errorf("keys after %q: %v, want %v", c.after, got, c.want)
		}
	}
	if got := ids(slices.Collect(s.Keys("999999999999", ""))); got != nil {
		t.Errorf("keys of an unknown account: %v", got)
	}
	names := func(after string) (out []string) {
		for a := range s.Aliases(account1, after) {
			out = append(out, a.Name)
		}
		return out
	}
	eq(t, "aliases", names(""), []string{"alias/1", "alias/2", "alias/3", "alias/x1", "alias/x2", "alias/x3"})
	eq(t, "aliases after", names("alias/3"), []string{"alias/x1", "alias/x2", "alias/x3"})
	var of []string
	for a := range s.AliasesOf(account1, keyID(2), "alias/2") {
		of = append(of, a.Name)
	}
	eq(t, "aliases of a key", of, []string{"alias/x2"})
	var access []string
	for a := range s.AccessKeys(account2, "AKIA1") {
		access = append(access, a.ID)
	}
	eq(t, "access keys", access, []string{"AKIA2", "AKIA3"})
	var accounts []string
	for a := range s.Accounts(account1) {
		accounts = append(accounts, a.ID)
	}
	eq(t, "accounts", accounts, []string{account2})
}

func TestDueInOrder(t *testing.T) {
	l := newRegion(t)
	for n := range 4 {
		l.ok(newKey(account1, n))
		l.ok(&SetRotation{ref1(n), Rotation{true, 90, now0 + int64(10-n)*day}})
	}
	eq(t, "due rotations", ids(slices.Collect(l.state().DueRotations(now0+9*day))), []string{keyID(3), keyID(2), keyID(1)})
	l.ok(&SetEnabled{ref1(2), false})
	eq(t, "without the disabled", ids(slices.Collect(l.state().DueRotations(now0+9*day))), []string{keyID(3), keyID(1)})
	l.ok(&SetEnabled{ref1(2), true})
	eq(t, "enabled again", len(slices.Collect(l.state().DueRotations(now0+9*day))), 3)
	for n := range 4 {
		l.ok(schedule(n, now0+int64(10+n%2)*day))
	}
	eq(t, "rotations pending deletion", len(slices.Collect(l.state().DueRotations(now0+99*day))), 0)
	eq(t, "due deletions", ids(slices.Collect(l.state().DueDeletions(now0+10*day))), []string{keyID(0), keyID(2)})
	eq(t, "just before", len(slices.Collect(l.state().DueDeletions(now0+10*day-1))), 0)
}

func TestDueExpiries(t *testing.T) {
	l := newRegion(t)
	put := func(n, m int, state MaterialState, at int64) {
		c := imported(ref1(n), m, state, true)
		c.Material.Expires, c.Material.ExpiresAt = at > 0, at
		l.ok(c)
	}
	for n := range 3 {
		l.ok(externalKey(account1, n))
	}
	put(0, 1, MaterialCurrent, now0+5*day)
	put(0, 2, MaterialPendingRotation, now0+1*day)
	put(1, 3, MaterialCurrent, now0+3*day)
	put(2, 4, MaterialCurrent, 0)
	due := func(before int64) (out []string) {
		for k, m := range l.state().DueExpiries(before) {
			out = append(out, fmt.Sprintf("%s %x", k.ID[len(k.ID)-1:], m.ID[:2]))
		}
		return out
	}
	name := func(n, m int) string { return fmt.Sprintf("%d %x", n, materialID(m)[:2]) }
	eq(t, "none", due(now0), nil)
	eq(t, "one", due(now0+1*day), []string{name(0, 2)})
	eq(t, "two", due(now0+4*day), []string{name(0, 2), name(1, 3)})
	eq(t, "all, ordered by the key's earliest", due(now0+9*day), []string{name(0, 1), name(0, 2), name(1, 3)})
	for k := range l.state().DueExpiries(now0 + 9*day) {
		eq(t, "first", k.ID, keyID(0))
		break
	}
}

func TestMaterialsUnder(t *testing.T) {
	l := newRegion(t)
	l.ok(&PutDomainKey{DomainKey{Version: 2, ID: "domain-2", Active: true}})
	for n := range 3 {
		l.ok(newKey(account1, n))
	}
	l.ok(changed(newKey(account1, 3), func(c *CreateKey) { c.Key.Materials[0].Domain = 2 }))
	l.ok(newKey(account2, 0))
	under := func(domain uint32, after KeyRef) (out []string) {
		for k, m := range l.state().MaterialsUnder(domain, after) {
			if m.Domain != domain {
				t.Errorf("material under %d", m.Domain)
			}
			out = append(out, k.Account[:1]+k.ID[len(k.ID)-1:])
		}
		return out
	}
	eq(t, "all", under(1, KeyRef{}), []string{"10", "11", "12", "40"})
	eq(t, "after", under(1, ref1(1)), []string{"12", "40"})
	eq(t, "version 2", under(2, KeyRef{}), []string{"13"})
	eq(t, "none", under(3, KeyRef{}), nil)
}
