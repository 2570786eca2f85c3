package region

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/link"
	"github.com/trentkms/trent/region/link/linktest"
	"github.com/trentkms/trent/region/multiregion"
	"github.com/trentkms/trent/region/shape"
)

// regionsLab is some regions, each a real Raft group with an HSM of its own, joined by a network in memory.
type regionsLab struct {
	t       testing.TB
	net     *linktest.Network
	labs    map[string]*clockLab
	stop    map[string]func()
	engines map[string]*multiregion.Engine
	links   map[string]*lazyLink
	// carriers outlive engines.
	carriers map[string]*carrier
	// synchronized counts the audit records of synchronizations.
	asked chan Question
}

func newRegionsLab(t testing.TB, names ...string) *regionsLab {
	t.Helper()
	f := &regionsLab{t: t, net: linktest.New(1), labs: map[string]*clockLab{}, stop: map[string]func(){}, engines: map[string]*multiregion.Engine{}, links: map[string]*lazyLink{}, carriers: map[string]*carrier{}, asked: make(chan Question, 1000)}
	rows := map[string]*fsm.OtherRegion{}
	for _, name := range names {
		l := newClockLabIn(t, name)
		f.labs[name] = l
		st, err := l.service.ensureRegionKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys := st.RegionKeys()
		rows[name] = &fsm.OtherRegion{
			Name: name, ClusterID: st.Region().ClusterID, Incarnation: st.Region().Incarnation(), CA: []byte("pinned"), Transport: keys.Transport.Public,
			Mechanism: keys.Mechanism, Signing: keys.Signing.Public, State: fsm.RegionFederated, CreatedAt: 1,
		}
	}
	for _, name := range names {
		for _, other := range names {
			if other != name {
				f.propose(name, &fsm.PutOtherRegion{Region: *rows[other]})
			}
		}
		f.start(name)
	}
	t.Cleanup(func() {
		for _, stop := range f.stop {
			stop()
		}
		f.net.Wait()
	})
	return f
}

func (f *regionsLab) propose(region string, body fsm.Body) {
	f.t.Helper()
	if err := f.labs[region].service.proposeSetup(f.t.Context(), body); err != nil {
		f.t.Fatal(err)
	}
}

// lazyLink lets an engine be made before its link, and can be deaf: nothing is answered.
type lazyLink struct {
	*linktest.Link
	deaf atomic.Pointer[deafness]
}

// deafness is how a link answers nothing.
type deafness struct {
	// known tells that the other regions are known to be out of reach.
	known bool
	// waits are the times that callers would have waited.
	waits chan time.Duration
}

func (l *lazyLink) Call(ctx context.Context, region string, request []byte) ([]byte, error) {
	d := l.deaf.Load()
	if d == nil {
		return l.Link.Call(ctx, region, request)
	}
	end, _ := ctx.Deadline()
	select {
	case d.waits <- time.Until(end):
	default:
	}
	return nil, fmt.Errorf("%w: %s: no answer", link.ErrUnreachable, region)
}

func (l *lazyLink) Peers() []link.Peer {
	all := l.Link.Peers()
	if d := l.deaf.Load(); d != nil && d.known {
		for i := range all {
			all[i].Reachable = false
		}
	}
	return all
}

// start runs a region's engine, as a new leader does.
func (f *regionsLab) start(name string) {
	l := f.labs[name]
	lazy := &lazyLink{}
	if f.carriers[name] == nil {
		f.carriers[name] = &carrier{Service: l.service}
	}
	e := multiregion.New(multiregion.Config{
		Cluster: overtaken{l.node, f.t}, Link: lazy, Materials: f.carriers[name], Sessions: l.service, Every: 20 * time.Millisecond, Ask: f.answer(l),
		Synchronized: func(string, string, string) []byte { return []byte(`{}`) },
		Identities:   l.service, Decide: decideIn(l),
	})
	lazy.Link = f.net.Join(name, e)
	l.service.Federate(e)
	f.engines[name], f.links[name] = e, lazy
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx) }()
	f.stop[name] = func() { cancel(); <-done }
}

