package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// sim is a group of nodes in virtual time. It knows every acknowledgement, and compares every read with all that were
// given before the read began, and every node's state with that of the others at the same index.
type sim struct {
	t    testing.TB
	net  *simNet
	ids  []string
	mod  func(*Config)
	pipe bool
	calm bool // no kills
	quit chan struct{}
	wg   sync.WaitGroup

	floor atomic.Uint64 // the highest index acknowledged or read
	tally simTally

	mu   sync.Mutex
	sums map[uint64]uint64 // by index
	errs []string
}

type simTally struct {
	acked, unknown, notWritten, served, stale, kills, cuts, changes, stalls, restores, olderRefused atomic.Int64
}

// simCounts is a tally that stands still.
type simCounts struct {
	Acked, Unknown, NotWritten, Served, Stale, Kills, Cuts, Changes, Stalls, Restores, OlderRefused int64
}

func (y *simTally) counts() simCounts {
	return simCounts{y.acked.Load(), y.unknown.Load(), y.notWritten.Load(), y.served.Load(), y.stale.Load(), y.kills.Load(),
		y.cuts.Load(), y.changes.Load(), y.stalls.Load(), y.restores.Load(), y.olderRefused.Load()}
}

func (a *simCounts) add(b simCounts) {
	a.Acked, a.Unknown, a.NotWritten = a.Acked+b.Acked, a.Unknown+b.Unknown, a.NotWritten+b.NotWritten
	a.Served, a.Stale, a.Kills, a.Cuts = a.Served+b.Served, a.Stale+b.Stale, a.Kills+b.Kills, a.Cuts+b.Cuts
	a.Changes, a.Stalls = a.Changes+b.Changes, a.Stalls+b.Stalls
	a.Restores, a.OlderRefused = a.Restores+b.Restores, a.OlderRefused+b.OlderRefused
}

// simNode is a place for a node: its disk, and the process that runs on it now.
type simNode struct {
	id   string
	c    *sim
	disk simDisk
	slow atomic.Int64 // added to each apply

	mu    sync.Mutex
	n     *Node
	store *simStorage
	trans *simTransport
}

func (p *simNode) up() *Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// newSim makes the places of a group; boot starts it.
func newSim(t testing.TB, seed uint64, nodes int, mod func(*Config)) *sim {
	c := &sim{t: t, net: newSimNet(seed), mod: mod, pipe: seed%2 == 0, quit: make(chan struct{}), sums: map[uint64]uint64{}}
	for i := range nodes {
		id := fmt.Sprintf("n%d", i)
		c.ids = append(c.ids, id)
		c.net.nodes[id] = &simNode{id: id, c: c, disk: simDisk{raft.NewInmemStore(), newSimSnaps()}}
	}
	return c
}

