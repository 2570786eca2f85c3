package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// decisionMemory is how long a decision for another region is remembered, maxDecisions how many are.
	decisionMemory = time.Minute
	maxDecisions   = 4096
)

// decisions remembers what was lately decided for other regions, so that a message that arrives twice is decided once: a second access key would be
// made by a repeated CreateAccessKey, which no command id protects, and each message would leave a record of its own. It is the leader's own: after a
// change of leader the command ids remain.
type decisions struct {
	mu   sync.Mutex
	done map[[sha256.Size]byte]*decision // guarded by mu
	ages []*decision                     // the same by age; guarded by mu
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
	id := sha256.Sum256(append([]byte(from+"\x00"), request...))
	d, first := m.begin(id, time.Now())
	if first {
		func() {
			defer close(d.ready)
			d.reply, d.err = decide()
		}()
	}
	select {
	case <-d.ready:
		return bytes.Clone(d.reply), d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin finds the decision of a message, or begins it.
func (m *decisions) begin(id [sha256.Size]byte, now time.Time) (d *decision, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.ages) > 0 && (len(m.ages) >= maxDecisions || now.Sub(m.ages[0].since) > decisionMemory) {
		delete(m.done, m.ages[0].id)
		m.ages = m.ages[1:]
	}
	if d = m.done[id]; d != nil {
		return d, false
	}
	if m.done == nil {
		m.done = make(map[[sha256.Size]byte]*decision)
	}
	d = &decision{id: id, since: now, ready: make(chan struct{})}
	m.done[id] = d
	m.ages = append(m.ages, d)
	return d, true
}
