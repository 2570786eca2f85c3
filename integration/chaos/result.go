//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/nemesis"
)

// result is what a run found; run.json keeps it.
type result struct {
	Options   options
	Command   string
	Started   time.Time
	Took      time.Duration
	Nodes     int
	Counts    map[string]counts // by workload
	Rounds    []rounds
	Events    []nemesis.Event
	Faulted   [2]int64 // from the first fault to the end of the last, nanoseconds of the run
	Gaps      []gap    // longest spans without a success, by node
	Anomalies []check.Anomaly
	Void      []string
	Skipped   map[string]string // faults and abilities that this machine or build lacks
	Error     string            `json:",omitempty"`

	calmOps  int
	calmTime time.Duration
	timeline *timeline
}

// counts are the operations of one workload by outcome.
type counts struct{ OK, Refused, Unknown, Failed int }

func (c counts) total() int { return c.OK + c.Refused + c.Unknown + c.Failed }

// rounds sums a scenario up.
type rounds struct {
	Name                     string
	Rounds, Void             int
	Sent, Forbidden, Refused int
	Elections                []time.Duration
}

func (r *rounds) add(one nemesis.Round) {
	r.Rounds++
	r.Sent, r.Forbidden, r.Refused = r.Sent+one.Sent, r.Forbidden+one.Forbidden, r.Refused+one.Refused
	r.Elections = append(r.Elections, one.Election)
}

// gap is a span in which no client of a node had a success.
type gap struct {
	Node     string // "all" for the region as a whole
	From, To int64
}

func (g gap) length() time.Duration { return time.Duration(g.To - g.From) }

// count reads the history.
func (r *result) count(ops []history.Op) {
	r.Counts = map[string]counts{}
	r.timeline = newTimeline(ops, r.Events)
	last := map[string]int64{}
	worst := map[string]gap{}
	byEnd := slices.Clone(ops)
	slices.SortFunc(byEnd, func(a, b history.Op) int { return int(min(1, max(-1, a.Return-b.Return))) })
	for _, op := range byEnd {
		c := r.Counts[op.Workload]
		switch op.Outcome {
		case history.OK:
			c.OK++
		case history.Refused:
			c.Refused++
		case history.Unknown:
			c.Unknown++
		default:
			c.Failed++
		}
		r.Counts[op.Workload] = c
		if op.Call < r.Faulted[0] && op.Return != math.MaxInt64 {
			r.calmOps++
		}
		if op.Outcome != history.OK {
			continue
		}
		for _, who := range []string{"all", op.Node} {
			if from, ok := last[who]; ok && op.Return-from > int64(worst[who].length()) {
				worst[who] = gap{who, from, op.Return}
			}
			last[who] = op.Return
		}
	}
	if len(ops) > 0 {
		first := slices.MinFunc(ops, func(a, b history.Op) int { return int(min(1, max(-1, a.Call-b.Call))) }).Call
		r.calmTime = time.Duration(r.Faulted[0] - first)
	}
	for _, g := range worst {
		r.Gaps = append(r.Gaps, g)
	}
	slices.SortFunc(r.Gaps, func(a, b gap) int { return strings.Compare(a.Node, b.Node) })
}

// rate is the traffic before the first fault, operations a second.
func (r *result) rate() float64 {
	if r.calmTime <= 0 {
		return 0
	}
	return float64(r.calmOps) / r.calmTime.Seconds()
}

func (r *result) sum() (c counts) {
	for _, w := range r.Counts {
		c.OK, c.Refused, c.Unknown, c.Failed = c.OK+w.OK, c.Refused+w.Refused, c.Unknown+w.Unknown, c.Failed+w.Failed
	}
	return c
}

// longest is the longest span in which no client of any node had a success.
func (r *result) longest() time.Duration {
	for _, g := range r.Gaps {
		if g.Node == "all" {
			return g.length()
		}
	}
	return 0
}

// summary is the run in a few lines.
func (r *result) summary() string {
	var b strings.Builder
	c := r.sum()
	fmt.Fprintf(&b, "seed %d, %v: %d operations (%d done, %d refused, %d failed, %d of unknown outcome)", r.Options.Seed, r.Took.Round(time.Second), c.total(), c.OK, c.Refused, c.Failed, c.Unknown)
	steps, shown := nemesis.Proven(r.Events)
	made, seen := 0, 0
	for f, n := range steps {
		made, seen = made+n, seen+shown[f]
	}
	fmt.Fprintf(&b, "; %d faults of %d kinds, %d with a proven effect", made, len(steps), seen)
	fmt.Fprintf(&b, "; longest time without any success %v", r.longest().Round(time.Millisecond))
	for _, s := range r.Rounds {
		fmt.Fprintf(&b, "; %s: %d rounds, %d of %d forbidden uses succeeded", s.Name, s.Rounds, s.Forbidden, s.Sent)
	}
	fmt.Fprintf(&b, "; %d anomalies", len(r.Anomalies))
	for _, v := range r.Void {
		fmt.Fprintf(&b, "; VOID: %s", v)
	}
	return b.String()
}

