package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// member is a whole node on disk and TLS.
type member struct {
	id, dir, address string
	wire             *Server
	node             *cluster.Node
}

// group is a cluster of members in one process.
type group struct {
	t  testing.TB
	ca *authority
}

func newGroup(t testing.TB) *group { return &group{t, newAuthority(t, "cluster-1")} }

// start opens a member; an empty address listens anywhere.
func (g *group) start(m *member, bootstrap bool) *member {
	g.t.Helper()
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { g.t.Errorf("%s: %v", m.id, err) }})
	if err != nil {
		g.t.Fatal(err)
	}
	listen := m.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	if m.wire, err = Listen(Config{Listen: listen, Refused: func(id string) error {
		if machine.State().Removed(id) {
			return cluster.ErrRemoved
		}
		return nil
	}}); err != nil {
		g.t.Fatal(err)
	}
	m.address = m.wire.Advertise()
	creds, _ := g.ca.issue(m.id)
	m.wire.SetCredentials(creds)
	if !bootstrap {
		if err := cluster.Create(m.dir, cluster.Identity{NodeID: m.id, ClusterID: g.ca.cluster}); err != nil {
			g.t.Fatal(err)
		}
	}
	if m.node, err = cluster.Open(cluster.Config{
		Dir: m.dir, FSM: machine, Fatal: func(err error) { g.t.Errorf("%s: %v", m.id, err) }, Ballast: -1, MinFree: -1,
		Bootstrap: bootstrap, NodeID: m.id, ClusterID: g.ca.cluster, Address: m.address,
		Transport: func(cluster.Identity) (raft.Transport, error) { return m.wire.Raft(hclog.NewNullLogger()), nil },
		Peers:     m.wire, Forwarder: m.wire,
		HeartbeatTimeout: time.Second, ElectionTimeout: time.Second, LeaseTimeout: 500 * time.Millisecond,
		PingInterval: 200 * time.Millisecond,
	}); err != nil {
		g.t.Fatal(err)
	}
	m.wire.Handle(Handlers{Answer: m.node.Answer, Propose: m.node.ProposeHere, Hold: m.node.HoldHere, Release: m.node.ReleaseHere})
	g.t.Cleanup(m.stop)
	return m
}

func (m *member) stop() {
	m.node.Close()
	m.wire.Close()
}

func (g *group) fresh(id string) *member { return &member{id: id, dir: g.t.TempDir()} }