// overtaken is a Raft group in which, whenever a change is recorded that another region told of, something else was decided on the same
// state: a pull and the answer to a tell can be under way at the same time, and what is recorded of the one is not true of the other.
type overtaken struct {
	*cluster.Node
	t testing.TB
}

func (c overtaken) Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error) {
	res, err := c.Node.Propose(ctx, cmd)
	body, ok := cmd.Body.(*fsm.SyncKeys)
	if err != nil || !ok || res.Code != fsm.OK || len(cmd.Audit) == 0 {
		return res, err
	}
	second := cmd
	second.ID[0] ^= 0xff
	second.Body = &fsm.SetDescription{Key: fsm.KeyRef{Account: body.Docs[0].Account, ID: body.Docs[0].ID}, Description: "recorded again"}
	if again, err := c.Node.Propose(ctx, second); err == nil && again.Code == fsm.OK {
		c.t.Errorf("the audit records of taking over %s could be written twice", body.Docs[0].ID)
	}
	return res, nil
}

// answer says yes to whatever the region could do.
func (f *regionsLab) answer(l *clockLab) func(context.Context, string, []byte) ([]byte, error) {
	return func(ctx context.Context, _ string, b []byte) ([]byte, error) {
		var q Question
		if err := json.Unmarshal(b, &q); err != nil {
			return nil, err
		}
		f.asked <- q
		st, err := l.service.View(ctx)
		if err != nil {
			return nil, err
		}
		v := &Verdict{}
		if q.Operation == "CreateKey" {
			k, _, err := l.service.PlanReplica(&Call{State: st, Now: l.service.Now()}, &q)
			if err != nil {
				e := fault.From(err)
				return json.Marshal(&Verdict{Fault: e.Code.Name(), Message: e.Message})
			}
			v.Policy = k.Policy
		}
		return json.Marshal(v)
	}
}

func (f *regionsLab) replicate(from, id, to string) (*ReplicateKeyOutput, error) {
	return perform(f.labs[from], "ReplicateKey", (*Service).ReplicateKey, &ReplicateKeyInput{KeyID: id, ReplicaRegion: to})
}

func (f *regionsLab) move(from, id, to string) error {
	_, err := perform(f.labs[from], "UpdatePrimaryRegion", (*Service).UpdatePrimaryRegion, &UpdatePrimaryRegionInput{KeyID: id, PrimaryRegion: to})
	return err
}

// await waits until a region's key is in a state.
func (f *regionsLab) await(region, id string, what string, ok func(k *fsm.Key) bool) {
	f.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		k := f.labs[region].node.State().Key(labAccount, id)
		if ok(k) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: %s: key %+v, set %+v", region, what, k, setOf(k))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func setOf(k *fsm.Key) *fsm.KeySet {
	if k == nil {
		return nil
	}
	return k.Set
}

func (f *regionsLab) awaitEnabled(region, id string) {
	f.t.Helper()
	f.await(region, id, "enabled", func(k *fsm.Key) bool { return k != nil && State(k, time.Now()) == shape.KeyStateEnabled })
}

func multi(in *CreateKeyInput) { in.MultiRegion = true }

const (
	regionA = "us-east-1"
	regionB = "eu-west-1"
	regionC = "ap-southeast-2"
)

// TestReplicas does everything with one federation, since making one takes seconds. What loses a region comes last.
func TestReplicas(t *testing.T) {
	f := newRegionsLab(t, regionA, regionB, regionC)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"life", f.life}, {"lag", f.lagIsTold}, {"no answer", f.noAnswer}, {"imported", f.imported}, {"transfer", f.transferIsBound}, {"bundles", f.bundles}, {"one bad key", f.oneKeyHoldsUpNoOther}, {"quota", f.quota}, {"bad network", f.badNetwork}, {"restored", f.restored},
		{"foreign sessions", f.foreignSessions}, {"forged sessions", f.forgedSessions}, {"sessions", f.sessions}, {"session keys", f.sessionsAreBound}, {"forgotten", f.sessionsEnd},
	} {
		if !t.Run(part.name, func(t *testing.T) { f.t = t; part.run(t) }) {
			return
		}
	}
}

