package report

import (
	"fmt"
	"html"
	"io"
	"slices"
	"time"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Fault is a time in which something was broken, for the timeline.
type Fault struct {
	Name     string
	Node     string // whom it concerned, "" for all
	From, To int64  // nanoseconds of the run
}

// Measures of the timeline, in pixels.
const (
	left, width, laneHeight, laneGap = 90, 1000, 60, 14
	axisHeight, faultHeight, bucketW = 30, 16, 4
)

// Timeline draws one lane for each node, from one time of a run to another: what it answered, second by second, above a line, and what it
// did not below; under the lanes the faults. It is an SVG document that stands for itself.
func Timeline(w io.Writer, ops []history.Op, faults []Fault, from, to int64) error {
	if to <= from {
		return fmt.Errorf("a timeline from %v to %v", time.Duration(from), time.Duration(to))
	}
	lanes, names := buckets(ops, from, to)
	peak := 1
	for _, lane := range lanes {
		for _, c := range lane {
			peak = max(peak, c.OK+c.Refused, c.Unknown+c.Failed)
		}
	}
	height := axisHeight + len(names)*(laneHeight+laneGap) + len(faults)*faultHeight + 20
	t := &text{w: w}
	t.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+width+20, height)
	t.printf(`<rect width="100%%" height="100%%" fill="#fff"/>` + "\n")
	axis(t, from, to, height)
	y := axisHeight
	for _, name := range names {
		t.printf(`<text x="6" y="%d">%s</text><line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#ccc"/>`+"\n",
			y+laneHeight/2+4, html.EscapeString(name), left, left+width, y+laneHeight*2/3, y+laneHeight*2/3)
		for i, c := range lanes[name] {
			bars(t, left+i*bucketW, y, peak, c)
		}
		y += laneHeight + laneGap
	}
	for _, f := range faults {
		x := scale(max(f.From, from), from, to)
		t.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="#f2c94c"><title>%s</title></rect><text x="%d" y="%d">%s</text>`+"\n",
			x, y, max(scale(min(f.To, to), from, to)-x, 2), faultHeight-4, html.EscapeString(f.Name+" "+f.Node), x+3, y+9, html.EscapeString(f.Name+" "+f.Node))
		y += faultHeight
	}
	t.printf("</svg>\n")
	return t.err
}

// buckets counts each node's operations by the time of their call.
func buckets(ops []history.Op, from, to int64) (lanes map[string][]Count, names []string) {
	const n = width / bucketW
	lanes = make(map[string][]Count)
	for i := range ops {
		op := &ops[i]
		if op.Kind == walk || op.Call < from || op.Call >= to {
			continue
		}
		if lanes[op.Node] == nil {
			lanes[op.Node] = make([]Count, n)
			names = append(names, op.Node)
		}
		lanes[op.Node][(op.Call-from)*n/(to-from)].Add(op)
	}
	slices.Sort(names)
	return lanes, names
}

func scale(at, from, to int64) int { return left + int((at-from)*width/(to-from)) }

// axis writes the time every so often.
func axis(t *text, from, to int64, height int) {
	step := int64(time.Second)
	for (to-from)/step > 12 {
		switch step / int64(time.Second) {
		case 1, 10, 100, 1000:
			step *= 2
		case 2, 20, 200, 2000:
			step = step / 2 * 5
		default:
			step *= 2
		}
	}
	for at := from; at <= to; at += step {
		x := scale(at, from, to)
		t.printf(`<line x1="%d" x2="%d" y1="20" y2="%d" stroke="#eee"/><text x="%d" y="14">%v</text>`+"\n", x, x, height, x, time.Duration(at-from).Round(time.Second))
	}
}

// bars draws one bucket: answers upwards, successes first, and what was not answered downwards.
func bars(t *text, x, y, peak int, c Count) {
	base, up, down := y+laneHeight*2/3, laneHeight*2/3, laneHeight/3
	bar := func(y, h int, color string) {
		if h > 0 {
			t.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, bucketW-1, h, color)
		}
	}
	share := func(n, of int) int { return (n*of + peak - 1) / peak }
	ok, refused := share(c.OK, up), share(c.Refused, up)
	bar(base-ok, ok, "#27ae60")
	bar(base-ok-refused, refused, "#2f80ed")
	unknown, failed := share(c.Unknown, down), share(c.Failed, down)
	bar(base, unknown, "#eb5757")
	bar(base+unknown, failed, "#828282")
}
