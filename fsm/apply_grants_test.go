package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

const (
	userA = "arn:aws:iam::111122223333:user/a"
	userB = "arn:aws:iam::111122223333:user/b"
)

// newGrant is an unnamed grant of Decrypt on key n for userA.
func newGrant(n, id int, change ...func(*Grant)) *CreateGrant {
	g := Grant{
		ID: grantID(id), Account: account1, KeyID: keyID(n), Grantee: GrantPrincipal{ARN: userA}, Operations: GrantDecrypt,
		IssuingAccount: account2,
	}
	for _, f := range change {
		f(&g)
	}
	return &CreateGrant{g}
}

func named(g *Grant)         { g.Name = "name" }
func retiredBy(g *Grant)     { g.Retiring = &GrantPrincipal{ARN: userB} }
func forContext(g *Grant)    { g.Constraint = &GrantConstraint{ConstraintSubset, []Pair{{"k", "v"}}} }
func fromGrant(g *Grant)     { g.Parent = grantID(99) }
func boundTo(g *Grant)       { g.Grantee.UniqueID = "AIDA1" }
func mayEncrypt(g *Grant)    { g.Operations |= GrantEncrypt }
func claimsToBeOld(g *Grant) { g.CreatedAt, g.Version = 1, 1 }

func TestApplyGrants(t *testing.T) {
	key := []Body{newKey(account1, 1)}
	with := func(more ...Body) []Body { return append(slices.Clone(key), more...) }
	const taken, same, full, gone = "the grant id is taken", "the same grant exists", "the key's grants are at the quota", "the grant does not exist"
	one := quotas(func(q *Quotas) { q.GrantsPerKey = 1 })
	managed := changed(newKey(account1, 1), func(c *CreateKey) { c.Key.Manager = "AWS" })
	runApply(t, []applyCase{
		{name: "adds", setup: key, body: newGrant(1, 1, named, retiredBy, forContext, fromGrant, claimsToBeOld), time: now0 + 9, after: func(t *testing.T, l *lab) {
			want := newGrant(1, 1, named, retiredBy, forContext, fromGrant).Grant
			want.CreatedAt, want.Version = now0+9, l.index
			eq(t, "grant", *l.state().Grant(grantID(1)), want)
			k := l.key(account1, keyID(1))
			eq(t, "grants", k.GrantCount, 1)
			eq(t, "versions", []uint64{k.Version, k.PolicyVersion}, []uint64{l.index - 1, l.index - 1})
			r, _ := l.state().Remembered(commandID(int(l.index)))
			eq(t, "objects", r.Objects, []string{grantID(1)})
			eq(t, "events", l.events, nil)
		}},
		{name: "as often as it is asked for without a name", setup: with(newGrant(1, 1)), body: newGrant(1, 2)},
		{name: "id taken", setup: with(newKey(account1, 2), newGrant(2, 1)), body: newGrant(1, 1), code: Stale, detail: taken},
		{name: "same again", setup: with(newGrant(1, 1, named, retiredBy, forContext)), body: newGrant(1, 2, named, retiredBy, forContext), code: Stale, detail: same},
		{name: "same for whoever asks and by whatever right", setup: with(newGrant(1, 1, named)),
			body: newGrant(1, 2, named, fromGrant, func(g *Grant) { g.IssuingAccount = account1 }), code: Stale, detail: same},
		{name: "same principal by its id", setup: with(newGrant(1, 1, named, boundTo)),
			body: newGrant(1, 2, named, boundTo, func(g *Grant) { g.Grantee.ARN = userB }), code: Stale, detail: same},
		{name: "other operations", setup: with(newGrant(1, 1, named)), body: newGrant(1, 2, named, mayEncrypt)},
		{name: "other constraint", setup: with(newGrant(1, 1, named)), body: newGrant(1, 2, named, forContext)},
		{name: "other type of constraint", setup: with(newGrant(1, 1, named, forContext)),
			body: newGrant(1, 2, named, forContext, func(g *Grant) { g.Constraint.Type = ConstraintEquals })},
		{name: "other grantee", setup: with(newGrant(1, 1, named)), body: newGrant(1, 2, named, boundTo)},
		{name: "other retiring principal", setup: with(newGrant(1, 1, named)), body: newGrant(1, 2, named, retiredBy)},
		{name: "other name", setup: with(newGrant(1, 1, named)), body: newGrant(1, 2, func(g *Grant) { g.Name = "nam" })},
		{name: "same on another key", setup: with(newKey(account1, 2), newGrant(2, 1, named)), body: newGrant(1, 2, named)},
		{name: "quota", setup: with(one, newGrant(1, 1)), body: newGrant(1, 2), code: Stale, detail: full},
		{name: "quota is the key's", setup: with(one, newKey(account1, 2), newGrant(2, 1)), body: newGrant(1, 2)},
		{name: "quota ends with the grant", setup: with(one, newGrant(1, 1), &DeleteGrant{ref1(1), grantID(1), GrantRevoked}), body: newGrant(1, 2)},
		{name: "no quota on AWS managed keys", setup: []Body{managed, one, newGrant(1, 1)}, body: newGrant(1, 2)},
		{name: "disabled", setup: with(&SetEnabled{ref1(1), false}), body: newGrant(1, 1), code: Stale, detail: disabled},
		{name: "pending deletion", setup: with(schedule(1, now0+7*day)), body: newGrant(1, 1), code: Stale, detail: pending},
		{name: "pending import", setup: []Body{externalKey(account1, 1)}, body: newGrant(1, 1), code: Stale, detail: notImported},
		{name: "absent", body: newGrant(1, 1), code: Conflict, detail: absent},

		{name: "removes in every state", setup: with(newGrant(1, 1, named, retiredBy), newGrant(1, 2), schedule(1, now0+7*day)),
			body: &DeleteGrant{ref1(1), grantID(1), GrantRetired}, after: func(t *testing.T, l *lab) {
				eq(t, "grant", l.state().Grant(grantID(1)), nil)
				eq(t, "grants", l.key(account1, keyID(1)).GrantCount, 1)
				eq(t, "same", l.state().SameGrant(&newGrant(1, 1, named, retiredBy).Grant), nil)
			}},
		{name: "twice", setup: with(newGrant(1, 1), &DeleteGrant{ref1(1), grantID(1), GrantRetired}),
			body: &DeleteGrant{ref1(1), grantID(1), GrantRevoked}, code: Conflict, detail: gone},
		{name: "of another key", setup: with(newKey(account1, 2), newGrant(2, 1)), body: &DeleteGrant{ref1(1), grantID(1), GrantRevoked}, code: Conflict, detail: gone},
		{name: "of a key of the same id in another account", setup: with(newKey(account2, 1), newGrant(1, 1)),
			body: &DeleteGrant{KeyRef{account2, keyID(1)}, grantID(1), GrantRevoked}, code: Conflict, detail: gone},
		{name: "absent key", body: &DeleteGrant{ref1(1), grantID(1), GrantRevoked}, code: Conflict, detail: absent},

		{name: "nothing left", setup: with(newGrant(1, 1)), body: &PurgeGrants{ref1(1)}, code: Conflict, detail: "no grants of a deleted key are left"},
	})
}

