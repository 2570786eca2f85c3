package fsm

import (
	"crypto/sha256"
	"encoding/binary"
)

// Indexes of grants. Names are followed by fixed numbers of bytes, so that the rows of one name lie together:
//
//	key       account, key id, then 8 bytes of version: creation order
//	grantee   account, key id, grantee, then its place (see Place)
//	retiring  retiring principal, then 8 bytes of version
//	same      account, key id, then a digest of name and parameters; named grants only

func (g *Grant) primary() []byte { return name1(nil, g.ID) }

func (g *Grant) byKey() []byte { return grantsKey(g.Account, g.KeyID, g.Version) }

func grantsKey(account, keyID string, version uint64) []byte {
	key := append(name2(make([]byte, 0, len(account)+len(keyID)+10), account, keyID), 0)
	return binary.BigEndian.AppendUint64(key, version)
}

func (g *Grant) byGrantee() []byte {
	return g.appendPlace(granteeKey(g.Account, g.KeyID, g.Grantee.Key()))
}

func granteeKey(account, keyID, grantee string) []byte {
	return append(name3(make([]byte, 0, len(account)+len(keyID)+len(grantee)+3+placeSize), account, keyID, grantee), 0)
}

func (g *Grant) byRetiring() []byte {
	if g.Retiring == nil {
		return nil
	}
	return retiringKey(g.Retiring.Key(), g.Version)
}

func retiringKey(principal string, version uint64) []byte {
	key := append(name1(make([]byte, 0, len(principal)+9), principal), 0)
	return binary.BigEndian.AppendUint64(key, version)
}

func (g *Grant) bySame() []byte {
	if g.Name == "" {
		return nil
	}
	return g.sameKey(nil)
}

func (g *Grant) sameKey(dst []byte) []byte {
	sum := g.fingerprint()
	return append(append(name2(dst, g.Account, g.KeyID), 0), sum[:]...)
}

// fingerprint digests what makes two named grants the same (spec 04 GR-08), each part behind its length.
func (g *Grant) fingerprint() [sha256.Size]byte {
	b := make([]byte, 0, 512)
	part := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	part(g.Name)
	part(g.Grantee.Key())
	if g.Retiring != nil {
		part(g.Retiring.Key())
	} else {
		part("")
	}
	b = binary.BigEndian.AppendUint32(b, uint32(g.Operations))
	if c := g.Constraint; c != nil {
		b = append(b, byte(c.Type))
		for _, p := range c.Pairs {
			part(p.Key)
			part(p.Value)
		}
	}
	return sha256.Sum256(b)
}

// placeSize is the length of a place: operations (4), bucket of the constraint (8), version (8).
const placeSize = 20

// Place orders the grants of one grantee on one key. Those that cover a call lie together: a call asks for one
// operation in one encryption context, and the place begins with the operations and with a hash of what the context
// must have. So the number of a grantee's grants costs a lookup nothing, even if each is for another context.
func (g *Grant) Place() string { return string(g.appendPlace(nil)) }

func (g *Grant) appendPlace(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(g.Operations))
	b = binary.BigEndian.AppendUint64(b, g.bucket())
	return binary.BigEndian.AppendUint64(b, g.Version)
}

// bucket sorts grants by their constraint. Different constraints in one bucket cost time and nothing else, since
// whoever asks compares the constraint.
func (g *Grant) bucket() uint64 {
	c := g.Constraint
	switch {
	case c == nil:
		return 0
	case c.Type == ConstraintEquals:
		return bucketOfAll(pairList(c.Pairs))
	}
	return bucketOfOne(c.Pairs[0].Key, c.Pairs[0].Value)
}

// bucketOfAll is for constraints that an encryption context must equal.
func bucketOfAll(pairs Pairs) uint64 {
	h := hashString(fnvOffset, "E")
	for i := range pairs.Len() {
		k, v := pairs.Pair(i)
		h = hashString(hashString(h, k), v)
	}
	return h
}

// bucketOfOne is for constraints of which an encryption context must have every pair: this is the first of them.
func bucketOfOne(key, value string) uint64 {
	return hashString(hashString(hashString(fnvOffset, "S"), key), value)
}

// hashString continues an FNV-1a hash with a string and its length.
func hashString(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return (h ^ uint64(len(s))) * fnvPrime
}

type pairList []Pair

// Len implements Pairs.
func (p pairList) Len() int { return len(p) }

// Pair implements Pairs.
func (p pairList) Pair(i int) (key, value string) { return p[i].Key, p[i].Value }

func (r *Remains) primary() []byte { return name2(nil, r.Account, r.KeyID) }
