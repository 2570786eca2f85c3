// Package report renders what a run did: counts, availability, a timeline. It judges nothing.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Count is how many operations had each outcome.
type Count struct{ OK, Refused, Unknown, Failed int }

// walk is the kind of an operation that stands for several calls, which are recorded themselves: it is not counted.
const walk = "walk"

// Add counts an operation.
func (c *Count) Add(op *history.Op) {
	if op.Kind == walk {
		return
	}
	switch op.Outcome {
	case history.OK:
		c.OK++
	case history.Refused:
		c.Refused++
	case history.Unknown:
		c.Unknown++
	case history.Failed:
		c.Failed++
	}
}

// Total is the number of operations.
func (c Count) Total() int { return c.OK + c.Refused + c.Unknown + c.Failed }

// UnknownPercent is the share of operations whose outcome the client did not learn, in per cent.
func (c Count) UnknownPercent() float64 {
	if c.Total() == 0 {
		return 0
	}
	return 100 * float64(c.Unknown) / float64(c.Total())
}

// Line is the count of one operation of a workload.
type Line struct {
	Workload, Kind string
	Count
}

// Counts counts by workload and operation, in their order.
func Counts(ops []history.Op) []Line {
	by := make(map[[2]string]*Line)
	for i := range ops {
		if ops[i].Kind == walk {
			continue
		}
		key := [2]string{ops[i].Workload, ops[i].Kind}
		if by[key] == nil {
			by[key] = &Line{Workload: key[0], Kind: key[1]}
		}
		by[key].Add(&ops[i])
	}
	lines := make([]Line, 0, len(by))
	for _, l := range by {
		lines = append(lines, *l)
	}
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Or(cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Kind, b.Kind)) })
	return lines
}

// Total counts all operations.
func Total(ops []history.Op) (c Count) {
	for i := range ops {
		c.Add(&ops[i])
	}
	return c
}

// Evidence is what a run tried of what must not, and must, work.
type Evidence struct {
	// Forbidden counts uses that were refused because somebody had forbidden them: each one might have been let through.
	Forbidden int
	// Opened counts acknowledged ciphertexts, signatures and MACs that were opened or verified.
	Opened int
}

// forbidding are the errors of what somebody forbade.
var forbidding = []string{"DisabledException", "KMSInvalidStateException", "AccessDeniedException", "UnrecognizedClientException"}

// EvidenceOf counts the evidence in a history.
func EvidenceOf(ops []history.Op) (e Evidence) {
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Outcome == history.Refused && op.In["read"] != "" && slices.Contains(forbidding, op.Error):
			e.Forbidden++
		case op.Outcome == history.OK && op.In["blob"] != "":
			e.Opened++
		}
	}
	return e
}

// Outage is the longest time for which a node answered nobody.
type Outage struct {
	Node     string
	From, To int64 // nanoseconds of the run
	Lost     int   // calls of that time that failed or whose outcome is unknown
}

// Length is how long it was.
func (o Outage) Length() time.Duration { return time.Duration(o.To - o.From) }

// Outages returns each node's longest outage between two times of a run, by node. An answer is a success or a refusal; time in which
// nobody asked in vain is no outage.
func Outages(ops []history.Op, from, to int64) []Outage {
	answers, vain := make(map[string][]int64), make(map[string][]int64)
	for i := range ops {
		op := &ops[i]
		if op.Kind == walk || op.Call < from || op.Call > to {
			continue
		}
		switch op.Outcome {
		case history.OK, history.Refused:
			answers[op.Node] = append(answers[op.Node], op.Return)
		default:
			vain[op.Node] = append(vain[op.Node], op.Call)
		}
	}
	nodes := slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string][]int64{answers, vain} {
			for node := range m {
				if !yield(node) {
					return
				}
			}
		}
	}))
	var all []Outage
	for _, node := range nodes {
		times := append(answers[node], from, to)
		slices.Sort(times)
		longest := Outage{Node: node, From: from, To: from}
		for i := 1; i < len(times); i++ {
			o := Outage{Node: node, From: times[i-1], To: min(times[i], to)}
			if o.Length() <= longest.Length() {
				continue
			}
			for _, call := range vain[node] {
				if call >= o.From && call <= o.To {
					o.Lost++
				}
			}
			if o.Lost > 0 {
				longest = o
			}
		}
		all = append(all, longest)
	}
	return all
}

// Tables writes counts and outages as Markdown.
func Tables(w io.Writer, ops []history.Op, from, to int64) error {
	t := &text{w: w}
	t.printf("| workload | operation | ok | refused | unknown | failed |\n|---|---|---:|---:|---:|---:|\n")
	for _, l := range Counts(ops) {
		t.printf("| %s | %s | %d | %d | %d | %d |\n", l.Workload, l.Kind, l.OK, l.Refused, l.Unknown, l.Failed)
	}
	c := Total(ops)
	t.printf("| **all** | | %d | %d | %d | %d |\n\n", c.OK, c.Refused, c.Unknown, c.Failed)
	e := EvidenceOf(ops)
	t.printf("%d operations, %.2f %% of unknown outcome; %d uses refused because they were forbidden, %d ciphertexts, signatures and MACs opened.\n\n",
		c.Total(), c.UnknownPercent(), e.Forbidden, e.Opened)
	t.printf("| node | longest time without an answer | from | calls in vain |\n|---|---:|---:|---:|\n")
	for _, o := range Outages(ops, from, to) {
		t.printf("| %s | %.2f s | %.2f s | %d |\n", o.Node, o.Length().Seconds(), time.Duration(o.From-from).Seconds(), o.Lost)
	}
	return t.err
}

// text writes until something fails.
type text struct {
	w   io.Writer
	err error
}

func (t *text) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}
