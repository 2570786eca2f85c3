package awsjson

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/region/shape"
)

// Shape is the compiled form of an input or output structure. It is immutable and safe for concurrent use.
type Shape struct{ plan *plan }

// Compile compiles the struct type T. It panics if a tag is wrong: call it while the table of operations is built, never for a
// request.
func Compile[T any]() *Shape {
	s, err := CompileType(reflect.TypeFor[T]())
	if err != nil {
		panic(err)
	}
	return s
}

// CompileType is Compile for a type known at run time. The error names the field and what to change.
func CompileType(t reflect.Type) (*Shape, error) {
	p, err := compileStruct(t, nil)
	if err != nil {
		return nil, fmt.Errorf("awsjson: %v: %w", t, err)
	}
	return &Shape{p}, nil
}

// Type returns the struct type that the shape was compiled from.
func (s *Shape) Type() reflect.Type { return s.plan.goType }

func compileStruct(t reflect.Type, within []reflect.Type) (*plan, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is no struct", t)
	}
	for _, w := range within {
		if w == t {
			return nil, fmt.Errorf("%v contains itself; shapes cannot be recursive", t)
		}
	}
	p := &plan{goType: t, pointer: reflect.PointerTo(t)}
	for f := range t.Fields() {
		if err := p.addField(f, nil, append(within, t)); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	if len(p.members) > maxMembers {
		return nil, fmt.Errorf("%d members, at most %d are supported", len(p.members), maxMembers)
	}
	return p, nil
}

// addField adds the member that a field declares, or those of the structure in it if it is inline. at is where the structure is whose field
// it is.
func (p *plan) addField(f reflect.StructField, at []int, within []reflect.Type) error {
	if f.Name == "_" {
		return p.addRefusals(f.Tag)
	}
	wire, ok := f.Tag.Lookup("wire")
	switch {
	case !ok:
		return errors.New(`no wire tag; write wire:"-" to keep the field out`)
	case wire == "-":
		return nil
	case !f.IsExported():
		return errors.New("a member must be exported")
	}
	at = append(slices.Clip(at), f.Index...)
	if wire == Inline {
		return p.addInline(f.Type, at, within)
	}
	m, err := compileMember(f, wire, within)
	if err != nil {
		return err
	}
	m.index = at
	if p.find([]byte(m.name), 0) >= 0 {
		return fmt.Errorf("member %s is declared twice", m.name)
	}
	p.members = append(p.members, m)
	return nil
}

// Inline is the tag of a field whose members are those of the structure that it is in.
const Inline = ",inline"

func (p *plan) addInline(t reflect.Type, at []int, within []reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return fmt.Errorf("%v is no struct and cannot be inline", t)
	}
	for f := range t.Fields() {
		if err := p.addField(f, at, within); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return nil
}

func (p *plan) addRefusals(tag reflect.StructTag) error {
	names, ok := tag.Lookup("refuse")
	switch {
	case !ok || names == "":
		return errors.New("a blank field needs a refuse tag")
	case names == "*":
		p.refuseAll = true
	default:
		p.refuse = append(p.refuse, strings.Split(names, ",")...)
	}
	return nil
}

func compileMember(f reflect.StructField, wire string, within []reflect.Type) (member, error) {
	name, flags, _ := strings.Cut(wire, ",")
	if name == "" || lowerFirst(name) == name {
		return member{}, fmt.Errorf("member name %q does not begin with a capital letter", name)
	}
	m := member{name: name, lower: lowerFirst(name), typeName: f.Tag.Get("is")}
	m.key, m.lowerKey = keyOf(m.name), keyOf(m.lower)
	text, clear, err := m.setFlags(flags)
	if err != nil {
		return m, err
	}
	if m.node, err = compileNode(f.Type, within); err != nil {
		return m, err
	}
	if err := m.applyTags(f.Tag, text, clear); err != nil {
		return m, err
	}
	m.checked = m.limits.any() || m.item != nil && m.item.limits.any()
	return m, m.setDefault(f.Tag)
}

func keyOf(name string) []byte { return append(appendString(nil, name), ':') }

func lowerFirst(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return s
	}
	return string(s[0]+'a'-'A') + s[1:]
}

