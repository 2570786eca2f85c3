package policy

import (
	"strings"
	"unicode/utf8"
)

// maxDepth bounds nesting. A policy needs six levels: document, statements, statement, Condition, operator, values.
const maxDepth = 10

type nodeKind uint8

const (
	nodeObject nodeKind = iota + 1
	nodeArray
	nodeString
	nodeNumber
	nodeBool
	nodeNull
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "an object", "an array", "a string", "a number", "a boolean", "null"}[k]
}

// node is one JSON value. text is the decoded string, or the literal as written of numbers and booleans; start and end are
// its bytes in the document, for rewriting in place.
type node struct {
	kind       nodeKind
	text       string
	members    []member
	elements   []node
	start, end int
}

type member struct {
	name  string
	value node
}

// jsonParser reads strict JSON (RFC 8259): nothing after the value, no duplicate keys, no lone surrogates, bounded depth.
// encoding/json takes the last of two equal keys and replaces bad UTF-8; in a policy either would let two readers see two
// different documents.
type jsonParser struct {
	text string
	pos  int
}

// parseJSON reads a whole document.
func parseJSON(text string) (node, error) {
	p := jsonParser{text: text}
	p.space()
	n, err := p.value(1)
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.pos != len(p.text) {
		return node{}, p.syntax("there is text after the end of the document")
	}
	return n, nil
}

func (p *jsonParser) syntax(what string) error {
	line, column := position(p.text, p.pos)
	return malformed("Syntax error in policy at line %d, column %d: %s.", line, column, what)
}

// position turns a byte offset into line and column, both from 1.
func position(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end. A NUL in the document is refused before parsing.
func (p *jsonParser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *jsonParser) value(depth int) (n node, err error) {
	if depth > maxDepth {
		return node{}, p.syntax("objects and arrays are nested too deeply")
	}
	start := p.pos
	switch c := p.peek(); {
	case c == '{':
		n, err = p.object(depth)
	case c == '[':
		n, err = p.array(depth)
	case c == '"':
		n.kind = nodeString
		n.text, err = p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.kind = nodeNumber
		n.text, err = p.number()
	default:
		n, err = p.literal()
	}
	n.start, n.end = start, p.pos
	return n, err
}

func (p *jsonParser) literal() (node, error) {
	for _, l := range [...]struct {
		text string
		kind nodeKind
	}{{"true", nodeBool}, {"false", nodeBool}, {"null", nodeNull}} {
		if strings.HasPrefix(p.text[p.pos:], l.text) {
			p.pos += len(l.text)
			return node{kind: l.kind, text: l.text}, nil
		}
	}
	return node{}, p.syntax("a value is expected")
}

func (p *jsonParser) object(depth int) (node, error) {
	n := node{kind: nodeObject}
	var seen map[string]bool // only for large objects; small ones are compared one by one
	p.pos++
	p.space()
	if p.peek() == '}' {
		p.pos++
		return n, nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return n, p.syntax("a member name in quotes is expected")
		}
		name, err := p.str()
		if err != nil {
			return n, err
		}
		if n.has(name, &seen) {
			return n, p.syntax("the member " + quote(name) + " is there twice")
		}
		p.space()
		if p.peek() != ':' {
			return n, p.syntax("a colon is expected")
		}
		p.pos++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, member{name, v})
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case '}':
			p.pos++
			return n, nil
		default:
			return n, p.syntax("a comma or a closing brace is expected")
		}
	}
}

// has tells whether the object has a member of that name. From 16 members on it keeps an index, so that an object of
// thousands of members stays cheap.
func (n *node) has(name string, seen *map[string]bool) bool {
	if len(n.members) < 16 {
		for i := range n.members {
			if n.members[i].name == name {
				return true
			}
		}
		return false
	}
	if *seen == nil {
		*seen = make(map[string]bool, 2*len(n.members))
		for i := range n.members {
			(*seen)[n.members[i].name] = true
		}
	}
	if (*seen)[name] {
		return true
	}
	(*seen)[name] = true
	return false
}

func (p *jsonParser) array(depth int) (node, error) {
	n := node{kind: nodeArray}
	p.pos++
	p.space()
	if p.peek() == ']' {
		p.pos++
		return n, nil
	}
	for {
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return n, err
		}
		n.elements = append(n.elements, v)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return n, nil
		default:
			return n, p.syntax("a comma or a closing bracket is expected")
		}
	}
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? and keeps it as text: its digits are what a condition
// compares, not a float64 made of them.
func (p *jsonParser) number() (string, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	switch first := p.peek(); {
	case first == '0':
		p.pos++
	case !p.digits():
		return "", p.syntax("a digit is expected")
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return "", p.syntax("a digit is expected")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return "", p.syntax("a digit is expected")
		}
	}
	return p.text[start:p.pos], nil
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}
