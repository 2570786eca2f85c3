package fsm

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/hashicorp/raft"
)

// The model check explores histories of several regions with one multi-Region key over the real state machine. What regions tell
// each other lies in a bag from which anything is delivered in any order, twice, late or never; regions are restored from older
// states and forgotten. TRENT_MODEL_SEEDS=n explores n histories.

// world is some regions and what is under way between them.
type world struct {
	t       *testing.T
	r       *rand.Rand
	regions []*modelRegion
	bag     []modelMessage
	key     KeyRef
	next    int // numbers materials
	time    int64
	// forgotten is the region that is lost, if any; fence the fence by which it is forgotten.
	forgotten string
	fence     uint64
	// used are the materials that were ever current in a region that could encrypt.
	used [][]byte
	// last is the newest acknowledged setting of a primary, and its version.
	last        int
	lastVersion SetVersion
	restored    bool
	// together counts how many regions were restored at the same time.
	together map[int]int
	trace    []string
}

type modelRegion struct {
	name string
	lab  *lab
	// highest is the newest version that the region has had in its incarnation.
	highest SetVersion
	saved   *State // to be restored
}

type modelMessage struct {
	to   string
	body *SyncKeys
}

func (w *world) region(name string) *modelRegion {
	for _, r := range w.regions {
		if r.name == name {
			return r
		}
	}
	return nil
}

func newWorld(t *testing.T, seed int64, names ...string) *world {
	w := &world{t: t, together: map[int]int{}, r: rand.New(rand.NewSource(seed)), time: now0, key: KeyRef{account1, "mrk-1"}}
	for i, name := range names {
		r := &modelRegion{name: name, lab: newLab(t)}
		b := initBody()
		b.Region.Name, b.Region.CreatedAt = name, now0+int64(i)
		r.lab.ok(b)
		w.regions = append(w.regions, r)
		for _, other := range names {
			if other != name {
				r.lab.ok(w.federate(other, now0+int64(slices.Index(names, other))))
			}
		}
	}
	c := newKey(account1, 1)
	c.Key.ID, c.Key.MultiRegion = w.key.ID, true
	w.next = 1
	w.regions[0].lab.ok(c)
	return w
}

func (w *world) federate(name string, incarnation int64) *PutOtherRegion {
	return &PutOtherRegion{Region: OtherRegion{
		Name: name, ClusterID: name, Incarnation: uint64(incarnation), CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated,
	}}
}

// do applies a command in a region and notes what must hold of it.
func (w *world) do(r *modelRegion, body Body) Result {
	w.t.Helper()
	w.time++
	res := r.lab.do(body, w.time)
	what := fmt.Sprintf("%+v", body)
	if b, ok := body.(*SyncKeys); ok {
		d := &b.Docs[0]
		what = fmt.Sprintf("from %s.%d: %v primary %s members %v since %d gone %t creating %t, current %d of %d", b.Region, b.Incarnation%10_000, d.Version, d.Primary, memberNames(d.Members), d.Since, d.Gone, d.Creating, d.Current, len(d.Materials))
	}
	if res.Code == OK {
		w.trace = append(w.trace, fmt.Sprintf("%s: %T %.150s", r.name, body, what))
	}
	w.check()
	return res
}

func (w *world) keyOf(r *modelRegion) *Key { return r.lab.state().Key(w.key.Account, w.key.ID) }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.trace = w.trace[max(0, len(w.trace)-60):]
	for _, line := range w.trace {
		w.t.Log(line)
	}
	for _, r := range w.regions {
		if k := w.keyOf(r); k != nil {
			ids := ""
			for _, m := range k.Materials {
				ids += fmt.Sprintf(" %x:%d:%t", m.ID[:4], m.State, m.Present())
			}
			w.t.Logf("%s: materials%s set %+v", r.name, ids, k.Set)
		} else {
			w.t.Logf("%s: no key, end %+v", r.name, r.lab.state().ReplicaEnd(w.key.Account, w.key.ID))
		}
	}
	w.t.Fatalf(format, args...)
}

// leading tells that the region would take changes of shared properties.
func (w *world) leading(r *modelRegion) bool {
	k := w.keyOf(r)
	return k != nil && !k.Replica() && !r.lab.state().Unheard() && r.name != w.forgotten
}

