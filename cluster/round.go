package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// The read round. A node that is to read asks the voters of the configuration that its own state machine has applied for
// the last index of their logs, takes a majority's answers, and serves from its own state once that state has reached
// the highest of them and still has the same configuration.
//
// Why this is enough. A change that was acknowledged before the round is in the logs of a majority, every two majorities
// meet, and a log never loses a committed entry: so some answer of any majority is at or above its index. No term, lease
// or leader enters. Which majority counts is the one question left. The node has *applied* its configuration C0, so C0
// was committed. If a successor C1 was committed before the round, then a majority of C0 or of C1 holds C1's entry, and
// either one meets the majority of C0 that answered (two configurations in a row differ in one voter): the target is at or
// above C1's index, and once the state is there it has another configuration, so the round starts over. Otherwise the
// change was committed by C0 itself, by a direct neighbour of it, or lies before C0 in the log. What raft or its library
// believe to be the latest configuration must not be used instead: it may never have been committed.

// Peers asks other voters. An implementation authenticates the voter: the answer must come from the node with the id
// asked for, in the cluster asked for.
type Peers interface {
	// LastIndex asks one voter, at once and once; it must not answer from anything the voter said before the call. It
	// returns when the context ends.
	LastIndex(ctx context.Context, voter raft.Server, clusterID string) (Answer, error)
}

// Answer is what a voter says in a read round.
type Answer struct {
	// NodeID and ClusterID are who answers.
	NodeID, ClusterID string
	// LastIndex is the last index of the voter's log, or of its state if that is higher.
	LastIndex uint64
	// Applied is what its state machine has applied. The round does not use it.
	Applied uint64
	// Clock is the voter's own clock, milliseconds since the Unix epoch.
	Clock int64
}

// reader runs read rounds.
type reader struct {
	self      raft.ServerID
	clusterID string
	fsm       Machine
	local     func() (uint64, error) // this node's own answer, an error if it must not answer
	peers     Peers
	clocks    *clocks
	reask     time.Duration
	mutation  *mutation

	rounds  atomic.Uint64 // configurations asked under
	asked   atomic.Uint64 // questions sent to other voters
	reasked atomic.Uint64 // times that no result came in time and the voters were asked again
	redone  atomic.Uint64 // rounds thrown away because the configuration had changed
	lowered atomic.Uint64 // answers after the majority's that lowered the target
}

// round runs one read round. The state it returns holds every change acknowledged before the call.
func (r *reader) round(ctx context.Context) (*fsm.State, error) {
	for {
		index, cfg := r.fsm.State().Config()
		voters, member := r.electorate(cfg)
		if len(cfg.Servers) == 0 { // just started: the state has not reached the first configuration yet
			if _, err := r.fsm.Wait(ctx, 1); err != nil {
				return nil, fmt.Errorf("%w (the state machine is still empty)", ErrNoQuorum)
			}
			if i, _ := r.fsm.State().Config(); i == index {
				return nil, ErrNotMember
			}
			continue
		}
		if !member {
			return nil, ErrNotMember
		}
		s, err := r.under(ctx, index, voters)
		if s != nil || err != nil {
			return s, err
		}
		r.redone.Add(1)
	}
}

// electorate is who is asked, and whether this node belongs to the configuration. A non-voter may read; its own answer
// does not count.
func (r *reader) electorate(cfg raft.Configuration) (voters []raft.Server, member bool) {
	if r.mutation.electorate != nil {
		cfg = r.mutation.electorate(cfg)
	}
	for _, s := range cfg.Servers {
		member = member || s.ID == r.self
		if s.Suffrage == raft.Voter || r.mutation.nonvoters {
			voters = append(voters, s)
		}
	}
	return voters, member
}

// under runs the round under one configuration. It returns nil, nil if the state has got another one meanwhile.
func (r *reader) under(ctx context.Context, cfgIndex uint64, voters []raft.Server) (*fsm.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.rounds.Add(1)
	q := &question{reader: r, voters: voters, answers: make(chan heard), open: map[raft.ServerID]int{}}
	t := newTally(len(voters))
	w := waiter{fsm: r.fsm, reached: make(chan *fsm.State)}
	if err := q.ask(ctx, t); err != nil {
		return nil, err
	}
	again := time.NewTimer(r.reask)
	defer again.Stop()
	for {
		if target, ok := t.target(); ok {
			if s := w.at(ctx, target); s != nil {
				return r.accept(s, cfgIndex), nil
			}
		}
		select {
		case h := <-q.answers:
			if q.take(h) && t.add(h.id, h.answer.LastIndex) {
				r.lowered.Add(1)
			}
		case s := <-w.reached:
			return r.accept(s, cfgIndex), nil
		case <-again.C:
			if i, _ := r.fsm.State().Config(); i != cfgIndex && !r.mutation.noCfgCheck {
				return nil, nil
			}
			r.reasked.Add(1)
			if err := q.ask(ctx, t); err != nil {
				return nil, err
			}
			again.Reset(r.reask)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%d of %d voters answered: %v)", ErrNoQuorum, t.count(), len(voters), q.last)
		}
	}
}

