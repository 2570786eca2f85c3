package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const trust1 = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`

func newIdentity(account string, of IdentityType, n int) *PutIdentity {
	i := Identity{Account: account, Type: of, ID: identityID(of, n), Name: fmt.Sprint("Name", n), Path: "/", CreatedAt: now0}
	if of == IdentityRole {
		i.Trust, i.MaxSession = trust1, 3600
	}
	return &PutIdentity{Identity: i}
}

func newUser(n int) *PutIdentity { return newIdentity(account1, IdentityUser, n) }

func identityID(of IdentityType, n int) string {
	return fmt.Sprintf("%s%016d", []string{"", "AIDA", "AGPA", "AROA"}[of], n)
}

func newPolicy(account string, n int) *PutManagedPolicy {
	return &PutManagedPolicy{Policy: ManagedPolicy{
		Account: account, ID: policyID(n), Name: fmt.Sprint("Policy", n), Path: "/", CreatedAt: now0, UpdatedAt: now0,
		Versions: []PolicyVersion{{1, "{}", now0}}, Default: 1, Last: 1,
	}}
}

func policyID(n int) string { return fmt.Sprintf("ANPA%016d", n) }

// having changes an identity whose version was was.
func having(c *PutIdentity, was uint64, change func(*Identity)) *PutIdentity {
	change(&c.Identity)
	c.Was = was
	return c
}

func userKey(n int, id string) *PutAccessKey {
	return &PutAccessKey{AccessKey{ID: id, Account: account1, Principal: identityID(IdentityUser, n), Domain: 1, Secret: []byte("s"), Active: true}}
}

// first1 is the index of the first body of a case's setup.
const first1 = 3

func TestApplyIdentities(t *testing.T) {
	group, role := newIdentity(account1, IdentityGroup, 1), newIdentity(account1, IdentityRole, 1)
	member := func(c *PutIdentity) *PutIdentity {
		return having(c, c.Was, func(i *Identity) { i.Groups = []string{identityID(IdentityGroup, 1)} })
	}
	capped := func(c *PutIdentity) *PutIdentity {
		return having(c, c.Was, func(i *Identity) {
			i.Attached, i.Boundary = []string{policyID(1), "arn:aws:iam::aws:policy/X"}, policyID(1)
		})
	}
	again := func(change func(*Identity)) *PutIdentity { return having(newUser(1), first1, change) }
	runApply(t, []applyCase{
		{name: "adds", body: having(newUser(1), 0, func(i *Identity) { i.Members, i.Version = 7, 7 }), after: func(t *testing.T, l *lab) {
			i := l.state().Identity(identityID(IdentityUser, 1))
			eq(t, "members", i.Members, 0)
			eq(t, "version", i.Version, l.index)
			eq(t, "users", l.state().Account(account1).Users, 1)
			eq(t, "by name", l.state().IdentityNamed(account1, IdentityUser, "nAME1"), i)
		}},
		{name: "another type of the same name", setup: []Body{newUser(1)}, body: role},
		{name: "another account, same name", setup: []Body{newUser(1)}, body: newIdentity(account2, IdentityUser, 2)},
		{name: "name taken in another case", setup: []Body{newUser(1)}, body: having(newUser(2), 0, func(i *Identity) { i.Name = "NAME1" }), code: Stale, detail: "the name is taken"},
		{name: "id taken", setup: []Body{newUser(1)}, body: having(newUser(1), 0, func(i *Identity) { i.Name = "x" }), code: Stale, detail: "the identity has changed"},
		{name: "id of another type", setup: []Body{newUser(1)}, body: having(newIdentity(account1, IdentityGroup, 1), 0, func(i *Identity) { i.ID = identityID(IdentityUser, 1) }),
			code: Conflict, detail: "the unique id is another identity's"},
		{name: "unknown account", body: newIdentity("777788889999", IdentityUser, 1), code: Conflict, detail: "the account does not exist"},
		{name: "replaces", setup: []Body{newUser(1)}, body: again(func(i *Identity) { i.Name, i.CreatedAt = "other", 5 }), after: func(t *testing.T, l *lab) {
			i := l.state().IdentityNamed(account1, IdentityUser, "other")
			eq(t, "created", i.CreatedAt, now0)
			eq(t, "old name", l.state().IdentityNamed(account1, IdentityUser, "Name1"), nil)
			eq(t, "users", l.state().Account(account1).Users, 1)
		}},
		{name: "changed since", setup: []Body{newUser(1), again(func(i *Identity) { i.Path = "/a/" })}, body: again(func(*Identity) {}), code: Stale, detail: "the identity has changed"},
		{name: "gone", body: again(func(*Identity) {}), code: Conflict, detail: "the identity does not exist"},
		{name: "joins a group", setup: []Body{group}, body: member(newUser(1)), after: func(t *testing.T, l *lab) {
			g := l.state().Identity(identityID(IdentityGroup, 1))
			eq(t, "members", g.Members, 1)
			eq(t, "version of the group", g.Version, uint64(first1))
		}},
		{name: "leaves a group", setup: []Body{group, member(newUser(1))}, body: having(newUser(1), first1+1, func(*Identity) {}), after: func(t *testing.T, l *lab) {
			eq(t, "members", l.state().Identity(identityID(IdentityGroup, 1)).Members, 0)
		}},
		{name: "joins nothing", body: member(newUser(1)), code: Conflict, detail: "a group of the user does not exist"},
		{name: "attaches", setup: []Body{newPolicy(account1, 1)}, body: capped(newUser(1)), after: func(t *testing.T, l *lab) {
			p := l.state().ManagedPolicy(policyID(1))
			eq(t, "attachments", [2]int{p.Attachments, p.Boundaries}, [2]int{1, 1})
			eq(t, "version of the policy", p.Version, uint64(first1))
		}},
		{name: "attaches nothing", body: capped(newUser(1)), code: Conflict, detail: "a managed policy of the identity does not exist"},
		{name: "attaches a foreign policy", setup: []Body{newPolicy(account2, 1)}, body: capped(newUser(1)), code: Conflict, detail: "a managed policy of the identity does not exist"},
		{name: "removes", setup: []Body{newUser(1)}, body: &DeleteIdentity{identityID(IdentityUser, 1), first1}, after: func(t *testing.T, l *lab) {
			eq(t, "user", l.state().Identity(identityID(IdentityUser, 1)), nil)
			eq(t, "users", l.state().Account(account1).Users, 0)
		}},
		{name: "boundary does not hold", setup: []Body{newPolicy(account1, 1), having(newUser(1), 0, func(i *Identity) { i.Boundary = policyID(1) })},
			body: &DeleteIdentity{identityID(IdentityUser, 1), first1 + 1}, after: func(t *testing.T, l *lab) {
				eq(t, "boundaries", l.state().ManagedPolicy(policyID(1)).Boundaries, 0)
			}},
		{name: "absent", body: &DeleteIdentity{identityID(IdentityUser, 1), 1}, code: Conflict, detail: "the identity does not exist"},
		{name: "changed since", setup: []Body{newUser(1)}, body: &DeleteIdentity{identityID(IdentityUser, 1), 1}, code: Stale, detail: "the identity has changed"},
		{name: "group with users", setup: []Body{group, member(newUser(1))}, body: &DeleteIdentity{identityID(IdentityGroup, 1), first1}, code: Stale, detail: "the group has users"},
		{name: "user in a group", setup: []Body{group, member(newUser(1))}, body: &DeleteIdentity{identityID(IdentityUser, 1), first1 + 1}, code: Conflict, detail: "the user is in a group"},
		{name: "user with policies", setup: []Body{having(newUser(1), 0, func(i *Identity) { i.Inline = []InlinePolicy{{"p", "{}"}} })},
			body: &DeleteIdentity{identityID(IdentityUser, 1), first1}, code: Conflict, detail: "the identity has policies"},
		{name: "user with access keys", setup: []Body{newUser(1), userKey(1, "AKIA2")}, body: &DeleteIdentity{identityID(IdentityUser, 1), first1}, code: Stale, detail: "the user has access keys"},
	})
}

func TestApplyUserAccessKeys(t *testing.T) {
	runApply(t, []applyCase{
		{name: "of a user", setup: []Body{newUser(1), userKey(1, "AKIA1")}, body: userKey(1, "AKIA2"), after: func(t *testing.T, l *lab) {
			var ids []string
			for a := range l.state().AccessKeysOf(account1, identityID(IdentityUser, 1)) {
				ids = append(ids, a.ID)
			}
			eq(t, "keys", ids, []string{"AKIA1", "AKIA2"})
		}},
		{name: "a third", setup: []Body{newUser(1), userKey(1, "AKIA1"), userKey(1, "AKIA2")}, body: userKey(1, "AKIA3"), code: Stale, detail: "the user's access keys are at the quota"},
		{name: "no user", body: userKey(1, "AKIA1"), code: Conflict, detail: "the user does not exist"},
		{name: "of a role", setup: []Body{newIdentity(account1, IdentityRole, 1)}, body: changed(userKey(1, "AKIA1"), func(c *PutAccessKey) { c.AccessKey.Principal = identityID(IdentityRole, 1) }),
			code: Conflict, detail: "the user does not exist"},
		{name: "moves to another user", setup: []Body{newUser(1), newUser(2), userKey(1, "AKIA1")}, body: userKey(2, "AKIA1"), code: Stale, detail: "the access key id is taken"},
		{name: "deactivates", setup: []Body{newUser(1), userKey(1, "AKIA1")}, body: &SetAccessKeyStatus{"AKIA1", false}, after: func(t *testing.T, l *lab) {
			eq(t, "active", l.state().AccessKey("AKIA1").Active, false)
			eq(t, "version", l.state().AccessKey("AKIA1").Version, l.index)
			eq(t, "events", l.events, []Event{{EventAccessKeyChanged, l.index, account1, "AKIA1", nil}})
		}},
		{name: "absent", body: &SetAccessKeyStatus{"AKIA1", false}, code: Conflict, detail: "the access key does not exist"},
	})
}

func TestApplyManagedPolicies(t *testing.T) {
	with := func(c *PutManagedPolicy, was uint64, change func(*ManagedPolicy)) *PutManagedPolicy {
		change(&c.Policy)
		c.Was = was
		return c
	}
	second := func(p *ManagedPolicy) {
		p.Versions, p.Default, p.Last = []PolicyVersion{{1, "{}", now0}, {2, "{ }", now0}}, 2, 2
	}
	attached := having(newUser(1), 0, func(i *Identity) { i.Attached = []string{policyID(1)} })
	runApply(t, []applyCase{
		{name: "adds", body: with(newPolicy(account1, 1), 0, func(p *ManagedPolicy) { p.Attachments, p.Boundaries = 3, 4 }), after: func(t *testing.T, l *lab) {
			p := l.state().ManagedPolicyNamed(account1, "POLICY1")
			eq(t, "counters", [2]int{p.Attachments, p.Boundaries}, [2]int{})
			eq(t, "policies", l.state().Account(account1).Policies, 1)
		}},
		{name: "new version", setup: []Body{newPolicy(account1, 1), attached}, body: with(newPolicy(account1, 1), first1, second), after: func(t *testing.T, l *lab) {
			p := l.state().ManagedPolicy(policyID(1))
			eq(t, "document", p.Document(), "{ }")
			eq(t, "attachments", p.Attachments, 1)
			eq(t, "policies", l.state().Account(account1).Policies, 1)
		}},
		{name: "name taken", setup: []Body{newPolicy(account1, 1)}, body: with(newPolicy(account1, 2), 0, func(p *ManagedPolicy) { p.Name = "pOLICY1" }), code: Stale, detail: "the name is taken"},
		{name: "changed since", setup: []Body{newPolicy(account1, 1)}, body: with(newPolicy(account1, 1), 1, second), code: Stale, detail: "the policy has changed"},
		{name: "gone", body: with(newPolicy(account1, 1), 1, second), code: Conflict, detail: "the policy does not exist"},
		{name: "of another account", setup: []Body{newPolicy(account1, 1)}, body: newPolicy(account2, 1), code: Conflict, detail: "the unique id is another policy's"},
		{name: "unknown account", body: newPolicy("777788889999", 1), code: Conflict, detail: "the account does not exist"},
		{name: "removes", setup: []Body{newPolicy(account1, 1)}, body: &DeleteManagedPolicy{policyID(1), first1}, after: func(t *testing.T, l *lab) {
			eq(t, "policies", l.state().Account(account1).Policies, 0)
		}},
		{name: "attached", setup: []Body{newPolicy(account1, 1), attached}, body: &DeleteManagedPolicy{policyID(1), first1}, code: Stale, detail: "the policy is attached"},
		{name: "other versions", setup: []Body{with(newPolicy(account1, 1), 0, second)}, body: &DeleteManagedPolicy{policyID(1), first1}, code: Conflict, detail: "the policy has other versions"},
		{name: "absent", body: &DeleteManagedPolicy{policyID(1), first1}, code: Conflict, detail: "the policy does not exist"},
		{name: "changed since", setup: []Body{newPolicy(account1, 1)}, body: &DeleteManagedPolicy{policyID(1), 1}, code: Stale, detail: "the policy has changed"},
	})
}

func TestIdentitiesInOrder(t *testing.T) {
	l := newRegion(t)
	for n, name := range []string{"b", "A", "C", "ab"} {
		l.ok(having(newUser(n), 0, func(i *Identity) { i.Name = name }))
		l.ok(changed(newPolicy(account1, n), func(c *PutManagedPolicy) { c.Policy.Name = name }))
	}
	l.ok(newIdentity(account2, IdentityUser, 9))
	l.ok(newIdentity(account1, IdentityGroup, 9))
	for after, want := range map[string][]string{"": {"A", "ab", "b", "C"}, "a": {"ab", "b", "C"}, "AA": {"ab", "b", "C"}, "c": nil} {
		var users, policies []string
		for i := range l.state().Identities(account1, IdentityUser, after) {
			users = append(users, i.Name)
		}
		for p := range l.state().ManagedPolicies(account1, after) {
			policies = append(policies, p.Name)
		}
		if !slices.Equal(users, want) || !slices.Equal(policies, want) {
			t.Errorf("after %q: %v, %v, want %v", after, users, policies, want)
		}
	}
}

func TestIdentityBounds(t *testing.T) {
	for want, body := range map[string]Body{
		"unknown type":           having(newUser(1), 0, func(i *Identity) { i.Type = 4 }),
		"something else than":    having(newUser(1), 0, func(i *Identity) { i.Trust = "{}" }),
		"without trust policy":   having(newIdentity(account1, IdentityRole, 1), 0, func(i *Identity) { i.Trust = "" }),
		"that cannot have them":  having(newIdentity(account1, IdentityGroup, 1), 0, func(i *Identity) { i.Boundary = policyID(1) }),
		"cannot have them":       having(newIdentity(account1, IdentityRole, 1), 0, func(i *Identity) { i.Groups = []string{"g"} }),
		"slash":                  having(newUser(1), 0, func(i *Identity) { i.Path = "a/" }),
		"inline policies out":    having(newUser(1), 0, func(i *Identity) { i.Inline = []InlinePolicy{{"b", "{}"}, {"a", "{}"}} }),
		"groups out of order":    having(newUser(1), 0, func(i *Identity) { i.Groups = []string{"b", "a"} }),
		"principals out":         having(newIdentity(account1, IdentityRole, 1), 0, func(i *Identity) { i.TrustPrincipals = []PolicyPrincipal{{"b", "1"}, {"a", "1"}} }),
		"without versions":       changed(newPolicy(account1, 1), func(c *PutManagedPolicy) { c.Policy.Default = 2 }),
		"versions of a managed":  changed(newPolicy(account1, 1), func(c *PutManagedPolicy) { c.Policy.Last = 0 }),
		"not of the first":       changed(initBody(), func(c *InitRegion) { c.AccessKey.Principal = "AIDA1" }),
		"unique id of 0 bytes, ": &DeleteIdentity{},
	} {
		if _, err := Encode(Command{Body: body}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %q", body, err, want)
		}
	}
}
