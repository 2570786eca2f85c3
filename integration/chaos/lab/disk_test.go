//go:build linux

package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "fs" {
		if err := ServeDisk(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestDiskForgets: a power cut takes what was not synced and nothing else; a failed sync, a failed write and a full disk say so.
func TestDiskForgets(t *testing.T) {
	if err := HaveFuse(); err != nil {
		t.Skip("no failing disks here: ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Dir: t.TempDir(), Disk: DiskFuse, Helper: []string{self, "fs"}}
	n := &Node{Name: "n", Dir: c.Dir, Region: &Region{lab: &Lab{Config: c, short: t.TempDir()}}}
	if n.disk, err = newDisk(c, n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.disk.close(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(n.disk.path, "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string, off int64) error {
		_, err := f.WriteAt([]byte(s), off)
		return err
	}
	expect := func(want string) {
		t.Helper()
		if err := n.PowerCut(false); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("after the power cut the file is %q (%v), want %q", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(write("synced", 0))
	must(f.Sync())
	must(write("SYNC", 0))
	must(write(" and more", 6))
	_ = f.Close()
	expect("synced")

	if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	must(n.FailDisk(DiskFault{SyncErrors: 1}))
	must(write("lost??", 0))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync that fails: %v", err)
	}
	must(n.FailDisk(DiskFault{WriteErrors: 1}))
	if err := write("x", 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("a write that fails: %v", err)
	}
	must(n.FailDisk(DiskFault{Full: true}))
	if err := write("x", 8192); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write without space: %v", err)
	}
	must(write("y", 0)) // takes none
	must(n.HealDisk())
	must(syscall.Fallocate(int(f.Fd()), 1 /* FALLOC_FL_KEEP_SIZE */, 0, 1<<16))
	must(n.FailDisk(DiskFault{Full: true}))
	must(write("reserved", 8192))
	must(n.HealDisk())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	h, err := n.DiskHits(ctx)
	if err != nil || h.FailedSyncs != 1 || h.FailedWrites != 1 || h.Refused == 0 || h.Lost == 0 {
		t.Errorf("the disk counts %+v (%v)", h, err)
	}
	_ = f.Close()
	expect("synced")
}