// accept returns the state if it may be served: it has reached the target and its configuration is still the one whose
// voters were asked. Otherwise nil: the round starts over.
func (r *reader) accept(s *fsm.State, cfgIndex uint64) *fsm.State {
	if i, _ := s.Config(); i != cfgIndex && !r.mutation.noCfgCheck {
		return nil
	}
	return s
}

// maxOpen bounds the questions to one voter that have not been answered.
const maxOpen = 3

// question puts the round's question to the voters and collects what they say.
type question struct {
	*reader
	voters  []raft.Server
	answers chan heard
	open    map[raft.ServerID]int // unanswered questions
	last    error                 // the latest failure, for the error text
}

// heard is one voter's answer or failure.
type heard struct {
	id     raft.ServerID
	answer Answer
	err    error
}

// ask asks every voter, this node included. Questions under way stay: however slow, an answer to one of them was given
// after the round began. The error is this node's own inability to answer: its disk has failed.
func (q *question) ask(ctx context.Context, t *tally) error {
	for _, v := range q.voters {
		if v.ID == q.self {
			last, err := q.local()
			if err != nil {
				return err
			}
			t.add(v.ID, last)
			continue
		}
		if q.peers == nil || q.open[v.ID] >= maxOpen {
			continue
		}
		q.open[v.ID]++
		q.asked.Add(1)
		peers := q.peers
		go func() {
			a, err := peers.LastIndex(ctx, v, q.clusterID)
			if err == nil && (a.NodeID != string(v.ID) || a.ClusterID != q.clusterID) {
				err = fmt.Errorf("node %s of cluster %s answered for node %s", a.NodeID, a.ClusterID, v.ID)
			}
			select {
			case q.answers <- heard{v.ID, a, err}:
			case <-ctx.Done():
			}
		}()
	}
	if q.peers == nil && len(q.voters) > 1 {
		q.last = errors.New("no way to ask other voters is configured")
	}
	return nil
}

// take notes an answer and reports whether it counts.
func (q *question) take(h heard) bool {
	q.open[h.id]--
	if h.err != nil {
		q.last = h.err
		return false
	}
	q.clocks.hear(h.id, h.answer.Clock)
	return true
}

// tally holds the lowest answer of each voter.
type tally struct {
	majority int
	of       map[raft.ServerID]uint64
	sorted   []uint64
}

func newTally(voters int) *tally {
	return &tally{majority: voters/2 + 1, of: make(map[raft.ServerID]uint64, voters)}
}

func (t *tally) count() int { return len(t.of) }

// add notes an answer, and reports whether it lowered a target that was already there. All answers of a round were given
// after it began, so of two by the same voter either may be used.
func (t *tally) add(id raft.ServerID, last uint64) (lowered bool) {
	before, had := t.target()
	if old, ok := t.of[id]; ok && old <= last {
		return false
	}
	t.of[id] = last
	t.sorted = t.sorted[:0]
	for _, v := range t.of {
		t.sorted = append(t.sorted, v)
	}
	slices.Sort(t.sorted)
	after, _ := t.target()
	return had && after < before
}

// target is the highest answer of the majority that answered lowest: any majority will do, and the lowest leaves out an
// ex-leader with a long tail that nobody will ever commit.
func (t *tally) target() (uint64, bool) {
	if len(t.sorted) < t.majority {
		return 0, false
	}
	return t.sorted[t.majority-1], true
}

// waiter waits for the state machine to reach a target that may still be lowered.
type waiter struct {
	fsm     Machine
	reached chan *fsm.State
	target  uint64
	cancel  context.CancelFunc
}

// at returns the state if it is at the target; otherwise it sees to it that reached delivers it when it is.
func (w *waiter) at(ctx context.Context, target uint64) *fsm.State {
	if s := w.fsm.State(); s.Index() >= target {
		return s
	}
	if w.cancel != nil && w.target <= target {
		return nil
	}
	if w.cancel != nil {
		w.cancel()
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.target = target
	go func() {
		s, err := w.fsm.Wait(ctx, target)
		if err != nil {
			return
		}
		select {
		case w.reached <- s:
		case <-ctx.Done():
		}
	}()
	return nil
}
