package cluster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// countedFile is a real file that counts what is not on the disk yet, and can fail.
type countedFile struct {
	pieceFile
	unsynced, most, syncs int
	failWrite, failSync   int // the n-th fails; 0 = none
}

func (f *countedFile) Write(p []byte) (int, error) {
	if f.failWrite--; f.failWrite == 0 {
		return 0, errors.New("no space")
	}
	f.unsynced += len(p)
	f.most = max(f.most, f.unsynced)
	return f.pieceFile.Write(p)
}

func (f *countedFile) SyncData() error {
	if f.failSync--; f.failSync == 0 {
		return errors.New("the disk is gone")
	}
	f.syncs++
	f.unsynced = 0
	return f.pieceFile.SyncData()
}

// snapshotsIn opens a directory's snapshots; each file that is made is handed to mod.
func snapshotsIn(t *testing.T, dir string, p *pace, mod func(*countedFile)) *snapshots {
	t.Helper()
	s, err := openSnapshots(dir, 2, hclog.NewNullLogger(), p)
	if err != nil {
		t.Fatal(err)
	}
	files := s.inner.(*fileSnapshots)
	files.create = func(path string) (pieceFile, error) {
		f, err := createPieceFile(path)
		c := &countedFile{pieceFile: f}
		if mod != nil {
			mod(c)
		}
		return c, err
	}
	return s
}

func newSink(t *testing.T, s *snapshots, index uint64) raft.SnapshotSink {
	t.Helper()
	k, err := s.Create(raft.SnapshotVersionMax, index, 3, groupOf("a", "b"), 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// snapshotOf is some data that is not the same everywhere.
func snapshotOf(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// closedSnapshot writes a whole snapshot.
func closedSnapshot(t *testing.T, s *snapshots, index uint64, data []byte) string {
	t.Helper()
	k := newSink(t, s, index)
	if _, err := k.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	return k.ID()
}

func mustHold(t *testing.T, s raft.SnapshotStore, id string, index uint64, data []byte) {
	t.Helper()
	m, r, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read %d bytes back instead of %d, %v", len(got), len(data), err)
	}
	if m.Index != index || m.Term != 3 || m.ConfigurationIndex != 7 || len(m.Configuration.Servers) != 2 || m.Size != int64(len(data)) || m.Version != 1 {
		t.Fatalf("described as %+v", m)
	}
}

// However a snapshot arrives, never more than one piece of it is not on the disk, and the library's own store reads it.
func TestSnapshotIsSyncedInPieces(t *testing.T) {
	data := snapshotOf(3*pieceSize + 12_345)
	for _, chunk := range []int{1000, pieceSize, len(data)} {
		dir := t.TempDir()
		var f *countedFile
		s := snapshotsIn(t, dir, new(pace), func(c *countedFile) { f = c })
		k := newSink(t, s, 40)
		for rest := data; len(rest) > 0; {
			n := min(chunk, len(rest))
			if got, err := k.Write(rest[:n]); got != n || err != nil {
				t.Fatalf("wrote %d of %d, %v", got, n, err)
			}
			rest = rest[n:]
		}
		if f.syncs != 3 {
			t.Errorf("%d pieces are on the disk before the end, want 3", f.syncs)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if f.most > pieceSize || f.unsynced > 0 || f.syncs != 4 {
			t.Errorf("writes of %d bytes: at most %d bytes, at the end %d, were not on the disk; %d syncs", chunk, f.most, f.unsynced, f.syncs)
		}
		library, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		mustHold(t, library, k.ID(), 40, data)
	}
}

// Only the newest snapshots stay, and those of the library's own store count.
func TestSnapshotsRetained(t *testing.T) {
	dir := t.TempDir()
	library, err := raft.NewFileSnapshotStoreWithLogger(dir, 2, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	_, trans := raft.NewInmemTransport("a")
	k, err := library.Create(1, 10, 3, groupOf("a", "b"), 7, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Write(snapshotOf(5000)); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	s := snapshotsIn(t, dir, new(pace), nil)
	mustHold(t, s, k.ID(), 10, snapshotOf(5000))
	for i := range 3 {
		closedSnapshot(t, s, uint64(20+i), snapshotOf(100+i))
	}
	names, err := os.ReadDir(filepath.Join(dir, snapshotDir))
	if err != nil || len(names) != 2 || !strings.HasPrefix(names[0].Name(), "3-21-") || !strings.HasPrefix(names[1].Name(), "3-22-") {
		t.Fatalf("there are %v, %v", names, err)
	}
}

// A snapshot that cannot be finished leaves nothing behind and the older one in force.
func TestUnfinishedSnapshot(t *testing.T) {
	data := snapshotOf(2*pieceSize + 99)
	for _, tt := range []struct {
		name  string
		mod   func(*countedFile)
		begin func(t *testing.T, k raft.SnapshotSink, end func())
		fails bool // a write or Close
		left  bool // the directory is there until the next start
	}{
		{name: "a write fails", fails: true, mod: func(f *countedFile) { f.failWrite = 2 }},
		{name: "a sync fails", fails: true, mod: func(f *countedFile) { f.failSync = 2 }},
		{name: "the last sync fails", fails: true, mod: func(f *countedFile) { f.failSync = 3 }},
		{name: "the node closes", fails: true, begin: func(_ *testing.T, _ raft.SnapshotSink, end func()) { end() }},
		{name: "canceled", begin: func(t *testing.T, k raft.SnapshotSink, _ func()) {
			if err := k.Cancel(); err != nil {
				t.Error(err)
			}
		}},
		{name: "the process is killed", left: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ended := make(chan struct{})
			p := &pace{ended: ended}
			old := closedSnapshot(t, snapshotsIn(t, dir, p, nil), 40, data)
			s := snapshotsIn(t, dir, p, tt.mod)
			k := newSink(t, s, 60)
			if tt.begin != nil {
				tt.begin(t, k, func() { close(ended) })
			}
			_, err := k.Write(data)
			if tt.fails {
				if err == nil {
					err = k.Close()
				} else if err := k.Cancel(); err != nil {
					t.Errorf("cancel: %v", err)
				}
				if err == nil {
					t.Fatal("there was no error")
				}
			}
			names, err := os.ReadDir(filepath.Join(dir, snapshotDir))
			if want := 1; err != nil || (len(names) != want) != tt.left {
				t.Fatalf("there are %v, %v", names, err)
			}
			s = snapshotsIn(t, dir, new(pace), nil) // a new start
			if names, err := os.ReadDir(filepath.Join(dir, snapshotDir)); err != nil || len(names) != 1 {
				t.Fatalf("after a new start there are %v, %v", names, err)
			}
			if top, err := s.newest(); err != nil || top.ID != old {
				t.Fatalf("newest %+v, %v", top, err)
			}
			mustHold(t, s, old, 40, data)
		})
	}
}
