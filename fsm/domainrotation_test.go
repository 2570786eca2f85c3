package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// version is a domain key version that is not active yet, wrapped for some.
func version(v uint32, wrapped ...string) DomainKey {
	d := DomainKey{Version: v, ID: fmt.Sprint("domain-", v), Probe: []byte("probe"), CreatedAt: now0}
	for _, name := range wrapped {
		d.Wrapped = append(d.Wrapped, WrappedDomain{name, fmt.Appendf(nil, "%d for %s", v, name)})
	}
	return d
}

// rewrapAll is a Rewrap of all that is under older versions.
func rewrapAll(s *State, to uint32) *Rewrap {
	w := &Rewrap{To: to}
	for item := range s.UnderOlder(to, KeyRef{}) {
		item.Blob = fmt.Appendf(nil, "under %d", to)
		w.Items = append(w.Items, item)
	}
	return w
}

// newRotated is a region of two nodes with one of everything that is wrapped.
func newRotated(t *testing.T) *lab {
	l := newLab(t)
	init := initBody()
	init.Region.AuditKey = &Material{ID: materialID(99), Domain: 1, Blob: []byte("audit"), Public: []byte("spki"), State: MaterialCurrent}
	l.ok(init)
	l.configure(1, 2)
	for n := 1; n <= 2; n++ {
		node := newNode(n)
		node.Transport = fmt.Append(nil, "transport ", n)
		l.ok(&PutNode{node})
		l.ok(&WrapDomainKey{1, WrappedDomain{node.ID, []byte("one")}})
	}
	l.ok(&PutAuthority{Authority{Version: 1, Cert: []byte("der"), Domain: 1, Key: []byte("sealed"), CreatedAt: now0}})
	l.ok(newKey(account1, 1))
	l.ok(&RotateKey{Key: ref1(1), From: materialID(1), Material: Material{ID: materialID(2), Domain: 1, Blob: []byte("second"), State: MaterialCurrent}, Type: RotationOnDemand})
	return l
}

func TestRotateDomainKey(t *testing.T) {
	l := newRotated(t)
	l.refused(&BeginRotation{DomainKey: version(3, "node-1", "node-2")}, now0, Stale, "the domain key version is not the next one")
	l.ok(&BeginRotation{DomainKey: version(2, "node-1"), Total: 5})
	l.refused(&BeginRotation{DomainKey: version(3, "node-1", "node-2")}, now0, Conflict, "a rotation of the domain key is under way")
	l.refused(rewrapAll(l.state(), 2), now0, Conflict, "no rotation to this version wraps anew")
	l.refused(&AdvanceRotation{2, RotationRewrapping}, now0, Conflict, "the new version is not wrapped for node node-2")
	l.refused(&AdvanceRotation{2, RotationDone}, now0, Conflict, "the rotation is spreading")
	l.ok(newKey(account1, 3)) // still under version 1
	l.ok(&WrapDomainKey{2, WrappedDomain{"node-2", []byte("two")}})
	l.ok(&AdvanceRotation{2, RotationRewrapping})
	l.ok(&AdvanceRotation{2, RotationRewrapping}) // the answer was lost
	if d := l.state().ActiveDomainKey(); d.Version != 2 {
		t.Fatalf("version %d is active", d.Version)
	}
	// Who decided before is told to decide again.
	l.refused(newKey(account1, 4), now0, Conflict, noDomain)
	late := newKey(account1, 5)
	late.Key.Materials[0].Domain = 2
	l.ok(late)
	all := rewrapAll(l.state(), 2)
	if len(all.Items) != 6 { // three materials, access key, audit key, authority
		t.Fatalf("%d items: %+v", len(all.Items), all.Items)
	}
	l.refused(&AdvanceRotation{2, RotationDone}, now0, Conflict, "something is still wrapped under version 1")
	l.refused(&AdvanceRotation{2, RotationDestroying}, now0, Conflict, "the rotation is re-wrapping")
	// Both materials of a key in one command; what has changed since is left out.
	changed := *rewrapAll(l.state(), 2)
	changed.Items = slices.Clone(changed.Items)
	for i := range changed.Items {
		if changed.Items[i].Kind == RewrapAccessKey {
			changed.Items[i].Was++
		}
	}
	l.ok(&changed)
	k := l.key(account1, keyID(1))
	if !bytes.Equal(k.Materials[0].Blob, []byte("under 2")) || k.Materials[1].Domain != 2 {
		t.Errorf("materials %+v", k.Materials)
	}
	if a := l.state().AccessKey("AKIAROOT"); a.Domain != 1 || string(a.Secret) != "sealed" {
		t.Errorf("an access key that had changed was overwritten: %+v", a)
	}
	before := l.state().Version(Read{Doc: DocAccessKey, Name: "AKIAROOT"})
	l.ok(rewrapAll(l.state(), 2))
	if a := l.state().AccessKey("AKIAROOT"); a.Domain != 2 || a.Version != before {
		t.Errorf("access key %+v", a)
	}
	r := l.state().DomainRotation()
	if r.Done != 6 || r.Total != 5 || l.state().Region().AuditKey.Domain != 2 || l.state().Authority().Domain != 2 {
		t.Errorf("rotation %+v", r)
	}
	l.ok(&AdvanceRotation{2, RotationDone})
	if l.state().DomainRotation().Active() || l.state().DomainKey(1) == nil {
		t.Error("not done, or the old version is gone")
	}
	checkInvariants(t, l.state())
}

