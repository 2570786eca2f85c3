package fsm

import (
	"bytes"
	"slices"
)

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
