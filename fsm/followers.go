package fsm

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// A home names the regions that follow it to each of them, so that they accept each other's sessions.

// Follower is a region that follows a home, as the home knows it. A region is the one that is meant only if it has that signing key: two
// regions may each be federated with another region of the same name.
type Follower struct {
	Name string `cbor:"1,keyasint"`
	// Key is the SHA-256 of the DER SubjectPublicKeyInfo of its signing key.
	Key []byte `cbor:"2,keyasint"`
}

// followsWith is the signing key of a region that follows this one with its operator's consent, nil of any other.
func (o *OtherRegion) followsWith() []byte {
	if o == nil || o.State != RegionFederated || !o.Follows || !o.Allowed {
		return nil
	}
	return o.Signing
}

// putOther stages what is known of another region. That one begins to follow, or ends, is news to all that do.
func (t *tx) putOther(o *OtherRegion) {
	if !bytes.Equal(t.otherRegion(o.Name).followsWith(), o.followsWith()) {
		t.regionRow().FollowersAt = t.index
		t.event(EventIdentities, "", "", nil)
	}
	t.put(tableOtherRegions, o)
}

// Followers are the regions that follow this one, by name. A region that follows another one has none.
func (s *State) Followers() (all []Follower) {
	for o := range s.otherRegions() {
		if signing := o.followsWith(); signing != nil {
			key := sha256.Sum256(signing)
			all = append(all, Follower{o.Name, key[:]})
		}
	}
	return all
}

// FollowersAt is the index of the last change of Followers, 0 if there was none.
func (s *State) FollowersAt() uint64 {
	if s.region == nil {
		return 0
	}
	return s.region.FollowersAt
}

// CheckFollowers holds what a home says of the regions that follow it to its bounds.
func CheckFollowers(all []Follower) error {
	if len(all) > maxOtherRegions {
		return fmt.Errorf("%d regions that follow, there can be %d", len(all), maxOtherRegions)
	}
	for i := range all {
		if i > 0 && all[i-1].Name >= all[i].Name {
			return fmt.Errorf("regions that follow are not in order, or one is there twice")
		}
		if err := checkName("region", all[i].Name, maxID); err != nil {
			return err
		}
		if err := checkBytes("signing key digest", all[i].Key, sha256.Size, sha256.Size); err != nil {
			return err
		}
	}
	return nil
}

// EqualFollowers tells whether two lists are the same.
func EqualFollowers(a, b []Follower) bool {
	return slices.EqualFunc(a, b, func(a, b Follower) bool { return a.Name == b.Name && bytes.Equal(a.Key, b.Key) })
}

// names tells whether the home has named a region, with the signing key that is pinned here, as one that follows it too.
func (h *HomeRegion) names(o *OtherRegion) bool {
	i, ok := slices.BinarySearchFunc(h.Followers, o.Name, func(f Follower, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return false
	}
	key := sha256.Sum256(o.Signing)
	return bytes.Equal(h.Followers[i].Key, key[:])
}

// AcceptsSessionsOf tells whether sessions that a region has made are good here, this one's own among them.
func (s *State) AcceptsSessionsOf(region string) bool {
	if s.region == nil || region == s.region.Name {
		return s.region != nil
	}
	o := s.otherRegion(region)
	return o != nil && s.sharesIdentities(o)
}
