package fsm

import (
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm/planted"
)

// Kinds of commands about multi-Region keys.
const (
	KindAddReplica          Kind = 100
	KindMovePrimary         Kind = 101
	KindScheduleSetDeletion Kind = 102
	KindSyncKeys            Kind = 103
	KindTendKeys            Kind = 104
)

// AddReplica adds a region to the set of a primary that is enabled. The replica is made there once the region learns of it.
type AddReplica struct {
	Key    KeyRef     `cbor:"1,keyasint"`
	Region string     `cbor:"2,keyasint"`
	New    NewReplica `cbor:"3,keyasint"`
}

// MovePrimary gives the primary of an enabled key to another region of the set, in a new term. This region stops being primary
// by it; the other one begins once it learns of it.
type MovePrimary struct {
	Key    KeyRef `cbor:"1,keyasint"`
	Region string `cbor:"2,keyasint"`
	// Record is the audit record of the new primary's region, as it rendered it when it authorized the call.
	Record []byte `cbor:"3,keyasint,omitempty"`
}

// ScheduleSetDeletion schedules the deletion of a primary that has replicas: its waiting period begins when the last is deleted.
type ScheduleSetDeletion struct {
	Key        KeyRef `cbor:"1,keyasint"`
	WindowDays int    `cbor:"2,keyasint"`
}

// TendKeys does what this region owes its sets by now: it takes regions that are gone or forgotten out, takes over what a
// forgotten region was primary of if that falls to it, ends rotations and begins waiting periods that nothing delays any more.
type TendKeys struct {
	Keys []KeyRef `cbor:"1,keyasint"`
}

// Kind implements Body.
func (AddReplica) Kind() Kind          { return KindAddReplica }
func (MovePrimary) Kind() Kind         { return KindMovePrimary }
func (ScheduleSetDeletion) Kind() Kind { return KindScheduleSetDeletion }
func (SyncKeys) Kind() Kind            { return KindSyncKeys }
func (TendKeys) Kind() Kind            { return KindTendKeys }

// MaxSyncKeys is how many keys one SyncKeys or TendKeys can be about.
const MaxSyncKeys = 512

func (c *AddReplica) check() error {
	return errors.Join(c.Key.check(), checkName("region", c.Region, maxID), c.New.check())
}

func applyAddReplica(t *tx, c *AddReplica) outcome {
	k, out := t.enabled(&c.Key)
	if !out.ok() {
		return out
	}
	if out := t.leads(k); !out.ok() {
		return out
	}
	s, other := t.setOf(k), t.otherRegion(c.Region)
	switch {
	case !k.MultiRegion:
		return conflict("the key is not a multi-Region key")
	case other == nil || other.State != RegionFederated:
		return stale("the region is not federated")
	case s.Member(c.Region) != nil:
		return stale("the region has a key of the set")
	}
	fresh := c.New
	s.add(Member{Region: c.Region, Since: s.Version.Index + 1, New: &fresh})
	k.Set = s
	t.share(k)
	return done(k.ID)
}

func (c *MovePrimary) check() error {
	return errors.Join(c.Key.check(), checkName("region", c.Region, maxID), checkLength("length of the audit record", len(c.Record), maxRecord))
}

func applyMovePrimary(t *tx, c *MovePrimary) outcome {
	k, out := t.enabled(&c.Key)
	if !out.ok() {
		return out
	}
	if out := t.leads(k); !out.ok() {
		return out
	}
	s := t.setOf(k)
	m := s.Member(c.Region)
	if m == nil || m.New != nil || m.Gone || c.Region == s.Primary {
		return stale("the region has no replica that could be the primary")
	}
	if o := t.otherRegion(c.Region); o == nil || o.State != RegionFederated {
		return stale("the region is not federated")
	}
	s.Primary, s.Updating, s.Handover = c.Region, c.Region, c.Record
	s.Version.Term++
	k.Set = s
	t.share(k)
	return done()
}

func (c *ScheduleSetDeletion) check() error {
	if c.WindowDays < 1 || c.WindowDays > 365 {
		return errors.New("a waiting period outside 1 to 365 days")
	}
	return c.Key.check()
}

func applyScheduleSetDeletion(t *tx, c *ScheduleSetDeletion) outcome {
	k, out := t.notPending(&c.Key)
	if !out.ok() {
		return out
	}
	if !k.waitsForReplicas() || k.Set.Updating != "" {
		return stale("the key is no primary with replicas")
	}
	k.PendingWindowDays = c.WindowDays
	t.putKey(k)
	t.event(EventKeyUnusable, k.Account, k.ID, nil)
	return done()
}

func (c *TendKeys) check() error {
	if len(c.Keys) == 0 || len(c.Keys) > MaxSyncKeys {
		return fmt.Errorf("%d keys, 1 to %d are allowed", len(c.Keys), MaxSyncKeys)
	}
	return checkRefs(len(c.Keys), func(i int) KeyRef { return c.Keys[i] })
}

// checkRefs wants keys in ascending order, each once.
func checkRefs(n int, at func(int) KeyRef) error {
	for i := range n {
		ref := at(i)
		if err := ref.check(); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		if before := at(i - 1); before.Account > ref.Account || before.Account == ref.Account && before.ID >= ref.ID {
			return errors.New("keys are not in order")
		}
	}
	return nil
}

