package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// fileSnapshots is the library's store of snapshots in files, but for how they are written: the library leaves half a
// gigabyte to the page cache and syncs it at the end, and a write of the log that needs the disk meanwhile waits for all of
// it. Here a snapshot goes to the disk piece by piece (see pace). The files are the library's: a directory named
// term-index-milliseconds, .tmp until it is complete, with state.bin and meta.json; meta.sum beside them is ours.
type fileSnapshots struct {
	*raft.FileSnapshotStore // reads and removes
	dir                     string
	pace                    *pace
	create                  func(path string) (pieceFile, error)
}

// pieceFile is the file that a snapshot is written to.
type pieceFile interface {
	io.WriteCloser
	// SyncData makes what was written durable, and whatever is needed to read it back.
	SyncData() error
}

// pieceSize is how much of a snapshot is written at once.
const pieceSize = 1 << 20

// Names of the library's.
const (
	unfinished = ".tmp"
	stateFile  = "state.bin"
	metaFile   = "meta.json"
)

func newFileSnapshots(dir string, retain int, log hclog.Logger, p *pace) (*fileSnapshots, error) {
	s, err := raft.NewFileSnapshotStoreWithLogger(dir, retain, log)
	if err != nil {
		return nil, err
	}
	return &fileSnapshots{s, filepath.Join(dir, snapshotDir), p, createPieceFile}, nil
}

// diskFile is a pieceFile on the disk.
type diskFile struct{ *os.File }

// SyncData implements pieceFile.
func (f diskFile) SyncData() error { return syncData(f.File) }

func createPieceFile(path string) (pieceFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// snapshotMeta is what the library stores beside a snapshot.
type snapshotMeta struct {
	raft.SnapshotMeta
	CRC []byte
}

// Create implements raft.SnapshotStore. SnapshotMeta.Peers stays empty: only version 0 reads it.
func (s *fileSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if v != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("cluster: version %d of snapshots is not written", v)
	}
	id := fmt.Sprintf("%d-%d-%d", term, index, time.Now().UnixMilli())
	k := &pacedSink{store: s, dir: filepath.Join(s.dir, id+unfinished), crc: crc64.New(crc64.MakeTable(crc64.ECMA)),
		buf: make([]byte, 0, pieceSize), meta: snapshotMeta{SnapshotMeta: raft.SnapshotMeta{
			Version: v, ID: id, Index: index, Term: term, Configuration: c, ConfigurationIndex: ci}}}
	err := os.Mkdir(k.dir, 0o700)
	if err == nil {
		k.file, err = s.create(filepath.Join(k.dir, stateFile))
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: begin a snapshot: %w", errors.Join(err, os.RemoveAll(k.dir)))
	}
	return k, nil
}

// pacedSink is a snapshot that is being written.
type pacedSink struct {
	store *fileSnapshots
	dir   string
	file  pieceFile
	crc   hash.Hash64
	buf   []byte // the next piece
	meta  snapshotMeta
	done  bool
}

// ID implements raft.SnapshotSink.
func (k *pacedSink) ID() string { return k.meta.ID }

// Write implements raft.SnapshotSink.
func (k *pacedSink) Write(p []byte) (n int, err error) {
	for n < len(p) {
		c := min(len(p)-n, pieceSize-len(k.buf))
		k.buf = append(k.buf, p[n:n+c]...)
		n += c
		if len(k.buf) == pieceSize {
			if err := k.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush writes a piece and waits until it is on the disk.
func (k *pacedSink) flush() error {
	err := k.store.pace.piece(func() error {
		if _, err := k.file.Write(k.buf); err != nil {
			return err
		}
		return k.file.SyncData()
	})
	if err != nil {
		return fmt.Errorf("cluster: write a snapshot: %w", err)
	}
	k.crc.Write(k.buf)
	k.meta.Size += int64(len(k.buf))
	k.buf = k.buf[:0]
	return nil
}

// Close implements raft.SnapshotSink: the snapshot counts from the moment in which its directory has its name. What had
// to go for it goes afterwards.
func (k *pacedSink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	err := k.flush()
	if err = errors.Join(err, k.file.Close()); err == nil {
		err = k.publish()
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(k.dir))
	}
	return k.store.ReapSnapshots()
}

func (k *pacedSink) publish() error {
	k.meta.CRC = k.crc.Sum(nil)
	text, err := json.Marshal(&k.meta)
	if err != nil {
		return fmt.Errorf("cluster: describe a snapshot: %w", err)
	}
	// writeFileSync syncs the directory too, and with it the entry of the state.
	if err := errors.Join(writeFileSync(filepath.Join(k.dir, metaFile), text), writeFileSync(filepath.Join(k.dir, metaSum), sealOf(text))); err != nil {
		return fmt.Errorf("cluster: describe a snapshot: %w", err)
	}
	if err := renameSync(k.dir, filepath.Join(k.store.dir, k.meta.ID)); err != nil {
		return fmt.Errorf("cluster: name a snapshot: %w", err)
	}
	return nil
}

// Cancel implements raft.SnapshotSink.
func (k *pacedSink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	return errors.Join(k.file.Close(), os.RemoveAll(k.dir))
}
