package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// KeyDoc is what one region tells another of a multi-Region key: what it knows of the shared properties, and how things stand
// with its own key. It is what a region has to say at one index, so that a later one replaces an earlier one.
type KeyDoc struct {
	Account string `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"`

	// Version is the newest that the region has, with all its material unless Creating.
	Version SetVersion `cbor:"3,keyasint"`
	Primary string     `cbor:"4,keyasint,omitempty"`
	// Members are without what each region keeps for itself.
	Members []Member `cbor:"5,keyasint,omitempty"`
	Spec    string   `cbor:"6,keyasint,omitempty"`
	Usage   string   `cbor:"7,keyasint,omitempty"`
	Origin  string   `cbor:"8,keyasint,omitempty"`
	// Materials have ids, states and dates; in a command also the blobs of those that the receiver had not, wrapped under its own
	// domain key.
	Materials  []Material `cbor:"9,keyasint,omitempty"`
	Current    int        `cbor:"10,keyasint"`
	SpreadType string     `cbor:"11,keyasint,omitempty"`
	Rotation   *Rotation  `cbor:"12,keyasint,omitempty"`
	OnDemand   int        `cbor:"13,keyasint,omitempty"`

	// Handover is the audit record of the region that is to take the primary over, for it to write then.
	Handover []byte `cbor:"14,keyasint,omitempty"`

	// Since is the membership that the region's own key belongs to, 0 if it knows of none.
	Since uint64 `cbor:"20,keyasint,omitempty"`
	// Gone tells that the region has no key of this membership any more, or made none for the reason Refused. There are no
	// shared properties then, and Version is the newest that the region has seen.
	Gone    bool   `cbor:"21,keyasint,omitempty"`
	Refused string `cbor:"22,keyasint,omitempty"`
	// Creating tells that the region's replica has not all its material.
	Creating bool `cbor:"23,keyasint,omitempty"`
	// Holding is the id of the imported material pending rotation that the region has.
	Holding []byte `cbor:"24,keyasint,omitempty"`
}

// SyncKeys takes over what another region, in an incarnation, tells of keys. Each key is judged on its own; what is not newer
// than what is known has no effect. The command is refused if nothing of it has any.
type SyncKeys struct {
	Region      string   `cbor:"1,keyasint"`
	Incarnation uint64   `cbor:"2,keyasint"`
	Docs        []KeyDoc `cbor:"3,keyasint"`
}

func (c *SyncKeys) check() error {
	if c.Incarnation == 0 {
		return errors.New("no incarnation")
	}
	if len(c.Docs) == 0 || len(c.Docs) > MaxSyncKeys {
		return fmt.Errorf("%d keys, 1 to %d are allowed", len(c.Docs), MaxSyncKeys)
	}
	if err := checkRefs(len(c.Docs), func(i int) KeyRef { return KeyRef{c.Docs[i].Account, c.Docs[i].ID} }); err != nil {
		return err
	}
	for i := range c.Docs {
		if err := c.Docs[i].Check(); err != nil {
			return err
		}
	}
	return checkName("region", c.Region, maxID)
}

// Check holds a document to what apply takes for granted. It is for whoever receives one.
func (d *KeyDoc) Check() error {
	if err := errors.Join(checkAccount(d.Account), checkName("key id", d.ID, maxID), checkLength("length of the reason", len(d.Refused), maxEnum*4)); err != nil {
		return err
	}
	if d.Gone {
		if d.Primary != "" || len(d.Members) != 0 || len(d.Materials) != 0 || d.Rotation != nil {
			return errors.New("the end of a replica with properties of a key")
		}
		return nil
	}
	if len(d.Members) < 1 || len(d.Members) > maxOtherRegions+1 {
		return fmt.Errorf("a set of %d regions", len(d.Members))
	}
	primary := false
	for i := range d.Members {
		m := &d.Members[i]
		if err := checkName("region", m.Region, maxID); err != nil {
			return err
		}
		if i > 0 && d.Members[i-1].Region >= m.Region {
			return errors.New("regions of a set are not in order")
		}
		if m.New != nil {
			if err := m.New.check(); err != nil {
				return err
			}
		}
		primary = primary || m.Region == d.Primary
	}
	if !primary {
		return errors.New("the primary is not in the set")
	}
	if d.Rotation != nil {
		if err := d.Rotation.check(); err != nil {
			return err
		}
	}
	return errors.Join(
		checkName("key spec", d.Spec, maxEnum), checkName("key usage", d.Usage, maxEnum), checkName("origin", d.Origin, maxEnum),
		checkMaterials(d.Materials, d.Current), checkLength("on-demand rotations", d.OnDemand, maxQuota),
		checkLength("length of the rotation type", len(d.SpreadType), maxEnum), checkLength("length of a material id", len(d.Holding), maxMaterialID),
		checkLength("length of the audit record", len(d.Handover), maxRecord),
	)
}

