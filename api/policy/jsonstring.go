package policy

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// allowedRune is the character set of spec 04 KP-03.
func allowedRune(r rune) bool {
	return r >= 0x20 && r <= 0xFF || r == '\t' || r == '\n' || r == '\r'
}

// checkCharacters applies KP-03 to the bytes of a document.
func checkCharacters(document string) error {
	for i, r := range document {
		if !allowedRune(r) { // U+FFFD, which stands for bad UTF-8, is not allowed either
			return charactersError(document, i, r)
		}
	}
	return nil
}

func charactersError(document string, offset int, r rune) error {
	line, column := position(document, offset)
	return &CharactersError{Line: line, Column: column, Rune: r}
}

// str reads a string; p.pos is at the opening quote.
func (p *jsonParser) str() (string, error) {
	p.pos++
	start := p.pos
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return p.text[start : p.pos-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.syntax("a control character in a string must be escaped")
		default:
			p.pos++
		}
	}
	return "", p.syntax("a string is not closed")
}

// escaped reads the rest of a string that has an escape at p.pos.
func (p *jsonParser) escaped(start int) (string, error) {
	var b strings.Builder
	b.WriteString(p.text[start:p.pos])
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c < 0x20:
			return "", p.syntax("a control character in a string must be escaped")
		case c != '\\':
			b.WriteByte(c)
			p.pos++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", p.syntax("a string is not closed")
}

// escape reads one escape sequence. What it stands for must be in the character set too: an escape is not a way around
// KP-03.
func (p *jsonParser) escape() (rune, error) {
	start := p.pos
	p.pos++
	c := p.peek()
	p.pos++
	var r rune
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'b':
		r = '\b'
	case 'f':
		r = '\f'
	case 'u':
		var ok bool
		if r, ok = p.unicode(); !ok {
			p.pos = start
			return 0, p.syntax(`a \u escape is not four hexadecimal digits, or a lone surrogate`)
		}
	default:
		p.pos = start
		return 0, p.syntax("an escape sequence is unknown")
	}
	if !allowedRune(r) {
		return 0, charactersError(p.text, start, r)
	}
	return r, nil
}

func (p *jsonParser) unicode() (rune, bool) {
	r, ok := p.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !strings.HasPrefix(p.text[min(p.pos, len(p.text)):], `\u`) {
		return 0, false
	}
	p.pos += 2
	low, ok := p.hex4()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *jsonParser) hex4() (rune, bool) {
	if p.pos+4 > len(p.text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.pos : p.pos+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.pos += 4
	return r, true
}
