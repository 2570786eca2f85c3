package api

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// verdict asks the policy engine. A grant that is to be retired decides itself (spec 04 GM-04).
func (a *authorizer) verdict(t *region.Target, req *policy.Request) policy.Decision {
	if t.Grant == nil || region.GrantOp(t.Permission) != fsm.GrantRetireGrant {
		return policy.Decide(req)
	}
	return policy.DecideRetireGrant(req, a.grants.get(t.Grant, t.ARN))
}

// addGrants lets grants on the key decide where no policy allows: the iterator is nil for most keys, which have none.
func (a *authorizer) addGrants(req *policy.Request, st *fsm.State, t *region.Target) {
	op := region.GrantOp(t.Permission)
	if op == fsm.GrantCreateGrant && t.Grant != nil {
		req.NewGrant = facts.Grant(t.Grant, t.ARN)
	}
	if op == 0 || op == fsm.GrantRetireGrant || t.Key.GrantCount == 0 {
		return
	}
	var context fsm.Pairs = req.EncryptionContext
	if op == fsm.GrantDescribeKey {
		context = nil // no constraint tests it (spec 04 GR-12)
	}
	req.Grants = a.grantsTo(st, t, facts.Grantees(a.service.Partition(), req.Principal), op, context)
}

// grantsTo yields the grants that could cover the call, however many others there are on the key.
func (a *authorizer) grantsTo(st *fsm.State, t *region.Target, grantees []string, op fsm.GrantOps,
	context fsm.Pairs) iter.Seq[*policy.Grant] {
	return func(yield func(*policy.Grant) bool) {
		for _, grantee := range grantees {
			for g := range st.GrantsTo(fsm.KeyRef{Account: t.Key.Account, ID: t.Key.ID}, grantee, op, context) {
				if compiled := a.grants.get(g, t.ARN); compiled != nil && !yield(compiled) {
					return
				}
			}
		}
	}
}

// grantCache compiles each grant once: a row of the state never changes. It is bounded as policyCache is.
type grantCache struct {
	m     sync.Map // *fsm.Grant -> *policy.Grant
	count atomic.Int64
}

const maxGrants = 50_000

func (c *grantCache) get(g *fsm.Grant, keyARN string) *policy.Grant {
	if v, ok := c.m.Load(g); ok {
		return v.(*policy.Grant)
	}
	compiled := facts.Grant(g, keyARN)
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

// grantPrincipal finds the principal of a grant. What exists is what a policy may name too.
func (a *authorizer) grantPrincipal(st *fsm.State, name string) (fsm.GrantPrincipal, error) {
	ref, err := policy.ParsePrincipal(name)
	if err != nil || !a.exists(st, ref) {
		return fsm.GrantPrincipal{}, fault.GrantPrincipal(name)
	}
	p := fsm.GrantPrincipal{ARN: ref.ARN}
	switch i := a.identity(st, ref); {
	case i == nil:
	case ref.Type == policy.SessionPrincipal:
		p.RoleID = i.ID
	default:
		p.ARN, p.UniqueID = a.service.IdentityARN(i), i.ID
	}
	return p, nil
}

// GrantPrincipal implements region.Edge.
func (e *edge) GrantPrincipal(c *region.Call, name string) (fsm.GrantPrincipal, error) {
	return e.srv.authz.grantPrincipal(c.State, name)
}

// PrincipalName implements region.Edge.
func (e *edge) PrincipalName(c *region.Call, p *fsm.GrantPrincipal) string {
	if p.UniqueID == "" {
		return p.ARN
	}
	i := c.State.Identity(p.UniqueID)
	if i == nil {
		return p.UniqueID // spec 04 GR-15
	}
	return e.srv.service.IdentityARN(i)
}
