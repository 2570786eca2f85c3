package fsm

import (
	"errors"
	"fmt"
)

// LevelHome is the feature level of identities that live in another region.
const LevelHome = 3

// Kinds of commands about where identities live.
const (
	KindSyncIdentities Kind = 120
	KindAdoptHome      Kind = 121
	KindReleaseHome    Kind = 122
	KindPutFollower    Kind = 123
	KindAllowFollower  Kind = 124
)

// HomeRegion is the region in which this one's identities are decided: accounts, users, groups, roles, managed policies, OpenID Connect
// providers and access keys. What this region has of them is what its home had at one index of its log.
type HomeRegion struct {
	Name string `cbor:"1,keyasint"`
	// Position is that index, in an Incarnation of the home.
	Incarnation uint64 `cbor:"2,keyasint"`
	Position    uint64 `cbor:"3,keyasint"`
	// CurrentAt is the latest instant of region time at which the home is known to have had no other identities.
	CurrentAt int64 `cbor:"4,keyasint"`
	// HeardIn is the incarnation of this region in which its identities were taken over last.
	HeardIn uint64 `cbor:"5,keyasint"`
	// Followers are the regions that followed the home at Position, by name: their sessions are good here.
	Followers []Follower `cbor:"6,keyasint,omitempty"`
}

// IdentityTable is a kind of row that follows its home.
type IdentityTable uint8

// Tables of identities. The numbers are stored and never reused.
const (
	TableAccounts   IdentityTable = 1
	TablePolicies   IdentityTable = 2
	TableIdentities IdentityTable = 3
	TableProviders  IdentityTable = 4
	TableAccessKeys IdentityTable = 5
)

// IdentityRef names a row that follows its home. Account is that of a provider, "" for others; Name is an account's id, a provider's URL,
// else the unique id.
type IdentityRef struct {
	Table   IdentityTable `cbor:"1,keyasint"`
	Account string        `cbor:"2,keyasint,omitempty"`
	Name    string        `cbor:"3,keyasint"`
}

// IdentityRows are rows of a home, with its versions. Counters in them say nothing: the receiver counts for itself. Secrets of access
// keys are sealed under the domain key of the region in whose log they are, and absent on their way between regions.
type IdentityRows struct {
	Accounts   []Account       `cbor:"1,keyasint,omitempty"`
	Policies   []ManagedPolicy `cbor:"2,keyasint,omitempty"`
	Identities []Identity      `cbor:"3,keyasint,omitempty"`
	Providers  []OIDCProvider  `cbor:"4,keyasint,omitempty"`
	AccessKeys []AccessKey     `cbor:"5,keyasint,omitempty"`
	// Gone are rows that the home has removed. A row that is also there was made again.
	Gone []IdentityRef `cbor:"6,keyasint,omitempty"`
}

// Empty reports whether there is nothing.
func (r *IdentityRows) Empty() bool { return r.Len() == 0 }

// Len is the number of rows, those that are gone among them.
func (r *IdentityRows) Len() int {
	return len(r.Accounts) + len(r.Policies) + len(r.Identities) + len(r.Providers) + len(r.AccessKeys) + len(r.Gone)
}

// SyncIdentities takes over what the home has at Position of its Incarnation, in the place of what it had at Was of WasIn, which must be
// what this region has. In several parts, which are kept until the last one comes, it takes effect as a whole.
type SyncIdentities struct {
	Home        string `cbor:"1,keyasint"`
	WasIn       uint64 `cbor:"2,keyasint"`
	Was         uint64 `cbor:"3,keyasint"`
	Incarnation uint64 `cbor:"4,keyasint"`
	Position    uint64 `cbor:"5,keyasint"`
	// Full tells that the rows are all that the home has, instead of what has changed.
	Full bool `cbor:"6,keyasint,omitempty"`
	// Operator is the account whose identities look after the home.
	Operator string `cbor:"7,keyasint"`
	// CurrentAt is the instant of region time before which the home was asked, in milliseconds.
	CurrentAt int64        `cbor:"8,keyasint"`
	Part      int          `cbor:"9,keyasint"` // from 0
	Parts     int          `cbor:"10,keyasint"`
	Rows      IdentityRows `cbor:"11,keyasint"`
	// Followers are all regions that follow the home at Position; those of the last part count.
	Followers []Follower `cbor:"12,keyasint,omitempty"`
}

