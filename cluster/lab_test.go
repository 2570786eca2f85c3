package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

const testAccount = "111122223333"

// newFSM is a state machine whose failure fails the test.
func newFSM(t testing.TB) *fsm.FSM {
	t.Helper()
	f, err := fsm.New(fsm.Options{Fatal: func(err error) { t.Errorf("state machine: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// diskConfig is a node on a directory, quick to elect itself, whose storage must not fail.
func diskConfig(t testing.TB, dir string) Config {
	return Config{
		Dir: dir, FSM: newFSM(t), Logger: testLogger(t),
		Fatal:            func(err error) { t.Errorf("fatal: %v", err) },
		HeartbeatTimeout: 20 * time.Millisecond, ElectionTimeout: 20 * time.Millisecond, LeaseTimeout: 20 * time.Millisecond,
		Ballast: -1,
	}
}

// testLogger writes what the node logs to the test's log if TRENT_LOG is set.
func testLogger(t testing.TB) *slog.Logger {
	if os.Getenv("TRENT_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// openNode opens the node on a directory, with a diskConfig that the options change, and closes it at the end of the test.
func openNode(t testing.TB, dir string, options ...func(*Config)) *Node {
	t.Helper()
	cfg := diskConfig(t, dir)
	for _, set := range options {
		set(&cfg)
	}
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// bootstrap opens the first node of a group, on an empty directory.
func bootstrap(t testing.TB, dir string, options ...func(*Config)) *Node {
	t.Helper()
	return openNode(t, dir, append(options, func(c *Config) { c.Bootstrap = true })...)
}

// newRegion is the first node of a group that holds a region.
func newRegion(t testing.TB, dir string, options ...func(*Config)) *Node {
	t.Helper()
	n := bootstrap(t, dir, options...)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	return n
}

// trailing is how many entries a snapshot leaves in the log.
func trailing(entries uint64) func(*Config) {
	return func(c *Config) { c.mutation.trailing = entries }
}

func seconds(t testing.TB, s float64) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s*float64(time.Second)))
	t.Cleanup(cancel)
	return ctx
}

func initBody() *fsm.InitRegion {
	return &fsm.InitRegion{
		Region:    fsm.Region{ClusterID: "cluster-1", Name: "us-east-1", Partition: "aws", CreatedAt: 1},
		Quotas:    fsm.DefaultQuotas(),
		Account:   fsm.Account{ID: testAccount, CreatedAt: 1},
		AccessKey: fsm.AccessKey{ID: "AKIAROOT", Account: testAccount, Principal: "root", Domain: 1, Secret: []byte("sealed"), Active: true, CreatedAt: 1},
		DomainKey: fsm.DomainKey{Version: 1, ID: "domain-1", CreatedAt: 1, Probe: []byte("probe")},
	}
}

// account is a command that leaves a trace in the state: the account with this number.
func account(i int) fsm.Command {
	c := fsm.Command{Attempt: 1, Body: &fsm.PutAccount{Account: fsm.Account{ID: accountID(i), CreatedAt: 1}}}
	copy(c.ID[:], fmt.Sprintf("%016d", i))
	return c
}

func accountID(i int) string { return fmt.Sprintf("%012d", i) }

// mustPropose proposes and fails the test unless the command took effect.
func mustPropose(t testing.TB, n *Node, c fsm.Command) fsm.Result {
	t.Helper()
	res, err := n.Propose(seconds(t, 10), c)
	if err != nil || res.Code != fsm.OK {
		t.Fatalf("propose: %+v, %v", res, err)
	}
	return res
}

func mustView(t testing.TB, n *Node) *fsm.State {
	t.Helper()
	s, err := n.View(seconds(t, 10))
	for err != nil && errors.Is(err, ErrNoQuorum) && t.Context().Err() == nil {
		s, err = n.View(seconds(t, 10))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for a condition that others bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := seconds(t, 10)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}

// faultyStorage fails on demand: before the effect, so that nothing was done, or after it, so that it was.
type faultyStorage struct {
	Storage
	mu     sync.Mutex
	before error
	after  error
	stall  chan struct{} // writes wait until it closes
}

// wrap is the option that puts it before a node's storage.
func (s *faultyStorage) wrap(c *Config) {
	c.WrapStorage = func(inner Storage) Storage { s.Storage = inner; return s }
}

func (s *faultyStorage) set(before, after error, stall chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.stall = before, after, stall
}

func (s *faultyStorage) do(f func() error) error {
	s.mu.Lock()
	before, after, stall := s.before, s.after, s.stall
	s.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if before != nil {
		return before
	}
	return errors.Join(f(), after)
}

func (s *faultyStorage) StoreLogs(l []*raft.Log) error {
	return s.do(func() error { return s.Storage.StoreLogs(l) })
}

func (s *faultyStorage) Set(k, v []byte) error {
	return s.do(func() error { return s.Storage.Set(k, v) })
}

func (s *faultyStorage) SetUint64(k []byte, v uint64) error {
	return s.do(func() error { return s.Storage.SetUint64(k, v) })
}

// lines collects a logger's output.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const plenty = uint64(math.MaxInt64)