func applyTendKeys(t *tx, c *TendKeys) outcome {
	changed := false
	for i := range c.Keys {
		k := t.key(c.Keys[i].Account, c.Keys[i].ID)
		if k == nil || k.Set == nil {
			continue
		}
		row := *k
		row.Set = k.Set.clone()
		if t.tend(&row) {
			changed = true
			t.tell(&row)
		}
	}
	if !changed {
		return conflict("there is nothing to do")
	}
	return done()
}

// tend does what this region owes the set, on a copy of the key with a set of its own, and reports whether that was anything.
func (t *tx) tend(k *Key) (changed bool) {
	s, home := k.Set, t.d.region.Name
	if t.inherits(k) {
		s.Primary, s.Updating = home, ""
		s.Version = SetVersion{max(s.Version.Term+1, t.fenced()), s.Version.Index + 1}
		s.SpreadSince = s.Version
		changed = true
	}
	if s.Primary != home || t.unheard() {
		return changed
	}
	for i := len(s.Members) - 1; i >= 0; i-- {
		m := &s.Members[i]
		o := t.otherRegion(m.Region)
		if m.Region != home && (m.Gone || o == nil || o.State == RegionForgotten) {
			s.drop(m.Region)
			s.Version.Index++
			changed = true
		}
	}
	if t.completeRotation(k) {
		changed = true
	}
	if k.PendingWindowDays != 0 && k.DeletionAt == 0 && len(s.Members) == 1 {
		k.DeletionAt = t.now + int64(k.PendingWindowDays)*dayMillis
		changed = true
	}
	return changed
}

const dayMillis = 24 * 60 * 60 * 1000

// inherits tells that this region takes over from a primary that was forgotten: of the regions of the set that are there it is the
// first by name, and no region knows a newer version of the set, since all have been heard after they forgot the primary.
func (t *tx) inherits(k *Key) bool {
	o := t.otherRegion(k.Set.Primary)
	if o == nil || o.State != RegionForgotten || t.unheard() || k.Set.Creating {
		return false
	}
	forgets := t.forgets()
	for other := range t.otherRegions() {
		if other.State == RegionFederated && other.Forgets < forgets {
			return false
		}
	}
	return t.heir(k.Set) == t.d.region.Name
}

// heir is the region that takes over from a forgotten primary: the first by name that is known to have made its replica, else the
// first. Only what all regions know alike decides, or two would think themselves heirs.
func (t *tx) heir(s *KeySet) (heir string) {
	for i := range s.Members {
		m := &s.Members[i]
		if o := t.otherRegion(m.Region); m.Gone || m.Region != t.d.region.Name && (o == nil || o.State != RegionFederated) {
			continue
		}
		if m.New == nil {
			return m.Region
		}
		if heir == "" {
			heir = m.Region
		}
	}
	return heir
}

// completeRotation makes the spreading material current once every region of the set has it.
func (t *tx) completeRotation(k *Key) bool {
	i := k.spreading()
	if i < 0 {
		return false
	}
	s := k.Set
	for j := range s.Members {
		m := &s.Members[j]
		if m.Region == t.d.region.Name {
			continue
		}
		o := t.otherRegion(m.Region)
		if planted.Bug(planted.EarlyMaterial) {
			continue
		}
		if o == nil || m.AckedIn != o.Incarnation || m.Acked.Compare(s.SpreadSince) < 0 {
			return false
		}
	}
	k.Materials = append([]Material(nil), k.Materials...)
	k.Materials[k.Current].State = MaterialNonCurrent
	m := &k.Materials[i]
	m.State, m.RotatedAt, m.RotationType = MaterialCurrent, t.now, s.SpreadType
	k.Current, s.SpreadType, s.SpreadSince = i, "", SetVersion{}
	s.Version.Index++
	return true
}

// DropEnds forgets ends of replicas that no region has in the set any more. One that changed since is kept.
type DropEnds struct {
	Ends []EndRef `cbor:"1,keyasint"`
}

// EndRef names the end of a replica as it was at the index of its last change.
type EndRef struct {
	Account   string `cbor:"1,keyasint"`
	ID        string `cbor:"2,keyasint"`
	ChangedAt uint64 `cbor:"3,keyasint"`
}

// KindDropEnds is the kind of DropEnds.
const KindDropEnds Kind = 105

// Kind implements Body.
func (DropEnds) Kind() Kind { return KindDropEnds }

func (c *DropEnds) check() error {
	if len(c.Ends) == 0 || len(c.Ends) > MaxSyncKeys {
		return fmt.Errorf("%d keys, 1 to %d are allowed", len(c.Ends), MaxSyncKeys)
	}
	return checkRefs(len(c.Ends), func(i int) KeyRef { return KeyRef{c.Ends[i].Account, c.Ends[i].ID} })
}

func applyDropEnds(t *tx, c *DropEnds) outcome {
	for i := range c.Ends {
		e := t.replicaEnd(c.Ends[i].Account, c.Ends[i].ID)
		if e != nil && e.ChangedAt == c.Ends[i].ChangedAt {
			t.remove(tableEnds, e)
		}
	}
	if len(t.changes) == 0 {
		return conflict("nothing to forget")
	}
	return done()
}
