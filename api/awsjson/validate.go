package awsjson

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A message is bounded, however hostile the request: values are cut, and past maxListed bytes of text violations are counted but
// no longer listed. Genuine requests stay far below.
const (
	maxEcho   = 4096      // bytes of a value that a message shows
	maxListed = 64 * 1024 // bytes of all listed violations
)

// notSupported is the constraint that a refused unknown member fails: dropping it would widen or narrow access silently.
const notSupported = "Member must be null, because this service does not support it"

// Validate checks the constraints of a value that was not decoded from a body, such as one built by a template. v is a
// pointer to the struct type of the shape. A plain scalar counts as present, even if it is zero. It returns nil if all is well.
func (s *Shape) Validate(v any) *ValidationError {
	var c checker
	c.deep(s.plan, s.elem(v))
	return c.result()
}

// checker collects violations, together with the place each has in the message.
type checker struct {
	steps  []step
	bad    []violation
	total  int
	listed int
}

// step is a structure that the checker is inside of.
type step struct {
	lower    string
	position int // of the member
	item     int // 1-based, 0 if it is not in a list
}

type violation struct {
	place []int // positions from the top down: the order of the model
	text  string
}

// members checks the members of one structure, except what is inside nested structures.
func (c *checker) members(p *plan, v reflect.Value, present presence) {
	for i := range p.members {
		m := &p.members[i]
		if !present.has(i) {
			if m.required {
				c.addMissing(m, i)
			}
			continue
		}
		if m.checked {
			c.member(m, i, v.FieldByIndex(m.index))
		}
	}
}

func (c *checker) member(m *member, i int, f reflect.Value) {
	v, _ := m.value(f)
	for _, text := range m.limits.violated(m.kind, v) {
		c.add(i, m.lower, shown(m, v), text)
	}
	if m.kind != kindList || !m.item.limits.any() {
		return
	}
	for k := range v.Len() {
		if len(m.item.limits.violated(m.item.kind, v.Index(k))) > 0 {
			c.add(i, m.lower, shown(m, v), "Member must satisfy constraint: ["+strings.Join(m.item.limits.all(), ", ")+"]")
			return
		}
	}
}

// addMissing words a missing member: that of a secret does not even say null (spec 10 PROTO-34).
func (c *checker) addMissing(m *member, i int) {
	what := "null "
	if m.kind == kindSecretBlob || m.kind == kindSecretText {
		what = ""
	}
	c.add(i, m.lower, what, "Member must not be null")
}

// refused adds the violation of an unknown member that must not be ignored. It comes after those of the known ones.
func (c *checker) refused(name string) {
	c.add(maxMembers, lowerFirst(cut(name)), "", notSupported)
}

// shown returns the value as a message shows it, quoted and with a space behind, or nothing (PROTO-34).
func shown(m *member, v reflect.Value) string {
	if m.hidden {
		return ""
	}
	switch m.kind {
	case kindString:
		return "'" + cut(v.String()) + "' "
	case kindInt, kindUint:
		return fmt.Sprintf("'%v' ", v)
	case kindList:
		if m.item.kind == kindString || m.item.kind == kindInt || m.item.kind == kindUint {
			return "'" + shownList(v) + "' "
		}
	}
	return ""
}

func shownList(v reflect.Value) string {
	var b strings.Builder
	for k := range v.Len() {
		if k > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v.Index(k))
		if b.Len() > maxEcho {
			break
		}
	}
	return "[" + cut(b.String()) + "]"
}

func cut(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

func (c *checker) add(position int, lower, what, constraint string) {
	c.total++
	if c.listed > maxListed {
		return
	}
	v := violation{place: make([]int, 0, 2*len(c.steps)+1)}
	var path strings.Builder
	for _, s := range c.steps {
		v.place = append(v.place, s.position, s.item)
		path.WriteString(s.lower)
		if s.item > 0 {
			path.WriteString("." + strconv.Itoa(s.item) + ".member")
		}
		path.WriteByte('.')
	}
	v.place = append(v.place, position)
	v.text = "Value " + what + "at '" + path.String() + lower + "' failed to satisfy constraint: " + constraint
	c.listed += len(v.text)
	c.bad = append(c.bad, v)
}

// result words the message (PROTO-33), nil without violations. The order is that of the model, not that of the body.
func (c *checker) result() *ValidationError {
	if c.total == 0 {
		return nil
	}
	slices.SortStableFunc(c.bad, func(a, b violation) int { return slices.CompareFunc(a.place, b.place, cmp.Compare) })
	texts := make([]string, len(c.bad))
	for i, v := range c.bad {
		texts[i] = v.text
	}
	head := strconv.Itoa(c.total) + " validation errors detected: "
	if c.total == 1 {
		head = "1 validation error detected: "
	}
	return &ValidationError{Message: head + strings.Join(texts, "; "), Count: c.total}
}

// deep checks a structure and all inside it, taking what is there for what was sent.
func (c *checker) deep(p *plan, v reflect.Value) {
	var present presence
	for i := range p.members {
		m := &p.members[i]
		inner, ok := m.value(v.FieldByIndex(m.index))
		if !ok {
			continue
		}
		present |= 1 << i
		c.inside(m, i, inner)
	}
	c.members(p, v, present)
}

func (c *checker) inside(m *member, i int, v reflect.Value) {
	if m.kind == kindStruct {
		c.steps = append(c.steps, step{m.lower, i, 0})
		c.deep(m.sub, v)
		c.steps = c.steps[:len(c.steps)-1]
	}
	if m.kind != kindList || m.item.kind != kindStruct {
		return
	}
	for k := range v.Len() {
		c.steps = append(c.steps, step{m.lower, i, k + 1})
		c.deep(m.item.sub, v.Index(k))
		c.steps = c.steps[:len(c.steps)-1]
	}
}
