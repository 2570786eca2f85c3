package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// simDisk is what survives a node's process.
type simDisk struct {
	store *raft.InmemStore
	snaps *simSnaps
}

var errKilled = errors.New("sim: the process is gone")

// simStorage is one process's access to a disk: slow, stalling on demand, and cut off when the process is killed.
type simStorage struct {
	*raft.InmemStore
	net    *simNet
	fsync  time.Duration
	stall  atomic.Int64 // added to every write
	append atomic.Int64 // added to writes of log entries
	killed atomic.Bool
}

func (s *simStorage) Close() error { return nil }

func (s *simStorage) write(f func() error) error {
	time.Sleep(s.fsync + s.net.upTo(s.fsync) + time.Duration(s.stall.Load()))
	if s.killed.Load() {
		return errKilled
	}
	return f()
}

func (s *simStorage) StoreLogs(logs []*raft.Log) error {
	c := make([]*raft.Log, len(logs))
	for i, l := range logs {
		e := *l
		c[i] = &e
	}
	time.Sleep(time.Duration(s.append.Load()))
	return s.write(func() error { return s.InmemStore.StoreLogs(c) })
}

func (s *simStorage) DeleteRange(from, to uint64) error {
	return s.write(func() error { return s.InmemStore.DeleteRange(from, to) })
}

func (s *simStorage) Set(k, v []byte) error {
	return s.write(func() error { return s.InmemStore.Set(k, v) })
}

func (s *simStorage) SetUint64(k []byte, v uint64) error {
	return s.write(func() error { return s.InmemStore.SetUint64(k, v) })
}

// simSnaps keeps the three newest snapshots in memory. A snapshot is there once its sink is closed.
type simSnaps struct {
	mu    sync.Mutex
	metas []*raft.SnapshotMeta
	data  map[string][]byte
	n     int
}

func newSimSnaps() *simSnaps { return &simSnaps{data: map[string][]byte{}} }

func (s *simSnaps) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return &simSink{s: s, m: &raft.SnapshotMeta{Version: v, ID: fmt.Sprint(s.n), Index: index, Term: term, Configuration: c, ConfigurationIndex: ci}}, nil
}

func (s *simSnaps) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.metas), nil
}

func (s *simSnaps) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.metas {
		if m.ID == id {
			return m, io.NopCloser(bytes.NewReader(s.data[id])), nil
		}
	}
	return nil, nil, errors.New("sim: no such snapshot")
}

type simSink struct {
	s *simSnaps
	m *raft.SnapshotMeta
	b bytes.Buffer
}

func (k *simSink) Write(p []byte) (int, error) { return k.b.Write(p) }
func (k *simSink) ID() string                  { return k.m.ID }
func (k *simSink) Cancel() error               { return nil }

func (k *simSink) Close() error {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.m.Size = int64(k.b.Len())
	k.s.data[k.m.ID] = bytes.Clone(k.b.Bytes())
	k.s.metas = append(k.s.metas, k.m)
	slices.SortFunc(k.s.metas, func(a, b *raft.SnapshotMeta) int {
		if a.Term != b.Term {
			return int(b.Term) - int(a.Term)
		}
		return int(b.Index) - int(a.Index)
	})
	for len(k.s.metas) > 3 {
		last := k.s.metas[len(k.s.metas)-1]
		delete(k.s.data, last.ID)
		k.s.metas = k.s.metas[:len(k.s.metas)-1]
	}
	return nil
}
