package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// LevelFederation is the feature level of the commands about other regions and multi-Region keys with replicas.
const LevelFederation = 2

// Kinds of commands about the regions of the federation.
const (
	KindPutRegionKeys    Kind = 90
	KindPutOtherRegion   Kind = 91
	KindForgetRegion     Kind = 92
	KindBeginIncarnation Kind = 93
	KindMarkFeed         Kind = 94
)

// OtherRegion is a region that this one is, or is about to be, federated with.
type OtherRegion struct {
	Name      string `cbor:"1,keyasint"`
	ClusterID string `cbor:"2,keyasint"`
	// Incarnation is the region's at the federation, and since then the highest that it has proven. What comes from a lower one
	// is refused.
	Incarnation uint64 `cbor:"3,keyasint"`
	// CA is the certificate (DER) of the authority that certifies the region's nodes, pinned at the federation.
	CA []byte `cbor:"4,keyasint"`
	// Addresses are host:port by which the region's nodes are reached.
	Addresses []string `cbor:"5,keyasint,omitempty"`
	// Transport is the DER SubjectPublicKeyInfo of the RSA key under which key material is wrapped for the region, Mechanism how
	// (hsm.WrapMechanism). Signing is that of the P-256 key by which the region signs what it hands out.
	Transport []byte      `cbor:"6,keyasint"`
	Mechanism uint8       `cbor:"7,keyasint"`
	Signing   []byte      `cbor:"8,keyasint"`
	State     RegionState `cbor:"9,keyasint"`
	// Fence is the term below which nothing that the region was primary of counts any more, 0 unless it was forgotten. Terms that
	// take its place are at or above it.
	Fence     uint64 `cbor:"10,keyasint,omitempty"`
	CreatedAt int64  `cbor:"11,keyasint"`
	// Version is the index of the last change that PutOtherRegion or ForgetRegion made.
	Version uint64 `cbor:"12,keyasint"`
	// Position is how far the region's changes have been taken over: an index of its log, in its present incarnation.
	Position uint64 `cbor:"13,keyasint,omitempty"`
	// HeardIn is the incarnation of this region since whose beginning everything of the other one was taken over once, and
	// HeardOf the other's incarnation that it was taken over from.
	HeardIn uint64 `cbor:"14,keyasint,omitempty"`
	HeardOf uint64 `cbor:"15,keyasint,omitempty"`
	// Forgets is the number of forgotten regions that the other one knew of when its changes were last taken over in full.
	Forgets int `cbor:"16,keyasint,omitempty"`
	// Lives are the incarnations in which the other one knew its regions when its changes were last taken over in full by this one,
	// restored and not Whole yet.
	Lives []RegionLife `cbor:"18,keyasint,omitempty"`
	// By is the region that introduced it; only for a region in state RegionIntroduced.
	By string `cbor:"17,keyasint,omitempty"`
	// Sessions are the region's session keys, wrapped under this region's domain key.
	Sessions []SessionKey `cbor:"40,keyasint,omitempty"`
	// Follows tells that the region has this one as the home of its identities.
	Follows bool `cbor:"30,keyasint,omitempty"`
	// Allowed tells that this region's operator lets it.
	Allowed bool `cbor:"31,keyasint,omitempty"`
}

// RegionLife is a region in the incarnation in which another one knows it: from an earlier one that other one accepts nothing any more.
type RegionLife struct {
	Region      string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
}

// RegionState is how far the federation with a region is.
type RegionState uint8

// States of other regions. The numbers are stored and never reused.
const (
	RegionPending   RegionState = 1 // one side has consented
	RegionFederated RegionState = 2
	RegionForgotten RegionState = 3 // lost for good, or unfederated: nothing of it is taken, nothing waits for it
)

// RegionKeys are this region's own key pairs towards the others. The private halves are wrapped under the domain key.
type RegionKeys struct {
	Domain    uint32     `cbor:"1,keyasint"` // domain key version that wraps both
	Transport RegionPair `cbor:"2,keyasint"`
	// Mechanism is how others wrap for Transport (hsm.WrapMechanism).
	Mechanism uint8      `cbor:"3,keyasint"`
	Signing   RegionPair `cbor:"4,keyasint"`
	// Sessions are the keys by which the region seals session tokens, the newest first.
	Sessions []SessionKey `cbor:"5,keyasint,omitempty"`
}

// RegionPair is one key pair: its DER SubjectPublicKeyInfo and its wrapped private key.
type RegionPair struct {
	Public []byte `cbor:"1,keyasint"`
	Blob   []byte `cbor:"2,keyasint"`
	// Domain is the domain key version that wraps Blob, 0 while it is that of RegionKeys.
	Domain uint32 `cbor:"3,keyasint,omitempty"`
}

