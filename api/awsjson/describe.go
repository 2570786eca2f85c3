package awsjson

// Member describes a member of a shape: its place on the wire and every constraint, so that a test can hold the table of
// operations against the published model.
type Member struct {
	Name     string // on the wire
	Type     string // the name of the model's type given by the tag `is`, or ""
	Kind     string // String, Boolean, Integer, Timestamp, Blob, Map, Structure or List
	Required bool
	Secret   bool // the Go type is shape.Secret
	Hidden   bool
	Optional bool   // can be absent in Go
	Default  string // as JSON, if HasDefault
	// HasDefault tells a default "" from none.
	HasDefault bool
	// Constraint is that of the value, of a list or map its number of items.
	Constraint Constraint
	// Item describes the items of a list, nil otherwise. Only Kind, Secret, Constraint and Members are filled.
	Item *Member
	// Members are those of a structure.
	Members []Member
}

// Constraint is what a value has to satisfy. Bounds are inclusive, shape.Unbounded where there is none: characters, bytes, items
// or the value, according to the kind.
type Constraint struct {
	Min, Max int64
	Pattern  string
	Enum     []string // allowed values; nil: any
	// EnumMessage is what messages list in place of Enum.
	EnumMessage []string
}

// Members describes the shape's members in the order of their declaration.
func (s *Shape) Members() []Member { return s.plan.describe() }

func (p *plan) describe() []Member {
	list := make([]Member, len(p.members))
	for i := range p.members {
		m := &p.members[i]
		list[i] = m.node.describe()
		list[i].Name, list[i].Type = m.name, m.typeName
		list[i].Required, list[i].Hidden = m.required, m.hidden
		if m.def.IsValid() {
			list[i].HasDefault = true
			list[i].Default = string(answer.value(nil, &m.node, m.def))
		}
	}
	return list
}

func (n *node) describe() Member {
	m := Member{
		Kind:       kindNames[n.kind],
		Secret:     n.kind == kindSecretBlob || n.kind == kindSecretText,
		Optional:   n.opt || n.ptr || n.kind >= kindBlob && n.kind != kindStruct,
		Constraint: n.limits.describe(n.kind),
	}
	if n.item != nil {
		item := n.item.describe()
		m.Item = &item
	}
	if n.sub != nil {
		m.Members = n.sub.describe()
	}
	return m
}

func (l *limits) describe(k kind) Constraint {
	c := Constraint{Min: l.lenMin, Max: l.lenMax, Enum: l.enum, EnumMessage: l.enumShown}
	switch k {
	case kindInt, kindUint:
		c.Min, c.Max = l.rangeMin, l.rangeMax
	case kindList, kindContext:
		c.Min, c.Max = l.sizeMin, l.sizeMax
	}
	if l.pattern != nil {
		c.Pattern = l.pattern.source
	}
	return c
}
