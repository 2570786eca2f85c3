package facts

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
)

// Grants compiles each grant once: a row of the state never changes. It is bounded: when it is full it starts anew. The zero value is
// empty; it is safe for concurrent use.
type Grants struct {
	m     sync.Map // *fsm.Grant -> *policy.Grant
	count atomic.Int64
}

const maxGrants = 50_000

// Get returns what [Grant] makes of a stored grant.
func (c *Grants) Get(g *fsm.Grant, keyARN string) *policy.Grant {
	if v, ok := c.m.Load(g); ok {
		return v.(*policy.Grant)
	}
	compiled := Grant(g, keyARN)
	if compiled == nil {
		return nil
	}
	if c.count.Add(1) > maxGrants {
		c.m.Clear()
		c.count.Store(1)
	}
	c.m.Store(g, compiled)
	return compiled
}

// Add lets grants on the target's key decide a request where no policy allows: the iterator is nil for most keys, which have none.
func (c *Grants) Add(req *policy.Request, partition string, st *fsm.State, t *region.Target) {
	op := region.GrantOp(t.Permission)
	if op == fsm.GrantCreateGrant && t.Grant != nil {
		req.NewGrant = Grant(t.Grant, t.ARN)
	}
	if op == 0 || op == fsm.GrantRetireGrant || t.Key.GrantCount == 0 {
		return
	}
	var context fsm.Pairs = req.EncryptionContext
	if op == fsm.GrantDescribeKey {
		context = nil // no constraint tests it (spec 04 GR-12)
	}
	req.Grants = c.to(st, t, grantees(partition, req.Principal), op, context)
}

// to yields the grants that could cover the call, however many others there are on the key.
func (c *Grants) to(st *fsm.State, t *region.Target, grantees []string, op fsm.GrantOps, context fsm.Pairs) iter.Seq[*policy.Grant] {
	return func(yield func(*policy.Grant) bool) {
		for _, grantee := range grantees {
			for g := range st.GrantsTo(fsm.KeyRef{Account: t.Key.Account, ID: t.Key.ID}, grantee, op, context) {
				if compiled := c.Get(g, t.ARN); compiled != nil && !yield(compiled) {
					return
				}
			}
		}
	}
}

// grantees are the grantees of grants that can be meant for a caller, as the state looks them up: the caller itself, its user or
// role, its account.
func grantees(partition string, p *policy.Principal) []string {
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
