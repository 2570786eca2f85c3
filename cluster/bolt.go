package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout bounds the wait for another process that has the log open; without it bbolt waits for ever. It is long
// enough for a predecessor that is just ending.
const lockTimeout = 5 * time.Second

// openBolt opens a log file.
func openBolt(path string, wait time.Duration) (*logStore, error) {
	s, err := openLogStore(path, wait)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("cluster: %s is in use by another process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: open %s: %w", path, err)
	}
	return s, nil
}

// openLog opens the directory's log, or makes one if the directory is empty and the configuration says how.
func openLog(cfg *Config) (*logStore, Identity, error) {
	path := filepath.Join(cfg.Dir, logFile)
	switch _, err := os.Stat(path); {
	case err == nil:
		return openOldLog(cfg, path)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, Identity{}, fmt.Errorf("cluster: %w", err)
	}
	if err := checkEmpty(cfg.Dir); err != nil {
		return nil, Identity{}, err
	}
	if !cfg.Bootstrap && cfg.ClusterID == "" {
		return nil, Identity{}, ErrNotInitialized
	}
	return makeLog(cfg, path)
}

func openOldLog(cfg *Config, path string) (*logStore, Identity, error) {
	if cfg.Bootstrap {
		return nil, Identity{}, ErrNotEmpty
	}
	s, err := openBolt(path, cfg.lockTimeout())
	if err != nil {
		return nil, Identity{}, err
	}
	id, err := storedIdentity(s)
	if err == nil {
		err = checkIdentity(cfg.Dir, id, cfg)
	}
	if err != nil {
		s.Close()
		return nil, Identity{}, err
	}
	return s, id, nil
}

// checkEmpty tells a fresh directory from one whose log is gone.
func checkEmpty(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, idFile)); err == nil {
		return ErrDiskLost
	}
	snaps, err := os.ReadDir(filepath.Join(dir, snapshotDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster: %w", err)
	}
	if len(snaps) > 0 {
		return ErrDiskLost
	}
	return nil
}

// makeLog makes a log with its identity, and with the first configuration if this is a bootstrap. It is built under
// another name and renamed, so that a log that is there is complete: a crash in the middle leaves an empty directory.
func makeLog(cfg *Config, path string) (*logStore, Identity, error) {
	id := Identity{NodeID: cfg.NodeID, ClusterID: cfg.ClusterID}
	if id.NodeID == "" {
		id.NodeID = NewID()
	}
	if id.ClusterID == "" {
		id.ClusterID = NewID()
	}
	tmp := filepath.Join(cfg.Dir, newLogFile)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, id, fmt.Errorf("cluster: %w", err)
	}
	s, err := openBolt(tmp, cfg.lockTimeout())
	if err != nil {
		return nil, id, err
	}
	if err := errors.Join(seed(s, id, cfg), s.Close()); err != nil {
		return nil, id, fmt.Errorf("cluster: write the first log: %w", err)
	}
	if err := renameSync(tmp, path); err != nil {
		return nil, id, fmt.Errorf("cluster: %w", err)
	}
	if err := writeFileSync(filepath.Join(cfg.Dir, idFile), []byte(id.NodeID+"\n")); err != nil {
		return nil, id, fmt.Errorf("cluster: write the node id: %w", err)
	}
	s, err = openBolt(path, cfg.lockTimeout())
	return s, id, err
}

// seed writes what a new log starts with.
func seed(s Storage, id Identity, cfg *Config) error {
	if err := s.Set([]byte(keyNodeID), []byte(id.NodeID)); err != nil {
		return err
	}
	if err := s.Set([]byte(keyCluster), []byte(id.ClusterID)); err != nil {
		return err
	}
	if !cfg.Bootstrap {
		return nil
	}
	addr := raft.ServerAddress(cfg.Address)
	if addr == "" {
		addr = raft.ServerAddress(id.NodeID)
	}
	first := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(id.NodeID), Address: addr}}}
	return bootstrapStorage(s, first)
}

// bootstrapStorage writes the first configuration at index 1, term 1, as raft.BootstrapCluster does.
func bootstrapStorage(s Storage, first raft.Configuration) error {
	if err := s.SetUint64([]byte(keyCurrentTerm), 1); err != nil {
		return err
	}
	return s.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(first)})
}
