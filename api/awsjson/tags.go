package awsjson

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/trentkms/trent/region/shape"
)

// applyTags reads the constraints: those of the named type first, then the tags that override them.
func (m *member) applyTags(tag reflect.StructTag, text, clear bool) error {
	typ, ok := shape.Lookup(m.typeName)
	if m.typeName != "" && !ok {
		return fmt.Errorf("is:%q names no type of package shape", m.typeName)
	}
	if m.kind == kindSecretBlob && (text || typ.Kind == shape.KindString) {
		m.kind = kindSecretText
	} else if text {
		return errors.New("flag text is for a Secret")
	}
	if m.typeName != "" {
		if err := m.applyType(typ, clear); err != nil {
			return fmt.Errorf("is:%q: %w", m.typeName, err)
		}
	}
	if m.hidden && (m.kind == kindSecretBlob || m.kind == kindSecretText) {
		return errors.New("a Secret is hidden by its type; drop the flag")
	}
	return m.applyInline(tag)
}

// applyType takes over the constraints of a named type of the model.
func (m *member) applyType(t shape.Type, clear bool) error {
	secret := m.kind == kindSecretBlob || m.kind == kindSecretText
	if t.Sensitive && !secret && !clear {
		return errors.New("the type is sensitive: make the field a shape.Secret, or flag it clear if this use of it is public")
	}
	n := &m.node
	if t.Kind == shape.KindList && t.Item != "" {
		item, ok := shape.Lookup(t.Item)
		if !ok || n.item == nil {
			return errors.New("the type is a list of constrained items, the field is not")
		}
		n.limits.sizeMin, n.limits.sizeMax = t.Min, t.Max
		t, n = item, n.item
	}
	switch {
	case t.Kind == shape.KindString && (n.kind == kindString || n.kind == kindSecretText),
		t.Kind == shape.KindBlob && (n.kind == kindBlob || n.kind == kindSecretBlob):
		n.limits.lenMin, n.limits.lenMax = t.Min, t.Max
	case t.Kind == shape.KindInteger && n.kind == kindInt:
		n.limits.rangeMin, n.limits.rangeMax = t.Min, t.Max
	default:
		return fmt.Errorf("the type does not fit a %s", kindNames[n.kind])
	}
	return n.limits.setPattern(t.Pattern)
}

func (m *member) applyInline(tag reflect.StructTag) error {
	n := &m.node
	if n.item != nil {
		n = n.item // len, pattern and range of a list are those of its items
	}
	textual := n.kind == kindString || n.kind == kindSecretText
	bounds := []struct {
		tag      string
		fits     bool
		min, max *int64
	}{
		{"len", textual || n.kind == kindBlob || n.kind == kindSecretBlob, &n.limits.lenMin, &n.limits.lenMax},
		{"range", n.kind == kindInt || n.kind == kindUint, &n.limits.rangeMin, &n.limits.rangeMax},
		{"size", m.kind == kindList || m.kind == kindContext, &m.limits.sizeMin, &m.limits.sizeMax},
	}
	for _, b := range bounds {
		s, ok := tag.Lookup(b.tag)
		if !ok {
			continue
		}
		if !b.fits {
			return fmt.Errorf("tag %s does not fit a %s", b.tag, kindNames[m.kind])
		}
		if err := parseBounds(s, b.min, b.max); err != nil {
			return fmt.Errorf("%s:%q: %w", b.tag, s, err)
		}
	}
	p, ok := tag.Lookup("pattern")
	if ok && !textual {
		return fmt.Errorf("tag pattern does not fit a %s", kindNames[m.kind])
	}
	return n.limits.setPattern(p)
}

func (l *limits) setPattern(source string) (err error) {
	if source != "" {
		l.pattern, err = newPattern(source)
	}
	return err
}

// parseBounds reads "min..max", either of which may be missing.
func parseBounds(s string, lo, hi *int64) error {
	from, to, ok := strings.Cut(s, "..")
	if !ok || from == "" && to == "" {
		return errors.New(`want "min..max", "min.." or "..max"`)
	}
	for _, b := range []struct {
		text string
		to   *int64
	}{{from, lo}, {to, hi}} {
		*b.to = shape.Unbounded
		if b.text == "" {
			continue
		}
		v, err := strconv.ParseUint(b.text, 10, 62)
		if err != nil {
			return err
		}
		*b.to = int64(v)
	}
	if *lo >= 0 && *hi >= 0 && *lo > *hi {
		return errors.New("the minimum exceeds the maximum")
	}
	return nil
}
