package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// sink is a raft.SnapshotSink in memory that can fail.
type sink struct {
	bytes.Buffer
	failAfter         int // bytes; 0 = never
	closed, cancelled bool
}

func (s *sink) Write(p []byte) (int, error) {
	if s.failAfter > 0 && s.Len()+len(p) > s.failAfter {
		return 0, errDisk
	}
	return s.Buffer.Write(p)
}

func (s *sink) ID() string { return "snapshot" }

func (s *sink) Close() error { s.closed = true; return nil }

func (s *sink) Cancel() error { s.cancelled = true; return nil }

func taken(t *testing.T, f *FSM) raft.FSMSnapshot {
	t.Helper()
	snap, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(snap.Release)
	return snap
}

// full is a region with rows in every section.
func full(t testing.TB) *lab {
	l := newRegion(t)
	c := newKey(account1, 1)
	c.Key.Tags, c.Key.Description = []Tag{{"a", "b"}}, "description"
	l.ok(c)
	l.ok(newKey(account2, 2))
	l.ok(externalKey(account1, 3))
	m := imported(ref1(3), 3, MaterialCurrent, true)
	m.Material.Expires, m.Material.ExpiresAt, m.Material.Description = true, now0+day, "imported"
	l.ok(m)
	l.ok(&SetRotation{ref1(1), Rotation{true, 90, now0 + 90*day}})
	l.ok(&CreateAlias{account1, "alias/a", keyID(1)})
	l.ok(newGrant(1, 1, named, retiredBy, forContext))
	l.ok(&LastUsage{[]KeyUse{{account1, keyID(1), now0, "Decrypt", "event", "request"}}})
	l.ok(&PutAuditHead{AuditHead{NodeID: "node-1", Segment: 1, LastSeq: 2, Chain: []byte{1}, KeyID: "audit", Sig: []byte{2}, At: now0}})
	l.ok(&PutDomainKey{DomainKey{Version: 2, ID: "domain-2", Active: true, Wrapped: []WrappedDomain{{"node-1", []byte{1}}}}})
	l.ok(newIdentity(account1, IdentityGroup, 1))
	l.ok(newPolicy(account1, 1))
	l.ok(having(newUser(1), 0, func(i *Identity) { i.Groups, i.Boundary = []string{identityID(IdentityGroup, 1)}, policyID(1) }))
	l.ok(userKey(1, "AKIA1"))
	l.ok(newProvider(account1, 1, 0))
	l.ok(schedule(1, now0+7*day))
	l.index++
	l.fsm.StoreConfiguration(l.index, voters)
	return l
}

func TestSnapshotIsTheStateWhenItWasTaken(t *testing.T) {
	l := full(t)
	var synced []uint64
	l.fsm.options.SyncSink = func(index uint64) error {
		synced = append(synced, index)
		return nil
	}
	want := snapshotOf(t, l.state())
	snap, at := taken(t, l.fsm), l.state().Index()
	l.ok(newKey(account1, 9))
	var s sink
	if err := snap.Persist(&s); err != nil || !s.closed || s.cancelled {
		t.Fatalf("Persist: %v, closed %v, cancelled %v", err, s.closed, s.cancelled)
	}
	if !bytes.Equal(s.Bytes(), want) {
		t.Error("the snapshot holds what was applied after it was taken")
	}
	if !slices.Equal(synced, []uint64{at}) {
		t.Errorf("audit records synced up to %v, want %d", synced, at)
	}
	if sum := Hash(l.state()); bytes.Equal(sum[:], want[len(want)-sha256.Size:]) {
		t.Error("two states with the same hash")
	}
	loaded, err := ReadSnapshot(reader(want))
	if err != nil {
		t.Fatal(err)
	}
	if sum := Hash(loaded); !bytes.Equal(sum[:], want[len(want)-sha256.Size:]) {
		t.Error("the hash of a state is not the digest of its snapshot")
	}
}

