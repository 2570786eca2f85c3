package awsjson

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/trentkms/trent/region/shape"
)

// Append appends the JSON object of v, a pointer to the struct type of the shape, with members in the order of their
// declaration. Absent members are left out, and so is a zero time.Time (spec 10 PROTO-06). It is the one place where a Secret
// is written; the result belongs to the caller of the operation and nobody else.
func (s *Shape) Append(b []byte, v any) []byte {
	return answer.object(b, s.plan, s.elem(v))
}

// Wipe overwrites every Secret in v, a pointer to the struct type of the shape, with zeros. The rest stays.
func (s *Shape) Wipe(v any) { s.plan.wipe(s.elem(v)) }

func (p *plan) wipe(v reflect.Value) {
	for i := range p.members {
		m := &p.members[i]
		if f, ok := m.value(v.FieldByIndex(m.index)); ok {
			m.wipe(f)
		}
	}
}

func (n *node) wipe(v reflect.Value) {
	switch n.kind {
	case kindSecretBlob, kindSecretText:
		v.Addr().Interface().(*shape.Secret).Wipe()
	case kindStruct:
		n.sub.wipe(v)
	case kindList:
		if n.item.secretive() {
			for k := range v.Len() {
				n.item.wipe(v.Index(k))
			}
		}
	}
}

// encoder writes values in one of two spellings.
type encoder struct{ audit bool }

var (
	answer = encoder{audit: false} // the wire: member names as declared, times as numbers
	record = encoder{audit: true}  // the audit: first letter lowered, times as English text (spec 03 AUD-13, AUD-14)
)

func (e encoder) object(b []byte, p *plan, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for i := range p.members {
		m := &p.members[i]
		key := m.key
		if e.audit {
			key = m.lowerKey
		}
		b, first = e.member(b, m, key, v, first)
	}
	return append(b, '}')
}

// member writes one member unless it is absent; first tells whether no comma is needed.
func (e encoder) member(b []byte, m *member, key []byte, v reflect.Value, first bool) ([]byte, bool) {
	f, ok := m.value(v.FieldByIndex(m.index))
	if !ok || m.kind == kindTime && f.Addr().Interface().(*time.Time).IsZero() {
		return b, first
	}
	if !first {
		b = append(b, ',')
	}
	return e.value(append(b, key...), &m.node, f), false
}

func (e encoder) value(b []byte, n *node, v reflect.Value) []byte {
	switch n.kind {
	case kindString:
		return appendString(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindUint:
		return strconv.AppendUint(b, v.Uint(), 10)
	case kindTime:
		return e.time(b, *v.Addr().Interface().(*time.Time))
	case kindBlob:
		return appendBlob(b, v.Bytes())
	case kindContext:
		return appendContext(b, v.Addr().Interface().(*shape.EncryptionContext))
	case kindStruct:
		return e.object(b, n.sub, v)
	case kindList:
		return e.list(b, n.item, v)
	}
	return e.secret(b, n, v.Addr().Interface().(*shape.Secret))
}

// secret writes a secret to its owner. A Selection with a secret does not compile; the check here is the second lock.
func (e encoder) secret(b []byte, n *node, s *shape.Secret) []byte {
	switch {
	case e.audit:
		return appendString(b, shape.Redacted)
	case n.kind == kindSecretBlob:
		return appendBlob(b, s.Bytes())
	}
	return appendText(b, s.Bytes())
}

func (e encoder) time(b []byte, t time.Time) []byte {
	if !e.audit {
		return shape.AppendTime(b, t)
	}
	return append(shape.AppendAuditTime(append(b, '"'), t), '"')
}

func (e encoder) list(b []byte, item *node, v reflect.Value) []byte {
	b = append(b, '[')
	for k := range v.Len() {
		if k > 0 {
			b = append(b, ',')
		}
		b = e.value(b, item, v.Index(k))
	}
	return append(b, ']')
}

func appendBlob(b, blob []byte) []byte {
	b = append(b, '"')
	return append(base64.StdEncoding.AppendEncode(b, blob), '"')
}

func appendContext(b []byte, c *shape.EncryptionContext) []byte {
	b = append(b, '{')
	for i := range c.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		p := c.At(i)
		b = append(appendString(b, p.Key), ':')
		b = appendString(b, p.Value)
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte { return appendText(b, s) }

// appendText appends a JSON string. Invalid UTF-8 becomes U+FFFD, as JSON has no way to carry it.
func appendText[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] && c < utf8.RuneSelf {
			i++
			continue
		}
		n := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))])); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c >= utf8.RuneSelf {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
		}
		i += n
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
