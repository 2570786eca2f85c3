package pkcs11

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/hsm"
)

// admit waits for a place in the pool.
func (m *Module) admit(ctx context.Context) error {
	if m.closed.Load() {
		return hsm.ErrClosed
	}
	if n := m.stuck.Load(); n >= int64(m.cfg.MaxStuck) {
		return unavailable(fmt.Errorf("%d calls hang in the library of the %s; restart the node if that lasts", n, m.cfg.tokenName()))
	}
	select {
	case m.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(fmt.Errorf("all %d sessions are busy: %w", m.cfg.PoolSize, ctx.Err()))
	}
}

// dismiss gives a place back.
func (m *Module) dismiss() { <-m.places }

// run is one call in progress: of those who wait for it, of the pool's places and of hanging calls.
type run struct {
	m     *Module
	timer *time.Timer
	state atomic.Int32
}

const (
	runHangs    = 1 << iota // it is over its limit; its place in the pool has been given away
	runLeft                 // nobody waits for it
	runFinished             // it has returned
)

func newRun(m *Module, limit time.Duration) *run {
	r := &run{m: m}
	// The waiter gives up at the limit at the latest. A little later the call counts as hanging.
	r.timer = time.AfterFunc(limit+limit/4, r.hangs)
	return r
}

// set adds a bit and returns the state before.
func (r *run) set(bit int32) int32 { return r.state.Or(bit) }

func (r *run) hangs() {
	if r.set(runHangs)&runFinished != 0 {
		return
	}
	n := r.m.stuck.Add(1)
	r.m.dismiss()
	r.m.log.Error("pkcs11: a call hangs in the library", "token", r.m.cfg.tokenName(), "hanging", n)
}

// finish ends the call. It reports whether somebody still waits for the result.
func (r *run) finish() bool {
	r.timer.Stop()
	before := r.set(runFinished)
	r.m.lib.gate.leave()
	if before&runHangs == 0 {
		r.m.dismiss()
	} else {
		n := r.m.stuck.Add(-1)
		r.m.log.Warn("pkcs11: a hanging call has returned", "token", r.m.cfg.tokenName(), "hanging", n)
	}
	return before&runLeft == 0
}

// abandon reports whether the waiter may leave; if not, the result is there at once.
func (r *run) abandon() bool { return r.set(runLeft)&runFinished == 0 }
