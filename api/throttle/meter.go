package throttle

import (
	"context"
	"sync"
	"time"
)

// Lessor gives out leases: the leader's ledger, wherever it is.
type Lessor interface {
	// Lease asks the leader for tokens. An error means that none is known to have answered.
	Lease(ctx context.Context, a Ask) (Grant, error)
	// Nodes is how many nodes share a limit, at least 1.
	Nodes() int
}

const (
	// leaseTimeout bounds the wait of a request for the leader's answer.
	leaseTimeout = 250 * time.Millisecond
	// aloneFor is how long a node that got no answer grants its own part before it asks again.
	aloneFor = time.Second
)

// Meter grants one node's requests. It is safe for concurrent use.
type Meter struct {
	lessor Lessor

	mu     sync.RWMutex
	quotas map[Key]*lease
	sweep  int
}

// NewMeter makes the meter of a node.
func NewMeter(l Lessor) *Meter {
	return &Meter{lessor: l, quotas: make(map[Key]*lease), sweep: sweepAt}
}

// lease is what the node knows of one quota.
type lease struct {
	mu     sync.Mutex
	until  time.Time // end of the leader's interval
	tokens int
	spent  bool // the interval has nothing left
	free   bool // the leader knows no limit
	next   int  // tokens to ask for
	asking chan struct{}

	alone    time.Time // until then the node grants its own part
	aloneEnd time.Time // end of its own interval
	used     int       // in its own interval
	usedLast time.Time
}

// Allow takes one request of a quota. limit is this node's idea of it, which counts where the leader is not reached.
func (m *Meter) Allow(ctx context.Context, k Key, limit Limit) bool {
	if limit.Count == 0 {
		return true
	}
	l := m.lease(k)
	for {
		now := time.Now()
		l.mu.Lock()
		verdict, known := l.take(now, limit, m.lessor)
		if known {
			l.mu.Unlock()
			return verdict
		}
		if wait := l.asking; wait != nil {
			l.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
				return false
			}
			continue
		}
		done := make(chan struct{})
		l.asking = done
		a := Ask{k, l.next}
		l.next = min(2*l.next, limit.Count)
		l.mu.Unlock()
		m.ask(ctx, l, a, limit)
		close(done)
	}
}

// take decides by what the node knows; known is false if it has to ask the leader first. l.mu is held.
func (l *lease) take(now time.Time, limit Limit, lessor Lessor) (verdict, known bool) {
	l.usedLast = now
	if !now.Before(l.until) {
		l.tokens, l.spent, l.free = 0, false, false
		l.next = max(1, l.next/8) // what was used before will be again
		l.until = now.Add(limit.Interval)
	}
	switch {
	case l.free:
		return true, true
	case l.tokens > 0:
		l.tokens--
		return true, true
	case now.Before(l.alone):
		return l.byItself(now, limit.share(lessor.Nodes())), true
	case l.spent:
		return false, true
	}
	return false, false
}

// byItself counts against this node's part of the limit.
func (l *lease) byItself(now time.Time, part Limit) bool {
	if !now.Before(l.aloneEnd) {
		l.aloneEnd, l.used = now.Add(part.Interval), 0
	}
	if l.used >= part.Count {
		return false
	}
	l.used++
	return true
}

// ask leases tokens. The wait is not the caller's alone, so that its going away ends nobody else's.
func (m *Meter) ask(ctx context.Context, l *lease, a Ask, limit Limit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
	defer cancel()
	g, err := m.lessor.Lease(ctx, a)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = nil
	if err != nil {
		l.alone = now.Add(max(aloneFor, limit.Interval))
		return
	}
	l.until, l.tokens = now.Add(g.Left), l.tokens+g.Tokens
	l.spent, l.free = g.Tokens <= 0, g.Unlimited
}

// lease finds or makes what is known of a quota.
func (m *Meter) lease(k Key) *lease {
	m.mu.RLock()
	l := m.quotas[k]
	m.mu.RUnlock()
	if l != nil {
		return l
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l = m.quotas[k]; l == nil {
		m.drop(time.Now())
		l = &lease{next: 1}
		m.quotas[k] = l
	}
	return l
}

// forgotten is how long a quota stays in memory after its last use, beyond every interval.
const forgotten = 2 * time.Hour

// drop forgets quotas that nobody has used for long, once there are many.
func (m *Meter) drop(now time.Time) {
	if len(m.quotas) < m.sweep {
		return
	}
	for k, l := range m.quotas {
		if l.mu.TryLock() {
			if l.asking == nil && now.Sub(l.usedLast) > forgotten {
				delete(m.quotas, k)
			}
			l.mu.Unlock()
		}
	}
	m.sweep = max(sweepAt, 2*len(m.quotas))
}
