package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s to b as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD; control
// characters, quotes, backslashes and the two line separators of JavaScript are escaped, so that a record never holds a
// raw line break. For callers that build the pre-encoded parts of a [Record] by hand.
func AppendString(b []byte, s string) []byte {
	return appendString(b, s, 0)
}

// appendString is AppendString with a limit on the encoded bytes between the quotes (0: none). What does not fit is cut
// at a character and marked, because a record that silently lost its end would read as if it were whole.
func appendString(b []byte, s string, limit int) []byte {
	b = append(b, '"')
	if limit == 0 && allPlain(s) { // as nearly always
		b = append(b, s...)
		return append(b, '"')
	}
	first, from := len(b), 0
	for i := 0; i < len(s); {
		size := 1
		c := s[i]
		if plain(c) {
			if limit > 0 && len(b)-first+i+1-from > limit {
				return appendCut(append(b, s[from:i]...), len(s))
			}
			i++
			continue
		}
		b = append(b, s[from:i]...)
		if limit > 0 && len(b)-first+utf8.UTFMax+2 > limit {
			return appendCut(b, len(s))
		}
		b, size = appendEscaped(b, s[i:])
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// allPlain tells whether a text stands as it is.
func allPlain(s string) bool {
	for i := range len(s) {
		if !plainBytes[s[i]] {
			return false
		}
	}
	return true
}

// plainBytes is plain as a table.
var plainBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = plain(byte(c))
	}
	return t
}()

func plain(c byte) bool { return c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' }

// appendEscaped appends the first character of s, which is not plain, and says how many bytes of s it took.
func appendEscaped(b []byte, s string) ([]byte, int) {
	switch c := s[0]; {
	case c == '"' || c == '\\':
		return append(b, '\\', c), 1
	case c == '\n':
		return append(b, '\\', 'n'), 1
	case c == '\r':
		return append(b, '\\', 'r'), 1
	case c == '\t':
		return append(b, '\\', 't'), 1
	case c < 0x20:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15]), 1
	}
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return append(b, "\ufffd"...), 1
	case r == '\u2028':
		return append(b, `\u2028`...), size
	case r == '\u2029':
		return append(b, `\u2029`...), size
	}
	return append(b, s[:size]...), size
}

func appendCut(b []byte, size int) []byte {
	b = append(b, "[cut from "...)
	b = appendUint(b, uint64(size))
	return append(b, ` bytes]"`...)
}

func appendUint(b []byte, n uint64) []byte {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(b, digits[i:]...)
		}
	}
}

// EnglishTime prints t as records print times inside requestParameters and responseElements: English text in UTC,
// "Aug 10, 2022, 10:38:27 PM" (spec 03 AUD-14).
func EnglishTime(t time.Time) string { return string(AppendEnglishTime(nil, t)) }

// AppendEnglishTime appends [EnglishTime] without quotes.
func AppendEnglishTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "Jan 2, 2006, 3:04:05 PM")
}

// eventTimeLayout is the form of eventTime: UTC, whole seconds (spec 03 A2). Its texts sort as their times do.
const eventTimeLayout = "2006-01-02T15:04:05Z"

// EventID derives the eventID of an internal event from what names the event, for instance the cluster, the event's
// name, the key id and the command's id. Every node that applies the same command gets the same identifier, so a change
// of leader neither loses nor doubles a record (spec 03 AUD-45). The result is a UUID of version 8 (RFC 9562) from
// SHA-256 over the seeds, each with its length before it.
func EventID(seeds ...string) string {
	h := sha256.New()
	h.Write([]byte("trent audit event\n"))
	var size [8]byte
	for _, s := range seeds {
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	var id [sha256.Size]byte
	h.Sum(id[:0])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
