package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// Machine is the replicated state machine as a node needs it; *fsm.FSM is one. Restore must refuse a snapshot that is
// older than the state it would replace, and leave that state alone if it fails.
type Machine interface {
	raft.FSM
	// State is the latest state, never nil, without taking a lock.
	State() *fsm.State
	// Wait returns a state whose index is at least index, or the context's error.
	Wait(ctx context.Context, index uint64) (*fsm.State, error)
}

// Config says how to open a node. The zero value of a duration, size or count means the default beside it.
type Config struct {
	// Dir is the node's own data directory; it is made if absent.
	Dir string
	// FSM is the state machine, in its initial state. Open restores it.
	FSM Machine
	// Fatal is called once, on any goroutine, when the node's storage has failed and the process must end: only a new
	// start reads from the disk what is really there. The node is silent from then on, whether Fatal returns or not.
	Fatal func(error)
	// Logger receives one line per change of state, and faults. nil discards.
	Logger *slog.Logger

	// Bootstrap starts a new group with this node as its only voter. The directory must be empty (HasNode).
	Bootstrap bool
	// ClusterID is the group to join with an empty directory; with a node in it, it must be the node's. Empty: the
	// node's own, or a random one for a bootstrap.
	ClusterID string
	// NodeID is the id to take with an empty directory; with a node in it, it must be the node's. Empty: the node's own,
	// or a random one. Never reuse an id.
	NodeID string
	// Address is what the first configuration names for this node; its id if empty. Used by a bootstrap only.
	Address string

	// Transport makes the Raft transport of the node; nil is an in-memory one that reaches nobody, enough for one voter.
	// The node closes it.
	Transport func(Identity) (raft.Transport, error)
	// Peers asks other voters in read rounds; nil fails them as soon as there is another voter.
	Peers Peers
	// Forwarder takes a proposal to the leader; nil makes Propose return ErrNotLeader where another node leads.
	Forwarder Forwarder

	// Unfit says why this node should not lead beyond what it sees itself, nil if it can; it must not block. nil: nothing.
	Unfit func() error
	// UnfitThere asks another voter for its Node.Unfit, "" if it is fit to lead or too old to say. A leader that is unfit gives
	// leadership only to one that is fit. nil: all that answer are.
	UnfitThere func(ctx context.Context, voter raft.Server) (why string, err error)

	// Clock is this node's clock, time.Now if nil. It is read for region time only; waiting goes by the real clock.
	Clock func() time.Time

	HeartbeatTimeout time.Duration // 1 s: silence after which a follower stands for election
	ElectionTimeout  time.Duration // 1 s
	LeaseTimeout     time.Duration // 500 ms: silence of a majority after which a leader steps down

	SnapshotThreshold uint64        // 8192 entries since the last snapshot
	SnapshotInterval  time.Duration // 2 min between looks at the threshold
	SnapshotRetain    int           // 2 snapshots kept; at least 2, since the newest may turn out damaged
	LogCache          int           // 128 entries of the log kept in memory for followers; negative: none

	ReadTimeout    time.Duration // 2 s: bound of a read round
	ReaskInterval  time.Duration // 75 ms without a result: ask again
	ProposeTimeout time.Duration // 10 s: bound of a proposal whose context has no deadline
	PingInterval   time.Duration // 1 s between read rounds of the node's own, for health and clocks
	MaxProposals   int           // 4096 proposals under way; more are ErrTooBusy

	// MinFree is the low-water mark of the volume, 128 MiB: below it the node refuses writes, gives leadership to a voter
	// that is fit, if there is one, and is unhealthy. Negative: no check.
	MinFree int64
	// Ballast is a file of this size, 64 MiB, given up when less than a quarter of MinFree is left, so that the log's own
	// writes (term, vote, truncation) still find space. Negative: none.
	Ballast int64
	// DiskInterval is the time between looks at the free space, 5 s.
	DiskInterval time.Duration
	// FreeSpace returns the bytes that are free for this process on the volume of a directory; nil asks the system.
	FreeSpace func(dir string) (uint64, error)

	// WrapStorage, if set, is put around the log store, below everything that reacts to its errors.
	WrapStorage func(Storage) Storage

	mutation mutation
}