// Doc returns what this region tells others of a key of a set; nil if it is in none. It shares memory with the state.
func (s *State) Doc(k *Key) *KeyDoc {
	if k == nil || k.Set == nil || s.region == nil {
		return nil
	}
	set := k.Set
	d := &KeyDoc{
		Account: k.Account, ID: k.ID, Version: set.Version, Primary: set.Primary, Spec: k.Spec, Usage: k.Usage, Origin: k.Origin,
		Current: k.Current, SpreadType: set.SpreadType, Rotation: k.Rotation, OnDemand: k.OnDemandRotations, Creating: set.Creating,
		Handover: set.Handover,
		Members:  make([]Member, len(set.Members)), Materials: make([]Material, len(k.Materials)),
	}
	for i := range set.Members {
		m := &set.Members[i]
		d.Members[i] = Member{Region: m.Region, Since: m.Since, New: m.New}
		if m.Region == s.region.Name {
			d.Since = m.Since
		}
	}
	for i := range k.Materials {
		m := &k.Materials[i]
		d.Materials[i] = Material{ID: m.ID, Public: m.Public, State: m.State, AddedAt: m.AddedAt, RotatedAt: m.RotatedAt, RotationType: m.RotationType}
		if k.Origin == originExternal {
			d.Materials[i].Public = nil
			if m.State == MaterialPendingRotation && m.Present() {
				d.Holding = m.ID
			}
		}
	}
	return d
}

// EndDoc returns what this region tells others of the end of a replica.
func (s *State) EndDoc(e *ReplicaEnd) *KeyDoc {
	return &KeyDoc{Account: e.Account, ID: e.ID, Version: e.Seen, Since: e.Since, Gone: true, Refused: e.Refused}
}

func (d *KeyDoc) member(region string) *Member {
	for i := range d.Members {
		if d.Members[i].Region == region {
			return &d.Members[i]
		}
	}
	return nil
}

// Lacks returns the ids of the generated materials of a document that this region has to have, and has not, before it can take the
// document over.
func (s *State) Lacks(d *KeyDoc) (ids [][]byte) {
	if d.Gone || d.Origin == originExternal || s.region == nil || d.member(s.region.Name) == nil {
		return nil
	}
	k := s.key(d.Account, d.ID)
	if k == nil || k.Set == nil || d.Version.Compare(k.Set.Version) <= 0 {
		return nil
	}
	for i := range d.Materials {
		id := d.Materials[i].ID
		if j := findMaterial(k.Materials, id); j < 0 || !k.Materials[j].Present() {
			ids = append(ids, id)
		}
	}
	return ids
}

func applySyncKeys(t *tx, c *SyncKeys) outcome {
	from, out := t.source(c.Region, c.Incarnation)
	if !out.ok() {
		return out
	}
	m := &merge{tx: t, from: from}
	for i := range c.Docs {
		m.doc(&c.Docs[i])
	}
	m.countCreated()
	if len(t.changes) == 0 {
		return conflict("nothing new")
	}
	if old := t.otherRegion(c.Region); old.Incarnation != from.Incarnation {
		t.putOther(from)
	}
	return done()
}

// merge is one SyncKeys on its way.
type merge struct {
	*tx
	from *OtherRegion
	// created counts the replicas made for each account, since the account's row is staged once.
	created []createdIn
}

type createdIn struct {
	account *Account
	keys    int
}

func (m *merge) countCreated() {
	for _, c := range m.created {
		m.countKeys(c.account, c.keys)
	}
}

// doc judges one document.
func (m *merge) doc(d *KeyDoc) {
	old := m.key(d.Account, d.ID)
	if old == nil {
		m.absent(d)
		return
	}
	if !old.MultiRegion || !d.Gone && (d.Spec != old.Spec || d.Usage != old.Usage || d.Origin != old.Origin) {
		return
	}
	k := *old
	k.Set = m.setOf(old)
	changed := m.adopt(&k, d)
	if m.status(&k, d) {
		changed = true
	}
	if !changed && old.Set == nil {
		return
	}
	if m.tend(&k) {
		changed = true
	}
	if changed {
		m.tell(&k)
	}
}

