package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

func openStore(t testing.TB, path string) *logStore {
	t.Helper()
	s, err := openBolt(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func someEntry(i uint64) *raft.Log {
	return &raft.Log{Index: i, Term: i / 7, Type: raft.LogCommand, Data: fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte{byte(i)}, int(i%90)))}
}

func someEntries(from, to uint64) (all []*raft.Log) {
	for i := from; i <= to; i++ {
		all = append(all, someEntry(i))
	}
	return all
}

// dump is all that a store says. A store may also refuse to say it.
func dump(s *logStore) (map[string]string, error) {
	out := map[string]string{}
	first, err1 := s.FirstIndex()
	last, err2 := s.LastIndex()
	out["range"] = fmt.Sprint(first, last)
	errs := []error{err1, err2}
	for i := first; i != 0 && i <= last && i-first < 10000; i++ {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
			errs = append(errs, err)
		}
		out[fmt.Sprint(i)] = fmt.Sprint(l.Index, l.Term, l.Type, string(l.Data), l.Extensions)
	}
	for _, k := range []string{keyNodeID, keyCluster, keyCurrentTerm, "LastVoteCand", "LastVoteTerm"} {
		v, err := s.Get([]byte(k))
		if err != nil && err.Error() != notFound {
			errs = append(errs, err)
		}
		out[k] = string(v)
	}
	return out, errors.Join(errs...)
}

// sample is a file as a node leaves it, and what is in it.
func sample(t *testing.T) (file []byte, want map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), logFile)
	s := openStore(t, path)
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(s.Set([]byte(keyNodeID), []byte("n-1")), s.Set([]byte(keyCluster), []byte("c-1")))
	for i := uint64(1); i <= 120; i += 10 {
		must(s.StoreLogs(someEntries(i, i+9)))
	}
	must(s.SetUint64([]byte(keyCurrentTerm), 17), s.SetUint64([]byte("LastVoteTerm"), 17), s.Set([]byte("LastVoteCand"), []byte("n-2")))
	must(s.DeleteRange(1, 33), s.DeleteRange(110, 120), s.StoreLogs(someEntries(110, 117)))
	want, err := dump(s)
	must(err, s.Close())
	file, err = os.ReadFile(path)
	must(err)
	return file, want
}

// honest opens a file that was damaged: it must be refused, or have lost nothing.
func honest(t *testing.T, what string, file []byte, want map[string]string) (refused bool) {
	t.Helper()
	if _, err := inspectPages(bytes.NewReader(file), int64(len(file))); err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: refused with %v", what, err)
		}
		return true
	}
	path := filepath.Join(t.TempDir(), logFile)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openBolt(path, time.Second)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: refused with %v", what, err)
		}
		return true
	}
	got, err := dump(s)
	if err == nil && !maps.Equal(got, want) {
		t.Errorf("%s: the store says something else and does not know", what)
	}
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return err != nil
}

// TestFlippedBits: wherever a bit of the log's file is flipped, the log says what it said or refuses to be opened.
func TestFlippedBits(t *testing.T) {
	file, want := sample(t)
	if honest(t, "undamaged", file, want) {
		t.Fatal("the undamaged file is refused")
	}
	rng, tries, refused := rand.New(rand.NewSource(1)), 40, 0
	flip := func(at int) {
		bad := bytes.Clone(file)
		bad[at] ^= 1 << rng.Intn(8)
		if honest(t, fmt.Sprintf("bit of byte %d flipped", at), bad, want) {
			refused++
		}
	}
	for range tries {
		flip(rng.Intn(len(file)))
	}
	// The headers of pages and the first of their elements say where everything is.
	for page := 0; page < len(file); page += os.Getpagesize() {
		for at := range 48 {
			if at%5 == 0 || !testing.Short() {
				flip(page + at)
			}
		}
	}
	if refused < 20 {
		t.Errorf("%d flips were seen: the test proves nothing", refused)
	}
	t.Logf("%d flips were seen", refused)
}