func (m *member) setFlags(flags string) (text, clear bool, err error) {
	for flag := range strings.SplitSeq(flags, ",") {
		switch flag {
		case "":
		case "required":
			m.required = true
		case "hidden":
			m.hidden = true
		case "text":
			text = true
		case "clear":
			clear = true
		default:
			return false, false, fmt.Errorf("unknown flag %q in the wire tag; known are required, hidden, text, clear", flag)
		}
	}
	return text, clear, nil
}

var (
	secretType  = reflect.TypeFor[shape.Secret]()
	blobType    = reflect.TypeFor[shape.Blob]()
	contextType = reflect.TypeFor[shape.EncryptionContext]()
	timeType    = reflect.TypeFor[time.Time]()
	enumType    = reflect.TypeFor[shape.Enum]()
)

// isOpt reports whether t is an instance of shape.Opt.
func isOpt(t reflect.Type) bool {
	return t.PkgPath() == secretType.PkgPath() && strings.HasPrefix(t.Name(), "Opt[")
}

func compileNode(t reflect.Type, within []reflect.Type) (node, error) {
	switch {
	case isOpt(t):
		n, err := compileNode(t.Field(0).Type, within)
		if err == nil && n.kind > kindTime {
			return n, fmt.Errorf("%v: Opt is for scalars; a %s tells absent from empty by itself", t, kindNames[n.kind])
		}
		n.opt = true
		return n, err
	case t.Kind() == reflect.Pointer:
		if t.Elem().Kind() != reflect.Struct || isOpt(t.Elem()) || leaf(t.Elem()) != 0 {
			return node{}, fmt.Errorf("%v: only structures are pointers; use shape.Opt for an optional scalar", t)
		}
		n, err := compileNode(t.Elem(), within)
		n.ptr = true
		return n, err
	}
	n := node{goType: t, kind: leaf(t), limits: noLimits}
	if n.kind != 0 {
		n.setEnum(t)
		return n, nil
	}
	return compileCompound(n, t, within)
}

// compileCompound compiles structures and lists.
func compileCompound(n node, t reflect.Type, within []reflect.Type) (node, error) {
	var err error
	switch t.Kind() {
	case reflect.Struct:
		n.kind = kindStruct
		n.sub, err = compileStruct(t, within)
	case reflect.Slice:
		n.kind = kindList
		var item node
		if item, err = compileNode(t.Elem(), within); err == nil && (item.opt || item.ptr || item.kind == kindList) {
			err = fmt.Errorf("%v: list items are plain values", t)
		}
		n.item = &item
	default:
		err = fmt.Errorf("type %v has no form on the wire; see package shape", t)
	}
	return n, err
}

// leaf returns the kind of a type that has no parts, else 0. A Secret counts as a blob until its tags are known.
func leaf(t reflect.Type) kind {
	switch t {
	case secretType:
		return kindSecretBlob
	case blobType:
		return kindBlob
	case contextType:
		return kindContext
	case timeType:
		return kindTime
	}
	switch t.Kind() {
	case reflect.String:
		return kindString
	case reflect.Bool:
		return kindBool
	case reflect.Int32, reflect.Int64:
		return kindInt
	case reflect.Uint64:
		return kindUint
	}
	return 0
}

func (n *node) setEnum(t reflect.Type) {
	if n.kind != kindString || !t.Implements(enumType) {
		return
	}
	zero := reflect.Zero(t).Interface()
	n.limits.enum = zero.(shape.Enum).Enum()
	n.limits.enumShown = n.limits.enum
	if m, ok := zero.(shape.EnumMessage); ok {
		n.limits.enumShown = m.EnumMessage()
	}
}

// setDefault reads the default tag and checks it like a client's value.
func (m *member) setDefault(tag reflect.StructTag) error {
	text, ok := tag.Lookup("default")
	if !ok {
		return nil
	}
	if m.required {
		return errors.New("a required member cannot have a default")
	}
	v := reflect.New(m.goType).Elem()
	var err error
	switch m.kind {
	case kindString:
		v.SetString(text)
	case kindBool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	case kindInt:
		var i int64
		i, err = strconv.ParseInt(text, 10, m.goType.Bits())
		v.SetInt(i)
	default:
		err = errors.New("only strings, integers and booleans have defaults")
	}
	if err != nil {
		return fmt.Errorf("default %q: %w", text, err)
	}
	if bad := m.limits.violated(m.kind, v); len(bad) > 0 {
		return fmt.Errorf("default %q: %s", text, bad[0])
	}
	m.def = v
	return nil
}
