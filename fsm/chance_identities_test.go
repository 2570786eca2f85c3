package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The world of identities: two users, groups and roles and three policies per account 1, with names that meet.

func (c chance) was(doc Doc, id string) uint64 {
	if c.Intn(8) == 0 {
		return uint64(c.Intn(99))
	}
	return c.s.Version(Read{Doc: doc, Name: id})
}

func (c chance) putIdentity() Body {
	p := newIdentity(account1, IdentityType(c.Intn(3)+1), c.Intn(3))
	i := &p.Identity
	if c.Intn(4) == 0 {
		i.Name = "shared"
	}
	p.Was = c.was(DocIdentity, i.ID)
	if c.flag() {
		i.Attached = []string{policyID(c.Intn(3)), "arn:aws:iam::aws:policy/X"}
	}
	if i.Type != IdentityGroup && c.Intn(3) == 0 {
		i.Boundary = policyID(c.Intn(3))
	}
	if i.Type == IdentityUser && c.flag() {
		i.Groups = []string{identityID(IdentityGroup, c.Intn(3))}
	}
	if c.Intn(4) == 0 {
		i.Inline = []InlinePolicy{{"p", "{}"}}
	}
	return p
}

// deleteIdentity draws from what is there.
func (c chance) deleteIdentity() Body {
	id := identityID(IdentityType(c.Intn(3)+1), c.Intn(3))
	for of := IdentityUser; of <= IdentityRole; of++ {
		for i := range c.s.Identities(account1, of, "") {
			if c.Intn(3) == 0 {
				id = i.ID
			}
		}
	}
	return &DeleteIdentity{id, c.was(DocIdentity, id)}
}

func (c chance) putManagedPolicy() Body {
	p := newPolicy(account1, c.Intn(3))
	p.Was = c.was(DocManagedPolicy, p.Policy.ID)
	if c.Intn(4) == 0 {
		p.Policy.Name = "shared"
	}
	if c.Intn(3) == 0 {
		p.Policy.Versions = append(p.Policy.Versions, PolicyVersion{2, fmt.Sprint("{", c.Intn(9), "}"), now0})
		p.Policy.Last = 2
	}
	return p
}

// checkIdentities compares the counters and references of an account's identities with what the rows say.
func checkIdentities(t *testing.T, s *State, a *Account) {
	t.Helper()
	attached, bounded, members := make(map[string]int), make(map[string]int), make(map[string]int)
	counts := make(map[IdentityType]int)
	for of := IdentityUser; of <= IdentityRole; of++ {
		last := ""
		for i := range s.Identities(a.ID, of, "") {
			counts[of]++
			if name := strings.ToLower(i.Name); name <= last {
				t.Errorf("%s %q after %q", i.ID, name, last)
			} else {
				last = name
			}
			if s.Identity(i.ID) != i || s.IdentityNamed(a.ID, of, strings.ToUpper(i.Name)) != i {
				t.Errorf("%s is not found by id or name", i.ID)
			}
			for _, id := range i.Attached {
				attached[id]++
			}
			bounded[i.Boundary]++
			for _, id := range i.Groups {
				members[id]++
				if s.Identity(id) == nil {
					t.Errorf("%s is in a group that does not exist", i.ID)
				}
			}
		}
	}
	for g := range s.Identities(a.ID, IdentityGroup, "") {
		if g.Members != members[g.ID] {
			t.Errorf("group %s counts %d members, has %d", g.ID, g.Members, members[g.ID])
		}
	}
	policies := slices.Collect(s.ManagedPolicies(a.ID, ""))
	for _, p := range policies {
		if p.Attachments != attached[p.ID] || p.Boundaries != bounded[p.ID] {
			t.Errorf("policy %s counts %d and %d, has %d and %d", p.ID, p.Attachments, p.Boundaries, attached[p.ID], bounded[p.ID])
		}
		delete(attached, p.ID)
	}
	for id := range attached {
		if !isBuiltIn(id) {
			t.Errorf("policy %s is attached and does not exist", id)
		}
	}
	if got, want := [4]int{a.Users, a.Groups, a.Roles, a.Policies}, [4]int{counts[IdentityUser], counts[IdentityGroup], counts[IdentityRole], len(policies)}; got != want {
		t.Errorf("account %s counts %v, has %v", a.ID, got, want)
	}
	for k := range s.AccessKeys(a.ID, "") {
		if k.Principal != rootPrincipal && k.Principal != "service/ssm" && s.Identity(k.Principal) == nil {
			t.Errorf("access key %s has no user", k.ID)
		}
	}
}
