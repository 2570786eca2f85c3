package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// follower is a node that takes part in nothing but what the test sends it as a leader.
type follower struct {
	*Node
	t    *testing.T
	send raft.Transport // guarded as a leader's is
	to   raft.ServerAddress
}

func newFollower(t *testing.T, clamp bool, options ...func(*Config)) *follower {
	t.Helper()
	_, ours := raft.NewInmemTransport("f")
	_, theirs := raft.NewInmemTransport("x")
	ours.Connect("x", theirs)
	theirs.Connect("f", ours)
	options = append([]func(*Config){func(c *Config) {
		c.ClusterID, c.NodeID = "c", "f"
		c.HeartbeatTimeout, c.ElectionTimeout = time.Minute, time.Minute
		c.Transport = func(Identity) (raft.Transport, error) { return ours, nil }
	}}, options...)
	return &follower{openNode(t, t.TempDir(), options...), t, newWire(theirs, newLifeline(nil), func() bool { return false }, clamp), "f"}
}

var leaderHeader = raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x")}

func groupOf(ids ...string) (c raft.Configuration) {
	for _, id := range ids {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	return c
}

// entries are commands from one index to another; the first entry of a log is its configuration.
func entries(t testing.TB, from, to, term uint64) (logs []*raft.Log) {
	t.Helper()
	for i := from; i <= to; i++ {
		l := &raft.Log{Index: i, Term: term, Type: raft.LogCommand}
		if i == 1 {
			l.Type, l.Data = raft.LogConfiguration, raft.EncodeConfiguration(groupOf("x", "f", "y"))
		} else {
			b, err := fsm.Encode(simCommand(fmt.Sprintf("%d-%d", term, i)))
			if err != nil {
				t.Fatal(err)
			}
			l.Data = b
		}
		logs = append(logs, l)
	}
	return logs
}

func (f *follower) append(term, prev, prevTerm, commit uint64, logs ...*raft.Log) {
	f.t.Helper()
	var out raft.AppendEntriesResponse
	err := f.send.AppendEntries("f", f.to, &raft.AppendEntriesRequest{RPCHeader: leaderHeader, Term: term,
		PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit, Entries: logs}, &out)
	if err != nil || !out.Success {
		f.t.Fatalf("append: %+v, %v", out, err)
	}
}

func (f *follower) pipeline(term, prev, prevTerm, commit uint64, logs ...*raft.Log) {
	f.t.Helper()
	p, err := f.send.AppendEntriesPipeline("f", f.to)
	if err != nil {
		f.t.Fatal(err)
	}
	defer p.Close()
	var out raft.AppendEntriesResponse
	if _, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: leaderHeader, Term: term,
		PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit, Entries: logs}, &out); err != nil {
		f.t.Fatal(err)
	}
	if r := <-p.Consumer(); r.Error() != nil || !r.Response().Success {
		f.t.Fatalf("append: %+v, %v", r.Response(), r.Error())
	}
}

func (f *follower) install(index uint64) error {
	f.t.Helper()
	m := newFSM(f.t)
	m.ApplyBatch(entries(f.t, 1, index, 2))
	var b bytes.Buffer
	if err := fsm.WriteSnapshot(&b, m.State()); err != nil {
		f.t.Fatal(err)
	}
	var out raft.InstallSnapshotResponse
	err := f.send.InstallSnapshot("f", f.to, &raft.InstallSnapshotRequest{RPCHeader: leaderHeader, SnapshotVersion: 1, Term: 5,
		LastLogIndex: index, LastLogTerm: 2, Configuration: raft.EncodeConfiguration(groupOf("x", "f", "y")), ConfigurationIndex: 1,
		Size: int64(b.Len())}, &out, &b)
	if err == nil && !out.Success {
		err = errors.New("no success")
	}
	return err
}

