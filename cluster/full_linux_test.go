package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A real small volume that somebody else fills up: writes are refused in time, reads go on, and nothing is lost. If it is full to
// the last byte the node ends at the first write that fails, and starts again once there is space.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("NOT TESTED on a real full volume: mounting a tmpfs failed (%v); it needs root and CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var fatal atomic.Pointer[error]
	node := filepath.Join(dir, "node")
	watching := func(c *Config) {
		c.MinFree, c.Ballast, c.DiskInterval = 4<<20, 1<<20, 5*time.Millisecond
		c.Fatal = func(err error) { fatal.Store(&err) }
	}
	n := newRegion(t, node, watching)
	mustPropose(t, n, account(1))
	other := filepath.Join(dir, "other")
	fill := func(leave int64) {
		t.Helper()
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(other, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for left := int64(st.Bavail)*int64(st.Bsize) - leave; left > 0; left -= 4096 {
			if _, err := f.Write(make([]byte, 4096)); err != nil {
				return // full
			}
		}
	}
	fill(3 << 20)
	eventually(t, "the low-water mark to be noticed", func() bool { return n.Status().DiskLow })
	if _, err := n.Propose(seconds(t, 5), account(2)); !errors.Is(err, ErrDiskFull) || !NotWritten(err) {
		t.Fatalf("a write: %v", err)
	}
	if err := n.Healthy(); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("health: %v", err)
	}
	mustView(t, n)
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	eventually(t, "space to be back", func() bool { return !n.Status().DiskLow })
	mustPropose(t, n, account(2))
	n.Close()

	n = openNode(t, node, watching, func(c *Config) { c.MinFree, c.Ballast = -1, -1 }) // a node that does not look
	mustView(t, n)
	fill(0)
	acknowledged := 2
	for i := 3; i < 200_000; i++ {
		if _, err := n.Propose(seconds(t, 10), account(i)); err != nil {
			if NotWritten(err) && !errors.Is(err, ErrClosed) {
				t.Fatalf("a write that met the end of the volume: %v", err)
			}
			break
		}
		acknowledged = i
	}
	eventually(t, "the node to end for lack of space", func() bool { return fatal.Load() != nil && n.Healthy() != nil })
	n.Close()
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	s := mustView(t, openNode(t, node, watching))
	for i := 1; i <= acknowledged; i++ {
		if s.Account(accountID(i)) == nil {
			t.Fatalf("account %d of %d acknowledged ones is lost", i, acknowledged)
		}
	}
}
