package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Identity is who a node is. Both ids are random and stay with the data directory.
type Identity struct {
	// NodeID is the node's id in the Raft configuration. A node that lost its disk comes back under a new one, because
	// it forgot its vote and what it acknowledged.
	NodeID string
	// ClusterID is the id of the group. Nodes of another cluster id are not answered; a recovery from lost quorum makes a
	// new one, so that nodes of the old group cannot mix in.
	ClusterID string
}

// Names inside a data directory.
const (
	logFile     = "raft.db"      // bbolt: log, term, vote, identity
	newLogFile  = "raft.db.new"  // a log file under construction, worthless
	idFile      = "node-id"      // the node id again, for people and for finding out that raft.db is gone
	ballastFile = "ballast"      // space to give up when the volume is full
	snapshotDir = "snapshots"    // named by raft.FileSnapshotStore
	keyNodeID   = "TrentNodeID"  // in raft.db
	keyCluster  = "TrentCluster" // in raft.db
)

// ReadIdentity reads who the node of a data directory is, without opening its log. It returns fs.ErrNotExist if the
// directory holds no node. The cluster id is not in a file of its own and stays empty.
func ReadIdentity(dir string) (Identity, error) {
	b, err := os.ReadFile(filepath.Join(dir, idFile))
	if err != nil {
		return Identity{}, fmt.Errorf("cluster: read the node id: %w", err)
	}
	return Identity{NodeID: strings.TrimSpace(string(b))}, nil
}

// HasNode reports whether a data directory holds a node, so that it is opened and not bootstrapped.
func HasNode(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, logFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("cluster: %w", err)
	}
	return err == nil, nil
}

// Create makes the log of a node that is to join a group, in an empty directory: Open then finds it. Whoever joins calls it
// once the group has admitted the node. A directory that holds the same node already is left alone.
func Create(dir string, id Identity) error {
	if id.NodeID == "" || id.ClusterID == "" {
		return errors.New("cluster: a node that joins needs a node id and a cluster id")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cluster: make the data directory: %w", err)
	}
	s, _, err := openLog(&Config{Dir: dir, NodeID: id.NodeID, ClusterID: id.ClusterID})
	if err != nil {
		return err
	}
	return s.Close()
}

// NewID makes a random id for a node or a cluster: a UUID of version 4 (RFC 9562 section 5.4).
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// storedIdentity reads the identity out of an opened log.
func storedIdentity(s Storage) (Identity, error) {
	node, err := s.Get([]byte(keyNodeID))
	if err != nil {
		return Identity{}, fmt.Errorf("cluster: read the node id from the log: %w", err)
	}
	cl, err := s.Get([]byte(keyCluster))
	if err != nil {
		return Identity{}, fmt.Errorf("cluster: read the cluster id from the log: %w", err)
	}
	return Identity{NodeID: string(node), ClusterID: string(cl)}, nil
}

// checkIdentity compares the identity in the log with the one asked for and with the id file, and renews the file if it
// is missing: the log decides, since it is what remembers the vote.
func checkIdentity(dir string, have Identity, cfg *Config) error {
	if cfg.NodeID != "" && cfg.NodeID != have.NodeID {
		return fmt.Errorf("%w: node %s, not %s", ErrIdentity, have.NodeID, cfg.NodeID)
	}
	if cfg.ClusterID != "" && cfg.ClusterID != have.ClusterID {
		return fmt.Errorf("%w: cluster %s, not %s", ErrIdentity, have.ClusterID, cfg.ClusterID)
	}
	named, err := ReadIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFileSync(filepath.Join(dir, idFile), []byte(have.NodeID+"\n"))
	}
	if err != nil {
		return err
	}
	if named.NodeID != have.NodeID {
		return fmt.Errorf("%w: %s says %s, the log says %s", ErrIdentity, idFile, named.NodeID, have.NodeID)
	}
	return nil
}

// writeFileSync writes a small file so that after a crash it is there whole or not at all.
func writeFileSync(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return renameSync(tmp, path)
}

// renameSync renames and makes the new name durable.
func renameSync(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
