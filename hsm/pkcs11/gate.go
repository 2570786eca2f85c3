package pkcs11

import (
	"context"
	"sync"
)

// gate counts the calls inside the Cryptoki library and can be shut. C_Finalize is undefined behaviour while another
// thread is inside, so that nobody enters while the gate is shut and nobody finalizes before the last one has left.
// The zero gate is open.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // made by shut if somebody is inside; closed by the last to leave
}

// enter reports whether the caller may go in; if so it must leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// shut closes the gate, which stays closed, and waits until nobody is inside. It returns the number of those who still
// are when ctx ends.
func (g *gate) shut(ctx context.Context) (inside int) {
	g.mu.Lock()
	g.closed = true
	if g.inside == 0 {
		g.mu.Unlock()
		return 0
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return 0
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
}