// AdoptHome makes another region the home of this one's identities, with the last part of all that it has. Identities that the home lacks
// are removed only if Replace says so; otherwise one of them refuses the command. Keys, grants, aliases and quotas stay.
type AdoptHome struct {
	Sync    SyncIdentities `cbor:"1,keyasint"`
	Replace bool           `cbor:"2,keyasint,omitempty"`
}

// ReleaseHome makes this region the home of its identities again, with those that it has.
type ReleaseHome struct {
	Home string `cbor:"1,keyasint"`
}

// AllowFollower says whether a federated region may have this one as the home of its identities. Whoever may gets all of them, secrets of
// access keys among them, and its operators are believed.
type AllowFollower struct {
	Region string `cbor:"1,keyasint"`
	Allow  bool   `cbor:"2,keyasint,omitempty"`
}

// PutFollower notes that a region has this one as the home of its identities, or has not any more.
type PutFollower struct {
	Region      string `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Follows     bool   `cbor:"3,keyasint,omitempty"`
}

// Kind implements Body.
func (SyncIdentities) Kind() Kind { return KindSyncIdentities }
func (AdoptHome) Kind() Kind      { return KindAdoptHome }
func (ReleaseHome) Kind() Kind    { return KindReleaseHome }
func (PutFollower) Kind() Kind    { return KindPutFollower }
func (AllowFollower) Kind() Kind  { return KindAllowFollower }

// MaxIdentityParts bounds the parts of one synchronization.
const MaxIdentityParts = 8192

func (c *SyncIdentities) check() error {
	if c.Incarnation == 0 || c.Position == 0 || c.Parts < 1 || c.Parts > MaxIdentityParts || c.Part < 0 || c.Part >= c.Parts {
		return errors.New("identities without incarnation, position or part")
	}
	if c.Full && len(c.Rows.Gone) > 0 {
		return errors.New("all identities, with some that are gone")
	}
	return errors.Join(checkName("region", c.Home, maxID), checkAccount(c.Operator), checkTime("CurrentAt", c.CurrentAt), c.Rows.check(true),
		CheckFollowers(c.Followers))
}

// Check holds rows on their way between regions to what apply takes for granted.
func (r *IdentityRows) Check() error { return r.check(false) }

func (r *IdentityRows) check(sealed bool) error {
	for i := range r.Accounts {
		if err := r.Accounts[i].check(); err != nil {
			return err
		}
	}
	for i := range r.Policies {
		if err := r.Policies[i].check(); err != nil {
			return err
		}
	}
	for i := range r.Identities {
		if err := r.Identities[i].check(); err != nil {
			return err
		}
	}
	for i := range r.Providers {
		if err := r.Providers[i].check(); err != nil {
			return err
		}
	}
	for i := range r.AccessKeys {
		k := r.AccessKeys[i]
		if !sealed && (k.Domain != 0 || k.Secret != nil) {
			return errors.New("a sealed secret on its way between regions")
		}
		if !sealed {
			k.Domain, k.Secret = 1, []byte{0}
		}
		if err := k.check(); err != nil {
			return err
		}
	}
	for _, g := range r.Gone {
		if g.Table < TablePolicies || g.Table > TableAccessKeys || (g.Account != "") != (g.Table == TableProviders) {
			return fmt.Errorf("a row of table %d that is gone", g.Table)
		}
		if err := checkName("name", g.Name, maxARN); err != nil {
			return err
		}
	}
	return nil
}

func (c *AdoptHome) check() error {
	if !c.Sync.Full || c.Sync.Part != c.Sync.Parts-1 {
		return errors.New("a home is adopted with the last part of all that it has")
	}
	return c.Sync.check()
}

func (c *ReleaseHome) check() error { return checkName("region", c.Home, maxID) }

func (c *AllowFollower) check() error { return checkName("region", c.Region, maxID) }

func applyAllowFollower(t *tx, c *AllowFollower) outcome {
	old := t.otherRegion(c.Region)
	switch {
	case old == nil || old.State != RegionFederated:
		return conflict("the region is not federated")
	case c.Allow && t.d.region.Home != nil:
		return conflict("the region is no home: " + DecidedAtHome)
	case old.Allowed == c.Allow:
		return conflict("nothing new")
	}
	o := *old
	o.Allowed = c.Allow
	if o.Follows && !c.Allow {
		o.Follows = false
		t.sharesWith(c.Region, false)
	}
	t.putOther(&o)
	return done()
}

func (c *PutFollower) check() error {
	if c.Incarnation == 0 {
		return errors.New("no incarnation")
	}
	return checkName("region", c.Region, maxID)
}

// Home is the region in which this one's identities are decided, nil if that is this one.
func (s *State) Home() *HomeRegion {
	if s.region == nil {
		return nil
	}
	return s.region.Home
}

// elsewhere refuses a command that changes identities in a region that is not their home.
func (t *tx) elsewhere(row *commandRow) outcome {
	if !row.identity || t.d.region == nil || t.d.region.Home == nil {
		return done()
	}
	return conflict(DecidedAtHome)
}

// DecidedAtHome is the detail of the refusal of a change of identities in a region that is not their home.
const DecidedAtHome = "identities are decided in their home region"

func applyPutFollower(t *tx, c *PutFollower) outcome {
	o, out := t.source(c.Region, c.Incarnation)
	switch {
	case !out.ok():
		return out
	case c.Follows && t.d.region.Home != nil:
		return conflict("the region is no home: " + DecidedAtHome)
	case c.Follows && !o.Allowed:
		return conflict("the operator of this region has not let the other one follow it")
	case o.Follows == c.Follows:
		return conflict("nothing new")
	}
	o.Follows = c.Follows
	t.putOther(o)
	t.sharesWith(c.Region, c.Follows)
	return done()
}

// sharesWith begins to remember what is removed with the first region that follows, and ends with the last.
func (t *tx) sharesWith(region string, follows bool) {
	others := false
	for o := range t.otherRegions() {
		others = others || o.Follows && o.Name != region
	}
	switch {
	case others:
	case follows:
		t.regionRow().SharedFrom = t.index
	default:
		t.forgetGone()
	}
}

// forgetGone drops what is remembered of removed identities.
func (t *tx) forgetGone() {
	if t.d.region.SharedFrom != 0 {
		t.regionRow().SharedFrom = 0
	}
	for g := range from[GoneIdentity](&t.view, tableGoneIdentities, indexID, nil) {
		t.remove(tableGoneIdentities, g)
	}
}

func applyReleaseHome(t *tx, c *ReleaseHome) outcome {
	if h := t.d.region.Home; h == nil || h.Name != c.Home {
		return conflict("the region is not the home of this one's identities")
	}
	t.releaseHome()
	return done()
}

// releaseHome makes the identities this region's own. Their versions are from now on indexes of its own log, so that other regions
// can follow it.
func (t *tx) releaseHome() {
	t.regionRow().Home = nil
	t.dropParts()
	for i := range identityTables {
		table := &identityTables[i]
		for row := range table.rows(&t.view, indexID, nil) {
			t.put(table.name, row.owned(t.index))
		}
	}
	t.event(EventIdentities, "", "", nil)
}

// leaveHome makes the region its own home if that was a region which is not one of the federation any more. What waits of an adoption of
// that region is dropped.
func (t *tx) leaveHome(region string) {
	for p := range from[IdentityPart](&t.view, tableIdentityParts, indexID, nil) {
		if p.Part.Home == region {
			t.remove(tableIdentityParts, p)
		}
	}
	if h := t.d.region.Home; h != nil && h.Name == region {
		t.releaseHome()
	}
}