// A follower must not commit entries that the leader's request did not let it check, however high the leader's commit
// index is: it may hold a dead tail of its own.
func TestCommitIsClamped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		clamp bool
		send  func(f *follower, term, prev, prevTerm, commit uint64, logs ...*raft.Log)
		want  uint64
	}{
		{"call", true, (*follower).append, 8},
		{"pipeline", true, (*follower).pipeline, 8},
		{"planted: no clamp", false, (*follower).append, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFollower(t, tt.clamp)
			tt.send(f, 2, 0, 0, 5, entries(t, 1, 10, 2)...)
			tt.send(f, 3, 8, 2, 10) // the leader of term 3 knows 8 of them; its own 9 and 10 come later
			f.Wait(seconds(t, 10), tt.want)
			if got := f.raft.CommitIndex(); got != tt.want {
				t.Fatalf("committed up to %d, want %d", got, tt.want)
			}
		})
	}
}

func TestClampCopies(t *testing.T) {
	r := &raft.AppendEntriesRequest{PrevLogEntry: 4, Entries: entries(t, 5, 6, 1), LeaderCommitIndex: 9}
	if c := clampCommit(r); c.LeaderCommitIndex != 6 || r.LeaderCommitIndex != 9 || len(c.Entries) != 2 {
		t.Fatalf("clamped %d, original %d", c.LeaderCommitIndex, r.LeaderCommitIndex)
	}
	for _, commit := range []uint64{0, 5, 6} {
		r.LeaderCommitIndex = commit
		if c := clampCommit(r); c != r {
			t.Fatalf("copied although %d is in bounds", commit)
		}
	}
}

// stuckPipeline has no room and nobody who makes some.
type stuckPipeline struct {
	raft.AppendPipeline
	once   sync.Once
	closed chan struct{}
}

func (p *stuckPipeline) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	<-p.closed
	return nil, raft.ErrPipelineShutdown
}

func (p *stuckPipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func TestStuckPipelineIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := clampedPipeline{&stuckPipeline{closed: make(chan struct{})}, &wire{life: newLifeline(nil), stuck: func() bool { return false }, clamp: clampCommit}}
		start := time.Now()
		if _, err := p.AppendEntries(&raft.AppendEntriesRequest{}, nil); err == nil || time.Since(start) != pipelineStall {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
	})
}

// handlerTransport notices the heartbeat fast path.
type handlerTransport struct {
	*raft.InmemTransport
	handler func(raft.RPC)
}

func (h *handlerTransport) SetHeartbeatHandler(f func(raft.RPC)) { h.handler = f }

func TestNoHeartbeatFastPath(t *testing.T) {
	for _, planted := range []bool{false, true} {
		_, inner := raft.NewInmemTransport("a")
		h := &handlerTransport{InmemTransport: inner}
		n := bootstrap(t, t.TempDir(), func(c *Config) {
			c.Transport = func(Identity) (raft.Transport, error) { return h, nil }
			c.mutation.fastPath = planted
		})
		mustView(t, n)
		if got := h.handler != nil; got != planted {
			t.Fatalf("planted %v: the library got its heartbeat fast path, which writes the term beside the main loop: %v", planted, got)
		}
		if _, ok := newWire(h, n.life, n.stuck, true).(raft.WithPreVote); !ok {
			t.Fatal("the guard hides pre-votes")
		}
	}
}

// A late InstallSnapshot of the same term must change neither the state nor the last index that reads ask for.
func TestOlderSnapshotIsRefused(t *testing.T) {
	f := newFollower(t, true)
	if err := f.install(60); err != nil {
		t.Fatal(err)
	}
	check := func(want uint64) {
		t.Helper()
		last, err := f.lastIndex()
		if err != nil || last != want || f.State().Index() != want || f.raft.LastIndex() != want {
			t.Fatalf("last index %d (library %d), state at %d, want %d; %v", last, f.raft.LastIndex(), f.State().Index(), want, err)
		}
	}
	check(60)
	if err := f.install(30); err == nil {
		t.Fatal("an older snapshot was installed")
	}
	check(60)
	// The same one again is what a leader sends whose first answer was lost.
	if err := f.install(60); err != nil {
		t.Fatal(err)
	}
	check(60)
	// One that is newer than the last snapshot, but older than the state, is refused by the state machine.
	f.append(5, 60, 2, 70, entries(t, 61, 70, 5)...)
	f.Wait(seconds(t, 10), 70)
	if err := f.install(65); err == nil {
		t.Fatal("a snapshot older than the state was installed")
	}
	check(70)
}

