package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// Node is one member of a Raft group. Its methods are safe for concurrent use.
type Node struct {
	cfg    *Config
	id     Identity
	server raft.ServerID // id.NodeID, as the library has it
	born   time.Time     // what durations since count from, by the monotonic clock

	raft   *raft.Raft
	fsm    Machine
	store  *guard
	snaps  *snapshots
	life   *lifeline
	pace   pace
	volume *volume
	clocks *clocks
	asking sync.Map // ids of the voters that are being asked for their clock
	gates  *gates

	reader  *reader
	batches *batches

	proposals   *admission
	waiting     atomic.Int64 // goroutines that wait for a future of the library
	office      office
	lead        atomic.Pointer[leadership] // nil while this node does not lead or has not opened its term
	leadChanged broadcast
	reign       atomic.Pointer[reign] // the latest leader that this node knew of, itself or another; nil: none so far

	alive  context.Context // ends with Close or a failed disk
	die    context.CancelFunc
	closed atomic.Bool
	work   sync.WaitGroup
	adding sync.Mutex // orders work.Add against Close's Wait

	changing sync.Mutex // one membership change at a time

	roundsDone, roundsFailed atomic.Uint64
	lastRound                atomic.Int64 // start of the latest good round, nanoseconds since born; 0 = none yet
	roundTime                atomic.Int64 // its length, nanoseconds
}

// Identity is who the node is.
func (n *Node) Identity() Identity { return n.id }

// stopped reports whether the node has been closed or its disk has failed. It takes no lock.
func (n *Node) stopped() bool { return n.closed.Load() || n.life.stopped() }

// stopErr is nil while the node runs.
func (n *Node) stopErr() error {
	if err := n.life.err(); err != nil {
		return fmt.Errorf("%w (%v)", ErrClosed, err)
	}
	if n.closed.Load() {
		return ErrClosed
	}
	return nil
}

// background runs f in a goroutine that Close waits for. It does nothing once Close has begun.
func (n *Node) background(f func()) {
	n.adding.Lock()
	defer n.adding.Unlock()
	if n.alive.Err() != nil {
		return
	}
	n.work.Go(f)
}

// bounded is ctx that also ends when the node does.
func (n *Node) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(n.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

// lastRoundAt is when the latest good read round began; long ago if there was none.
func (n *Node) lastRoundAt() time.Time {
	if d := n.lastRound.Load(); d > 0 {
		return n.born.Add(time.Duration(d))
	}
	return time.Time{}
}

// SnapshotInfo names a snapshot on the disk.
type SnapshotInfo struct {
	ID    string
	Index uint64 // last entry in it
	Term  uint64
	Bytes int64
}

// Snapshot writes the state to the disk now and truncates the log, while traffic goes on. With nothing new since the last
// snapshot it returns that one.
func (n *Node) Snapshot(ctx context.Context) (SnapshotInfo, error) {
	if err := n.stopErr(); err != nil {
		return SnapshotInfo{}, err
	}
	err := n.await(ctx, futureFunc(func() error { return n.raft.Snapshot().Error() }))
	if err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return SnapshotInfo{}, fmt.Errorf("cluster: snapshot: %w", err)
	}
	top, err := n.snaps.newest()
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("cluster: snapshot: %w", err)
	}
	if top == nil {
		return SnapshotInfo{}, fmt.Errorf("cluster: snapshot: %w", raft.ErrNothingNewToSnapshot)
	}
	return SnapshotInfo{ID: top.ID, Index: top.Index, Term: top.Term, Bytes: top.Size}, nil
}

// OpenSnapshot reads a snapshot; its checksum has been verified. The caller closes it.
func (n *Node) OpenSnapshot(id string) (SnapshotInfo, io.ReadCloser, error) {
	m, r, err := n.snaps.Open(id)
	if err != nil {
		return SnapshotInfo{}, nil, fmt.Errorf("cluster: open snapshot %s: %w", id, err)
	}
	return SnapshotInfo{ID: m.ID, Index: m.Index, Term: m.Term, Bytes: m.Size}, r, nil
}

// futureFunc is a raft.Future whose making may block too.
type futureFunc func() error

// Error implements raft.Future.
func (f futureFunc) Error() error { return f() }

// closeTimeout bounds each step of Close.
const closeTimeout = 10 * time.Second

// Close stops the node: it takes no more proposals, waits for those under way, gives leadership away if another voter can
// take it, ends leader work, and closes the log. Everything acknowledged is on the disk already; no snapshot is taken.
// After a failed disk it returns that failure. Closing again does nothing.
func (n *Node) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	drained := n.proposals.close()
	n.HandOver()
	within(closeTimeout, drained, n.life.dead)
	n.adding.Lock()
	n.die()
	n.adding.Unlock()
	n.work.Wait()
	return errors.Join(n.life.err(), n.shutdown())
}

// HandOver gives leadership away if this node leads and another voter can take it, so that the others need not wait for a
// timeout. It takes at most ElectionTimeout. Writes wait meanwhile.
func (n *Node) HandOver() {
	_, cfg := n.fsm.State().Config()
	if n.life.stopped() || n.lead.Load() == nil || soleVoter(cfg, n.server) {
		return
	}
	ctx, cancel := context.WithTimeout(n.alive, n.cfg.ElectionTimeout)
	defer cancel()
	if err := n.StepDown(ctx); err != nil {
		n.cfg.Logger.Debug("cluster: leadership was not handed over", "error", err)
	}
}

// shutdown stops the library and closes what it used.
func (n *Node) shutdown() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.raft.Shutdown().Error()
	}()
	if !within(closeTimeout, done, nil) {
		return errors.New("cluster: the Raft library did not stop in time; the log was left open")
	}
	return n.store.close()
}

// within waits for done, at most d or until other closes, and reports whether done closed.
func within(d time.Duration, done, other <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-other:
	case <-t.C:
	}
	return false
}

var _ Machine = (*fsm.FSM)(nil)
