package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
)

// What a home tells of its identities. Every row has the index of its last change as its version, so that an index over versions is the
// feed of changes; what was removed is remembered for as long as a region follows.

// GoneIdentity is an identity that was removed while another region followed this one.
type GoneIdentity struct {
	// Index is that of the removal.
	Index uint64      `cbor:"1,keyasint"`
	Ref   IdentityRef `cbor:"2,keyasint"`
}

const (
	tableGoneIdentities = "gone-identities"
	// goneWindow is for how many entries of the log a removal is remembered; a region that is further behind compares in full.
	goneWindow = 1 << 17
)

func (g *GoneIdentity) primary() []byte {
	return append(binary.BigEndian.AppendUint64(nil, g.Index), g.Ref.key()...)
}

// key orders rows of all tables.
func (r *IdentityRef) key() []byte { return name2([]byte{byte(r.Table)}, r.Account, r.Name) }

func (a *Account) byFeed() []byte {
	if a.Local {
		return nil
	}
	return feedKey(a.Version, a.ID, "")
}
func (p *ManagedPolicy) byFeed() []byte { return feedKey(p.Version, p.Account, p.ID) }
func (i *Identity) byFeed() []byte      { return feedKey(i.Version, i.Account, i.ID) }
func (p *OIDCProvider) byFeed() []byte  { return feedKey(p.Version, p.Account, p.URL) }
func (k *AccessKey) byFeed() []byte     { return feedKey(k.Version, k.Account, k.ID) }

// gone remembers the removal of an identity if another region follows.
func (t *tx) gone(ref IdentityRef) {
	if t.d.region.SharedFrom == 0 {
		return
	}
	t.put(tableGoneIdentities, &GoneIdentity{t.index, ref})
	trimmed := 0 // a few at a time: no command pays for what many others have left
	for g := range from[GoneIdentity](&t.view, tableGoneIdentities, indexID, nil) {
		if g.Index+goneWindow >= t.index || trimmed == 8 {
			break
		}
		t.remove(tableGoneIdentities, g)
		t.regionRow().SharedFrom = g.Index
		trimmed++
	}
}

// IdentitiesChangedAt is the index of the last change of an identity in this region's log, or of which regions follow this one. It says
// nothing in a region that follows another one.
func (s *State) IdentitiesChangedAt() (index uint64) {
	index = s.FollowersAt()
	for i := range identityTables {
		if row := identityTables[i].newest(&s.view); row != nil {
			version, _ := row.shared()
			index = max(index, version)
		}
	}
	if g := last[GoneIdentity](&s.view, tableGoneIdentities, indexID); g != nil {
		index = max(index, g.Index)
	}
	return index
}

// IdentitiesSince tells whether this state can say what has changed in its identities after an index: what was removed since then is
// known.
func (s *State) IdentitiesSince(index uint64) bool {
	return s.region != nil && s.region.Home == nil && s.region.SharedFrom != 0 && index >= s.region.SharedFrom && index <= s.index
}

// IdentityChanges yields the identities that have changed after an index, and what was removed since, in an order that depends on the
// state alone: pointers to rows of the state, or an IdentityRef. Index 0 is all there is and tells nothing of removals.
func (s *State) IdentityChanges(after uint64) iter.Seq[any] {
	return func(yield func(row any) bool) {
		bound := binary.BigEndian.AppendUint64(nil, after+1)
		if after > 0 {
			for g := range from[GoneIdentity](&s.view, tableGoneIdentities, indexID, bound) {
				if !yield(g.Ref) {
					return
				}
			}
		}
		for i := range identityTables {
			for row := range identityTables[i].rows(&s.view, indexFeed, bound) {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// Add appends a row that IdentityChanges yielded, ready for its way to another region.
func (r *IdentityRows) Add(row any) {
	switch row := row.(type) {
	case IdentityRef:
		r.Gone = append(r.Gone, row)
	case *Account:
		r.Accounts = append(r.Accounts, Account{ID: row.ID, CreatedAt: row.CreatedAt, Version: row.Version})
	case *ManagedPolicy:
		p := *row
		p.Attachments, p.Boundaries = 0, 0
		r.Policies = append(r.Policies, p)
	case *Identity:
		i := *row
		i.Members = 0
		r.Identities = append(r.Identities, i)
	case *OIDCProvider:
		r.Providers = append(r.Providers, *row)
	case *AccessKey:
		k := *row
		k.Domain, k.Secret = 0, nil
		r.AccessKeys = append(r.AccessKeys, k)
	}
}

// each yields pointers to the rows that are not gone, table by table.
func (r *IdentityRows) each(yield func(IdentityRef, any) bool) {
	_ = eachRow(r.Accounts, yield) && eachRow(r.Policies, yield) && eachRow(r.Identities, yield) && eachRow(r.Providers, yield) &&
		eachRow(r.AccessKeys, yield)
}

func eachRow[T any, P interface {
	*T
	ref() IdentityRef
}](rows []T, yield func(IdentityRef, any) bool) bool {
	for i := range rows {
		if row := P(&rows[i]); !yield(row.ref(), row) {
			return false
		}
	}
	return true
}

// IdentityDigest is a digest of which identities the state has in which version. That of a region that follows another is the home's at
// the same position.
func (s *State) IdentityDigest() [sha256.Size]byte {
	h := sha256.New()
	var b bytes.Buffer
	for ref, version := range s.identityRefs() {
		b.Reset()
		b.Write(ref.key())
		b.WriteByte(0)
		b.Write(binary.BigEndian.AppendUint64(nil, version))
		h.Write(b.Bytes())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// identityRefs yields every identity with its version, table by table in the order of primary keys.
func (v *view) identityRefs() iter.Seq2[IdentityRef, uint64] {
	return func(yield func(IdentityRef, uint64) bool) {
		for i := range identityTables {
			for row := range identityTables[i].rows(v, indexID, nil) {
				if version, ok := row.shared(); ok && !yield(row.ref(), version) {
					return
				}
			}
		}
	}
}

// Lacking yields the identities of this state that are not among some rows, which are all that another region has.
func (s *State) Lacking(all []*IdentityRows) (refs []IdentityRef) {
	in := newIncoming(all)
	for ref := range s.identityRefs() {
		if in.rows[ref] == nil {
			refs = append(refs, ref)
		}
	}
	return refs
}
