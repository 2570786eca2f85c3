package hsm

import (
	"context"
	"errors"
	"fmt"
)

// flight is one load and those who wait for it.
type flight struct {
	id      CacheID
	version uint64        // of the caller that started it
	cancel  func()        // ends the load's context
	done    chan struct{} // closed when ref or err is set
	ref     *Ref          // set before done is closed; carries one reference for each waiter
	err     error         // likewise
	waiters int           // guarded by the shard's mu
	over    bool          // the waiters are served; guarded by the shard's mu
	dead    bool          // overtaken: what is loaded must not be used; guarded by the shard's mu
}

// joinLocked returns the load in flight for id, or starts one. The shard is locked.
func (c *Cache) joinLocked(ctx context.Context, s *cacheShard, id CacheID, version uint64, load func(context.Context) (Key, error)) (*flight, error) {
	if c.tombs.forbids(id, version) {
		return nil, ErrDropped
	}
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	c.misses.Add(1)
	if f := s.flights[id]; f != nil {
		f.waiters++
		return f, nil
	}
	loadCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{id: id, version: version, cancel: cancel, done: make(chan struct{}), waiters: 1}
	s.flights[id] = f
	c.loads.Add(1)
	go func() {
		key, err := runLoad(loadCtx, load)
		cancel()
		c.land(s, f, key, err)
	}()
	return f, nil
}

// runLoad turns a panic of load into an error: it would end the process here, and not the one request.
func runLoad(ctx context.Context, load func(context.Context) (Key, error)) (key Key, err error) {
	defer func() {
		if p := recover(); p != nil {
			key, err = nil, fmt.Errorf("hsm: loading a key panicked: %v", p)
		}
	}()
	key, err = load(ctx)
	if err == nil && key == nil {
		err = errors.New("hsm: load returned neither key nor error")
	}
	return key, err
}

// land ends a load: it puts the key into the cache unless a Drop or Purge came first, and serves the waiters.
func (c *Cache) land(s *cacheShard, f *flight, key Key, err error) {
	s.mu.Lock()
	if s.flights[f.id] == f {
		delete(s.flights, f.id)
	}
	f.over = true
	keep := err == nil && !f.dead && f.waiters > 0
	if keep {
		c.live.Add(1)
		f.ref = &Ref{cache: c, id: f.id, version: f.version, key: key}
		f.ref.users.Store(int64(f.waiters) + 1)
		s.entries[f.id] = f.ref
	} else if f.err = err; f.dead {
		f.err = errOvertaken
	}
	s.mu.Unlock()
	close(f.done)
	if err != nil {
		c.loadErrors.Add(1)
	} else if !keep {
		key.Destroy()
	} else {
		c.clock.insert(f.ref)
		c.evict()
	}
}

// await waits for a load, or for the end of ctx.
func (c *Cache) await(ctx context.Context, s *cacheShard, f *flight) (*Ref, error) {
	select {
	case <-f.done:
		return f.ref, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if f.over { // landed meanwhile, with a reference for us
		s.mu.Unlock()
		<-f.done
		return f.ref, f.err
	}
	f.waiters--
	last := f.waiters == 0
	if last && s.flights[f.id] == f {
		delete(s.flights, f.id) // whoever comes now starts a load that is not cancelled
	}
	s.mu.Unlock()
	if last {
		f.cancel()
	}
	return nil, contextError(ctx.Err())
}

// contextError is what a call returns whose context ended.
func contextError(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
