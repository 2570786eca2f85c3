package hsm

import "sync"

// cacheClock is the ring over which the second-chance algorithm turns. Lock order: a shard's mu is never held while mu
// is taken, nor the reverse.
type cacheClock struct {
	bound int

	mu   sync.Mutex
	ring []*Ref       // guarded by mu
	at   map[*Ref]int // place in ring; guarded by mu
	hand int          // guarded by mu
}

// insert adds r, unless it left its shard before it came here.
func (k *cacheClock) insert(r *Ref) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.left {
		return
	}
	if k.at == nil {
		k.at = make(map[*Ref]int)
	}
	k.at[r] = len(k.ring)
	k.ring = append(k.ring, r)
}

func (k *cacheClock) remove(r *Ref) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.left = true
	k.removeLocked(r)
}

func (k *cacheClock) removeLocked(r *Ref) {
	i, ok := k.at[r]
	if !ok {
		return
	}
	last := len(k.ring) - 1
	k.ring[i] = k.ring[last]
	k.at[k.ring[i]] = i
	k.ring[last] = nil
	k.ring = k.ring[:last]
	delete(k.at, r)
}

// victim removes one key from a ring that is over its bound and returns it; nil if it is not. The hand passes up to
// three times: over keys used since the last time, over keys in use, and then takes what is there.
func (k *cacheClock) victim() *Ref {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.ring) <= k.bound {
		return nil
	}
	for pass, seen := 0, 0; ; seen++ {
		if seen == len(k.ring) {
			pass, seen = pass+1, 0
		}
		if k.hand >= len(k.ring) {
			k.hand = 0
		}
		r := k.ring[k.hand]
		recent := r.recent.Swap(false)
		idle := r.users.Load() <= 1
		if pass >= 2 || idle && (!recent || pass == 1) {
			k.removeLocked(r)
			return r
		}
		k.hand++
	}
}

// evict brings the cache back to its bound.
func (c *Cache) evict() {
	for r := c.clock.victim(); r != nil; r = c.clock.victim() {
		s := c.shard(r.id)
		s.mu.Lock()
		present := s.entries[r.id] == r
		if present {
			delete(s.entries, r.id)
		}
		s.mu.Unlock()
		if present {
			c.evictions.Add(1)
			r.Release()
		}
	}
}

// tombstones remember the latest drops, so that a caller with an old state cannot bring a key back. There is room for
// maxTombstones; of what is forgotten the highest version stays as a floor under all ids. A caller below it has a state
// that is maxTombstones drops old, and decides again.
type tombstones struct {
	mu    sync.RWMutex
	drops map[CacheID]uint64 // guarded by mu
	order []CacheID          // ring of ids in order of their first drop; guarded by mu
	next  int                // guarded by mu
	floor uint64             // guarded by mu
}

const maxTombstones = 4096

func (t *tombstones) forbids(id CacheID, version uint64) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return version < t.floor || version < t.drops[id]
}

func (t *tombstones) add(id CacheID, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drops == nil {
		t.drops = make(map[CacheID]uint64)
	}
	if old, ok := t.drops[id]; ok {
		t.drops[id] = max(old, version)
		return
	}
	t.drops[id] = version
	if len(t.order) < maxTombstones {
		t.order = append(t.order, id)
		return
	}
	forgotten := t.order[t.next]
	t.floor = max(t.floor, t.drops[forgotten])
	delete(t.drops, forgotten)
	t.order[t.next] = id
	t.next = (t.next + 1) % maxTombstones
}
