package fsm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// IdentityType tells users, groups and roles apart. The numbers are stored and never reused.
type IdentityType uint8

// Identity types.
const (
	IdentityUser  IdentityType = 1
	IdentityGroup IdentityType = 2
	IdentityRole  IdentityType = 3
)

// Identity is an IAM user, group or role with everything that is attached to it (spec 04 section 7), so that one version
// stands for all of it. It is put as a whole: what a command holds is what the row becomes, in whatever region.
type Identity struct {
	Account string       `cbor:"1,keyasint"`
	Type    IdentityType `cbor:"2,keyasint"`
	// ID is the unique id, AIDA…, AGPA… or AROA…; it is never used again (spec 04 AUTH-04).
	ID        string `cbor:"3,keyasint"`
	Name      string `cbor:"4,keyasint"` // unique in account and type, without regard to case
	Path      string `cbor:"5,keyasint"` // "/" or "/a/b/"
	CreatedAt int64  `cbor:"6,keyasint"`
	// Inline policies are sorted by name.
	Inline []InlinePolicy `cbor:"7,keyasint,omitempty"`
	// Attached are the managed policies, sorted: the unique id of a customer's, the ARN of a built-in one.
	Attached []string `cbor:"8,keyasint,omitempty"`
	// Boundary is the managed policy that caps a user or role, written like Attached; "" is none.
	Boundary string `cbor:"9,keyasint,omitempty"`
	// Tags of users and roles are sorted by key.
	Tags []Tag `cbor:"10,keyasint,omitempty"`
	// Groups are the unique ids of the groups that a user is in, sorted.
	Groups []string `cbor:"11,keyasint,omitempty"`

	// Trust is a role's trust policy, byte for byte as it was put, TrustPrincipals its principals' unique ids.
	Trust           string            `cbor:"12,keyasint,omitempty"`
	TrustPrincipals []PolicyPrincipal `cbor:"13,keyasint,omitempty"`
	// MaxSession is the longest session of a role, in seconds.
	MaxSession  int    `cbor:"14,keyasint,omitempty"`
	Description string `cbor:"15,keyasint,omitempty"` // of roles

	// Version is the index of the last change of the row, its counters apart.
	Version uint64 `cbor:"30,keyasint"`
	// Members is the number of a group's users.
	Members int `cbor:"31,keyasint,omitempty"`
}

// InlinePolicy is a policy document that belongs to one identity.
type InlinePolicy struct {
	Name     string `cbor:"1,keyasint"`
	Document string `cbor:"2,keyasint"`
}

// PolicyPrincipal ties a user or role that a document names by its ARN to the unique id that it had when the document was
// put: a later namesake is somebody else (spec 04 KP-11). For a role session, ID is the role's.
type PolicyPrincipal struct {
	ARN string `cbor:"1,keyasint"`
	ID  string `cbor:"2,keyasint"`
}

// MaxAccessKeys is how many access keys a user has at most.
const MaxAccessKeys = 2

// maxIdentities are an account's identities of each type, IAM's default quotas.
var maxIdentities = [...]int{IdentityUser: 5000, IdentityGroup: 300, IdentityRole: 1000}

func (i *Identity) check() error {
	if i.Type < IdentityUser || i.Type > IdentityRole {
		return fmt.Errorf("unknown type of identity %d", i.Type)
	}
	if i.Type != IdentityRole && (i.Trust != "" || len(i.TrustPrincipals) > 0 || i.MaxSession != 0 || i.Description != "") {
		return errors.New("a trust policy, session length or description of something else than a role")
	}
	if i.Type == IdentityRole && (i.Trust == "" || i.MaxSession <= 0) {
		return errors.New("a role without trust policy or session length")
	}
	if i.Type == IdentityGroup && (i.Boundary != "" || len(i.Tags) > 0) || i.Type != IdentityUser && len(i.Groups) > 0 {
		return errors.New("a boundary, tags or groups of an identity that cannot have them")
	}
	if i.Boundary != "" {
		if err := checkName("permissions boundary", i.Boundary, maxARN); err != nil {
			return err
		}
	}
	return errors.Join(
		checkAccount(i.Account), checkName("unique id", i.ID, maxID), checkName("name", i.Name, maxIdentityName),
		checkPath(i.Path), checkTime("CreatedAt", i.CreatedAt), i.checkInline(),
		checkSorted("managed policies", i.Attached, maxARN), checkSorted("groups", i.Groups, maxID), checkTags(i.Tags),
		checkLength("length of the trust policy", len(i.Trust), maxPolicy), checkPrincipals(i.TrustPrincipals),
		checkLength("session length", i.MaxSession, maxQuota),
		checkLength("length of the description", len(i.Description), maxDescription),
	)
}

func (i *Identity) checkInline() error {
	size := 0
	for n := range i.Inline {
		p := &i.Inline[n]
		if err := checkName("name of an inline policy", p.Name, maxIdentityName); err != nil {
			return err
		}
		if n > 0 && i.Inline[n-1].Name >= p.Name || p.Document == "" {
			return errors.New("inline policies out of order, or an empty one")
		}
		size += len(p.Document)
	}
	return checkLength("length of all inline policies", size, maxPolicy)
}

func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") {
		return errors.New("path does not begin and end with a slash")
	}
	return checkName("path", path, maxPath)
}

// checkSorted wants names in ascending order, none twice.
func checkSorted(what string, names []string, limit int) error {
	if err := checkLength("number of "+what, len(names), maxTags); err != nil {
		return err
	}
	for n, name := range names {
		if err := checkName(what, name, limit); err != nil {
			return err
		}
		if n > 0 && names[n-1] >= name {
			return errors.New(what + " out of order")
		}
	}
	return nil
}

