package policy

import (
	"strings"
	"unicode/utf8"
)

// pattern is a compiled value of a policy: text, wildcards and policy variables. It is immutable. The stars cut it into
// segments, each of which matches a fixed number of characters: matching looks for one after the other and never goes back,
// so that its cost is bounded by the sizes of pattern and text, whatever is in them.
type pattern struct {
	source   string // as written
	segments []segment
	// exact: one segment of plain text, the common case. any: stars and nothing else; matches everything.
	exact, any bool
	// variables is the number of policy variables.
	variables int
	// words is the size of its largest automaton in machine words, at least one.
	words int
	// unusable: a variable where none is allowed. It stands for a variable without a value.
	unusable bool
}

// segment is the part of a pattern between two stars.
type segment struct {
	text  string       // what it matches, if it is plain text
	wild  *wildSegment // what it matches, if it has question marks
	parts []part       // what it is made of at evaluation, if it has variables
}

// part is a piece of a segment with variables.
type part struct {
	kind     partKind
	text     string // partText: the text; partVariable: the default
	key      *Key   // partVariable
	fallback bool   // partVariable: it has a default
}

type partKind uint8

const (
	partText     partKind = iota
	partOne               // ?, one character
	partVariable          // ${key}
)

// syntax selects what is special in a pattern's text.
type syntax uint8

const (
	withWildcards syntax = 1 << iota // * and ? outside of variables
	withVariables                    // ${...}: documents of version 2012-10-17 only (spec 05 VAR-02)
)

// compilePattern never fails: what is no proper variable is literal text.
func compilePattern(source string, s syntax) pattern {
	p := pattern{source: source}
	var parts []part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{kind: partText, text: text.String()})
			text.Reset()
		}
	}
	var segments [][]part
	for i := 0; i < len(source); {
		c := source[i]
		if c == '$' && s&withVariables != 0 {
			if v, n := parseVariable(source[i:]); n > 0 {
				if v.kind == partText {
					text.WriteString(v.text)
				} else {
					flush()
					parts = append(parts, v)
					p.variables++
				}
				i += n
				continue
			}
		}
		switch {
		case c == '*' && s&withWildcards != 0:
			flush()
			if len(parts) > 0 || len(segments) == 0 { // ** is *
				segments = append(segments, parts)
				parts = nil
			}
		case c == '?' && s&withWildcards != 0:
			flush()
			parts = append(parts, part{kind: partOne})
		default:
			text.WriteByte(c)
		}
		i++
	}
	flush()
	segments = append(segments, parts)
	p.segments = make([]segment, len(segments))
	for i, parts := range segments {
		p.segments[i] = newSegment(parts, i > 0 && i < len(segments)-1)
	}
	p.words = largest(p.segments)
	p.exact = len(p.segments) == 1 && p.segments[0].wild == nil && p.variables == 0
	p.any = len(p.segments) == 2 && p.segments[0].empty() && p.segments[1].empty()
	return p
}

// hasWildcards tells whether a * or ? of the pattern is a wildcard.
func (p *pattern) hasWildcards() bool {
	for i := range p.segments {
		for j := range p.segments[i].parts {
			if p.segments[i].parts[j].kind == partOne {
				return true
			}
		}
		if p.segments[i].wild != nil {
			return true
		}
	}
	return len(p.segments) > 1
}

func (s *segment) empty() bool { return s.text == "" && s.wild == nil && s.parts == nil }

// newSegment makes a segment of its parts; inner tells that it stands between two stars, where it has to be searched for.
func newSegment(parts []part, inner bool) segment {
	one := false
	for i := range parts {
		switch parts[i].kind {
		case partVariable:
			return segment{parts: parts}
		case partOne:
			one = true
		}
	}
	if one {
		return segment{wild: newWildSegment(parts, nil, inner)}
	}
	if len(parts) == 0 {
		return segment{}
	}
	return segment{text: parts[0].text} // adjacent text was joined while parsing
}

// parseVariable reads ${key}, ${key, 'default'} or one of the escapes ${*} ${?} ${$} at the start of s and returns how many
// bytes it took, 0 if s starts with none (spec 05 VAR-03).
func parseVariable(s string) (part, int) {
	if !strings.HasPrefix(s, "${") {
		return part{}, 0
	}
	name := s[2:]
	end := strings.IndexAny(name, ",}")
	if end < 0 {
		return part{}, 0
	}
	rest := name[end:]
	name = name[:end]
	if rest[0] == '}' && (name == "*" || name == "?" || name == "$") {
		return part{kind: partText, text: name}, len("${") + len(name) + len("}")
	}
	v := part{kind: partVariable}
	if rest[0] == ',' {
		body, ok := strings.CutPrefix(strings.TrimLeft(rest[1:], " "), "'")
		if !ok {
			return part{}, 0
		}
		if v.text, rest, ok = strings.Cut(body, "'"); !ok {
			return part{}, 0
		}
		v.fallback = true
		if rest = strings.TrimLeft(rest, " "); !strings.HasPrefix(rest, "}") {
			return part{}, 0
		}
	}
	if name = strings.Trim(name, " "); name == "" {
		return part{}, 0
	}
	v.key = newKey(name)
	return v, len(s) - len(rest) + len("}")
}

// matchPlain matches a text against a pattern without variables.
func (p *pattern) matchPlain(s string) bool {
	switch {
	case p.any:
		return true
	case p.exact:
		return p.segments[0].text == s
	case p.variables > 0:
		return false
	}
	return matchSegments(p.segments, s)
}

// matchSegments matches a text against segments with a star between each two; none of them has variables any more.
func matchSegments(segments []segment, s string) bool {
	n, ok := segments[0].prefix(s)
	if !ok {
		return false
	}
	if len(segments) == 1 {
		return n == len(s)
	}
	s = s[n:]
	last := len(segments) - 1
	n, ok = segments[last].suffix(s)
	if !ok {
		return false
	}
	s = s[:len(s)-n]
	for i := 1; i < last; i++ {
		// The first place where it occurs leaves the most room for the rest.
		end := segments[i].search(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return true
}

// prefix returns how many bytes at the start of s the segment matches.
func (g *segment) prefix(s string) (int, bool) {
	if g.wild != nil {
		return g.wild.prefix(s)
	}
	return len(g.text), strings.HasPrefix(s, g.text)
}

// suffix returns how many bytes at the end of s the segment matches.
func (g *segment) suffix(s string) (int, bool) {
	if g.wild == nil {
		return len(g.text), strings.HasSuffix(s, g.text)
	}
	start := len(s)
	for range g.wild.characters {
		if start == 0 {
			return 0, false
		}
		_, n := utf8.DecodeLastRuneInString(s[:start])
		start -= n
	}
	n, ok := g.wild.prefix(s[start:])
	return n, ok && start+n == len(s) // less only where s is not UTF-8 and reads otherwise from behind
}

// search returns where the first occurrence of the segment in s ends, -1 if there is none.
func (g *segment) search(s string) int {
	if g.wild != nil {
		return g.wild.search(s)
	}
	i := strings.Index(s, g.text)
	if i < 0 {
		return -1
	}
	return i + len(g.text)
}