// obedient is a state machine that restores any snapshot.
type obedient struct {
	t       testing.TB
	current atomic.Pointer[fsm.FSM]
}

func newObedient(t testing.TB) *obedient {
	o := &obedient{t: t}
	o.current.Store(newFSM(t))
	return o
}

func (o *obedient) Apply(l *raft.Log) any               { return o.current.Load().Apply(l) }
func (o *obedient) Snapshot() (raft.FSMSnapshot, error) { return o.current.Load().Snapshot() }
func (o *obedient) State() *fsm.State                   { return o.current.Load().State() }
func (o *obedient) StoreConfiguration(i uint64, c raft.Configuration) {
	o.current.Load().StoreConfiguration(i, c)
}
func (o *obedient) Wait(ctx context.Context, i uint64) (*fsm.State, error) {
	return o.current.Load().Wait(ctx, i)
}
func (o *obedient) Restore(r io.ReadCloser) error {
	next := newFSM(o.t)
	err := next.Restore(r)
	o.current.Store(next)
	return err
}

// What the two guards against a late InstallSnapshot are for: without them the library obeys, and the node forgets what it has
// acknowledged.
func TestWithoutGuardsAnOlderSnapshotIsObeyed(t *testing.T) {
	f := newFollower(t, true, func(cfg *Config) { cfg.FSM, cfg.mutation.anySnapshot = newObedient(t), true })
	for _, index := range []uint64{60, 30} {
		if err := f.install(index); err != nil {
			t.Fatal(err)
		}
	}
	if i := f.raft.LastIndex(); i != 30 || f.State().Index() != 30 {
		t.Errorf("the library's last index is %d, the state is at %d: it has been repaired, revisit snapshots.go", i, f.State().Index())
	}
}

func TestSinkBelowNewest(t *testing.T) {
	s := &snapshots{inner: newSimSnaps()}
	sink := func(index uint64) raft.SnapshotSink {
		k, err := s.Create(1, index, 2, groupOf("a"), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(k, "state")
		return k
	}
	local := sink(40) // a local snapshot under way while an install overtakes it
	if err := sink(60).Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the state machine closes, and the library closes again
		if err := local.Close(); !errors.Is(err, errOldSnapshot) {
			t.Fatalf("closed below the newest: %v", err)
		}
	}
	if err := sink(60).Close(); err != nil {
		t.Fatalf("an equal one: %v", err)
	}
	k := sink(70)
	if err := k.Cancel(); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatalf("close after cancel: %v", err)
	}
	if top, err := s.newest(); err != nil || top.Index != 60 || s.failed.Load() != 2 {
		t.Fatalf("newest %+v, failed %d, %v", top, s.failed.Load(), err)
	}
}

// An idle new leader must serve reads: its last entry is a no-op, which never reaches the state machine.
func TestIdleNewLeaderServes(t *testing.T) {
	for _, planted := range []bool{false, true} {
		t.Run(fmt.Sprintf("planted=%v", planted), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newSim(t, 1, 3, func(cfg *Config) { cfg.mutation.noTermStart = planted })
				c.boot(3)
				l := c.awaitLeader("")
				c.isolate(l.id)
				l = c.awaitLeader(l.id)
				time.Sleep(2 * time.Second) // idle
				_, err := c.read(l.up())
				if planted != (err != nil) {
					t.Errorf("read on an idle new leader: %v", err)
				}
				for _, e := range c.end() {
					t.Error(e)
				}
			})
		})
	}
}

func (c *sim) isolate(id string) { c.net.isolate(id) }

