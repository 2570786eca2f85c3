package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// leadership is one stay in office, from the application of its first command until raft takes it away.
type leadership struct {
	term uint64
	ctx  context.Context // ends with the leadership
}

// office follows raft's leadership. The library's channel keeps only the latest change: two times true in a row mean
// that leadership was lost and regained in between, so every true starts anew.
type office struct {
	mu     sync.Mutex
	cancel context.CancelFunc // of the stay that is being opened or under way; nil if none
}

// followLeadership opens a term at each gain of leadership and ends it at each loss, until the node closes.
func (n *Node) followLeadership() {
	for {
		select {
		case gained := <-n.raft.LeaderCh():
			n.endTerm()
			if gained {
				n.beginTerm()
			}
		case <-n.alive.Done():
			n.endTerm()
			return
		}
	}
}

func (n *Node) beginTerm() {
	ctx, cancel := context.WithCancel(n.alive)
	n.office.mu.Lock()
	n.office.cancel = cancel
	n.office.mu.Unlock()
	if n.cfg.mutation.noTermStart {
		n.takeOffice(&leadership{n.raft.CurrentTerm(), ctx})
		return
	}
	n.background(func() {
		if term, ok := n.openTerm(ctx); ok {
			n.takeOffice(&leadership{term, ctx})
		}
	})
}

// takeOffice publishes a leadership, unless it has ended already.
func (n *Node) takeOffice(l *leadership) {
	n.office.mu.Lock()
	defer n.office.mu.Unlock()
	if l.ctx.Err() == nil {
		n.lead.Store(l)
		n.leadChanged.wake()
	}
}

func (n *Node) endTerm() {
	n.office.mu.Lock()
	defer n.office.mu.Unlock()
	if n.office.cancel != nil {
		n.office.cancel()
		n.office.cancel = nil
	}
	if n.lead.Swap(nil) != nil {
		n.leadChanged.wake()
	}
}

// openTerm commits the term's first command. Two things need it. Raft's own first entry is a no-op that never reaches
// the state machine, so that on an idle new leader a read would wait for its index for ever. And an entry of the new
// term commits everything before it, which carries region time on.
func (n *Node) openTerm(ctx context.Context) (term uint64, ok bool) {
	for ctx.Err() == nil {
		term := n.raft.CurrentTerm()
		cmd := fsm.Command{Attempt: 1, Body: fsm.TermStart{Node: n.id.NodeID}}
		rand.Read(cmd.ID[:])
		limit, cancel := context.WithTimeout(ctx, n.cfg.ProposeTimeout)
		_, err := n.append(limit, cmd)
		cancel()
		if err == nil && n.raft.CurrentTerm() == term && n.raft.State() == raft.Leader {
			return term, true
		}
		if ctx.Err() == nil {
			n.cfg.Logger.Debug("cluster: the term could not be opened yet", "term", term, "error", err)
			pause(ctx, nil)
		}
	}
	return 0, false
}

// WhileLeader runs work whenever this node leads and has opened its term: once per stay, under a context that ends with
// the leadership, with the term's number. Work that returns early is not started again in the same stay, and never runs
// twice at a time. It should only read and propose: another node may already believe that it leads. name is for logs.
// WhileLeader returns at once; the work ends when the node closes, which waits for it.
func (n *Node) WhileLeader(name string, work func(ctx context.Context, term uint64)) {
	n.background(func() {
		var last *leadership
		for {
			changed := n.leadChanged.wait()
			if l := n.lead.Load(); l != nil && l != last {
				last = l
				n.cfg.Logger.Debug("cluster: leader work starts", "work", name, "term", l.term)
				work(l.ctx, l.term)
				continue
			}
			select {
			case <-changed:
			case <-n.alive.Done():
				return
			}
		}
	})
}

// Leading reports whether this node leads and has opened its term, and the term. Another node may lead already; only
// what is committed counts.
func (n *Node) Leading() (term uint64, ok bool) {
	if l := n.lead.Load(); l != nil {
		return l.term, true
	}
	return 0, false
}

// Leader is the node that this one believes to lead; ok is false if it knows of none.
func (n *Node) Leader() (leader raft.Server, ok bool) {
	addr, id := n.raft.LeaderWithID()
	return raft.Server{ID: id, Address: addr}, id != ""
}

// StepDown gives leadership to the voter that is furthest, if this node leads and there is another voter. It returns when
// that has happened, or an error within about ElectionTimeout. Writes are refused as not written meanwhile.
func (n *Node) StepDown(ctx context.Context) error {
	if n.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	return n.await(ctx, n.raft.LeadershipTransfer())
}

// await waits for a future of the library, or for ctx or the node to end, since some futures are never answered.
func (n *Node) await(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	n.waiting.Add(1)
	go func() {
		defer n.waiting.Add(-1)
		done <- f.Error()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-n.life.dead:
		return n.life.err()
	}
}

// reign is what this node knows of a leader: its time in office ends for this node when it hears of another one.
type reign struct {
	leader raft.ServerID
	ctx    context.Context
	end    context.CancelFunc
}

// watchLeader wakes proposals that wait for a leader when raft has found one, and ends the wait for the answer of one that
// has been replaced: it may be hung, and nobody would answer.
func (n *Node) watchLeader() {
	seen := make(chan raft.Observation, 4)
	o := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	n.raft.RegisterObserver(o)
	defer n.raft.DeregisterObserver(o)
	for {
		if _, id := n.raft.LeaderWithID(); id != "" {
			n.acknowledge(id)
		}
		n.leadChanged.wake()
		select {
		case <-seen:
		case <-n.alive.Done():
			return
		}
	}
}