// TestGrantReads: a decision that rested on a grant is refused once the grant is gone, and by nothing else.
func TestGrantReads(t *testing.T) {
	l := newRegion(t)
	l.ok(newKey(account1, 1))
	l.ok(newGrant(1, 1))
	read := Read{Doc: DocGrant, Name: grantID(1)}
	read.Version = l.state().Version(read)
	decided := func(want Code) {
		t.Helper()
		c := l.command(newGrant(1, int(l.index)+100))
		c.Reads = []Read{read}
		if r := l.apply(c); r.Code != want {
			t.Errorf("%+v, want code %d", r, want)
		}
	}
	eq(t, "version", read.Version, l.index)
	decided(OK)
	l.ok(&PutKeyPolicy{Key: ref1(1), Policy: "{}"})
	decided(OK)
	l.ok(&DeleteGrant{ref1(1), grantID(1), GrantRevoked})
	decided(Stale)
}

// batch applies bodies as entries of one batch, in which all must take effect.
func (l *lab) batch(bodies ...Body) {
	l.t.Helper()
	var entries []*raft.Log
	for _, b := range bodies {
		c := l.command(b)
		c.Audit = nil
		entries = append(entries, l.entry(c))
	}
	l.log = append(l.log, entries...)
	for i, r := range l.fsm.ApplyBatch(entries) {
		if res, ok := r.(Result); !ok || res.Code != OK {
			l.t.Fatalf("%T: %+v", bodies[i], r)
		}
	}
}

