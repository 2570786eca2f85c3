package api

import (
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
	return policy.DecideRetireGrant(req, a.grants.Get(t.Grant, t.ARN))
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
