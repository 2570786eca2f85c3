package check

import (
	"fmt"
	"maps"
	"slices"
)

// Digest is the digest of a node's state at an index of its log.
type Digest struct {
	Region, Node string
	Index        uint64
	Sum          string
}

// Digests holds that nodes of a region have the same state at the same index. Each node must have been seen at an index at which
// another was seen as well.
func Digests(all []Digest) []Anomaly {
	f := &finding{workload: DigestsName}
	at := make(map[string][]Digest)
	nodes, compared := make(map[string]bool), make(map[string]bool)
	for _, d := range all {
		place := fmt.Sprintf("%s at index %d", d.Region, d.Index)
		at[place] = append(at[place], d)
		nodes[d.Region+" "+d.Node] = true
	}
	for _, place := range slices.Sorted(maps.Keys(at)) {
		same := at[place]
		for _, d := range same {
			if d.Node != same[0].Node {
				compared[d.Region+" "+d.Node], compared[d.Region+" "+same[0].Node] = true, true
			}
			if d.Sum != same[0].Sum {
				f.add(nil, "%s: the state of %s has digest %s, that of %s %s", place, d.Node, d.Sum, same[0].Node, same[0].Sum)
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		if !compared[node] {
			f.add(nil, "the state of %s was never seen at the index of another node", node)
		}
	}
	return f.all
}