// life takes one key through its life in three regions: made, replicated, rotated, handed over, deleted.
func (f *regionsLab) life(t *testing.T) {
	id := f.labs[regionA].createKey(multi).KeyID
	old, err := f.labs[regionA].encrypt(id, "older than the replica")
	if err != nil {
		t.Fatal(err)
	}
	out, err := f.replicate(regionA, id, regionB)
	md := must(f.labs[regionA], out, err).ReplicaKeyMetadata
	if md.KeyState != shape.KeyStateCreating || md.Enabled || md.Arn != (arn.Scope{Partition: "aws", Region: regionB}).Key(labAccount, id) ||
		md.MultiRegionConfiguration.MultiRegionKeyType != shape.MultiRegionKeyReplica || md.CurrentKeyMaterialID.Set {
		t.Errorf("the replica is described as %s", asJSON(md))
	}
	f.awaitEnabled(regionB, id)
	if got, err := f.labs[regionB].decrypt(old); err != nil || got != "older than the replica" {
		t.Fatalf("the replica decrypts %q, %v", got, err)
	}
	if _, err := f.replicate(regionA, id, regionB); !errors.Is(err, fault.AlreadyExistsException) {
		t.Errorf("a second replica in the region: %v", err)
	}
	if _, err := f.replicate(regionB, id, regionC); !errors.Is(err, fault.UnsupportedOperationException) {
		t.Errorf("replicating a replica: %v", err)
	}
	out, err = f.replicate(regionA, id, regionC)
	must(f.labs[regionA], out, err)
	f.awaitEnabled(regionC, id)

	f.rotateEverywhere(id, old)
	f.handOver(id)
	f.deleteEverywhere(id)
}

