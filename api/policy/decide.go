package policy

// Decide answers one authorization check by the algorithm of spec 04 EV-03. It never fails: what is missing in the request
// denies.
func Decide(req *Request) Decision {
	var e evaluation
	return e.decide(req, nil)
}

// DecideEndpoint answers for an operation that needs no permission, such as GetCallerIdentity: the endpoint policy alone has a say.
func DecideEndpoint(req *Request) Decision {
	if req.Endpoint == nil {
		return Decision{Outcome: Allowed, Statement: -1}
	}
	if !req.complete() {
		return implicit(VPCEndpointPolicy)
	}
	var e evaluation
	e.begin(req, nil)
	e.policy(req.Endpoint, VPCEndpointPolicy, 0, &e.endpoint, &e.endpointDenial)
	d := implicit(VPCEndpointPolicy)
	switch {
	case e.endpointDenial.found():
		d = e.found(ExplicitDeny, e.endpointDenial)
	case e.endpoint.allowed() && !e.exhausted():
		return e.found(Allowed, e.endpoint.matched)
	}
	d.EndpointOnly = true
	return d
}

func (e *evaluation) decide(req *Request, trace *recorder) Decision {
	if !req.complete() {
		return implicit(IdentityBasedPolicy)
	}
	e.begin(req, trace)
	e.scan()
	d := e.bounded(e.verdict())
	d.ReadTags, d.ReadAliases = e.readTags, e.readAliases
	d.shape = e.shape(&d)
	return d
}

// shape tells what the message of a refusal may say. A foreign resource whose own side does not open to the caller looks like
// one that does not exist, even where the caller's own policies deny: their conditions can ask for the resource's properties,
// and the wording would answer (spec 04 AE-02).
func (e *evaluation) shape(d *Decision) messageShape {
	switch {
	case d.Outcome == Allowed:
		return shapeResource
	case e.foreign() && !e.sideOpen():
		return shapeHidden
	case e.foreign():
		return shapeForeign
	case e.req.Resource.Type == ResourceNewKey:
		return shapeBare
	}
	return shapeResource
}

// sideOpen tells whether the resource's side, its policy or a grant, opens it to the caller or the caller's account.
func (e *evaluation) sideOpen() bool {
	if !e.open() || e.targetDenial.found() {
		return false
	}
	if e.onTarget.standing&(standDirect|standCapped|standDelegate) != 0 {
		return true
	}
	op := e.grantOperation()
	return op != 0 && findGrant(e.req, op, true, true, nil) != nil
}

// foreign tells whether the resource belongs to another account. Services and web identities have none; nothing is foreign to
// them.
func (e *evaluation) foreign() bool {
	p, r := e.req.Principal, &e.req.Resource
	return p.Account != "" && r.Account != "" && r.Account != p.Account
}

// verdict is steps 1 and 2; the rest follows in beyondEndpoint.
func (e *evaluation) verdict() Decision {
	switch {
	case e.endpointDenial.found():
		d := e.found(ExplicitDeny, e.endpointDenial)
		d.EndpointOnly = e.beyondEndpoint().Allowed()
		return d
	case e.denial.found():
		return e.beyondEndpoint()
	case e.req.Endpoint != nil && !e.note("endpoint policy allows", e.endpoint.allowed()):
		d := implicit(VPCEndpointPolicy)
		d.EndpointOnly = e.beyondEndpoint().Allowed()
		return d
	}
	return e.beyondEndpoint()
}

// beyondEndpoint decides as if the request had not come through an endpoint: step 1 for the other policies, and steps 3 to 8.
func (e *evaluation) beyondEndpoint() Decision {
	if e.denial.found() {
		return e.found(ExplicitDeny, e.denial)
	}
	if e.req.Guardrail != nil && !e.note("guardrail allows", e.guardrail.allowed()) {
		// The guardrail's silence is reported as its refusal (spec 04 IDP-11).
		return Decision{Outcome: ExplicitDeny, PolicyType: ServiceControlPolicy, Statement: -1}
	}
	missing := e.identityMissing()
	e.note("identity policies allow, boundary and session policies included", missing == NoPolicy)
	if !e.req.Resource.hasPolicy() {
		return e.byIdentityAlone(missing)
	}
	return e.onResource(missing)
}

// byIdentityAlone is step 5: resources without a policy of their own are the account's, and only its identity policies count.
func (e *evaluation) byIdentityAlone(missing PolicyType) Decision {
	switch {
	case e.foreign():
		return implicit(ResourceBasedPolicy)
	case missing != NoPolicy:
		return implicit(missing)
	}
	return e.identityAllowed()
}

func (e *evaluation) identityAllowed() Decision {
	if !e.identity.matched.found() {
		return Decision{Outcome: Allowed, PolicyType: RootUser, Statement: -1}
	}
	return e.found(Allowed, e.identity.matched)
}

