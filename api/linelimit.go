package api

import (
	"sync"
	"time"
)

// lineLimit lets one line a second into the log. Whoever can reach the node can make a request fail before anybody knows who
// asked, on an overloaded node by the thousand; the log must not be what they fill.
type lineLimit struct {
	mu   sync.Mutex
	last time.Time
	more int // lines left out since last
}

// next tells whether a line may be written, and how many were left out before it.
func (l *lineLimit) next(now time.Time) (more int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < time.Second && !l.last.IsZero() {
		l.more++
		return 0, false
	}
	more, l.last, l.more = l.more, now, 0
	return more, true
}
