//go:build linux

package main

import (
	"sync"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// skews remember how far region time can have been off. One clock that is ahead moves nothing: region time is what a majority has
// passed. One that is behind holds region time back as long as another voter is silent.
type skews struct {
	mu  sync.Mutex
	off []skew
}

type skew struct {
	region string
	off    time.Duration
	until  time.Time // zero: still off
}

// skewMemory is how long a clock that was set right still counts.
const skewMemory = 2 * time.Minute

func (s *skews) set(n *lab.Node, off time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.off {
		if e := &s.off[i]; e.region == n.Region.Name && e.until.IsZero() {
			e.until = time.Now()
		}
	}
	if off != 0 {
		s.off = append(s.off, skew{region: n.Region.Name, off: off})
	}
}

// bounds are the lowest and highest offsets of the clocks of a region lately.
func (s *skews) bounds(region string) (lowest, highest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.off {
		if e.region == region && (e.until.IsZero() || time.Since(e.until) < skewMemory) {
			lowest = min(lowest, e.off)
		}
	}
	return lowest, 0
}
