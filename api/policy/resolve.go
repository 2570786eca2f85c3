package policy

import "strings"

// covers tells whether the statement's Resource or NotResource is about the request's resource. A NotResource with a variable
// that has no value covers nothing in an Allow and, since it exempts nothing, everything in a Deny.
func (e *evaluation) covers(s *statement) bool {
	r := &s.resources
	if r.unset {
		return true
	}
	for i := range r.patterns {
		matched, resolved := e.resource(&r.patterns[i])
		if matched {
			return !r.not
		}
		if !resolved && r.not && s.effect == Allow {
			return false
		}
	}
	return r.not
}

// resource matches one Resource pattern (spec 04 PM-02, IDP-05; spec 05 PRM-03).
func (e *evaluation) resource(p *arnPattern) (matched, resolved bool) {
	if p.any {
		return true, true
	}
	if e.req.Resource.Type == ResourceNone {
		_, resolved = p.matches(e, &e.arn, e.req.Resource.ARN)
		return e.req.Resource.ARN != "" && p.accountWide(&e.arn), resolved
	}
	return p.matches(e, &e.arn, e.req.Resource.ARN)
}

// matches compares an ARN part by part. A pattern with a variable that has no value is unresolved, whatever its other parts
// say.
func (p *arnPattern) matches(e *evaluation, parts *arnParts, text string) (matched, resolved bool) {
	switch {
	case p.any:
		return true, true
	case p.whole != nil:
		return e.matchPattern(p.whole, text)
	}
	matched = true
	for i := range p.parts {
		m, r := e.matchPattern(&p.parts[i], parts[i])
		if !r {
			return false, false
		}
		matched = matched && m
		if !matched && !p.variables {
			break
		}
	}
	return matched, true
}

// matchPattern matches a text against a pattern whose variables are filled in from the context.
func (e *evaluation) matchPattern(p *pattern, s string) (matched, resolved bool) {
	if p.unusable {
		return false, false
	}
	if p.variables == 0 {
		if p.exact {
			return p.segments[0].text == s, true
		}
		if !e.spend(len(s) * p.words) {
			return false, false
		}
		return p.matchPlain(s), true
	}
	var few [4]segment
	segments := few[:0]
	if n := len(p.segments); n > len(few) {
		segments = make([]segment, 0, n)
	}
	for i := range p.segments {
		g, ok := e.fill(&p.segments[i], i > 0 && i < len(p.segments)-1)
		if !ok {
			return false, false
		}
		segments = append(segments, g)
	}
	if !e.spend(len(s) * largest(segments)) {
		return false, false
	}
	return matchSegments(segments, s), true
}

// longestValue bounds what a variable may put beside a question mark, in bytes: nothing that policies have variables for is
// longer, and the automaton of such a segment grows with the square of its length. A longer value counts as none.
const longestValue = 1024

// fill replaces the variables of a segment by their values.
func (e *evaluation) fill(g *segment, inner bool) (segment, bool) {
	if g.parts == nil {
		return *g, true
	}
	var few [4]string
	values, wild, longest := few[:0], false, 0
	for i := range g.parts {
		switch part := &g.parts[i]; part.kind {
		case partOne:
			wild = true
		case partVariable:
			v, ok := e.variable(part)
			if !ok {
				return segment{}, false
			}
			values, longest = append(values, v), max(longest, len(v))
		}
	}
	if wild {
		if longest > longestValue || !e.spend(automatonCost(g.parts, values)) {
			return segment{}, false
		}
		return segment{wild: newWildSegment(g.parts, values, inner)}, true
	}
	if len(g.parts) == 1 {
		return segment{text: values[0]}, true
	}
	return segment{text: join(g.parts, values)}, true
}

// join returns the text of parts with the values of their variables.
func join(parts []part, values []string) string {
	var b strings.Builder
	for i := range parts {
		if parts[i].kind == partVariable {
			b.WriteString(values[0])
			values = values[1:]
		} else {
			b.WriteString(parts[i].text)
		}
	}
	return b.String()
}

// variable returns a policy variable's value: the one value of a single-valued key, or the default if the key is absent.
func (e *evaluation) variable(p *part) (string, bool) {
	v := e.lookup(p.key)
	switch {
	case v.IsAbsent():
		return p.text, p.fallback
	case v.Len() != 1 || p.key.Multi:
		return "", false
	}
	return v.At(0), true
}

// expand returns the text of a pattern without wildcards.
func (e *evaluation) expand(p *pattern) (string, bool) {
	if p.unusable {
		return "", false
	}
	g, ok := e.fill(&p.segments[0], false)
	return g.text, ok
}
