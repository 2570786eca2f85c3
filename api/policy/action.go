package policy

import "strings"

// actionSet is an Action or NotAction element. Every pattern is matched against the permission table when the document is
// compiled, so that a KMS permission costs one bit test; other actions are matched as text.
type actionSet struct {
	not      bool
	written  []string
	known    actionBits
	patterns []pattern // lower case
}

// compileActions compiles the patterns of one element; they have been checked by [validAction].
func compileActions(written []string, not bool) actionSet {
	s := actionSet{not: not, written: written, patterns: make([]pattern, len(written))}
	for i, w := range written {
		s.patterns[i] = compilePattern(strings.ToLower(w), withWildcards)
	}
	for row := range permissions {
		name := strings.ToLower(permissions[row].Action)
		for i := range s.patterns {
			if s.patterns[i].matchPlain(name) {
				s.known.add(row)
				break
			}
		}
	}
	return s
}

// match tells whether the element covers an action: row is its row in the permission table or, if that is negative, lower
// its name in lower case (spec 04 PM-01).
func (s *actionSet) match(lower string, row int) bool {
	if row >= 0 {
		return s.known.has(row) != s.not
	}
	for i := range s.patterns {
		if s.patterns[i].matchPlain(lower) {
			return !s.not
		}
	}
	return s.not
}

// validAction accepts "*", "*:*" and vendor:name, the name with wildcards (spec 04 KP-06). Whether the action exists is not
// asked: an unknown one matches nothing.
func validAction(s string) bool {
	if s == "*" || s == "*:*" {
		return true
	}
	vendor, name, ok := strings.Cut(s, ":")
	return ok && vendor != "" && name != "" && within(vendor, "-.") && within(name, "*?_-.")
}

// within tells whether s has only ASCII letters, digits and the characters of extra.
func within(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
