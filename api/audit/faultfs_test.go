package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// faultFS wraps a directory. hook is asked before and after every call that changes something; an error before means
// "failed and not done", one after "failed but done".
type faultFS struct {
	filesystem
	mu     sync.Mutex
	hook   func(op, name string, after bool) error
	room   int64            // what free returns, if not zero
	synced map[uint64]int64 // by inode: bytes that survive a power cut
}

func newFaultFS(dir string) *faultFS {
	return &faultFS{filesystem: quickFS{dirFS{dir}}, synced: make(map[uint64]int64)}
}

func (f *faultFS) set(hook func(op, name string, after bool) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *faultFS) ask(op, name string, after bool) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, name, after)
}

// do runs call between the two questions.
func (f *faultFS) do(op, name string, call func() error) error {
	if err := f.ask(op, name, false); err != nil {
		return err
	}
	if err := call(); err != nil {
		return err
	}
	return f.ask(op, name, true)
}

func (f *faultFS) create(name string) (got file, err error) {
	err = f.do("create", name, func() error {
		inner, err := f.filesystem.create(name)
		got = &faultFile{file: inner, fs: f, name: name}
		return err
	})
	return got, err
}

func (f *faultFS) open(name string) (file, error) {
	inner, err := f.filesystem.open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{file: inner, fs: f, name: name}, nil
}

func (f *faultFS) rename(from, to string) error {
	return f.do("rename", to, func() error { return f.filesystem.rename(from, to) })
}

func (f *faultFS) remove(name string) error {
	return f.do("remove", name, func() error { return f.filesystem.remove(name) })
}

func (f *faultFS) syncDir() error { return f.do("syncdir", "", f.filesystem.syncDir) }

func (f *faultFS) free() (int64, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room != 0 {
		return f.room, f.room, nil
	}
	return f.filesystem.free()
}

// powerCut cuts every segment to what was synced plus extra bytes of what was not.
func (f *faultFS) powerCut(t *testing.T, dir string, extra int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if keep := f.synced[idOf(info).ino] + extra; keep < info.Size() {
			if err := os.Truncate(path, keep); err != nil {
				t.Fatal(err)
			}
		}
	}
}

type faultFile struct {
	file
	fs   *faultFS
	name string
}

func (f *faultFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do("write", f.name, func() error {
		n, err = f.file.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *faultFile) sync() error {
	return f.fs.do("sync", f.name, func() error {
		id, err := f.file.id()
		if err != nil {
			return err
		}
		if err := f.file.sync(); err != nil {
			return err
		}
		f.fs.mu.Lock()
		defer f.fs.mu.Unlock()
		f.fs.synced[id.ino] = max(f.fs.synced[id.ino], id.size)
		return nil
	})
}

func (f *faultFile) reserve(size int64) error {
	return f.fs.do("reserve", f.name, func() error { return f.file.reserve(size) })
}

func (f *faultFile) truncate(size int64) error {
	return f.fs.do("truncate", f.name, func() error { return f.file.truncate(size) })
}

func faultRig(t *testing.T, change func(*Config)) (*rig, *faultFS) {
	var ffs *faultFS
	r := newRig(t, func(c *Config) {
		ffs = newFaultFS(c.Dir)
		c.fs = ffs
		if change != nil {
			change(c)
		}
	})
	return r, ffs
}

var errDisk = fmt.Errorf("planted: %w", syscall.EIO)
