package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
)

// Kinds of commands by which regions come together and part.
const (
	KindAdmitRegion Kind = 95
	KindDropRegion  Kind = 96
)

// RegionIntroduced is the state of a region that one of the federated regions has vouched for, and to which this side has not
// consented. Nothing is said to it, and nothing of it is taken.
const RegionIntroduced RegionState = 4

// AdmitRegion federates with a region that brings a token of this one. It takes effect under the conditions of PutOtherRegion
// for a token that has not expired and was not used by anybody else. Tokens of regions are among the join tokens; their digests
// are made in another way (DigestRegionToken), so that one kind is never taken for the other.
type AdmitRegion struct {
	Digest []byte      `cbor:"1,keyasint"`
	Region OtherRegion `cbor:"2,keyasint"`
	Was    uint64      `cbor:"3,keyasint,omitempty"`
}

// DropRegion drops a region that was not forgotten and that no multi-Region key is shared with, as if it had never been federated. A
// fence that it has stays.
type DropRegion struct {
	Name string `cbor:"1,keyasint"`
}

// Kind implements Body.
func (AdmitRegion) Kind() Kind { return KindAdmitRegion }
func (DropRegion) Kind() Kind  { return KindDropRegion }

// DigestRegionToken is the digest under which the token by which a region of that name federates is kept.
func DigestRegionToken(region string, secret []byte) []byte {
	h := sha256.New()
	h.Write([]byte("trent/federate/1\x00" + region + "\x00"))
	h.Write(secret)
	return h.Sum(nil)
}

func (c *AdmitRegion) check() error {
	if c.Region.State != RegionFederated {
		return errors.New("a region that brings a token is put as federated")
	}
	return errors.Join((&PutOtherRegion{Region: c.Region}).check(), checkBytes("digest", c.Digest, sha256.Size, sha256.Size))
}

func (c *DropRegion) check() error { return checkName("region", c.Name, maxID) }

func applyAdmitRegion(t *tx, c *AdmitRegion) outcome {
	j := t.joinToken(c.Digest)
	key := sha256.Sum256(c.Region.Signing)
	switch {
	case j == nil || t.now >= j.ExpiresAt:
		return conflict(RefusedToken)
	case j.Node != "" && (j.Node != c.Region.Name || !bytes.Equal(j.Key, key[:])):
		return conflict(RefusedToken)
	}
	if out := applyPutOtherRegion(t, &PutOtherRegion{Region: c.Region, Was: c.Was}); !out.ok() {
		return out
	}
	used := *j
	used.Node, used.Key = c.Region.Name, key[:]
	t.put(tableJoinTokens, &used)
	return done()
}

func applyDropRegion(t *tx, c *DropRegion) outcome {
	old := t.otherRegion(c.Name)
	if old == nil || old.State == RegionForgotten {
		return conflict("the region is not known, or was forgotten")
	}
	if t.sharesKeys(c.Name) {
		return conflict("multi-Region keys are shared with the region")
	}
	if old.Follows {
		return conflict("this region is the home of the other one's identities")
	}
	t.retireSessionKeys()
	t.leaveHome(c.Name)
	if old.Fence == 0 {
		t.remove(tableOtherRegions, old)
		return done()
	}
	o := *old
	o.State, o.Version, o.Sessions, o.Allowed = RegionForgotten, t.index, nil, false
	t.putOther(&o)
	return done()
}

// SharedWith counts the multi-Region keys of this region whose sets have a member in another region, and those of them whose
// primary is there.
func (s *State) SharedWith(region string) (keys, primaries int) {
	for k := range from[Key](&s.view, tableKeys, indexFeed, nil) {
		if k.Set.has(region) {
			keys++
			if k.Set.Primary == region {
				primaries++
			}
		}
	}
	return keys, primaries
}

func (v *view) sharesKeys(region string) bool {
	for k := range from[Key](v, tableKeys, indexFeed, nil) {
		if k.Set.has(region) {
			return true
		}
	}
	return false
}

func (s *KeySet) has(region string) bool {
	return s.Primary == region || slices.ContainsFunc(s.Members, func(m Member) bool { return m.Region == region })
}
