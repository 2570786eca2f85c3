package fsm

import "errors"

// ManagedPolicy is a customer managed policy: a document in up to five versions that identities of the account share (spec 04
// IDP-01, IDP-02). It is put as a whole, like Identity.
type ManagedPolicy struct {
	Account string `cbor:"1,keyasint"`
	// ID is the unique id, ANPA…; it is never used again.
	ID          string `cbor:"2,keyasint"`
	Name        string `cbor:"3,keyasint"` // unique in the account, without regard to case
	Path        string `cbor:"4,keyasint"`
	Description string `cbor:"5,keyasint,omitempty"`
	CreatedAt   int64  `cbor:"6,keyasint"`
	UpdatedAt   int64  `cbor:"7,keyasint"`
	// Versions are in the order of their numbers, at least one.
	Versions []PolicyVersion `cbor:"8,keyasint"`
	// Default is the number of the version in force.
	Default int `cbor:"9,keyasint"`
	// Last is the highest number that a version had; numbers are not used twice.
	Last int   `cbor:"10,keyasint"`
	Tags []Tag `cbor:"11,keyasint,omitempty"`

	// Version is the index of the last change of the row, its counters apart.
	Version uint64 `cbor:"30,keyasint"`
	// Attachments and Boundaries are how many identities have the policy attached, and as their boundary.
	Attachments int `cbor:"31,keyasint,omitempty"`
	Boundaries  int `cbor:"32,keyasint,omitempty"`
}

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Number    int    `cbor:"1,keyasint"` // 1 is the API's v1
	Document  string `cbor:"2,keyasint"`
	CreatedAt int64  `cbor:"3,keyasint"`
}

// MaxPolicyVersions is how many versions a managed policy has at most.
const MaxPolicyVersions = 5

// maxManagedPolicies is an account's number of customer managed policies, IAM's default quota.
const maxManagedPolicies = 1500

// Find returns a version, nil if there is none of that number.
func (p *ManagedPolicy) Find(number int) *PolicyVersion {
	for i := range p.Versions {
		if p.Versions[i].Number == number {
			return &p.Versions[i]
		}
	}
	return nil
}

// Document is the document in force.
func (p *ManagedPolicy) Document() string {
	if v := p.Find(p.Default); v != nil {
		return v.Document
	}
	return ""
}

func (p *ManagedPolicy) check() error {
	if len(p.Versions) == 0 || len(p.Versions) > MaxPolicyVersions || p.Find(p.Default) == nil {
		return errors.New("a managed policy without versions, with too many, or without one in force")
	}
	size := 0
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Number < 1 || v.Number > p.Last || i > 0 && p.Versions[i-1].Number >= v.Number || v.Document == "" {
			return errors.New("versions of a managed policy out of order, or an empty one")
		}
		if err := checkTime("CreatedAt", v.CreatedAt); err != nil {
			return err
		}
		size += len(v.Document)
	}
	return errors.Join(
		checkAccount(p.Account), checkName("unique id", p.ID, maxID), checkName("name", p.Name, maxIdentityName), checkPath(p.Path),
		checkLength("length of the description", len(p.Description), maxDescription),
		checkTime("CreatedAt", p.CreatedAt), checkTime("UpdatedAt", p.UpdatedAt),
		checkLength("length of all versions", size, maxPolicy), checkTags(p.Tags),
	)
}

func (c *PutManagedPolicy) check() error { return c.Policy.check() }

// applyPutManagedPolicy adds a policy or replaces the row that the proposer saw.
func applyPutManagedPolicy(t *tx, c *PutManagedPolicy) outcome {
	p := c.Policy
	account := t.account(p.Account)
	old := t.managedPolicy(p.ID)
	named := t.managedPolicyNamed(p.Account, p.Name)
	switch {
	case account == nil:
		return conflict("the account does not exist")
	case old == nil && c.Was != 0:
		return conflict("the policy does not exist")
	case old != nil && old.Account != p.Account:
		return conflict("the unique id is another policy's")
	case old != nil && old.Version != c.Was:
		return stale("the policy has changed")
	case named != nil && named.ID != p.ID:
		return stale("the name is taken")
	case old == nil && account.Policies >= maxManagedPolicies:
		return stale("the account's policies are at the quota")
	}
	p.Attachments, p.Boundaries = 0, 0
	if old == nil {
		t.countPolicies(account, 1)
	} else {
		p.CreatedAt, p.Attachments, p.Boundaries = old.CreatedAt, old.Attachments, old.Boundaries
	}
	p.Account, p.Path = t.d.interner.string(p.Account), t.d.interner.string(p.Path)
	p.Version = t.index
	t.put(tableManagedPolicies, &p)
	return done(p.ID)
}

func (t *tx) countPolicies(account *Account, by int) {
	changed := *account
	changed.Policies += by
	t.put(tableAccounts, &changed)
}

func (c *DeleteManagedPolicy) check() error { return checkName("unique id", c.ID, maxID) }

// applyDeleteManagedPolicy removes a policy that nobody uses and that has no version besides the one in force (IAM's
// DeleteConflict).
func applyDeleteManagedPolicy(t *tx, c *DeleteManagedPolicy) outcome {
	old := t.managedPolicy(c.ID)
	switch {
	case old == nil:
		return conflict("the policy does not exist")
	case old.Version != c.Was:
		return stale("the policy has changed")
	case old.Attachments > 0 || old.Boundaries > 0:
		return stale("the policy is attached")
	case len(old.Versions) > 1:
		return conflict("the policy has other versions")
	}
	if account := t.account(old.Account); account != nil {
		t.countPolicies(account, -1)
	}
	t.remove(tableManagedPolicies, old)
	t.gone(old.ref())
	return done()
}
