package shape

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Pair is one entry of an encryption context.
type Pair struct{ Key, Value string }

// EncryptionContext is a set of string pairs in canonical form: sorted by the bytes of the key, no key twice (spec 01 CTX-01
// to CTX-08). The zero value is an absent context; it reads like an empty one, and only IsSet tells them apart, which matters
// in grant constraints: "equals {}" allows no pair, no constraint allows all. Values are immutable and may be shared.
type EncryptionContext struct {
	pairs []Pair // nil: absent
}

// NewEncryptionContext makes a context of pairs in any order; it owns the slice from now on. It fails on a duplicate key,
// since two readings of one context must not exist (spec 10 PROTO-08). Without pairs the context is present and empty.
func NewEncryptionContext(pairs []Pair) (EncryptionContext, error) {
	if pairs == nil {
		pairs = []Pair{}
	}
	if !slices.IsSortedFunc(pairs, byKey) {
		slices.SortFunc(pairs, byKey)
	}
	for i := 1; i < len(pairs); i++ {
		if pairs[i].Key == pairs[i-1].Key {
			return EncryptionContext{}, fmt.Errorf("shape: encryption context has the key %q twice; send each key once", pairs[i].Key)
		}
	}
	return EncryptionContext{pairs: pairs}, nil
}

// EncryptionContextOf makes a context of a map. A nil map gives an absent one.
func EncryptionContextOf(m map[string]string) EncryptionContext {
	if m == nil {
		return EncryptionContext{}
	}
	pairs := make([]Pair, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, Pair{k, v})
	}
	slices.SortFunc(pairs, byKey)
	return EncryptionContext{pairs: pairs}
}

func byKey(a, b Pair) int { return strings.Compare(a.Key, b.Key) }

// IsSet tells a present context, even an empty one, from an absent one.
func (c EncryptionContext) IsSet() bool { return c.pairs != nil }

// Len returns the number of pairs.
func (c EncryptionContext) Len() int { return len(c.pairs) }

// Get returns the value of a key, compared exactly, and whether the key is there.
func (c EncryptionContext) Get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(c.pairs, key, func(p Pair, k string) int { return strings.Compare(p.Key, k) })
	if !ok {
		return "", false
	}
	return c.pairs[i].Value, true
}

// Pairs yields key and value, sorted by key.
func (c EncryptionContext) Pairs() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range c.pairs {
			if !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

// At returns pair i in key order, 0 <= i < Len(): for hot loops that would pay for an iterator.
func (c EncryptionContext) At(i int) Pair { return c.pairs[i] }

// Map returns a copy as a map, nil if the context is absent.
func (c EncryptionContext) Map() map[string]string {
	if c.pairs == nil {
		return nil
	}
	m := make(map[string]string, len(c.pairs))
	for _, p := range c.pairs {
		m[p.Key] = p.Value
	}
	return m
}

// Equal reports whether both have the same pairs, case-sensitively; an absent and an empty context are equal (CTX-03, CTX-08).
func (c EncryptionContext) Equal(o EncryptionContext) bool { return slices.Equal(c.pairs, o.pairs) }

// Contains reports whether every pair of o is in c, case-sensitively: what the grant constraint EncryptionContextSubset asks
// of a request's context c (CTX-10).
func (c EncryptionContext) Contains(o EncryptionContext) bool {
	for _, p := range o.pairs {
		if v, ok := c.Get(p.Key); !ok || v != p.Value {
			return false
		}
	}
	return true
}