// TestCutOffLog: a log that was cut off is refused, unless nothing of it was in what was cut.
func TestCutOffLog(t *testing.T) {
	file, want := sample(t)
	for size := 0; size < len(file); size += 3500 {
		honest(t, fmt.Sprintf("cut to %d bytes", size), file[:size], want)
		bad := bytes.Clone(file)
		clear(bad[size:min(size+4096, len(bad))])
		honest(t, fmt.Sprintf("4096 bytes lost from %d", size), bad, want)
	}
	if !honest(t, "cut in the middle", file[:20000], want) {
		t.Error("half of the log is gone, and it was opened")
	}
}

// TestLogStoreAgainstModel compares the store with a map over changes of every kind that the library makes, and opens it again and again.
func TestLogStoreAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for range 3 {
		path := filepath.Join(t.TempDir(), logFile)
		s, model := openStore(t, path), map[uint64]bool{}
		next := uint64(1)
		for range 25 {
			var err error
			switch rng.Intn(5) {
			case 0: // compaction
				first, _ := s.FirstIndex()
				to := first + uint64(rng.Intn(12))
				err = s.DeleteRange(first, to)
				maps.DeleteFunc(model, func(i uint64, _ bool) bool { return i >= first && i <= to })
			case 1: // a tail that conflicts
				last, _ := s.LastIndex()
				from := last - min(last, uint64(rng.Intn(9)))
				err = s.DeleteRange(from, last)
				maps.DeleteFunc(model, func(i uint64, _ bool) bool { return i >= from && i <= last })
				next = max(from, 1)
			case 2: // a snapshot of the leader
				next += uint64(rng.Intn(40))
			default:
				to := next + uint64(rng.Intn(15))
				err = s.StoreLogs(someEntries(next, to))
				for ; next <= to; next++ {
					model[next] = true
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if rng.Intn(4) == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openStore(t, path)
			}
			all := slices.Sorted(maps.Keys(model))
			first, last := uint64(0), uint64(0)
			if len(all) > 0 {
				first, last = all[0], all[len(all)-1]
			}
			if f, err := s.FirstIndex(); err != nil || f != first {
				t.Fatalf("first is %d (%v), want %d", f, err, first)
			}
			if l, err := s.LastIndex(); err != nil || l != last {
				t.Fatalf("last is %d (%v), want %d", l, err, last)
			}
			for _, i := range all {
				var l raft.Log
				if err := s.GetLog(i, &l); err != nil || !bytes.Equal(l.Data, someEntry(i).Data) {
					t.Fatalf("entry %d: %q %v", i, l.Data, err)
				}
			}
		}
	}
}

