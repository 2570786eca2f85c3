package policy

import "strings"

// Context yields the values of condition keys for one authorization check, that is for one (permission, resource) pair
// (spec 05 CND-08). It is asked only for keys that a statement under evaluation reads, and only for those that the operation
// has ([Permission.Keys]); everything may be computed on demand. The same key must always give the same values.
type Context interface {
	Lookup(k *Key) Values
}

// Values are the values of one condition key in a request. The zero Values is an absent key. It is three words, since every
// condition passes one through several calls.
type Values struct {
	one string
	set *valueSet
}

// valueSet says what Values hold: nil is absent, &oneValue the one value, &voidValue no trustworthy value, anything else a list.
type valueSet struct{ list []string }

var oneValue, voidValue valueSet // compared by address, never written

// Absent is the key that the request does not have (or has as null).
func Absent() Values { return Values{} }

// One is a key with one value. Numbers are decimal text, times ISO 8601 or epoch seconds, booleans "true" and "false",
// binary values the bytes themselves.
func One(v string) Values { return Values{one: v, set: &oneValue} }

// Flag is a boolean key.
func Flag(v bool) Values {
	if v {
		return One("true")
	}
	return One("false")
}

// NonEmpty is One(v), or Absent() if v is empty: for parameters that nobody sends empty.
func NonEmpty(v string) Values {
	if v == "" {
		return Absent()
	}
	return One(v)
}

// Many is a multi-valued key. No values at all mean an absent key (spec 05 SET-04). The slice is kept and not changed.
func Many(v []string) Values {
	if len(v) == 0 {
		return Absent()
	}
	return Values{set: &valueSet{v}}
}

// Void is a key whose values must not be trusted: it fails every condition of an Allow and satisfies every condition of a
// Deny (kms:ResourceAliases of a key with too many aliases, spec 05 KCK-13).
func Void() Values { return Values{set: &voidValue} }

// IsAbsent tells whether the request does not have the key.
func (v Values) IsAbsent() bool { return v.set == nil }

// IsVoid tells whether the values must not be trusted.
func (v Values) IsVoid() bool { return v.set == &voidValue }

// Len returns the number of values, 0 if absent or void.
func (v Values) Len() int {
	switch v.set {
	case nil:
		return 0
	case &oneValue:
		return 1
	}
	return len(v.set.list)
}

// At returns value i, 0 <= i < Len().
func (v Values) At(i int) string {
	if v.set == &oneValue {
		return v.one
	}
	return v.set.list[i]
}

// Strings returns the values as a new slice, for explanations and tests.
func (v Values) Strings() []string {
	s := make([]string, v.Len())
	for i := range s {
		s[i] = v.At(i)
	}
	return s
}

// Pairs are string pairs in a stable order: an encryption context, tags. A type that wraps the caller's own slice costs
// nothing.
type Pairs interface {
	Len() int
	Pair(i int) (key, value string)
}

// Lookup collects the values whose key equals a condition key's variable part. Pairs whose keys differ only in case collide
// on one condition key; all their values are returned (spec 05 KCK-05).
func Lookup(p Pairs, variable string) Values {
	if p == nil {
		return Absent()
	}
	found := Absent()
	for i := range p.Len() {
		key, value := p.Pair(i)
		if !EqualKeys(key, variable) {
			continue
		}
		switch {
		case found.IsAbsent():
			found = One(value)
		default:
			found = Many(append(found.Strings(), value))
		}
	}
	return found
}

// EqualKeys compares an encryption context or tag key with a condition key's variable part, as condition keys are compared:
// without regard to case (spec 05 CND-04).
func EqualKeys(key, variable string) bool {
	return len(key) == len(variable) && key == variable || strings.EqualFold(key, variable)
}

// PairKeys returns the keys of p, as kms:EncryptionContextKeys and aws:TagKeys have them.
func PairKeys(p Pairs) Values {
	if p == nil || p.Len() == 0 {
		return Absent()
	}
	keys := make([]string, p.Len())
	for i := range keys {
		keys[i], _ = p.Pair(i)
	}
	return Many(keys)
}

// MapPairs are the pairs of a map, sorted by key; for tests, simulations and other callers that count no allocations.
func MapPairs(m map[string]string) Pairs {
	if len(m) == 0 {
		return nil
	}
	p := make(sortedPairs, 0, len(m))
	for k, v := range m {
		p = append(p, [2]string{k, v})
	}
	p.sort()
	return p
}

// MapContext is a context of fixed values, for simulations and tests. [NewMapContext] makes one.
type MapContext map[string][]string

// NewMapContext makes a context of condition keys in any case. A key without values is absent.
func NewMapContext(values map[string][]string) MapContext {
	c := make(MapContext, len(values))
	for name, v := range values {
		k := newKey(name)
		c[k.Name] = append(c[k.Name], v...)
	}
	return c
}

// Lookup returns the values of a key.
func (c MapContext) Lookup(k *Key) Values { return Many(c[k.Name]) }
