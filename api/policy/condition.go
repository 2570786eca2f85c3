package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
)

// operand is one policy value of a condition, compiled for its operator.
type operand struct {
	written string
	text    pattern      // String
	arn     *arnPattern  // Arn
	number  decimal      // Numeric
	time    instant      // Date
	network netip.Prefix // IP
	bytes   string       // Binary
	flag    bool         // Bool, Null
	// invalid: the value is none of the operator's type (spec 05 OPR-04).
	invalid bool
}

// condition is one key under one operator.
type condition struct {
	written  string // the operator as the document has it
	op       *operator
	set      setOperator
	ifExists bool
	key      *Key
	values   []operand
}

// compileOperand compiles a policy value; it never fails, since an unparsable value is judged at evaluation.
func compileOperand(op *operator, key *Key, written string, variables bool) operand {
	o := operand{written: written}
	ok := true
	switch op.family {
	case familyString:
		text := written
		if key.isAttestation() && (strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X")) {
			text = text[2:]
		}
		var s syntax
		if op.relation == relLike {
			s |= withWildcards
		}
		if variables {
			s |= withVariables
		}
		o.text = compilePattern(text, s)
	case familyARN:
		arn := compileARN(written, variables, false)
		o.arn, ok = &arn, !arn.invalid
	case familyNumeric:
		o.number, ok = parseDecimal(written)
	case familyDate:
		o.time, ok = parseInstant(written)
	case familyBool, familyNull:
		o.flag, ok = parseBool(written)
	case familyIP:
		o.network, ok = parseNetwork(written)
	case familyBinary:
		var b []byte
		var err error
		b, err = base64.StdEncoding.DecodeString(written)
		o.bytes, ok = string(b), err == nil
	}
	o.invalid = !ok
	return o
}

// subject is one context value, parsed once for all policy values. An evaluation has one and uses it again and again: only
// the fields of the family at hand mean something.
type subject struct {
	text    string
	arn     arnParts
	number  decimal
	time    instant
	address netip.Addr
	flag    bool
	invalid bool
}

func (s *subject) parse(f family, text string) {
	s.text = text
	ok := true
	switch f {
	case familyARN:
		var missing int
		s.arn, missing = splitARN(text)
		ok = missing == 0
	case familyNumeric:
		s.number, ok = parseDecimal(text)
	case familyDate:
		s.time, ok = parseInstant(text)
	case familyBool:
		s.flag, ok = parseBool(text)
	case familyIP:
		s.address, ok = parseAddress(text)
	}
	s.invalid = !ok
}

// holds evaluates the condition for a statement with the given effect.
func (c *condition) holds(e *evaluation, effect Effect) bool {
	v := e.lookup(c.key)
	if c.op.family == familyNull {
		return c.null(v, effect)
	}
	switch {
	case v.IsVoid():
		return effect == Deny
	case v.IsAbsent():
		return c.absent(effect)
	}
	all := c.everyValue(v, effect)
	for i := range v.Len() {
		e.subject.parse(c.op.family, v.At(i))
		if c.satisfies(e, &e.subject, effect) != all {
			return !all
		}
	}
	return all
}

// everyValue tells whether all context values must satisfy the operator, or one of them. Where the document does not say
// (spec 05 SET-07), or several values meet on a single-valued key (KCK-05), it is all in an Allow and one in a Deny. How many
// values a key has that the engine does not know, such as a token's claim, is its context's business.
func (c *condition) everyValue(v Values, effect Effect) bool {
	if c.set == setNone || !c.key.Multi && c.key.ID != KeyUnknown && v.Len() > 1 {
		return effect == Allow
	}
	return c.set == setAllValues
}

// absent is the result for a key that the context lacks (spec 05 OPR-02, SET-03, SET-04). Where two rules meet, the one that
// refuses more wins: IfExists beside ForAnyValue, and a negated operator on a multi-valued key without prefix, hold in a Deny
// only.
func (c *condition) absent(effect Effect) bool {
	switch {
	case c.set == setAllValues:
		return true
	case c.set == setAnyValue:
		return c.ifExists && effect == Deny
	case c.ifExists:
		return true
	case c.key.Multi:
		return c.op.negated && effect == Deny
	}
	return c.op.negated
}

// null evaluates the Null operator: true asks for absence, false for presence.
func (c *condition) null(v Values, effect Effect) bool {
	if v.IsVoid() {
		return effect == Deny
	}
	for i := range c.values {
		o := &c.values[i]
		if o.invalid {
			if effect == Deny {
				return true
			}
			continue
		}
		if o.flag == v.IsAbsent() {
			return true
		}
	}
	return false
}

// satisfies tells whether one context value satisfies the operator: compares with any policy value, or, negated, with none
// (spec 05 CND-02). A pair that cannot be compared satisfies in a Deny and fails in an Allow (OPR-04).
func (c *condition) satisfies(e *evaluation, s *subject, effect Effect) bool {
	if s.invalid {
		return effect == Deny
	}
	if !e.spend(len(c.values)) {
		return effect == Deny
	}
	for i := range c.values {
		equal, comparable := c.compare(e, &c.values[i], s)
		if !comparable {
			if c.op.negated == (effect == Allow) {
				return !c.op.negated // settles it: satisfied in a positive Deny, failed in a negated Allow
			}
			continue
		}
		if equal {
			return !c.op.negated
		}
	}
	return c.op.negated
}

// compare compares a context value with one policy value; ok is false if the policy value is none of the operator's type. A
// policy variable without a value equals nothing, which a negated operator in an Allow must not profit from (spec 04 PM-10,
// spec 05 VAR-03).
func (c *condition) compare(e *evaluation, o *operand, s *subject) (equal, ok bool) {
	if o.invalid {
		return false, false
	}
	switch c.op.family {
	case familyString:
		return c.compareText(e, &o.text, s.text)
	case familyARN:
		return c.resolved(o.arn.matches(e, &s.arn, s.text))
	case familyNumeric:
		return c.op.relation.holds(s.number.compare(o.number)), true
	case familyDate:
		return c.op.relation.holds(s.time.compare(o.time)), true
	case familyBool:
		return s.flag == o.flag, true
	case familyIP:
		return o.network.Contains(s.address), true
	}
	return s.text == o.bytes, true // Binary
}

// resolved turns "matched, and all variables had values" into the result of a comparison. For a positive operator a value
// whose variables have no value simply matches nothing, in a Deny too.
func (c *condition) resolved(matched, resolved bool) (equal, ok bool) {
	return matched, resolved || !c.op.negated
}

func (c *condition) compareText(e *evaluation, p *pattern, s string) (equal, ok bool) {
	if p.exact {
		if c.op.relation == relEqualFold {
			return e.spend(len(s)/8) && strings.EqualFold(p.segments[0].text, s), true
		}
		return p.segments[0].text == s, true
	}
	if c.op.relation == relEqualFold {
		text, resolved := e.expand(p)
		return c.resolved(resolved && strings.EqualFold(text, s), resolved)
	}
	return c.resolved(e.matchPattern(p, s))
}
