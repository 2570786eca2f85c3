package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/hsm"
)

// hsmWatch follows whether the HSM answers: a node without one commits nothing that it could make itself, so it should not lead.
type hsmWatch struct {
	module  hsm.Module
	failure atomic.Pointer[error] // what is wrong for longer than hsmGrace
}

const (
	// hsmInterval is the time between two looks, and how long one may take.
	hsmInterval = time.Second
	// hsmGrace is how long the HSM may fail before the node gives leadership away: a session that is opened anew takes less.
	hsmGrace = 5 * time.Second
)

// run looks until ctx ends.
func (w *hsmWatch) run(ctx context.Context) {
	var since time.Time // of the failure under way
	tick := time.NewTicker(hsmInterval)
	defer tick.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, hsmInterval)
		err := w.module.Health(limit)
		cancel()
		switch {
		case err == nil:
			since = time.Time{}
			w.failure.Store(nil)
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= hsmGrace:
			err = fmt.Errorf("the HSM has not answered for %v: %w", time.Since(since).Round(time.Second), err)
			w.failure.Store(&err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// err is why the node should not lead, nil while the HSM answers.
func (w *hsmWatch) err() error {
	if p := w.failure.Load(); p != nil {
		return *p
	}
	return nil
}
