package cluster

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

func newMachine(t *testing.T) *fsm.FSM {
	t.Helper()
	m, err := fsm.New(fsm.Options{Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openSolo opens the one node of a group on a real disk.
func openSolo(t *testing.T, c Config) *Node {
	t.Helper()
	c.FSM, c.Fatal, c.MinFree, c.Ballast = newMachine(t), func(err error) { t.Error(err) }, -1, -1
	n, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// A group is stopped, its state begins another group under another id, and that one goes on, with a restart and snapshots.
func TestLoadAndSeed(t *testing.T) {
	dir, next := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	n := openSolo(t, Config{Dir: dir, Bootstrap: true, ClusterID: "cluster-1", NodeID: "n1"})
	init := &fsm.InitRegion{
		Region: fsm.Region{ClusterID: "cluster-1", Name: "us-east-1", Partition: "aws"}, Quotas: fsm.DefaultQuotas(),
		Account:   fsm.Account{ID: "111122223333"},
		AccessKey: fsm.AccessKey{ID: "AKIA1", Account: "111122223333", Principal: "root", Domain: 1, Secret: []byte("s"), Active: true},
		DomainKey: fsm.DomainKey{Version: 1, ID: "d", Probe: []byte("p")},
	}
	propose := func(n *Node, body fsm.Body) {
		t.Helper()
		if res, err := n.Propose(t.Context(), fsm.Command{Attempt: 1, Body: body}); err != nil || res.Code != fsm.OK {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	propose(n, init)
	if _, err := n.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	propose(n, &fsm.PutAccount{Account: fsm.Account{ID: "444455556666"}})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	machine := newMachine(t)
	st, err := Load(dir, machine)
	if err != nil || st.Identity != (Identity{"n1", "cluster-1"}) || st.Term == 0 || machine.State().Account("444455556666") == nil {
		t.Fatalf("%+v, %v", st, err)
	}
	server := raft.Server{Suffrage: raft.Voter, ID: "n1", Address: "n1"}
	state, err := fsm.Reincarnate(machine.State(), fsm.Reincarnation{ClusterID: "cluster-2", Server: server})
	if err != nil {
		t.Fatal(err)
	}
	if err := Seed(next, Identity{"n2", "cluster-2"}, state); err == nil {
		t.Error("seeded for another node than the state names")
	}
	if err := Seed(next, Identity{"n1", "cluster-2"}, state); err != nil {
		t.Fatal(err)
	}
	if err := Seed(next, Identity{"n1", "cluster-2"}, state); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("seeded twice: %v", err)
	}
	for range 2 {
		n := openSolo(t, Config{Dir: next, ClusterID: "cluster-2", NodeID: "n1"})
		propose(n, &fsm.PutAccount{Account: fsm.Account{ID: "777788889999"}})
		got, err := n.View(t.Context())
		if err != nil || got.Index() <= state.Index() || got.Region().ClusterID != "cluster-2" || got.Account("444455556666") == nil || got.AccessKey("AKIA1") == nil {
			t.Errorf("%v", err)
		}
		if _, err := n.Snapshot(t.Context()); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(t.TempDir(), newMachine(t)); !errors.Is(err, ErrNotInitialized) {
		t.Errorf("an empty directory: %v", err)
	}
}
