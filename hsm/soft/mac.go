package soft

import (
	"bytes"
	"crypto/hmac"
	"hash"
	"sync"
)

// macPool computes HMACs under one key without allocating: states that have absorbed the key are kept and reset, which
// saves two of the compressions of a short message and the set-up of the state.
type macPool struct {
	key  []byte
	pool *sync.Pool
}

type macState struct {
	hash.Hash
	sum [64]byte
}

// newMACPool copies key, of at least 14 bytes: crypto/hmac panics with fips140=only below that.
func newMACPool(h func() hash.Hash, key []byte) *macPool {
	p := &macPool{key: bytes.Clone(key)}
	p.pool = &sync.Pool{New: func() any { return &macState{Hash: hmac.New(h, p.key)} }}
	return p
}

// sum writes the first len(out) bytes of the HMAC over prefix || msg to out.
func (p *macPool) sum(out, prefix, msg []byte) {
	s := p.pool.Get().(*macState)
	s.Reset()
	s.Write(prefix)
	s.Write(msg)
	copy(out, s.Sum(s.sum[:0]))
	clear(s.sum[:])
	p.pool.Put(s)
}

// wipe clears the key and lets go of the states. The caller makes sure that no sum is under way.
func (p *macPool) wipe() {
	clear(p.key)
	p.pool = nil
}