// mutation is what only this package's tests change: planted faults, so that tests can show that they would find them, and
// limits that make rare things frequent. The zero value changes nothing.
type mutation struct {
	noClamp     bool                                                         // send LeaderCommitIndex as the library sets it
	noCfgCheck  bool                                                         // serve although the configuration has changed
	joinRunning bool                                                         // let a reader join the round in flight
	nonvoters   bool                                                         // count non-voters as voters
	electorate  func(raft.Configuration) raft.Configuration                  // ask the voters of another configuration
	fastPath    bool                                                         // let the library have its heartbeat fast path
	anySnapshot bool                                                         // close snapshots in any order
	anyLevel    bool                                                         // propose what others may not know
	noTermStart bool                                                         // open no term
	noVigil     bool                                                         // leave it to the library when to stand for election
	noPlace     bool                                                         // stand in the order of the ids
	read        func(context.Context, *Node) (*fsm.State, error)             // read in another way
	storage     func(*Config) (Storage, raft.SnapshotStore, Identity, error) // keep nothing on the disk
	trailing    uint64                                                       // TrailingLogs
	lockTimeout time.Duration                                                // wait for the log's lock
	maxAppend   int                                                          // MaxAppendEntries
}

func orDefault[T ~int | ~int64 | ~uint64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// withDefaults checks the configuration and fills it in.
func (c Config) withDefaults() (*Config, error) {
	switch {
	case c.Dir == "" && c.mutation.storage == nil:
		return nil, errors.New("cluster: Config.Dir is empty; name the node's data directory")
	case c.FSM == nil:
		return nil, errors.New("cluster: Config.FSM is nil")
	case c.Fatal == nil:
		return nil, errors.New("cluster: Config.Fatal is nil; it must end the process")
	case c.SnapshotRetain != 0 && c.SnapshotRetain < 2:
		return nil, fmt.Errorf("cluster: Config.SnapshotRetain is %d; keep at least 2 snapshots", c.SnapshotRetain)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.FreeSpace == nil {
		c.FreeSpace = freeSpace
	}
	orDefault(&c.HeartbeatTimeout, time.Second)
	orDefault(&c.ElectionTimeout, time.Second)
	orDefault(&c.LeaseTimeout, 500*time.Millisecond)
	orDefault(&c.SnapshotThreshold, 8192)
	orDefault(&c.SnapshotInterval, 2*time.Minute)
	orDefault(&c.SnapshotRetain, 2)
	orDefault(&c.LogCache, 128)
	orDefault(&c.ReadTimeout, 2*time.Second)
	orDefault(&c.ReaskInterval, 75*time.Millisecond)
	orDefault(&c.ProposeTimeout, 10*time.Second)
	orDefault(&c.PingInterval, time.Second)
	orDefault(&c.MaxProposals, 4096)
	orDefault(&c.MinFree, 128<<20)
	orDefault(&c.Ballast, 64<<20)
	orDefault(&c.DiskInterval, 5*time.Second)
	plant(&c.mutation)
	return &c, nil
}

func (c *Config) lockTimeout() time.Duration {
	if c.mutation.lockTimeout > 0 {
		return c.mutation.lockTimeout
	}
	return lockTimeout
}

// raft is the library's configuration of a node.
func (c *Config) raft(id Identity) *raft.Config {
	r := raft.DefaultConfig()
	r.ProtocolVersion = 3 // ids, not addresses, name servers; configurations reach the state machine
	r.LocalID = raft.ServerID(id.NodeID)
	r.Logger = newRaftLogger(c.Logger)
	r.HeartbeatTimeout, r.LeaderLeaseTimeout = backstop(c.HeartbeatTimeout), c.LeaseTimeout // see silence.go
	r.ElectionTimeout = max(r.HeartbeatTimeout, c.ElectionTimeout)
	// Followers learn of a commit within twice this time; it bounds reads on them after a write, and how soon the
	// survivors of a leader can serve reads. Setting it low needs the clamp in transport.go.
	r.CommitTimeout = 5 * time.Millisecond
	r.SnapshotThreshold, r.SnapshotInterval = c.SnapshotThreshold, c.SnapshotInterval
	// TrailingLogs keeps the library's default: with few, a node that returns with a divergent tail can be sent a
	// snapshot again and again without end (hashicorp/raft#697).
	if c.mutation.trailing > 0 {
		r.TrailingLogs = c.mutation.trailing
	}
	if c.mutation.maxAppend > 0 {
		r.MaxAppendEntries = c.mutation.maxAppend
	}
	// A proposal that waits is picked up by the leader's group commit without a buffered channel, since receiving from an
	// unbuffered one takes from every waiting sender. A buffer would take proposals in that nobody may ever look at:
	// their enqueue timeout would no longer prove that nothing was written, and they would hang after a shutdown.
	r.BatchApplyCh = false
	r.ShutdownOnRemove = false         // a removed node stays up, refuses reads, and can be asked why
	r.NoSnapshotRestoreOnStart = false // the state machine lives in memory
	r.NoLegacyTelemetry = true
	return r
}