// acknowledge begins a leader's reign and ends that of another one.
func (n *Node) acknowledge(leader raft.ServerID) {
	old := n.reign.Load()
	if old != nil && old.leader == leader {
		return
	}
	r := &reign{leader: leader}
	r.ctx, r.end = context.WithCancel(n.alive)
	n.reign.Store(r)
	if old != nil {
		old.end()
	}
}

// errReplaced is why a question to a leader was given up.
var errReplaced = errors.New("another node leads now")

// under is ctx that also ends with a leader's reign. ok is false if the leader does not reign yet, or not any more.
func (n *Node) under(ctx context.Context, leader raft.ServerID) (_ context.Context, cancel context.CancelFunc, ok bool) {
	r := n.reign.Load()
	if r == nil || r.leader != leader {
		return nil, nil, false
	}
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ctx, func() { end(errReplaced) })
	return ctx, func() { stop(); end(nil) }, true
}

// upkeepInterval is how often the node looks whether something is due.
const upkeepInterval = 250 * time.Millisecond

// upkeep runs read rounds of the node's own, for health and for the clocks, watches the volume, and gives leadership away
// when the node is not fit to lead and another one is.
func (n *Node) upkeep() {
	tick := time.NewTicker(min(upkeepInterval, n.cfg.PingInterval, n.cfg.DiskInterval))
	defer tick.Stop()
	disk := time.Now() // Open has looked
	var resigned resigning
	for n.alive.Err() == nil {
		if time.Since(n.lastRoundAt()) >= n.cfg.PingInterval {
			n.ping()
		}
		if time.Since(disk) >= n.cfg.DiskInterval {
			disk = time.Now()
			n.volume.look()
		}
		n.resign(&resigned)
		n.askClocks()
		select {
		case <-tick.C:
		case <-n.alive.Done():
		}
	}
}

// ping is a read round without a reader.
func (n *Node) ping() {
	start := time.Now()
	ctx, cancel := context.WithTimeout(n.alive, n.cfg.ReadTimeout)
	defer cancel()
	s, err := n.View(ctx)
	if err != nil {
		return
	}
	_, cfg := s.Config()
	if soleVoter(cfg, n.server) {
		n.noteRound(start) // the short way notes nothing
	}
	n.clocks.keep(raftVoters(cfg))
}

// resignInterval is the least time between two tries of a node to give leadership away, and lookInterval between two looks whether
// another one is better.
const (
	resignInterval = 30 * time.Second
	lookInterval   = 5 * time.Second
)

// resigning is what a leader that should not lead has tried. It belongs to upkeep.
type resigning struct {
	next time.Time // not before
	told bool      // that no other node is better
}

// resign gives leadership away while something keeps this node from doing a leader's work: a node where all is well can go on.
// If no other node is better it stays: the ill ones would hand leadership round and round.
// A disk that hangs needs more than that; see wire.stuck.
func (n *Node) resign(r *resigning) {
	if n.lead.Load() == nil || time.Now().Before(r.next) {
		return
	}
	why := n.unfit()
	_, cfg := n.fsm.State().Config()
	if why == nil || soleVoter(cfg, n.server) {
		r.told = false
		return
	}
	to, ok := n.better(cfg)
	if !ok {
		r.next = time.Now().Add(lookInterval)
		if !r.told {
			r.told = true
			n.cfg.Logger.Warn("cluster: this node should not lead, and stays in office because no other node is better", "reason", why)
		}
		return
	}
	r.told = false
	r.next = time.Now().Add(resignInterval)
	n.cfg.Logger.Warn("cluster: this node gives leadership away", "reason", why, "to", to.ID)
	ctx, cancel := context.WithTimeout(n.alive, 2*n.cfg.ElectionTimeout)
	defer cancel()
	if err := n.await(ctx, n.raft.LeadershipTransferToServer(to.ID, to.Address)); err != nil {
		n.cfg.Logger.Warn("cluster: could not give leadership away", "error", err)
	}
}

// better is the voter with the longest log among those that answer and are fit to lead.
func (n *Node) better(cfg raft.Configuration) (best raft.Server, ok bool) {
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		last   uint64
	)
	for _, s := range raftVoters(cfg) {
		if s.ID == n.server {
			continue
		}
		asking.Go(func() {
			a, err := n.question(n.alive, s)
			if err != nil || n.unfitThere(s) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !ok || a.LastIndex > last {
				best, last, ok = s, a.LastIndex, true
			}
		})
	}
	asking.Wait()
	return best, ok
}

// unfitThere asks a node that answers whether it should not lead.
func (n *Node) unfitThere(s raft.Server) bool {
	if n.cfg.UnfitThere == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(n.alive, memberTimeout)
	defer cancel()
	why, err := n.cfg.UnfitThere(ctx, s)
	return err != nil || why != ""
}

// Unfit says why this node should not lead, nil if it can. It does not block.
func (n *Node) Unfit() error {
	if n.stuck() {
		return errors.New("cluster: the disk hangs")
	}
	return n.unfit()
}

// unfit says why this node should not lead, nil if it can.
func (n *Node) unfit() error {
	err := errors.Join(n.volume.err(), n.clockErr())
	if n.cfg.Unfit != nil {
		err = errors.Join(err, n.cfg.Unfit())
	}
	return err
}

// stuckLimit is how long one write of the log may take before the node counts as ill.
const stuckLimit = 3 * time.Second

// stuck reports whether a write of the log has taken too long. The library's main loop hangs with it, but not its heartbeats:
// a leader whose disk hangs would be kept in office by followers who hear from it, and no write would ever be acknowledged.
// So a stuck node sends nothing (see wire), and the others elect one of themselves.
func (n *Node) stuck() bool { return n.store.stall() > stuckLimit }
