package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
)

// keyGroup is what nodes need to belong together: they are whole but for HSM and API, and talk over TLS.
type keyGroup struct {
	cluster   string
	cert, key []byte // the authority's
}

func newKeyGroup() (g *keyGroup, err error) {
	g = &keyGroup{cluster: cluster.NewID()}
	g.cert, g.key, err = transport.NewAuthority(g.cluster, time.Now())
	return g, err
}

// keyNode is a node of a keyGroup.
type keyNode struct {
	*cluster.Node
	wire    *transport.Server
	machine *fsm.FSM
}

func (n *keyNode) close() error { return errors.Join(n.Node.Close(), n.wire.Close()) }

func (g *keyGroup) credentials(node string) (*transport.Credentials, error) {
	key, err := transport.NewKey()
	if err != nil {
		return nil, err
	}
	request, err := transport.NewRequest(key)
	if err != nil {
		return nil, err
	}
	cert, err := transport.Issue(g.cert, g.key, request, node, g.cluster, time.Now())
	if err != nil {
		return nil, err
	}
	return transport.NewCredentials(cert, key, [][]byte{g.cert})
}

// open opens a node that takes snapshots only when it is told to; a bootstrap makes it the group's first.
func (g *keyGroup) open(dir, id string, bootstrap bool) (_ *keyNode, err error) {
	fatal := func(err error) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	n := &keyNode{}
	if n.machine, err = fsm.New(fsm.Options{Fatal: fatal}); err != nil {
		return nil, err
	}
	creds, err := g.credentials(id)
	if err != nil {
		return nil, err
	}
	if n.wire, err = transport.Listen(transport.Config{Listen: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	n.wire.SetCredentials(creds)
	n.Node, err = cluster.Open(cluster.Config{
		Dir: dir, FSM: n.machine, Fatal: fatal, Bootstrap: bootstrap, NodeID: id, ClusterID: g.cluster, Address: n.wire.Advertise(),
		Transport: func(cluster.Identity) (raft.Transport, error) { return n.wire.Raft(hclog.NewNullLogger()), nil },
		Peers:     n.wire, Forwarder: n.wire, SnapshotThreshold: 1 << 40,
		HeartbeatTimeout: 20 * time.Millisecond, ElectionTimeout: 20 * time.Millisecond, LeaseTimeout: 20 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(err, n.wire.Close())
	}
	n.wire.Handle(transport.Handlers{Answer: n.Answer, Propose: n.ProposeHere, Hold: n.HoldHere, Release: n.ReleaseHere})
	return n, nil
}

// Bounds of catching up.
const (
	// caughtUp is how many entries a node may be behind to get its vote.
	caughtUp     = 128
	catchUpLimit = 10 * time.Minute
)

// catchUp adds a node without a vote and measures how long it takes to have what this one has, while this one is written.
func (n *keyNode) catchUp(ctx context.Context, g *keyGroup, dir string, t *table) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	from := n.machine.State().Index()
	var copied, restored, level time.Duration
	writes, err := writesUntil(ctx, n, func() error {
		begin := time.Now()
		m, err := g.open(dir, "n2", false)
		if err != nil {
			return err
		}
		defer func() { _ = m.close() }()
		if err := n.AddNonvoter(ctx, "n2", m.wire.Advertise()); err != nil {
			return err
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for level == 0 {
			now, index := time.Since(begin), m.machine.State().Index()
			if copied == 0 && m.Status().SnapshotIndex > 0 {
				copied = now
			}
			if restored == 0 && index > 0 {
				restored = now
			}
			if index >= from && index+caughtUp >= n.machine.State().Index() {
				level = now
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("the new node is at entry %d of %d: %w", index, n.machine.State().Index(), ctx.Err())
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.add("a new node: snapshot copied s, restored s, caught up s", number(copied.Seconds())+", "+number(restored.Seconds())+", "+number(level.Seconds()))
	t.add("entries written meanwhile", number(float64(len(writes))))
	t.add("writes meanwhile: median ms, longest ms", number(writes.median())+", "+number(longest(writes)))
	return nil
}
