package policy

// The two versions of the policy language.
const (
	version2008 = "2008-10-17" // variables are literal text; also the meaning of an absent Version (spec 04 KP-05)
	version2012 = "2012-10-17"
)

// Parse checks and compiles a document that is about to be put. The errors are *[TooLargeError], *[CharactersError],
// *[InvalidARNError] and, for everything else, *[MalformedError] (spec 04 KP-02 to KP-13, IDP-01, IDP-02, VE-03). That the
// principals exist is not checked: see [Policy.Principals].
func Parse(document string, kind Kind) (*Policy, error) {
	if !kind.known() {
		return nil, malformed("A policy cannot be of kind %d.", kind)
	}
	rules := &kinds[kind]
	if len(document) > outerLimit {
		return nil, &TooLargeError{Kind: kind, Size: len(document), Limit: rules.limit}
	}
	if n := rules.size(document); n > rules.limit {
		return nil, &TooLargeError{Kind: kind, Size: n, Limit: rules.limit}
	}
	return compile(document, kind, rules.refuseLoose)
}

// ParseStored compiles a document that was accepted before: the rules that concern putting only, its size and KP-13, are left
// out, so that tightening them never makes a stored policy unreadable (spec 05 SET-05).
func ParseStored(document string, kind Kind) (*Policy, error) {
	if !kind.known() {
		return nil, malformed("A policy cannot be of kind %d.", kind)
	}
	if len(document) > outerLimit {
		return nil, &TooLargeError{Kind: kind, Size: len(document), Limit: outerLimit}
	}
	return compile(document, kind, false)
}

func compile(document string, kind Kind, refuseLoose bool) (*Policy, error) {
	if err := checkCharacters(document); err != nil {
		return nil, err
	}
	root, err := parseJSON(document)
	if err != nil {
		return nil, err
	}
	if root.kind != nodeObject {
		return nil, malformed("The policy is %s; it must be an object.", root.kind)
	}
	c := compiler{rules: &kinds[kind], refuseLoose: refuseLoose, policy: &Policy{kind: kind, version: version2008}, sids: map[string]bool{}}
	if err := c.document(&root); err != nil {
		return nil, err
	}
	return c.policy, nil
}

// compiler turns one document's tree into a Policy.
type compiler struct {
	rules       *kindRules
	refuseLoose bool
	policy      *Policy
	variables   bool
	sids        map[string]bool
}

func (c *compiler) document(root *node) error {
	var statements *node
	for i := range root.members {
		m := &root.members[i]
		switch m.name {
		case "Version":
			if m.value.kind != nodeString || m.value.text != version2012 && m.value.text != version2008 {
				return malformed(`The Version must be "2012-10-17" or "2008-10-17".`)
			}
			c.policy.version = m.value.text
		case "Id":
			if c.rules.id == forbidden {
				return malformed("A %s has no Id. Remove it.", c.rules.name)
			}
			if m.value.kind != nodeString {
				return malformed("The Id is %s; it must be a string.", m.value.kind)
			}
			c.policy.id = m.value.text
		case "Statement":
			statements = &m.value
		default:
			return malformed("The policy has the unknown element %s. Remove it.", quote(m.name))
		}
	}
	c.variables = c.policy.version == version2012
	return c.statements(statements)
}

// statements accepts one statement or a list of them (spec 04 KP-05).
func (c *compiler) statements(n *node) error {
	list := []node{}
	switch {
	case n == nil:
	case n.kind == nodeObject:
		list = []node{*n}
	case n.kind == nodeArray:
		list = n.elements
	default:
		return malformed("The Statement is %s; it must be an object or an array of objects.", n.kind)
	}
	if len(list) == 0 {
		return malformed("The policy has no Statement. Add at least one.")
	}
	for i := range list {
		s, err := c.statement(&list[i], i+1)
		if err != nil {
			return err
		}
		c.policy.statements = append(c.policy.statements, s)
	}
	return nil
}

// statementParts are the members of one statement, found but not yet compiled.
type statementParts struct {
	sid, effect, principal, notPrincipal, action, notAction, resource, notResource, condition *node
}

func (c *compiler) statement(n *node, number int) (statement, error) {
	if n.kind != nodeObject {
		return statement{}, malformed("Statement %d is %s; it must be an object.", number, n.kind)
	}
	var parts statementParts
	for i := range n.members {
		m := &n.members[i]
		at := parts.member(m.name)
		if at == nil {
			return statement{}, malformed("Statement %d has the unknown element %s. Remove it.", number, quote(m.name))
		}
		*at = &m.value
	}
	s := statement{}
	for _, step := range [...]func(*statement, *statementParts, int) error{
		c.sid, c.effect, c.principals, c.actions, c.resources, c.conditions,
	} {
		if err := step(&s, &parts, number); err != nil {
			return statement{}, err
		}
	}
	return s, nil
}

func (p *statementParts) member(name string) **node {
	switch name {
	case "Sid":
		return &p.sid
	case "Effect":
		return &p.effect
	case "Principal":
		return &p.principal
	case "NotPrincipal":
		return &p.notPrincipal
	case "Action":
		return &p.action
	case "NotAction":
		return &p.notAction
	case "Resource":
		return &p.resource
	case "NotResource":
		return &p.notResource
	case "Condition":
		return &p.condition
	}
	return nil
}

func (c *compiler) sid(s *statement, p *statementParts, number int) error {
	if p.sid == nil {
		return nil
	}
	if p.sid.kind != nodeString {
		return malformed("The Sid of statement %d is %s; it must be a string.", number, p.sid.kind)
	}
	s.sid = p.sid.text
	if c.rules.freeSid {
		return nil
	}
	if !within(s.sid, "") {
		return malformed("The Sid %s of statement %d must consist of letters and digits.", quote(s.sid), number)
	}
	if s.sid != "" && c.sids[s.sid] {
		return malformed("The Sid %s is used twice. Statement ids must be unique in a %s.", quote(s.sid), c.rules.name)
	}
	c.sids[s.sid] = true
	return nil
}

func (c *compiler) effect(s *statement, p *statementParts, number int) error {
	if p.effect != nil && p.effect.kind == nodeString {
		switch p.effect.text {
		case "Allow":
			s.effect = Allow
			return nil
		case "Deny":
			s.effect = Deny
			return nil
		}
	}
	return malformed(`The Effect of statement %d must be "Allow" or "Deny".`, number)
}

// stringsOf reads a string or an array of strings.
func stringsOf(n *node, what string, number int) ([]string, error) {
	switch n.kind {
	case nodeString:
		return []string{n.text}, nil
	case nodeArray:
		list := make([]string, len(n.elements))
		for i := range n.elements {
			e := &n.elements[i]
			if e.kind != nodeString {
				return nil, malformed("The %s of statement %d has %s in its list; it must have strings.", what, number, e.kind)
			}
			list[i] = e.text
		}
		return list, nil
	}
	return nil, malformed("The %s of statement %d is %s; it must be a string or an array of strings.", what, number, n.kind)
}