// DomainOf is the domain key version that wraps a pair of these keys.
func (k *RegionKeys) DomainOf(p *RegionPair) uint32 {
	if p.Domain != 0 {
		return p.Domain
	}
	return k.Domain
}

// PutRegionKeys sets the region's own key pairs if it has none, or, with Replace, in place of those it has.
type PutRegionKeys struct {
	Keys    RegionKeys `cbor:"1,keyasint"`
	Replace bool       `cbor:"2,keyasint,omitempty"`
}

// PutOtherRegion adds a region, or replaces what is known of it if its version is Was (0 = it must be new, or forgotten). What
// the synchronization has written (incarnation, position, what was heard) stays; a forgotten region starts anew under a higher
// incarnation, with its fence.
type PutOtherRegion struct {
	Region OtherRegion `cbor:"1,keyasint"`
	Was    uint64      `cbor:"2,keyasint,omitempty"`
}

// ForgetRegion marks a region as lost for good. Fence must be above the fence of every region forgotten before and is the first
// term of whatever takes its place; it is the same in every region. Forgetting again with the same fence succeeds without effect.
type ForgetRegion struct {
	Name  string `cbor:"1,keyasint"`
	Fence uint64 `cbor:"2,keyasint"`
}

// BeginIncarnation starts a new life of this region, restored from an older state: every multi-Region key plays no primary until
// all regions, and encrypts nothing until all regions of its set, have been heard again.
type BeginIncarnation struct {
	// Incarnation must be above the last one. ClusterID is that of the new group.
	Incarnation uint64 `cbor:"1,keyasint"`
	ClusterID   string `cbor:"2,keyasint"`
}

// MarkFeed records how far another region's changes were taken over. Incarnation is the one that they were read from; a higher
// one than known begins at position 0. With Heard everything up to Position was taken over in full, from a region that knew
// Forgets forgotten regions, this region's incarnation HeardIn, and its own federated regions in Lives.
type MarkFeed struct {
	Region      string       `cbor:"1,keyasint"`
	Incarnation uint64       `cbor:"2,keyasint"`
	Position    uint64       `cbor:"3,keyasint,omitempty"`
	Heard       bool         `cbor:"4,keyasint,omitempty"`
	HeardIn     uint64       `cbor:"5,keyasint,omitempty"`
	Forgets     int          `cbor:"6,keyasint,omitempty"`
	Lives       []RegionLife `cbor:"7,keyasint,omitempty"`
}

// Kind implements Body.
func (PutRegionKeys) Kind() Kind    { return KindPutRegionKeys }
func (PutOtherRegion) Kind() Kind   { return KindPutOtherRegion }
func (ForgetRegion) Kind() Kind     { return KindForgetRegion }
func (BeginIncarnation) Kind() Kind { return KindBeginIncarnation }
func (MarkFeed) Kind() Kind         { return KindMarkFeed }

const (
	tableOtherRegions = "other-regions"
	maxAddresses      = 64
	maxOtherRegions   = 64
)

func (o *OtherRegion) primary() []byte { return name1(nil, o.Name) }

func (v *view) otherRegion(name string) *OtherRegion {
	l := v.lookup()
	l.key = name1(l.key[:0], name)
	return first[OtherRegion](v, tableOtherRegions, l)
}

func (v *view) otherRegions() iter.Seq[*OtherRegion] {
	return from[OtherRegion](v, tableOtherRegions, indexID, nil)
}

// OtherRegion returns a region that this one knows, nil if there is none of that name.
func (s *State) OtherRegion(name string) *OtherRegion { return s.otherRegion(name) }

// OtherRegions yields the regions that this one knows, in any state, ordered by name.
func (s *State) OtherRegions() iter.Seq[*OtherRegion] { return s.otherRegions() }

// RegionKeys returns the region's own key pairs towards others, nil before they are made.
func (s *State) RegionKeys() *RegionKeys {
	if s.region == nil {
		return nil
	}
	return s.region.Keys
}

// Incarnation is the life that the region is in: regions restored from an older state begin a higher one.
func (r *Region) Incarnation() uint64 {
	if r.Restored != 0 {
		return r.Restored
	}
	return uint64(r.CreatedAt)
}

// Lives are the regions that this one is federated with, in the incarnations in which it knows them, ordered by name.
func (s *State) Lives() (all []RegionLife) {
	for o := range s.otherRegions() {
		if o.State == RegionFederated {
			all = append(all, RegionLife{o.Name, o.Incarnation})
		}
	}
	return all
}

// Forgets counts the regions that were forgotten.
func (s *State) Forgets() int { return s.forgets() }

