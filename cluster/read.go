package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// View returns a state that holds every change acknowledged in the group before the call: the linearizable read. Serve a
// whole request from the one state it returns. It needs no leader. It fails with ErrNoQuorum within Config.ReadTimeout,
// or with ctx; ErrClosed says that the node has stopped. Safe for concurrent use; readers that wait share rounds.
//
// With this node as the only voter the round has one answer, its own, and takes well under a microsecond, no lock and no
// allocation as long as nothing is being written.
func (n *Node) View(ctx context.Context) (*fsm.State, error) {
	if s := n.soleView(); s != nil {
		return s, nil
	}
	if err := n.stopErr(); err != nil {
		return nil, err
	}
	if f := n.cfg.mutation.read; f != nil {
		return f(ctx, n)
	}
	if s, err := n.soleWait(ctx); s != nil || err != nil {
		return s, err
	}
	return n.batches.view(ctx)
}

// soleView is the round of a node that is the only voter, if it needs no waiting: the state is taken first, then this
// node's own answer, and the state is served if it has reached the answer. That is the rule of round.go with one voter:
// the state that is served is the one whose configuration was looked at.
func (n *Node) soleView() *fsm.State {
	s := n.fsm.State()
	_, cfg := s.Config()
	if !soleVoter(cfg, n.server) || s.Index() < n.store.last.Load() || n.stopped() {
		return nil
	}
	return s
}

// soleWait is the same round where an entry has been stored and is not applied yet. Asking costs nothing, so there is no
// round to share. It returns nil, nil if this node is not, or not any more, the only voter.
func (n *Node) soleWait(ctx context.Context) (*fsm.State, error) {
	index, cfg := n.fsm.State().Config()
	if !soleVoter(cfg, n.server) {
		return nil, nil
	}
	target, err := n.lastIndex()
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, n.cfg.ReadTimeout)
	defer cancel()
	s, err := n.Wait(limit, target)
	if stop := n.stopErr(); stop != nil {
		return nil, stop
	}
	if err != nil {
		n.roundsFailed.Add(1)
		return nil, fmt.Errorf("%w (entry %d of the log is not applied yet)", ErrNoQuorum, target)
	}
	if i, _ := s.Config(); i != index {
		return nil, nil
	}
	return s, nil
}

// lastIndex is this node's answer to a read round: the end of its log, or of its state if that is further, which it can
// be after a snapshot. It is read from where entries are stored (see guard.last) and from the library; no main loop is
// involved, so it is answered during a stuck write too. A node whose disk has failed must not answer.
func (n *Node) lastIndex() (uint64, error) {
	if err := n.stopErr(); err != nil {
		return 0, err
	}
	last := max(n.store.last.Load(), n.raft.LastIndex(), n.fsm.State().Index())
	if err := n.stopErr(); err != nil {
		return 0, err
	}
	return last, nil
}

// Answer is this node's answer to another node's read round, for whoever serves Peers.LastIndex on the wire. It refuses
// (ErrIdentity) a question that is meant for another node or cluster.
func (n *Node) Answer(nodeID, clusterID string) (Answer, error) {
	if nodeID != n.id.NodeID || clusterID != n.id.ClusterID {
		return Answer{}, fmt.Errorf("%w: node %s of cluster %s was asked for", ErrIdentity, nodeID, clusterID)
	}
	last, err := n.lastIndex()
	if err != nil {
		return Answer{}, err
	}
	return Answer{NodeID: n.id.NodeID, ClusterID: n.id.ClusterID, LastIndex: last, Applied: n.fsm.State().Index(), Clock: n.cfg.Clock().UnixMilli()}, nil
}

// Wait returns a state whose index is at least index. It says nothing about what was acknowledged; View does. The error
// is the context's, or ErrClosed.
func (n *Node) Wait(ctx context.Context, index uint64) (*fsm.State, error) {
	if s := n.fsm.State(); s.Index() >= index {
		return s, nil
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	s, err := n.fsm.Wait(ctx, index)
	if err != nil && n.stopErr() != nil {
		err = n.stopErr()
	}
	return s, err
}

// State is the state that this node has applied so far; it may lack changes acknowledged elsewhere. It takes no lock.
func (n *Node) State() *fsm.State { return n.fsm.State() }

// batches shares rounds among readers: one round runs, one waits to run. A newcomer joins the one that waits, never the
// one that runs, since answers count only for readers who came before the questions were sent.
type batches struct {
	round   func(context.Context) (*fsm.State, error)
	timeout time.Duration
	parent  context.Context
	joinRun bool // planted fault: join the running round

	mu      sync.Mutex
	next    *batch // waits to run
	current *batch // runs; nil if none does
}

type batch struct {
	done chan struct{}
	s    *fsm.State
	err  error
}

func (b *batches) view(ctx context.Context) (*fsm.State, error) {
	w := b.join()
	bound := time.NewTimer(b.timeout)
	defer bound.Stop()
	select {
	case <-w.done:
		return w.s, w.err
	case <-bound.C:
		return nil, ErrNoQuorum
	case <-ctx.Done():
		return nil, fmt.Errorf("%w (%v)", ErrNoQuorum, ctx.Err())
	}
}

func (b *batches) join() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.joinRun && b.current != nil {
		return b.current
	}
	if b.next == nil {
		b.next = &batch{done: make(chan struct{})}
	}
	w := b.next
	if b.current == nil {
		b.current, b.next = w, nil
		go b.run(w)
	}
	return w
}

// run runs rounds until nobody waits for another one.
func (b *batches) run(w *batch) {
	for w != nil {
		ctx, cancel := context.WithTimeout(b.parent, b.timeout)
		w.s, w.err = b.round(ctx)
		cancel()
		close(w.done)
		b.mu.Lock()
		w, b.next = b.next, nil
		b.current = w
		b.mu.Unlock()
	}
}

// readRound is the round that readers share, with its bookkeeping.
func (n *Node) readRound(ctx context.Context) (*fsm.State, error) {
	start := time.Now()
	s, err := n.reader.round(ctx)
	if e := n.stopErr(); err == nil && e != nil {
		s, err = nil, e
	}
	if err != nil {
		n.roundsFailed.Add(1)
		return nil, err
	}
	n.noteRound(start)
	return s, nil
}

// noteRound remembers that a round which began at start has succeeded.
func (n *Node) noteRound(start time.Time) {
	n.roundsDone.Add(1)
	raise(&n.lastRound, int64(start.Sub(n.born)))
	n.roundTime.Store(int64(time.Since(start)))
}

// raftVoters are the voters of a configuration.
func raftVoters(cfg raft.Configuration) []raft.Server {
	var v []raft.Server
	for _, s := range cfg.Servers {
		if s.Suffrage == raft.Voter {
			v = append(v, s)
		}
	}
	return v
}
