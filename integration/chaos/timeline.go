//go:build linux

package main

import (
	"bytes"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/nemesis"
)

// timeline is the availability of each node over the run: operations that ended in each slot of time.
type timeline struct {
	slot  time.Duration
	slots int
	nodes []string
	ok    map[string][]int // success or a refusal: the node answered
	bad   map[string][]int // failed or of unknown outcome, counted where they began
	bands []band
}

// band is a fault in the picture.
type band struct {
	from, to, healed time.Duration
	name             string
}

// mostSlots bounds the width of the picture.
const mostSlots = 1200

func newTimeline(ops []history.Op, events []nemesis.Event) *timeline {
	t := &timeline{ok: map[string][]int{}, bad: map[string][]int{}}
	var end int64
	for i := range ops {
		end = max(end, ops[i].Call)
	}
	for _, ev := range events {
		end = max(end, ev.Healed)
		if ev.Skipped == "" {
			t.bands = append(t.bands, band{time.Duration(ev.Start), time.Duration(ev.End), time.Duration(ev.Healed), ev.Step.String()})
		}
	}
	t.slot = max(100*time.Millisecond, time.Duration(end)/mostSlots)
	t.slots = int(time.Duration(end)/t.slot) + 1
	for i := range ops {
		op := &ops[i]
		if t.ok[op.Node] == nil {
			t.ok[op.Node], t.bad[op.Node] = make([]int, t.slots), make([]int, t.slots)
			t.nodes = append(t.nodes, op.Node)
		}
		if op.Outcome == history.OK || op.Outcome == history.Refused {
			if s := int(time.Duration(op.Return) / t.slot); s < t.slots {
				t.ok[op.Node][s]++
			}
		} else {
			t.bad[op.Node][int(time.Duration(op.Call)/t.slot)]++
		}
	}
	slices.Sort(t.nodes)
	return t
}

// Measures of the picture, in pixels.
const (
	rowHeight, rowGap, leftMargin = 60, 14, 60
	bandRow                       = 40
)

// svg draws the timeline: upwards in green what was answered, downwards in red what was not; faults as grey bands, the time until
// every node served again lighter.
func (t *timeline) svg() string {
	var b strings.Builder
	height := bandRow + len(t.nodes)*(rowHeight+rowGap) + 30
	width := leftMargin + t.slots + 10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, width, height)
	x := func(d time.Duration) float64 { return leftMargin + float64(d)/float64(t.slot) }
	for _, f := range t.bands {
		fmt.Fprintf(&b, `<g><title>%s</title><rect x="%.1f" y="0" width="%.1f" height="%d" fill="#bbb" fill-opacity="0.6"/><rect x="%.1f" y="0" width="%.1f" height="%d" fill="#ddd" fill-opacity="0.6"/></g>`,
			template.HTMLEscapeString(f.name), x(f.from), max(1, x(f.to)-x(f.from)), height-20, x(f.to), x(f.healed)-x(f.to), height-20)
	}
	for i, n := range t.nodes {
		y := bandRow + i*(rowHeight+rowGap)
		fmt.Fprintf(&b, `<text x="4" y="%d">%s</text>`, y+rowHeight/2, template.HTMLEscapeString(n))
		top := 1
		for s := range t.slots {
			top = max(top, t.ok[n][s], t.bad[n][s])
		}
		up, down := float64(rowHeight)*0.7, float64(rowHeight)*0.3
		base := float64(y) + up
		for s := range t.slots {
			if v := t.ok[n][s]; v > 0 {
				h := max(1, up*float64(v)/float64(top))
				fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="1" height="%.1f" fill="#2a7d2a"/>`, leftMargin+s, base-h, h)
			}
			if v := t.bad[n][s]; v > 0 {
				h := max(2, down*float64(v)/float64(top))
				fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="1" height="%.1f" fill="#c22"/>`, leftMargin+s, base, h)
			}
		}
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#999" stroke-width="0.5"/>`, leftMargin, width, base, base)
	}
	every := max(1, t.slots/10)
	for s := 0; s < t.slots; s += every {
		fmt.Fprintf(&b, `<text x="%d" y="%d">%v</text>`, leftMargin+s, height-6, (time.Duration(s) * t.slot).Round(100*time.Millisecond))
	}
	b.WriteString(`</svg>`)
	return b.String()
}

// page is the report: the picture, then the text.
var page = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Chaos run</title>
<style>body{font-family:sans-serif;margin:2em;max-width:90em}pre{white-space:pre-wrap}.scroll{overflow-x:auto}.bad{color:#c22}</style></head>
<body><h1>{{if .Bad}}<span class="bad">{{.Bad}} anomalies</span>{{else}}No anomalies{{end}}</h1>
<p>{{.Summary}}</p>
<h2>Availability</h2>
<p>Up, green: operations that a node answered in each {{.Slot}}. Down, red: those that failed or whose outcome is unknown. Grey: faults
(their names under the pointer); light grey: until every node served again.</p>
<div class="scroll">{{.SVG}}</div>
<pre>{{.Text}}</pre></body></html>
`))

func (r *result) html() ([]byte, error) {
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Bad": len(r.Anomalies), "Summary": r.summary(), "Slot": r.timeline.slot, "SVG": template.HTML(r.timeline.svg()), "Text": r.markdown(),
	})
	return b.Bytes(), err
}
