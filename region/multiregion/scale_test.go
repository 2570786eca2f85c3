package multiregion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

// scaleLab is a region with many keys that it shares with another one, which has the same ones and is its twin. It is Cluster and link.Link
// of its engine: what it asks, the twin's engine answers.
type scaleLab struct {
	tb    testing.TB
	name  string
	fsm   *fsm.FSM
	mu    sync.Mutex
	index uint64 // guarded by mu
	twin  *Engine
	// sent and received count the bytes of calls.
	calls, sent, received int
}

const regionThere = "us-east-1"

// newScaleLab makes a region that has learned of n keys of another one.
func newScaleLab(tb testing.TB, name, other string, n int) *scaleLab {
	tb.Helper()
	l := &scaleLab{tb: tb, name: name}
	var err error
	if l.fsm, err = fsm.New(fsm.Options{Fatal: func(err error) { tb.Error(err) }}); err != nil {
		tb.Fatal(err)
	}
	at := int64(1_700_000_000_000)
	quotas := fsm.DefaultQuotas()
	quotas.KeysPerAccount = 1_000_000
	l.propose(&fsm.InitRegion{
		Region: fsm.Region{ClusterID: "c", Name: name, Partition: "aws", CreatedAt: at}, Quotas: quotas,
		Account:   fsm.Account{ID: account, CreatedAt: at},
		AccessKey: fsm.AccessKey{ID: "AKIAROOT", Account: account, Principal: "root", Domain: 1, Secret: []byte("s"), Active: true, CreatedAt: at},
		DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1", CreatedAt: at, Probe: []byte("p")},
	})
	l.propose(&fsm.PutOtherRegion{Region: fsm.OtherRegion{
		Name: other, ClusterID: "d", Incarnation: l.State().Region().Incarnation(), CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: fsm.RegionFederated,
	}})
	const primary = "ap-southeast-2" // elsewhere, so that nothing is owed to the keys
	l.propose(&fsm.PutOtherRegion{Region: fsm.OtherRegion{
		Name: primary, ClusterID: "e", Incarnation: 1, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: fsm.RegionFederated,
	}})
	for first := 0; first < n; first += fsm.MaxSyncKeys {
		body := &fsm.SyncKeys{Region: primary, Incarnation: 1}
		for i := first; i < min(n, first+fsm.MaxSyncKeys); i++ {
			d := fsm.KeyDoc{
				Account: account, ID: fmt.Sprintf("mrk-%032x", i), Version: fsm.SetVersion{Term: 1, Index: 4}, Primary: primary, Spec: "SYMMETRIC_DEFAULT",
				Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS",
				Materials: []fsm.Material{{ID: []byte{1}, State: fsm.MaterialCurrent, Domain: 1, Blob: make([]byte, 80)}},
			}
			for since, region := range []string{primary, "eu-west-1", "us-east-1"} {
				m := fsm.Member{Region: region, Since: uint64(since + 1)}
				if region == name {
					m.New = &fsm.NewReplica{Policy: "{}"}
				}
				d.Members = append(d.Members, m)
			}
			body.Docs = append(body.Docs, d)
		}
		l.propose(body)
		for i := range body.Docs { // the primary has learned that the replica is there
			d := &body.Docs[i]
			d.Version.Index++
			for j := range d.Members {
				d.Members[j].New = nil
			}
		}
		l.propose(body)
	}
	return l
}

func (l *scaleLab) propose(body fsm.Body) {
	l.tb.Helper()
	if res, err := l.Propose(l.tb.Context(), command(l.State(), body)); err != nil || res.Code != fsm.OK {
		l.tb.Fatalf("%T: %+v, %v", body, res, err)
	}
}

func (l *scaleLab) View(context.Context) (*fsm.State, error) { return l.fsm.State(), nil }
func (l *scaleLab) State() *fsm.State                        { return l.fsm.State() }
func (l *scaleLab) Now() time.Time                           { return time.UnixMilli(1_700_000_000_000) }
func (l *scaleLab) SetDigest([]byte)                         {}
func (l *scaleLab) Peers() []link.Peer                       { return nil }

