package policy

import "strings"

// principals compiles Principal or NotPrincipal (spec 04 KP-06 to KP-09, KP-12).
func (c *compiler) principals(s *statement, p *statementParts, number int) error {
	n, not := p.principal, false
	if n == nil {
		n, not = p.notPrincipal, true
	}
	switch {
	case c.rules.principal == forbidden && n != nil:
		return malformed("Statement %d has a principal; a %s has none. Remove it.", number, c.rules.name)
	case c.rules.principal == forbidden:
		return nil
	case n == nil:
		return malformed("Statement %d has no Principal. Say to whom it applies.", number)
	case p.principal != nil && p.notPrincipal != nil:
		return malformed("Statement %d has both Principal and NotPrincipal. Use one.", number)
	case not && s.effect == Allow:
		return malformed("Statement %d allows with NotPrincipal, which would allow anybody else. Use Principal.", number)
	}
	set, err := c.principalSet(n, number)
	if err != nil {
		return err
	}
	set.not, set.bearers = not, c.rules.bearers
	s.principals = set
	return nil
}

func (c *compiler) principalSet(n *node, number int) (*principalSet, error) {
	set := &principalSet{}
	if n.kind == nodeString && n.text == "*" {
		set.any = true
		return set, nil
	}
	if n.kind != nodeObject || len(n.members) == 0 {
		return nil, malformed(`The principal of statement %d must be "*" or an object such as {"AWS": "arn:..."}.`, number)
	}
	for i := range n.members {
		m := &n.members[i]
		list, err := stringsOf(&m.value, m.name+" principal", number)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, malformed("The %s principal of statement %d is empty. Name a principal or remove it.", quote(m.name), number)
		}
		for _, value := range list {
			if err := c.addPrincipal(set, m.name, value, number); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

func (c *compiler) addPrincipal(set *principalSet, class, value string, number int) error {
	switch {
	case class == "AWS" && value == "*":
		set.any = true
		return nil
	case class == "AWS":
		ref, err := ParsePrincipal(value)
		if err != nil {
			return err
		}
		set.entries = append(set.entries, entry{PrincipalRef: ref})
		return nil
	case class == "Service":
		return set.addNamed(ServicePrincipal, value, validService(value))
	case class == "Federated" && c.rules.federated:
		return set.addNamed(ProviderPrincipal, value, validProvider(value))
	}
	return malformed("Statement %d names a principal of class %s, which a %s does not know. Use AWS or Service.", number, quote(class), c.rules.name)
}

func (s *principalSet) addNamed(t PrincipalType, value string, ok bool) error {
	if !ok {
		return ErrInvalidPrincipal
	}
	s.entries = append(s.entries, entry{PrincipalRef: PrincipalRef{Type: t, Value: value}})
	return nil
}

// either returns the list of an element or of its negation. A list without values is no list.
func (c *compiler) either(n, negated *node, name string, n2 need, number int) (list []string, not bool, err error) {
	what := name
	switch {
	case n != nil && negated != nil:
		return nil, false, malformed("Statement %d has both %s and Not%s. Use one.", number, name, name)
	case n == nil && negated != nil:
		n, not, what = negated, true, "Not"+name
	}
	if n != nil {
		if n2 == forbidden {
			return nil, false, malformed("Statement %d has a %s; a %s has none. Remove it.", number, what, c.rules.name)
		}
		if list, err = stringsOf(n, what, number); err != nil {
			return nil, false, err
		}
	}
	if len(list) == 0 && n2 == required {
		return nil, false, malformed("Statement %d has no %s. Add one.", number, name)
	}
	return list, not, nil
}

// actions compiles Action or NotAction. A key policy may lack both; the statement then has no effect (spec 04 KP-06).
func (c *compiler) actions(s *statement, p *statementParts, number int) error {
	list, not, err := c.either(p.action, p.notAction, "Action", c.rules.action, number)
	if err != nil {
		return err
	}
	for _, a := range list {
		if !validAction(a) {
			return malformed("The action %s of statement %d must be \"*\" or vendor:name, such as kms:Encrypt.", quote(a), number)
		}
	}
	s.inert = s.inert || len(list) == 0
	s.actions = compileActions(list, not)
	return nil
}

// resources compiles Resource or NotResource.
func (c *compiler) resources(s *statement, p *statementParts, number int) error {
	list, not, err := c.either(p.resource, p.notResource, "Resource", c.rules.resource, number)
	if err != nil {
		return err
	}
	if c.rules.resource == forbidden {
		s.resources.unset = true
		return nil
	}
	for _, r := range list {
		if !c.rules.anyResource && r != "*" && !strings.HasPrefix(r, "arn:") {
			return malformed("The resource %s of statement %d must be an ARN or \"*\".", quote(r), number)
		}
		s.resources.patterns = append(s.resources.patterns, compileARN(r, c.variables, true))
	}
	s.inert = s.inert || len(list) == 0
	s.resources.not = not
	return nil
}

// conditions compiles Condition (spec 05 CND-02, CND-03).
func (c *compiler) conditions(s *statement, p *statementParts, number int) error {
	if p.condition == nil {
		return nil
	}
	if p.condition.kind != nodeObject {
		return malformed("The Condition of statement %d is %s; it must be an object.", number, p.condition.kind)
	}
	for i := range p.condition.members {
		m := &p.condition.members[i]
		if err := c.operator(s, m.name, &m.value, number); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) operator(s *statement, name string, keys *node, number int) error {
	op, set, ifExists, ok := parseOperator(name)
	if !ok {
		return malformed("Statement %d has the unknown condition operator %s.", number, quote(name))
	}
	if keys.kind != nodeObject {
		return malformed("The condition operator %s of statement %d must have an object of condition keys.", quote(name), number)
	}
	for i := range keys.members {
		m := &keys.members[i]
		if m.name == "" {
			return malformed("The condition operator %s of statement %d has an empty condition key.", quote(name), number)
		}
		cond := condition{written: name, op: op, set: set, ifExists: ifExists, key: newKey(m.name)}
		if c.refuseLoose && set == setAllValues {
			if message := cond.key.looseMessage(); message != "" {
				return &MalformedError{Message: message}
			}
		}
		values, err := conditionValues(&m.value, m.name, number)
		if err != nil {
			return err
		}
		for _, v := range values {
			cond.values = append(cond.values, compileOperand(op, cond.key, v, c.variables))
		}
		s.conditions = append(s.conditions, cond)
	}
	return nil
}

// conditionValues reads one value or a list of them; numbers and booleans stand for their text (spec 05 CND-03).
func conditionValues(n *node, key string, number int) ([]string, error) {
	list := []node{*n}
	if n.kind == nodeArray {
		list = n.elements
	}
	if len(list) == 0 {
		return nil, malformed("The condition key %s of statement %d has no value. Give it one or remove it.", quote(key), number)
	}
	values := make([]string, len(list))
	for i := range list {
		switch list[i].kind {
		case nodeString, nodeNumber, nodeBool:
			values[i] = list[i].text
		default:
			return nil, malformed("The condition key %s of statement %d has %s as a value; use strings, numbers or booleans.", quote(key), number, list[i].kind)
		}
	}
	return values, nil
}
