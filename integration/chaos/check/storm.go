package check

import (
	"cmp"
	"slices"

	"github.com/trentkms/trent/integration/chaos/history"
)

// element is a member of a set: when it came and when it went.
type element struct {
	add, remove *history.Op // nil if there was none
}

// Storm judges sets that are listed while they change: keys, aliases, grants, tags. A walk over all pages shows each element that was
// there from before its start until after its end exactly once, none twice, and none that was not there at any time of the walk.
//
// The Key of an operation is the set. Operations: those with In item add it; those with In gone remove it; those with In walk show Out
// items, joined. Every item is added at most once: items that a client names carry its name, others the id that the service chose
// (Out item). Neither adding nor
// removing is refused, but for a full quota, and for the removal of what may never have been added.
//
// Creations of keys carry In nonce, which their description holds. At the end the keys that no answer named are described (DescribeKey,
// Out nonce): an acknowledged key has no second one beside it, a call of unknown outcome made one at most, a refused one none.
func Storm(ops []history.Op) []Anomaly {
	f := &finding{workload: StormName}
	mine := of(StormName, ops)
	for name, part := range partition(mine, byKey) {
		f.walks(name, part)
	}
	f.created(mine)
	slices.SortFunc(f.all, func(a, b Anomaly) int { return cmp.Compare(a.Text, b.Text) })
	return f.all
}

func (f *finding) walks(set string, part []history.Op) {
	elements := make(map[string]element)
	for i := range part {
		op := &part[i]
		if item := cmp.Or(op.In["item"], op.Out["item"]); item != "" {
			// Creations of unknown outcome may fill a quota that the workload keeps away from otherwise.
			if op.Outcome == history.Refused && op.Error != limit && op.Error != tooManyTags {
				f.add([]history.Op{*op}, "refused without a reason: %s", describe(op))
				continue
			}
			elements[item] = element{op, elements[item].remove}
		}
		if item := op.In["gone"]; item != "" && op.Outcome != history.Refused {
			elements[item] = element{elements[item].add, op}
		}
	}
	for i := range part {
		op := &part[i]
		if op.In["gone"] == "" || op.Outcome != history.Refused {
			continue
		}
		if add := elements[op.In["gone"]].add; add == nil || add.Outcome == history.OK {
			f.add([]history.Op{*op}, "refused although it was there: %s", describe(op))
		}
	}
	for i := range part {
		if op := &part[i]; op.In["walk"] != "" && op.Outcome == history.OK {
			f.walk(set, op, elements)
		}
	}
}

func (f *finding) walk(set string, walk *history.Op, elements map[string]element) {
	seen := make(map[string]bool)
	for _, item := range words(walk.Out["items"]) {
		if seen[item] {
			f.add([]history.Op{*walk}, "%s: a walk shows %s twice", set, item)
		}
		seen[item] = true
		e, known := elements[item]
		switch {
		case !known || e.add == nil:
			// Made outside of the recorded history: by the set-up, or by another workload.
		case e.add.Call > walk.Return:
			f.add([]history.Op{*e.add, *walk}, "%s: a walk shows %s before it was made", set, item)
		case e.remove != nil && e.remove.Outcome == history.OK && e.remove.Return < walk.Call:
			f.add([]history.Op{*e.remove, *walk}, "%s: a walk shows %s after it was removed", set, item)
		}
	}
	for item, e := range elements {
		stable := e.add != nil && e.add.Outcome == history.OK && e.add.Return < walk.Call && (e.remove == nil || e.remove.Call > walk.Return)
		if stable && !seen[item] {
			f.add([]history.Op{*e.add, *walk}, "%s: a walk misses %s", set, item)
		}
	}
}

// created holds that each creation took effect as often as its answer says.
func (f *finding) created(mine []history.Op) {
	found := make(map[string]map[string]bool) // nonce -> ids
	final := false
	for i := range mine {
		if op := &mine[i]; op.Kind == "DescribeKey" && op.Outcome == history.OK && op.Out["nonce"] != "" {
			final = true
			ids := found[op.Out["nonce"]]
			if ids == nil {
				ids = make(map[string]bool)
				found[op.Out["nonce"]] = ids
			}
			ids[op.Key] = true
		}
	}
	if !final {
		return
	}
	for i := range mine {
		op := &mine[i]
		nonce := op.In["nonce"]
		if op.Kind != "CreateKey" || nonce == "" {
			continue
		}
		ids := found[nonce]
		n := len(ids)
		if item := op.Out["item"]; op.Outcome == history.OK && !ids[item] {
			n++ // known to be there, or missed by a walk
		}
		delete(found, nonce)
		switch {
		case n > 1:
			f.add([]history.Op{*op}, "%d keys exist of one call: %s", n, describe(op))
		case (op.Outcome == history.Refused || op.Outcome == history.Failed) && n > 0:
			f.add([]history.Op{*op}, "a key exists that was refused or never asked for: %s", describe(op))
		}
	}
	for nonce, ids := range found {
		f.add(nil, "%d keys with the description %s, which nobody asked for", len(ids), nonce)
	}
}
