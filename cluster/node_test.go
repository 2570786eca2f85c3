package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
)

func TestProposeRestartReplay(t *testing.T) {
	dir := t.TempDir()
	n := newRegion(t, dir)
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

	n = openNode(t, dir)
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
	n := newRegion(t, dir, trailing(5))
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

	n = openNode(t, dir)
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
		n := newRegion(t, dir, trailing(1))
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
	n := newRegion(t, dir, trailing(1))
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
	openNode(t, dir).Close()
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

func TestClockOff(t *testing.T) {
	var shift atomic.Int64
	n := newRegion(t, t.TempDir(), func(c *Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
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
	n := bootstrap(t, t.TempDir(), func(c *Config) { c.PingInterval = 5 * time.Millisecond })
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
	openNode(t, dir)
	if _, err := os.Stat(left); err == nil {
		t.Fatal("still there")
	}
}

// The leader marks attempts after the first: an earlier one that arrives late is no call of its own.
func TestLaterAttemptSettlesItsCall(t *testing.T) {
	n := newRegion(t, t.TempDir())
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