// TestGrantsOfADeletedKey: no command removes more than PurgeBatch grants; what is left is nobody's, and in the way of a
// key with the same id until it is gone.
func TestGrantsOfADeletedKey(t *testing.T) {
	const grants = 2*PurgeBatch + 200
	at := now0 + day
	l := newRegion(t)
	l.ok(newKey(account1, 1))
	l.ok(newKey(account1, 2))
	l.ok(newGrant(2, grants+1, retiredBy))
	var bodies []Body
	for i := range grants {
		bodies = append(bodies, newGrant(1, i, retiredBy))
	}
	l.batch(bodies...)
	l.ok(schedule(1, at))
	if r := l.do(&DeleteKey{ref1(1), at}, at); r.Code != OK {
		t.Fatalf("%+v", r)
	}
	remain := func() (n int) {
		checkInvariants(t, l.state())
		for r := range l.state().Remains() {
			n += r.Grants
		}
		return n
	}
	for want := grants - PurgeBatch; want > 0; want -= PurgeBatch {
		eq(t, "remaining grants", remain(), want)
		eq(t, "grants of the key", len(slices.Collect(l.state().GrantsOf(ref1(1), 0))), 0)
		eq(t, "grants for the grantee", len(slices.Collect(l.state().GrantsOfGrantee(ref1(1), userA, ""))), 0)
		eq(t, "retirable grants", len(slices.Collect(l.state().GrantsRetiredBy(userB, 0))), 1)
		eq(t, "a grant", l.state().Grant(grantID(grants-1)), nil)
		l.refused(newKey(account1, 1), at, Stale, "grants of a deleted key with this id are still being removed")
		throughSnapshot(t, 1, l, snapshotOf(t, l.state()))
		l.ok(&PurgeGrants{ref1(1)})
	}
	eq(t, "remaining grants", remain(), 0)
	l.ok(newKey(account1, 1))
	eq(t, "grants of the new key", l.key(account1, keyID(1)).GrantCount, 0)
	again := newLab(t)
	again.fsm.ApplyBatch(l.log)
	if !bytes.Equal(snapshotOf(t, again.state()), snapshotOf(t, l.state())) {
		t.Error("one batch gives another state")
	}
}

// TestGrantLookup compares GrantsTo with what the grants say.
func TestGrantLookup(t *testing.T) {
	l := newRegion(t)
	l.ok(newKey(account1, 1))
	l.ok(newKey(account1, 2))
	pairs := func(p ...string) (out []Pair) {
		for i := 0; i < len(p); i += 2 {
			out = append(out, Pair{p[i], p[i+1]})
		}
		return out
	}
	constraints := []*GrantConstraint{
		nil, {ConstraintSubset, pairs("a", "1")}, {ConstraintSubset, pairs("b", "1")}, {ConstraintSubset, pairs("a", "1", "b", "1")},
		{ConstraintEquals, pairs("a", "1")}, {ConstraintEquals, pairs("a", "1", "b", "1")},
	}
	n := 0
	for _, c := range constraints {
		for _, ops := range []GrantOps{GrantDecrypt, GrantDecrypt | GrantEncrypt, GrantEncrypt, GrantDescribeKey, allGrantOps} {
			for _, grantee := range []string{userA, userB, userA + "a"} {
				n++
				l.ok(newGrant(1, n, func(g *Grant) { g.Constraint, g.Operations, g.Grantee.ARN = c, ops, grantee }))
			}
		}
	}
	l.ok(newGrant(2, n+1, func(g *Grant) { g.Operations = allGrantOps }))
	s := l.state()
	for _, context := range []pairList{nil, pairs("a", "1"), pairs("b", "1"), pairs("a", "1", "b", "1"), pairs("a", "1", "b", "1", "c", "1"), pairs("a", "2", "b", "1")} {
		for _, op := range []GrantOps{GrantDecrypt, GrantEncrypt, GrantDescribeKey, GrantSign, GrantDeriveSharedSecret} {
			for _, grantee := range []string{userA, userB, userA + "a", "arn"} {
				for _, any := range []bool{false, true} {
					var asked Pairs = context
					if any {
						asked = nil
					}
					want, got := 0, 0
					for g := range s.GrantsOf(ref1(1), 0) {
						if g.Grantee.ARN == grantee && g.Operations&op != 0 && (any || g.Constraint.holds(context)) {
							want++
						}
					}
					for g := range s.GrantsTo(ref1(1), grantee, op, asked) {
						if g.Grantee.ARN != grantee || g.Operations&op == 0 {
							t.Fatalf("%+v covers no %d by %s", g, op, grantee)
						}
						if any || g.Constraint.holds(context) {
							got++
						}
					}
					if got != want {
						t.Errorf("%d grants of %d for %s in %v (any: %v), want %d", got, op, grantee, context, any, want)
					}
				}
			}
		}
	}
	for range s.GrantsTo(ref1(1), userA, GrantDecrypt, nil) {
		break
	}
}

