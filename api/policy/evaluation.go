package policy

import "strings"

// evaluation is one run over a request's policies. It lives on the stack of [Decide].
type evaluation struct {
	req *Request
	// row is the action's row in the permission table, -1 if it has none; keys are the restricted condition keys that exist
	// for it.
	row    int
	keys   KeySet
	action string   // in lower case, if it has no row
	arn    arnParts // of the resource
	// hideIAMKeys: the policy being evaluated is a key policy, where some condition keys do not exist (spec 05 CND-09).
	hideIAMKeys bool
	// readTags, readAliases: a condition asked for the key's tags or aliases.
	readTags, readAliases bool
	trace                 *recorder // nil unless explaining
	subject               subject   // the context value being compared
	work                  int       // steps done, see budget

	endpointDenial, denial, targetDenial                       finding
	endpoint, guardrail, identity, boundary, session, onTarget given
}

// finding is a statement that was found to match; the zero finding is none.
type finding struct {
	statement *statement
	index     int32 // of the policy among those of its type
	position  int32 // of the statement in the policy
	policy    PolicyType
}

func (f *finding) found() bool { return f.statement != nil }

// given is what the Allows of the policies of one type give the caller, and the first that gave each.
type given struct {
	standing                standing
	matched, direct, capped finding
}

func (g *given) allowed() bool { return g.standing&standMatched != 0 }

func (g *given) add(st standing, f finding) {
	added := st &^ g.standing
	if added&standMatched != 0 {
		g.matched = f
	}
	if added&standDirect != 0 {
		g.direct = f
	}
	if added&standCapped != 0 {
		g.capped = f
	}
	g.standing |= st
}

func (e *evaluation) begin(req *Request, trace *recorder) {
	e.req, e.trace, e.row, e.keys = req, trace, -1, ^KeySet(0)
	if first := findPermission(req.Action); first >= 0 {
		e.row = permissionRow(first, req.Resource.Type)
		e.keys = permissions[e.row].Keys
	}
	if e.row < 0 {
		e.action = strings.ToLower(req.Action)
	}
	e.arn, _ = splitARN(req.Resource.ARN)
}

// scan evaluates all policies of the request: step 1 of spec 04 EV-03, and the Allows that the later steps ask for. A Deny
// outside of the endpoint policy settles the request; the rest is then evaluated only to explain it.
func (e *evaluation) scan() {
	req := e.req
	if req.Endpoint != nil {
		e.policy(req.Endpoint, VPCEndpointPolicy, 0, &e.endpoint, &e.endpointDenial)
	}
	e.one(req.Guardrail, ServiceControlPolicy, &e.guardrail)
	e.list(req.Identity, IdentityBasedPolicy, &e.identity)
	e.one(req.Boundary, PermissionsBoundary, &e.boundary)
	e.list(req.Session, SessionBasedPolicy, &e.session)
	e.target()
}

// target evaluates the resource's own policy. That of a foreign resource is evaluated even if the request is lost: what may be
// told about the resource depends on it.
func (e *evaluation) target() {
	if !e.usesResourcePolicy() || e.denial.found() && e.trace == nil && !e.foreign() {
		return
	}
	e.policy(e.req.ResourcePolicy, ResourceBasedPolicy, 0, &e.onTarget, &e.targetDenial)
	if !e.denial.found() {
		e.denial = e.targetDenial
	}
}

func (e *evaluation) one(p *Policy, t PolicyType, g *given) {
	if p != nil && (!e.denial.found() || e.trace != nil) {
		e.policy(p, t, 0, g, &e.denial)
	}
}

func (e *evaluation) list(ps []*Policy, t PolicyType, g *given) {
	for i, p := range ps {
		if p == nil || e.denial.found() && e.trace == nil {
			continue
		}
		e.policy(p, t, i, g, &e.denial)
	}
}

// usesResourcePolicy tells whether the resource's own policy has a say: not on actions that only identity policies decide
// (spec 05 PRM-01), nor on RetireGrant (spec 04 GM-04).
func (e *evaluation) usesResourcePolicy() bool {
	if e.req.ResourcePolicy == nil || !e.req.Resource.hasPolicy() {
		return false
	}
	return e.row < 0 || permissions[e.row].KeyPolicy
}

// policy evaluates the statements of one policy, in their order, and stops at the first Deny that matches.
func (e *evaluation) policy(p *Policy, t PolicyType, index int, g *given, denial *finding) {
	e.hideIAMKeys = kinds[p.kind].keyPolicyKeys
	for i := range p.statements {
		s := &p.statements[i]
		var have standing // what an Allow need not give again
		if s.effect == Allow {
			have = g.standing
		}
		if e.trace != nil {
			e.trace.begin(t, index, i, s)
		}
		st := e.statement(s, have)
		if st == 0 {
			continue
		}
		f := finding{statement: s, policy: t, index: int32(index), position: int32(i)}
		switch {
		case s.effect == Allow:
			g.add(st, f)
		case !denial.found():
			*denial = f
		}
		if s.effect == Deny && e.trace == nil {
			return
		}
	}
}

// statement returns how the caller stands to a matching statement, 0 if it does not match (spec 04 PM-06) or would add
// nothing to have. While explaining, all elements are evaluated, whatever the others said.
func (e *evaluation) statement(s *statement, have standing) standing {
	explain := e.trace != nil
	acts := !s.inert && s.actions.match(e.action, e.row)
	if !acts && !explain {
		return 0
	}
	st := s.standing(e.req.Principal)
	if st&^have == 0 && !explain {
		return 0
	}
	covers := !s.inert && e.covers(s)
	if !covers && !explain {
		return 0
	}
	holds := e.conditions(s)
	matches := acts && st != 0 && covers && holds
	if explain {
		e.trace.end(st, acts, covers, holds, matches)
	}
	if !matches {
		return 0
	}
	return st
}

// standing returns how the caller stands to the statement. A statement without principals is meant for whoever it is
// attached to.
func (s *statement) standing(p *Principal) standing {
	switch {
	case s.principals == nil:
		return standMatched
	case s.effect == Allow:
		return s.principals.allow(p)
	case s.principals.deny(p):
		return standMatched
	}
	return 0
}

func (e *evaluation) conditions(s *statement) bool {
	all := true
	for i := range s.conditions {
		c := &s.conditions[i]
		holds := c.holds(e, s.effect)
		if e.trace != nil {
			e.trace.condition(c, e.lookup(c.key), holds)
		} else if !holds {
			return false
		}
		all = all && holds
	}
	return all
}

// lookup asks the context for a key that exists for this action and in this kind of policy.
func (e *evaluation) lookup(k *Key) Values {
	if e.req.Context == nil || k.iamOnly && e.hideIAMKeys || !e.keys.Has(k.ID) {
		return Absent()
	}
	switch k.ID {
	case KeyEncryptionContext, KeyEncryptionContextKeys:
		if pairs := e.req.EncryptionContext; pairs != nil && !e.spend(pairs.Len()) {
			return Absent() // refused whatever comes of it
		}
	case KeyResourceTag:
		e.readTags = true
	case KeyRequestTag: // UntagResource sends keys only: the values are the key's own (spec 05 GLB-06)
		e.readTags = e.readTags || e.req.Action == "kms:UntagResource"
	case KeyResourceAliases:
		e.readAliases = true
	}
	return e.req.Context.Lookup(k)
}
