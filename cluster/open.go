package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/raft"
)

// Open starts a node on its data directory: it restores the newest good snapshot, replays the log once a leader has
// confirmed it, and takes part in the group. It returns as soon as the node runs; View and Propose wait for what they
// need. Exactly one process can have a directory open.
//
// It refuses (ErrDiskLost) a directory that names a node but has lost its log or the snapshot that its log builds on: such
// a node does not know what it has promised.
func Open(cfg Config) (*Node, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: c, fsm: c.FSM, born: time.Now(), life: newLifeline(nil), volume: newVolume(c), gates: newGates(),
		clocks: newClocks(c.Clock), proposals: newAdmission(c.MaxProposals)}
	n.alive, n.die = context.WithCancel(context.Background())
	n.life.fatal, n.pace.ended = n.onFatal, n.alive.Done()
	inner, err := n.openStorage()
	if err != nil {
		n.die()
		return nil, err
	}
	if err := n.start(inner); err != nil {
		n.die()
		return nil, errors.Join(err, inner.Close())
	}
	n.background(n.followLeadership)
	n.background(n.watchLeader)
	n.background(n.watchSilence)
	n.background(n.upkeep)
	c.Logger.Info("cluster: node started", "node", n.id.NodeID, "cluster", n.id.ClusterID, "term", n.raft.CurrentTerm(),
		"last", n.store.last.Load(), "snapshot", n.fsm.State().Index())
	return n, nil
}

// onFatal is the end of the node: nothing is sent, served or acknowledged from here on.
func (n *Node) onFatal(err error) {
	n.cfg.Logger.Error("cluster: the log cannot be trusted any more, the process must end", "error", err)
	n.die()
	n.cfg.Fatal(err)
}

// openStorage opens what the node keeps on the disk.
func (n *Node) openStorage() (Storage, error) {
	if open := n.cfg.mutation.storage; open != nil {
		s, snaps, id, err := open(n.cfg)
		n.snaps, n.id = &snapshots{inner: snaps}, id
		return s, err
	}
	if err := os.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: make the data directory: %w", err)
	}
	n.volume.look() // before the first write: a full volume gets the ballast back now
	bolt, id, err := openLog(n.cfg)
	if err != nil {
		return nil, err
	}
	n.id = id
	first, err := bolt.FirstIndex()
	last, err2 := bolt.LastIndex()
	if err = errors.Join(err, err2); err == nil {
		n.snaps, err = openSnapshots(n.cfg.Dir, n.cfg.SnapshotRetain, newRaftLogger(n.cfg.Logger), &n.pace)
	}
	if err == nil {
		err = n.snaps.expect(first, last, bolt.gap)
	}
	if err != nil {
		bolt.Close()
		return nil, err
	}
	if n.cfg.WrapStorage != nil {
		return n.cfg.WrapStorage(bolt), nil
	}
	return bolt, nil
}

// start builds the library's node on the storage.
func (n *Node) start(inner Storage) error {
	store, err := newGuard(inner, n.life, &n.pace)
	if err != nil {
		return err
	}
	n.store, n.server = store, raft.ServerID(n.id.NodeID)
	trans, err := n.transport()
	if err != nil {
		return err
	}
	var logs raft.LogStore = store
	if n.cfg.LogCache > 0 {
		if logs, err = raft.NewLogCache(n.cfg.LogCache, store); err != nil {
			return err
		}
	}
	if err := n.newRaft(logs, trans); err != nil {
		if c, ok := trans.(raft.WithClose); ok {
			c.Close()
		}
		return err
	}
	n.snaps.started()
	n.snaps.any = n.cfg.mutation.anySnapshot
	n.reader = &reader{self: n.server, clusterID: n.id.ClusterID, fsm: n.fsm, local: n.lastIndex, peers: n.cfg.Peers,
		clocks: n.clocks, reask: n.cfg.ReaskInterval, mutation: &n.cfg.mutation}
	n.batches = &batches{round: n.readRound, timeout: n.cfg.ReadTimeout, parent: n.alive, joinRun: n.cfg.mutation.joinRunning}
	return nil
}

// transport is the configured transport with its guards.
func (n *Node) transport() (raft.Transport, error) {
	var t raft.Transport
	if n.cfg.Transport == nil {
		_, t = raft.NewInmemTransport(raft.ServerAddress(n.id.NodeID))
	} else {
		var err error
		if t, err = n.cfg.Transport(n.id); err != nil {
			return nil, fmt.Errorf("cluster: transport: %w", err)
		}
	}
	w := newWire(t, n.life, n.stuck, !n.cfg.mutation.noClamp)
	if n.cfg.mutation.fastPath {
		return t, nil
	}
	return w, nil
}

// newRaft starts the library in a goroutine of its own: it writes its term, and a write that fails ends its goroutine.
func (n *Node) newRaft(logs raft.LogStore, trans raft.Transport) error {
	err := errors.New("cluster: the library ended without an error")
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.raft, err = raft.NewRaft(n.cfg.raft(n.id), n.fsm, logs, n.store, n.snaps, trans)
	}()
	<-done
	if e := n.life.err(); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("cluster: start Raft: %w", err)
	}
	return nil
}
