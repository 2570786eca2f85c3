package cluster

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

func TestProposeRestartReplay(t *testing.T) {
	dir := t.TempDir()
	n := bootstrap(t, dir)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	for i := range 20 {
		res := mustPropose(t, n, account(i))
		if s := n.State(); s.Index() < res.Index || s.Account(accountID(i)) == nil {
			t.Fatalf("own state at %d lacks the command at %d", s.Index(), res.Index)
		}
		if mustView(t, n).Account(accountID(i)) == nil {
			t.Fatal("view lacks an acknowledged account")
		}
	}
	id, want, at := n.Identity(), fsm.Hash(n.State()), n.State().Index()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.View(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("view of a closed node: %v", err)
	}
	if _, err := n.Propose(t.Context(), account(99)); !errors.Is(err, ErrClosed) || !NotWritten(err) {
		t.Fatalf("propose to a closed node: %v", err)
	}

	n = openNode(t, diskConfig(t, dir))
	if n.Identity() != id {
		t.Fatalf("identity changed from %v to %v", id, n.Identity())
	}
	s := mustView(t, n)
	if s.Index() < at {
		t.Fatalf("view at %d after a restart, %d was acknowledged", s.Index(), at)
	}
	for i := range 20 {
		if s.Account(accountID(i)) == nil {
			t.Fatalf("account %d is gone", i)
		}
	}
	// The restart opened a new term, which moves index and time; the rows are the same.
	if s.Index() == at && fsm.Hash(s) != want {
		t.Fatal("replay made another state")
	}
}

func TestSnapshotRestart(t *testing.T) {
	dir := t.TempDir()
	cfg := diskConfig(t, dir)
	cfg.Bootstrap = true
	cfg.mutation.trailing = 5
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	for i := range 50 {
		mustPropose(t, n, account(i))
	}
	info, err := n.Snapshot(seconds(t, 10))
	if err != nil || info.Index != n.State().Index() {
		t.Fatalf("snapshot: %+v, %v; state at %d", info, err, n.State().Index())
	}
	if st := n.Status(); st.SnapshotIndex != info.Index || st.FirstIndex < info.Index-10 {
		t.Fatalf("after the snapshot: snapshot %d, log from %d", st.SnapshotIndex, st.FirstIndex)
	}
	got, r, err := n.OpenSnapshot(info.ID)
	if err != nil || got != info {
		t.Fatalf("open: %+v, %v", got, err)
	}
	s, err := fsm.ReadSnapshot(r)
	if err != nil || s.Account(accountID(49)) == nil {
		t.Fatalf("read: %v", err)
	}
	r.Close()
	mustPropose(t, n, account(50))
	n.Close()

	n = openNode(t, diskConfig(t, dir))
	s = mustView(t, n)
	for i := range 51 {
		if s.Account(accountID(i)) == nil {
			t.Fatalf("account %d is gone", i)
		}
	}
	i, c := s.Config()
	if i != 1 || len(c.Servers) != 1 || string(c.Servers[0].ID) != n.Identity().NodeID {
		t.Fatalf("configuration after a restore: %d %v", i, c)
	}
}