func (v *view) forgets() (n int) {
	for o := range v.otherRegions() {
		if o.Fence != 0 {
			n++
		}
	}
	return n
}

func (c *PutRegionKeys) check() error {
	k := &c.Keys
	if k.Domain == 0 || len(k.Sessions) != 0 {
		return errors.New("region keys without domain key version, or with session keys")
	}
	return errors.Join(k.Transport.check(), k.Signing.check())
}

func (p *RegionPair) check() error {
	return errors.Join(checkBytes("public key", p.Public, 1, maxPublic), checkBytes("wrapped private key", p.Blob, 1, maxBlob))
}

func (c *PutOtherRegion) check() error {
	o := &c.Region
	if o.State != RegionPending && o.State != RegionFederated && o.State != RegionIntroduced {
		return fmt.Errorf("a region is put as pending, federated or introduced, not as %d", o.State)
	}
	if err := checkLength("who introduced it", len(o.By), maxID); err != nil || (o.By != "") != (o.State == RegionIntroduced) {
		return errors.Join(errors.New("who introduced a region is known of those that were introduced only"), err)
	}
	if o.Incarnation == 0 || len(o.Sessions) != 0 || o.Fence != 0 || o.Position != 0 || o.HeardIn != 0 || o.HeardOf != 0 || o.Forgets != 0 || len(o.Lives) != 0 || o.Follows || o.Allowed {
		return errors.New("a region without incarnation, or with what only synchronization writes")
	}
	if err := checkLength("number of addresses", len(o.Addresses), maxAddresses); err != nil {
		return err
	}
	for _, a := range o.Addresses {
		if err := checkName("address", a, maxPrincipal*4); err != nil {
			return err
		}
	}
	return errors.Join(
		checkName("region", o.Name, maxID), checkName("cluster id", o.ClusterID, maxID),
		checkBytes("certificate", o.CA, 1, maxPublic), checkBytes("transport key", o.Transport, 1, maxPublic),
		checkBytes("signing key", o.Signing, 1, maxPublic), checkTime("CreatedAt", o.CreatedAt),
	)
}

func (c *ForgetRegion) check() error {
	if c.Fence == 0 {
		return errors.New("no fence")
	}
	return checkName("region", c.Name, maxID)
}

func (c *BeginIncarnation) check() error {
	if c.Incarnation == 0 {
		return errors.New("incarnations are above 0")
	}
	return checkName("cluster id", c.ClusterID, maxID)
}

func (c *MarkFeed) check() error {
	if c.Incarnation == 0 || c.Heard != (c.HeardIn != 0) {
		return errors.New("no incarnation")
	}
	return errors.Join(checkName("region", c.Region, maxID), checkLength("forgotten regions", c.Forgets, maxOtherRegions), CheckLives(c.Lives))
}

// CheckLives holds what another region says of its regions' incarnations to what apply takes for granted. It is for whoever receives that.
func CheckLives(all []RegionLife) error {
	if err := checkLength("regions", len(all), maxOtherRegions); err != nil {
		return err
	}
	for _, l := range all {
		if err := checkName("region", l.Region, maxID); err != nil {
			return err
		}
	}
	return nil
}

func applyPutRegionKeys(t *tx, c *PutRegionKeys) outcome {
	r := t.regionRow()
	switch {
	case r.Keys != nil && !c.Replace:
		return stale("the region has its key pairs")
	case t.domainKey(c.Keys.Domain) == nil:
		return conflict("the domain key version does not exist")
	}
	keys := c.Keys
	r.Keys = &keys
	return done()
}

// RefusedSigning is the detail of a refusal: what a region is allowed is not for another one of its name.
const RefusedSigning = "the region is federated under another signing key: end that federation first"

func applyPutOtherRegion(t *tx, c *PutOtherRegion) outcome {
	o, old := c.Region, t.otherRegion(c.Region.Name)
	switch {
	case o.Name == t.d.region.Name:
		return conflict("a region is not federated with itself")
	case old == nil && c.Was != 0, old != nil && old.State != RegionForgotten && old.Version != c.Was:
		return stale("the region was changed in the meantime")
	case old != nil && o.State == RegionIntroduced && (old.State == RegionPending || old.State == RegionFederated):
		return conflict("the region is known already")
	case old != nil && old.State == RegionForgotten && o.Incarnation <= old.Incarnation:
		return conflict("the region was forgotten: it comes back as a new incarnation only")
	case old != nil && old.State == RegionFederated && !bytes.Equal(old.Signing, o.Signing):
		return conflict(RefusedSigning)
	}
	if old == nil {
		n := 0
		for range t.otherRegions() {
			n++
		}
		if n >= maxOtherRegions {
			return conflict("too many regions")
		}
	} else {
		o.CreatedAt, o.Fence = old.CreatedAt, old.Fence
		if old.State != RegionForgotten {
			o.Incarnation, o.Follows, o.Allowed = max(old.Incarnation, o.Incarnation), old.Follows, old.Allowed
		}
		if o.Incarnation == old.Incarnation {
			o.Sessions = old.Sessions
			o.Position, o.HeardIn, o.HeardOf, o.Forgets = old.Position, old.HeardIn, old.HeardOf, old.Forgets
			o.Lives = old.Lives
		}
	}
	o.Version = t.index
	t.putOther(&o)
	return done()
}