func checkPrincipals(principals []PolicyPrincipal) error {
	if err := checkLength("number of principals", len(principals), maxPrincipals); err != nil {
		return err
	}
	for n, p := range principals {
		if err := errors.Join(checkName("principal", p.ARN, maxARN), checkName("unique id", p.ID, maxPrincipal)); err != nil {
			return err
		}
		if n > 0 && principals[n-1].ARN >= p.ARN {
			return errors.New("principals out of order")
		}
	}
	return nil
}

func (c *PutIdentity) check() error { return c.Identity.check() }

// applyPutIdentity adds an identity or replaces the row that the proposer saw. The conditions are those on other rows: the
// name is free, what is referred to exists, the account has room.
func applyPutIdentity(t *tx, c *PutIdentity) outcome {
	i := c.Identity
	account := t.account(i.Account)
	old := t.identity(i.ID)
	named := t.identityNamed(i.Account, i.Type, i.Name)
	switch {
	case account == nil:
		return conflict("the account does not exist")
	case old == nil && c.Was != 0:
		return conflict("the identity does not exist")
	case old != nil && (old.Account != i.Account || old.Type != i.Type):
		return conflict("the unique id is another identity's")
	case old != nil && old.Version != c.Was:
		return stale("the identity has changed")
	case named != nil && named.ID != i.ID:
		return stale("the name is taken")
	case old == nil && account.identities(i.Type) >= maxIdentities[i.Type]:
		return stale("the account's identities are at the quota")
	}
	i.Members = 0
	if old == nil {
		old = &Identity{}
		t.countIdentities(account, i.Type, 1)
	} else {
		i.CreatedAt, i.Members = old.CreatedAt, old.Members
	}
	if out := t.refer(old, &i); !out.ok() {
		return out
	}
	i.Account, i.Path = t.d.interner.string(i.Account), t.d.interner.string(i.Path)
	i.Version = t.index
	t.put(tableIdentities, &i)
	return done(i.ID)
}

// refer stages the counters of the groups and managed policies that an identity begins or ceases to refer to.
func (t *tx) refer(old, next *Identity) outcome {
	for _, id := range union(old.Groups, next.Groups) {
		in := has(next.Groups, id)
		g := t.identity(id)
		if g == nil || g.Type != IdentityGroup || g.Account != next.Account {
			return conflict("a group of the user does not exist")
		}
		if by := in - has(old.Groups, id); by != 0 {
			changed := *g
			changed.Members += by
			t.put(tableIdentities, &changed)
		}
	}
	for _, id := range union(old.policies(), next.policies()) {
		if isBuiltIn(id) {
			continue
		}
		p := t.managedPolicy(id)
		if p == nil || p.Account != next.Account {
			return conflict("a managed policy of the identity does not exist")
		}
		changed := *p
		changed.Attachments += has(next.Attached, id) - has(old.Attached, id)
		changed.Boundaries += same(next.Boundary, id) - same(old.Boundary, id)
		if changed.Attachments != p.Attachments || changed.Boundaries != p.Boundaries {
			t.put(tableManagedPolicies, &changed)
		}
	}
	return done()
}

// isBuiltIn tells the ARN of a built-in policy, which is always there, from the unique id of a customer's.
func isBuiltIn(policy string) bool { return strings.Contains(policy, ":") }

// policies are all managed policies that an identity refers to.
func (i *Identity) policies() []string {
	if i.Boundary == "" {
		return i.Attached
	}
	return union(i.Attached, []string{i.Boundary})
}

// union merges two lists into an ordered one without repeats.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// has and same count: 1 for yes, 0 for no.
func has(sorted []string, name string) int {
	_, found := slices.BinarySearch(sorted, name)
	return count(found)
}

func same(a, b string) int { return count(a == b) }

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (c *DeleteIdentity) check() error { return checkName("unique id", c.ID, maxID) }

// applyDeleteIdentity removes an identity that nothing depends on any more (IAM's DeleteConflict). A boundary does not hold it.
func applyDeleteIdentity(t *tx, c *DeleteIdentity) outcome {
	old := t.identity(c.ID)
	switch {
	case old == nil:
		return conflict("the identity does not exist")
	case old.Version != c.Was:
		return stale("the identity has changed")
	case old.Members > 0:
		return stale("the group has users")
	case len(old.Groups) > 0:
		return conflict("the user is in a group")
	case len(old.Inline) > 0 || len(old.Attached) > 0:
		return conflict("the identity has policies")
	}
	for range t.accessKeysOf(old.Account, old.ID) {
		return stale("the user has access keys")
	}
	if out := t.refer(old, &Identity{Account: old.Account}); !out.ok() {
		return out
	}
	if account := t.account(old.Account); account != nil {
		t.countIdentities(account, old.Type, -1)
	}
	t.remove(tableIdentities, old)
	t.gone(old.ref())
	return done()
}

// identities is the account's number of identities of a type.
func (a *Account) identities(of IdentityType) int {
	switch of {
	case IdentityUser:
		return a.Users
	case IdentityGroup:
		return a.Groups
	}
	return a.Roles
}

// countIdentities changes an account's number of identities of a type; see countKeys.
func (t *tx) countIdentities(account *Account, of IdentityType, by int) {
	changed := *account
	switch of {
	case IdentityUser:
		changed.Users += by
	case IdentityGroup:
		changed.Groups += by
	case IdentityRole:
		changed.Roles += by
	}
	t.put(tableAccounts, &changed)
}
