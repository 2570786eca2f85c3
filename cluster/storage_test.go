package cluster

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Every failing write is tested as failed and not done, and as failed but done: either way nothing is acknowledged any
// more, Fatal is called once, and what a restart finds is one of the two.
func TestStorageFailureIsFatal(t *testing.T) {
	for _, done := range []bool{false, true} {
		name := map[bool]string{false: "not done", true: "done"}[done]
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var faulty faultyStorage
			var fatal atomic.Int32
			n := newRegion(t, dir, faulty.wrap, func(c *Config) { c.Fatal = func(error) { fatal.Add(1) } })
			began, ended := make(chan struct{}), make(chan struct{})
			n.WhileLeader("test", func(ctx context.Context, _ uint64) { close(began); <-ctx.Done(); close(ended) })
			<-began // work that has not begun when the leadership is lost never runs

			eio := errors.New("input/output error")
			if done {
				faulty.set(nil, eio, nil)
			} else {
				faulty.set(eio, nil, nil)
			}
			if _, err := n.Propose(seconds(t, 5), account(1)); !errors.Is(err, ErrUnknown) || NotWritten(err) {
				t.Fatalf("propose on a failing disk: %v", err)
			}
			faulty.set(nil, nil, nil) // the next write would succeed
			if _, err := n.Propose(seconds(t, 1), account(2)); err == nil {
				t.Fatal("acknowledged after the disk failed")
			}
			if _, err := n.View(seconds(t, 1)); !errors.Is(err, ErrClosed) {
				t.Fatalf("view after the disk failed: %v", err)
			}
			if _, err := n.Answer(n.id.NodeID, n.id.ClusterID); err == nil {
				t.Fatal("answers read rounds after the disk failed")
			}
			if n.Healthy() == nil || n.Status().Failure == nil {
				t.Fatal("healthy after the disk failed")
			}
			<-ended
			if err := n.Close(); !errors.Is(err, eio) {
				t.Fatalf("close: %v", err)
			}
			if fatal.Load() != 1 {
				t.Fatalf("fatal was called %d times", fatal.Load())
			}
			s := mustView(t, openNode(t, dir))
			if got := s.Account(accountID(1)) != nil; got != done {
				t.Fatalf("after a restart the write is there: %v", got)
			}
			if s.Account(accountID(2)) != nil {
				t.Fatal("a write after the failure reached the disk")
			}
		})
	}
}

// A failure while the node starts is returned by Open as well.
func TestStorageFailureAtStart(t *testing.T) {
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	var fatal atomic.Int32
	cfg.Fatal = func(error) { fatal.Add(1) }
	cfg.WrapStorage = func(s Storage) Storage { return &faultyStorage{Storage: s, before: io.ErrShortWrite} }
	if n, err := Open(cfg); !errors.Is(err, io.ErrShortWrite) || fatal.Load() != 1 {
		t.Fatalf("%v, %v, fatal %d", n, err, fatal.Load())
	}
}

func TestFallingTermIsFatal(t *testing.T) {
	life := newLifeline(func(error) {})
	g, err := newGuard(&inmemStorage{raft.NewInmemStore()}, life, new(pace))
	if err != nil {
		t.Fatal(err)
	}
	set := func(term uint64) (returned bool) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.SetUint64([]byte(keyCurrentTerm), term)
			returned = true
		}()
		<-done
		return returned
	}
	for _, term := range []uint64{7, 7, 8} {
		if !set(term) || life.stopped() {
			t.Fatalf("term %d was refused", term)
		}
	}
	if set(7) || !life.stopped() {
		t.Fatal("the term fell")
	}
	if v, _ := g.inner.GetUint64([]byte(keyCurrentTerm)); v != 8 {
		t.Fatalf("stored term %d", v)
	}
	if set(9) {
		t.Fatal("wrote after the failure")
	}
}

// The library compares the text of this error.
func TestNotFoundPassesUnwrapped(t *testing.T) {
	g, err := newGuard(&inmemStorage{raft.NewInmemStore()}, newLifeline(func(error) { t.Error("fatal") }), new(pace))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get([]byte("nothing")); err == nil || err.Error() != notFound {
		t.Fatal(err)
	}
	bolt, err := openBolt(filepath.Join(t.TempDir(), logFile), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	if _, err := bolt.GetUint64([]byte("nothing")); err == nil || err.Error() != notFound {
		t.Fatal(err)
	}
}

func TestStuckWrite(t *testing.T) {
	var faulty faultyStorage
	n := newRegion(t, t.TempDir(), faulty.wrap)
	made := n.State().Index()
	stall := make(chan struct{})
	faulty.set(nil, nil, stall)
	// The first proposal is in the stuck write, its outcome unknown; the second never got into the log.
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := n.Propose(seconds(t, 0.3), account(1)); !errors.Is(err, ErrUnknown) {
			t.Errorf("in the stuck write: %v", err)
		}
	})
	eventually(t, "the write to be stuck", func() bool { return n.Status().WriteStall > 0 })
	if _, err := n.Propose(seconds(t, 0.2), account(2)); !errors.Is(err, ErrTooBusy) || !NotWritten(err) {
		t.Errorf("behind the stuck write: %v", err)
	}
	wg.Wait()
	if s, err := n.View(seconds(t, 1)); err != nil || s.Index() < made {
		t.Fatalf("reads go on during a stuck write: %v", err)
	}
	faulty.set(nil, nil, nil)
	close(stall)
	mustPropose(t, n, account(3))
	if s := mustView(t, n); s.Account(accountID(1)) == nil || s.Account(accountID(2)) != nil {
		t.Fatal("the stuck write should have ended well, the one behind it should not exist")
	}
}

func TestClientCancellationIsDetached(t *testing.T) {
	var faulty faultyStorage
	n := newRegion(t, t.TempDir(), faulty.wrap)
	stall := make(chan struct{})
	faulty.set(nil, nil, stall)
	ctx, cancel := context.WithCancel(seconds(t, 10))
	done := make(chan error, 1)
	go func() {
		_, err := n.Propose(ctx, account(1))
		done <- err
	}()
	eventually(t, "the write to begin", func() bool { return n.Status().WriteStall > 0 })
	cancel()
	faulty.set(nil, nil, nil)
	close(stall)
	if err := <-done; err != nil {
		t.Fatalf("a client that hung up cut its write off: %v", err)
	}
	if _, err := n.Propose(ctx, account(2)); !errors.Is(err, ErrCanceled) || !NotWritten(err) {
		t.Fatalf("a client that is gone before the write began: %v", err)
	}
}

func TestProposalLimit(t *testing.T) {
	var faulty faultyStorage
	n := newRegion(t, t.TempDir(), faulty.wrap, func(c *Config) { c.MaxProposals = 3 })
	stall := make(chan struct{})
	faulty.set(nil, nil, stall)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() { n.Propose(seconds(t, 10), account(i)) })
	}
	eventually(t, "three proposals under way", func() bool { return n.Status().Proposals == 3 })
	if _, err := n.Propose(seconds(t, 10), account(9)); !errors.Is(err, ErrTooBusy) {
		t.Fatalf("a fourth: %v", err)
	}
	faulty.set(nil, nil, nil)
	close(stall)
	wg.Wait()
	mustPropose(t, n, account(9))
}
