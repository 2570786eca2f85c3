package fsm

import (
	"cmp"
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"github.com/trentkms/trent/fsm/planted"
)

// SetVersion orders what is known of a set of related keys. The primary of a term alone makes versions of it; another primary
// begins a higher term. Index rises with every change, across terms too.
type SetVersion struct {
	Term  uint64 `cbor:"1,keyasint,omitempty"`
	Index uint64 `cbor:"2,keyasint,omitempty"`
}

// Compare is -1, 0 or 1 as v is older than, the same as or newer than o.
func (v SetVersion) Compare(o SetVersion) int {
	if c := cmp.Compare(v.Term, o.Term); c != 0 {
		return c
	}
	return cmp.Compare(v.Index, o.Index)
}

// KeySet is what a region knows of the set of related multi-Region keys that its own key belongs to. Primary, Version, Members
// (Region, Since, New) and, in the key's row, materials, rotation and the count of on-demand rotations are shared: the primary
// changes them, every other region takes over newer versions and never older ones. The rest is this region's own.
type KeySet struct {
	// Primary is the region whose key is the primary.
	Primary string     `cbor:"1,keyasint"`
	Version SetVersion `cbor:"2,keyasint"`
	// Members are the regions of the set, the primary's included, sorted by name.
	Members []Member `cbor:"3,keyasint"`

	// Replica tells that the primary is another region's key.
	Replica bool `cbor:"4,keyasint,omitempty"`
	// Creating tells that this region's replica has not all its material yet.
	Creating bool `cbor:"5,keyasint,omitempty"`
	// Updating is the region that has to take the primary over from this one, "" otherwise.
	Updating string `cbor:"6,keyasint,omitempty"`
	// SpreadSince is the version that a member must have to have the material that is spreading.
	SpreadSince SetVersion `cbor:"7,keyasint"`
	// SpreadType is the type of rotation by which the spreading material becomes current.
	SpreadType string `cbor:"8,keyasint,omitempty"`
	// ChangedAt is the index of the last change that other regions have to learn of: the key's position in the feed.
	ChangedAt uint64 `cbor:"9,keyasint,omitempty"`
	// Handover is the audit record of the region that is about to take the primary over.
	Handover []byte `cbor:"10,keyasint,omitempty"`
}

// Member is one region of a set.
type Member struct {
	Region string `cbor:"1,keyasint"`
	// Since is the Index of the version by which the region's present key came into the set. It tells a replica from an earlier
	// one in the same region.
	Since uint64 `cbor:"2,keyasint"`
	// New is what the region's replica is made of, until the primary knows that it was made.
	New *NewReplica `cbor:"3,keyasint,omitempty"`

	// Acked is a version that the region is known to have with all its material, AckedIn the incarnation it had it in. Only what
	// something waits for is recorded.
	Acked   SetVersion `cbor:"4,keyasint"`
	AckedIn uint64     `cbor:"5,keyasint,omitempty"`
	// Holding is the id of the imported material pending rotation that the region has, as far as is known.
	Holding []byte `cbor:"6,keyasint,omitempty"`
	// Gone tells that the region has deleted its key; the primary takes it out of the set.
	Gone bool `cbor:"7,keyasint,omitempty"`
}

// NewReplica is what a replica begins with besides the shared properties.
type NewReplica struct {
	Policy      string            `cbor:"1,keyasint"`
	Principals  []PolicyPrincipal `cbor:"2,keyasint,omitempty"`
	Description string            `cbor:"3,keyasint,omitempty"`
	Tags        []Tag             `cbor:"4,keyasint,omitempty"`
	// Record is the audit record of the creation, as the replica's region rendered it when it authorized the call.
	Record []byte `cbor:"5,keyasint,omitempty"`
}

// ReplicaEnd remembers that this region has no key of a set any more, or refused to make one, until the primary has taken it out.
type ReplicaEnd struct {
	Account string `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"`
	// Since is the membership that has ended.
	Since uint64 `cbor:"3,keyasint"`
	// Seen is the newest version of the set that this region knows. It will not be primary of that version's term or an earlier one.
	Seen SetVersion `cbor:"4,keyasint"`
	// Refused says why no replica was made, "" if one was and is deleted.
	Refused   string `cbor:"5,keyasint,omitempty"`
	ChangedAt uint64 `cbor:"6,keyasint"`
	// Members are the regions of the set, which have to learn of it.
	Members []string `cbor:"7,keyasint,omitempty"`
}

const (
	tableEnds      = "replica-ends"
	indexFeed      = "feed"      // what other regions have to learn of, by the index of its change
	indexUnsettled = "unsettled" // sets in which something waits for another region
)

func feedKey(at uint64, account, id string) []byte {
	return name2(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(account)+1+len(id)), at), account, id)
}