// A snapshot that could not be written, or whose audit records could not be made durable, is not kept.
func TestPersistFails(t *testing.T) {
	l := full(t)
	size := len(snapshotOf(t, l.state()))
	for _, after := range []int{1, size / 2, size - 1} {
		s := &sink{failAfter: after}
		if err := taken(t, l.fsm).Persist(s); !errors.Is(err, errDisk) || !s.cancelled || s.closed {
			t.Errorf("sink full after %d bytes: %v, closed %v, cancelled %v", after, err, s.closed, s.cancelled)
		}
	}
	l.fsm.options.SyncSink = func(uint64) error { return errDisk }
	s := new(sink)
	if err := taken(t, l.fsm).Persist(s); !errors.Is(err, errDisk) || !s.cancelled || s.closed {
		t.Errorf("audit sync fails: %v, closed %v, cancelled %v", err, s.closed, s.cancelled)
	}
}

func TestRestoreTakesOver(t *testing.T) {
	l := full(t)
	data := snapshotOf(t, l.state())
	other := newRegion(t)
	other.ok(newKey(account1, 77))
	if err := other.fsm.Restore(reader(data)); err != nil {
		t.Fatal(err)
	}
	s := other.state()
	if Hash(s) != Hash(l.state()) || s.Index() != l.index || s.Key(account1, keyID(77)) != nil {
		t.Error("the restored state is not the snapshot's")
	}
	if index, cfg := s.Config(); index != l.index || fmt.Sprint(cfg) != fmt.Sprint(voters) {
		t.Errorf("configuration %d %v", index, cfg)
	}
	if !slices.ContainsFunc(other.events, func(e Event) bool { return e.Kind == EventRestored && e.Index == l.index }) {
		t.Errorf("events %v: caches were not told", other.events)
	}
	if r, ok := s.Remembered(commandID(3)); !ok || !slices.Equal(r.Objects, []string{keyID(1)}) {
		t.Errorf("remembered %+v %v", r, ok)
	}
	other.index = l.index
	other.ok(newKey(account1, 4))
	checkInvariants(t, other.state())
}

func TestRestoreWakesWaiters(t *testing.T) {
	l := full(t)
	data := snapshotOf(t, l.state())
	other := newLab(t)
	done := make(chan error)
	go func() {
		_, err := other.fsm.Wait(t.Context(), l.index)
		done <- err
	}()
	if err := other.fsm.Restore(reader(data)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A failed restore leaves the old state as it was, and the FSM works on.
func TestRestoreIsAllOrNothing(t *testing.T) {
	l := full(t)
	data := snapshotOf(t, l.state())
	other := newRegion(t)
	other.ok(newKey(account1, 77))
	before, events := other.state(), len(other.events)
	try := func(what string, r io.ReadCloser, want error) {
		t.Helper()
		if err := other.fsm.Restore(r); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if other.state() != before || len(other.events) != events {
			t.Fatalf("%s: the state has changed", what)
		}
	}
	for n := 0; n < len(data); n += 13 {
		try(fmt.Sprint("cut to ", n), reader(data[:n]), ErrSnapshot)
	}
	for n := 0; n < len(data); n += 7 {
		damaged := bytes.Clone(data)
		damaged[n] ^= 4
		try(fmt.Sprint("damaged at ", n), reader(damaged), ErrSnapshot)
	}
	try("more behind it", reader(append(bytes.Clone(data), 0)), ErrSnapshot)
	try("reader fails", io.NopCloser(io.MultiReader(bytes.NewReader(data[:200]), failing{})), errDisk)
	if len(other.fatal) > 0 {
		t.Fatal(other.fatal)
	}
	other.ok(newKey(account1, 78))
	checkInvariants(t, other.state())
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestRestoreNeverGoesBack(t *testing.T) {
	l := full(t)
	older := snapshotOf(t, l.state())
	l.ok(newKey(account1, 9))
	before := l.state()
	if err := l.fsm.Restore(reader(older)); !errors.Is(err, ErrOlder) {
		t.Errorf("an older snapshot: %v", err)
	}
	if l.state() != before {
		t.Error("the state has changed")
	}
	// The header is enough to refuse it.
	if err := l.fsm.Restore(io.NopCloser(io.MultiReader(bytes.NewReader(older[:200]), failing{}))); !errors.Is(err, ErrOlder) {
		t.Errorf("an older snapshot, unread: %v", err)
	}
	if err := l.fsm.Restore(reader(snapshotOf(t, before))); err != nil {
		t.Errorf("a snapshot of the same index: %v", err)
	}
}
