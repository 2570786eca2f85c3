package awsjson

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/trentkms/trent/region/shape"
)

// maxItems bounds lists and maps. It is far above every limit of the service, so that those are reported in its words, and keeps
// a body of small items from becoming many times its size in memory.
const maxItems = 4096

// arenaChunk is how much memory the texts of one request share; see decoder.keep.
const arenaChunk = 512

// Decode reads a request body into dst, a pointer to a zero value of the struct type of the shape, and checks the constraints.
// err is a *SerializationError if the body is not a JSON object of the right form; dst is then partly filled and of no use.
// Otherwise invalid tells what constraints are violated, nil if none: the two are apart because the service reports them at
// different times (spec 10 PROTO-30). What dst holds is copied from the body.
func (s *Shape) Decode(body []byte, dst any) (invalid *ValidationError, err error) {
	v := s.elem(dst)
	d := decoder{scanner: scanner{in: body}}
	if d.object(s.plan, v, 0) {
		d.end()
	}
	if d.err != nil {
		s.plan.wipe(v)
		return nil, d.err
	}
	return d.result(), nil
}

// CheckSyntax returns a *SerializationError unless the body is a JSON object. It is for requests without a shape to decode into:
// an unknown operation is reported only after a body that cannot be read (spec 10 PROTO-30).
func CheckSyntax(body []byte) error {
	d := scanner{in: body}
	if d.next() != '{' {
		d.unexpected("'{'")
	} else if d.skip(0) {
		d.end()
	}
	if d.err != nil {
		return d.err
	}
	return nil
}

// elem returns the struct that v points to. A wrong type is a mistake in the program, not in the input.
func (s *Shape) elem(v any) reflect.Value {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.Type() != s.plan.pointer || p.IsNil() {
		panic(fmt.Sprintf("awsjson: got a %T, want a non-nil *%v", v, s.plan.goType))
	}
	return p.Elem()
}

// decoder reads one body. It lives on the stack of Decode.
type decoder struct {
	scanner
	checker
	arena strings.Builder
}

// object reads a structure, sets defaults and checks constraints.
func (d *decoder) object(p *plan, v reflect.Value, depth int) bool {
	if d.next() != '{' {
		return d.mismatch(kindStruct)
	}
	var present, seen presence
	last := 0
	ok := d.entries(depth, func(key []byte) bool {
		i := p.find(key, last)
		if i < 0 {
			return d.unknown(p, key, depth)
		}
		if seen.has(i) {
			return d.fail("The member " + p.members[i].name + " occurs twice in the request body")
		}
		seen |= 1 << i
		last = i + 1
		if null, ok := d.null(); null || !ok {
			return ok
		}
		present |= 1 << i
		return d.read(&p.members[i], i, v, depth+1)
	})
	if !ok {
		return false
	}
	p.setDefaults(v, present)
	d.members(p, v, present)
	return true
}

// unknown skips a member that the plan does not know (spec 10 PROTO-06), or notes that it must not be there.
func (d *decoder) unknown(p *plan, key []byte, depth int) bool {
	if null, ok := d.null(); null || !ok {
		return ok
	}
	if p.refuses(key) {
		d.refused(string(key))
	}
	return d.skip(depth + 1)
}

func (p *plan) setDefaults(v reflect.Value, present presence) {
	for i := range p.members {
		m := &p.members[i]
		if m.def.IsValid() && !present.has(i) {
			m.place(v.FieldByIndex(m.index)).Set(m.def)
		}
	}
}

// read reads the value of a member, which is not null.
func (d *decoder) read(m *member, i int, v reflect.Value, depth int) bool {
	place := m.place(v.FieldByIndex(m.index))
	switch m.kind {
	case kindStruct:
		d.steps = append(d.steps, step{m.lower, i, 0})
		ok := d.object(m.sub, place, depth)
		d.steps = d.steps[:len(d.steps)-1]
		return ok
	case kindList:
		return d.list(m, i, place, depth)
	case kindContext:
		return d.context(place.Addr().Interface().(*shape.EncryptionContext), depth)
	}
	return d.scalar(&m.node, place)
}

