package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

// volume watches the free space of the data directory, so that a full disk is met on the node's own terms. Below the
// low-water mark writes are refused while everything still works; only what Raft itself must write (a term, a vote, a
// term's opening, a truncation) goes on, and for that the ballast file is given up in time. Without it the node would
// fail at the first write, end, start again, fail again.
type volume struct {
	dir     string
	minFree uint64 // 0 = no check
	ballast uint64 // 0 = none
	free    func(string) (uint64, error)
	log     *slog.Logger

	low  atomic.Bool
	left atomic.Uint64 // free bytes at the last look
}

func newVolume(cfg *Config) *volume {
	return &volume{
		dir: cfg.Dir, free: cfg.FreeSpace, log: cfg.Logger,
		minFree: uint64(max(0, cfg.MinFree)), ballast: uint64(max(0, cfg.Ballast)),
	}
}

func (v *volume) path() string { return filepath.Join(v.dir, ballastFile) }

// look measures the free space and acts on it. It is called by one goroutine at a time.
func (v *volume) look() {
	if v.minFree == 0 {
		return
	}
	free, err := v.free(v.dir)
	if err != nil {
		v.log.Warn("cluster: cannot measure free space", "dir", v.dir, "error", err)
		return
	}
	v.left.Store(free)
	held := v.held()
	// Giving up the ballast must not look like space gained.
	usable := free
	if missing := v.ballast - min(held, v.ballast); usable >= missing {
		usable -= missing
	} else {
		usable = 0
	}
	switch low := usable < v.minFree; {
	case low && !v.low.Swap(true):
		v.log.Error("cluster: the volume is nearly full, writes are refused", "dir", v.dir, "free", free, "needed", v.minFree)
	case !low && v.low.Swap(false):
		v.log.Info("cluster: the volume has space again, writes are accepted", "dir", v.dir, "free", free)
	}
	switch {
	case free < v.minFree/4 && held > 0:
		v.drop()
	case held < v.ballast && free >= v.minFree+v.ballast:
		v.fill()
	}
}

// held is the size of the ballast file.
func (v *volume) held() uint64 {
	if st, err := os.Stat(v.path()); err == nil {
		return uint64(st.Size())
	}
	return 0
}

func (v *volume) drop() {
	if err := os.Remove(v.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.log.Error("cluster: cannot give up the ballast file", "error", err)
		return
	}
	v.log.Warn("cluster: gave up the ballast file, so that the log can still be written", "bytes", v.ballast)
}

func (v *volume) fill() {
	if err := v.allocate(); err != nil {
		os.Remove(v.path())
		v.log.Warn("cluster: cannot make the ballast file", "error", err)
	}
}

func (v *volume) allocate() error {
	f, err := os.OpenFile(v.path(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(allocate(f, int64(v.ballast)), f.Close())
}

// writeZeros fills a file the slow way, for systems that cannot reserve space.
func writeZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return f.Sync()
}

// err says why writes are refused, nil if they are not.
func (v *volume) err() error {
	if !v.low.Load() {
		return nil
	}
	return fmt.Errorf("%w (%s: %d MiB free, %d MiB needed)", ErrDiskFull, v.dir, v.left.Load()>>20, (v.minFree+v.ballast)>>20)
}
