package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Status is a node's condition at one moment, for health pages and metrics.
type Status struct {
	Identity
	// State is Follower, Candidate, Leader or Shutdown.
	State string
	Term  uint64
	// LeaderID is the node believed to lead, "" if none is known. It does not bear on health: reads need no leader.
	LeaderID string
	// Leading tells that this node leads and has opened its term.
	Leading bool
	// Voter tells that the applied configuration gives this node a vote; Voters is how many there are.
	Voter  bool
	Voters int

	// CommitIndex is what raft knows to be committed, AppliedIndex what the state machine has applied, LastIndex the end
	// of the log, FirstIndex its start, SnapshotIndex the end of the newest snapshot.
	CommitIndex, AppliedIndex, LastIndex, FirstIndex, SnapshotIndex uint64
	// LogBytes is the size of the log file.
	LogBytes int64

	// LastRound is when the latest good read round began (zero: none yet), RoundTime how long it took.
	LastRound time.Time
	RoundTime time.Duration
	// Counts since the start. Reads of a sole voter that did not have to wait are not counted.
	Rounds, RoundsFailed, Asked, Reasked, RoundsRedone, TargetsLowered uint64

	// Proposals under way.
	Proposals int
	// Writes of the log store since the start (each is two fsyncs), entries and bytes in them, the longest one, and how
	// long the one under way has taken.
	Writes, Entries, EntryBytes uint64
	SlowestWrite, WriteStall    time.Duration
	// SnapshotsFailed counts snapshots that could not be completed or were refused.
	SnapshotsFailed uint64

	// RegionTime is region time; ClockOff how far this node's clock is ahead of it, if ClockKnown.
	RegionTime time.Time
	ClockOff   time.Duration
	ClockKnown bool

	// DiskFree is the free space at the last look, 0 if it is not watched; DiskLow tells that writes are refused.
	DiskFree uint64
	DiskLow  bool
	// Failure is the failure of the log that ended the node, nil if there was none.
	Failure error
}

// Status reads the node's condition. It does not wait for anything but the disk.
func (n *Node) Status() Status {
	s := n.fsm.State()
	_, cfg := s.Config()
	_, leader := n.raft.LeaderWithID()
	st := Status{
		Identity: n.id, State: n.raft.State().String(), Term: n.raft.CurrentTerm(), LeaderID: string(leader),
		Leading:     n.lead.Load() != nil,
		CommitIndex: n.raft.CommitIndex(), AppliedIndex: s.Index(), LastIndex: max(n.store.last.Load(), n.raft.LastIndex()),
		LastRound: n.lastRoundAt(), RoundTime: time.Duration(n.roundTime.Load()),
		Rounds: n.roundsDone.Load(), RoundsFailed: n.roundsFailed.Load(), Asked: n.reader.asked.Load(),
		Reasked: n.reader.reasked.Load(), RoundsRedone: n.reader.redone.Load(), TargetsLowered: n.reader.lowered.Load(),
		Proposals: n.proposals.underWay(),
		Writes:    n.store.writes.Load(), Entries: n.store.entries.Load(), EntryBytes: n.store.bytes.Load(),
		SlowestWrite: time.Duration(n.store.slowest.Load()), WriteStall: n.store.stall(),
		SnapshotsFailed: n.snaps.failed.Load(),
		RegionTime:      n.Now(),
		DiskFree:        n.volume.left.Load(), DiskLow: n.volume.low.Load(), Failure: n.life.err(),
	}
	st.ClockOff, st.ClockKnown = n.clocks.off(cfg, n.server, s.Now())
	for _, v := range raftVoters(cfg) {
		st.Voters++
		st.Voter = st.Voter || v.ID == n.server
	}
	n.diskStatus(&st)
	return st
}

// diskStatus adds what has to be read from the disk. It goes past the guard, whose errors end goroutines.
func (n *Node) diskStatus(st *Status) {
	if n.stopped() {
		return
	}
	if first, err := n.store.inner.FirstIndex(); err == nil {
		st.FirstIndex = first
	}
	if top, err := n.snaps.newest(); err == nil && top != nil {
		st.SnapshotIndex = top.Index
	}
	if fi, err := os.Stat(filepath.Join(n.cfg.Dir, logFile)); err == nil {
		st.LogBytes = fi.Size()
	}
}

// Bounds of health.
const (
	// roundsLate is how many ping intervals (and one round's bound) may pass without a good read round.
	roundsLate = 3
)

// Healthy is nil if the node can serve: it has completed a read round lately, its disk takes writes, has space, and its
// clock is right. The error says what is wrong, all of it. That there is no leader does not count, so that a load balancer
// does not drain every survivor at each election.
func (n *Node) Healthy() error {
	if err := n.stopErr(); err != nil {
		return err
	}
	var late error
	if at := n.lastRoundAt(); at.IsZero() {
		late = errors.New("cluster: no read round has succeeded since the start; wait for the log to be replayed and for a majority of the voters")
	} else if d := time.Since(at); d > roundsLate*n.cfg.PingInterval+n.cfg.ReadTimeout {
		late = fmt.Errorf("cluster: no read round has succeeded for %v; check that a majority of the voters is up and reachable", d.Round(time.Millisecond))
	}
	var slow error
	if d := n.store.stall(); d > stuckLimit {
		slow = fmt.Errorf("cluster: a write of the log has been stuck for %v; check the disk", d.Round(time.Millisecond))
	}
	return errors.Join(late, slow, n.volume.err(), n.clockErr())
}
