package awsjson

import (
	"errors"
	"fmt"
	"strings"
)

// Selection is a choice of a shape's members for the requestParameters or responseElements of audit records, made once when the
// table of operations is built. It is immutable and safe for concurrent use. A nil *Selection selects nothing.
type Selection struct {
	members []selected
	shape   *Shape
}

type selected struct {
	m   *member
	key []byte // `"name":`
}

// Select compiles a selection of members by their names on the wire, written in the order given. Their names in the record are
// lowered in the first letter (spec 03 AUD-13); "CloudHsmClusterId=clusterId" chooses another. It fails for an unknown member
// and for one that is or contains a Secret or a hidden member: those cannot get into a record (AUD-30).
func (s *Shape) Select(members ...string) (*Selection, error) {
	sel := &Selection{shape: s}
	for _, spec := range members {
		name, as, renamed := strings.Cut(spec, "=")
		i := s.plan.find([]byte(name), 0)
		if i < 0 {
			return nil, fmt.Errorf("awsjson: %v has no member %q to select for the audit", s.plan.goType, name)
		}
		m := &s.plan.members[i]
		if err := m.auditable(); err != nil {
			return nil, fmt.Errorf("awsjson: %v: member %s cannot be selected for the audit: %w", s.plan.goType, name, err)
		}
		key := m.lowerKey
		if renamed {
			key = keyOf(as)
		}
		sel.members = append(sel.members, selected{m, key})
	}
	return sel, nil
}

// MustSelect is Select for the table of operations; it panics instead of failing.
func (s *Shape) MustSelect(members ...string) *Selection {
	sel, err := s.Select(members...)
	if err != nil {
		panic(err)
	}
	return sel
}

func (m *member) auditable() error {
	if m.hidden {
		return errors.New("it is hidden")
	}
	return m.node.auditable()
}

func (n *node) auditable() error {
	switch n.kind {
	case kindSecretBlob, kindSecretText:
		return errors.New("it is a secret")
	case kindList:
		return n.item.auditable()
	case kindStruct:
		for i := range n.sub.members {
			if err := n.sub.members[i].auditable(); err != nil {
				return fmt.Errorf("%s in it: %w", n.sub.members[i].name, err)
			}
		}
	}
	return nil
}

// secretive reports whether values of the node may contain a Secret.
func (n *node) secretive() bool {
	switch n.kind {
	case kindSecretBlob, kindSecretText:
		return true
	case kindList:
		return n.item.secretive()
	case kindStruct:
		for i := range n.sub.members {
			if n.sub.members[i].secretive() {
				return true
			}
		}
	}
	return false
}

// Append appends the selected members of v, a pointer to the struct type of the shape, as a JSON object: nested structures
// whole, times as AUD-14 has them, absent members left out. If nothing remains it appends null (spec 03 AUD-28).
func (s *Selection) Append(b []byte, v any) []byte {
	if s == nil || len(s.members) == 0 {
		return append(b, "null"...)
	}
	elem := s.shape.elem(v)
	start := len(b)
	b = append(b, '{')
	first := true
	for _, m := range s.members {
		b, first = record.member(b, m.m, m.key, elem, first)
	}
	if first {
		return append(b[:start], "null"...)
	}
	return append(b, '}')
}
