package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// decisionMemory is how long a decision for another region is remembered, maxDecisions how many are, for each region: one that sends
	// many has those of no other one forgotten.
	decisionMemory = time.Minute
	maxDecisions   = 1024
)

// decisions remembers what was lately decided for other regions, so that a message that arrives twice is decided once: a second access key would be
// made by a repeated CreateAccessKey, which no command id protects, and each message would leave a record of its own. It is the leader's own: after a
// change of leader the command ids remain.
type decisions struct {
	mu sync.Mutex
	of map[string]*decided // by region; guarded by mu
}

// decided are the decisions for one region.
type decided struct {
	done map[[sha256.Size]byte]*decision
	ages []*decision // the same by age
}

// decision is one that is made, or was.
type decision struct {
	id    [sha256.Size]byte
	since time.Time
	ready chan struct{} // closed when reply and err are set
	reply []byte
	err   error
}

// once decides a request of a region, or returns what was decided of the same message. The reply is the caller's.
func (m *decisions) once(ctx context.Context, from string, request []byte, decide func() ([]byte, error)) ([]byte, error) {
	d, first := m.begin(from, sha256.Sum256(request), time.Now())
	if first {
		func() {
			defer close(d.ready)
			d.reply, d.err = caught(decide)
		}()
	}
	select {
	case <-d.ready:
		return bytes.Clone(d.reply), d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// panicError is a decision that ended in a panic. Its text is for the other region, the stack for the operator.
type panicError struct{ stack []byte }

func (*panicError) Error() string { return "the region failed when it decided that" }

// caught turns a panic into an error, so that no message of another region takes the node down.
func caught(decide func() ([]byte, error)) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, &panicError{fmt.Appendf(nil, "panic: %v\n%s", p, debug.Stack())}
		}
	}()
	return decide()
}

// begin finds the decision of a region's message, or begins it.
func (m *decisions) begin(from string, id [sha256.Size]byte, now time.Time) (d *decision, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for region, all := range m.of {
		if all.forget(now, maxDecisions+1); len(all.ages) == 0 {
			delete(m.of, region)
		}
	}
	all := m.of[from]
	if all == nil {
		all = &decided{done: make(map[[sha256.Size]byte]*decision)}
		if m.of == nil {
			m.of = make(map[string]*decided)
		}
		m.of[from] = all
	}
	if d = all.done[id]; d != nil {
		return d, false
	}
	all.forget(now, maxDecisions)
	d = &decision{id: id, since: now, ready: make(chan struct{})}
	all.done[id] = d
	all.ages = append(all.ages, d)
	return d, true
}

// forget drops what is too old, and the oldest until there are fewer than some.
func (a *decided) forget(now time.Time, fewer int) {
	for len(a.ages) > 0 && (len(a.ages) >= fewer || now.Sub(a.ages[0].since) > decisionMemory) {
		delete(a.done, a.ages[0].id)
		a.ages = a.ages[1:]
	}
}
