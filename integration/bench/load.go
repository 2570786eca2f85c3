package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// result is what one run of the load saw.
type result struct {
	requests int
	took     time.Duration
	sorted   []time.Duration // latencies
}

func (r *result) rate() float64 { return float64(r.requests) / r.took.Seconds() }

// load keeps a number of connections open and busy.
type load struct{ conns []*conn }

// newLoad opens n connections.
func newLoad(ctx context.Context, e *endpoint, n int) (*load, error) {
	l := &load{}
	for range n {
		c, err := dial(ctx, e)
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, c)
	}
	return l, nil
}

// close closes the connections; a load that was not opened has none.
func (l *load) close() {
	if l == nil {
		return
	}
	for _, c := range l.conns {
		c.close()
	}
}

// run sends the request on every connection again and again, each as soon as the one before is answered, until the time is up or
// atMost requests were sent (0: no bound). The first failure ends it.
func (l *load) run(ctx context.Context, q *request, d time.Duration, atMost int) (*result, error) {
	var (
		wg        sync.WaitGroup
		stop      atomic.Bool
		sent      atomic.Int64
		latencies = make([][]time.Duration, len(l.conns))
		errs      = make([]error, len(l.conns))
	)
	start := time.Now()
	end := start.Add(d)
	for i, c := range l.conns {
		wg.Go(func() {
			for now := start; !stop.Load() && ctx.Err() == nil && now.Before(end); {
				if n := sent.Add(1); atMost > 0 && n > int64(atMost) {
					return
				}
				if _, err := c.do(q); err != nil {
					errs[i] = err
					stop.Store(true)
					return
				}
				then := time.Now()
				latencies[i] = append(latencies[i], then.Sub(now))
				now = then
			}
		})
	}
	wg.Wait()
	r := &result{took: time.Since(start), sorted: slices.Concat(latencies...)}
	r.requests = len(r.sorted)
	slices.Sort(r.sorted)
	err := errors.Join(append(errs, ctx.Err())...)
	if err == nil && r.requests == 0 {
		err = errors.New("not one request was answered in time; give a longer -duration")
	}
	return r, err
}

// call sends one request on a connection of its own.
func call(ctx context.Context, e *endpoint, q *request) ([]byte, error) {
	c, err := dial(ctx, e)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.do(q)
}
