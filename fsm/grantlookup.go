package fsm

import (
	"encoding/binary"
	"iter"
)

// Pairs is an encryption context as a lookup reads it: sorted by key, no key twice.
type Pairs interface {
	Len() int
	Pair(i int) (key, value string)
}

// anyGrant returns a grant, also one of a deleted key.
func (v *view) anyGrant(id string) *Grant {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[Grant](v, tableGrants, l)
}

// grant returns a grant. With its key it is gone, even if its row is still to be removed.
func (v *view) grant(id string) *Grant {
	g := v.anyGrant(id)
	if g == nil || v.key(g.Account, g.KeyID) == nil {
		return nil
	}
	return g
}

// sameGrant returns the grant on the same key with the same name and parameters.
func (v *view) sameGrant(g *Grant) *Grant {
	for same := range from[Grant](v, tableGrants, indexSame, g.sameKey(nil)) {
		if same.Account == g.Account && same.KeyID == g.KeyID && same.fingerprint() == g.fingerprint() {
			return same
		}
		break
	}
	return nil
}

// grantsOf yields the grants on a key, also on a deleted one, that were made after the one of a version.
func (v *view) grantsOf(account, keyID string, after uint64) iter.Seq[*Grant] {
	return while(from[Grant](v, tableGrants, indexKey, grantsKey(account, keyID, after+1)),
		func(g *Grant) bool { return g.Account == account && g.KeyID == keyID })
}

// grantee is one principal as the grantee of grants on one key.
type grantee struct {
	key       KeyRef
	principal string
}

// has tells whether a grant is one of the grantee's.
func (e *grantee) has(g *Grant) bool {
	return g.KeyID == e.key.ID && g.Account == e.key.Account && g.Grantee.Key() == e.principal
}

// grantsTo yields the grants of a grantee that could cover a call. It goes from one set of operations to the next; of
// a set that has the operation it looks at the buckets that the context can satisfy.
func (v *view) grantsTo(e grantee, op GrantOps, context Pairs) iter.Seq[*Grant] {
	return func(yield func(*Grant) bool) {
		prefix := granteeKey(e.key.Account, e.key.ID, e.principal)
		prefix = prefix[:len(prefix):len(prefix)]
		for bound := prefix; ; {
			next := v.nextGrant(bound)
			if next == nil || !e.has(next) {
				return
			}
			ops := next.Operations
			if ops&op != 0 && !v.grantsWith(&e, ops, binary.BigEndian.AppendUint32(prefix, uint32(ops)), context, yield) {
				return
			}
			bound = binary.BigEndian.AppendUint32(prefix, uint32(ops)+1) // operations never have all bits
		}
	}
}

func (v *view) nextGrant(bound []byte) *Grant {
	for g := range from[Grant](v, tableGrants, indexGrantee, bound) {
		return g
	}
	return nil
}

// grantsWith yields the grants of one set of operations, where prefix leads, that the context can satisfy, all of them
// without one. It reports whether the caller wants more.
func (v *view) grantsWith(e *grantee, ops GrantOps, prefix []byte, context Pairs, yield func(*Grant) bool) bool {
	prefix = prefix[:len(prefix):len(prefix)]
	in := func(bound []byte, belongs func(*Grant) bool) bool {
		for g := range from[Grant](v, tableGrants, indexGrantee, bound) {
			if !e.has(g) || g.Operations != ops || !belongs(g) {
				return true
			}
			if !yield(g) {
				return false
			}
		}
		return true
	}
	if context == nil {
		return in(prefix, func(*Grant) bool { return true })
	}
	bucket := func(b uint64) bool {
		return in(binary.BigEndian.AppendUint64(prefix, b), func(g *Grant) bool { return g.bucket() == b })
	}
	if !bucket(0) || context.Len() > 0 && !bucket(bucketOfAll(context)) { // no constraint is without pairs
		return false
	}
	for i := range context.Len() {
		if k, value := context.Pair(i); !bucket(bucketOfOne(k, value)) {
			return false
		}
	}
	return true
}

func (v *view) remains(account, keyID string) *Remains {
	l := v.lookup()
	l.key = name2(l.key[:0], account, keyID)
	return first[Remains](v, tableRemains, l)
}

// Grant returns a grant by its id, nil if there is none.
func (s *State) Grant(id string) *Grant { return s.grant(id) }

// GrantsOf yields the grants on a key that were made after the one with the version after (0 = from the start), in
// the order in which they were made.
func (s *State) GrantsOf(key KeyRef, after uint64) iter.Seq[*Grant] {
	if s.key(key.Account, key.ID) == nil {
		return func(func(*Grant) bool) {}
	}
	return s.grantsOf(key.Account, key.ID, after)
}

// GrantsOfGrantee yields the grants on a key for one grantee (GrantPrincipal.Key) after the place after ("" = from the
// start), in the order of their places, which stays as it is but means nothing else.
func (s *State) GrantsOfGrantee(key KeyRef, principal, after string) iter.Seq[*Grant] {
	if s.key(key.Account, key.ID) == nil {
		return func(func(*Grant) bool) {}
	}
	e := grantee{key, principal}
	bound := append(granteeKey(key.Account, key.ID, principal), after...)
	return while(from[Grant](&s.view, tableGrants, indexGrantee, past(bound, after)), e.has)
}

// GrantsTo yields the grants on a key for one grantee (GrantPrincipal.Key) that allow an operation and whose constraint
// the encryption context could satisfy; nil asks for grants with whatever constraint, as for calls that no constraint
// tests. It may yield a grant whose constraint is not satisfied, so the caller compares; it leaves out none that is.
// Its cost follows the sets of operations that the grantee's grants have and the pairs of the context, not the number
// of grants.
func (s *State) GrantsTo(key KeyRef, principal string, op GrantOps, context Pairs) iter.Seq[*Grant] {
	return s.grantsTo(grantee{key, principal}, op, context)
}

// GrantsRetiredBy yields the grants of the region, on keys of whatever account, whose retiring principal
// (GrantPrincipal.Key) is the given one, and that were made after the one with the version after (0 = from the start),
// in the order in which they were made.
func (s *State) GrantsRetiredBy(principal string, after uint64) iter.Seq[*Grant] {
	rows := while(from[Grant](&s.view, tableGrants, indexRetiring, retiringKey(principal, after+1)),
		func(g *Grant) bool { return g.Retiring.Key() == principal })
	return func(yield func(*Grant) bool) {
		for g := range rows {
			if s.key(g.Account, g.KeyID) != nil && !yield(g) {
				return
			}
		}
	}
}

// SameGrant returns the grant with the same key, name, principals, operations and constraint as g, nil if there is
// none or g has no name (spec 04 GR-08).
func (s *State) SameGrant(g *Grant) *Grant {
	if g.Name == "" || s.key(g.Account, g.KeyID) == nil {
		return nil
	}
	return s.sameGrant(g)
}

// Remains yields the deleted keys that still have grants to be removed (PurgeGrants).
func (s *State) Remains() iter.Seq[*Remains] {
	return from[Remains](&s.view, tableRemains, indexID, nil)
}
