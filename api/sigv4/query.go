package sigv4

import (
	"bytes"
	"slices"
	"strings"
)

// parameter is one pair of the query, decoded.
type parameter struct{ name, value string }

// query is the query string in the order of the request.
type query []parameter

// parseQuery splits and decodes a raw query. Only '&' separates; '+' is a space. A broken escape is refused, because signer and
// server could read it in two ways.
func parseQuery(raw string) (query, error) {
	var q query
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, ok1 := decode(name)
		v, ok2 := decode(value)
		if !ok1 || !ok2 {
			return nil, incomplete("The query string has an invalid percent-encoding: '" + echo(pair) + "'. ")
		}
		q = append(q, parameter{n, v})
	}
	return q, nil
}

// decode reverses percent-encoding.
func decode(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
				return "", false
			}
			c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// get returns the first value of a parameter and how often it occurs.
func (q query) get(name string) (value string, n int) {
	for _, p := range q {
		if p.name == name {
			if n == 0 {
				value = p.value
			}
			n++
		}
	}
	return value, n
}

// presigned reports whether the query means to carry a credential, even an incomplete one.
func (q query) presigned() bool {
	for _, p := range q {
		switch p.name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature":
			return true
		}
	}
	return false
}

// incomplete names all missing parameters at once.
func (q query) incomplete() *Error {
	text := ""
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
		if value, _ := q.get(name); value == "" {
			text += "AWS query-string parameters must include '" + name + "'. "
		}
	}
	return incomplete(text + "Re-examine the query-string parameters.")
}

// appendCanonicalQuery appends the query in canonical form: encoded, then sorted by name and value; the signature is left out.
func appendCanonicalQuery(b []byte, q query) []byte {
	pairs := make([][2][]byte, 0, len(q))
	for _, p := range q {
		if p.name != "X-Amz-Signature" {
			pairs = append(pairs, [2][]byte{appendEncoded(nil, p.name, false), appendEncoded(nil, p.value, false)})
		}
	}
	slices.SortFunc(pairs, func(x, y [2][]byte) int {
		if c := bytes.Compare(x[0], y[0]); c != 0 {
			return c
		}
		return bytes.Compare(x[1], y[1])
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p[0]...), '='), p[1]...)
	}
	return b
}

// appendEncoded percent-encodes all but the unreserved characters (RFC 3986, section 2.3), but keeps '/' if slashes is set.
func appendEncoded(b []byte, s string, slashes bool) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if unreserved[c] || slashes && c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

var unreserved = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
	}
	return t
}()
