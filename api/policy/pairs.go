package policy

import (
	"slices"
	"strings"
)

type sortedPairs [][2]string

func (p sortedPairs) sort() {
	slices.SortFunc(p, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
}

func (p sortedPairs) Len() int { return len(p) }

func (p sortedPairs) Pair(i int) (key, value string) { return p[i][0], p[i][1] }

// find returns the value of a key, compared exactly.
func find(p Pairs, key string) (string, bool) {
	if p == nil {
		return "", false
	}
	for i := range p.Len() {
		if k, v := p.Pair(i); k == key {
			return v, true
		}
	}
	return "", false
}

func pairCount(p Pairs) int {
	if p == nil {
		return 0
	}
	return p.Len()
}

// samePairs tells whether two sets of pairs are equal, in whatever order.
func samePairs(a, b Pairs) bool { return pairCount(a) == pairCount(b) && containsPairs(a, b) }

// containsPairs tells whether every pair of b is in a.
func containsPairs(a, b Pairs) bool {
	for i := range pairCount(b) {
		k, v := b.Pair(i)
		if got, ok := find(a, k); !ok || got != v {
			return false
		}
	}
	return true
}
