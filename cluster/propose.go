package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
)

// Forwarder takes a proposal to the node that leads.
type Forwarder interface {
	// Forward has the leader run ProposeHere and returns what that returned. An error for which NotWritten is true
	// promises that nothing was written; every other one, a lost connection included, means that the outcome is unknown.
	Forward(ctx context.Context, leader raft.Server, gate Gate, cmd fsm.Command) (fsm.Result, error)
	// Hold has the leader run HoldHere, or ReleaseHere if there are no keys.
	Hold(ctx context.Context, leader raft.Server, id HoldID, keys []string) error
}

// retryPause is the wait between tries of a proposal that was not written, if no change of leadership ends it sooner.
const retryPause = 50 * time.Millisecond

// Propose has a command committed and applied, and returns what apply said. A refusal by the state is a result with a
// code, not an error. After it returns a result this node's own State has the command.
//
// The client's cancellation is detached: a write is not left half done because somebody hung up. The deadline counts, or
// Config.ProposeTimeout if there is none. Tries that were provably not written are repeated until then; an unknown
// outcome is returned at once as ErrUnknown, and only the caller knows whether its command id makes a retry safe. The
// command's Time is set to region time by the node that leads. Safe for concurrent use.
func (n *Node) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	return n.propose(ctx, Gate{}, cmd, n.cfg.Forwarder)
}

// ProposeOn is Propose of a command about some keys: at the leader it waits while somebody else holds one of them.
func (n *Node) ProposeOn(ctx context.Context, gate Gate, cmd fsm.Command) (fsm.Result, error) {
	return n.propose(ctx, gate, cmd, n.cfg.Forwarder)
}

// ProposeHere is ProposeOn on the leader's side of a Forwarder: where another node leads it returns ErrNotLeader instead of
// forwarding again, so that two nodes that take each other for the leader do not play ball.
func (n *Node) ProposeHere(ctx context.Context, gate Gate, cmd fsm.Command) (fsm.Result, error) {
	return n.propose(ctx, gate, cmd, nil)
}

func (n *Node) propose(ctx context.Context, gate Gate, cmd fsm.Command, fwd Forwarder) (fsm.Result, error) {
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, fmt.Errorf("%w (%v)", ErrCanceled, err)
	}
	if err := n.known(cmd); err != nil { // the leader may be one of those that could not even read it
		return fsm.Result{}, err
	}
	if !n.proposals.enter() {
		return fsm.Result{}, n.proposals.refusal()
	}
	defer n.proposals.leave()
	ctx, cancel := n.detach(ctx)
	defer cancel()
	for {
		changed := n.leadChanged.wait()
		res, err := n.proposeOnce(ctx, gate, cmd, fwd)
		if isAny(err, ErrUnknown) && planted.Bug(planted.AckUnknown) {
			return fsm.Result{}, nil
		}
		if err == nil {
			n.catchUp(ctx, res.Index)
			return res, n.afterDeath()
		}
		if !again(err, fwd) || n.closed.Load() || !pause(ctx, changed) {
			return fsm.Result{}, err
		}
	}
}

// catchUp waits until this node has applied an entry that the leader has committed. The answer stands even if it does not
// get there in time: the command is committed.
func (n *Node) catchUp(ctx context.Context, index uint64) {
	if n.fsm.State().Index() >= index {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ReadTimeout)
	defer cancel()
	n.fsm.Wait(ctx, index)
}

// again reports whether a try is worth repeating: it was not written, and another leader may take it.
func again(err error, fwd Forwarder) bool {
	switch {
	case isAny(err, ErrNoLeader):
		return true
	case isAny(err, ErrNotLeader):
		return fwd != nil
	default:
		return false
	}
}

