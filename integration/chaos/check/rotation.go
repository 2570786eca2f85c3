package check

import (
	"slices"
	"strings"

	"github.com/trentkms/trent/integration/chaos/history"
)

// MaxOnDemandRotations is the quota of on-demand rotations of a key.
const MaxOnDemandRotations = 25

// Rotation judges the materials of keys that are rotated on demand: they only append, each acknowledged rotation appends exactly one,
// and what encrypts or is described uses the newest.
//
// Operations: RotateKeyOnDemand; ListKeyRotations (Out materials, oldest first, joined); Decrypt (In material, Out material), which
// must work for every material; any other kind shows the current material (Out material). The longest list seen is the order of
// materials; the workload asks each node for one at the end.
func Rotation(ops []history.Op) []Anomaly {
	f := &finding{workload: RotationName}
	linearizable(f, partition(of(RotationName, ops), byKey), func(name string, part []history.Op) machine[int] {
		order := longest(part)
		if len(order) == 0 {
			f.add(nil, "%s: no list of its materials was read", name)
		}
		if slices.Contains(order, "") || len(slices.Compact(slices.Sorted(slices.Values(order)))) != len(order) {
			f.add(nil, "%s: its materials repeat: %v", name, order)
		}
		f.rotationCounts(name, part, len(order)-1)
		return machine[int]{0, func(i int, op *history.Op) (bool, int) { return stepMaterial(order, i, op) }}
	})
	return f.all
}

// rotationCounts holds that there are as many rotations as were acknowledged, and at most those of unknown outcome more.
func (f *finding) rotationCounts(name string, part []history.Op, rotations int) {
	acknowledged, unknown := 0, 0
	for i := range part {
		if part[i].Kind == "RotateKeyOnDemand" {
			switch part[i].Outcome {
			case history.OK:
				acknowledged++
			case history.Unknown:
				unknown++
			}
		}
	}
	if rotations < acknowledged || rotations > acknowledged+unknown {
		f.add(nil, "%s: %d rotations; %d were acknowledged and %d more may have happened", name, rotations, acknowledged, unknown)
	}
}

// longest is the longest list of materials that was read.
func longest(part []history.Op) (order []string) {
	for i := range part {
		if part[i].Kind == "ListKeyRotations" && part[i].Outcome == history.OK {
			if list := words(part[i].Out["materials"]); len(list) > len(order) {
				order = list
			}
		}
	}
	return order
}

// stepMaterial is the machine of one key: i is the index of its current material.
func stepMaterial(order []string, i int, op *history.Op) (bool, int) {
	if len(order) == 0 {
		return true, i
	}
	switch op.Kind {
	case "RotateKeyOnDemand":
		code := ""
		if i >= MaxOnDemandRotations {
			code = limit
		}
		if op.Outcome == history.Unknown && i+1 >= len(order) {
			return true, i
		}
		if i+1 >= len(order) && op.Outcome == history.OK {
			return false, i
		}
		return judge(op, i, i+1, code, true)
	case "ListKeyRotations":
		return judge(op, i, i, "", op.Out["materials"] == strings.Join(order[:i+1], ","))
	case "Decrypt":
		return judge(op, i, i, "", op.Out["material"] == op.In["material"])
	}
	return judge(op, i, i, "", op.Out["material"] == order[i])
}
