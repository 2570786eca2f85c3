package fsm

import (
	"errors"
	"strings"

	"github.com/trentkms/trent/fsm/planted"
)

// Grant is a grant on a key (spec 04 GR-01). It never changes: it is there or it is gone.
type Grant struct {
	ID       string          `cbor:"1,keyasint"` // GrantId: 64 hex digits, unique in the region
	Account  string          `cbor:"2,keyasint"` // owner of the key
	KeyID    string          `cbor:"3,keyasint"`
	Grantee  GrantPrincipal  `cbor:"4,keyasint"`
	Retiring *GrantPrincipal `cbor:"5,keyasint,omitempty"` // nil if nobody may retire it by this name
	// Operations are what the grant allows, at least one.
	Operations GrantOps `cbor:"6,keyasint"`
	// Constraint limits the grant to calls with a certain encryption context, nil if it does not.
	Constraint *GrantConstraint `cbor:"7,keyasint,omitempty"`
	// Name makes CreateGrant idempotent (spec 04 GR-08), "" if it was made without.
	Name string `cbor:"8,keyasint,omitempty"`
	// IssuingAccount is the account of the caller of CreateGrant.
	IssuingAccount string `cbor:"9,keyasint"`
	CreatedAt      int64  `cbor:"10,keyasint"`
	// Parent is the id of the grant that allowed to make this one, "" if a policy did. The parent may be gone.
	Parent string `cbor:"11,keyasint,omitempty"`
	// Version is the index of the command that made the grant: what one region made later has a higher one.
	Version uint64 `cbor:"12,keyasint"`
}

// GrantPrincipal is the grantee or the retiring principal of a grant.
type GrantPrincipal struct {
	// ARN is the principal as CreateGrant was given it.
	ARN string `cbor:"1,keyasint"`
	// UniqueID is the immutable id of a user or role, which then is the principal, whatever its ARN becomes (spec 04
	// GR-15). "" for principals that have none: accounts and sessions.
	UniqueID string `cbor:"2,keyasint,omitempty"`
	// RoleID is the unique id of the role that a role session belongs to: a later role of the same name is another one.
	RoleID string `cbor:"3,keyasint,omitempty"`
}

// Key is what the principal is looked up by: its unique id if it has one, else its ARN.
func (p *GrantPrincipal) Key() string {
	if p.UniqueID != "" {
		return p.UniqueID
	}
	return p.ARN
}

// GrantOps is a set of grant operations (spec 04 GR-04), one bit each. The bits are stored and never reused.
type GrantOps uint32

// Grant operations.
const (
	GrantDecrypt                             GrantOps = 1 << 0
	GrantEncrypt                             GrantOps = 1 << 1
	GrantGenerateDataKey                     GrantOps = 1 << 2
	GrantGenerateDataKeyWithoutPlaintext     GrantOps = 1 << 3
	GrantReEncryptFrom                       GrantOps = 1 << 4
	GrantReEncryptTo                         GrantOps = 1 << 5
	GrantSign                                GrantOps = 1 << 6
	GrantVerify                              GrantOps = 1 << 7
	GrantGetPublicKey                        GrantOps = 1 << 8
	GrantCreateGrant                         GrantOps = 1 << 9
	GrantRetireGrant                         GrantOps = 1 << 10
	GrantDescribeKey                         GrantOps = 1 << 11
	GrantGenerateDataKeyPair                 GrantOps = 1 << 12
	GrantGenerateDataKeyPairWithoutPlaintext GrantOps = 1 << 13
	GrantGenerateMac                         GrantOps = 1 << 14
	GrantVerifyMac                           GrantOps = 1 << 15
	GrantDeriveSharedSecret                  GrantOps = 1 << 16

	allGrantOps = GrantDeriveSharedSecret<<1 - 1
)

// ConstraintType is the kind of a grant constraint. The numbers are stored and never reused.
type ConstraintType uint8

// Constraint types (spec 04 GR-12).
const (
	ConstraintSubset ConstraintType = 1 // the call's encryption context has at least the pairs
	ConstraintEquals ConstraintType = 2 // the call's encryption context has exactly the pairs
)

// GrantConstraint limits a grant to calls with a certain encryption context.
type GrantConstraint struct {
	Type ConstraintType `cbor:"1,keyasint"`
	// Pairs are sorted by key, no key twice, at least one.
	Pairs []Pair `cbor:"2,keyasint"`
}

// Pair is one entry of an encryption context.
type Pair struct {
	Key   string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"`
}

// GrantEnd says how a grant ended.
type GrantEnd uint8

// Ends of grants, for whoever reads the log. A grant of a deleted key ends with the key.
const (
	GrantRetired GrantEnd = 1
	GrantRevoked GrantEnd = 2
)

// Remains are grants of a deleted key that are still to be removed. Nobody sees them any more; no key can take the id
// before they are gone.
type Remains struct {
	Account string `cbor:"1,keyasint"`
	KeyID   string `cbor:"2,keyasint"`
	Grants  int    `cbor:"3,keyasint"`
}

// PurgeBatch is how many grants one command removes at most: reads wait for the entries before them, so no entry may
// take long to apply. It is part of the log's format.
const PurgeBatch = 500