// pause waits for a change of leadership, or a little. It returns false if the time is up.
func pause(ctx context.Context, changed <-chan struct{}) bool {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-changed:
		return true
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// detach keeps the deadline of a context and drops its cancellation; the node's own end still cuts it off.
func (n *Node) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(n.cfg.ProposeTimeout)
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	stop := context.AfterFunc(n.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

func (n *Node) proposeOnce(ctx context.Context, gate Gate, cmd fsm.Command, fwd Forwarder) (fsm.Result, error) {
	if n.lead.Load() != nil {
		return n.proposeLeading(ctx, gate, cmd)
	}
	addr, id := n.raft.LeaderWithID()
	switch {
	case id == "" || id == n.server: // none, or this node before it has opened its term
		return fsm.Result{}, ErrNoLeader
	case fwd == nil:
		return fsm.Result{}, fmt.Errorf("%w (node %s)", ErrNotLeader, id)
	}
	limit, cancel, ok := n.under(ctx, id)
	if !ok {
		return fsm.Result{}, ErrNoLeader // it changes right now
	}
	defer cancel()
	res, err := fwd.Forward(limit, raft.Server{ID: id, Address: addr}, gate, cmd)
	if err != nil && !NotWritten(err) && !isAny(err, ErrUnknown) {
		err = fmt.Errorf("%w (forwarded to node %s: %v)", ErrUnknown, id, err)
	}
	return res, err
}

// proposeLeading checks what makes this node refuse, waits for those who hold the command's keys, stamps it and appends it.
func (n *Node) proposeLeading(ctx context.Context, gate Gate, cmd fsm.Command) (fsm.Result, error) {
	if err := n.volume.err(); err != nil {
		return fsm.Result{}, err
	}
	if err := n.clockErr(); err != nil {
		return fsm.Result{}, err
	}
	if n.stuck() {
		return fsm.Result{}, ErrNoLeader // the others elect one
	}
	if err := n.known(cmd); err != nil {
		return fsm.Result{}, err
	}
	release, err := n.gates.share(ctx, gate)
	if err != nil {
		return fsm.Result{}, fmt.Errorf("%w (another write holds the key)", ErrTooBusy)
	}
	defer release()
	return n.append(ctx, cmd)
}

// FeatureLevel is the highest level that every node of the group can apply, as far as this node knows: a command of a level
// above it must not be proposed. It never exceeds what this node knows itself.
func (n *Node) FeatureLevel() int {
	s := n.fsm.State()
	if _, cfg := s.Config(); len(cfg.Servers) == 1 && cfg.Servers[0].ID == n.server {
		return fsm.MaxLevel() // alone: nobody else reads the log
	}
	return min(s.FeatureLevel(), fsm.MaxLevel())
}

// known is ErrOldNodes if a node of the group may not know the command: it could not apply the log any more.
func (n *Node) known(cmd fsm.Command) error {
	if cmd.Body == nil || n.cfg.mutation.anyLevel {
		return nil
	}
	if level := fsm.Level(cmd.Body.Kind()); level > fsm.LevelInitial && level > n.FeatureLevel() {
		return ErrOldNodes
	}
	return nil
}

// append stamps a command with region time and has Raft commit and apply it.
func (n *Node) append(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	cmd.Time = n.Now().UnixMilli()
	cmd.Settles = cmd.Attempt > 1 && n.FeatureLevel() >= fsm.LevelSettles
	data, err := fsm.Encode(cmd)
	if err != nil {
		return fsm.Result{}, fmt.Errorf("cluster: %w", err)
	}
	// The library's waits do not end with a context, and some never end at all: a future that was handed to the state
	// machine when the library shuts down is not answered. So they run apart, and this select is what everybody waits in.
	done := make(chan applied, 1)
	n.waiting.Add(1)
	go func() {
		defer n.waiting.Add(-1)
		done <- n.apply(ctx, data)
	}()
	select {
	case a := <-done:
		return a.res, a.err
	case <-ctx.Done():
		return fsm.Result{}, fmt.Errorf("%w (no answer before the deadline)", ErrUnknown)
	case <-n.life.dead:
		return fsm.Result{}, fmt.Errorf("%w (%v)", ErrUnknown, n.life.err())
	}
}

type applied struct {
	res fsm.Result
	err error
}

// apply hands an entry to the library and waits for its end.
func (n *Node) apply(ctx context.Context, data []byte) applied {
	left := n.cfg.ProposeTimeout
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	// The enqueue timeout ends before the deadline, so that a proposal that never got into the log is known as such.
	f := n.raft.Apply(data, max(left-left/10, time.Millisecond))
	if err := f.Error(); err != nil {
		return applied{err: applyError(err)}
	}
	res, ok := f.Response().(fsm.Result)
	if !ok {
		return applied{err: fmt.Errorf("%w (the state machine answered %v)", ErrUnknown, f.Response())}
	}
	return applied{res: res}
}

// afterDeath takes back an answer that came while the disk failed: whatever was committed, a node that cannot trust its
// disk does not say so.
func (n *Node) afterDeath() error {
	if err := n.life.err(); err != nil {
		return fmt.Errorf("%w (%v)", ErrUnknown, err)
	}
	return nil
}
