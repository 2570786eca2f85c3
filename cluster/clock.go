package cluster

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm/planted"
)

// Bounds of region time.
const (
	// clockFresh is how long a voter's answer stands for its clock. A voter that has been silent for longer counts as
	// not yet having passed any instant.
	clockFresh = 5 * time.Second
	// MaxClockOff is how far a node's clock may be from region time before the node turns unhealthy and proposes nothing.
	MaxClockOff = 30 * time.Second
)

// regionTime is the latest instant that a majority of all voters has passed: with the readings in descending order, the
// one at the place of the majority. Silent voters have no reading and pull it towards "not yet". ok is false if fewer
// than a majority have a reading. One voter: its own clock; two: the slower one; three: the median.
func regionTime(readings []int64, voters int) (ms int64, ok bool) {
	majority := voters/2 + 1
	if voters == 0 || len(readings) < majority {
		return 0, false
	}
	slices.Sort(readings)
	return readings[len(readings)-majority], true
}

// reading is what a voter's clock said, and when it was heard.
type reading struct {
	ms    int64
	heard time.Time // by this node's monotonic clock
}

// clocks follows the clocks of the voters and gives region time, which never runs backwards here.
type clocks struct {
	own   func() time.Time
	floor atomic.Int64 // the latest region time given so far, Unix milliseconds

	mu   sync.Mutex
	seen map[raft.ServerID]reading
}

func newClocks(own func() time.Time) *clocks {
	return &clocks{own: own, seen: map[raft.ServerID]reading{}}
}

// hear notes another voter's clock, as it was at the latest when its answer arrived.
func (c *clocks) hear(id raft.ServerID, ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[id] = reading{ms, time.Now()}
}

// heard is when a voter last answered, zero if it never did.
func (c *clocks) heard(id raft.ServerID) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[id].heard
}

// keep forgets the clocks of nodes that are no voters.
func (c *clocks) keep(voters []raft.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.seen {
		if !slices.ContainsFunc(voters, func(s raft.Server) bool { return s.ID == id }) {
			delete(c.seen, id)
		}
	}
}

// now gives region time, at least atLeast (the time in the state). A reading is carried forward by the time since it was
// heard: clocks run at nearly the same speed, so over clockFresh the error is far below a millisecond a second.
func (c *clocks) now(cfg raft.Configuration, self raft.ServerID, atLeast int64) int64 {
	if ms, ok := c.estimate(cfg, self); ok {
		atLeast = max(atLeast, ms)
	}
	raise(&c.floor, atLeast)
	return c.floor.Load()
}

func (c *clocks) estimate(cfg raft.Configuration, self raft.ServerID) (int64, bool) {
	own := c.own().UnixMilli()
	if soleVoter(cfg, self) {
		return own, true
	}
	var few [8]int64
	readings, voters := few[:0], 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range cfg.Servers {
		s := &cfg.Servers[i]
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == self {
			readings = append(readings, own)
		} else if r, ok := c.seen[s.ID]; ok {
			if d := time.Since(r.heard); d <= clockFresh {
				readings = append(readings, r.ms+d.Milliseconds())
			}
		}
	}
	return regionTime(readings, voters)
}

// off is how far this node's own clock is ahead of region time (negative: behind). ok is false while region time is not
// known, because too few voters were heard of lately.
func (c *clocks) off(cfg raft.Configuration, self raft.ServerID, atLeast int64) (d time.Duration, ok bool) {
	if _, ok := c.estimate(cfg, self); !ok {
		return 0, false
	}
	own := c.own().UnixMilli()
	return time.Duration(own-c.now(cfg, self, atLeast)) * time.Millisecond, true
}

// askClocks asks the voters that have not been heard of for PingInterval what their clock says. A read round ends with the
// answers of a majority and drops the others: without a question of its own the voter that is always the last would
// count as silent, and region time would be the slower clock of two instead of the median. A node that has just started, and that
// no leader talks to, learns from the answers whether it was removed: it asks those in its log.
func (n *Node) askClocks() {
	_, cfg := n.fsm.State().Config()
	if len(cfg.Servers) == 0 {
		cfg = n.raft.GetConfiguration().Configuration()
	}
	for _, v := range raftVoters(cfg) {
		if v.ID == n.server || time.Since(n.clocks.heard(v.ID)) < n.cfg.PingInterval {
			continue
		}
		if _, asking := n.asking.LoadOrStore(v.ID, true); asking {
			continue
		}
		n.background(func() {
			defer n.asking.Delete(v.ID)
			if a, err := n.question(n.alive, v); err == nil {
				n.clocks.hear(v.ID, a.Clock)
			}
		})
	}
}

// soleVoter reports whether self is the only voter of cfg.
func soleVoter(cfg raft.Configuration, self raft.ServerID) bool {
	sole := false
	for i := range cfg.Servers {
		if s := &cfg.Servers[i]; s.Suffrage == raft.Voter {
			if s.ID != self {
				return false
			}
			sole = true
		}
	}
	return sole
}

// Now is region time, in whole milliseconds: the latest instant that a majority of the voters has passed (one voter: its
// own clock). It never runs backwards, and is never before the time in the state. While no majority has been heard of
// lately it stands still, so that nothing expires or is destroyed by one node's clock. It takes no lock with one voter.
func (n *Node) Now() time.Time {
	if planted.Bug(planted.LocalClock) {
		return n.cfg.Clock()
	}
	s := n.fsm.State()
	_, cfg := s.Config()
	return time.UnixMilli(n.clocks.now(cfg, n.server, s.Now()))
}

// clockErr says why this node's clock keeps it from proposing, nil if it does not.
func (n *Node) clockErr() error {
	s := n.fsm.State()
	_, cfg := s.Config()
	d, ok := n.clocks.off(cfg, n.server, s.Now())
	if !ok || d.Abs() <= MaxClockOff {
		return nil
	}
	return fmt.Errorf("%w (%v ahead)", ErrClockOff, d)
}