// holds is the rule of spec 04 GR-12, the slow way.
func (c *GrantConstraint) holds(context []Pair) bool {
	if c == nil {
		return true
	}
	for _, p := range c.Pairs {
		if !slices.Contains(context, p) {
			return false
		}
	}
	return c.Type == ConstraintSubset || len(context) == len(c.Pairs)
}

// TestGrantPaging: a page can begin after every grant, also after one that is gone.
func TestGrantPaging(t *testing.T) {
	l := newRegion(t)
	l.ok(newKey(account1, 1))
	l.ok(newKey(account2, 1))
	for i := range 20 {
		l.ok(newGrant(1, i, retiredBy, func(g *Grant) {
			g.Account, g.Operations = []string{account1, account2}[i%2], GrantOps(1+i%3)
			if i%5 == 0 {
				g.Grantee.ARN = userB
			}
		}))
	}
	s := l.state()
	all := slices.Collect(s.GrantsOf(ref1(1), 0))
	retirable := slices.Collect(s.GrantsRetiredBy(userB, 0))
	mine := slices.Collect(s.GrantsOfGrantee(ref1(1), userA, ""))
	if len(all) != 10 || len(retirable) != 20 || len(mine) != 8 {
		t.Fatalf("%d grants, %d retirable, %d of the grantee", len(all), len(retirable), len(mine))
	}
	l.ok(&DeleteGrant{ref1(1), all[3].ID, GrantRevoked})
	l.ok(&DeleteGrant{ref1(1), mine[5].ID, GrantRevoked})
	s = l.state()
	still := func(grants []*Grant) []string {
		var ids []string
		for _, g := range grants {
			if s.Grant(g.ID) != nil {
				ids = append(ids, g.ID)
			}
		}
		return ids
	}
	for i := range all {
		eq(t, fmt.Sprint("grants after ", i), still(slices.Collect(s.GrantsOf(ref1(1), all[i].Version))), still(all[i+1:]))
	}
	for i := range retirable {
		eq(t, fmt.Sprint("retirable after ", i), still(slices.Collect(s.GrantsRetiredBy(userB, retirable[i].Version))), still(retirable[i+1:]))
	}
	for i := range mine {
		eq(t, fmt.Sprint("of the grantee after ", i), still(slices.Collect(s.GrantsOfGrantee(ref1(1), userA, mine[i].Place()))), still(mine[i+1:]))
	}
}

func TestCreateGrantChecks(t *testing.T) {
	for name, change := range map[string]func(*Grant){
		"id":                 func(g *Grant) { g.ID = grantID(1)[1:] },
		"id in upper case":   func(g *Grant) { g.ID = "A" + grantID(1)[1:] },
		"no operations":      func(g *Grant) { g.Operations = 0 },
		"unknown operation":  func(g *Grant) { g.Operations = allGrantOps + 1 },
		"no grantee":         func(g *Grant) { g.Grantee.ARN = "" },
		"NUL in an id":       func(g *Grant) { g.Grantee.UniqueID = "a\x00b" },
		"NUL in an ARN":      func(g *Grant) { g.Retiring = &GrantPrincipal{ARN: "a\x00"} },
		"empty retiring":     func(g *Grant) { g.Retiring = &GrantPrincipal{} },
		"name":               func(g *Grant) { g.Name = "a b" },
		"parent":             func(g *Grant) { g.Parent = "x" },
		"account":            func(g *Grant) { g.Account = "1" },
		"issuer":             func(g *Grant) { g.IssuingAccount = "" },
		"constraint type":    func(g *Grant) { g.Constraint = &GrantConstraint{0, []Pair{{"a", "b"}}} },
		"no pairs":           func(g *Grant) { g.Constraint = &GrantConstraint{ConstraintSubset, nil} },
		"too many pairs":     func(g *Grant) { g.Constraint = &GrantConstraint{ConstraintSubset, make([]Pair, maxPairs+1)} },
		"pairs out of order": func(g *Grant) { g.Constraint = &GrantConstraint{ConstraintSubset, []Pair{{"b", ""}, {"a", ""}}} },
		"pair twice":         func(g *Grant) { g.Constraint = &GrantConstraint{ConstraintSubset, []Pair{{"a", "1"}, {"a", "2"}}} },
		"long key": func(g *Grant) {
			g.Constraint = &GrantConstraint{ConstraintEquals, []Pair{{string(make([]byte, maxPairKey+1)), ""}}}
		},
	} {
		if _, err := Encode(Command{Body: newGrant(1, 1, change)}); err == nil {
			t.Errorf("%s: can be proposed", name)
		}
	}
	if _, err := Encode(Command{Body: &DeleteGrant{ref1(1), grantID(1), 3}}); err == nil {
		t.Error("a grant can end in an unknown way")
	}
}
