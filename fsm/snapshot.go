package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// ErrOlder reports a snapshot that ends before the state it should replace. Raft v1.8.0 obeys a late InstallSnapshot of
// the same term; taking it would lose changes that were acknowledged.
var ErrOlder = errors.New("fsm: the snapshot is older than the state: to go back in time, restore a backup into a new cluster")

// Snapshot implements raft.FSM. It only takes a pointer.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return nil, f.failure
	}
	return &snapshot{state: f.State(), syncSink: f.options.SyncSink}, nil
}

// snapshot implements raft.FSMSnapshot. Persist runs beside apply.
type snapshot struct {
	state    *State
	syncSink func(uint64) error
}

// Persist implements raft.FSMSnapshot. Audit records come first: once the snapshot is complete, raft may drop the
// entries that hold them.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.persist(sink); err != nil {
		return errors.Join(fmt.Errorf("fsm: snapshot at index %d: %w", s.state.index, err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) persist(w io.Writer) error {
	if s.syncSink != nil {
		if err := s.syncSink(s.state.index); err != nil {
			return fmt.Errorf("syncing audit records: %w", err)
		}
	}
	return WriteSnapshot(w, s.state)
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() { s.state = nil }

// Restore implements raft.FSM. It takes the snapshot over completely or leaves the state as it is; a snapshot older than
// the state is an ErrOlder, a damaged one an ErrSnapshot. Raft closes r.
func (f *FSM) Restore(r io.ReadCloser) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return f.failure
	}
	applied := f.State().index
	loaded, err := load(r, func(index uint64) error {
		if index < applied {
			return fmt.Errorf("%w (index %d, state %d)", ErrOlder, index, applied)
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.db, f.interner = loaded.db, loaded.interner
	f.publish(loaded.state, []Event{{Kind: EventRestored, Index: loaded.state.index}})
	f.options.Logger.Info("snapshot restored", "index", loaded.state.index)
	return nil
}

// ReadSnapshot reads a snapshot to look into it, to compare it or to write it again. Errors are ErrSnapshot.
// It allocates no more than a few times what it reads.
func ReadSnapshot(r io.Reader) (*State, error) {
	loaded, err := load(r, func(uint64) error { return nil })
	if err != nil {
		return nil, err
	}
	return loaded.state, nil
}

// Hash returns the digest of the snapshot of a state. States of two nodes at the same index have the same hash.
func Hash(s *State) [sha256.Size]byte {
	h := sha256.New()
	if err := writeSections(h, s); err != nil {
		panic("fsm: hashing a state: " + err.Error()) // a digest cannot fail, and rows are what CBOR can encode
	}
	return [sha256.Size]byte(h.Sum(nil))
}