func (e *ReplicaEnd) primary() []byte { return name2(nil, e.Account, e.ID) }
func (e *ReplicaEnd) byFeed() []byte  { return feedKey(e.ChangedAt, e.Account, e.ID) }

func (k *Key) byFeed() []byte {
	if k.Set == nil {
		return nil
	}
	return feedKey(k.Set.ChangedAt, k.Account, k.ID)
}

func (k *Key) byUnsettled() []byte {
	if !k.Unsettled() {
		return nil
	}
	return k.primary()
}

// Unsettled tells that something about the key's set waits for another region, or for this one to do its part.
func (k *Key) Unsettled() bool {
	s := k.Set
	if s == nil {
		return false
	}
	if s.Creating || s.Updating != "" || k.spreading() >= 0 {
		return true
	}
	if !s.Replica && k.PendingWindowDays != 0 && k.DeletionAt == 0 {
		return true
	}
	return slices.ContainsFunc(s.Members, func(m Member) bool {
		return m.New != nil || m.Gone || !s.Replica && k.hasPendingRotation()
	})
}

// spreading returns the position of the material on its way to all regions, -1 if there is none.
func (k *Key) spreading() int {
	return slices.IndexFunc(k.Materials, func(m Material) bool { return m.State == MaterialSpreading })
}

// Spreading returns the material that is on its way to all regions of the set, nil if there is none.
func (k *Key) Spreading() *Material {
	if i := k.spreading(); i >= 0 {
		return &k.Materials[i]
	}
	return nil
}

// Replica tells that the key is a replica: the primary of its set is in another region.
func (k *Key) Replica() bool { return k != nil && k.Set != nil && k.Set.Replica }

func (k *Key) rotatesHere() bool { return k.Set == nil || !k.Set.Replica && k.spreading() < 0 }

// waitsForReplicas tells a primary that has replicas: its waiting period cannot begin.
func (k *Key) waitsForReplicas() bool {
	return k.Set != nil && !k.Set.Replica && len(k.Set.Members) > 1
}

// Member returns the set's member of a region, nil if it has none.
func (s *KeySet) Member(region string) *Member {
	for i := range s.Members {
		if s.Members[i].Region == region {
			return &s.Members[i]
		}
	}
	return nil
}

// clone returns a copy that may be changed, its members too.
func (s *KeySet) clone() *KeySet {
	c := *s
	c.Members = slices.Clone(s.Members)
	return &c
}

func (s *KeySet) add(m Member) {
	s.Members = append(s.Members, m)
	slices.SortFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.Region, b.Region) })
}

func (s *KeySet) drop(region string) {
	s.Members = slices.DeleteFunc(s.Members, func(m Member) bool { return m.Region == region })
}

// setOf returns a copy of a key's set to be changed: of a primary that was never replicated it is the set of one.
func (t *tx) setOf(k *Key) *KeySet {
	if k.Set != nil {
		return k.Set.clone()
	}
	home := t.d.region.Name
	return &KeySet{Primary: home, Version: SetVersion{1, 1}, Members: []Member{{Region: home, Since: 1}}}
}

// share stages a key whose shared properties this region, the primary, has changed.
func (t *tx) share(k *Key) {
	if k.Set != nil {
		s := k.Set.clone()
		s.Version.Index++
		k.Set = s
	}
	t.tell(k)
}

// tell stages a key of which other regions have to learn something.
func (t *tx) tell(k *Key) {
	if k.Set != nil {
		s := *k.Set
		s.Replica = s.Primary != t.d.region.Name
		if planted.Bug(planted.TwoPrimaries) && s.Updating != "" {
			s.Replica, s.Updating = false, ""
		}
		s.ChangedAt = t.index
		k.Set = &s
	}
	t.putKey(k)
}

// leads refuses a change of shared properties by a region that is not the primary, or cannot know whether it still is.
func (t *tx) leads(k *Key) outcome {
	switch {
	case !k.MultiRegion:
		return done()
	case k.Replica():
		return stale("the key is not the primary")
	case t.unheard():
		return stale("the region was restored and has not heard from all regions")
	}
	return done()
}

// unheard tells a restored region that there is a region which may know more than it does.
func (t *tx) unheard() bool { return t.d.region != nil && t.unheardIn(t.d.region, nil) }

// unheardIn tells that a region of this row, restored, has not heard from all others. put takes the place of its row.
func (v *view) unheardIn(r *Region, put *OtherRegion) bool {
	if r.Restored == 0 || r.Whole == r.Restored {
		return false
	}
	for o := range v.otherRegions() {
		if put != nil && o.Name == put.Name {
			o = put
		}
		if o.State == RegionFederated && !v.heardFrom(r, o, put) {
			return true
		}
	}
	return false
}

