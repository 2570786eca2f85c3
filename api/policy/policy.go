package policy

// Effect is what a matching statement does.
type Effect uint8

// Effects.
const (
	Allow Effect = iota + 1
	Deny
)

// String returns the effect as a document writes it.
func (e Effect) String() string {
	if e == Deny {
		return "Deny"
	}
	return "Allow"
}

// Policy is a compiled document. It is immutable and may be used by any number of goroutines at once.
type Policy struct {
	kind       Kind
	version    string
	id         string
	statements []statement
}

// statement is a compiled statement.
type statement struct {
	sid    string
	effect Effect
	// inert: it lacks Action or Resource and therefore never matches, Deny or Allow (spec 04 PM-06).
	inert      bool
	principals *principalSet // nil in documents without Principal
	actions    actionSet
	resources  resourceSet
	conditions []condition
}

// resourceSet is a Resource or NotResource element. unset: the document has none (trust policies); it covers everything.
type resourceSet struct {
	not      bool
	unset    bool
	patterns []arnPattern
}

// Kind returns what the document is attached to.
func (p *Policy) Kind() Kind { return p.kind }

// Version returns the language version: "2012-10-17", or "2008-10-17", also if the document has none.
func (p *Policy) Version() string { return p.version }

// ID returns the Id element, empty if there is none.
func (p *Policy) ID() string { return p.id }

// Len returns the number of statements.
func (p *Policy) Len() int { return len(p.statements) }

// Sid returns the Sid of statement i, 0 <= i < Len(), empty if it has none.
func (p *Policy) Sid(i int) string { return p.statements[i].sid }

// ContextKeys lists the condition keys that the document reads, in conditions and variables, each once, as the document writes
// them (IAM's GetContextKeysForCustomPolicy).
func (p *Policy) ContextKeys() []string {
	var keys []string
	seen := make(map[string]bool)
	add := func(k *Key) {
		if !seen[k.Name] {
			seen[k.Name] = true
			keys = append(keys, k.written)
		}
	}
	for i := range p.statements {
		s := &p.statements[i]
		for j := range s.resources.patterns {
			s.resources.patterns[j].eachVariable(add)
		}
		for j := range s.conditions {
			add(s.conditions[j].key)
			for k := range s.conditions[j].values {
				s.conditions[j].values[k].eachVariable(add)
			}
		}
	}
	return keys
}

func (o *operand) eachVariable(f func(*Key)) {
	o.text.eachVariable(f)
	if o.arn != nil {
		o.arn.eachVariable(f)
	}
}

func (p *arnPattern) eachVariable(f func(*Key)) {
	if p.whole != nil {
		p.whole.eachVariable(f)
	}
	for i := range p.parts {
		p.parts[i].eachVariable(f)
	}
}

func (p *pattern) eachVariable(f func(*Key)) {
	for i := range p.segments {
		for j := range p.segments[i].parts {
			if part := &p.segments[i].parts[j]; part.kind == partVariable {
				f(part.key)
			}
		}
	}
}

// Principals lists every principal that the document names in Principal or NotPrincipal, each once, in the order of the
// document; "*" is not among them. Whoever puts the document must find them all, or refuse it with [ErrInvalidPrincipal]
// (spec 04 KP-10).
func (p *Policy) Principals() []PrincipalRef {
	var refs []PrincipalRef
	seen := make(map[PrincipalRef]bool)
	for i := range p.statements {
		set := p.statements[i].principals
		if set == nil {
			continue
		}
		for j := range set.entries {
			if ref := set.entries[j].PrincipalRef; !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// Bind returns the policy with its users, roles and role sessions tied to unique ids: afterwards a user or role matches by
// its id alone, and a recreated namesake does not match (spec 04 KP-11). id returns the unique id that the principal had when
// the document was put: a user's, a role's, or that of a session's role; "" leaves the ARN to decide. The document itself
// stays as it was put; its binding has to be stored beside it. [Rewrite] is the alternative that stores one text.
func (p *Policy) Bind(id func(PrincipalRef) string) *Policy {
	bound := *p
	bound.statements = append([]statement(nil), p.statements...)
	for i := range bound.statements {
		old := bound.statements[i].principals
		if old == nil {
			continue
		}
		set := *old
		set.entries = append([]entry(nil), old.entries...)
		for j := range set.entries {
			switch e := &set.entries[j]; e.Type {
			case UserPrincipal, RolePrincipal, SessionPrincipal:
				e.id = id(e.PrincipalRef)
			}
		}
		bound.statements[i].principals = &set
	}
	return &bound
}
