package cluster

import (
	"errors"
	"sync"
)

// admission counts the proposals under way, refuses more than a bound, and lets Close wait for them to end.
type admission struct {
	limit int

	mu     sync.Mutex
	count  int
	closed bool
	empty  chan struct{} // closed when count is 0 after close
}

func newAdmission(limit int) *admission { return &admission{limit: limit, empty: make(chan struct{})} }

func (a *admission) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.count >= a.limit {
		return false
	}
	a.count++
	return true
}

func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count--
	if a.closed && a.count == 0 {
		close(a.empty)
	}
}

// refusal says why enter returned false.
func (a *admission) refusal() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return ErrClosed
	}
	return ErrTooBusy
}

// close lets nobody in any more; the channel closes when everybody has left.
func (a *admission) close() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		if a.count == 0 {
			close(a.empty)
		}
	}
	return a.empty
}

func (a *admission) underWay() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

// broadcast wakes everybody who waits for a change.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that closes at the next change. Take it before looking at what may change.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
