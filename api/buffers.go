package api

import (
	"io"
	"sync"
)

// bufferPool keeps byte slices between requests. Buffers that grew beyond maxKept are dropped, so that one large request does
// not stay in memory.
type bufferPool struct{ pool sync.Pool }

const (
	firstBuffer = 2 << 10
	maxKept     = 64 << 10
)

var (
	bodyBuffers   bufferPool
	recordBuffers bufferPool
	answerBuffers bufferPool
)

// get returns an empty buffer.
func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, firstBuffer)
	return &b
}

// put takes a buffer back; it must hold nothing secret.
func (p *bufferPool) put(b *[]byte) {
	if cap(*b) == 0 || cap(*b) > maxKept {
		return
	}
	*b = (*b)[:0]
	p.pool.Put(b)
}

// wipe overwrites a buffer and takes it back.
func (p *bufferPool) wipe(b *[]byte) {
	clear(*b)
	p.put(b)
}

// readAll reads r to its end into b's capacity, growing it as needed. Growth above maxKept is asked for by reserve first.
func readAll(r io.Reader, b []byte, reserve func(n int) error) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			size := 2*cap(b) + firstBuffer
			if size > maxKept {
				if err := reserve(size); err != nil {
					return b, err
				}
			}
			grown := make([]byte, len(b), size)
			copy(grown, b)
			clear(b)
			b = grown
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
