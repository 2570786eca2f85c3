package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
)

// keyGroup is what nodes need to belong together: they are whole but for HSM and API, and talk over TLS.
type keyGroup struct {
	Cluster   string
	Cert, Key []byte // the authority's
}

func newKeyGroup() (g *keyGroup, err error) {
	g = &keyGroup{Cluster: cluster.NewID()}
	g.Cert, g.Key, err = transport.NewAuthority(g.Cluster, time.Now())
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
	cert, err := transport.Issue(g.Cert, g.Key, request, node, g.Cluster, time.Now())
	if err != nil {
		return nil, err
	}
	return transport.NewCredentials(cert, key, [][]byte{g.Cert})
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
		Dir: dir, FSM: n.machine, Fatal: fatal, Bootstrap: bootstrap, NodeID: id, ClusterID: g.Cluster, Address: n.wire.Advertise(),
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

// newNode is what a process needs to be one more node of a group.
type newNode struct {
	Group   *keyGroup
	Dir, ID string
}

// listening begins the line in which such a process tells its address.
const listening = "listening on "

// serveKeyNode is a new node of the group that a file describes, until ctx ends.
func serveKeyNode(ctx context.Context, file string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var who newNode
	if err := json.Unmarshal(text, &who); err != nil {
		return err
	}
	n, err := who.Group.open(who.Dir, who.ID, false)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, listening+n.wire.Advertise()); err != nil {
		return errors.Join(err, n.close())
	}
	<-ctx.Done()
	return n.close()
}

// startKeyNode runs a new node as a process of its own and returns its address.
func (b *bench) startKeyNode(ctx context.Context, who newNode) (p *process, address string, err error) {
	text, err := json.Marshal(&who)
	if err != nil {
		return nil, "", err
	}
	file := who.Dir + ".json"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(b.self, "-keynode", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err = start(ctx, cmd, func(line string) (ok bool) {
		address, ok = strings.CutPrefix(line, listening)
		return ok
	})
	return p, address, err
}

// Bounds of catching up.
const (
	// caughtUp is how many entries a node may be behind to get its vote.
	caughtUp     = 128
	catchUpLimit = 10 * time.Minute
)

// catchUp adds a node without a vote and measures how long it takes to have what n has, while n is written.
func (b *bench) catchUp(ctx context.Context, n *keyNode, g *keyGroup, t *table) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	dir, err := b.fresh("new")
	if err != nil {
		return err
	}
	var seen catchingUp
	writes, err := writesUntil(ctx, n, func() error {
		p, address, err := b.startKeyNode(ctx, newNode{g, dir, "n2"})
		if err != nil {
			return err
		}
		return errors.Join(seen.follow(ctx, n, p, dir, address), p.stop())
	})
	if err != nil {
		return err
	}
	t.add("a new node: snapshot copied s, restored s, caught up s",
		number(seen.copied.Seconds())+", "+number(seen.restored.Seconds())+", "+number(seen.level.Seconds()))
	t.add("its own memory MiB at the peak", number(seen.memory))
	t.add("entries written meanwhile", number(float64(len(writes))))
	t.add("writes meanwhile: median ms, longest ms", number(writes.median())+", "+number(longest(writes)))
	return nil
}

// catchingUp is when a new node had what.
type catchingUp struct {
	copied, restored, level time.Duration
	memory                  float64 // its own, MiB
}

// follow adds the node and looks at it until it has caught up.
func (s *catchingUp) follow(ctx context.Context, n *keyNode, p *process, dir, address string) error {
	from := n.machine.State().Index()
	begin := time.Now()
	if err := n.AddNonvoter(ctx, "n2", address); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.level == 0 {
		var index uint64
		for _, m := range n.Members(ctx) {
			if m.ID == "n2" {
				index = m.Applied
			}
		}
		now := time.Since(begin)
		if whole, err := filepath.Glob(filepath.Join(dir, "snapshots", "*[0-9]")); err == nil && len(whole) > 0 && s.copied == 0 {
			s.copied = now
		}
		if s.restored == 0 && index > 0 {
			s.restored = now
		}
		if index >= from && index+caughtUp >= n.machine.State().Index() {
			s.level = now
		}
		if m, err := p.memory(); err == nil {
			s.memory = max(s.memory, m.anonymous)
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("the new node ended: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("the new node is at entry %d of %d: %w", index, n.machine.State().Index(), ctx.Err())
		}
	}
	return nil
}
