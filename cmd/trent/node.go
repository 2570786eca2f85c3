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
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/multiregion"
)

// node is one running node: the composition root. Everything is made here and handed down.
type node struct {
	cfg     *config.File
	log     *slog.Logger
	module  hsm.Module
	hsm     *hsmWatch
	audit   *audit.Log
	cluster *cluster.Node
	service *region.Service
	server  *api.Server
	wire    *transport.Server // nil if the node is alone by its configuration
	members *region.Members
	regions *region.Regions     // nil if wire is
	engine  *multiregion.Engine // nil if wire is
	// opened is closed once every part is there. Parts that are opened early run at once and call into later ones: they wait.
	opened  chan struct{}
	metrics *prometheus.Registry
	started time.Time
	// life ends when the node begins to close.
	life context.Context
	end  context.CancelFunc
	// draining is set when the node is about to close and still serves.
	draining atomic.Bool
	// serving ends when the listeners begin to shut down: streams that have no end by themselves end then.
	serving    context.Context
	endStreams context.CancelFunc
	// stopping is set when the node begins to close.
	stopping atomic.Bool
	// removed is why the node does not belong to the region any more, nil while it does; dismissed is closed then.
	removed   atomic.Pointer[error]
	dismissed chan struct{}
	// failed receives the first error after which the process must end.
	failed chan error
	// disturb is what the chaos harness has between the parts; in other builds it does nothing.
	disturb disturbance
}

// openNode opens everything that a node is made of, in the order of the imports, and closes what it had opened if a part fails.
// With bootstrap an empty data directory becomes the first node of a new region, which init then makes.
func openNode(cfg *config.File, log *slog.Logger, bootstrap bool) (_ *node, err error) {
	return openNodeAt(cfg, filepath.Join(cfg.DataDir, "raft"), log, bootstrap)
}

// openNodeAt is openNode for a log that is in another directory for the time being.
func openNodeAt(cfg *config.File, raftDir string, log *slog.Logger, bootstrap bool) (*node, error) {
	return openNodeWith(cfg, raftDir, log, bootstrap, nil)
}

