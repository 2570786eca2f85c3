package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region"
)

// node is one running node: the composition root. Everything is made here and handed down.
type node struct {
	cfg     *config.File
	log     *slog.Logger
	module  hsm.Module
	audit   *audit.Log
	cluster *cluster.Node
	service *region.Service
	server  *api.Server
	metrics *prometheus.Registry
	started time.Time
	// life ends when the node begins to close.
	life context.Context
	end  context.CancelFunc
	// stopping is set when the node begins to close.
	stopping atomic.Bool
	// failed receives the first error after which the process must end.
	failed chan error
}

// openNode opens everything that a node is made of, in the order of the imports, and closes what it had opened if a part fails.
// With bootstrap an empty data directory becomes the first node of a new region, which init then makes.
func openNode(cfg *config.File, log *slog.Logger, bootstrap bool) (n *node, err error) {
	n = &node{cfg: cfg, log: log, metrics: newRegistry(), started: time.Now(), failed: make(chan error, 1)}
	n.life, n.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.close(context.Background())
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if n.module, err = openHSM(cfg, bootstrap, log); err != nil {
		return nil, err
	}
	n.module = hsm.Observe(n.module, hsmMetrics(n.metrics))
	raftDir := filepath.Join(cfg.DataDir, "raft")
	id, err := nodeID(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if n.audit, err = n.openAudit(id); err != nil {
		return nil, err
	}
	machine, err := fsm.New(fsm.Options{
		Sink: n.sink, SyncSink: n.syncSink, OnEvent: n.event, Fatal: n.fatal, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if n.cluster, err = cluster.Open(cluster.Config{
		Dir: raftDir, FSM: machine, Fatal: n.fatal, Logger: log, Bootstrap: bootstrap, NodeID: id,
		HeartbeatTimeout: n.raftTimeout(), ElectionTimeout: n.raftTimeout(), LeaseTimeout: n.raftTimeout(),
	}); err != nil {
		return nil, err
	}
	n.service = region.New(region.Config{
		Partition: cfg.Partition, Region: cfg.Region, Cluster: n.cluster, HSM: n.module, Logger: log,
		Record: func(ev region.InternalEvent) []byte { return api.InternalRecord(cfg.Region, ev) },
	})
	m := api.NewMetrics()
	m.Register(n.metrics)
	registerNodeMetrics(n)
	n.server = api.NewServer(api.Config{
		Service: n.service, Audit: n.audit, Logger: log, Metrics: m,
		MaxInFlight: cfg.Limits.MaxInFlight, Timeout: cfg.Limits.Timeout,
	})
	return n, nil
}

// nodeID is the node's id, drawn at the first start. It is durable before anything is named by it.
func nodeID(dataDir string) (string, error) {
	path := filepath.Join(dataDir, "node-id")
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("node id: %w", err)
	}
	id := cluster.NewID()
	return id, writeDurably(path, []byte(id+"\n"))
}

// writeDurably writes a small file so that after a crash it is there whole or not at all.
func writeDurably(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sink writes the records of a committed change, one a line. Some of the region's own changes have none.
func (n *node) sink(index uint64, record []byte) error {
	if len(record) == 0 {
		return nil
	}
	return n.audit.AppendCommitted(index, bytes.Split(record, []byte{'\n'})...)
}

// syncSink makes the records durable before a snapshot lets raft forget the changes.
func (n *node) syncSink(uint64) error { return n.audit.Sync(context.Background()) }

// event drops from the HSM what a change has taken away.
func (n *node) event(ev fsm.Event) {
	if n.service != nil {
		n.service.Forget(ev)
	}
}

// fatal ends the process: only a new start reads from the disk what is really there.
func (n *node) fatal(err error) {
	n.log.Error("the node must stop", "error", err)
	select {
	case n.failed <- err:
	default:
	}
}

// ready waits until the node leads or follows and can read, and its HSM holds the region's domain key.
func (n *node) ready(ctx context.Context) error {
	if err := n.readable(ctx); err != nil {
		return err
	}
	if err := n.service.Unlock(ctx); err != nil {
		return err
	}
	return n.writeAuditKey(n.cluster.State())
}

// readable waits until a read round succeeds.
func (n *node) readable(ctx context.Context) error {
	for {
		_, err := n.cluster.View(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node did not become readable: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// soloTimeout is how long the only voter of a region waits before it elects itself: nobody else could be the leader.
const soloTimeout = 20 * time.Millisecond

// raftTimeout is the heartbeat and election timeout.
func (n *node) raftTimeout() time.Duration { return soloTimeout }

// work starts what the node does without being asked.
func (n *node) work() {
	n.cluster.WhileLeader("schedule", func(ctx context.Context, _ uint64) { n.service.Schedule(ctx) })
	go n.service.ReportUsage(n.life)
}

// close ends the node, last opened first. It can be called on a node that is half open.
func (n *node) close(ctx context.Context) {
	n.stopping.Store(true)
	n.end()
	if n.service != nil {
		n.service.Close()
	}
	if n.cluster != nil {
		n.logClose("cluster", n.cluster.Close())
	}
	if n.audit != nil {
		n.logClose("audit log", n.audit.Close(ctx))
	}
	if n.module != nil {
		n.logClose("HSM", n.module.Close())
	}
}

func (n *node) logClose(what string, err error) {
	if err != nil {
		n.log.Warn("did not close cleanly", "part", what, "error", err)
	}
}
