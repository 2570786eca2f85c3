package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
)

// minSecret is the shortest secret access key: with the prefix "AWS4" it makes the 14 bytes that crypto/hmac asks for in strict
// FIPS mode, where it panics on less.
const minSecret = 10

// Scope is what a signing key is good for: one access key, one day (YYYYMMDD), one region, one service.
type Scope struct{ AccessKeyID, Date, Region, Service string }

// SigningKey is a derived key. It is safe for concurrent use, and shows nothing of itself when printed.
type SigningKey struct {
	_ [0]func() // not comparable
	// macs holds keyed HMACs. Keying one costs two hash blocks and three allocations; a verification should pay for neither.
	macs sync.Pool
}

// DeriveKey derives the signing key of a secret access key for a scope. It fails with ErrShortSecret.
func DeriveKey(secret []byte, s Scope) (*SigningKey, error) {
	if len(secret) < minSecret {
		return nil, ErrShortSecret
	}
	key := append([]byte("AWS4"), secret...)
	for _, step := range []string{s.Date, s.Region, s.Service, Terminator} {
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, step) // a hash never fails
		clear(key)
		key = mac.Sum(nil)
	}
	return newSigningKey(key), nil
}

// newSigningKey owns key.
func newSigningKey(key []byte) *SigningKey {
	return &SigningKey{macs: sync.Pool{New: func() any { return &macState{mac: hmac.New(sha256.New, key)} }}}
}

// String implements fmt.Stringer without the key.
func (*SigningKey) String() string { return "[signing key]" }

// Format implements fmt.Formatter: every verb prints the same.
func (k *SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// macState is a keyed HMAC with the buffers that one signature needs.
type macState struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte
	hex [2 * sha256.Size]byte
}

// maxKept is the largest buffer that goes back to the pool.
const maxKept = 16 << 10

// sign writes the signature of a message in hex to dst, which has room for it.
func (k *SigningKey) sign(dst []byte, m *message, timeText string, s Scope) {
	st := k.macs.Get().(*macState)
	st.buf = m.appendTo(st.buf[:0])
	st.sum = sha256.Sum256(st.buf)
	hex.Encode(st.hex[:], st.sum[:])
	st.buf = appendStringToSign(st.buf[:0], timeText, s, st.hex[:])
	st.mac.Reset()
	st.mac.Write(st.buf)
	hex.Encode(dst, st.mac.Sum(st.sum[:0]))
	if cap(st.buf) <= maxKept {
		k.macs.Put(st)
	}
}