// check holds the invariants that hold at every moment.
func (w *world) check() {
	w.t.Helper()
	primaries := 0
	for _, r := range w.regions {
		if w.leading(r) {
			primaries++
		}
		k := w.keyOf(r)
		if k == nil || k.Set == nil {
			r.highest = SetVersion{}
			continue
		}
		if k.Set.Version.Compare(r.highest) < 0 {
			w.fail("%s went back from %v to %v", r.name, r.highest, k.Set.Version)
		}
		r.highest = k.Set.Version
		w.checkMaterial(r, k)
	}
	if primaries > 1 {
		w.fail("%d primaries", primaries)
	}
}

// checkMaterial: what a region encrypts with can be opened in every other one that has a replica.
func (w *world) checkMaterial(r *modelRegion, k *Key) {
	if r.name == w.forgotten || k.Current < 0 || k.Set.Creating || len(r.lab.state().UnheardOf(k)) > 0 {
		return
	}
	id := k.Materials[k.Current].ID
	if findID(w.used, id) < 0 {
		w.used = append(w.used, id)
	}
	for _, other := range w.regions {
		o := w.keyOf(other)
		if other.name == w.forgotten || o == nil || o.Set == nil || o.Set.Creating || other.lab.state().Unheard() {
			continue
		}
		if i := findMaterial(o.Materials, id); i < 0 || !o.Materials[i].Present() {
			w.fail("%s encrypts with %x, which %s lacks", r.name, id[:4], other.name)
		}
	}
}

func memberNames(members []Member) (names []string) {
	for _, m := range members {
		names = append(names, fmt.Sprintf("%s:%d:%t", m.Region, m.Since, m.New != nil))
	}
	return names
}

func findID(ids [][]byte, id []byte) int {
	return slices.IndexFunc(ids, func(b []byte) bool { return bytes.Equal(b, id) })
}

// tell returns what a region has to say of the key, with the material that it can hand out; nil if nothing.
func (w *world) tell(from *modelRegion) *SyncKeys {
	st := from.lab.state()
	var d *KeyDoc
	if k := w.keyOf(from); k != nil && k.Set != nil {
		d = st.Doc(k)
		for i := range d.Materials {
			if k.Materials[i].Present() {
				d.Materials[i].Domain, d.Materials[i].Blob = 1, k.Materials[i].Blob
			}
		}
	} else if e := st.ReplicaEnd(w.key.Account, w.key.ID); e != nil {
		d = st.EndDoc(e)
	}
	if d == nil {
		return nil
	}
	return &SyncKeys{from.name, st.Region().Incarnation(), []KeyDoc{*d}}
}

func (w *world) pick() *modelRegion {
	for {
		if r := w.regions[w.r.Intn(len(w.regions))]; r.name != w.forgotten {
			return r
		}
	}
}

// hear is a restored region, or one that has forgotten another, hearing all that a region knows. It may break off at any point.
func (w *world) hear(r, from *modelRegion, reliable bool) {
	if w.reborn(r) || w.reborn(from) {
		return
	}
	gone := func() bool { return !reliable && w.r.Intn(8) == 0 }
	st := r.lab.state()
	if o := from.lab.state().OtherRegion(r.name); o != nil && o.Incarnation < st.Region().Incarnation() {
		w.do(from, &MarkFeed{Region: r.name, Incarnation: st.Region().Incarnation()})
	}
	if gone() {
		return
	}
	forgets, lives := from.lab.state().Forgets(), from.lab.state().Lives()
	if body := w.tell(from); body != nil && (body.Docs[0].Gone || body.Docs[0].member(r.name) != nil) {
		w.do(r, body)
		if d := &body.Docs[0]; len(r.lab.state().Lacks(d)) > 0 {
			return // the material could not be had
		}
	}
	if gone() {
		return
	}
	w.do(r, &MarkFeed{Region: from.name, Incarnation: from.lab.state().Region().Incarnation(), Heard: true, HeardIn: st.Region().Incarnation(), Forgets: forgets, Lives: lives})
}

