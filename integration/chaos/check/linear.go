package check

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/trentkms/trent/integration/chaos/history"
)

// searchTime bounds the search for an explanation of one partition. A search that does not end counts as an anomaly: histories are
// kept short and few clients work on a key, so that it ends.
const searchTime = time.Minute

// machine is a sequential model of one partition: what a single, correct server would do.
type machine[S comparable] struct {
	start S
	// step tells whether an operation can have had its outcome in a state, and the state afterwards. It is not asked for failures.
	step func(s S, op *history.Op) (bool, S)
}

// judge compares an operation with what the model says of it: the error code ("" for success), whether the outputs match, and the
// state after it took effect.
func judge[S any](op *history.Op, before, after S, code string, match bool) (bool, S) {
	switch op.Outcome {
	case history.OK:
		return code == "" && match, after
	case history.Refused:
		return code == op.Error, before
	}
	if code != "" {
		return true, before
	}
	return true, after
}

// partition groups operations by what place says, which may be several groups or none. Failures are left out.
func partition(ops []history.Op, place func(op *history.Op) []string) map[string][]history.Op {
	parts := make(map[string][]history.Op)
	for i := range ops {
		if op := &ops[i]; op.Outcome != history.Failed {
			for _, p := range place(op) {
				parts[p] = append(parts[p], *op)
			}
		}
	}
	return parts
}

// of is the part of a history that belongs to a workload, without the calls that only prepare others (In aux).
func of(workload string, ops []history.Op) []history.Op {
	return slices.DeleteFunc(slices.Clone(ops), func(op history.Op) bool { return op.Workload != workload || op.In["aux"] != "" })
}

// byKey places an operation in the partition of its key.
func byKey(op *history.Op) []string { return []string{op.Key} }

// linearizable holds that each partition is what its machine can have done, in an order that respects the real time of calls.
func linearizable[S comparable](f *finding, parts map[string][]history.Op, of func(name string, part []history.Op) machine[S]) {
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		part := relevant(parts[name])
		m := of(name, part)
		model := porcupine.Model{
			Init: func() any { return m.start },
			Step: func(state, input, _ any) (bool, any) {
				return m.step(state.(S), input.(*history.Op))
			},
			DescribeOperation: func(input, _ any) string { return describe(input.(*history.Op)) },
			DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
		}
		result, info := porcupine.CheckOperationsVerbose(model, events(part), searchTime)
		if result == porcupine.Ok {
			continue
		}
		a := Anomaly{Workload: f.workload}
		explained, first := progress(info, part)
		if result == porcupine.Unknown {
			a.Text = fmt.Sprintf("%s: no explanation found in %v, and none ruled out (%d operations)", name, searchTime, len(part))
		} else {
			a.Text = fmt.Sprintf("%s: not linearizable; the longest explanation covers %d of %d operations", name, explained, len(part))
		}
		if first != nil {
			a.Text += "; it does not reach " + describe(first)
			a.Ops = around(part, first)
		}
		var page bytes.Buffer
		if err := porcupine.Visualize(model, info, &page); err == nil {
			a.HTML = page.Bytes()
		}
		if len(f.all) < most {
			f.all = append(f.all, a)
		}
	}
}

// relevant leaves out writes of unknown outcome whose value nobody ever read: an explanation with such a write is one without it, and
// each write less halves the search.
func relevant(part []history.Op) []history.Op {
	seen := make(map[string]bool)
	for i := range part {
		seen[part[i].Out["value"]], seen[part[i].Out["description"]] = true, true
	}
	return slices.DeleteFunc(slices.Clone(part), func(op history.Op) bool {
		value := op.In["value"]
		return op.Outcome == history.Unknown && value != "" && !seen[value]
	})
}

// events makes a history for the search. An operation of unknown outcome ends after all others, which lets it have no effect that
// anybody saw, and counts as a client of its own.
func events(part []history.Op) []porcupine.Operation {
	last := int64(0)
	for i := range part {
		if part[i].Return != math.MaxInt64 {
			last = max(last, part[i].Return)
		}
		last = max(last, part[i].Call)
	}
	all := make([]porcupine.Operation, 0, len(part))
	lost := 1000
	for i := range part {
		op := &part[i]
		e := porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Return: op.Return}
		if op.Outcome == history.Unknown {
			lost++
			e.ClientId, e.Return = lost, last+1
		}
		all = append(all, e)
	}
	return all
}

// progress is how many operations the longest explanation covers, and the first to end of those that it does not.
func progress(info porcupine.LinearizationInfo, part []history.Op) (n int, first *history.Op) {
	var best []porcupine.Operation
	for _, sequences := range info.PartialLinearizationsOperations() {
		for _, s := range sequences {
			if len(s) > len(best) {
				best = s
			}
		}
	}
	covered := make(map[*history.Op]bool, len(best))
	for _, e := range best {
		covered[e.Input.(*history.Op)] = true
	}
	for i := range part {
		if op := &part[i]; !covered[op] && (first == nil || op.Return < first.Return) {
			first = op
		}
	}
	return len(best), first
}

// around are the operations that overlap a disputed one or ended shortly before it.
func around(part []history.Op, at *history.Op) []history.Op {
	const before = 6
	sorted := slices.Clone(part)
	slices.SortFunc(sorted, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
	var ended, overlap []history.Op
	for _, op := range sorted {
		switch {
		case op.Return < at.Call:
			ended = append(ended, op)
		case op.Call <= at.Return:
			overlap = append(overlap, op)
		}
	}
	all := append(ended[max(0, len(ended)-before):], overlap...)
	return all[:min(len(all), 40)]
}

// describe renders an operation for people.
func describe(op *history.Op) string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d at %s: %s", op.Client, op.Node, op.Kind)
	for _, name := range slices.Sorted(maps.Keys(op.In)) {
		fmt.Fprintf(&b, " %s=%.60s", name, op.In[name])
	}
	switch op.Outcome {
	case history.OK:
		b.WriteString(" -> ok")
		for _, name := range slices.Sorted(maps.Keys(op.Out)) {
			fmt.Fprintf(&b, " %s=%.60s", name, op.Out[name])
		}
	case history.Unknown:
		fmt.Fprintf(&b, " -> unknown (%s)", op.Error)
	default:
		fmt.Fprintf(&b, " -> %s", op.Error)
	}
	return b.String()
}
