//go:build linux

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/nemesis"
	"github.com/trentkms/trent/integration/chaos/report"
)

// result is what a run found; run.json keeps it.
type result struct {
	Options   options
	Command   string
	Started   time.Time
	Took      time.Duration
	Nodes     int
	Total     report.Count
	Rate      float64 // operations a second before the first fault
	Rounds    []rounds
	Events    []nemesis.Event
	Faulted   [2]int64        // from the first fault to the end of the last, nanoseconds of the run
	Outages   []report.Outage // the longest of each node, then of all nodes together
	Converged time.Duration   // after the last partition the regions agreed within this time
	Anomalies []check.Anomaly
	Void      []string
	Skipped   map[string]string // faults and abilities that this machine or build lacks
	Error     string            `json:",omitempty"`

	ops      []history.Op
	from, to int64 // the first and the last call
}

// rounds sums a scenario up.
type rounds struct {
	Name                     string
	Rounds, Void             int
	Sent, Forbidden, Refused int
	Elections                []time.Duration
	Took                     time.Duration
}

func (r *rounds) add(one nemesis.Round) {
	r.Rounds++
	r.Sent, r.Forbidden, r.Refused = r.Sent+one.Sent, r.Forbidden+one.Forbidden, r.Refused+one.Refused
	r.Elections = append(r.Elections, one.Election)
}

// count reads the history.
func (r *result) count(ops []history.Op) {
	r.ops = ops
	r.Total = report.Total(ops)
	if len(ops) == 0 {
		return
	}
	byCall := func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) }
	r.from, r.to = slices.MinFunc(ops, byCall).Call, slices.MaxFunc(ops, byCall).Call
	calm := 0
	whole := slices.Clone(ops)
	for i := range whole {
		whole[i].Node = "all nodes together"
		if whole[i].Call < r.Faulted[0] {
			calm++
		}
	}
	r.Rate = float64(calm) / max(time.Duration(r.Faulted[0]-r.from).Seconds(), 0.1)
	r.Outages = append(report.Outages(ops, r.from, r.to), report.Outages(whole, r.from, r.to)...)
}

// longest is the longest span in which no node answered anybody.
func (r *result) longest() time.Duration {
	if n := len(r.Outages); n > 0 {
		return r.Outages[n-1].Length()
	}
	return 0
}

// summary is the run in a few lines.
func (r *result) summary() string {
	var b strings.Builder
	c := r.Total
	fmt.Fprintf(&b, "seed %d, %v: %d operations (%d done, %d refused, %d failed, %d of unknown outcome)", r.Options.Seed, r.Took.Round(time.Second), c.Total(), c.OK, c.Refused, c.Failed, c.Unknown)
	steps, shown := nemesis.Proven(r.Events)
	made, seen := 0, 0
	for f, n := range steps {
		made, seen = made+n, seen+shown[f]
	}
	fmt.Fprintf(&b, "; %d faults of %d kinds, %d with a proven effect", made, len(steps), seen)
	fmt.Fprintf(&b, "; longest time without any answer %v", r.longest().Round(time.Millisecond))
	for _, s := range r.Rounds {
		fmt.Fprintf(&b, "; %s: %d rounds in %v, %d of %d forbidden uses succeeded", s.Name, s.Rounds, s.Took.Round(time.Second), s.Forbidden, s.Sent)
	}
	if r.Converged > 0 {
		fmt.Fprintf(&b, "; regions agreed %v after they could speak again", r.Converged.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "; %d anomalies", len(r.Anomalies))
	for _, v := range r.Void {
		fmt.Fprintf(&b, "; VOID: %s", v)
	}
	return b.String()
}

// write leaves run.json, report.md, report.html and the pictures of anomalies.
func (r *result) write(dir string) error {
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
	if len(r.ops) > 0 {
		p("\n## Operations\n")
		_ = report.Tables(&b, r.ops, r.from, r.to) // a builder does not fail
		p("\nAll nodes together answered nobody for at most %v. Before the first fault clients made %.0f operations a second.", r.longest().Round(time.Millisecond), r.Rate)
	}
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

// page is the report: the picture, then the text.
var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Chaos run</title>
<style>body{font-family:sans-serif;margin:2em;max-width:90em}pre{white-space:pre-wrap}.scroll{overflow-x:auto}.bad{color:#c22}</style></head>
<body><h1>{{if .Bad}}<span class="bad">{{.Bad}} anomalies</span>{{else}}No anomalies{{end}}</h1>
<p>{{.Summary}}</p>
<h2>Availability</h2>
<div class="scroll">{{.Timeline}}</div>
<pre>{{.Text}}</pre></body></html>
`))

func (r *result) html() ([]byte, error) {
	var picture, b bytes.Buffer
	if len(r.ops) > 0 {
		var faults []report.Fault
		for _, ev := range r.Events {
			if ev.Skipped == "" {
				faults = append(faults, report.Fault{Name: ev.Step.String(), From: ev.Start, To: ev.End})
			}
		}
		if err := report.Timeline(&picture, r.ops, faults, r.from, r.to); err != nil {
			return nil, err
		}
	}
	err := page.Execute(&b, map[string]any{
		"Bad": len(r.Anomalies), "Summary": r.summary(), "Timeline": template.HTML(picture.String()), "Text": r.markdown(),
	})
	return b.Bytes(), err
}