func (l *scaleLab) Propose(_ context.Context, cmd fsm.Command) (fsm.Result, error) {
	b, err := fsm.Encode(cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	res, ok := l.fsm.Apply(&raft.Log{Index: l.index, Type: raft.LogCommand, Data: b}).(fsm.Result)
	if !ok {
		return fsm.Result{}, errors.New("not applied")
	}
	return res, nil
}

func (l *scaleLab) Call(ctx context.Context, _ string, b []byte) ([]byte, error) {
	a, err := l.twin.Serve(ctx, l.name, b)
	l.calls, l.sent, l.received = l.calls+1, l.sent+len(b), l.received+len(a)
	return a, err
}

// newTwins are the engines of two regions that share n keys and know the same of them.
func newTwins(tb testing.TB, n int) (*scaleLab, *Engine) {
	tb.Helper()
	here, there := newScaleLab(tb, "eu-west-1", regionThere, n), newScaleLab(tb, regionThere, "eu-west-1", n)
	e, twin := New(Config{Cluster: here, Link: here}), New(Config{Cluster: there, Link: there})
	here.twin, there.twin = twin, e
	return here, e
}

// round does something once and returns the calls and bytes that it takes.
func (l *scaleLab) round(do func() error) (calls, bytes int) {
	l.tb.Helper()
	l.calls, l.sent, l.received = 0, 0, 0
	if err := do(); err != nil {
		l.tb.Fatal(err)
	}
	return l.calls, l.sent + l.received
}

// TestRoundsDoNotGrow: what an idle round and a comparison send, and what a leader does 20 times a second, does not depend on how many keys
// there are.
func TestRoundsDoNotGrow(t *testing.T) {
	type cost struct {
		calls, idle, compare, watch, tend int
	}
	var small cost
	for _, n := range []int{200, 3000} {
		l, e := newTwins(t, n)
		ctx := t.Context()
		var c cost
		c.calls, c.compare = l.round(func() error { return e.Pull(ctx, regionThere, true) })
		if calls, bytes := l.round(func() error { return e.Pull(ctx, regionThere, false) }); calls != 1 || bytes > 200 {
			t.Errorf("%d keys: an idle round takes %d calls and %d bytes", n, calls, bytes)
		} else {
			c.idle = bytes
		}
		if c.calls != 1 || c.compare > bucketCount*9+200 {
			t.Errorf("%d keys: a comparison takes %d calls and %d bytes", n, c.calls, c.compare)
		}
		e.lead(l.State(), time.Now())
		c.watch = int(testing.AllocsPerRun(20, func() { e.watch(l.State()); e.Status() }))
		seen := &tended{asked: map[string]fsm.KeyRef{}}
		tend := func() {
			if err := e.tend(ctx, seen, false, true); err != nil {
				t.Fatal(err)
			}
		}
		tend() // the first one looks at every key
		c.tend = int(testing.AllocsPerRun(20, tend))
		if n == 200 {
			small = c
			continue
		}
		near := func(a, b int) bool { return a-b < 40 && b-a < 40 } // numbers get longer
		if !near(c.idle, small.idle) || !near(c.watch, small.watch) || !near(c.tend, small.tend) {
			t.Errorf("bytes and allocations for 200 keys: %+v; for %d: %+v", small, n, c)
		}
	}
}

// BenchmarkScale measures what 100,000 shared keys cost a leader.
func BenchmarkScale(b *testing.B) {
	l, e := newTwins(b, 100_000)
	ctx := b.Context()
	round := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			l.tb = b
			b.ReportAllocs()
			for b.Loop() {
				_, bytes := l.round(do)
				b.ReportMetric(float64(bytes), "wire-B/op")
			}
		})
	}
	round("comparison", func() error { return e.Pull(ctx, regionThere, true) })
	round("idle round", func() error { return e.Pull(ctx, regionThere, false) })
	e.lead(l.State(), time.Now())
	round("look", func() error { e.watch(l.State()); return nil })
	round("status", func() error { e.Status(); return nil })
	seen := &tended{asked: map[string]fsm.KeyRef{}}
	round("tend all", func() error { return e.tend(ctx, seen, true, false) })
	round("tend", func() error { return e.tend(ctx, seen, false, true) })
}

// TestComparisonTellsLives: whatever differs, or nothing, the answer says in which lives the region knows the others.
func TestComparisonTellsLives(t *testing.T) {
	l := newScaleLab(t, "eu-west-1", regionThere, 1)
	st := l.State()
	same := digest(st, regionThere)
	for name, buckets := range map[string][]uint64{"nothing differs": same, "all differs": make([]uint64, len(same))} {
		if a := compareAnswer(st, regionThere, &request{Buckets: buckets}); !slices.Equal(a.Lives, st.Lives()) || len(a.Lives) != 2 {
			t.Errorf("%s: lives %v", name, a.Lives)
		}
	}
}

// TestEveryKeyIsAskedFor: keys that wait for ever are not in the way of others, however many there are.
func TestEveryKeyIsAskedFor(t *testing.T) {
	var all []fsm.KeyRef
	for i := range 3*maxWanted + 5 {
		all = append(all, fsm.KeyRef{Account: account, ID: fmt.Sprintf("mrk-%04d", i)})
	}
	asked, last := map[fsm.KeyRef]int{}, fsm.KeyRef{}
	for range 4 {
		q := &queue{}
		for _, ref := range all {
			q.add(ref, last)
		}
		refs := q.refs()
		if len(refs) > maxWanted {
			t.Fatalf("%d keys at once", len(refs))
		}
		for _, ref := range refs {
			asked[ref]++
		}
		last = refs[len(refs)-1]
	}
	for _, ref := range all {
		if asked[ref] == 0 || asked[ref] > 2 {
			t.Errorf("%s was asked for %d times", ref.ID, asked[ref])
		}
	}
}