// openNodeWith is openNodeAt for a node whose HSM is open already, unless opened is nil. The node closes it, also if it does not open.
func openNodeWith(cfg *config.File, raftDir string, log *slog.Logger, bootstrap bool, opened hsm.Module) (_ *node, err error) {
	paceCollector()
	n := &node{cfg: cfg, log: log, metrics: newRegistry(), started: time.Now(), opened: make(chan struct{}), dismissed: make(chan struct{}), failed: make(chan error, 1)}
	n.life, n.end = context.WithCancel(context.Background())
	n.serving, n.endStreams = context.WithCancel(n.life)
	defer func() {
		if err != nil {
			if n.module == nil && opened != nil {
				_ = opened.Close()
			}
			// Nobody can sign the audit heads that wait; the next start does.
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			n.close(ctx)
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	module := opened
	if module == nil {
		if module, err = openHSM(cfg, bootstrap, log); err != nil {
			return nil, err // module may hold a nil pointer, which close must not see
		}
	}
	if err := n.disturb.start(n); err != nil {
		return nil, err
	}
	n.module = hsm.Observe(n.disturb.module(module), hsmMetrics(n.metrics))
	n.hsm = &hsmWatch{module: n.module}
	id, err := nodeID(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if n.audit, err = n.openAudit(id); err != nil {
		return nil, err
	}
	machine, err := fsm.New(fsm.Options{
		Sink: n.disturb.sink(n.sink), SyncSink: n.syncSink, OnEvent: n.event, Fatal: n.fatal, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	cc := cluster.Config{
		Dir: raftDir, FSM: machine, Fatal: n.fatal, Logger: log, Bootstrap: bootstrap, NodeID: id, Unfit: n.hsm.err,
		HeartbeatTimeout: soloTimeout, ElectionTimeout: soloTimeout, LeaseTimeout: soloTimeout,
	}
	if cfg.Cluster != nil {
		if err := n.openPort(id, machine, &cc); err != nil {
			return nil, err
		}
	}
	n.disturb.cluster(&cc, machine)
	if n.cluster, err = cluster.Open(cc); err != nil {
		return nil, err
	}
	var maxStaleness time.Duration
	if cfg.Federation != nil {
		maxStaleness = cfg.Federation.MaxStaleness
	}
	n.service = region.New(region.Config{
		Partition: cfg.Partition, Region: cfg.Region, Cluster: n.cluster, HSM: n.module, Logger: log,
		BuiltIn: api.BuiltInPolicies(cfg.Partition), MaxIdentityStaleness: maxStaleness,
		Record:         func(ev region.InternalEvent) []byte { return api.InternalRecord(cfg.Region, ev) },
		RecordOperator: func(ev region.OperatorEvent) []byte { return api.OperatorRecord(cfg.Region, ev) },
	})
	n.members = region.NewMembers(n.service, n.cluster, n.wire)
	serveLeases(n.members, cfg.Limits.Quotas)
	n.serveAudit()
	n.servePort()
	if err := n.openRegions(); err != nil {
		return nil, err
	}
	m := api.NewMetrics()
	m.Register(n.metrics)
	registerNodeMetrics(n)
	n.server = api.NewServer(api.Config{
		Service: n.service, Audit: n.audit, Logger: log, Metrics: m,
		MaxInFlight: cfg.Limits.MaxInFlight, Timeout: cfg.Limits.Timeout,
		Quotas: cfg.Limits.Quotas, Lessor: lessor{n.members}, Operator: n.operatorAPI(),
	})
	close(n.opened)
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
	if known, err := cluster.ReadIdentity(filepath.Join(dataDir, "raft")); err == nil {
		id = known.NodeID // the file was lost; the log knows who this is
	}
	return id, writeDurably(path, []byte(id+"\n"))
}

// writeDurably writes a small file, readable by its owner only, so that after a crash it is there whole or not at all.
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

// event drops from the HSM and from memory what a change has taken away. While the node opens nothing has been loaded yet.
func (n *node) event(ev fsm.Event) {
	select {
	case <-n.opened:
		n.service.Forget(ev)
		n.server.Forget(ev)
		if ev.Kind == fsm.EventIdentities && n.engine != nil {
			n.engine.Changed() // regions that follow learn of it at once
		}
	default:
	}
}

// fatal ends the process: only a new start reads from the disk what is really there.
func (n *node) fatal(err error) {
	n.log.Error("the node must stop", "error", err)
	n.fail(err)
}

// fail has whoever waits for the node's end know why it ends; the first cause counts.
func (n *node) fail(err error) {
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
	if err := n.members.ImportDomains(ctx); err != nil {
		return err
	}
	if err := n.service.Unlock(ctx); err != nil {
		return err
	}
	if n.disturb.votes() {
		n.members.Ready()
	}
	st := n.cluster.State()
	n.checkAuditEnd(st)
	return errors.Join(n.writeAuditKey(st), n.writeAuditHead(st))
}

// readable waits until a read round succeeds.
func (n *node) readable(ctx context.Context) error {
	for {
		_, err := n.cluster.View(ctx)
		if err == nil {
			return nil
		}
		select {
		case err := <-n.failed:
			n.fail(err) // also for who waits after this
			return err  // what the disk holds cannot be applied: waiting changes nothing
		case <-n.dismissed:
			return n.membership()
		case <-n.life.Done():
			return errStopping
		case <-ctx.Done():
			return fmt.Errorf("the node did not become readable: %w", errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// soloTimeout is how long a node without a cluster block waits before it elects itself: nobody else could be the leader.
const soloTimeout = 20 * time.Millisecond

// work starts what the node does without being asked.
func (n *node) work() {
	n.cluster.WhileLeader("schedule", func(ctx context.Context, _ uint64) { n.service.Schedule(ctx) })
	n.cluster.WhileLeader("domain key", func(ctx context.Context, _ uint64) { n.members.Rotate(ctx) })
	go n.service.ReportUsage(n.life)
	if n.regions != nil {
		n.regions.Link().Handle(n.engine)
		n.cluster.WhileLeader("federation", func(ctx context.Context, _ uint64) { n.regions.Speak(ctx) })
		n.cluster.WhileLeader("multi-Region keys", func(ctx context.Context, _ uint64) { n.engine.Run(ctx) })
		go n.regions.Follow(n.life)
	}
	if n.wire != nil {
		go n.hsm.run(n.life)
	}
	n.sendEvents()
	n.upcoming()
}

// close ends the node, last opened first. It can be called on a node that is half open.
func (n *node) close(ctx context.Context) {
	n.stopping.Store(true)
	n.end()
	if n.regions != nil {
		n.regions.Close()
	}
	if n.service != nil {
		n.service.Close()
	}
	if n.cluster != nil {
		n.logClose("cluster", n.cluster.Close())
	}
	if n.wire != nil {
		n.logClose("cluster port", n.wire.Close())
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

// sinkFunc takes the audit record of a committed change.
type sinkFunc = func(index uint64, record []byte) error