// TestDeadTail: a leader is cut off with writes of its own, and comes back while its successor's disk is slow. Without
// the clamp it commits and applies its own dead entries.
func TestDeadTail(t *testing.T) {
	run := func(t *testing.T, seed uint64, clamp bool) (diverged bool) {
		inBubble(t, func(t *testing.T) {
			c := newSim(t, seed, 3, func(cfg *Config) {
				cfg.mutation.noClamp = !clamp
				cfg.SnapshotThreshold = 1 << 30
			})
			c.net.timeout, c.net.base, c.net.jitter = 10*time.Millisecond, 100*time.Microsecond, 100*time.Microsecond
			c.pipe = true
			c.boot(3)
			old := c.awaitLeader("")
			for i := range 5 {
				c.propose(old.up(), fmt.Sprint("a", i), time.Second)
			}
			time.Sleep(100 * time.Millisecond)
			slow := 20*time.Millisecond + c.net.upTo(300*time.Millisecond)
			c.isolate(old.id)
			for _, id := range c.ids {
				if id != old.id {
					c.net.nodes[id].store.append.Store(int64(slow))
				}
			}
			for i := range 3 {
				c.wg.Go(func() { c.propose(old.up(), fmt.Sprint("dead", i), 300*time.Millisecond) })
			}
			next := c.nextLeader(old.id)
			for _, id := range c.ids {
				if id != next.id {
					c.net.nodes[id].store.append.Store(0)
				}
			}
			time.Sleep(slow - 2*time.Millisecond)
			next.store.append.Store(0) // for the writes after the one under way
			time.Sleep(2*time.Millisecond + c.net.upTo(40*time.Millisecond))
			c.net.heal() // while the successor backs off from the cut link
			time.Sleep(3 * time.Second)
			diverged = c.failed()
			c.end()
		})
		return diverged
	}
	const runs = 40
	for seed := range uint64(runs) {
		if run(t, seed, true) {
			t.Fatalf("seed %d: diverged with the clamp", seed)
		}
	}
	for seed := range uint64(3 * runs) {
		if run(t, seed, false) {
			t.Logf("without the clamp: diverged with seed %d", seed)
			return
		}
	}
	t.Fatal("planted: without the clamp nothing diverged; the test would not notice that it is gone")
}

// nextLeader waits for another leader, whether or not it has opened its term.
func (c *sim) nextLeader(not string) *simNode {
	for range 10_000 {
		if l := c.leader(); l != nil && l.id != not {
			return l
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatal("no other leader in 10 s")
	return nil
}

// verifyRead is a read by raft.VerifyLeader with every precaution: it is the planted fault of TestDeposedLeader.
func verifyRead(ctx context.Context, n *Node) (*fsm.State, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ReadTimeout)
	defer cancel()
	term, commit := n.raft.CurrentTerm(), n.raft.CommitIndex()
	if n.raft.State() != raft.Leader {
		return nil, ErrNoQuorum
	}
	if err := n.await(ctx, futureFunc(func() error { return n.raft.VerifyLeader().Error() })); err != nil {
		return nil, ErrNoQuorum
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return nil, ErrNoQuorum
	}
	return n.fsm.Wait(ctx, commit)
}

// TestDeposedLeader: a leader's disk stalls, it is cut off while answers to it are on their way, others elect and write,
// and the answers arrive late. A read by VerifyLeader believes them; a quorum round does not.
func TestDeposedLeader(t *testing.T) {
	run := func(t *testing.T, seed uint64, read func(context.Context, *Node) (*fsm.State, error)) (served, stale int64) {
		inBubble(t, func(t *testing.T) {
			c := newSim(t, seed, 3, func(cfg *Config) {
				cfg.mutation.read = read
				// The leader itself notices nothing for long.
				cfg.LeaseTimeout, cfg.HeartbeatTimeout, cfg.ElectionTimeout = 150*time.Millisecond, 150*time.Millisecond, 150*time.Millisecond
			})
			c.calm = true
			c.boot(3)
			c.chaos(seed, 15*time.Second, false)
			for _, e := range c.end() {
				t.Error(e)
			}
			served, stale = c.tally.served.Load(), c.tally.stale.Load()
		})
		return served, stale
	}
	var all int64
	for seed := range seeds(2) {
		served, stale := run(t, seed, nil)
		if all += served; stale > 0 {
			t.Fatalf("seed %d: %d stale quorum reads", seed, stale)
		}
	}
	var vall int64
	for seed := range uint64(20) {
		served, stale := run(t, seed, verifyRead)
		if vall += served; stale > 0 {
			t.Logf("quorum rounds: 0 of %d stale; VerifyLeader: %d of %d", all, stale, vall)
			return
		}
	}
	t.Fatalf("planted: VerifyLeader gave none of %d reads stale; the simulation would not notice it", vall)
}