// list reads an array. A null item has no place in any list of the model and is refused.
func (d *decoder) list(m *member, i int, v reflect.Value, depth int) bool {
	if d.next() != '[' {
		return d.mismatch(kindList)
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	d.steps = append(d.steps, step{m.lower, i, 0})
	ok := d.elements(depth, func(k int) bool {
		if k >= maxItems {
			return d.fail("A list in the request body has too many items")
		}
		if k == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(k + 1)
		if m.item.kind != kindStruct {
			return d.scalar(m.item, v.Index(k))
		}
		d.steps[len(d.steps)-1].item = k + 1
		return d.object(m.item.sub, v.Index(k), depth+1)
	})
	d.steps = d.steps[:len(d.steps)-1]
	return ok
}

// context reads a map of strings; a number counts as its literal text (spec 01 CTX-05).
func (d *decoder) context(to *shape.EncryptionContext, depth int) bool {
	if d.next() != '{' {
		return d.mismatch(kindContext)
	}
	var few [8]shape.Pair
	pairs := few[:0]
	ok := d.entries(depth, func(key []byte) bool {
		if len(pairs) >= maxItems {
			return d.fail("A map in the request body has too many entries")
		}
		name := d.keep(key)
		value, ok := d.contextValue()
		pairs = append(pairs, shape.Pair{Key: name, Value: value})
		return ok
	})
	if !ok {
		return false
	}
	c, err := shape.NewEncryptionContext(append([]shape.Pair(nil), pairs...))
	if err != nil {
		return d.fail("A map in the request body has the same key twice")
	}
	*to = c
	return true
}

func (d *decoder) contextValue() (string, bool) {
	if c := d.next(); c == '-' || '0' <= c && c <= '9' {
		raw, ok := d.number()
		return d.keep(raw), ok
	}
	if d.next() != '"' {
		return "", d.mismatch(kindString)
	}
	return d.string()
}

// string reads a text that is not secret.
func (d *decoder) string() (string, bool) {
	raw, escaped, ok := d.text()
	if escaped {
		raw = unescape(make([]byte, 0, len(raw)), raw)
	}
	return d.keep(raw), ok
}

// keep copies b to a string. The texts of a request are small and live as long as each other, so they share memory, which is
// taken in chunks; a large text gets its own. Secrets never come here: a string cannot be wiped.
func (d *decoder) keep(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if d.arena.Cap()-d.arena.Len() < len(b) {
		if len(b) >= arenaChunk {
			return string(b)
		}
		d.arena = strings.Builder{}
		d.arena.Grow(max(len(b), min(arenaChunk, len(b)+len(d.in)-d.pos)))
	}
	start := d.arena.Len()
	d.arena.Write(b)
	return d.arena.String()[start:]
}

// mismatch fails because what comes next is not of kind k, in the words of the service.
func (d *decoder) mismatch(k kind) bool {
	switch c := d.next(); {
	case c == 0:
		return d.unexpected("a value")
	case c == '[':
		return d.fail("Start of list found where not expected")
	case c == '{':
		return d.fail("Start of structure or map found where not expected")
	case c == 'n':
		return d.fail("Null found where not expected")
	case k >= kindContext:
		return d.fail("Expected " + strings.ToLower(kindNames[k]) + " or null")
	case c == '"':
		return d.fail("STRING_VALUE can not be converted to " + article(k))
	case c == 't':
		return d.fail("TRUE_VALUE can not be converted to " + article(k))
	case c == 'f':
		return d.fail("FALSE_VALUE can not be converted to " + article(k))
	case c == '-' || '0' <= c && c <= '9':
		return d.fail("NUMBER_VALUE can not be converted to " + article(k))
	}
	return d.unexpected("a value")
}

func article(k kind) string {
	if k == kindInt || k == kindUint {
		return "an " + kindNames[k]
	}
	return "a " + kindNames[k]
}
