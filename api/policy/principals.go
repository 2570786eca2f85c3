package policy

// standing is how a caller stands to a principal that a document or grant names (spec 04 PM-04, EV-05).
type standing uint8

const (
	// standMatched: the statement is meant for the caller.
	standMatched standing = 1 << iota
	// standDirect: the caller itself is named, and no implicit deny caps what it is given.
	standDirect
	// standCapped: the caller is named through its role or user, and its boundary and session policies cap it (EV-05).
	standCapped
	// standDelegate: the caller's account is named, whose identity policies may give it to the caller (EV-06).
	standDelegate
)

// principalSet is a Principal or NotPrincipal element.
type principalSet struct {
	not     bool
	any     bool // "*" or {"AWS": "*"}
	bearers bool // any stands for the bearers of providers' tokens too
	entries []entry
}

// allow returns how the caller stands to the Principal of an Allow.
func (s *principalSet) allow(p *Principal) standing {
	var st standing
	if s.any && (p.Kind != WebIdentity || s.bearers) {
		st = standMatched | standDirect
	}
	for i := range s.entries {
		st |= s.entries[i].stand(p)
	}
	return st
}

// deny tells whether a Deny with this Principal or NotPrincipal is meant for the caller.
func (s *principalSet) deny(p *Principal) bool {
	if s.not {
		return !s.any && !s.exempts(p)
	}
	if s.any {
		return true
	}
	for i := range s.entries {
		if s.entries[i].stand(p) != 0 {
			return true
		}
	}
	return false
}

// stand returns how the caller stands to one principal, 0 if it is not meant.
func (e *entry) stand(p *Principal) standing {
	switch e.Type {
	case AccountPrincipal:
		return e.standToAccount(p)
	case UserPrincipal, RolePrincipal, UniqueIDPrincipal:
		if !e.isIdentityOf(p) {
			return 0
		}
		if p.Kind == User {
			return standMatched | standDirect
		}
		return standMatched | standCapped
	case SessionPrincipal:
		// A bound session belongs to the role that existed when the policy was put, not to a later namesake.
		if p.Kind == RoleSession && p.ARN == e.ARN && (e.id == "" || e.id == p.IdentityID) {
			return standMatched | standDirect
		}
	case FederatedUserPrincipal:
		if p.Kind == FederatedUser && p.ARN == e.ARN {
			return standMatched | standDirect
		}
	case ServicePrincipal:
		if p.Kind == Service && p.hasService(e.Value) {
			return standMatched | standDirect
		}
	case ProviderPrincipal:
		if p.Kind == WebIdentity && p.ARN == e.Value {
			return standMatched | standDirect
		}
	}
	return 0
}

func (e *entry) standToAccount(p *Principal) standing {
	switch {
	case p.Account == "" || p.Account != e.Account:
		return 0
	case p.Kind == Root:
		return standMatched | standDirect | standDelegate
	}
	return standMatched | standDelegate
}

// isIdentityOf tells whether the entry names the caller's user or role. A bound entry asks for the unique id alone: a
// recreated namesake has another (spec 04 KP-11).
func (e *entry) isIdentityOf(p *Principal) bool {
	if p.Kind != User && p.Kind != RoleSession && p.Kind != FederatedUser {
		return false
	}
	switch {
	case e.id != "":
		return p.IdentityID == e.id
	case e.Type == UniqueIDPrincipal:
		return p.IdentityID == e.Value
	}
	return p.IdentityARN != "" && p.IdentityARN == e.ARN
}

func (p *Principal) hasService(name string) bool {
	for _, n := range p.ServiceNames {
		if n == name {
			return true
		}
	}
	return p.ARN == name
}

// exempts tells whether a NotPrincipal lists every identity of the caller: the session, its role or user, and its account
// (spec 04 PM-05). Anything less leaves the Deny in force.
func (s *principalSet) exempts(p *Principal) bool {
	var account, identity, self bool
	for i := range s.entries {
		e := &s.entries[i]
		if e.stand(p) == 0 {
			continue
		}
		switch e.Type {
		case AccountPrincipal:
			account = true
		case UserPrincipal, RolePrincipal, UniqueIDPrincipal:
			identity = true
		default:
			self = true
		}
	}
	switch p.Kind {
	case Root:
		return account
	case User:
		return identity && account
	case RoleSession:
		return self && identity && account
	case FederatedUser:
		return self && account && (identity || p.IdentityARN == "" && p.IdentityID == "")
	}
	return self
}
