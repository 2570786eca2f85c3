package check

import (
	"maps"
	"slices"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Regions judges multi-Region keys: at no moment do two regions believe they hold the primary; what was encrypted in one region opens
// in every other that holds the key; and after the end all regions tell the same.
//
// Operations: CreateKey (the primary is in its region); UpdatePrimaryRegion (In to), sent to any region; DescribeKey (Out type,
// PRIMARY or REPLICA); Decrypt (In plaintext, Out plaintext), sent to a region that is known to hold the key. Operations with In final
// were made when nothing was under way any more: of those, Out shared (what the regions share, in one text) is equal in all regions,
// and none fails.
func Regions(ops []history.Op) []Anomaly {
	f := &finding{workload: RegionsName}
	parts := partition(of(RegionsName, ops), byKey)
	linearizable(f, parts, func(string, []history.Op) machine[string] { return machine[string]{"", stepPrimary} })
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		f.converged(key, parts[key])
	}
	return f.all
}

// stepPrimary is the machine of the claim to be primary. A region that calls itself a replica may be late; one that calls itself
// primary may not.
func stepPrimary(primary string, op *history.Op) (bool, string) {
	switch op.Kind {
	case "CreateKey":
		return judge(op, primary, op.Region, "", true)
	case "UpdatePrimaryRegion":
		switch {
		case op.Outcome == history.Refused: // not primary here, or a change is under way
			return true, primary
		case op.Outcome == history.OK && primary != op.Region:
			return false, primary
		case primary == op.Region:
			return true, op.In["to"]
		}
		return true, primary
	case "DescribeKey":
		return op.Outcome != history.OK || op.Out["type"] != "PRIMARY" || primary == op.Region, primary
	}
	return true, primary
}

// converged compares what the regions tell at the end, and looks at openings.
func (f *finding) converged(key string, part []history.Op) {
	var first *history.Op
	for i := range part {
		op := &part[i]
		switch {
		case op.Kind == "Decrypt" && op.Outcome == history.Refused:
			f.add([]history.Op{*op}, "%s: an acknowledged ciphertext is refused: %s", key, describe(op))
		case op.Kind == "Decrypt" && op.Outcome == history.OK && op.Out["plaintext"] != op.In["plaintext"]:
			f.add([]history.Op{*op}, "%s: opened to something else: %s", key, describe(op))
		case op.Kind == "DescribeKey" && op.In["final"] != "" && op.Outcome != history.OK:
			f.add([]history.Op{*op}, "%s: not described by a healed region: %s", key, describe(op))
		case op.Kind == "DescribeKey" && op.In["final"] != "" && first == nil:
			first = op
		case op.Kind == "DescribeKey" && op.In["final"] != "" && op.Out["shared"] != first.Out["shared"]:
			f.add([]history.Op{*first, *op}, "%s: regions differ after the end: %q in %s, %q in %s", key, first.Out["shared"], first.Region, op.Out["shared"], op.Region)
		}
	}
}
