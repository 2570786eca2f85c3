package envelope

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// PRF is the pseudo-random function of a domain key's authentication key: hsm.Module.DomainPRF with the domain key fixed, that is
// HMAC-SHA-256 over len(label) || label || input.
type PRF func(ctx context.Context, label string, input []byte) ([32]byte, error)

// A sealed secret is magic "TRS" and version 1 (4 bytes), nonce (16), AES-GCM nonce (12), ciphertext, tag (16).
const (
	secretMagic      = "TRS\x01"
	secretLabel      = "trent/secret/1"
	secretHeaderSize = len(secretMagic) + NonceSize
	// SecretOverhead is how much longer a sealed secret is than the secret, in bytes.
	SecretOverhead = secretHeaderSize + gcmNonceSize + gcmTagSize
	// MaxSecret is the longest secret, in bytes.
	MaxSecret = 4096
)

// SealSecret encrypts a small secret, 1 to [MaxSecret] bytes, for replicated state, such as a secret access key. binding says what
// it belongs to; it is authenticated and not stored. Which domain key prf stands for is not stored either: the caller keeps it
// beside the result. An error is the PRF's own, or names a mistake of the caller.
func SealSecret(ctx context.Context, prf PRF, binding, secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, fmt.Errorf("envelope: secret of %d bytes, 1 to %d are allowed", len(secret), MaxSecret)
	}
	sealed := make([]byte, secretHeaderSize, SecretOverhead+len(secret))
	copy(sealed, secretMagic)
	rand.Read(sealed[len(secretMagic):])
	aead, err := secretAEAD(ctx, prf, sealed)
	if err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nil, secret, secretAAD(sealed, binding)), nil
}

// OpenSecret decrypts what [SealSecret] made with the same domain key and binding. ErrInvalid if anything about them differs; any
// other error is the PRF's own, unchanged. The caller wipes the secret.
func OpenSecret(ctx context.Context, prf PRF, binding, sealed []byte) ([]byte, error) {
	if len(sealed) <= SecretOverhead || len(sealed) > SecretOverhead+MaxSecret || string(sealed[:len(secretMagic)]) != secretMagic {
		return nil, ErrInvalid
	}
	header, rest := sealed[:secretHeaderSize], sealed[secretHeaderSize:]
	aead, err := secretAEAD(ctx, prf, header)
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, rest, secretAAD(header, binding))
	if err != nil {
		return nil, ErrInvalid
	}
	return secret, nil
}

// secretAEAD derives the key of one sealed secret: one block of SP 800-108r1 counter mode, the label before the counter, where the
// PRF's own framing puts it.
func secretAEAD(ctx context.Context, prf PRF, header []byte) (cipher.AEAD, error) {
	if prf == nil {
		return nil, errors.New("envelope: no domain key to seal or open a secret with")
	}
	input := make([]byte, 0, 4+secretHeaderSize+4)
	input = binary.BigEndian.AppendUint32(input, 1)
	input = append(input, header...)
	input = binary.BigEndian.AppendUint32(input, 8*keySize)
	key, err := prf(ctx, secretLabel, input)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return newAEAD(&key)
}

// secretAAD is header || binding; the header's length is fixed, so that the boundary is unambiguous.
func secretAAD(header, binding []byte) []byte {
	return slices.Concat(header, binding)
}