// TestLogWithoutChecksums: a file that hashicorp/raft-boltdb wrote is taken over, and what is written from then on has checksums.
func TestLogWithoutChecksums(t *testing.T) {
	path := filepath.Join(t.TempDir(), logFile)
	old, err := raftboltdb.NewBoltStore(path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(old.SetUint64([]byte(keyCurrentTerm), 5), old.StoreLogs(someEntries(3, 9)), old.Close())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := openStore(t, path)
		last, err := s.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.StoreLogs(someEntries(last+1, last+5)); err != nil {
			t.Fatal(err)
		}
		for i := uint64(3); i <= last+5; i++ {
			var l raft.Log
			if err := s.GetLog(i, &l); err != nil || !bytes.Equal(l.Data, someEntry(i).Data) || l.Term != someEntry(i).Term {
				t.Fatalf("entry %d: %+v %v", i, l, err)
			}
		}
		if term, err := s.GetUint64([]byte(keyCurrentTerm)); err != nil || term != 5 {
			t.Fatalf("term %d %v", term, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRewrittenEntriesHaveChecksums: what takes the place of entries without checksums has them.
func TestRewrittenEntriesHaveChecksums(t *testing.T) {
	path := filepath.Join(t.TempDir(), logFile)
	old, err := raftboltdb.NewBoltStore(path)
	if err == nil {
		err = errors.Join(old.SetUint64([]byte(keyCurrentTerm), 5), old.StoreLogs(someEntries(1, 10)), old.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	if err := errors.Join(s.DeleteRange(8, 10), s.StoreLogs(someEntries(8, 9))); err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	if err := s.GetLog(8, &l); err != nil || l.Extensions != nil {
		t.Fatalf("%+v, %v", l, err)
	}
	bad := sealEntry(someEntry(8))
	bad.Data = []byte("something else")
	if err := errors.Join(s.BoltStore.StoreLog(bad), s.Close()); err != nil {
		t.Fatal(err)
	}
	if again, err := openBolt(path, time.Second); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened with %v", err)
		if err == nil {
			_ = again.Close()
		}
	}
}

// TestDamagedSnapshotHoldsNothingUp: a snapshot that claims a higher index than there is does not keep others from being taken.
func TestDamagedSnapshotHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	s, err := openSnapshots(dir, 2, hclog.NewNullLogger(), new(pace))
	if err != nil {
		t.Fatal(err)
	}
	id := closedSnapshot(t, s, 100, []byte("a state"))
	rewrite(t, filepath.Join(dir, snapshotDir, id, metaFile), func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"Index":100`), []byte(`"Index":900`), 1)
	})
	closedSnapshot(t, s, 150, []byte("a later state"))
	if top, err := s.newest(); err != nil || top == nil || top.Index != 150 {
		t.Errorf("the newest is %+v, %v", top, err)
	}
}

// TestDamagedNewestSnapshot: a node whose newest snapshot is damaged starts from an older one and its log if that loses nothing, and
// refuses to start if the log does not reach as far.
func TestDamagedNewestSnapshot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, snapshot string)
		cut    bool // of the log, as after a leader's snapshot was taken over
		want   error
	}{
		{"state", flipIn("state.bin"), false, nil},
		{"meta", bumpMeta, false, nil},
		{"seal", flipIn(metaSum), false, nil},
		{"state, nothing in the log", flipIn("state.bin"), true, ErrDamaged},
		{"meta, nothing in the log", bumpMeta, true, ErrDamaged},
		{"cut off", func(t *testing.T, dir string) { cutOff(t, filepath.Join(dir, "state.bin")) }, true, ErrDamaged},
		{"nothing damaged", func(*testing.T, string) {}, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			n := newRegion(t, dir)
			for i := range 4 {
				mustPropose(t, n, account(i+1))
				if i%2 == 1 {
					if _, err := n.Snapshot(seconds(t, 10)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := n.Close(); err != nil {
				t.Fatal(err)
			}
			if tt.cut {
				s := openStore(t, filepath.Join(dir, logFile))
				last, _ := s.LastIndex()
				if err := errors.Join(s.DeleteRange(1, last), s.Close()); err != nil {
					t.Fatal(err)
				}
			}
			snaps, err := openSnapshots(dir, 2, nil, &pace{})
			if err != nil {
				t.Fatal(err)
			}
			top, err := snaps.newest()
			if err != nil || top == nil {
				t.Fatal(top, err)
			}
			tt.damage(t, filepath.Join(dir, snapshotDir, top.ID))
			again, err := Open(diskConfig(t, dir))
			if tt.want != nil {
				if !errors.Is(err, tt.want) && (err == nil || !bytes.Contains([]byte(err.Error()), []byte("snapshots"))) {
					t.Errorf("opened with %v, want %v", err, tt.want)
				}
				if err == nil {
					_ = again.Close()
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if s := mustView(t, again); s.Account(accountID(4)) == nil {
				t.Error("a change is gone")
			}
		})
	}
}

func flipIn(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		rewrite(t, filepath.Join(dir, name), func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
	}
}

func cutOff(t *testing.T, path string) {
	rewrite(t, path, func(b []byte) []byte { return b[:len(b)/2] })
}

// bumpMeta changes the index in a snapshot's meta file into another number.
func bumpMeta(t *testing.T, dir string) {
	rewrite(t, filepath.Join(dir, metaFile), func(b []byte) []byte {
		at := bytes.Index(b, []byte(`"Index":`)) + len(`"Index":`)
		b[at] ^= 1
		return b
	})
}

func rewrite(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