func (p *GrantPrincipal) check(what string) error {
	for _, id := range []string{p.UniqueID, p.RoleID} {
		if id == "" {
			continue
		}
		if err := checkName("unique id", id, maxPrincipal); err != nil {
			return err
		}
	}
	return checkName(what, p.ARN, maxARN)
}

func (c *GrantConstraint) check() error {
	if c.Type != ConstraintSubset && c.Type != ConstraintEquals {
		return errors.New("unknown type of grant constraint")
	}
	if len(c.Pairs) == 0 || len(c.Pairs) > maxPairs {
		return errors.New("a grant constraint without pairs, or with too many")
	}
	for i, p := range c.Pairs {
		if len(p.Key) > maxPairKey || len(p.Value) > maxPairValue {
			return errors.New("key or value of a grant constraint too long")
		}
		if i > 0 && c.Pairs[i-1].Key >= p.Key {
			return errors.New("pairs of a grant constraint are not in order")
		}
	}
	return nil
}

func checkGrantID(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return errors.New("grant id is not 64 hex digits")
	}
	return nil
}

func (c *CreateGrant) check() error {
	g := &c.Grant
	if g.Operations == 0 || g.Operations&^allGrantOps != 0 {
		return errors.New("a grant without operations, or with unknown ones")
	}
	if g.Retiring != nil {
		if err := g.Retiring.check("retiring principal"); err != nil {
			return err
		}
	}
	if g.Constraint != nil {
		if err := g.Constraint.check(); err != nil {
			return err
		}
	}
	if g.Name != "" {
		if err := checkName("grant name", g.Name, maxGrantName); err != nil {
			return err
		}
	}
	if g.Parent != "" {
		if err := checkGrantID(g.Parent); err != nil {
			return err
		}
	}
	ref := KeyRef{g.Account, g.KeyID}
	return errors.Join(checkGrantID(g.ID), ref.check(), g.Grantee.check("grantee principal"), checkAccount(g.IssuingAccount))
}

// applyCreateGrant adds a grant to a key that can be used (spec 04 GR-10). A named grant is made once (GR-08): whoever
// meets itself there answers with the grant that exists.
func applyCreateGrant(t *tx, c *CreateGrant) outcome {
	g := c.Grant
	k, out := t.enabled(&KeyRef{g.Account, g.KeyID})
	switch {
	case !out.ok():
		return out
	case t.anyGrant(g.ID) != nil:
		return stale("the grant id is taken")
	case g.Name != "" && t.sameGrant(&g) != nil:
		return stale("the same grant exists")
	case k.Manager == managedByCustomer && k.GrantCount >= t.d.quotas.GrantsPerKey:
		return stale("the key's grants are at the quota")
	}
	g.Account, g.KeyID, g.IssuingAccount = k.Account, k.ID, t.d.interner.string(g.IssuingAccount)
	g.CreatedAt, g.Version = t.now, t.index
	t.put(tableGrants, &g)
	t.countGrants(k, 1)
	return done(g.ID)
}

// countGrants stages a key whose number of grants has changed. The key's version stays: no decision reads the number,
// and grants come and go on keys that are administered at the same time.
func (t *tx) countGrants(k *Key, by int) {
	k.GrantCount += by
	t.put(tableKeys, k)
}

func (c *DeleteGrant) check() error {
	if c.End != GrantRetired && c.End != GrantRevoked {
		return errors.New("a grant that was neither retired nor revoked")
	}
	return errors.Join(c.Key.check(), checkGrantID(c.ID))
}

// applyDeleteGrant works in every key state (spec 04 GR-10). Neither end is idempotent (GM-06).
func applyDeleteGrant(t *tx, c *DeleteGrant) outcome {
	k, out := t.existing(&c.Key)
	if !out.ok() {
		return out
	}
	g := t.grant(c.ID)
	if g == nil || g.Account != k.Account || g.KeyID != k.ID {
		return conflict("the grant does not exist")
	}
	if planted.Bug(planted.MissRevoke) {
		return done()
	}
	t.remove(tableGrants, g)
	t.countGrants(k, -1)
	return done()
}

// removeGrants stages the removal of up to PurgeBatch grants of a key and returns their number.
func (t *tx) removeGrants(account, keyID string) (n int) {
	for g := range t.grantsOf(account, keyID, 0) {
		if n == PurgeBatch {
			break
		}
		t.remove(tableGrants, g)
		n++
	}
	return n
}

// buryGrants takes the grants of a key that is being deleted along, as many as one command may; the rest is left to
// PurgeGrants.
func (t *tx) buryGrants(k *Key) {
	if n := t.removeGrants(k.Account, k.ID); n < k.GrantCount {
		t.put(tableRemains, &Remains{Account: k.Account, KeyID: k.ID, Grants: k.GrantCount - n})
	}
}

func (c *PurgeGrants) check() error { return c.Key.check() }

func applyPurgeGrants(t *tx, c *PurgeGrants) outcome {
	old := t.remains(c.Key.Account, c.Key.ID)
	if old == nil {
		return conflict("no grants of a deleted key are left")
	}
	rest := *old
	rest.Grants -= t.removeGrants(old.Account, old.KeyID)
	if rest.Grants > 0 {
		t.put(tableRemains, &rest)
	} else {
		t.remove(tableRemains, old)
	}
	return done()
}