// rotateEverywhere rotates while a region is cut off: nothing new is used before it is back.
func (f *regionsLab) rotateEverywhere(id string, old []byte) {
	t := f.t
	t.Helper()
	f.await(regionA, id, "joined by all", func(k *fsm.Key) bool { return !k.Unsettled() })
	before := current(f.labs[regionA].node.State().Key(labAccount, id)).ID
	f.net.Isolate(regionC, true)
	rotated, err := perform(f.labs[regionA], "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id})
	must(f.labs[regionA], rotated, err)
	f.await(regionB, id, "has the new material", func(k *fsm.Key) bool { return k.Spreading() != nil })
	if k := f.labs[regionA].node.State().Key(labAccount, id); !bytes.Equal(current(k).ID, before) {
		t.Error("the primary uses material that a region lacks")
	}
	if _, err := perform(f.labs[regionA], "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id}); !errors.Is(err, fault.ConflictException) {
		t.Errorf("a second rotation while one runs: %v", err)
	}
	if _, err := f.labs[regionC].encrypt(id, "cut off"); err != nil {
		t.Errorf("the region that is cut off does not encrypt: %v", err)
	}
	f.net.Isolate(regionC, false)
	for _, name := range []string{regionA, regionB, regionC} {
		f.await(name, id, "rotated", func(k *fsm.Key) bool { return k.Spreading() == nil && !bytes.Equal(current(k).ID, before) })
	}
	blob, err := f.labs[regionB].encrypt(id, "new")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range f.labs {
		for _, b := range [][]byte{old, blob} {
			if _, err := l.decrypt(b); err != nil {
				t.Errorf("%s: %v", l.service.Region(), err)
			}
		}
	}
}

func (f *regionsLab) handOver(id string) {
	t := f.t
	t.Helper()
	if err := f.move(regionB, id, regionC); !errors.Is(err, fault.UnsupportedOperationException) {
		t.Errorf("a replica gives the primary away: %v", err)
	}
	if err := f.move(regionA, id, regionB); err != nil {
		t.Fatal(err)
	}
	f.await(regionB, id, "primary", func(k *fsm.Key) bool { return !k.Replica() })
	f.await(regionA, id, "replica", func(k *fsm.Key) bool { return k.Replica() && k.Set.Updating == "" })
	f.await(regionC, id, "knows the primary", func(k *fsm.Key) bool { return k.Set.Primary == regionB })
	for _, name := range []string{regionA, regionB, regionC} {
		md, err := f.labs[name].describe(id)
		c := must(f.labs[name], md, err).MultiRegionConfiguration
		if c.PrimaryKey.Region != regionB || len(c.ReplicaKeys) != 2 || slices.ContainsFunc(c.ReplicaKeys, func(k MultiRegionKey) bool { return k.Region == regionB }) {
			t.Errorf("%s: %s", name, asJSON(c))
		}
	}
	if _, err := perform(f.labs[regionA], "EnableKeyRotation", (*Service).EnableKeyRotation, &EnableKeyRotationInput{KeyID: id}); !errors.Is(err, fault.UnsupportedOperationException) {
		t.Errorf("rotation is set on a replica: %v", err)
	}
	rotation, err := perform(f.labs[regionB], "EnableKeyRotation", (*Service).EnableKeyRotation, &EnableKeyRotationInput{KeyID: id, RotationPeriodInDays: shape.Some(int32(100))})
	must(f.labs[regionB], rotation, err)
	f.await(regionA, id, "shows the rotation", func(k *fsm.Key) bool { return k.Rotation != nil && k.Rotation.PeriodDays == 100 })
}

// deleteEverywhere deletes the primary first: its waiting period begins when the last replica is gone.
func (f *regionsLab) deleteEverywhere(id string) {
	t := f.t
	t.Helper()
	for _, name := range []string{regionB, regionA, regionC} {
		out, err := perform(f.labs[name], "ScheduleKeyDeletion", (*Service).ScheduleKeyDeletion, &ScheduleKeyDeletionInput{KeyID: id, PendingWindowInDays: 7})
		must(f.labs[name], out, err)
		if primary := name == regionB; primary != (out.KeyState == shape.KeyStatePendingReplicaDeletion) || primary == out.DeletionDate.Set {
			t.Errorf("%s: %s", name, asJSON(out))
		}
	}
	md, err := f.labs[regionB].describe(id)
	if must(f.labs[regionB], md, err).PendingDeletionWindowInDays.Value != 7 || md.DeletionDate.Set {
		t.Errorf("the primary is described as %s", asJSON(md))
	}
	for _, name := range []string{regionA, regionC} {
		f.labs[name].pass(8 * day)
		f.labs[name].runDue()
		f.await(name, id, "deleted", func(k *fsm.Key) bool { return k == nil })
	}
	f.await(regionB, id, "alone", func(k *fsm.Key) bool { return k.DeletionAt != 0 })
	if k := f.labs[regionB].node.State().Key(labAccount, id); len(k.Set.Members) != 1 || k.DeletionAt < f.labs[regionB].service.Now().Add(6*day).UnixMilli() {
		t.Errorf("the primary's waiting period did not begin with the last deletion: %d, %+v", k.DeletionAt, k.Set)
	}
}

// imported: imported material does not travel; the customer brings the same material to each region.
func (f *regionsLab) imported(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	id := a.createKey(multi, external).KeyID
	if _, err := f.replicate(regionA, id, regionB); !errors.Is(err, fault.KMSInvalidStateException) {
		t.Errorf("a key without material is replicated: %v", err)
	}
	first, second := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	if err := a.importMaterial(id, a.parameters(id), first, 0); err != nil {
		t.Fatal(err)
	}
	out, err := f.replicate(regionA, id, regionB)
	must(a, out, err)
	f.await(regionB, id, "waits for its material", func(k *fsm.Key) bool {
		return k != nil && State(k, time.Now()) == shape.KeyStatePendingImport
	})
	if err := b.importMaterial(id, b.parameters(id), second, 0); !errors.Is(err, fault.IncorrectKeyMaterialException) {
		t.Errorf("other material than the primary's: %v", err)
	}
	if err := b.importMaterial(id, b.parameters(id), first, 0); err != nil {
		t.Fatal(err)
	}
	blob, err := a.encrypt(id, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.decrypt(blob); err != nil {
		t.Error(err)
	}
	f.importSecond(id, second)
}

// quota: a replica that finds its region's quota reached, after the call was answered, is taken out of the set again.
func (f *regionsLab) quota(t *testing.T) {
	q := fsm.DefaultQuotas()
	id := f.labs[regionA].createKey(multi).KeyID
	f.net.Cut(regionA, regionB, true)
	if _, err := f.replicate(regionA, id, regionB); !errors.Is(err, fault.ServiceUnavailable) {
		t.Errorf("replicating to a region that is cut off: %v", err)
	}
	f.net.Cut(regionA, regionB, false)
	f.stop[regionB]() // nobody leads there, and nobody tells it: the question is answered, the replica is not made yet
	f.stop[regionA]()
	out, err := f.replicate(regionA, id, regionB)
	must(f.labs[regionA], out, err)
	q.KeysPerAccount = 1
	f.propose(regionB, &fsm.SetQuotas{Quotas: q})
	f.start(regionA)
	f.start(regionB)
	f.await(regionA, id, "alone again", func(k *fsm.Key) bool { return len(k.Set.Members) == 1 })
	f.propose(regionB, &fsm.SetQuotas{Quotas: fsm.DefaultQuotas()})
	out, err = f.replicate(regionA, id, regionB)
	must(f.labs[regionA], out, err)
	f.awaitEnabled(regionB, id)
}

// importSecond rotates to material that has to be imported everywhere first.
func (f *regionsLab) importSecond(id string, material []byte) {
	t, a, b := f.t, f.labs[regionA], f.labs[regionB]
	t.Helper()
	p := a.parameters(id)
	in := &ImportKeyMaterialInput{
		KeyID: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrap(t, p, material), ImportType: shape.Some(shape.ImportNewKeyMaterial),
		ExpirationModel: shape.Some(shape.ExpirationModelKeyMaterialDoesNotExpire),
	}
	imported, err := perform(a, "ImportKeyMaterial", (*Service).ImportKeyMaterial, in)
	must(a, imported, err)
	state := func() shape.KeyMaterialState {
		list, err := perform(a, "ListKeyRotations", (*Service).ListKeyRotations, &ListKeyRotationsInput{KeyID: id, IncludeKeyMaterial: shape.Some(shape.IncludeAllKeyMaterial)})
		return must(a, list, err).Rotations[1].KeyMaterialState
	}
	if got := state(); got != shape.KeyMaterialStatePendingMultiRegionImportAndRotation {
		t.Errorf("the new material is %s", got)
	}
	if _, err := perform(a, "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id}); !errors.Is(err, fault.KMSInvalidStateException) {
		t.Errorf("rotation before every region has the material: %v", err)
	}
	f.await(regionB, id, "knows the new material", func(k *fsm.Key) bool { return len(k.Materials) == 2 })
	if err := b.importMaterial(id, b.parameters(id), material, 0); err != nil {
		t.Fatal(err)
	}
	f.await(regionA, id, "knows that the replica has it", func(k *fsm.Key) bool { return !k.PendingElsewhere(&k.Materials[1]) })
	if got := state(); got != shape.KeyMaterialStatePendingRotation {
		t.Errorf("the new material is %s", got)
	}
	rotated, err := perform(a, "RotateKeyOnDemand", (*Service).RotateKeyOnDemand, &KeyInput{KeyID: id})
	must(a, rotated, err)
	f.await(regionB, id, "rotated", func(k *fsm.Key) bool { return k.Current == 1 })
}
