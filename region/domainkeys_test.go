package region

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
)

// rotates has a node go on with rotations while it leads, as trent server does.
func (l *memberLab) rotates(nodes ...*memberNode) {
	for _, n := range nodes {
		n.node.WhileLeader("domain key", func(ctx context.Context, _ uint64) { n.members.Rotate(ctx) })
	}
}

// newKey makes a key by way of a node, and tells what it derives.
func (l *memberLab) newKey(n *memberNode, i int, spec, usage string) *fsm.Key {
	l.t.Helper()
	for range 20 {
		st, err := n.node.View(l.ctx())
		if err != nil {
			continue // no majority answers for the moment
		}
		if k := st.Key("111122223333", fmt.Sprintf("1234abcd-12ab-34cd-56ef-%012d", i)); k != nil {
			return k // of an attempt whose outcome was unknown
		}
		k := &fsm.Key{Account: "111122223333", ID: fmt.Sprintf("1234abcd-12ab-34cd-56ef-%012d", i), Spec: spec, Usage: usage, Origin: "AWS_KMS",
			Manager: "CUSTOMER", CreatedAt: 1, Enabled: true, Policy: "{}"}
		m, err := n.members.service.generate(l.ctx(), st, k)
		if err != nil {
			l.t.Fatal(err)
		}
		k.Materials = []fsm.Material{m}
		res, err := n.members.service.proposeOwn(l.ctx(), &fsm.CreateKey{Key: *k})
		if err == nil && res.Code == fsm.OK {
			return k
		}
	}
	l.t.Fatal("a key cannot be made")
	return nil
}

// derive uses a key on a node, by its newest state and without anything cached.
func (n *memberNode) derive(ctx context.Context, k *fsm.Key) (out [32]byte, err error) {
	st, err := n.members.service.View(ctx)
	if err != nil {
		return out, err
	}
	row := st.Key(k.Account, k.ID)
	key, err := n.members.service.load(ctx, st, row, &row.Materials[0])
	if err != nil {
		return out, err
	}
	defer key.Destroy()
	return out, key.DeriveKey(ctx, []byte("test"), &out)
}

// begin begins a rotation, over changes of the leader.
func (l *memberLab) begin(n *memberNode, in RotationRequest) (plan RotationPlan) {
	l.t.Helper()
	l.until("a rotation begins", func() bool {
		var err error
		plan, err = n.members.RotateDomainKey(l.ctx(), in)
		if err != nil {
			l.t.Logf("begin a rotation: %v", err)
			return false
		}
		if !plan.Started && (len(plan.Blocked) != 1 || !strings.Contains(plan.Blocked[0], "under way")) {
			l.t.Fatalf("the rotation cannot begin: %+v", plan)
		}
		return true
	})
	return plan
}

func (l *memberLab) awaitRotation(n *memberNode, to uint32) *RotationStatus {
	l.t.Helper()
	var st *RotationStatus
	l.until("the rotation is done", func() (ok bool) {
		var err error
		st, err = n.members.Rotation(l.ctx())
		return err == nil && st != nil && st.To == to && st.Phase == "done"
	})
	return st
}

func (l *memberLab) holds(n *memberNode, id string) bool {
	l.t.Helper()
	has, err := n.module.HasDomain(l.ctx(), hsm.DomainID(id))
	if err != nil {
		l.t.Fatal(err)
	}
	return has
}