// step does one thing at random.
func (w *world) step(faults bool) {
	r := w.pick()
	if w.r.Intn(3) == 0 {
		w.begin(r)
	}
	switch n := w.r.Intn(100); {
	case n < 30:
		w.send(r)
	case n < 65 && len(w.bag) > 0:
		w.deliver()
	case n < 70 && !w.reborn(r):
		w.do(r, &TendKeys{[]KeyRef{w.key}})
	case n < 76:
		w.do(r, &AddReplica{w.key, w.pick().name, NewReplica{Policy: policy1}})
	case n < 82:
		w.do(r, &MovePrimary{w.key, w.pick().name, nil})
	case n < 86:
		if k := w.keyOf(r); k != nil && k.Current >= 0 {
			w.next++
			m := Material{ID: materialID(w.next), Domain: 1, Blob: fmt.Append(nil, w.next), State: MaterialCurrent, AddedAt: w.time}
			w.do(r, &RotateKey{Key: w.key, From: k.Materials[k.Current].ID, Material: m, Type: RotationOnDemand})
		}
	case n < 90:
		w.set(r)
	case n < 93:
		w.deleteReplica(r)
	case n < 96:
		w.hear(r, w.pick(), false)
	case n < 97 && w.r.Intn(2) == 0:
		r.saved = r.lab.state()
	case n < 97:
		for _, r := range w.regions { // a night's backup of all
			r.saved = r.lab.state()
		}
	case n < 98 && faults:
		w.restoreSome(r)
	case n < 99 && faults:
		w.forget(r)
	}
}

func (w *world) reborn(r *modelRegion) bool { return r.lab.state().Region().Reborn }

func (w *world) send(from *modelRegion) {
	if body := w.tell(from); body != nil && !w.reborn(from) {
		if to := w.pick(); to != from {
			w.bag = append(w.bag, modelMessage{to.name, body})
		}
	}
}

// deliver delivers a message and keeps it now and then; others are lost.
func (w *world) deliver() {
	i := w.r.Intn(len(w.bag))
	m := w.bag[i]
	if w.r.Intn(5) > 0 {
		w.bag = slices.Delete(w.bag, i, i+1)
	}
	if w.r.Intn(6) == 0 || m.to == w.forgotten || w.reborn(w.region(m.to)) {
		return
	}
	w.do(w.region(m.to), m.body)
}

// set changes a shared setting; once acknowledged it must not be lost.
func (w *world) set(r *modelRegion) {
	days := 90 + len(w.trace)
	if w.do(r, &SetRotation{w.key, Rotation{Enabled: true, PeriodDays: days, NextAt: w.time + 1_000_000}}).Code != OK {
		return
	}
	v := SetVersion{1, 1}
	if k := w.keyOf(r); k.Set != nil {
		v = k.Set.Version
	}
	if v.Compare(w.lastVersion) < 0 {
		w.fail("a change acknowledged as %v after %v", v, w.lastVersion)
	}
	w.last, w.lastVersion = days, v
}

func (w *world) deleteReplica(r *modelRegion) {
	k := w.keyOf(r)
	if k == nil || !k.Replica() || k.Set.Creating {
		return
	}
	w.time++
	if w.do(r, &ScheduleDeletion{w.key, w.time, 7}).Code == OK {
		w.do(r, &DeleteKey{w.key, w.keyOf(r).DeletionAt})
	}
}

// restoreSome restores one region, two at the same time, or all that there are: a whole site from its backups.
func (w *world) restoreSome(r *modelRegion) {
	together := []*modelRegion{r}
	switch w.r.Intn(3) {
	case 1:
		if other := w.pick(); other != r {
			together = append(together, other)
		}
	case 2:
		together = w.regions
	}
	n := 0
	for _, r := range together {
		if r.saved != nil && r.name != w.forgotten && w.restore(r) {
			n++
		}
	}
	w.together[n]++
}

