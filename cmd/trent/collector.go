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
// A node with many keys follows the default, which this is the floor of.
const gcHeadroom = 64 << 20

// defaultGCPercent is Go's own: collect when the live memory has doubled.
const defaultGCPercent = 100

// gcPacer sets the collector's target anew after each collection.
type gcPacer struct {
	live    []metrics.Sample
	percent int // in force
}

// gcEnd becomes garbage at once, so that its finalizer runs after each collection.
type gcEnd struct{ _ *int }

// paceCollector applies gcHeadroom from now on, unless GOGC says what the operator wants.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &gcPacer{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: defaultGCPercent}
	p.next(nil)
}

// next sets the target, and itself as what follows the next collection.
func (p *gcPacer) next(*gcEnd) {
	metrics.Read(p.live)
	want := defaultGCPercent
	if live := p.live[0].Value.Uint64(); live < gcHeadroom {
		want = int(gcHeadroom * defaultGCPercent / max(live, 1<<20))
	}
	// A change stops the world for a moment, so small ones are left out.
	if d := want - p.percent; d > p.percent/8 || d < -p.percent/8 {
		debug.SetGCPercent(want)
		p.percent = want
	}
	runtime.SetFinalizer(&gcEnd{}, p.next)
}
