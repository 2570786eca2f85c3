package check

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Regions judges multi-Region keys: at no moment do two regions believe they hold the primary; what was encrypted in one region opens
// in every other that holds the key; and after the end all regions tell the same.
//
// Operations: CreateKey (the primary is in its region); UpdatePrimaryRegion (In to), ReplicateKey and RotateKeyOnDemand, sent to any
// region, of which only the primary's can succeed; DescribeKey (Out type, PRIMARY or REPLICA); Decrypt (In plaintext, Out plaintext), sent to a region that is known to hold the key. Operations with In final
// were made when nothing was under way any more: of those, Out shared (what the regions share, in one text) is equal in all regions,
// and none fails.
func Regions(ops []history.Op) []Anomaly {
	f := &finding{workload: RegionsName}
	mine := of(RegionsName, ops)
	restores := marks(mine, RegionRestored)
	mine = withoutLost(mine, restores)
	parts := partition(mine, func(op *history.Op) []string {
		if op.Key == "" {
			return nil
		}
		return []string{op.Key}
	})
	f.lateEncryption(parts, marks(mine, RegionAlone))
	for key, part := range parts {
		for _, r := range restores {
			parts[key] = append(part, history.Op{Workload: RegionsName, Client: len(mine), Region: r.Region, Kind: takenBack, Key: key, Outcome: history.Unknown, Call: r.Return, Return: math.MaxInt64})
		}
	}
	linearizable(f, parts, func(string, []history.Op) machine[claim] { return machine[claim]{claim{}, stepPrimary} })
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		f.converged(key, parts[key])
	}
	f.leavingAlone(mine, restores)
	f.unanswered(mine)
	return f.all
}

// States of a key in one region.
const (
	enabled = "enabled"
	leaving = "pending deletion"
	idle    = "disabled"
)

// leavingPlace places what is done to a key's deletion (In leaving) in the partition of its key and region: each region's is its own.
func leavingPlace(op *history.Op) []string {
	if op.In["leaving"] == "" {
		return nil
	}
	return []string{op.Key + " in " + op.Region}
}

// stepLeaving is the machine of a key's state in one region.
func stepLeaving(state string, op *history.Op) (bool, string) {
	next, code := state, ""
	if state == leaving {
		code = invalidState
	}
	switch op.Kind {
	case "ScheduleKeyDeletion":
		next = leaving
	case "CancelKeyDeletion":
		if next = idle; state == leaving {
			code = ""
		} else {
			code = invalidState
		}
	case "EnableKey":
		next = enabled
	default:
		if state == idle {
			code = disabled
		}
	}
	return judge(op, state, next, code, true)
}

// claim is which region is the primary, and where each region last gave the primary to.
type claim struct {
	primary string
	moves   string // " from>to" of each region
}

// moved is the claim after the primary gave it away.
func (c claim) moved(to string) claim {
	all := strings.Fields(c.moves)
	all = slices.DeleteFunc(all, func(m string) bool { return strings.HasPrefix(m, c.primary+">") })
	all = append(all, c.primary+">"+to)
	slices.Sort(all)
	return claim{to, strings.Join(all, " ")}
}

// gave tells whether the last region that a region gave the primary to is this one.
func (c claim) gave(from, to string) bool {
	return slices.Contains(strings.Fields(c.moves), from+">"+to)
}

// stepPrimary is the machine of the claim to be primary. A region that calls itself a replica may be late; one that calls itself
// primary may not.
//
// A region that gave the primary away answers the same change again with success until it knows that the other one has taken it over;
// by then that one may have given it to a third.
func stepPrimary(c claim, op *history.Op) (bool, claim) {
	here := c.primary == op.Region
	switch op.Kind {
	case "CreateKey":
		if op.Outcome == history.OK {
			return c.primary == "", claim{primary: op.Region}
		}
	case "UpdatePrimaryRegion":
		switch {
		case op.Outcome == history.Refused: // not primary here, or a change is under way
			return true, c
		case here:
			return true, c.moved(op.In["to"])
		case op.Outcome == history.OK:
			return c.gave(op.Region, op.In["to"]), c
		}
	case takenBack: // nobody had learned that the region gave the primary away, and it has forgotten
		if c.gave(op.Region, c.primary) {
			return true, claim{op.Region, c.moves}
		}
	case "ReplicateKey", "RotateKeyOnDemand":
		return op.Outcome != history.OK || here, c
	case "DescribeKey":
		return op.Outcome != history.OK || op.Out["type"] != "PRIMARY" || here, c
	}
	return true, c
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
		case op.In["final"] != "" && op.Outcome != history.OK:
			f.add([]history.Op{*op}, "%s: refused by a healed region: %s", key, describe(op))
		case op.Kind == "DescribeKey" && op.In["final"] != "" && first == nil:
			first = op
		case op.Kind == "DescribeKey" && op.In["final"] != "" && op.Out["shared"] != first.Out["shared"]:
			f.add([]history.Op{*first, *op}, "%s: regions differ after the end: %q in %s, %q in %s", key, first.Out["shared"], first.Region, op.Out["shared"], op.Region)
		}
	}
}

// unanswered finds nodes that could not answer after the end of all faults, although they were asked again.
func (f *finding) unanswered(ops []history.Op) {
	silent := make(map[string]*history.Op)
	for i := range ops {
		op := &ops[i]
		switch at := op.Node + " " + op.Key; {
		case op.In["final"] == "":
		case op.Outcome == history.Failed:
			silent[at] = op
		default:
			delete(silent, at)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(silent)) {
		f.add([]history.Op{*silent[at]}, "%s: not answered by a healed region: %s", silent[at].Key, describe(silent[at]))
	}
}
