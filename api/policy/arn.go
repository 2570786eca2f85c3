package policy

import "strings"

// arnParts are the six parts of an ARN: "arn", partition, service, region, account, resource. The resource may have colons.
type arnParts [6]string

// splitARN cuts at the first five colons. missing is how many parts the text lacks.
func splitARN(s string) (parts arnParts, missing int) {
	for i := range 5 {
		head, tail, ok := strings.Cut(s, ":")
		parts[i] = head
		if !ok {
			return parts, 5 - i
		}
		s = tail
	}
	parts[5] = s
	return parts, 0
}

// arnPattern is a Resource element or an ARN in a condition, matched part by part: a wildcard does not cross the colons that
// separate the parts (spec 04 PM-02).
type arnPattern struct {
	source    string
	any       bool // a lone "*"
	variables bool // a part has variables
	parts     [6]pattern
	// whole is used instead of parts where the separate parts are known only at evaluation: a condition value that is one
	// variable, or text and variables without wildcards.
	whole   *pattern
	invalid bool // not an ARN: matches nothing
}

// compileARN compiles a pattern. In a condition every part may have variables; in a Resource only the last (spec 04 PM-10),
// and missing trailing parts count as "*".
func compileARN(source string, variables, resource bool) arnPattern {
	p := arnPattern{source: source}
	s := withWildcards
	if variables {
		s |= withVariables
	}
	texts := splitPattern(source, variables)
	if len(texts) == 1 && compilePattern(source, s).any {
		p.any = true
		return p
	}
	if len(texts) < 6 && !resource {
		whole := compilePattern(source, s)
		p.whole = &whole
		p.invalid = whole.variables == 0 || whole.hasWildcards()
		return p
	}
	for i := range p.parts {
		switch {
		case i < len(texts):
			p.parts[i] = compilePattern(texts[i], s)
			p.variables = p.variables || p.parts[i].variables > 0
			if resource && i < 5 && p.parts[i].variables > 0 {
				p.parts[i].unusable = true
			}
		default:
			p.parts[i] = compilePattern("*", withWildcards)
		}
	}
	return p
}

// splitPattern cuts a pattern at its first five colons outside of variables.
func splitPattern(s string, variables bool) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s) && len(parts) < 5; i++ {
		if variables && s[i] == '$' {
			if _, n := parseVariable(s[i:]); n > 0 {
				i += n - 1
				continue
			}
		}
		if s[i] == ':' {
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// accountWide tells whether the pattern covers operations without a particular resource in the account that a names:
// "arn:aws:kms:us-east-1:111122223333:*" does, "arn:aws:kms:us-east-1:111122223333:key/*" does not (spec 05 PRM-03).
func (p *arnPattern) accountWide(a *arnParts) bool {
	if p.whole != nil || !p.parts[5].any {
		return false
	}
	for i := range 5 {
		if q := &p.parts[i]; q.unusable || !q.matchPlain(a[i]) {
			return false
		}
	}
	return true
}
