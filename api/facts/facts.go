// Package facts makes of rows of the state what the policy engine reads, for real calls and for simulations alike, so that the two
// cannot drift apart.
package facts

import (
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
)

// Grantees are the grantees of grants that can be meant for a caller, as the state looks them up: the caller itself, its user or
// role, its account.
func Grantees(partition string, p *policy.Principal) []string {
	keys := make([]string, 0, 3)
	identity := p.IdentityID
	if identity == "" {
		identity = p.IdentityARN
	}
	root := ""
	if p.Account != "" {
		root = arn.Root(partition, p.Account)
	}
	for _, key := range [...]string{p.ARN, identity, root} {
		if key != "" && (len(keys) == 0 || key != keys[0]) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Grant makes of a stored grant what the policy engine reads, nil if it cannot be read: grants only allow, so that one
// that is left out is the safe reading.
func Grant(g *fsm.Grant, keyARN string) *policy.Grant {
	c := &policy.Grant{ID: g.ID, KeyARN: keyARN, IssuingAccount: g.IssuingAccount}
	var err error
	if c.Operations, err = policy.ParseGrantOperations(region.GrantOpNames[string](g.Operations)); err != nil {
		return nil
	}
	if c.Grantee, err = compilePrincipal(&g.Grantee); err != nil {
		return nil
	}
	if g.Retiring != nil {
		if c.Retiring, err = compilePrincipal(g.Retiring); err != nil {
			return nil
		}
	}
	if g.Constraint == nil {
		return c
	}
	c.Constraint.Pairs = constraintPairs(g.Constraint.Pairs)
	switch g.Constraint.Type {
	case fsm.ConstraintSubset:
		c.Constraint.Type = policy.EncryptionContextSubset
	case fsm.ConstraintEquals:
		c.Constraint.Type = policy.EncryptionContextEquals
	default:
		return nil
	}
	return c
}

func compilePrincipal(p *fsm.GrantPrincipal) (policy.GrantPrincipal, error) {
	id := p.UniqueID
	if id == "" {
		id = p.RoleID
	}
	return policy.NewGrantPrincipal(p.ARN, id)
}

// constraintPairs are the pairs of a constraint as the engine reads them.
type constraintPairs []fsm.Pair

// Len implements policy.Pairs.
func (p constraintPairs) Len() int { return len(p) }

// Pair implements policy.Pairs.
func (p constraintPairs) Pair(i int) (string, string) { return p[i].Key, p[i].Value }