// restore begins a new cluster of a region with an older state. What its earlier life has told, or tells still, is under way.
func (w *world) restore(r *modelRegion) bool {
	if w.forgotten != "" && r.saved.OtherRegion(w.forgotten).State != RegionForgotten {
		return false // the operator would have to forget once more
	}
	if body := w.tell(r); body != nil {
		for _, to := range w.regions {
			if to != r {
				w.bag = append(w.bag, modelMessage{to.name, body})
			}
		}
	}
	born, err := Reincarnate(r.saved, Reincarnation{
		ClusterID: "restored", Server: raft.Server{ID: raft.ServerID(r.name), Address: "host:1"}, Above: r.lab.index,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	l := newLab(w.t)
	if err := l.fsm.Restore(reader(snapshotOf(w.t, born))); err != nil {
		w.t.Fatal(err)
	}
	l.index = born.Index()
	r.lab, r.highest, r.saved, w.restored = l, SetVersion{}, nil, true
	w.trace = append(w.trace, r.name+": restored")
	w.check()
	return true
}

// begin has a restored region begin its new incarnation. Until then it tells nobody anything and hears nothing.
func (w *world) begin(r *modelRegion) {
	if region := r.lab.state().Region(); region.Reborn {
		w.do(r, &BeginIncarnation{max(uint64(w.time), region.Incarnation()+1), "restored"})
	}
}

// forget loses a region for good, or has another one learn that it is lost.
func (w *world) forget(r *modelRegion) {
	if w.forgotten == "" {
		if len(w.regions) < 3 || w.r.Intn(3) > 0 {
			return
		}
		w.forgotten, w.fence = r.name, 1_000_000
		w.trace = append(w.trace, r.name+": lost")
		return
	}
	if r.lab.state().OtherRegion(w.forgotten).State != RegionForgotten {
		w.do(r, &ForgetRegion{w.forgotten, w.fence})
	}
}

// settle lets everybody hear everything until nothing changes any more, and looks at what has become of the key.
func (w *world) settle() {
	w.t.Helper()
	w.bag = nil
	for _, r := range w.regions {
		w.begin(r)
	}
	for round := range 40 {
		before := w.fingerprint()
		for _, r := range w.regions {
			if r.name == w.forgotten {
				continue
			}
			if w.forgotten != "" {
				w.forget(r)
			}
			for _, from := range w.regions {
				if from != r && from.name != w.forgotten {
					w.hear(r, from, true)
				}
			}
			w.do(r, &TendKeys{[]KeyRef{w.key}})
		}
		if w.fingerprint() == before {
			w.settled()
			return
		}
		if round == 39 {
			w.fail("the regions do not come to an end")
		}
	}
}

func (w *world) fingerprint() (s string) {
	for _, r := range w.regions {
		for o := range r.lab.state().OtherRegions() {
			s += fmt.Sprint(o.Incarnation, o.State, o.Forgets, o.HeardIn, o.Lives)
		}
		s += fmt.Sprint(r.lab.state().Unheard())
		if k := w.keyOf(r); k != nil {
			set := k.Set
			s += fmt.Sprint(r.name, k.Current, len(k.Materials), k.DeletionAt, set != nil)
			if set != nil {
				s += fmt.Sprint(set.Version, set.Primary, set.Creating, set.Updating, set.Members)
			}
		} else {
			s += r.name
			if e := r.lab.state().ReplicaEnd(w.key.Account, w.key.ID); e != nil {
				s += fmt.Sprint(e.Since, e.Seen)
			}
		}
	}
	return s
}

func (w *world) settled() {
	w.t.Helper()
	var holders []*modelRegion
	leader := (*modelRegion)(nil)
	for _, r := range w.regions {
		if r.name == w.forgotten || w.keyOf(r) == nil {
			continue
		}
		holders = append(holders, r)
		if w.leading(r) {
			leader = r
		}
	}
	if len(holders) == 0 {
		return // the region that was lost had the only key
	}
	if leader == nil {
		complete := slices.ContainsFunc(holders, func(r *modelRegion) bool { return !w.keyOf(r).Set.Creating })
		if complete {
			w.fail("nobody is primary")
		}
		return
	}
	lead := w.keyOf(leader)
	for _, r := range holders {
		k := w.keyOf(r)
		if r != leader && (k.Set == nil || lead.Set == nil || k.Set.Version != lead.Set.Version || k.Set.Creating || k.Set.Updating != "") {
			w.fail("%s is not where the primary %s is", r.name, leader.name)
		}
		if !sameMaterials(k, lead) {
			w.fail("%s and the primary %s are in the same version, and not the same", r.name, leader.name)
		}
		if k.spreading() >= 0 {
			w.fail("a rotation never ended")
		}
		if lead.Set != nil && lead.Set.Member(r.name) == nil {
			w.fail("%s is not in the set", r.name)
		}
		for _, id := range w.used {
			if i := findMaterial(k.Materials, id); (i < 0 || !k.Materials[i].Present()) && w.forgotten == "" && !w.restored {
				w.fail("%s lacks material %x, which was used", r.name, id[:4])
			}
		}
	}
	if lead.Set != nil && len(lead.Set.Members) != len(holders) {
		w.fail("the set has %d regions, %d have a key", len(lead.Set.Members), len(holders))
	}
	if w.last != 0 && !w.restored && w.forgotten == "" && (lead.Rotation == nil || lead.Rotation.PeriodDays != w.last) {
		w.fail("an acknowledged change is lost: %+v, want %d", lead.Rotation, w.last)
	}
}

// sameMaterials tells that two regions, which are in the same version, have the same materials, in the same order but for those that are
// known of an earlier life only.
func sameMaterials(k, lead *Key) bool {
	if !reflect.DeepEqual(k.Rotation, lead.Rotation) || k.Current != lead.Current || k.OnDemandRotations != lead.OnDemandRotations {
		return false
	}
	for i := range min(len(k.Materials), len(lead.Materials)) {
		if i <= lead.Current && !bytes.Equal(k.Materials[i].ID, lead.Materials[i].ID) {
			return false
		}
	}
	return true
}

// TestEarlierLifeIsHeardNoMore: all regions are restored; the primary hears from the others while one of them still takes the word of
// another one's earlier life. It leads only once nobody does any more, or two regions would make different versions of the same number.
func TestEarlierLifeIsHeardNoMore(t *testing.T) {
	w := newWorld(t, 1, "a-1", "b-1", "c-1")
	a, b, c := w.regions[0], w.regions[1], w.regions[2]
	rotate := func() Result {
		w.next++
		k := w.keyOf(a)
		return w.do(a, &RotateKey{Key: w.key, From: k.Materials[k.Current].ID, Type: RotationOnDemand, Material: Material{
			ID: materialID(w.next), Domain: 1, Blob: fmt.Append(nil, w.next), State: MaterialCurrent, AddedAt: w.time,
		}})
	}
	for _, to := range []string{"b-1", "c-1"} {
		w.do(a, &AddReplica{w.key, to, NewReplica{Policy: policy1}})
	}
	w.settle()
	for _, r := range w.regions {
		r.saved = r.lab.state()
	}
	if res := rotate(); res.Code != OK {
		t.Fatal(res)
	}
	w.do(b, w.tell(a))
	earlier := w.tell(b) // of what a makes once more below
	for _, r := range w.regions {
		w.restore(r)
		w.begin(r)
	}
	w.hear(a, c, true)
	w.hear(a, b, true)
	if w.leading(a) || len(a.lab.state().UnheardOf(w.keyOf(a))) == 0 || rotate().Code == OK {
		t.Error("a region leads while another one takes the word of an earlier life")
	}
	w.do(c, earlier)
	w.settle()
	if res := rotate(); res.Code != OK {
		t.Errorf("the regions have heard from each other, and the primary cannot rotate: %+v", res)
	}
	w.settle()
	if a.lab.state().Region().Whole != a.lab.state().Region().Restored {
		t.Error("the region does not know that it has heard all")
	}
	// From now on another region's restore takes nothing from it.
	b.saved = b.lab.state()
	w.restore(b)
	w.begin(b)
	w.hear(b, a, true)
	if !w.leading(a) {
		t.Error("a region that has heard all leads no more, since another one was restored")
	}
	w.settle()
}

func modelSeeds(t *testing.T, otherwise int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv("TRENT_MODEL_SEEDS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return otherwise / 4
	}
	return otherwise
}

func TestModelOfSets(t *testing.T) {
	together := map[int]int{}
	for seed := range modelSeeds(t, 400) {
		w := newWorld(t, seed, "a-1", "b-1", "c-1", "d-1")
		w.trace = append(w.trace, fmt.Sprint("seed ", seed))
		for range 40 + w.r.Intn(160) {
			w.step(seed%3 > 0)
		}
		w.settle()
		for n, times := range w.together {
			together[n] += times
		}
	}
	for n := 1; n <= 4; n++ {
		if together[n] == 0 {
			t.Errorf("no history in which %d regions are restored at the same time: %v", n, together)
		}
	}
}
