package policy

// DecideRetireGrant decides kms:RetireGrant for one grant (spec 04 GM-04): the grant decides, its key's policy has no say.
// The request is as for [Decide], with the key as resource; Action, ResourcePolicy and Grants are not read.
func DecideRetireGrant(req *Request, g *Grant) Decision {
	var e evaluation
	return e.decideRetire(req, g, nil)
}

// ExplainRetireGrant is [DecideRetireGrant] with its explanation.
func ExplainRetireGrant(req *Request, g *Grant) Explanation {
	var r recorder
	var e evaluation
	r.out.Decision = e.decideRetire(req, g, &r)
	return r.out
}

func (e *evaluation) decideRetire(req *Request, g *Grant, trace *recorder) Decision {
	if !req.complete() || g == nil || g.KeyARN != req.Resource.ARN {
		return implicit(ResourceBasedPolicy)
	}
	retire := *req
	retire.Action = "kms:RetireGrant" // the row says that the key policy has no say
	e.begin(&retire, trace)
	e.scan()
	d := e.bounded(e.verdictOnRetiring(g))
	d.ReadTags, d.ReadAliases = e.readTags, e.readAliases
	d.shape = e.shape(&d)
	return d
}

func (e *evaluation) verdictOnRetiring(g *Grant) Decision {
	switch {
	case e.endpointDenial.found():
		d := e.found(ExplicitDeny, e.endpointDenial)
		d.EndpointOnly = e.retireBeyondEndpoint(g).Allowed()
		return d
	case e.denial.found():
		return e.retireBeyondEndpoint(g)
	case e.req.Endpoint != nil && !e.note("endpoint policy allows", e.endpoint.allowed()):
		d := implicit(VPCEndpointPolicy)
		d.EndpointOnly = e.retireBeyondEndpoint(g).Allowed()
		return d
	}
	return e.retireBeyondEndpoint(g)
}

func (e *evaluation) retireBeyondEndpoint(g *Grant) Decision {
	if e.denial.found() {
		return e.found(ExplicitDeny, e.denial)
	}
	if e.req.Guardrail != nil && !e.note("guardrail allows", e.guardrail.allowed()) {
		return Decision{Outcome: ExplicitDeny, PolicyType: ServiceControlPolicy, Statement: -1}
	}
	if e.note("the grant lets the caller retire it", g.retirableBy(e.req.Principal)) {
		return Decision{Outcome: Allowed, PolicyType: GrantPolicy, Statement: -1, Grant: g}
	}
	if !e.note("the caller's account may retire the grant", g.retirableInAccount(e.req.Principal, &e.req.Resource)) {
		return implicit(ResourceBasedPolicy)
	}
	missing := e.identityMissing()
	if e.note("identity policies allow, boundary and session policies included", missing == NoPolicy) {
		d := e.identityAllowed()
		d.Grant = g
		return d
	}
	return implicit(missing)
}

// retirableBy is (a), (b) and (c) of GM-04: the retiring principal, a grantee with the operation RetireGrant, the root user of
// the issuing account. They need no permission of their own.
func (g *Grant) retirableBy(p *Principal) bool {
	if named(g.Retiring, p) || g.Operations.Has(GrantRetireGrant) && named(g.Grantee, p) {
		return true
	}
	return p.Kind == Root && p.Account != "" && p.Account == g.IssuingAccount
}

// named tells whether a grant's principal is the caller itself, not merely its account.
func named(g GrantPrincipal, p *Principal) bool {
	return g.entry.stand(p)&(standDirect|standCapped) != 0
}

// retirableInAccount is the account part of (d): in these accounts an identity policy may allow kms:RetireGrant.
func (g *Grant) retirableInAccount(p *Principal, key *Resource) bool {
	if p.Account == "" {
		return false
	}
	return p.Account == g.IssuingAccount || p.Account == key.Account || g.Retiring.entry.isAccount(p.Account) ||
		g.Operations.Has(GrantRetireGrant) && g.Grantee.entry.isAccount(p.Account)
}

func (e *entry) isAccount(account string) bool {
	return e.Type == AccountPrincipal && e.Account == account
}