// boot starts the first voters nodes as the group and the rest as nodes that belong to nothing yet.
func (c *sim) boot(voters int) {
	var first raft.Configuration
	for _, id := range c.ids[:voters] {
		first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	for _, id := range c.ids[:voters] {
		if err := bootstrapStorage(&inmemStorage{c.net.nodes[id].disk.store}, first); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, id := range c.ids {
		c.start(id)
	}
}

// start runs a process on a place.
func (c *sim) start(id string) *Node {
	p := c.net.nodes[id]
	store := &simStorage{InmemStore: p.disk.store, net: c.net, fsync: 300 * time.Microsecond}
	_, inner := raft.NewInmemTransportWithTimeout(raft.ServerAddress(id), c.net.timeout)
	trans := &simTransport{InmemTransport: inner, net: c.net, id: id, pipe: c.pipe, dead: make(chan struct{})}
	inside := newFSM(c.t)
	cfg := Config{
		FSM: &tracedFSM{FSM: inside, c: c, p: p}, Logger: testLogger(c.t),
		Fatal:     func(err error) { c.died(id, err) },
		Transport: func(Identity) (raft.Transport, error) { return trans, nil },
		Peers:     simPeers{c.net, id}, Forwarder: simForwarder{c.net, id},
		HeartbeatTimeout: 150 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond, LeaseTimeout: 100 * time.Millisecond,
		SnapshotThreshold: 25, SnapshotInterval: 60 * time.Millisecond,
		ReadTimeout: 300 * time.Millisecond, ReaskInterval: 40 * time.Millisecond, ProposeTimeout: 2 * time.Second,
		MinFree: -1, Ballast: -1,
	}
	if c.mod != nil {
		c.mod(&cfg)
	}
	cfg.mutation.storage = func(*Config) (Storage, raft.SnapshotStore, Identity, error) {
		return store, p.disk.snaps, Identity{NodeID: id, ClusterID: "c"}, nil
	}
	n, err := Open(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range c.ids {
		if q := c.net.nodes[o]; o != id {
			q.mu.Lock()
			if q.trans != nil {
				q.trans.InmemTransport.Connect(raft.ServerAddress(id), inner)
				inner.Connect(raft.ServerAddress(o), q.trans.InmemTransport)
			}
			q.mu.Unlock()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n, p.store, p.trans = n, store, trans
	return n
}

func (c *sim) died(id string, err error) {
	if !errors.Is(err, errKilled) {
		c.fail("fatal on %s: %v", id, err)
	}
}

// kill ends a process as SIGKILL does: its next write does not happen and nothing leaves it any more.
func (c *sim) kill(id string) {
	p := c.net.nodes[id]
	p.mu.Lock()
	n, store, trans := p.n, p.store, p.trans
	p.n, p.store, p.trans = nil, nil, nil
	p.mu.Unlock()
	if n == nil {
		return
	}
	store.killed.Store(true)
	close(trans.dead)
	for _, o := range c.ids {
		q := c.net.nodes[o]
		q.mu.Lock()
		if q.trans != nil {
			q.trans.Disconnect(raft.ServerAddress(id))
		}
		q.mu.Unlock()
	}
	n.life.fail(errKilled)
	c.reap(n)
}

// reap closes what is left of a process, once nobody waits for it: the library loses futures at its shutdown.
func (c *sim) reap(n *Node) {
	c.wg.Go(func() {
		for i := 0; n.waiting.Load() > 0; i++ {
			if i == 6000 {
				c.fail("somebody has waited for a killed node for a minute")
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		n.Close()
	})
}

// quiet ends clients and faults and brings every node back.
func (c *sim) quiet() {
	if !c.over() {
		close(c.quit)
	}
	c.net.heal()
	c.wg.Wait()
	for _, id := range c.ids {
		c.slowDown(id, 0)
		c.net.nodes[id].slow.Store(0)
		if c.net.nodes[id].up() == nil {
			c.start(id)
		}
	}
}

// settle wants every node of a healed group to serve reads within seconds, and all to have the same state.
func (c *sim) settle() {
	start := time.Now()
	for _, id := range c.ids {
		for _, err := c.read(c.net.nodes[id].up()); err != nil; _, err = c.read(c.net.nodes[id].up()) {
			if time.Since(start) > 20*time.Second {
				c.fail("%s serves no reads 20 s after the network healed: %v", id, err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	time.Sleep(time.Second) // idle: everybody learns the last commit
	want := c.net.nodes[c.ids[0]].up().State()
	for _, id := range c.ids[1:] {
		if s := c.net.nodes[id].up().State(); s.Index() != want.Index() || fsm.Hash(s) != fsm.Hash(want) {
			c.fail("%s is at index %d with another state than %s at %d", id, s.Index(), c.ids[0], want.Index())
		}
	}
}

// end stops everything and returns what went wrong.
func (c *sim) end() []string {
	c.quiet()
	for _, id := range c.ids {
		n := c.net.nodes[id].up()
		for range 1000 { // let the library answer while it lives
			if n.waiting.Load() == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		c.kill(id)
	}
	c.wg.Wait()
	time.Sleep(time.Minute) // what sleeps in the network or in the library ends; virtual time stops with this goroutine
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs
}

func (c *sim) over() bool {
	select {
	case <-c.quit:
		return true
	default:
		return false
	}
}

func (c *sim) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, fmt.Sprintf(format, args...))
}

func (c *sim) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errs) > 0
}

// check compares a node's history up to an index with the others'.
func (c *sim) check(index, sum uint64, who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.sums[index]; ok && old != sum {
		c.errs = append(c.errs, fmt.Sprintf("%s diverged at index %d", who, index))
	}
	c.sums[index] = sum
}

// leader is the node that leads in the highest term, nil if none does.
func (c *sim) leader() *simNode {
	var top *simNode
	var term uint64
	for _, id := range c.ids {
		p := c.net.nodes[id]
		if n := p.up(); n != nil && n.raft.State() == raft.Leader && n.raft.CurrentTerm() >= term {
			top, term = p, n.raft.CurrentTerm()
		}
	}
	return top
}

// awaitLeader waits for a leader that has opened its term, other than the one named.
func (c *sim) awaitLeader(not string) *simNode {
	for range 10_000 {
		if l := c.leader(); l != nil && l.id != not {
			if n := l.up(); n != nil && n.lead.Load() != nil {
				return l
			}
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatal("no leader in 10 s")
	return nil
}

func simCommand(name string) fsm.Command {
	return fsm.Command{Attempt: 1, Body: &fsm.TermStart{Node: name}}
}

// propose writes through a node, and remembers the acknowledgement.
func (c *sim) propose(n *Node, name string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	res, err := n.Propose(ctx, simCommand(name))
	switch {
	case err == nil:
		c.tally.acked.Add(1)
		c.raise(res.Index)
	case NotWritten(err):
		c.tally.notWritten.Add(1)
	default:
		c.tally.unknown.Add(1)
	}
	return err
}

func (c *sim) raise(v uint64) {
	for old := c.floor.Load(); old < v; old = c.floor.Load() {
		if c.floor.CompareAndSwap(old, v) {
			return
		}
	}
}

// read reads through a node and compares.
func (c *sim) read(n *Node) (*fsm.State, error) {
	floor := c.floor.Load()
	s, err := n.View(context.Background())
	if err != nil {
		return nil, err
	}
	c.tally.served.Add(1)
	if s.Index() < floor {
		c.tally.stale.Add(1)
		return s, nil
	}
	c.raise(s.Index())
	return s, nil
}

// simForwarder takes a proposal to another node over the network; a lost answer leaves the outcome open.
type simForwarder struct {
	net *simNet
	id  string
}

func (f simForwarder) Forward(ctx context.Context, leader raft.Server, gate Gate, cmd fsm.Command) (fsm.Result, error) {
	if !f.net.hop(f.id, string(leader.Address)) {
		return fsm.Result{}, ErrNoLeader // no connection: nothing was sent
	}
	n := f.net.nodes[string(leader.Address)].up()
	if n == nil {
		return fsm.Result{}, ErrNoLeader
	}
	res, err := n.ProposeHere(ctx, gate, cmd)
	if !f.net.hop(string(leader.Address), f.id) {
		return fsm.Result{}, errCut
	}
	return res, err
}

func (f simForwarder) Hold(ctx context.Context, leader raft.Server, id HoldID, keys []string) error {
	if !f.net.hop(f.id, string(leader.Address)) {
		return errCut
	}
	n := f.net.nodes[string(leader.Address)].up()
	switch {
	case n == nil:
		return errCut
	case len(keys) == 0:
		n.ReleaseHere(id)
		return nil
	}
	return n.HoldHere(ctx, id, keys)
}

// inBubble runs one simulation in virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
