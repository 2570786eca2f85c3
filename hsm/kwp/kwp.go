// Package kwp is AES key wrap with padding: RFC 5649, NIST SP 800-38F algorithm KWP, CKM_AES_KEY_WRAP_PAD of PKCS#11.
//
// The package guarantees that Unwrap returns a key only if the whole integrity check passed, tells in one way and in a
// time that depends on lengths alone that it did not, and leaves no half-unwrapped key in memory it allocated.
package kwp

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxKey is the longest key that Wrap accepts, in bytes. RFC 5649 allows 4 GiB; no key is that long.
const MaxKey = 64 << 10

// ErrUnwrap reports a wrapped key that was changed, or wrapped under another key.
var ErrUnwrap = errors.New("kwp: integrity check failed")

const (
	semiblock = 8
	aivPrefix = 0xA65959A6 // RFC 5649 section 3
	rounds    = 6          // RFC 3394 section 2.2.1
)

// WrappedSize returns the length of a wrapped key of n bytes, in bytes.
func WrappedSize(n int) int {
	return (n+semiblock-1)/semiblock*semiblock + semiblock
}

// Wrap wraps key, of 1 to MaxKey bytes, under the AES block cipher b.
func Wrap(b cipher.Block, key []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > MaxKey {
		return nil, fmt.Errorf("kwp: key of %d bytes, 1 to %d are allowed", len(key), MaxKey)
	}
	out := make([]byte, WrappedSize(len(key)))
	binary.BigEndian.PutUint32(out, aivPrefix)
	binary.BigEndian.PutUint32(out[4:], uint32(len(key)))
	copy(out[semiblock:], key)
	if len(out) == 2*semiblock {
		b.Encrypt(out, out)
		return out, nil
	}
	wrapBlocks(b, out)
	return out, nil
}

// wrapBlocks is the wrapping process of RFC 3394 section 2.2.1 (index form) over a || r[1] || ... || r[n] in place.
func wrapBlocks(b cipher.Block, buf []byte) {
	var block [2 * semiblock]byte
	defer clear(block[:])
	n := uint64(len(buf)/semiblock - 1)
	copy(block[:semiblock], buf)
	for j := uint64(0); j < rounds; j++ {
		for i := uint64(1); i <= n; i++ {
			r := buf[i*semiblock : (i+1)*semiblock]
			copy(block[semiblock:], r)
			b.Encrypt(block[:], block[:])
			copy(r, block[semiblock:])
			xorCounter(&block, n*j+i)
		}
	}
	copy(buf, block[:semiblock])
}

// Unwrap returns the key in wrapped. ErrUnwrap for whatever Wrap cannot have made under b.
func Unwrap(b cipher.Block, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 2*semiblock || len(wrapped)%semiblock != 0 || len(wrapped) > WrappedSize(MaxKey) {
		return nil, ErrUnwrap
	}
	buf := make([]byte, len(wrapped))
	copy(buf, wrapped)
	if len(buf) == 2*semiblock {
		b.Decrypt(buf, buf)
	} else {
		unwrapBlocks(b, buf)
	}
	padded := buf[semiblock:]
	size, ok := checkAIV(buf[:semiblock], padded)
	if ok != 1 {
		clear(buf)
		return nil, ErrUnwrap
	}
	return padded[:size:size], nil
}

// unwrapBlocks undoes wrapBlocks (RFC 3394 section 2.2.2).
func unwrapBlocks(b cipher.Block, buf []byte) {
	var block [2 * semiblock]byte
	defer clear(block[:])
	n := uint64(len(buf)/semiblock - 1)
	copy(block[:semiblock], buf)
	for j := rounds - 1; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := buf[i*semiblock : (i+1)*semiblock]
			xorCounter(&block, n*uint64(j)+i)
			copy(block[semiblock:], r)
			b.Decrypt(block[:], block[:])
			copy(r, block[semiblock:])
		}
	}
	copy(buf, block[:semiblock])
}

func xorCounter(block *[2 * semiblock]byte, t uint64) {
	a := binary.BigEndian.Uint64(block[:semiblock])
	binary.BigEndian.PutUint64(block[:semiblock], a^t)
}

// checkAIV checks the alternative initial value and the zero padding (RFC 5649 section 3) without branching on them.
func checkAIV(aiv, padded []byte) (size, ok int) {
	n := len(padded)
	mli := binary.BigEndian.Uint32(aiv[4:])
	// Compare as int only what fits; a larger length indicator is wrong anyway.
	size = int(mli & (1<<30 - 1))
	ok = subtle.ConstantTimeEq(int32(binary.BigEndian.Uint32(aiv)^aivPrefix), 0)
	ok &= subtle.ConstantTimeEq(int32(mli>>30), 0)
	ok &= subtle.ConstantTimeLessOrEq(n-semiblock+1, size)
	ok &= subtle.ConstantTimeLessOrEq(size, n)
	var pad byte
	for i := n - semiblock; i < n; i++ {
		inPad := subtle.ConstantTimeLessOrEq(size, i)
		pad |= padded[i] & byte(-inPad)
	}
	ok &= subtle.ConstantTimeByteEq(pad, 0)
	return size, ok
}