func TestDestroyDomainKey(t *testing.T) {
	l := newRotated(t)
	l.ok(&PutRecoveryKey{RecoveryKey{Name: "recovery-a", Public: []byte("spki"), From: 1}, []WrappedVersion{{1, []byte("for a")}}})
	l.refused(&PutRecoveryKey{RecoveryKey{Name: "recovery-b", Public: []byte("spki"), From: 1}, []WrappedVersion{{2, []byte("x")}}}, now0, Stale,
		"a domain key version is not wrapped for the recovery key")
	next := RecoveryKey{Name: "recovery-b", Public: []byte("spki"), From: 1}
	l.ok(&BeginRotation{DomainKey: version(2, "node-1", "node-2", "recovery-b"), Destroy: true, RecoveryKey: &next})
	l.ok(&AdvanceRotation{2, RotationRewrapping})
	l.refused(&AdvanceRotation{2, RotationDestroying}, now0, Conflict, "something is still wrapped under version 1")
	l.ok(rewrapAll(l.state(), 2))
	l.refused(&ConfirmDestroyed{"node-1"}, now0, Conflict, "no domain key version is being destroyed")
	l.ok(&AdvanceRotation{2, RotationDestroying})
	s := l.state()
	if s.DomainKey(1) != nil || s.RecoveryKey("recovery-a") != nil || s.RecoveryKey("recovery-b").From != 2 {
		t.Error("the old version or its recovery key stays")
	}
	if r := s.DomainRotation(); len(r.Old) != 1 || r.Old[0].ID != "domain-1" || len(r.Pending) != 2 {
		t.Fatalf("%+v", r)
	}
	// The node has to come with another transport key.
	l.refused(&ConfirmDestroyed{"node-1"}, now0, Conflict, "the node still has the transport key that the old versions were wrapped for")
	node := newNode(1)
	node.Transport = []byte("new")
	l.ok(&PutNode{node})
	l.ok(&ConfirmDestroyed{"node-1"})
	l.refused(&AdvanceRotation{2, RotationDone}, now0, Conflict, "a node has not destroyed the old versions: node-2")
	checkInvariants(t, l.state())
	through, err := ReadSnapshot(reader(snapshotOf(t, l.state())))
	if err != nil || Hash(through) != Hash(l.state()) || through.DomainRotation().Pending[0].NodeID != "node-2" {
		t.Errorf("through a snapshot: %v", err)
	}
	l.configure(1) // an absent node blocks it until it is removed
	l.ok(&AdvanceRotation{2, RotationDone})
	l.ok(&BeginRotation{DomainKey: version(3, "node-1", "recovery-b")})
	checkInvariants(t, l.state())
}

