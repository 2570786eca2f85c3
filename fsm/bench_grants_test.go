package fsm

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hashicorp/raft"
)

// withGrants makes a key with n grants. spread tells how they differ: "grantee" gives each a grantee of its own,
// "context" gives all to one grantee, each for another encryption context.
func withGrants(b testing.TB, n int, spread string) *lab {
	l := newRegion(b)
	l.ok(newKey(account1, 1))
	const batch = 500
	for i := 0; i < n; i += batch {
		var entries []*raft.Log
		for j := i; j < min(i+batch, n); j++ {
			c := l.command(newGrant(1, j, retiredBy, func(g *Grant) {
				if spread == "grantee" {
					g.Grantee.ARN = userNumber(j)
				} else {
					g.Constraint = &GrantConstraint{ConstraintSubset, volume(j)}
				}
			}))
			c.Audit = nil
			entries = append(entries, l.entry(c))
		}
		l.fsm.ApplyBatch(entries)
	}
	if k := l.key(account1, keyID(1)); k.GrantCount != n {
		b.Fatalf("%d grants", k.GrantCount)
	}
	return l
}

func userNumber(n int) string { return fmt.Sprintf("arn:aws:iam::111122223333:user/u%d", n) }
func volume(n int) pairList   { return pairList{{"aws:ebs:id", fmt.Sprintf("vol-%017d", n)}} }
func some(s *State, grantee string, op GrantOps, context Pairs) (n int) {
	for range s.GrantsTo(ref1(1), grantee, op, context) {
		n++
	}
	return n
}

// BenchmarkGrantLookup: 50,000 grants on a key cost a lookup what 10 do (spec 09 section 9, 11).
func BenchmarkGrantLookup(b *testing.B) {
	for _, n := range []int{10, 50_000} {
		for _, spread := range []string{"grantee", "context"} {
			s := withGrants(b, n, spread).state()
			grantee, context := userA, volume(n/2)
			if spread == "grantee" {
				grantee = userNumber(n / 2)
			}
			for _, c := range []struct {
				name    string
				op      GrantOps
				context Pairs
				want    int
			}{
				{"granted", GrantDecrypt, context, 1},
				{"other operation", GrantEncrypt, context, 0},
				{"DescribeKey", GrantDescribeKey, nil, 0},
			} {
				b.Run(fmt.Sprintf("%s/%s/grants=%d", spread, c.name, n), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if got := some(s, grantee, c.op, c.context); got != c.want {
							b.Fatalf("%d grants", got)
						}
					}
				})
			}
			b.Run(fmt.Sprintf("%s/stranger/grants=%d", spread, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if some(s, userB, GrantDecrypt, context) != 0 {
						b.Fatal("a stranger has a grant")
					}
				}
			})
		}
	}
}

// TestGrantLookupLooksAtFewRows is what the benchmark shows, as a count: a lookup among thousands of grants of one
// grantee allocates what it does among ten, give or take the depth of the tree.
func TestGrantLookupLooksAtFewRows(t *testing.T) {
	few, many := withGrants(t, 10, "context").state(), withGrants(t, 5000, "context").state()
	context := append(volume(5), Pair{"zone", "a"})
	allocations := func(s *State) float64 {
		return testing.AllocsPerRun(10, func() {
			if n := some(s, userA, GrantDecrypt, context); n != 1 {
				t.Fatalf("%d grants", n)
			}
		})
	}
	if a, b := allocations(few), allocations(many); b > 2*a {
		t.Errorf("%v allocations among 10 grants, %v among 5000", a, b)
	}
}

func BenchmarkApplyCreateGrant(b *testing.B) {
	l := newRegion(b)
	l.ok(quotas(func(q *Quotas) { q.GrantsPerKey = 1 << 29 }))
	l.ok(newKey(account1, 1))
	entries := make([]*raft.Log, b.N)
	for i := range entries {
		entries[i] = l.entry(l.command(newGrant(1, i, named, retiredBy, func(g *Grant) { g.Constraint = &GrantConstraint{ConstraintSubset, volume(i)} })))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < len(entries); i += 64 {
		l.fsm.ApplyBatch(entries[i:min(i+64, len(entries))])
	}
}

// BenchmarkDeleteKeyWithGrants is the longest entry that the end of a key with many grants puts into the log.
func BenchmarkDeleteKeyWithGrants(b *testing.B) {
	at := now0 + day
	for b.Loop() {
		b.StopTimer()
		l := withGrants(b, 3*PurgeBatch, "context")
		l.ok(schedule(1, at))
		b.StartTimer()
		if r := l.do(&DeleteKey{ref1(1), at}, at); r.Code != OK {
			b.Fatalf("%+v", r)
		}
	}
}

// TestBytesPerGrant measures what a grant costs in memory all in.
func TestBytesPerGrant(t *testing.T) {
	const grants, limit = 20_000, 4000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := withGrants(t, grants, "context")
	perGrant := (heap() - before) / grants
	t.Logf("%d bytes per grant applied, %d in the snapshot", perGrant, len(snapshotOf(t, l.state()))/grants)
	if perGrant > limit {
		t.Errorf("a grant takes %d bytes, at most %d are wanted", perGrant, limit)
	}
	runtime.KeepAlive(l)
}
