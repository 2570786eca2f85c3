package cluster

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// snapshots guards the snapshot store against going back. The library obeys a late InstallSnapshot of the same term that
// is older than what the node has, and a local snapshot that ends during an install sets the node's last index back
// (hashicorp/raft#248): either way the node forgets entries that it acknowledged, which breaks reads. A sink that
// cannot be closed below the newest snapshot stops both before anything has changed, since the library touches its
// indexes only after Close.
type snapshots struct {
	inner raft.SnapshotStore
	dir   string     // where it keeps them, "" if not on a disk
	mu    sync.Mutex // one Close at a time, so that "newest" does not change in between
	// first is the first index of the log at start, 0 once the node runs. A snapshot that ends before first-1 leaves a
	// gap: the library would fall back to it if newer ones were damaged, and then panic or lose entries.
	first atomic.Uint64
	// need is the index up to which a snapshot must reach, 0 once the node runs: the log does not reach the newest one that was
	// ever completed, so that going back to an older one would forget entries.
	need   atomic.Uint64
	failed atomic.Uint64 // snapshots that could not be completed
	any    bool          // planted fault: close them in any order
}

var errOldSnapshot = errors.New("cluster: the snapshot is older than one that this node already has")

// openSnapshots opens the directory's snapshot store and removes what a crash has left unfinished.
func openSnapshots(dir string, retain int, log hclog.Logger, p *pace) (*snapshots, error) {
	path := filepath.Join(dir, snapshotDir)
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasSuffix(e.Name(), unfinished) {
			if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
				return nil, fmt.Errorf("cluster: remove an unfinished snapshot: %w", err)
			}
		}
	}
	s, err := newFileSnapshots(dir, retain, log, p)
	if err != nil {
		return nil, fmt.Errorf("cluster: open the snapshots: %w", err)
	}
	return &snapshots{inner: s, dir: path}, nil
}

// expect refuses, until started is called, snapshots that do not reach up to the log or to its gap, and those that something newer
// was built on which is damaged now. It fails if there is no snapshot at all of what the log lacks.
func (s *snapshots) expect(first, last, gap uint64) error {
	s.first.Store(first)
	metas, err := s.List()
	if err != nil {
		return fmt.Errorf("cluster: list the snapshots: %w", err)
	}
	if len(metas) == 0 && first > 1 {
		return fmt.Errorf("%w (it starts at entry %d and there is no snapshot of what came before)", ErrDiskLost, first)
	}
	need, top := gap, s.top()
	if top > last {
		need = top
	}
	s.need.Store(need)
	if need > top || need > 0 && len(metas) == 0 {
		return fmt.Errorf("%w (the log does not go on from before entry %d, and no snapshot that can be read reaches that far)", ErrDamaged, need+1)
	}
	return nil
}

func (s *snapshots) started() { s.first.Store(0); s.need.Store(0) }

// top is the index of the newest snapshot, good or damaged, by the name of its directory.
func (s *snapshots) top() (top uint64) {
	entries, _ := os.ReadDir(s.dir) // openSnapshots has read it
	for _, e := range entries {
		var term, index, at uint64
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d-%d", &term, &index, &at); n == 3 && !strings.HasSuffix(e.Name(), ".tmp") {
			top = max(top, index)
		}
	}
	return top
}

// The library keeps a checksum of a snapshot's state in its meta file, and none of that file, which says at which entry the
// state ends. metaSum is the file with it; snapshots that the library's own store wrote have none.
const metaSum = "meta.sum"

func sealOf(meta []byte) []byte { return fmt.Appendf(nil, "%x\n", sha256.Sum256(meta)) }

// sealed reports whether a snapshot's meta file has its checksum.
func (s *snapshots) sealed(id string) bool {
	if s.dir == "" {
		return true
	}
	want, err := os.ReadFile(filepath.Join(s.dir, id, metaSum))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	b, err2 := os.ReadFile(filepath.Join(s.dir, id, metaFile))
	return err == nil && err2 == nil && bytes.Equal(want, sealOf(b))
}

// Create implements raft.SnapshotStore.
func (s *snapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.inner.Create(v, index, term, c, ci, t)
	if err != nil {
		s.failed.Add(1)
		return nil, err
	}
	return &sinkGuard{SnapshotSink: sink, store: s, index: index}, nil
}

// List implements raft.SnapshotStore. It leaves out what is damaged as far as that can be seen without reading the states.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.inner.List()
	return slices.DeleteFunc(all, func(m *raft.SnapshotMeta) bool { return !s.sealed(m.ID) }), err
}

// Open implements raft.SnapshotStore.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := s.inner.Open(id)
	if err != nil {
		return nil, nil, err
	}
	if first := s.first.Load(); first > meta.Index+1 {
		r.Close()
		return nil, nil, fmt.Errorf("%w (snapshot %s ends at entry %d, the log starts at %d)", ErrDiskLost, id, meta.Index, first)
	}
	if need := s.need.Load(); need > meta.Index {
		r.Close()
		return nil, nil, fmt.Errorf("%w (the newest snapshot, up to entry %d, cannot be read, and the log does not reach that far)", ErrDamaged, need)
	}
	return meta, r, nil
}

// newest is the newest snapshot, nil if there is none.
func (s *snapshots) newest() (*raft.SnapshotMeta, error) {
	metas, err := s.List() // a damaged one may claim any index
	if err != nil {
		return nil, err
	}
	var top *raft.SnapshotMeta
	for _, m := range metas {
		if top == nil || m.Index > top.Index {
			top = m
		}
	}
	return top, nil
}

// sinkGuard closes only a snapshot that is not older than the newest one.
type sinkGuard struct {
	raft.SnapshotSink
	store *snapshots
	index uint64
	done  bool // Close or Cancel was called: the state machine and the library both call them
	err   error
}

// Close implements raft.SnapshotSink. Calling it again gives the first answer again.
func (k *sinkGuard) Close() error {
	if !k.done {
		k.done = true
		k.err = k.finish()
	}
	return k.err
}

func (k *sinkGuard) finish() error {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	top, err := k.store.newest()
	if err == nil && top != nil && top.Index > k.index && !k.store.any {
		err = fmt.Errorf("%w (%d, newest %d)", errOldSnapshot, k.index, top.Index)
	}
	if err != nil {
		k.store.failed.Add(1)
		return errors.Join(err, k.SnapshotSink.Cancel())
	}
	if err := k.SnapshotSink.Close(); err != nil {
		k.store.failed.Add(1)
		return err
	}
	return nil
}

// Cancel implements raft.SnapshotSink.
func (k *sinkGuard) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	k.store.failed.Add(1)
	return k.SnapshotSink.Cancel()
}
