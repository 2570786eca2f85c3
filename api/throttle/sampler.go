package throttle

import (
	"sync"
	"time"
)

// Sampler picks which of many like events are told, so that a flood of refusals does not become a flood of records: the first of
// each interval, with the number of those left out before it. The zero Sampler is ready; it is safe for concurrent use.
type Sampler struct {
	mu   sync.Mutex
	seen map[Key]*sample
}

type sample struct {
	ends time.Time
	left int
}

// sampleEvery is the interval.
const sampleEvery = time.Second

// Tell tells whether this one is told, and how many were left out since the last that was.
func (s *Sampler) Tell(now time.Time, k Key) (told bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= sweepAt {
		s.seen = make(map[Key]*sample) // the counts of those left out are lost: of 4,096 accounts and operations at a time
	}
	e := s.seen[k]
	if e == nil {
		e = &sample{}
		s.seen[k] = e
	}
	if now.Before(e.ends) {
		e.left++
		return false, 0
	}
	left, e.left, e.ends = e.left, 0, now.Add(sampleEvery)
	return true, left
}