// heardFrom tells that a restored region has taken over everything of another one, after that one had learned of the lives in which the
// others are now. Before, it could have accepted something of an earlier life later, of which this region would know nothing.
func (v *view) heardFrom(r *Region, o, put *OtherRegion) bool {
	if r.Restored == 0 || r.Whole == r.Restored {
		return true
	}
	if o.HeardIn != r.Restored {
		return false
	}
	for _, l := range o.Lives {
		other := v.otherRegion(l.Region)
		if put != nil && l.Region == put.Name {
			other = put
		}
		if other != nil && other.State == RegionFederated && other.Incarnation > l.Incarnation {
			return false
		}
	}
	return true
}

// Unheard tells that this region was restored and may still know less than another one: it is primary of nothing.
func (s *State) Unheard() bool { return s.region != nil && s.unheardIn(s.region, nil) }

// Heard tells that this region knows everything that another one knew when this one, if it was restored, began its life.
func (s *State) Heard(o *OtherRegion) bool { return s.region == nil || s.heardFrom(s.region, o, nil) }

// UnheardOf returns the regions of a key's set that this region, restored from an older state, has not heard from since. Until
// there are none the key encrypts nothing here.
func (s *State) UnheardOf(k *Key) (regions []string) {
	if s.region == nil || s.region.Restored == 0 || k.Set == nil {
		return nil
	}
	for i := range k.Set.Members {
		name := k.Set.Members[i].Region
		if o := s.otherRegion(name); o != nil && o.State == RegionFederated && !s.Heard(o) {
			regions = append(regions, name)
		}
	}
	return regions
}

func (v *view) replicaEnd(account, id string) *ReplicaEnd {
	l := v.lookup()
	l.key = name2(l.key[:0], account, id)
	return first[ReplicaEnd](v, tableEnds, l)
}

// ReplicaEnd returns what is remembered of a key that this region has no more, nil if nothing is.
func (s *State) ReplicaEnd(account, id string) *ReplicaEnd { return s.replicaEnd(account, id) }

// ReplicaEnds yields what is remembered of keys that this region has no more, ordered by account and key id.
func (s *State) ReplicaEnds() iter.Seq[*ReplicaEnd] {
	return from[ReplicaEnd](&s.view, tableEnds, indexID, nil)
}

// Unsettled yields the keys whose set waits for something, ordered by account and id, after the key after.
func (s *State) Unsettled(after KeyRef) iter.Seq[*Key] {
	return from[Key](&s.view, tableKeys, indexUnsettled, past(name2(nil, after.Account, after.ID), after.ID))
}

// SetChanges yields the keys that are in a set and were changed for others to learn, in the order of the changes: those after an
// index, or, with a key, after that key's change at the index.
func (s *State) SetChanges(after uint64, key KeyRef) iter.Seq[*Key] {
	return from[Key](&s.view, tableKeys, indexFeed, feedBound(after, key))
}

// EndChanges yields the ends of replicas in the same way.
func (s *State) EndChanges(after uint64, key KeyRef) iter.Seq[*ReplicaEnd] {
	return from[ReplicaEnd](&s.view, tableEnds, indexFeed, feedBound(after, key))
}

func feedBound(after uint64, key KeyRef) []byte {
	if key == (KeyRef{}) {
		return feedKey(after+1, "", "")
	}
	return past(feedKey(after, key.Account, key.ID), key.ID)
}

// endReplica remembers that a replica is being deleted.
func (t *tx) endReplica(k *Key) {
	if k.Set == nil || !k.Set.Replica {
		return
	}
	e := &ReplicaEnd{Account: k.Account, ID: k.ID, Seen: k.Set.Version, ChangedAt: t.index, Members: k.Set.regions()}
	if m := k.Set.Member(t.d.region.Name); m != nil {
		e.Since = m.Since
	}
	t.put(tableEnds, e)
}

func (s *KeySet) regions() []string {
	names := make([]string, len(s.Members))
	for i := range s.Members {
		names[i] = s.Members[i].Region
	}
	return names
}

func (n *NewReplica) check() error {
	return errors.Join(
		checkPolicy(n.Policy), checkPrincipals(n.Principals), checkTags(n.Tags),
		checkLength("length of the description", len(n.Description), maxDescription),
		checkLength("length of the audit record", len(n.Record), maxRecord),
	)
}

// maxRecord bounds the audit record of a replica's creation, in bytes.
const maxRecord = 64 << 10

// LastSetChange is the position of the latest change that others have to learn of, 0 if there is none.
func (s *State) LastSetChange() (position uint64) {
	if k := last[Key](&s.view, tableKeys, indexFeed); k != nil {
		position = k.Set.ChangedAt
	}
	if e := last[ReplicaEnd](&s.view, tableEnds, indexFeed); e != nil {
		position = max(position, e.ChangedAt)
	}
	return position
}
