package cluster

import (
	"sync"
	"sync/atomic"
)

// lifeline tells everybody that the node's disk has failed: from then on the node answers nothing as committed, sends
// nothing and answers no peer.
type lifeline struct {
	once  sync.Once
	dead  chan struct{}
	cause atomic.Pointer[error]
	fatal func(error)
}

func newLifeline(fatal func(error)) *lifeline {
	return &lifeline{dead: make(chan struct{}), fatal: fatal}
}

// fail reports the first failure to the owner of the process. Later ones change nothing.
func (l *lifeline) fail(err error) {
	l.once.Do(func() {
		l.cause.Store(&err)
		close(l.dead)
		l.fatal(err)
	})
}

// stopped reports whether fail has been called. It takes no lock.
func (l *lifeline) stopped() bool { return l.cause.Load() != nil }

// err is the failure, nil while there is none.
func (l *lifeline) err() error {
	if p := l.cause.Load(); p != nil {
		return *p
	}
	return nil
}
