package check

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/trentkms/trent/integration/chaos/history"
)

// What the harness notes of a region that was lost and restored from an older state. Such operations are no calls.
const (
	// RegionRestored begins when the snapshot was asked for and ends when the last node of the region had ended.
	RegionRestored = "RegionRestored"
	// RegionAlone lasts while the region serves again and has heard from no other one.
	RegionAlone = "RegionAlone"
)

// takenBack is what may follow from a restore: that the region gave the primary away is forgotten, since nobody else had learned of it.
const takenBack = "TakenBack"

// marks are the notes of a kind, in their order.
func marks(ops []history.Op, kind string) []history.Op {
	all := slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return op.Kind != kind })
	slices.SortFunc(all, func(a, b history.Op) int { return int(a.Call - b.Call) })
	return all
}

// withoutLost leaves out what regions say of keys that they may have lost: such as no one saw there before the snapshot was asked for. What
// a key is in a region, its policy among it, is that region's own, so that the key does not come back there by itself.
func withoutLost(ops, restores []history.Op) []history.Op {
	type place struct{ key, region string }
	for _, r := range restores {
		kept := make(map[place]bool) // keys that the snapshot has, and those that were made afterwards
		for i := range ops {
			op := &ops[i]
			made := op.Kind == "CreateKey" && op.Outcome == history.OK
			if op.Region == r.Region && op.Return < r.Call && (made || showsKey(op)) || made && op.Call > r.Return {
				kept[place{op.Key, r.Region}] = true
			}
		}
		ops = slices.DeleteFunc(ops, func(op history.Op) bool {
			return op.Key != "" && op.Region == r.Region && op.Return > r.Return && !kept[place{op.Key, op.Region}]
		})
	}
	return ops
}

// showsKey tells that the region which was asked has the key.
func showsKey(op *history.Op) bool {
	return op.Outcome == history.OK && (op.Kind == "DescribeKey" && op.Out["state"] == "Enabled" || op.Kind == "Encrypt" || op.Kind == "Decrypt")
}

// lateEncryption finds what a restored region has encrypted before it knew what the others know of a key that they have.
func (f *finding) lateEncryption(parts map[string][]history.Op, alone []history.Op) {
	for _, a := range alone {
		for _, key := range slices.Sorted(maps.Keys(parts)) {
			part := parts[key]
			elsewhere := slices.ContainsFunc(part, func(op history.Op) bool { return op.Region != a.Region && op.Return < a.Call && showsKey(&op) })
			for i := range part {
				if op := &part[i]; elsewhere && op.Kind == "Encrypt" && op.Outcome == history.OK && op.Region == a.Region && op.Call >= a.Call && op.Return <= a.Return {
					f.add([]history.Op{*op}, "%s: encrypted by a restored region that has heard from nobody: %s", key, describe(op))
				}
			}
		}
	}
}

// leavingAlone judges each region's own states of keys. A restore takes a region back to some state before; what was asked before and
// answered after it may have been done in either life, or in both.
func (f *finding) leavingAlone(ops, restores []history.Op) {
	parts := partition(ops, leavingPlace)
	again := make(map[string][]history.Op)
	for name, part := range parts {
		lives := [][]history.Op{part}
		for _, r := range restores {
			if len(part) > 0 && part[0].Region == r.Region {
				last := len(lives) - 1
				before, after := lifeBefore(lives[last], r.Return)
				lives = append(lives[:last], before, after)
			}
		}
		parts[name] = lives[0]
		for i, life := range lives[1:] {
			again[fmt.Sprintf("%s after restore %d", name, i+1)] = life
		}
	}
	begin := func(state string) func(string, []history.Op) machine[string] {
		return func(string, []history.Op) machine[string] { return machine[string]{state, stepLeaving} }
	}
	linearizable(f, parts, begin(enabled))
	for _, name := range slices.Sorted(maps.Keys(again)) {
		var first *finding
		for _, state := range []string{enabled, leaving, idle} {
			one := &finding{workload: f.workload}
			linearizable(one, map[string][]history.Op{name: again[name]}, begin(state))
			if len(one.all) == 0 {
				first = nil
				break
			}
			if first == nil {
				first = one
			}
		}
		if first != nil {
			f.all = append(f.all, first.all...)
		}
	}
}

// lifeBefore parts operations by the end of a life.
func lifeBefore(ops []history.Op, end int64) (before, after []history.Op) {
	for _, op := range ops {
		switch {
		case op.Return <= end:
			before = append(before, op)
			continue
		case op.Call < end && op.In["read"] == "":
			lost := op
			lost.Outcome, lost.Return, lost.Out = history.Unknown, math.MaxInt64, nil
			before = append(before, lost)
		}
		after = append(after, op)
	}
	return before, after
}
