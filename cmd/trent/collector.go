package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcHeadroom is the garbage in bytes that may gather before a collection, at least. The live memory of a node with few keys is
// a few megabytes, and Go's default, to collect when that has doubled, would have it collect dozens of times a second under load:
// a fifth of the processor time of a request, since every collection also shrinks the stacks that the next requests grow again.
// A node with many keys follows the default, of which this is the floor.
const gcHeadroom = 64 << 20

// defaultGCPercent is Go's own: collect when the live memory has doubled.
const defaultGCPercent = 100

// minGCHeap is the live memory that Go assumes at least when it applies a percentage.
const minGCHeap = 4 << 20

// gcPacer sets the collector's target anew after each collection.
type gcPacer struct {
	scanned []metrics.Sample
	percent int // in force
}

// gcEnd becomes garbage at once, so that its finalizer runs after each collection.
type gcEnd struct{ _ *int }

// paceCollector applies gcHeadroom from now on, unless GOGC says what the operator wants.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &gcPacer{percent: defaultGCPercent}
	// What the collector's percentage is of.
	for _, name := range []string{"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes"} {
		p.scanned = append(p.scanned, metrics.Sample{Name: name})
	}
	p.next(nil)
}

// next sets the target, and itself as what follows the next collection.
func (p *gcPacer) next(*gcEnd) {
	metrics.Read(p.scanned)
	var sum uint64
	for _, s := range p.scanned {
		sum += s.Value.Uint64()
	}
	want := max(defaultGCPercent, int(gcHeadroom*defaultGCPercent/max(sum, minGCHeap)))
	// A change stops the world for a moment, so small ones are left out.
	if d := want - p.percent; d > p.percent/8 || d < -p.percent/8 {
		debug.SetGCPercent(want)
		p.percent = want
	}
	runtime.SetFinalizer(&gcEnd{}, p.next)
}
