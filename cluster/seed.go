package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// Stopped is what the data directory of a node that does not run holds.
type Stopped struct {
	Identity Identity
	// Term is the latest term that the node knew, LastIndex the end of its log.
	Term, LastIndex uint64
}

// Load reads the directory of a node that does not run into an empty state machine: the newest snapshot and the whole log after
// it. What the node did not know to be committed counts as committed, since it may have been acknowledged. It fails if the node
// runs. It changes nothing.
func Load(dir string, machine raft.FSM) (st Stopped, err error) {
	if has, err := HasNode(dir); err != nil || !has {
		return st, errors.Join(err, ErrNotInitialized)
	}
	s, err := openBolt(filepath.Join(dir, logFile), lockTimeout)
	if err != nil {
		return st, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if st.Identity, err = storedIdentity(s); err != nil {
		return st, err
	}
	if st.Term, err = s.GetUint64([]byte(keyCurrentTerm)); err != nil && err.Error() != notFound {
		return st, fmt.Errorf("cluster: read the term: %w", err)
	}
	first, err := s.FirstIndex()
	if err != nil {
		return st, fmt.Errorf("cluster: read the log: %w", err)
	}
	if st.LastIndex, err = s.LastIndex(); err != nil {
		return st, fmt.Errorf("cluster: read the log: %w", err)
	}
	done, err := loadSnapshot(dir, st.LastIndex, machine)
	if err != nil {
		return st, err
	}
	if first > done+1 {
		return st, fmt.Errorf("%w (the log starts at entry %d, the newest good snapshot ends at %d)", ErrDiskLost, first, done)
	}
	for i := done + 1; i <= st.LastIndex; i++ {
		var entry raft.Log
		if err := s.GetLog(i, &entry); err != nil {
			return st, fmt.Errorf("cluster: read log entry %d: %w", i, err)
		}
		if entry.Type != raft.LogCommand && entry.Type != raft.LogConfiguration {
			continue
		}
		if err, failed := machine.Apply(&entry).(error); failed {
			return st, fmt.Errorf("cluster: apply log entry %d: %w", i, err)
		}
	}
	st.LastIndex = max(st.LastIndex, done)
	return st, nil
}

// loadSnapshot restores the newest snapshot that can be read, and returns the index at which it ends, 0 if there is none. The log
// ends at last.
func loadSnapshot(dir string, last uint64, machine raft.FSM) (uint64, error) {
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, nil)
	if err != nil {
		return 0, fmt.Errorf("cluster: open the snapshots: %w", err)
	}
	store := &snapshots{inner: files, dir: filepath.Join(dir, snapshotDir)}
	if top := store.top(); top > last {
		store.need.Store(top)
	}
	all, err := store.List()
	if err != nil {
		return 0, fmt.Errorf("cluster: list the snapshots: %w", err)
	}
	var failed []error
	for _, m := range all {
		_, r, err := store.Open(m.ID)
		if err == nil {
			err = errors.Join(machine.Restore(r), r.Close())
		}
		if err == nil {
			return m.Index, nil
		}
		failed = append(failed, fmt.Errorf("cluster: snapshot %s: %w", m.ID, err))
	}
	return 0, errors.Join(failed...)
}

// Seed makes the data directory of a node that begins a new cluster with a state, whose configuration names the node as the only
// voter (fsm.Reincarnate). The directory must be empty or absent; what a failure leaves in it is worthless.
func Seed(dir string, id Identity, st *fsm.State) error {
	if id.NodeID == "" || id.ClusterID == "" {
		return errors.New("cluster: a new cluster needs a node id and a cluster id")
	}
	index, cfg := st.Config()
	if len(cfg.Servers) != 1 || string(cfg.Servers[0].ID) != id.NodeID || index != st.Index() {
		return errors.New("cluster: the state is not one that a new cluster can begin with")
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return ErrNotEmpty
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cluster: make the data directory: %w", err)
	}
	c := &Config{Dir: dir, NodeID: id.NodeID, ClusterID: id.ClusterID}
	s, _, err := makeLog(c, filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	const term = 1
	if err := errors.Join(s.SetUint64([]byte(keyCurrentTerm), term), s.Close()); err != nil {
		return fmt.Errorf("cluster: write the term: %w", err)
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, nil)
	if err != nil {
		return fmt.Errorf("cluster: open the snapshots: %w", err)
	}
	_, names := raft.NewInmemTransport("")
	sink, err := store.Create(raft.SnapshotVersionMax, index, term, cfg, index, names)
	if err != nil {
		return fmt.Errorf("cluster: write the snapshot: %w", err)
	}
	if err := fsm.WriteSnapshot(sink, st); err != nil {
		return errors.Join(fmt.Errorf("cluster: write the snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("cluster: write the snapshot: %w", err)
	}
	return nil
}