// A snapshot of a state without rotations is what versions before them write and read.
func TestNewSectionsAreLeftOutWhileEmpty(t *testing.T) {
	l := newRotated(t)
	before := snapshotOf(t, l.state())
	for _, s := range sections() {
		if s.later && bytes.Contains(before, append([]byte{s.number}, make([]byte, 12)...)) {
			t.Errorf("section %s is there without rows", s.name)
		}
	}
	l.ok(&BeginRotation{DomainKey: version(2)})
	loaded, err := ReadSnapshot(reader(snapshotOf(t, l.state())))
	if err != nil || loaded.DomainRotation() == nil {
		t.Errorf("%v", err)
	}
}

func TestReincarnate(t *testing.T) {
	l := newRotated(t)
	l.ok(&PutRecoveryKey{RecoveryKey{Name: "recovery-a", Public: []byte("spki"), From: 1}, []WrappedVersion{{1, []byte("for a")}}})
	l.ok(joinToken(1, day))
	l.ok(newKey(account1, 2))
	l.ok(&CreateAlias{account1, "alias/a", keyID(2)})
	l.ok(externalKey(account1, 3))
	l.ok(imported(ref1(3), 30, MaterialCurrent, true))
	before := Hash(l.state())
	server := raft.Server{Suffrage: raft.Voter, ID: "node-2", Address: "new:1"}
	s, err := Reincarnate(l.state(), Reincarnation{
		ClusterID: "cluster-2", Server: server, Keys: []KeyRef{ref1(2), ref1(77)},
		Materials: []MaterialRef{{ref1(3), materialID(30)}, {ref1(3), materialID(31)}, {ref1(77), materialID(1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if Hash(l.state()) != before {
		t.Error("the old state has changed")
	}
	if index, cfg := s.Config(); s.Index() != 1<<32 || index != s.Index() || len(cfg.Servers) != 1 || cfg.Servers[0] != server {
		t.Errorf("index %d, configuration %d %+v", s.Index(), index, cfg)
	}
	if s.Region().ClusterID != "cluster-2" || s.Authority() != nil || s.Node("node-1") != nil || s.JoinToken(tokenDigest(1)) != nil {
		t.Error("something of the old cluster is left")
	}
	if !s.Removed("node-1") || s.Removed("node-2") {
		t.Error("the wrong ids are refused")
	}
	if w := s.DomainKey(1).Wrapped; len(w) != 1 || w[0].NodeID != "recovery-a" {
		t.Errorf("wrapped for %+v", w)
	}
	if s.Key(account1, keyID(2)) != nil || s.Alias(account1, "alias/a") != nil || s.Key(account1, keyID(1)) == nil {
		t.Error("a deleted key is back, or another is gone")
	}
	if k := s.Key(account1, keyID(3)); k.Materials[0].Present() || !bytes.Equal(k.Materials[0].ID, materialID(30)) {
		t.Errorf("deleted material is back: %+v", k.Materials)
	}
	checkInvariants(t, s)
	again, err := Reincarnate(s, Reincarnation{ClusterID: "cluster-3", Server: server})
	if err != nil || again.Index() != 2<<32 {
		t.Errorf("%v", err)
	}
	// The same old state a second time: what the first cluster wrote into audit logs is not taken for the second one's.
	again, err = Reincarnate(l.state(), Reincarnation{ClusterID: "cluster-4", Server: server, Above: 5<<32 + 7})
	if err != nil || again.Index() != 6<<32 {
		t.Errorf("%v", err)
	}
	// It is a state like others: it goes through a snapshot, and a log goes on from it.
	rest := newLab(t)
	if err := rest.fsm.Restore(reader(snapshotOf(t, s))); err != nil {
		t.Fatal(err)
	}
	rest.index = s.Index()
	rest.ok(newKey(account1, 2))
}
