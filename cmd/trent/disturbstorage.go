//go:build chaos

package main

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
)

// disturbedStorage is the log store with failpoints.
type disturbedStorage struct {
	cluster.Storage
	points *failpoints
}

// around runs one write between its two points.
func (s *disturbedStorage) around(point string, f func() error) error {
	if err := s.points.pass(context.Background(), point+".before"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return s.points.pass(context.Background(), point+".after")
}

func (s *disturbedStorage) StoreLogs(logs []*raft.Log) error {
	return s.around("store", func() error { return s.Storage.StoreLogs(logs) })
}

func (s *disturbedStorage) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *disturbedStorage) DeleteRange(from, to uint64) error {
	if err := s.points.pass(context.Background(), "truncate.before"); err != nil {
		return err
	}
	return s.Storage.DeleteRange(from, to)
}

func (s *disturbedStorage) Set(key, val []byte) error {
	return s.around("stable", func() error { return s.Storage.Set(key, val) })
}

func (s *disturbedStorage) SetUint64(key []byte, val uint64) error {
	return s.around("stable", func() error { return s.Storage.SetUint64(key, val) })
}

// lateDelay is how long lateStorage keeps what it has acknowledged.
const lateDelay = 400 * time.Millisecond

// lateStorage is the planted fault AckBeforeSync: entries are acknowledged at once and written later. What a kill finds unwritten
// is lost.
type lateStorage struct {
	cluster.Storage
	mu      sync.Mutex
	pending []*raft.Log
	timer   *time.Timer
}

func newLateStorage(s cluster.Storage) *lateStorage { return &lateStorage{Storage: s} }

func (s *lateStorage) StoreLogs(logs []*raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, logs...)
	if s.timer == nil {
		s.timer = time.AfterFunc(lateDelay, func() { _ = s.flush() })
	}
	return nil
}

func (s *lateStorage) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *lateStorage) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if len(s.pending) == 0 {
		return nil
	}
	logs := s.pending
	s.pending = nil
	return s.Storage.StoreLogs(logs)
}

func (s *lateStorage) GetLog(index uint64, l *raft.Log) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pending {
		if p.Index == index {
			*l = *p
			return nil
		}
	}
	return s.Storage.GetLog(index, l)
}

func (s *lateStorage) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.pending); n > 0 {
		return s.pending[n-1].Index, nil
	}
	return s.Storage.LastIndex()
}

func (s *lateStorage) DeleteRange(from, to uint64) error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.Storage.DeleteRange(from, to)
}

func (s *lateStorage) Close() error {
	_ = s.flush()
	return s.Storage.Close()
}
