package awsjson

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON (RFC 8259) from left to right. Methods return false after setting err; the first error stays.
type scanner struct {
	in  []byte
	pos int
	err *SerializationError
}

func (s *scanner) fail(message string) bool {
	if s.err == nil {
		s.err = &SerializationError{Message: message, Offset: s.pos}
	}
	return false
}

// next skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	if s.pos < len(s.in) && s.in[s.pos] > ' ' {
		return s.in[s.pos]
	}
	return s.space()
}

func (s *scanner) space() byte {
	for s.pos < len(s.in) {
		switch c := s.in[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end fails unless nothing but white space is left.
func (s *scanner) end() bool {
	s.next()
	return s.pos >= len(s.in) || s.fail("Unexpected character after the end of the request body")
}

// take skips white space and consumes c, or fails.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return s.missing(c)
	}
	s.pos++
	return true
}

func (s *scanner) missing(c byte) bool { return s.unexpected("'" + string(rune(c)) + "'") }

func (s *scanner) unexpected(wanted string) bool {
	if s.pos >= len(s.in) {
		return s.fail("Unexpected end of the request body, expected " + wanted)
	}
	return s.fail("Unexpected character in the request body, expected " + wanted)
}

// plain marks the bytes that stand for themselves inside a string; all above ASCII are checked as UTF-8 afterwards.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x100; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text consumes a string and returns what is between its quotes, still escaped if escaped is true. Escapes are known to be
// valid then.
func (s *scanner) text() (raw []byte, escaped, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	start := s.pos
	for wide := false; ; {
		n, w := plainRun(s.in[s.pos:])
		wide = wide || w
		s.pos += n
		switch {
		case s.at('"'):
			raw = s.in[start:s.pos]
			if wide && !utf8.Valid(raw) {
				return nil, false, s.fail("Invalid UTF-8 in a string of the request body")
			}
			s.pos++
			return raw, escaped, true
		case s.pos >= len(s.in):
			return nil, false, s.unexpected("'\"'")
		case !s.at('\\'):
			return nil, false, s.fail("Control character in a string of the request body, escape it")
		case !s.escape():
			return nil, false, false
		}
		escaped = true
	}
}

// plainRun returns how many bytes at the start of b stand for themselves, and whether some are outside ASCII. Eight at a time
// where all are plain ASCII: strings are most of a body.
func plainRun(b []byte) (n int, wide bool) {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for len(b)-n >= 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^'"'*ones, x^'\\'*ones
		// The high bit of a byte of (v - ones) &^ v is set where the byte of v is zero, and perhaps above one such.
		if ((quote-ones)&^quote|(slash-ones)&^slash|(x-0x20*ones)&^x|x)&highs != 0 {
			break
		}
		n += 8
	}
	for ; n < len(b) && plain[b[n]]; n++ {
		wide = wide || b[n] >= utf8.RuneSelf
	}
	return n, wide
}

// escape consumes one escape sequence, a surrogate pair counting as one. Half a pair is refused: it has no UTF-8 form, and
// replacing it would make different encryption contexts equal.
func (s *scanner) escape() bool {
	rest := s.in[s.pos:]
	if len(rest) < 2 {
		return s.unexpected("an escape sequence")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
		r := hex4(rest[2:])
		switch {
		case r < 0:
			return s.fail("Invalid escape sequence in a string of the request body")
		case !utf16.IsSurrogate(r):
			s.pos += 6
			return true
		case len(rest) >= 12 && rest[6] == '\\' && rest[7] == 'u' && utf16.DecodeRune(r, hex4(rest[8:])) != utf8.RuneError:
			s.pos += 12
			return true
		}
		return s.fail("Unpaired surrogate in a string of the request body")
	}
	return s.fail("Invalid escape sequence in a string of the request body")
}

// hex4 reads four hex digits, -1 if they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends the characters of an escaped string that text has checked.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		i += 2
		switch c = raw[i-1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex4(raw[i+2:]))
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// number consumes a number and returns its literal text.
func (s *scanner) number() ([]byte, bool) {
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return nil, false
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return nil, false
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return nil, false
		}
	}
	return s.in[start:s.pos], true
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.in) && s.in[s.pos] == c }

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.in) && '0' <= s.in[s.pos] && s.in[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start || s.unexpected("a digit")
}

// literal consumes true, false or null.
func (s *scanner) literal(word string) bool {
	if len(s.in)-s.pos < len(word) || string(s.in[s.pos:s.pos+len(word)]) != word {
		return s.unexpected(word)
	}
	s.pos += len(word)
	return true
}

// null consumes null if it comes next; ok is false only for something that merely begins like it.
func (s *scanner) null() (is, ok bool) {
	if s.next() != 'n' {
		return false, true
	}
	return true, s.literal("null")
}
