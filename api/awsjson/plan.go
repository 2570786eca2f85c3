package awsjson

import (
	"reflect"

	"github.com/trentkms/trent/region/shape"
)

// kind is how a value looks on the wire and in Go.
type kind uint8

const (
	kindString kind = iota + 1 // string and named string types
	kindBool
	kindInt  // int32, int64
	kindUint // uint64
	kindTime
	kindBlob
	kindSecretBlob // base64 on the wire
	kindSecretText // plain text on the wire
	kindContext
	kindStruct
	kindList
)

// kindNames name a kind in messages of SerializationErrors and in Member.Kind.
var kindNames = [...]string{
	kindString: "String", kindBool: "Boolean", kindInt: "Integer", kindUint: "Integer", kindTime: "Timestamp", kindBlob: "Blob",
	kindSecretBlob: "Blob", kindSecretText: "String", kindContext: "Map", kindStruct: "Structure", kindList: "List",
}

// node says how one value is read, checked and written. Immutable after Compile.
type node struct {
	kind   kind
	goType reflect.Type // of the value itself, inside Opt or pointer
	opt    bool         // the Go type is shape.Opt[goType]
	ptr    bool         // the Go type is *goType
	limits limits
	item   *node // of a list
	sub    *plan // of a structure
}

// limits are the constraints on one value; no is shape.Unbounded.
type limits struct {
	lenMin, lenMax     int64
	rangeMin, rangeMax int64
	sizeMin, sizeMax   int64
	pattern            *pattern
	enum               []string // allowed values
	enumShown          []string // as messages list them
}

var noLimits = limits{
	lenMin: shape.Unbounded, lenMax: shape.Unbounded, rangeMin: shape.Unbounded, rangeMax: shape.Unbounded,
	sizeMin: shape.Unbounded, sizeMax: shape.Unbounded,
}

func (l *limits) any() bool {
	return l.lenMin >= 0 || l.lenMax >= 0 || l.rangeMin >= 0 || l.rangeMax >= 0 || l.sizeMin >= 0 || l.sizeMax >= 0 ||
		l.pattern != nil || l.enum != nil
}

// member is one field of a structure.
type member struct {
	node
	name     string // as on the wire
	lower    string // as in messages and audit records: first letter lowered (spec 10 PROTO-35, spec 03 AUD-13)
	key      []byte // `"name":` for the encoder
	lowerKey []byte // `"lower":` for the audit
	typeName string // of the tag `is`
	index    []int  // of the Go field; more than one within inline structures
	required bool
	hidden   bool
	checked  bool          // has constraints of its own
	def      reflect.Value // valid: the default
}

// plan is a compiled structure.
type plan struct {
	goType    reflect.Type
	pointer   reflect.Type // *goType
	members   []member
	refuseAll bool     // unknown members are violations
	refuse    []string // these unknown members are
}

// maxMembers bounds a structure, so that the set of present members fits in one word.
const maxMembers = 64

// presence is the set of members that were there, by position.
type presence uint64

func (p presence) has(i int) bool { return p&(1<<i) != 0 }

// find returns the position of the member with that name, or -1. Clients tend to send members in a fixed order, so the search
// starts where the last one was found.
func (p *plan) find(name []byte, from int) int {
	n := len(p.members)
	for k := range n {
		i := from + k
		if i >= n {
			i -= n
		}
		if p.members[i].name == string(name) {
			return i
		}
	}
	return -1
}

// refuses reports whether an unknown member of that name is a violation.
func (p *plan) refuses(name []byte) bool {
	if p.refuseAll {
		return true
	}
	for _, r := range p.refuse {
		if r == string(name) {
			return true
		}
	}
	return false
}

// value returns the place of a member's value inside its field, and whether the field holds one. Only for reading.
func (n *node) value(f reflect.Value) (reflect.Value, bool) {
	switch {
	case n.opt:
		return f.Field(0), f.Field(1).Bool()
	case n.ptr:
		return f.Elem(), !f.IsNil()
	}
	switch n.kind {
	case kindBlob, kindList:
		return f, !f.IsNil()
	case kindSecretBlob, kindSecretText:
		return f, f.Addr().Interface().(*shape.Secret).IsSet()
	case kindContext:
		return f, f.Addr().Interface().(*shape.EncryptionContext).IsSet()
	}
	return f, true
}

// place makes the field hold a value and returns its place, to be filled.
func (n *node) place(f reflect.Value) reflect.Value {
	switch {
	case n.opt:
		f.Field(1).SetBool(true)
		return f.Field(0)
	case n.ptr:
		f.Set(reflect.New(n.goType))
		return f.Elem()
	}
	return f
}