// adopt takes over the shared properties of a newer version.
func (m *merge) adopt(k *Key, d *KeyDoc) bool {
	s, home := k.Set, m.d.region.Name
	mine := d.member(home)
	if d.Gone || d.Creating || mine == nil || d.Version.Compare(s.Version) <= 0 {
		return false
	}
	materials, ok := m.takeMaterials(k, d)
	if !ok {
		return false
	}
	was := s.Primary
	members := slices.Clone(d.Members)
	for i := range members {
		if known := s.Member(members[i].Region); known != nil && known.Since == members[i].Since {
			members[i].Acked, members[i].AckedIn = known.Acked, known.AckedIn
			members[i].Holding, members[i].Gone = known.Holding, known.Gone
		}
	}
	s.Primary, s.Version, s.Members = d.Primary, d.Version, members
	s.Creating, s.Updating, s.Handover = false, "", d.Handover
	s.SpreadType = d.SpreadType
	k.Materials, k.Current = materials, d.Current
	k.OnDemandRotations, k.Rotation = d.OnDemand, d.Rotation
	if s.Primary == home && was != home {
		s.Version.Index++ // by this the others see that the primary is here
		s.Handover = nil
	}
	s.SpreadSince = s.Version
	return true
}

// takeMaterials returns the materials of a document with what this region has of them. It fails if generated material is missing.
func (m *merge) takeMaterials(k *Key, d *KeyDoc) ([]Material, bool) {
	external := d.Origin == originExternal
	out := slices.Clone(d.Materials)
	for i := range out {
		f := &out[i]
		f.Expires, f.ExpiresAt, f.Description = false, 0, ""
		if j := findMaterial(k.Materials, f.ID); j >= 0 && (k.Materials[j].Present() || external) {
			own := &k.Materials[j]
			f.Domain, f.Blob, f.Public = own.Domain, own.Blob, own.Public
			f.Expires, f.ExpiresAt, f.Description = own.Expires, own.ExpiresAt, own.Description
			continue
		}
		if external {
			f.Domain, f.Blob, f.Public = 0, nil, nil
			continue
		}
		if !f.Present() || m.domainKey(f.Domain) == nil {
			return nil, false
		}
	}
	for i := range k.Materials {
		own := k.Materials[i]
		if findMaterial(out, own.ID) >= 0 {
			continue
		}
		if external && own.State == MaterialPendingRotation {
			m.event(EventMaterialGone, k.Account, k.ID, own.ID) // deleted at the primary (spec 07 MRI-09)
			continue
		}
		if len(out) < MaxMaterials {
			own.State = MaterialNonCurrent // nothing that may have encrypted is ever lost
			out = append(out, own)
		}
	}
	return out, true
}

// status takes in how things stand with the other region's own key.
func (m *merge) status(k *Key, d *KeyDoc) bool {
	s, home, name := k.Set, m.d.region.Name, m.from.Name
	member := s.Member(name)
	if d.Gone {
		return member != nil && member.Since == d.Since && m.gone(s, member, d)
	}
	if s.Primary != home || m.unheard() {
		return false
	}
	if member == nil {
		if d.Version.Compare(s.Version) > 0 || d.member(name) == nil {
			return false
		}
		// A region has a replica that this one, restored from an older state, does not know.
		s.Version.Index++
		s.add(Member{Region: name, Since: s.Version.Index})
		return true
	}
	if member.Since != d.Since {
		return false
	}
	return m.acknowledged(k, member, d)
}

// gone takes in that a member has deleted its key.
func (m *merge) gone(s *KeySet, member *Member, d *KeyDoc) (changed bool) {
	if s.Updating == member.Region && d.Version.Compare(s.Version) >= 0 {
		// It cannot take the primary over and has promised never to: this region begins another term.
		s.Primary, s.Updating = m.d.region.Name, ""
		s.Version = SetVersion{s.Version.Term + 1, s.Version.Index + 1}
		s.SpreadSince = s.Version
		changed = true
	}
	if !member.Gone {
		member.Gone, changed = true, true
	}
	return changed
}

