package awsjson

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled constraint on text. Nearly all patterns of the model are one character class repeated; those are
// matched by a table, since a regular expression over a key ARN would cost more than decoding the whole request.
type pattern struct {
	source string         // as messages show it
	re     *regexp.Regexp // nil: class
	class  class
}

// class is one character class repeated over the whole text.
type class struct {
	ascii    [utf8.RuneSelf]bool
	allASCII bool   // the class is exactly the ASCII characters
	ranges   []rune // pairs low, high of characters outside ASCII
	empty    bool   // also the empty text matches
}

// newPattern compiles a pattern in the Java spelling of the model. The whole text has to match, anchors or not.
func newPattern(source string) (*pattern, error) {
	expr := translate(source)
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", source, err)
	}
	if c, ok := classOf(tree); ok {
		return &pattern{source: source, class: c}, nil
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", source, err)
	}
	return &pattern{source: source, re: re}, nil
}

// translate turns what Go spells differently: \p{ASCII}, \uXXXX, and \s, which in Java includes the vertical tab.
func translate(source string) string {
	var b strings.Builder
	inClass := false
	for i := 0; i < len(source); {
		rest := source[i:]
		switch {
		case strings.HasPrefix(rest, `\p{ASCII}`):
			b.WriteString(inBrackets(`[:ascii:]`, inClass))
			i += len(`\p{ASCII}`)
		case strings.HasPrefix(rest, `\s`):
			b.WriteString(inBrackets(`\t\n\v\f\r `, inClass))
			i += len(`\s`)
		case strings.HasPrefix(rest, `\u`) && len(rest) >= 6:
			b.WriteString(`\x{` + rest[2:6] + `}`)
			i += 6
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(rest[:2])
			i += 2
		default:
			inClass = rest[0] == '[' || inClass && rest[0] != ']'
			b.WriteByte(rest[0])
			i++
		}
	}
	return b.String()
}

func inBrackets(s string, inClass bool) string {
	if inClass {
		return s
	}
	return "[" + s + "]"
}

// classOf recognizes ^[class]+$ and ^[class]*$, with or without anchors.
func classOf(t *syntax.Regexp) (class, bool) {
	if t.Op == syntax.OpConcat {
		subs := t.Sub
		if len(subs) > 0 && subs[0].Op == syntax.OpBeginText {
			subs = subs[1:]
		}
		if len(subs) > 0 && subs[len(subs)-1].Op == syntax.OpEndText {
			subs = subs[:len(subs)-1]
		}
		if len(subs) != 1 {
			return class{}, false
		}
		t = subs[0]
	}
	if t.Op != syntax.OpPlus && t.Op != syntax.OpStar || t.Sub[0].Op != syntax.OpCharClass {
		return class{}, false
	}
	c := class{empty: t.Op == syntax.OpStar, allASCII: true}
	for i := 0; i < len(t.Sub[0].Rune); i += 2 {
		lo, hi := t.Sub[0].Rune[i], t.Sub[0].Rune[i+1]
		for r := lo; r <= hi && r < utf8.RuneSelf; r++ {
			c.ascii[r] = true
		}
		if hi >= utf8.RuneSelf {
			c.ranges = append(c.ranges, max(lo, utf8.RuneSelf), hi)
		}
	}
	for _, in := range c.ascii {
		c.allASCII = c.allASCII && in
	}
	c.allASCII = c.allASCII && len(c.ranges) == 0
	return c, true
}

// match reports whether the whole text matches.
func (p *pattern) match(s string) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(s)
	case s == "":
		return p.class.empty
	case p.class.allASCII:
		return isASCII(s)
	}
	return p.class.match(s)
}

// matchBytes is match for secrets, which must not be copied into a string.
func (p *pattern) matchBytes(b []byte) bool {
	if p.re != nil {
		return p.re.Match(b)
	}
	if len(b) == 0 {
		return p.class.empty
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if !p.class.has(r) {
			return false
		}
		b = b[n:]
	}
	return true
}

func isASCII(s string) bool {
	var or byte
	for ; len(s) >= 8; s = s[8:] { // key ARNs come this way on every request
		or |= s[0] | s[1] | s[2] | s[3] | s[4] | s[5] | s[6] | s[7]
	}
	for i := range len(s) {
		or |= s[i]
	}
	return or < utf8.RuneSelf
}

func (c *class) match(s string) bool {
	for _, r := range s {
		if !c.has(r) {
			return false
		}
	}
	return true
}

func (c *class) has(r rune) bool {
	if r < utf8.RuneSelf {
		return c.ascii[r]
	}
	for i := 0; i < len(c.ranges); i += 2 {
		if c.ranges[i] <= r && r <= c.ranges[i+1] {
			return true
		}
	}
	return false
}
