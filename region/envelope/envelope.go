// Package envelope is the symmetric ciphertext of Trent: the blob that Encrypt and the data key operations hand out and Decrypt
// opens, and the sealed form of small secrets in replicated state. docs/cryptography.md specifies both byte for byte.
//
// The package guarantees:
//   - every message is encrypted under a key of its own, which the HSM derives from the key material, a fresh 128-bit nonce, and
//     the identity of the KMS key; no ciphertext opens under another key, not even one with the same material;
//   - a blob has exactly one encoding, and so has an encryption context: no two blobs or contexts mean the same;
//   - whatever is wrong with a blob or its context is the one [ErrInvalid], and what the HSM reports is passed through as it is,
//     never mixed up with it;
//   - it uses only what strict FIPS mode (fips140=only) allows;
//   - message keys are wiped before the call returns. Go's AES key schedule is not reachable and is left to the garbage collector.
//
// All functions are safe for concurrent use.
package envelope

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/trentkms/trent/region/shape"
)

// Sizes in bytes.
const (
	// NonceSize is the length of the random number that makes a message key unique.
	NonceSize = 16
	// MaxPlaintext is the longest plaintext of a blob (spec 01 ENV-03).
	MaxPlaintext = 4096
	// Overhead is how much longer a blob is than its plaintext: header, AES-GCM nonce and tag.
	Overhead = headerSize + gcmNonceSize + gcmTagSize
	// MaxBlob is the longest blob; the API allows 6,144 (spec 01 ENV-03).
	MaxBlob = MaxPlaintext + Overhead

	headerSize   = identitySize + NonceSize
	gcmNonceSize = 12
	gcmTagSize   = 16
	keySize      = 32
)

// messageLabel separates the derivation of message keys from every other use of the same material. Its number changes with the
// construction.
const messageLabel = "trent/message/1"

// ErrInvalid is every way in which a blob, a sealed secret or its associated data can be wrong: format, length, identity,
// encryption context, tag. It is never told which (spec 01 CTX-04, ENV-04).
var ErrInvalid = errors.New("envelope: the ciphertext or its associated data is not valid")

// KDF derives message keys inside the HSM; hsm.Key is one.
type KDF interface {
	// DeriveKey sets out to HMAC-SHA-256(key, 0x00000001 || fixed): the one block of SP 800-108r1 counter mode whose fixed
	// input is fixed. It must not keep fixed or out.
	DeriveKey(ctx context.Context, fixed []byte, out *[keySize]byte) error
}

// work holds what one call derives and authenticates, in one allocation.
type work struct {
	key   [keySize]byte
	fixed [len(messageLabel) + 1 + headerSize + 4]byte
	aad   [320]byte
}

// Seal encrypts plaintext, 1 to [MaxPlaintext] bytes, under a fresh message key and appends the blob to dst, which may be nil and
// must not overlap plaintext. h says whose material kdf is. An error is the KDF's own, or names a mistake of the caller; it is
// never ErrInvalid.
func Seal(ctx context.Context, kdf KDF, h Header, ec shape.EncryptionContext, plaintext, dst []byte) ([]byte, error) {
	if !h.Valid() {
		return nil, errors.New("envelope: seal without a header")
	}
	if len(plaintext) == 0 || len(plaintext) > MaxPlaintext {
		return nil, fmt.Errorf("envelope: plaintext of %d bytes, 1 to %d are allowed", len(plaintext), MaxPlaintext)
	}
	start := len(dst)
	dst = slices.Grow(dst, Overhead+len(plaintext))
	dst = append(dst, h.raw[:]...)
	dst = dst[:start+headerSize]
	rand.Read(dst[start+identitySize:]) // never fails: the program ends if the system has no randomness

	var w work
	aead, err := w.derive(ctx, kdf, dst[start:])
	if err != nil {
		return nil, err
	}
	aad, err := appendAAD(w.aad[:0], dst[start:], ec)
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, nil, plaintext, aad), nil
}

// Open decrypts a blob and appends the plaintext to dst, which may be nil and must not overlap blob. h is the identity of the key
// and material that kdf stands for, from the caller's own records: a blob that names another is ErrInvalid, so that a mix-up of
// handles cannot decrypt. Every fault of the blob or context is ErrInvalid; any other error is the KDF's own, unchanged. The
// caller wipes the plaintext.
func Open(ctx context.Context, kdf KDF, h Header, ec shape.EncryptionContext, blob, dst []byte) ([]byte, error) {
	named, err := Parse(blob)
	if err != nil || named != h {
		return nil, ErrInvalid
	}
	header, sealed := blob[:headerSize], blob[headerSize:]

	var w work
	aead, err := w.derive(ctx, kdf, header)
	if err != nil {
		return nil, err
	}
	aad, err := appendAAD(w.aad[:0], header, ec)
	if err != nil {
		return nil, ErrInvalid // no blob was ever made with such a context
	}
	dst, err = aead.Open(slices.Grow(dst, len(sealed)-gcmNonceSize-gcmTagSize), nil, sealed, aad)
	if err != nil {
		return nil, ErrInvalid
	}
	return dst, nil
}

// derive has the HSM compute the message key of a header and returns AES-256-GCM under it. The fixed input is Label || 0x00 ||
// Context || [L]_32 of SP 800-108r1 section 4.1, with the whole header as context and L in bits.
func (w *work) derive(ctx context.Context, kdf KDF, header []byte) (cipher.AEAD, error) {
	defer clear(w.key[:])
	b := append(w.fixed[:0], messageLabel...)
	b = append(b, 0)
	b = append(b, header...)
	b = binary.BigEndian.AppendUint32(b, 8*keySize)
	if err := kdf.DeriveKey(ctx, b, &w.key); err != nil {
		return nil, err
	}
	return newAEAD(&w.key)
}

// newAEAD is AES-256-GCM with a random nonce of 12 bytes before the ciphertext: strict FIPS mode allows no chosen nonce. Since
// each key encrypts one message, the nonce adds nothing to be relied on.
func newAEAD(key *[keySize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