// acknowledged records what a member has, as far as anything waits for it.
func (m *merge) acknowledged(k *Key, member *Member, d *KeyDoc) (changed bool) {
	s := k.Set
	if d.Creating {
		return false
	}
	if member.New != nil {
		member.New = nil
		s.Version.Index++
		changed = true
	}
	newer := member.AckedIn != m.from.Incarnation || member.Acked.Compare(d.Version) < 0
	if k.spreading() >= 0 && newer {
		member.Acked, member.AckedIn = d.Version, m.from.Incarnation
		changed = true
	}
	if k.Origin == originExternal && !bytes.Equal(member.Holding, d.Holding) {
		member.Holding = d.Holding
		changed = true
	}
	return changed
}

// absent judges a document about a key that this region has not.
func (m *merge) absent(d *KeyDoc) {
	mine := d.member(m.d.region.Name)
	if d.Gone || mine == nil {
		return
	}
	end := m.replicaEnd(d.Account, d.ID)
	if end != nil && end.Since >= mine.Since {
		if d.Version.Compare(end.Seen) > 0 {
			m.end(d, end.Since, end.Refused)
		}
		return
	}
	if mine.New == nil || d.Primary == m.d.region.Name {
		m.end(d, mine.Since, "")
		return
	}
	if d.Primary != m.from.Name && d.Creating {
		return
	}
	account := m.account(d.Account)
	if account == nil || m.remains(d.Account, d.ID) != nil {
		return // not yet
	}
	if m.keyCount(account) >= m.d.quotas.KeysPerAccount {
		m.end(d, mine.Since, RefusedQuota)
		return
	}
	m.create(account, d, mine)
	if end != nil {
		m.remove(tableEnds, end)
	}
}

// RefusedQuota is why a region makes no replica if the account's keys are at the quota.
const RefusedQuota = "the account's keys are at the quota"

func (m *merge) end(d *KeyDoc, since uint64, refused string) {
	e := &ReplicaEnd{Account: d.Account, ID: d.ID, Since: since, Seen: d.Version, Refused: refused, ChangedAt: m.index}
	for i := range d.Members {
		e.Members = append(e.Members, d.Members[i].Region)
	}
	m.put(tableEnds, e)
}

func (m *merge) keyCount(account *Account) int {
	for _, c := range m.created {
		if c.account.ID == account.ID {
			return account.KeyCount + c.keys
		}
	}
	return account.KeyCount
}

func (m *merge) counted(account *Account) {
	for i := range m.created {
		if m.created[i].account.ID == account.ID {
			m.created[i].keys++
			return
		}
	}
	m.created = append(m.created, createdIn{account, 1})
}

// create makes a replica that waits for its material, or, for imported material, for the customer to import it.
func (m *merge) create(account *Account, d *KeyDoc, mine *Member) {
	k := &Key{
		Account: d.Account, ID: d.ID, Spec: d.Spec, Usage: d.Usage, Origin: d.Origin, Manager: managedByCustomer, MultiRegion: true,
		Description: mine.New.Description, CreatedAt: m.now, Enabled: true, Policy: mine.New.Policy, PolicyPrincipals: mine.New.Principals,
		Tags: slices.Clone(mine.New.Tags), Current: -1,
		PolicyVersion: m.index, TagsVersion: m.index, AliasVersion: m.index,
		Set: &KeySet{Primary: d.Primary, Members: slices.Clone(d.Members), Creating: true},
	}
	sortTags(k.Tags)
	m.adopt(k, d)
	m.d.interner.key(k)
	m.counted(account)
	m.tell(k)
}

// rehearsal is a command that is judged against a published state and never takes effect.
func (s *State) rehearsal() *tx {
	return &tx{
		view: s.view, index: s.index + 1, time: s.now, now: s.now,
		d: &draft{view: s.view, region: s.region, quotas: s.quotas, interner: new(interner), now: s.now},
	}
}

// Wants reports whether a SyncKeys of this document alone, from a region in an incarnation, would have any effect.
func (s *State) Wants(region string, incarnation uint64, d *KeyDoc) bool {
	if s.region == nil {
		return false
	}
	t := s.rehearsal()
	from, out := t.source(region, incarnation)
	if !out.ok() {
		return false
	}
	(&merge{tx: t, from: from}).doc(d)
	return len(t.changes) > 0
}

// Owes reports whether a TendKeys of this key alone would have any effect.
func (s *State) Owes(k *Key) bool {
	if k.Set == nil || s.region == nil {
		return false
	}
	row := *k
	row.Set = k.Set.clone()
	return s.rehearsal().tend(&row)
}