// onResource is steps 6 to 8.
func (e *evaluation) onResource(missing PolicyType) Decision {
	g := &e.onTarget
	if !e.open() {
		g = &given{}
	}
	e.note("resource policy names the caller", g.standing&(standDirect|standCapped) != 0)
	e.note("resource policy names the caller's account", g.standing&standDelegate != 0)
	if d := e.byPolicies(g, missing); d.Outcome == Allowed {
		return d
	}
	if grant := e.grant(missing); grant != nil {
		return Decision{Outcome: Allowed, PolicyType: GrantPolicy, Statement: -1, Grant: grant}
	}
	return implicit(e.lacking(g, missing))
}

// open tells whether policies and grants of the resource can open it to the caller at all (spec 04 XA-02, XA-04).
func (e *evaluation) open() bool {
	if !e.foreign() {
		return true
	}
	if e.req.Principal.DisabledHere {
		return false
	}
	if e.row < 0 {
		return e.req.Resource.Type != ResourceKey
	}
	return permissions[e.row].CrossAccount
}

// byPolicies is step 7 without grants.
func (e *evaluation) byPolicies(g *given, missing PolicyType) Decision {
	st := g.standing
	switch {
	case e.foreign():
		if st&(standDirect|standCapped|standDelegate) != 0 && missing == NoPolicy {
			return e.identityAllowed()
		}
	case st&standDirect != 0:
		return e.found(Allowed, g.direct)
	case st&standCapped != 0 && e.capMissing() == NoPolicy:
		return e.found(Allowed, g.capped)
	case st&standDelegate != 0 && missing == NoPolicy:
		return e.identityAllowed()
	}
	return Decision{}
}

// lacking names the type of policy whose Allow was missing (spec 04 AE-01). On a foreign resource its own side comes first,
// so that the answer is the one of a resource that does not exist.
func (e *evaluation) lacking(g *given, missing PolicyType) PolicyType {
	st := g.standing
	switch {
	case e.foreign() && e.sideOpen():
		return missing
	case e.foreign():
		return ResourceBasedPolicy
	case st&standCapped != 0:
		return e.capMissing()
	case st&standDelegate != 0:
		return missing
	}
	return ResourceBasedPolicy
}

// identityMissing is identityAllow of spec 04 EV-04: NoPolicy if the caller's own side allows, else the type of policy that
// does not.
func (e *evaluation) identityMissing() PolicyType {
	switch p := e.req.Principal; p.Kind {
	case Root:
		return NoPolicy
	case User, RoleSession:
		if !e.identity.allowed() {
			return IdentityBasedPolicy
		}
	case FederatedUser:
		byRoot := p.IdentityARN == "" && p.IdentityID == ""
		if !byRoot && !e.identity.allowed() {
			return IdentityBasedPolicy
		}
	default:
		return IdentityBasedPolicy
	}
	return e.capMissing()
}

// capMissing returns the first of boundary and session policies that limits the caller and does not allow (spec 04 EV-04,
// EV-05). A federated session must have session policies.
func (e *evaluation) capMissing() PolicyType {
	if e.req.Boundary != nil && !e.boundary.allowed() {
		return PermissionsBoundary
	}
	switch e.req.Principal.Kind {
	case RoleSession:
		if len(e.req.Session) > 0 && !e.session.allowed() {
			return SessionBasedPolicy
		}
	case FederatedUser:
		if !e.session.allowed() {
			return SessionBasedPolicy
		}
	}
	return NoPolicy
}

// grant returns a grant that covers the call (spec 04 EV-08), nil if none does. RetireGrant is decided by the grant that is
// to be retired, in [DecideRetireGrant].
func (e *evaluation) grant(missing PolicyType) *Grant {
	op := e.grantOperation()
	if op == 0 || !e.open() {
		return nil
	}
	capped, delegated := e.capMissing() == NoPolicy, missing == NoPolicy
	return findGrant(e.req, op, capped, delegated, e.trace)
}

// grantOperation returns the operation that a grant would need, 0 if none can cover the call.
func (e *evaluation) grantOperation() GrantOperation {
	if e.req.Grants == nil || e.row < 0 || e.req.Resource.Type != ResourceKey {
		return 0
	}
	if op := permissions[e.row].Grant; op != GrantRetireGrant {
		return op
	}
	return 0
}

func (e *evaluation) found(o Outcome, f finding) Decision {
	return Decision{Outcome: o, PolicyType: f.policy, Policy: int(f.index), Statement: int(f.position), Sid: f.statement.sid}
}

func implicit(t PolicyType) Decision { return Decision{PolicyType: t, Statement: -1} }

// note records a step of the algorithm while explaining, and returns its result.
func (e *evaluation) note(step string, holds bool) bool {
	if e.trace != nil {
		e.trace.step(step, holds)
	}
	return holds
}
