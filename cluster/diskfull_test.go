package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// ballasted gives a node a low-water mark of 1 MiB and a ballast of 64 KiB, on a volume that has this much space left.
func ballasted(free func() uint64) func(*Config) {
	return func(c *Config) {
		c.MinFree, c.Ballast = 1<<20, 1<<16
		c.FreeSpace = func(string) (uint64, error) { return free(), nil }
	}
}

func TestDiskFull(t *testing.T) {
	var free atomic.Uint64
	free.Store(plenty)
	dir := t.TempDir()
	n := newRegion(t, dir, ballasted(free.Load), func(c *Config) { c.DiskInterval = time.Millisecond })
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
	bootstrap(t, dir, ballasted(func() uint64 { return plenty })).Close()
	n := openNode(t, dir, ballasted(func() uint64 { return 1 << 10 }))
	if _, err := os.Stat(filepath.Join(dir, ballastFile)); err == nil {
		t.Fatal("the ballast is still there")
	}
	if _, err := n.Propose(seconds(t, 5), account(1)); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	mustView(t, n) // it has opened its term and reads
}
