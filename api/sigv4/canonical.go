package sigv4

import (
	"net/http"
	"strconv"
	"strings"
)

// message is what a signature covers, apart from the time and the scope.
type message struct {
	http    *http.Request
	query   query
	headers string // SignedHeaders
	host    string
	payload []byte // hex of the body's SHA-256
}

// appendTo appends the canonical request.
func (m *message) appendTo(b []byte) []byte {
	b = append(append(b, m.http.Method...), '\n')
	b = append(appendCanonicalPath(b, m.http.URL.EscapedPath()), '\n')
	b = append(appendCanonicalQuery(b, m.query), '\n')
	for rest := m.headers; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(append(b, name...), ':')
		b = append(m.appendHeader(b, name), '\n')
	}
	b = append(b, '\n')
	b = append(append(b, m.headers...), '\n')
	return append(b, m.payload...)
}

// appendCanonicalPath encodes the path, which is escaped already, once more: so all services but S3 do it.
func appendCanonicalPath(b []byte, escaped string) []byte {
	if escaped == "" {
		return append(b, '/')
	}
	return appendEncoded(b, escaped, true)
}

// appendHeader appends the canonical value of a header: repeats joined in order, outer spaces cut, inner ones collapsed.
// The server of net/http takes some headers out of the map; they are put together again.
func (m *message) appendHeader(b []byte, name string) []byte {
	switch name {
	case "host":
		return appendTrimmed(b, m.host)
	case "content-length":
		if m.http.ContentLength >= 0 {
			return strconv.AppendInt(b, m.http.ContentLength, 10)
		}
	case "transfer-encoding":
		return append(b, strings.Join(m.http.TransferEncoding, ",")...)
	}
	for i, value := range lookup(m.http.Header, name) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return b
}

// lookup finds a header by its lower-case name without making the canonical name a string.
func lookup(h http.Header, name string) []string {
	var buf [64]byte
	if len(name) > len(buf) {
		return h[http.CanonicalHeaderKey(name)]
	}
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[i] = c
		upper = c == '-'
	}
	return h[string(buf[:len(name)])]
}

// appendTrimmed cuts what the SDKs cut around a value, and collapses runs of spaces; about tabs inside a value they disagree.
func appendTrimmed(b []byte, s string) []byte {
	s = strings.TrimSpace(s)
	for {
		i := strings.Index(s, "  ")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i+1]...)
		s = strings.TrimLeft(s[i:], " ")
	}
}

// appendStringToSign appends the text that the signing key signs.
func appendStringToSign(b []byte, timeText string, s Scope, canonicalHash []byte) []byte {
	b = append(append(b, Algorithm...), '\n')
	b = append(append(b, timeText...), '\n')
	b = append(append(b, s.Date...), '/')
	b = append(append(b, s.Region...), '/')
	b = append(append(b, s.Service...), '/')
	b = append(append(b, Terminator...), '\n')
	return append(b, canonicalHash...)
}
