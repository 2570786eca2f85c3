package cluster

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// tracedFSM is the real state machine, with a running digest of everything it applied, which travels in snapshots.
type tracedFSM struct {
	*fsm.FSM
	c   *sim
	p   *simNode
	mu  sync.Mutex
	sum uint64
}

func (f *tracedFSM) ApplyBatch(logs []*raft.Log) []any {
	if d := f.p.slow.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	f.mu.Lock()
	for _, l := range logs {
		h := fnv.New64a()
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], f.sum)
		binary.BigEndian.PutUint64(b[8:], l.Index)
		h.Write(b[:])
		h.Write(l.Data)
		f.sum = h.Sum64()
		f.c.check(l.Index, f.sum, f.p.id)
	}
	f.mu.Unlock()
	return f.FSM.ApplyBatch(logs)
}

func (f *tracedFSM) Snapshot() (raft.FSMSnapshot, error) {
	s, err := f.FSM.Snapshot()
	f.mu.Lock()
	defer f.mu.Unlock()
	return tracedSnapshot{s, f.sum}, err
}

type tracedSnapshot struct {
	raft.FSMSnapshot
	sum uint64
}

func (s tracedSnapshot) Persist(sink raft.SnapshotSink) error {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], s.sum)
	if _, err := sink.Write(b[:]); err != nil {
		return err
	}
	return s.FSMSnapshot.Persist(sink)
}

func (f *tracedFSM) Restore(r io.ReadCloser) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	if err := f.FSM.Restore(r); err != nil {
		if errors.Is(err, fsm.ErrOlder) {
			f.c.tally.olderRefused.Add(1)
		}
		return err
	}
	f.c.tally.restores.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sum = binary.BigEndian.Uint64(b[:])
	f.c.check(f.State().Index(), f.sum, f.p.id+" after a restore")
	return nil
}
