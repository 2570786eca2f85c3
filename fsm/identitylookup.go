package fsm

import (
	"iter"
	"strings"
)

// Indexes of identities and managed policies. Names lie in the order of their lower-case form, in which they are unique:
//
//	identities        primary: unique id; name: account, type, lower-case name
//	managed-policies  primary: unique id; name: account, lower-case name
//	access-keys       principal: account, principal, access key id

func (i *Identity) primary() []byte { return name1(nil, i.ID) }
func (i *Identity) byName() []byte  { return identityKey(nil, i.Account, i.Type, i.Name) }

func identityKey(dst []byte, account string, of IdentityType, name string) []byte {
	return name3(dst, account, string(rune('0'+of)), strings.ToLower(name))
}

func (p *ManagedPolicy) primary() []byte { return name1(nil, p.ID) }
func (p *ManagedPolicy) byName() []byte  { return name2(nil, p.Account, strings.ToLower(p.Name)) }

func (a *AccessKey) byPrincipal() []byte { return name3(nil, a.Account, a.Principal, a.ID) }

func (v *view) identity(id string) *Identity {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[Identity](v, tableIdentities, l)
}

func (v *view) identityNamed(account string, of IdentityType, name string) *Identity {
	for i := range v.identities(account, of, name) {
		if strings.EqualFold(i.Name, name) {
			return i
		}
		break
	}
	return nil
}

// identities yields an account's identities of a type whose name is not before the given one.
func (v *view) identities(account string, of IdentityType, name string) iter.Seq[*Identity] {
	return while(from[Identity](v, tableIdentities, indexName, identityKey(nil, account, of, name)),
		func(i *Identity) bool { return i.Account == account && i.Type == of })
}

func (v *view) managedPolicy(id string) *ManagedPolicy {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[ManagedPolicy](v, tableManagedPolicies, l)
}

func (v *view) managedPolicyNamed(account, name string) *ManagedPolicy {
	for p := range v.managedPolicies(account, name) {
		if strings.EqualFold(p.Name, name) {
			return p
		}
		break
	}
	return nil
}

func (v *view) managedPolicies(account, name string) iter.Seq[*ManagedPolicy] {
	return while(from[ManagedPolicy](v, tableManagedPolicies, indexName, name2(nil, account, strings.ToLower(name))),
		func(p *ManagedPolicy) bool { return p.Account == account })
}

func (v *view) accessKeysOf(account, principal string) iter.Seq[*AccessKey] {
	return while(from[AccessKey](v, tableAccessKeys, indexPrincipal, name3(nil, account, principal, "")),
		func(a *AccessKey) bool { return a.Account == account && a.Principal == principal })
}

// Identity returns a user, group or role by its unique id, nil if there is none.
func (s *State) Identity(id string) *Identity { return s.identity(id) }

// IdentityNamed returns a user, group or role by its name in whatever case, nil if there is none. Policies compare names
// exactly, so whoever resolves an ARN compares again.
func (s *State) IdentityNamed(account string, of IdentityType, name string) *Identity {
	return s.identityNamed(account, of, name)
}

// Identities yields an account's identities of a type after the name after ("" = from the start), in the order of their
// lower-case names.
func (s *State) Identities(account string, of IdentityType, after string) iter.Seq[*Identity] {
	return afterName(s.identities(account, of, after), after, func(i *Identity) string { return i.Name })
}

// ManagedPolicy returns a customer managed policy by its unique id, nil if there is none.
func (s *State) ManagedPolicy(id string) *ManagedPolicy { return s.managedPolicy(id) }

// ManagedPolicyNamed returns a customer managed policy by its name in whatever case, nil if there is none.
func (s *State) ManagedPolicyNamed(account, name string) *ManagedPolicy {
	return s.managedPolicyNamed(account, name)
}

// ManagedPolicies yields an account's managed policies after the name after ("" = from the start), in the order of their
// lower-case names.
func (s *State) ManagedPolicies(account, after string) iter.Seq[*ManagedPolicy] {
	return afterName(s.managedPolicies(account, after), after, func(p *ManagedPolicy) string { return p.Name })
}

// AccessKeysOf yields the access keys of a principal, active or not, ordered by id.
func (s *State) AccessKeysOf(account, principal string) iter.Seq[*AccessKey] {
	return s.accessKeysOf(account, principal)
}

// afterName leaves the row of the name itself out.
func afterName[T any](rows iter.Seq[*T], name string, of func(*T) string) iter.Seq[*T] {
	if name == "" {
		return rows
	}
	return func(yield func(*T) bool) {
		for row := range rows {
			if !strings.EqualFold(of(row), name) && !yield(row) {
				return
			}
		}
	}
}
