package sigv4

import (
	"hash/maphash"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// cacheShards divides the cache, so that an insert copies and locks a small part of it.
const cacheShards = 16

// KeyCache keeps derived signing keys, which are good for a day each. V identifies the version of the secret's row, such as the
// immutable row's pointer or its modify index: an entry is served only to a caller that holds the very version it was
// derived from. The caller reads the row in its own view first; a deleted one leads nowhere near the cache, and a changed one
// misses. Reads take no lock. Safe for concurrent use.
type KeyCache[V comparable] struct {
	seed   maphash.Seed
	max    int // entries per shard
	shards [cacheShards]cacheShard[V]
}

type cacheShard[V comparable] struct {
	entries atomic.Pointer[map[Scope]cacheEntry[V]] // never changed in place
	mu      sync.Mutex                              // held by writers
}

type cacheEntry[V comparable] struct {
	version V
	key     *SigningKey
}

// NewKeyCache returns a cache of about max entries; at least one per shard.
func NewKeyCache[V comparable](max int) *KeyCache[V] {
	return &KeyCache[V]{seed: maphash.MakeSeed(), max: (max + cacheShards - 1) / cacheShards}
}

// shard chooses by access key alone, so that Forget finds all of its entries in one place.
func (c *KeyCache[V]) shard(accessKeyID string) *cacheShard[V] {
	return &c.shards[maphash.String(c.seed, accessKeyID)%cacheShards]
}

// Get returns the signing key of a scope. On a miss it calls secret for the secret access key, which it derives from and
// does not keep or wipe; errors of secret are returned as they are, and a secret that is too short as ErrShortSecret.
func (c *KeyCache[V]) Get(s Scope, version V, secret func() ([]byte, error)) (*SigningKey, error) {
	sh := c.shard(s.AccessKeyID)
	if m := sh.entries.Load(); m != nil {
		if e, ok := (*m)[s]; ok && e.version == version {
			return e.key, nil
		}
	}
	b, err := secret()
	if err != nil {
		return nil, err
	}
	key, err := DeriveKey(b, s)
	if err != nil {
		return nil, err
	}
	sh.put(s, cacheEntry[V]{version, key}, max(c.max, 1))
	return key, nil
}

// put inserts an entry. Keys of earlier days go first, then any: a miss costs some microseconds, not correctness.
func (sh *cacheShard[V]) put(s Scope, e cacheEntry[V], limit int) {
	// The strings are parts of a request's headers, which must not live as long as the cache.
	s = Scope{strings.Clone(s.AccessKeyID), strings.Clone(s.Date), strings.Clone(s.Region), strings.Clone(s.Service)}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := sh.copy()
	if len(m) >= limit {
		maps.DeleteFunc(m, func(old Scope, _ cacheEntry[V]) bool { return old.Date < s.Date })
	}
	for old := range m {
		if len(m) < limit {
			break
		}
		delete(m, old)
	}
	m[s] = e
	sh.entries.Store(&m)
}

func (sh *cacheShard[V]) copy() map[Scope]cacheEntry[V] {
	if m := sh.entries.Load(); m != nil {
		return maps.Clone(*m)
	}
	return make(map[Scope]cacheEntry[V])
}

// Forget drops the keys derived from an access key. Correctness does not need it; it shortens the time that the key of a deleted
// secret stays in memory.
func (c *KeyCache[V]) Forget(accessKeyID string) {
	sh := c.shard(accessKeyID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := sh.copy()
	maps.DeleteFunc(m, func(s Scope, _ cacheEntry[V]) bool { return s.AccessKeyID == accessKeyID })
	sh.entries.Store(&m)
}

// Len returns the number of entries.
func (c *KeyCache[V]) Len() int {
	n := 0
	for i := range c.shards {
		if m := c.shards[i].entries.Load(); m != nil {
			n += len(*m)
		}
	}
	return n
}