func (t *tx) incarnation() uint64 { return t.d.region.Incarnation() }

func applyForgetRegion(t *tx, c *ForgetRegion) outcome {
	old := t.otherRegion(c.Name)
	if old == nil {
		return conflict("the region is not known")
	}
	if old.State == RegionForgotten && old.Fence == c.Fence {
		return done()
	}
	if old.State == RegionForgotten {
		return conflict("the region was forgotten with another fence")
	}
	for o := range t.otherRegions() {
		if o.Fence >= c.Fence {
			return conflict("the fence is not above that of a region forgotten before")
		}
	}
	o := *old
	o.State, o.Fence, o.Version, o.Follows, o.Allowed, o.Sessions = RegionForgotten, c.Fence, t.index, false, false, nil
	t.putOther(&o)
	t.retireSessionKeys()
	if old.Follows {
		t.sharesWith(c.Name, false)
	}
	t.leaveHome(c.Name)
	return done()
}

func applyBeginIncarnation(t *tx, c *BeginIncarnation) outcome {
	if c.Incarnation <= t.incarnation() {
		return stale("the incarnation is not above the last one")
	}
	r := t.regionRow()
	r.Restored, r.ClusterID, r.Reborn = c.Incarnation, c.ClusterID, false
	if r.Keys != nil { // the session keys were the earlier life's
		keys := *r.Keys
		keys.Sessions = nil
		r.Keys = &keys
	}
	return done()
}

// applyMarkFeed never goes back within an incarnation, and never to an older incarnation.
func applyMarkFeed(t *tx, c *MarkFeed) outcome {
	o, out := t.source(c.Region, c.Incarnation)
	if !out.ok() {
		return out
	}
	was := t.otherRegion(c.Region)
	o.Position = max(o.Position, c.Position)
	if c.Heard && c.HeardIn == t.incarnation() {
		o.HeardIn, o.HeardOf, o.Forgets = c.HeardIn, c.Incarnation, max(o.Forgets, c.Forgets)
		if r := t.d.region; r.Restored != 0 && r.Whole != r.Restored {
			o.Lives = c.Lives
		}
	}
	if o.Incarnation == was.Incarnation && o.Position == was.Position && o.HeardIn == was.HeardIn && o.HeardOf == was.HeardOf &&
		o.Forgets == was.Forgets && slices.Equal(o.Lives, was.Lives) {
		return conflict("nothing new")
	}
	t.putOther(o)
	if len(o.Lives) > 0 && !t.unheardIn(t.d.region, o) {
		t.regionRow().Whole = t.d.region.Restored
	}
	return done()
}

// source returns a copy of a federated region's row, in the incarnation that something comes from. A higher one than known begins
// a new life of the region: what was taken over from the last one says nothing about it.
func (t *tx) source(name string, incarnation uint64) (*OtherRegion, outcome) {
	old := t.otherRegion(name)
	switch {
	case old == nil || old.State != RegionFederated:
		return nil, conflict("the region is not federated")
	case incarnation < old.Incarnation:
		return nil, conflict("the region has begun a new incarnation")
	}
	o := *old
	if incarnation > o.Incarnation {
		o.Incarnation, o.Position, o.HeardIn, o.HeardOf, o.Forgets, o.Lives = incarnation, 0, 0, 0, 0, nil
		o.Sessions = nil
	}
	return &o, done()
}

// fenced is the highest fence of all forgotten regions.
func (v *view) fenced() (fence uint64) {
	for o := range v.otherRegions() {
		fence = max(fence, o.Fence)
	}
	return fence
}

// Fenced is the highest fence of all regions that were forgotten, 0 if none was.
func (s *State) Fenced() uint64 { return s.fenced() }

// FederatedRegions returns the names of the regions that this one is federated with, in order.
func (s *State) FederatedRegions() []string { return s.federated() }

func (v *view) federated() (names []string) {
	for o := range v.otherRegions() {
		if o.State == RegionFederated {
			names = append(names, o.Name)
		}
	}
	return slices.Clip(names)
}
