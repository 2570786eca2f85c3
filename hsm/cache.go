package hsm

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// ErrDropped reports that the key was dropped at a later version than the one that Acquire was called with: it was
// deleted, disabled or has expired meanwhile. The caller decides again on a newer state.
var ErrDropped = errors.New("hsm: key was dropped from the cache at a later version")

// errOvertaken ends the wait for a load that a Drop or a Purge overtook. It never leaves the cache.
var errOvertaken = errors.New("hsm: load was overtaken")

// CacheID names one piece of key material in a Cache. Equal ids must always mean equal material.
type CacheID struct {
	Key      string // key id or ARN, unique in the region
	Material string // material id, "" for keys with one material
}

// CacheStats are counters since NewCache, and the present sizes.
type CacheStats struct {
	Hits, Misses, Loads, LoadErrors, Evictions, Drops uint64
	Entries                                           int // keys that the cache holds
	Live                                              int // keys not yet destroyed, those included that are only in use
}

// Cache is a bounded cache of keys loaded in a module.
//
// It guarantees:
//   - one load for all who wait for a key; a waiter whose context ends leaves, and the load is cancelled when the last
//     one has left;
//   - a Drop wins over a load in flight: what was loaded for a caller at a lower version is destroyed, not handed out;
//   - a key is destroyed once it is out of the cache and its last user has released it, never earlier;
//   - at most bound keys stay in the cache, but for the moment after a load; those used only once go first, those in use
//     last, by second chance (an approximation of LRU).
//
// Versions come from one clock for the whole cache: the log index of the state that the caller decided on. Material is
// immutable under its id, so a hit does not compare them.
//
// All methods are safe for concurrent use. A hit takes one of many locks for the time of a map lookup and allocates
// nothing.
type Cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
	clock  cacheClock
	tombs  tombstones

	live                                        atomic.Int64
	loads, loadErrors, evictions, drops, misses atomic.Uint64
}

const cacheShards = 64

type cacheShard struct {
	mu      sync.Mutex
	entries map[CacheID]*Ref    // guarded by mu
	flights map[CacheID]*flight // guarded by mu
	hits    uint64              // guarded by mu
	_       [64]byte            // keeps neighbours off this cache line
}

// Ref is a key in use. Every Ref that Acquire returned is released exactly once.
type Ref struct {
	cache   *Cache
	id      CacheID
	version uint64 // of the caller that loaded it
	key     Key
	users   atomic.Int64 // references: one of the cache while it is in a shard, one of each user
	recent  atomic.Bool  // used again since it was loaded or the clock hand passed
	left    bool         // out of its shard; guarded by the clock's mu
}

// Key returns the loaded key. It is valid until Release; the caller does not destroy it.
func (r *Ref) Key() Key { return r.key }

// Release ends the use of the key.
func (r *Ref) Release() {
	if r.users.Add(-1) == 0 {
		r.key.Destroy()
		r.cache.live.Add(-1)
	}
}

// Discard releases the key and takes it out of the cache, so that the next Acquire loads it anew: for a key whose
// handle the module has lost.
func (r *Ref) Discard() {
	s := r.cache.shard(r.id)
	s.mu.Lock()
	present := s.entries[r.id] == r
	if present {
		delete(s.entries, r.id)
	}
	s.mu.Unlock()
	if present {
		r.cache.clock.remove(r)
		r.Release()
	}
	r.Release()
}

// NewCache returns a cache of at most bound keys, at least one.
func NewCache(bound int) *Cache {
	c := &Cache{seed: maphash.MakeSeed()}
	c.clock.bound = max(bound, 1)
	for i := range c.shards {
		c.shards[i].entries = make(map[CacheID]*Ref)
		c.shards[i].flights = make(map[CacheID]*flight)
	}
	return c
}

func (c *Cache) shard(id CacheID) *cacheShard {
	return &c.shards[maphash.Comparable(c.seed, id)%cacheShards]
}

// Acquire returns the key of id, loading it if it is not there. version is that of the state on which the caller
// decided that it may use the key. load runs in its own goroutine, with the values of the first caller's context, and
// is cancelled when nobody waits any more.
//
// The errors are those of load; ErrDropped if the key was dropped at a version above version; ErrUnavailable, wrapping
// the context's error, if ctx ended first.
func (c *Cache) Acquire(ctx context.Context, id CacheID, version uint64, load func(ctx context.Context) (Key, error)) (*Ref, error) {
	s := c.shard(id)
	for {
		s.mu.Lock()
		if r := s.entries[id]; r != nil {
			r.users.Add(1)
			s.hits++
			s.mu.Unlock()
			if !r.recent.Load() {
				r.recent.Store(true)
			}
			return r, nil
		}
		f, err := c.joinLocked(ctx, s, id, version, load)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		r, err := c.await(ctx, s, f)
		if err != errOvertaken {
			return r, err
		}
		// What overtook the load may not concern this caller: joinLocked tells.
	}
}

// Drop takes the key of id out of the cache because it may not be used from version on: deleted, disabled, expired.
// Loads for callers at lower versions come to nothing, also those that start later. Users of the key keep it until
// they release it.
func (c *Cache) Drop(id CacheID, version uint64) {
	s := c.shard(id)
	s.mu.Lock()
	c.tombs.add(id, version)
	r := s.entries[id]
	if r != nil && r.version < version {
		delete(s.entries, id)
	} else {
		r = nil
	}
	f := s.flights[id]
	if f != nil && f.version < version {
		s.overtakeLocked(f)
	}
	s.mu.Unlock()
	c.drops.Add(1)
	if r != nil {
		c.clock.remove(r)
		r.Release()
	}
}

// Purge takes all keys out of the cache, those being loaded too, whose waiters load again: for a module whose handles
// have become invalid, and for the end.
func (c *Cache) Purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries := s.entries
		s.entries = make(map[CacheID]*Ref)
		for _, f := range s.flights {
			s.overtakeLocked(f)
		}
		s.mu.Unlock()
		for _, r := range entries {
			c.clock.remove(r)
			r.Release()
		}
	}
}

// overtakeLocked makes what f loads unusable and cuts the load short. The shard is locked.
func (s *cacheShard) overtakeLocked(f *flight) {
	delete(s.flights, f.id)
	f.dead = true
	f.cancel()
}

// Stats returns the counters. They are read one after the other, not at one instant.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{
		Misses: c.misses.Load(), Loads: c.loads.Load(), LoadErrors: c.loadErrors.Load(),
		Evictions: c.evictions.Load(), Drops: c.drops.Load(), Live: int(c.live.Load()),
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Hits += s.hits
		st.Entries += len(s.entries)
		s.mu.Unlock()
	}
	return st
}
