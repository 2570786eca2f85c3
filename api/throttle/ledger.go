package throttle

import (
	"sync"
	"time"
)

// Ask is a node's wish for tokens.
type Ask struct {
	Key
	Tokens int `json:"tokens"`
}

// Grant is the answer to an Ask.
type Grant struct {
	// Tokens are good until the interval ends, 0 if nothing is left in it.
	Tokens int `json:"tokens"`
	// Left is the time until the interval ends.
	Left time.Duration `json:"leftNanoseconds"`
	// Unlimited tells that the leader knows no limit for this quota; Tokens are those asked for.
	Unlimited bool `json:"unlimited,omitempty"`
}

// Ledger is the leader's account of the current intervals. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	windows map[Key]*window
	sweep   int // windows at which the next sweep is due
}

// window is the current interval of one quota.
type window struct {
	ends time.Time
	used int
}

// sweepAt is the number of intervals in memory from which ended ones are dropped.
const sweepAt = 4096

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{windows: make(map[Key]*window), sweep: sweepAt} }

// Take grants tokens of a limit to one of n nodes: what it asks for, but no more than half of its equal part of what is left, so
// that the other nodes find tokens too and few are lost in the hands of nodes that do not need them.
func (l *Ledger) Take(now time.Time, limit Limit, n int, a Ask) Grant {
	if limit.Count == 0 {
		return Grant{Tokens: max(a.Tokens, 1), Left: time.Second, Unlimited: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[a.Key]
	if w == nil {
		l.drop(now)
		w = &window{}
		l.windows[a.Key] = w
	}
	if !now.Before(w.ends) {
		w.ends, w.used = now.Add(limit.Interval), 0
	}
	g := Grant{Left: w.ends.Sub(now)}
	if left := limit.Count - w.used; left > 0 {
		part := left
		if n > 1 {
			part = (left + 2*n - 1) / (2 * n)
		}
		g.Tokens = min(max(a.Tokens, 1), part)
		w.used += g.Tokens
	}
	return g
}

// drop forgets intervals that have ended, once there are many.
func (l *Ledger) drop(now time.Time) {
	if len(l.windows) < l.sweep {
		return
	}
	for k, w := range l.windows {
		if !now.Before(w.ends) {
			delete(l.windows, k)
		}
	}
	l.sweep = max(sweepAt, 2*len(l.windows))
}