func TestOpenRefuses(t *testing.T) {
	made := func(t *testing.T) string {
		dir := t.TempDir()
		cfg := diskConfig(t, dir)
		cfg.Bootstrap = true
		cfg.mutation.trailing = 1
		n := openNode(t, cfg)
		mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
		for i := range 5 {
			mustPropose(t, n, account(i))
		}
		if _, err := n.Snapshot(seconds(t, 10)); err != nil {
			t.Fatal(err)
		}
		n.Close()
		return dir
	}
	remove := func(t *testing.T, path string) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		dir  func(*testing.T) string
		mod  func(*Config)
		want error
	}{
		{"empty directory, nothing said", func(t *testing.T) string { return t.TempDir() }, func(c *Config) {}, ErrNotInitialized},
		{"bootstrap again", made, func(c *Config) { c.Bootstrap = true }, ErrNotEmpty},
		{"another node", made, func(c *Config) { c.NodeID = "other" }, ErrIdentity},
		{"another cluster", made, func(c *Config) { c.ClusterID = "other" }, ErrIdentity},
		{"log lost", func(t *testing.T) string {
			dir := made(t)
			remove(t, filepath.Join(dir, logFile))
			return dir
		}, func(c *Config) { c.Bootstrap = true }, ErrDiskLost},
		{"log and id lost", func(t *testing.T) string {
			dir := made(t)
			remove(t, filepath.Join(dir, logFile))
			remove(t, filepath.Join(dir, idFile))
			return dir
		}, func(c *Config) { c.Bootstrap = true }, ErrDiskLost},
		{"snapshots lost", func(t *testing.T) string {
			dir := made(t)
			remove(t, filepath.Join(dir, snapshotDir))
			return dir
		}, func(c *Config) {}, ErrDiskLost},
		{"id of another directory", func(t *testing.T) string {
			dir := made(t)
			if err := os.WriteFile(filepath.Join(dir, idFile), []byte("other\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}, func(c *Config) {}, ErrIdentity},
		{"no state machine", func(t *testing.T) string { return t.TempDir() }, func(c *Config) { c.FSM = nil }, nil},
		{"no fatal", func(t *testing.T) string { return t.TempDir() }, func(c *Config) { c.Fatal = nil }, nil},
		{"one snapshot", func(t *testing.T) string { return t.TempDir() }, func(c *Config) { c.SnapshotRetain = 1 }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := diskConfig(t, tt.dir(t))
			tt.mod(&cfg)
			n, err := Open(cfg)
			if err == nil {
				n.Close()
				t.Fatal("opened")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A newest snapshot that turns out damaged must not be replaced by one that leaves a gap before the log.
func TestDamagedSnapshot(t *testing.T) {
	dir := t.TempDir()
	cfg := diskConfig(t, dir)
	cfg.Bootstrap = true
	cfg.mutation.trailing = 1
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	snap := func(from int) string {
		for i := range 5 {
			mustPropose(t, n, account(from+i))
		}
		info, err := n.Snapshot(seconds(t, 10))
		if err != nil {
			t.Fatal(err)
		}
		return info.ID
	}
	snap(0)
	id := snap(5)
	n.Close()
	path := filepath.Join(dir, snapshotDir, id, "state.bin")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Open(diskConfig(t, dir)); err == nil {
		n.Close()
		t.Fatal("opened with a gap between the older snapshot and the log")
	}
}

func TestIDFileIsRenewed(t *testing.T) {
	dir := t.TempDir()
	if has, err := HasNode(dir); has || err != nil {
		t.Fatalf("empty directory: %v, %v", has, err)
	}
	n := bootstrap(t, dir)
	id := n.Identity()
	n.Close()
	if has, err := HasNode(dir); !has || err != nil {
		t.Fatalf("after a bootstrap: %v, %v", has, err)
	}
	if err := os.Remove(filepath.Join(dir, idFile)); err != nil {
		t.Fatal(err)
	}
	openNode(t, diskConfig(t, dir)).Close()
	if got, err := ReadIdentity(dir); err != nil || got.NodeID != id.NodeID {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	bootstrap(t, dir)
	cfg := diskConfig(t, dir)
	cfg.mutation.lockTimeout = 100 * time.Millisecond
	if n, err := Open(cfg); err == nil {
		n.Close()
		t.Fatal("opened twice")
	}
}

// Every failing write is tested as failed and not done, and as failed but done: either way nothing is acknowledged any
// more, Fatal is called once, and what a restart finds is one of the two.
func TestStorageFailureIsFatal(t *testing.T) {
	for _, done := range []bool{false, true} {
		name := map[bool]string{false: "not done", true: "done"}[done]
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var faulty *faultyStorage
			var fatal atomic.Int32
			cfg := diskConfig(t, dir)
			cfg.Bootstrap = true
			cfg.Fatal = func(error) { fatal.Add(1) }
			cfg.WrapStorage = func(s Storage) Storage { faulty = &faultyStorage{Storage: s}; return faulty }
			n := openNode(t, cfg)
			mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
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
			s := mustView(t, openNode(t, diskConfig(t, dir)))
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
	var faulty *faultyStorage
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	cfg.WrapStorage = func(s Storage) Storage { faulty = &faultyStorage{Storage: s}; return faulty }
	n := openNode(t, cfg)
	first := mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
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
	if s, err := n.View(seconds(t, 1)); err != nil || s.Index() < first.Index {
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
	var faulty *faultyStorage
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	cfg.WrapStorage = func(s Storage) Storage { faulty = &faultyStorage{Storage: s}; return faulty }
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
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
	var faulty *faultyStorage
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	cfg.MaxProposals = 3
	cfg.WrapStorage = func(s Storage) Storage { faulty = &faultyStorage{Storage: s}; return faulty }
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
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

func TestInvalidCommandIsNotWritten(t *testing.T) {
	n := bootstrap(t, t.TempDir())
	mustView(t, n)
	before := n.Status().LastIndex
	_, err := n.Propose(seconds(t, 5), fsm.Command{Body: &fsm.PutAccount{}})
	if !errors.Is(err, fsm.ErrInvalid) || !NotWritten(err) {
		t.Fatal(err)
	}
	if after := n.Status().LastIndex; after != before {
		t.Fatalf("log grew from %d to %d", before, after)
	}
}

func TestDiskFull(t *testing.T) {
	var free atomic.Uint64
	free.Store(plenty)
	dir := t.TempDir()
	cfg := diskConfig(t, dir)
	cfg.Bootstrap = true
	cfg.MinFree, cfg.Ballast, cfg.DiskInterval = 1<<20, 1<<16, time.Millisecond
	cfg.FreeSpace = func(string) (uint64, error) { return free.Load(), nil }
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	ballast := func() bool {
		st, err := os.Stat(filepath.Join(dir, ballastFile))
		return err == nil && st.Size() == 1<<16
	}
	if !ballast() {
		t.Fatal("no ballast at the start")
	}
	free.Store(1<<20 - 1)
	eventually(t, "the low-water mark to be noticed", func() bool { return n.Status().DiskLow })
	if _, err := n.Propose(seconds(t, 5), account(1)); !errors.Is(err, ErrDiskFull) || !NotWritten(err) {
		t.Fatalf("propose on a full disk: %v", err)
	}
	if err := n.Healthy(); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("health: %v", err)
	}
	if _, err := n.View(seconds(t, 1)); err != nil {
		t.Fatalf("reads go on: %v", err)
	}
	if !ballast() {
		t.Fatal("the ballast went too early")
	}
	free.Store(1 << 17)
	eventually(t, "the ballast to be given up", func() bool { return !ballast() })
	// What the ballast gave is not space for writes, not even if it lifts the volume above the mark.
	free.Store(1<<20 + 1<<15)
	eventually(t, "another look", func() bool { return n.Status().DiskFree == 1<<20+1<<15 })
	if !n.Status().DiskLow {
		t.Fatal("the ballast's own space ended the alarm")
	}
	free.Store(plenty)
	eventually(t, "space to be back", func() bool { return !n.Status().DiskLow && ballast() })
	mustPropose(t, n, account(1))
}

// A volume that was full when the process ended must not keep it from starting.
func TestDiskFullAtStart(t *testing.T) {
	dir := t.TempDir()
	cfg := diskConfig(t, dir)
	cfg.Bootstrap = true
	cfg.MinFree, cfg.Ballast = 1<<20, 1<<16
	cfg.FreeSpace = func(string) (uint64, error) { return plenty, nil }
	openNode(t, cfg).Close()
	cfg = diskConfig(t, dir)
	cfg.MinFree, cfg.Ballast = 1<<20, 1<<16
	cfg.FreeSpace = func(string) (uint64, error) { return 1 << 10, nil }
	n := openNode(t, cfg)
	if _, err := os.Stat(filepath.Join(dir, ballastFile)); err == nil {
		t.Fatal("the ballast is still there")
	}
	if _, err := n.Propose(seconds(t, 5), account(1)); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	mustView(t, n) // it has opened its term and reads
}

func TestClockOff(t *testing.T) {
	var shift atomic.Int64
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	before := n.Now()
	shift.Store(int64(-20 * time.Second))
	if now := n.Now(); now.Before(before) {
		t.Fatalf("region time went back from %v to %v", before, now)
	}
	mustPropose(t, n, account(1))
	if s := mustView(t, n); s.Now() < before.UnixMilli() {
		t.Fatalf("time in the state went back to %d from %d", s.Now(), before.UnixMilli())
	}
	shift.Store(int64(-40 * time.Second))
	if _, err := n.Propose(seconds(t, 5), account(2)); !errors.Is(err, ErrClockOff) || !NotWritten(err) {
		t.Fatalf("proposed with a clock 40 s off: %v", err)
	}
	if err := n.Healthy(); !errors.Is(err, ErrClockOff) {
		t.Fatalf("health: %v", err)
	}
	shift.Store(0)
	mustPropose(t, n, account(2))
}

func TestWhileLeader(t *testing.T) {
	n := bootstrap(t, t.TempDir())
	type stay struct{ term, opened uint64 }
	stays := make(chan stay, 10)
	ended := make(chan struct{}, 10)
	n.WhileLeader("test", func(ctx context.Context, term uint64) {
		stays <- stay{term, n.State().Index()}
		<-ctx.Done()
		ended <- struct{}{}
	})
	got := <-stays
	if term, ok := n.Leading(); !ok || got.term != term || got.opened < 3 {
		t.Fatalf("work began in term %d at index %d; leading %v in %d (configuration 1, no-op 2, term start 3)", got.term, got.opened, ok, term)
	}
	if l, ok := n.Leader(); !ok || string(l.ID) != n.Identity().NodeID {
		t.Fatalf("leader %v, %v", l, ok)
	}
	n.Close()
	select {
	case <-ended:
	default:
		t.Fatal("Close returned while leader work was running")
	}
	n.WhileLeader("late", func(context.Context, uint64) { t.Error("work began after Close") })
}

func TestHealthy(t *testing.T) {
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	cfg.PingInterval = 5 * time.Millisecond
	n := openNode(t, cfg)
	eventually(t, "the node to be healthy", func() bool { return n.Healthy() == nil })
	st := n.Status()
	if st.State != "Leader" || !st.Voter || st.Voters != 1 || st.LastRound.IsZero() || !st.ClockKnown || st.LogBytes == 0 || st.AppliedIndex > st.LastIndex {
		t.Fatalf("%+v", st)
	}
	n.Close()
	if err := n.Healthy(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestUnfinishedSnapshotIsRemoved(t *testing.T) {
	dir := t.TempDir()
	n := bootstrap(t, dir)
	n.Close()
	left := filepath.Join(dir, snapshotDir, "2-10-1.tmp")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	openNode(t, diskConfig(t, dir))
	if _, err := os.Stat(left); err == nil {
		t.Fatal("still there")
	}
}

// The leader marks attempts after the first: an earlier one that arrives late is no call of its own.
func TestLaterAttemptSettlesItsCall(t *testing.T) {
	cfg := diskConfig(t, t.TempDir())
	cfg.Bootstrap = true
	n := openNode(t, cfg)
	mustPropose(t, n, fsm.Command{Attempt: 1, Body: initBody()})
	for attempt, late := range map[int]bool{1: false, 2: true} {
		call := account(attempt)
		call.Attempt, call.Signature = attempt, [16]byte{1}
		mustPropose(t, n, call)
		call.Attempt, call.Signature = 1, [16]byte{2}
		if r := mustPropose(t, n, call); r.Repeat != late {
			t.Errorf("a first attempt after attempt %d: repeat is %v", attempt, r.Repeat)
		}
	}
}