// While keys are used on every node and the leader changes again and again, the domain key is rotated; then the old versions are
// destroyed, and nothing that was acknowledged is lost.
func TestRotateDomainKeyUnderTraffic(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	l.join("n2", first, l.token("n2"))
	third := l.join("n3", first, l.token("n3"))
	l.rotates(l.nodes...)
	keys := []*fsm.Key{
		l.newKey(first, 1, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), l.newKey(first, 2, "ECC_NIST_P256", "SIGN_VERIFY"), l.newKey(third, 3, "HMAC_256", "GENERATE_VERIFY_MAC"),
	}
	want, err := first.derive(l.ctx(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	done := make(chan error, len(l.nodes))
	for _, n := range l.nodes {
		go func() {
			tick := time.NewTicker(5 * time.Millisecond) // traffic, and not all that the machine can do
			defer tick.Stop()
			for !stop.Load() {
				<-tick.C
				got, err := n.derive(context.Background(), keys[0])
				if err == nil && got != want {
					err = errors.New("another key")
				}
				if err != nil {
					done <- fmt.Errorf("%s: %w", n.id, err)
					return
				}
			}
			done <- nil
		}()
	}
	plan, err := third.members.RotateDomainKey(l.ctx(), RotationRequest{DryRun: true})
	if err != nil || plan.Started || plan.To != 2 || plan.Objects != 6 || len(plan.Nodes) != 3 || len(plan.Blocked) != 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	oldID := first.node.State().ActiveDomainKey().ID
	l.begin(third, RotationRequest{DestroyOld: true})
	for i := range 2 { // whoever leads goes on
		_ = third.members.StepDown(l.ctx())
		l.newKey(l.nodes[i], 10+i, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	}
	st := l.awaitRotation(first, 2)
	stop.Store(true)
	for range l.nodes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if st.Done < 6 || len(st.Pending) != 0 {
		t.Errorf("%+v", st)
	}
	for _, n := range l.nodes {
		if l.holds(n, oldID) {
			t.Errorf("%s holds the old version", n.id)
		}
		for _, k := range keys {
			view, err := n.members.service.View(l.ctx())
			if err != nil {
				t.Fatal(err)
			}
			row := view.Key(k.Account, k.ID)
			key, err := n.members.service.load(l.ctx(), view, row, &row.Materials[0])
			if err != nil {
				t.Errorf("%s: key %s: %v", n.id, k.Spec, err)
				continue
			}
			key.Destroy()
		}
		secret, err := n.members.service.AccessSecret(l.ctx(), n.node.State(), n.node.State().AccessKey("AKIAROOT"))
		if err != nil || !strings.HasPrefix(string(secret.Bytes()), "a secret") {
			t.Errorf("%s: access key: %v", n.id, err)
		}
		if _, err := OpenNode(l.ctx(), n.module, n.id, n.saved); err != nil {
			t.Errorf("%s: what it keeps of its certificate: %v", n.id, err)
		}
		state := n.node.State()
		if state.DomainKey(1) != nil || state.ActiveDomainKey().Version != 2 || state.Node(n.id) == nil {
			t.Errorf("%s: the old version is in the state", n.id)
		}
	}
	// A node still joins: the authority's key was sealed anew, and the new transport keys are in use.
	fourth := l.join("n4", third, l.token("n4"))
	if got, err := fourth.derive(l.ctx(), keys[0]); err != nil || got != want {
		t.Errorf("on a new node: %v", err)
	}
}

// An old backup is dead once its domain key version was destroyed: nobody's transport key opens what is in it.
func TestDestroyedVersionsCannotComeBack(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	second := l.join("n2", first, l.token("n2"))
	l.rotates(l.nodes...)
	var backup bytes.Buffer
	old := second.node.State()
	if err := fsm.WriteSnapshot(&backup, old); err != nil {
		t.Fatal(err)
	}
	l.begin(first, RotationRequest{DestroyOld: true})
	l.awaitRotation(first, 2)
	for _, n := range l.nodes {
		for d := range old.DomainKeys() {
			if err := n.module.ImportDomain(l.ctx(), hsm.DomainID(d.ID), wrappedFor(d, n.id)); !errors.Is(err, hsm.ErrIntegrity) {
				t.Errorf("%s takes a destroyed version in from a backup: %v", n.id, err)
			}
		}
	}
}

// A node that does not answer keeps the old versions from being destroyed, until it is removed.
func TestAbsentNodeBlocksDestruction(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	l.join("n2", first, l.token("n2"))
	third := l.join("n3", first, l.token("n3"))
	l.rotates(l.nodes...)
	if err := third.node.Close(); err != nil {
		t.Fatal(err)
	}
	third.wire.Close()
	l.until("the node is gone", func() bool {
		plan, err := first.members.RotateDomainKey(l.ctx(), RotationRequest{DestroyOld: true, DryRun: true})
		return err == nil && slices.Contains(plan.Absent, "n3") && len(plan.Blocked) == 1 && strings.Contains(plan.Blocked[0], "n3")
	})
	if plan, err := first.members.RotateDomainKey(l.ctx(), RotationRequest{DestroyOld: true}); err != nil || plan.Started {
		t.Errorf("destroyed without an answer of every node: %+v, %v", plan, err)
	}
	// A rotation that destroys nothing goes on without it.
	if plan := l.begin(first, RotationRequest{}); !slices.Contains(plan.Absent, "n3") {
		t.Errorf("%+v", plan)
	}
	l.awaitRotation(first, 2)
	if d := first.node.State().DomainKey(2); wrappedFor(d, "n3") == nil {
		t.Error("the new version does not wait for the node that is away")
	}
	if err := first.members.Remove(l.ctx(), "n3"); err != nil {
		t.Fatal(err)
	}
	l.begin(first, RotationRequest{DestroyOld: true})
	l.awaitRotation(first, 3)
	if n := slices.Collect(first.node.State().DomainKeys()); len(n) != 1 || n[0].Version != 3 {
		t.Errorf("versions left: %d", len(n))
	}
}

// A version that a node lacks when it first needs it is taken in then.
func TestDomainKeyIsTakenInLate(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	second := l.join("n2", first, l.token("n2"))
	k := l.newKey(first, 1, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	id := first.node.State().ActiveDomainKey().ID
	if err := second.module.DestroyDomain(l.ctx(), hsm.DomainID(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.derive(l.ctx(), k); err != nil || !l.holds(second, id) {
		t.Errorf("the node does without a version that is wrapped for it: %v", err)
	}
}

func TestRecoveryKeyIsPartOfRotations(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	l.rotates(first)
	public := func() []byte {
		key, err := publishedrsa.Generate(3072)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return spki
	}
	one, two := public(), public()
	a, err := first.members.AddRecoveryKey(l.ctx(), one)
	if err != nil || !slices.Equal(a.Versions, []uint32{1}) {
		t.Fatalf("%+v, %v", a, err)
	}
	if again, err := first.members.AddRecoveryKey(l.ctx(), one); err != nil || again.Name != a.Name {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := first.members.AddRecoveryKey(l.ctx(), []byte("x")); err == nil {
		t.Error("anything is registered as a recovery key")
	}
	l.begin(first, RotationRequest{})
	l.awaitRotation(first, 2)
	all, err := first.members.RecoveryKeys(l.ctx())
	if err != nil || len(all) != 1 || !slices.Equal(all[0].Versions, []uint32{1, 2}) {
		t.Fatalf("%+v, %v", all, err)
	}
	if plan, err := first.members.RotateDomainKey(l.ctx(), RotationRequest{DestroyOld: true}); err != nil || plan.Started || !strings.Contains(plan.Blocked[0], a.Name) {
		t.Errorf("the recovery key would open the destroyed version: %+v, %v", plan, err)
	}
	l.begin(first, RotationRequest{DestroyOld: true, RecoveryKey: two})
	l.awaitRotation(first, 3)
	all, err = first.members.RecoveryKeys(l.ctx())
	if err != nil || len(all) != 1 || all[0].Name == a.Name || !slices.Equal(all[0].Versions, []uint32{3}) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := first.members.RemoveRecoveryKey(l.ctx(), all[0].Name); err != nil {
		t.Error(err)
	}
	if len(first.node.State().ActiveDomainKey().Wrapped) != 1 {
		t.Error("still wrapped for a recovery key that was removed")
	}
}

// The region's key pairs towards other regions go over to the new version, and still sign and unwrap once the old one is destroyed.
func TestRegionKeysAreRotated(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	l.rotates(first)
	s := first.members.service
	before, err := s.ensureRegionKeys(l.ctx())
	if err != nil {
		t.Fatal(err)
	}
	l.begin(first, RotationRequest{DestroyOld: true})
	l.awaitRotation(first, 2)
	st := first.node.State()
	for role, pair := range map[regionKeyRole]fsm.RegionPair{regionTransport: st.RegionKeys().Transport, regionSigning: st.RegionKeys().Signing} {
		if v := st.RegionKeys().DomainOf(&pair); v != 2 {
			t.Errorf("the %s key is wrapped under version %d", role, v)
		}
		key, err := s.loadRegionKey(l.ctx(), st, role)
		if err != nil {
			t.Errorf("the %s key: %v", role, err)
			continue
		}
		key.Destroy()
	}
	signature, err := s.signRegion(l.ctx(), st, "test", []byte("message"))
	if err != nil || verifyRegion(before.RegionKeys().Signing.Public, "test", []byte("message"), signature) != nil {
		t.Errorf("what the signing key signs after the rotation does not verify: %v", err)
	}
}
