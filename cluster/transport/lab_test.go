package transport

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// authority issues certificates for a test's cluster.
type authority struct {
	t         testing.TB
	cluster   string
	cert, key []byte
	now       time.Time
}

func newAuthority(t testing.TB, clusterID string) *authority {
	t.Helper()
	a := &authority{t: t, cluster: clusterID, now: time.Now()}
	var err error
	if a.cert, a.key, err = NewAuthority(clusterID, a.now); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(node string) (*Credentials, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := NewKey()
	if err != nil {
		a.t.Fatal(err)
	}
	request, err := NewRequest(key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := Issue(a.cert, a.key, request, node, a.cluster, a.now)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := NewCredentials(cert, key, [][]byte{a.cert})
	if err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

// removed is the set of ids that a test's nodes refuse.
type removed struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (r *removed) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[id] = true
}

func (r *removed) refuse(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] {
		return cluster.ErrRemoved
	}
	return nil
}

// open opens a port on loopback with credentials of the authority.
func open(t testing.TB, a *authority, node string) (*Server, *removed) {
	t.Helper()
	r := &removed{ids: map[string]bool{}}
	s, err := Listen(Config{Listen: "127.0.0.1:0", Refused: r.refuse})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if a != nil {
		c, _ := a.issue(node)
		s.SetCredentials(c)
	}
	return s, r
}

func (s *Server) asServer(node string) raft.Server {
	return raft.Server{ID: raft.ServerID(node), Address: raft.ServerAddress(s.Advertise())}
}

func seconds(t testing.TB, s float64) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s*float64(time.Second)))
	t.Cleanup(cancel)
	return ctx
}

// handlers answer with what a test wants.
func handlers(node, clusterID string) Handlers {
	return Handlers{
		Answer: func(n, c string) (cluster.Answer, error) {
			if n != node || c != clusterID {
				return cluster.Answer{}, cluster.ErrIdentity
			}
			return cluster.Answer{NodeID: n, ClusterID: c, LastIndex: 7, Applied: 5, Clock: 1_700_000_000_000}, nil
		},
		Propose: func(context.Context, cluster.Gate, fsm.Command) (fsm.Result, error) {
			return fsm.Result{Code: fsm.Stale, Index: 9, Objects: []string{"a", "b"}, Repeat: true, Detail: "d"}, nil
		},
		Call: func(_ context.Context, peer, method string, payload []byte) ([]byte, error) {
			return []byte(peer + " " + method + " " + string(payload)), nil
		},
		Join: func(_ context.Context, payload []byte) ([]byte, error) {
			if string(payload) == "no" {
				return nil, errors.New("refused for a reason")
			}
			return append([]byte("welcome "), payload...), nil
		},
		Member: func(string) error { return nil },
	}
}

// pair is a port that serves as node b and one that asks as node a.
func pair(t testing.TB) (a, b *Server, refusedByB *removed) {
	ca := newAuthority(t, "cluster-1")
	a, _ = open(t, ca, "a")
	b, refusedByB = open(t, ca, "b")
	b.Handle(handlers("b", "cluster-1"))
	return a, b, refusedByB
}

func command() fsm.Command {
	return fsm.Command{Attempt: 1, Body: &fsm.PutAccount{Account: fsm.Account{ID: "111122223333", CreatedAt: 1}}}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := seconds(t, 20)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}