// write leaves run.json, report.md, report.html and the pictures of anomalies.
func (r *result) write(dir string) error {
	if r.timeline == nil {
		r.timeline = newTimeline(nil, r.Events)
	}
	b, err := json.MarshalIndent(r, "", " ")
	errs := []error{err, os.WriteFile(filepath.Join(dir, "run.json"), append(b, '\n'), 0o644)}
	errs = append(errs, os.WriteFile(filepath.Join(dir, "report.md"), []byte(r.markdown()), 0o644))
	page, err := r.html()
	errs = append(errs, err, os.WriteFile(filepath.Join(dir, "report.html"), page, 0o644))
	for i, a := range r.Anomalies {
		if len(a.HTML) > 0 {
			errs = append(errs, os.WriteFile(filepath.Join(dir, fmt.Sprintf("anomaly-%d-%s.html", i+1, a.Workload)), a.HTML, 0o644))
		}
	}
	return errors.Join(errs...)
}

// faultRow is a kind of fault in the report.
type faultRow struct {
	Name         string
	Steps, Shown int
	// Healed are the times from the end of the fault until every node served.
	Median, Worst time.Duration
}

func (r *result) faultRows() (rows []faultRow) {
	steps, shown := nemesis.Proven(r.Events)
	for _, f := range nemesis.Faults() {
		if steps[f.Name] == 0 {
			continue
		}
		var healed []time.Duration
		for _, ev := range r.Events {
			if ev.Skipped == "" && slices.Contains(ev.Step.Faults, f.Name) {
				healed = append(healed, time.Duration(ev.Healed-ev.End))
			}
		}
		slices.Sort(healed)
		rows = append(rows, faultRow{f.Name, steps[f.Name], shown[f.Name], healed[len(healed)/2], healed[len(healed)-1]})
	}
	return rows
}

// markdown renders the report as text.
func (r *result) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# Chaos run of %s\n", r.Started.Format("2006-01-02 15:04:05 MST"))
	p("%s.\n", r.summary())
	p("    %s\n", r.Command)
	if r.Error != "" {
		p("**The run ended early:** %s\n", r.Error)
	}
	p("## Anomalies\n")
	if len(r.Anomalies) == 0 {
		p("None.\n")
	}
	for _, a := range r.Anomalies {
		p("- %v", a)
	}
	p("\n## Operations\n\n| workload | done | refused | failed | unknown outcome |\n|---|---|---|---|---|")
	names := make([]string, 0, len(r.Counts))
	for name := range r.Counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := r.Counts[name]
		p("| %s | %d | %d | %d | %d (%.2f %%) |", name, c.OK, c.Refused, c.Failed, c.Unknown, 100*float64(c.Unknown)/float64(max(1, c.total())))
	}
	p("\n%.0f operations a second before the first fault.", r.rate())
	if len(r.Rounds) > 0 {
		p("\n## Decisive scenarios\n\n| scenario | rounds | void | uses sent after the acknowledged disable | of them succeeded | change acknowledged after: median, worst |\n|---|---|---|---|---|---|")
		for _, s := range r.Rounds {
			e := slices.Sorted(slices.Values(s.Elections))
			median, worst := time.Duration(0), time.Duration(0)
			if len(e) > 0 {
				median, worst = e[len(e)/2], e[len(e)-1]
			}
			p("| %s | %d | %d | %d | **%d** | %v, %v |", s.Name, s.Rounds, s.Void, s.Sent, s.Forbidden, median.Round(time.Millisecond), worst.Round(time.Millisecond))
		}
	}
	p("\n## Faults\n\n| fault | times | with a proven effect | until every node served: median | worst |\n|---|---|---|---|---|")
	for _, f := range r.faultRows() {
		p("| %s | %d | %d | %v | %v |", f.Name, f.Steps, f.Shown, f.Median.Round(time.Millisecond), f.Worst.Round(time.Millisecond))
	}
	p("\n## Longest time without a success\n\n| node | length | at |\n|---|---|---|")
	for _, g := range r.Gaps {
		p("| %s | %v | %v |", g.Node, g.length().Round(time.Millisecond), time.Duration(g.From).Round(time.Millisecond))
	}
	if len(r.Skipped) > 0 {
		p("\n## Not done here\n")
		for _, what := range sortedKeys(r.Skipped) {
			p("- %s: %s", what, r.Skipped[what])
		}
	}
	p("\n## Steps\n\n| # | at | what | effect | until every node served |\n|---|---|---|---|---|")
	for _, ev := range r.Events {
		effect := strings.Join(ev.Effects, "; ")
		if ev.Skipped != "" {
			effect = "skipped: " + ev.Skipped
		}
		p("| %d | %v | %v (%s) | %s | %v |", ev.Step.Number, time.Duration(ev.Start).Round(10*time.Millisecond), ev.Step, strings.Join(ev.Nodes, ", "),
			strings.ReplaceAll(effect, "|", "/"), time.Duration(ev.Healed-ev.End).Round(10*time.Millisecond))
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