// three is a group of three voters; the first leads.
func three(t testing.TB) (*group, []*member) {
	g := newGroup(t)
	all := []*member{g.start(g.fresh("n0"), true)}
	lead := all[0].node
	eventually(t, "the first node leads", func() bool { _, ok := lead.Leading(); return ok })
	g.propose(all[0], &fsm.InitRegion{
		Region:    fsm.Region{ClusterID: "cluster-1", Name: "us-east-1", Partition: "aws", CreatedAt: 1},
		Quotas:    fsm.DefaultQuotas(),
		Account:   fsm.Account{ID: "111122223333", CreatedAt: 1},
		AccessKey: fsm.AccessKey{ID: "AKIAROOT", Account: "111122223333", Principal: "root", Domain: 1, Secret: []byte("sealed"), Active: true, CreatedAt: 1},
		DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1", CreatedAt: 1, Probe: []byte("probe")},
	})
	for i := range 2 {
		m := g.start(g.fresh(fmt.Sprint("n", i+1)), false)
		all = append(all, m)
		if err := lead.AddNonvoter(seconds(t, 10), m.id, m.address); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node has caught up", func() bool {
			err := lead.Promote(seconds(t, 10), m.id)
			if err != nil && !errors.Is(err, cluster.ErrBehind) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	return g, all
}

func (g *group) propose(m *member, body fsm.Body) fsm.Result {
	g.t.Helper()
	res, err := m.node.Propose(seconds(g.t, 10), fsm.Command{Attempt: 1, Body: body})
	if err != nil || res.Code != fsm.OK {
		g.t.Fatalf("propose at %s: %+v, %v", m.id, res, err)
	}
	return res
}

func account(i int) *fsm.PutAccount {
	return &fsm.PutAccount{Account: fsm.Account{ID: fmt.Sprintf("%012d", i), CreatedAt: 1}}
}

// Writes through any node are in a read on every other one at once.
func TestGroupReadsWhatWasWritten(t *testing.T) {
	g, all := three(t)
	for i := range 30 {
		g.propose(all[i%3], account(i+1))
		for _, m := range all {
			s, err := m.node.View(seconds(t, 10))
			if err != nil || s.Account(account(i+1).Account.ID) == nil {
				t.Fatalf("write %d through n%d is not in a read on %s: %v", i, i%3, m.id, err)
			}
		}
	}
	for _, info := range all[1].node.Members(t.Context()) {
		if !info.Reachable || !info.Voter || info.Leader != (info.ID == "n0") || info.Applied == 0 || info.LastContact.IsZero() {
			t.Errorf("member as a follower sees it: %+v", info)
		}
	}
}

// The group goes on without its leader, which comes back and follows.
func TestGroupWithoutItsLeader(t *testing.T) {
	g, all := three(t)
	g.propose(all[1], account(1))
	all[0].stop()
	g.propose(all[1], account(2))
	s, err := all[2].node.View(seconds(t, 10))
	if err != nil || s.Account(account(2).Account.ID) == nil {
		t.Fatalf("read on the other survivor: %v", err)
	}
	g.start(all[0], false)
	eventually(t, "the old leader has what it missed", func() bool {
		s, err := all[0].node.View(seconds(t, 10))
		return err == nil && s.Account(account(2).Account.ID) != nil
	})
	g.propose(all[0], account(3))
}

func TestRemoval(t *testing.T) {
	g, all := three(t)
	lead := all[0].node
	ctx := seconds(t, 60)
	if err := lead.Remove(ctx, "n0"); err == nil {
		t.Error("the leader removed itself")
	}
	if err := lead.Remove(ctx, "n9"); !errors.Is(err, cluster.ErrNoSuchMember) {
		t.Errorf("a node that is not there: %v", err)
	}
	if err := all[1].node.Remove(ctx, "n2"); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("on a follower: %v", err)
	}
	all[2].stop()
	if err := lead.Remove(ctx, "n1"); !errors.Is(err, cluster.ErrQuorum) {
		t.Errorf("the last reachable voter beside the leader: %v", err)
	}
	if err := lead.Remove(ctx, "n2"); err != nil {
		t.Fatalf("the node that is down: %v", err)
	}
	if !lead.State().Removed("n2") {
		t.Error("the removal is not remembered")
	}
	if err := lead.AddNonvoter(ctx, "n2", all[2].address); !errors.Is(err, cluster.ErrRemoved) {
		t.Errorf("a removed id came back: %v", err)
	}
	// The removed node comes back with all it had, and nobody talks to it.
	back := g.start(all[2], false)
	if _, err := back.node.View(seconds(t, 3)); !errors.Is(err, cluster.ErrNoQuorum) {
		t.Errorf("the removed node reads: %v", err)
	}
	if res, err := back.node.Propose(seconds(t, 2), fsm.Command{Attempt: 1, Body: account(77)}); err == nil {
		t.Errorf("the removed node writes: %+v", res)
	}
	g.propose(all[1], account(5))
	if s, err := all[0].node.View(seconds(t, 10)); err != nil || s.Account(account(77).Account.ID) != nil {
		t.Errorf("after the removed node's attempts: %v", err)
	}
}

func TestAddressesChange(t *testing.T) {
	if testing.Short() { // under the race detector
		t.Skip("raft v1.8.0 reads a peer's address without its lock in pipelineSend while startStopReplication sets it")
	}
	g, all := three(t)
	all[2].stop()
	all[2].address = "" // elsewhere
	m := g.start(all[2], false)
	if err := all[0].node.SetAddress(seconds(t, 10), "n2", m.address); err != nil {
		t.Fatal(err)
	}
	g.propose(all[0], account(9))
	eventually(t, "the log reaches the new address", func() bool {
		s, err := m.node.View(seconds(t, 10))
		return err == nil && s.Account(account(9).Account.ID) != nil
	})
	for _, info := range all[0].node.Members(t.Context()) {
		if !info.Voter {
			t.Errorf("%s lost its vote", info.ID)
		}
	}
}

// A port that answers at a member's address and is another node gets nothing.
func TestAnotherNodeAtAMembersAddress(t *testing.T) {
	g, all := three(t)
	all[2].stop()
	ln, err := net.Listen("tcp", all[2].address)
	if err != nil {
		t.Skipf("the address was taken: %v", err)
	}
	ln.Close()
	thief := &member{id: "n1", address: all[2].address} // with n1's certificate
	if thief.wire, err = Listen(Config{Listen: thief.address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { thief.wire.Close() })
	creds, _ := g.ca.issue("n1")
	thief.wire.SetCredentials(creds)
	thief.wire.Handle(Handlers{Answer: func(string, string) (cluster.Answer, error) {
		t.Error("a question reached the wrong node")
		return cluster.Answer{}, nil
	}})
	for i := range 5 {
		g.propose(all[0], account(i+1))
		if _, err := all[1].node.View(seconds(t, 10)); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkFollowerRead(b *testing.B) {
	_, all := three(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := all[1].node.View(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForwardedWrite(b *testing.B) {
	g, all := three(b)
	i := 0
	for b.Loop() {
		i++
		g.propose(all[1], account(i))
	}
}
