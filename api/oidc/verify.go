package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"

	_ "crypto/sha256" // for the digests of the algorithms
	_ "crypto/sha512"
)

// algorithm is a signature algorithm of RFC 7518 or RFC 8037.
type algorithm struct {
	name   string
	digest crypto.Hash
	// verify checks a signature of the digest, or of the text for EdDSA, by a key of the right type.
	verify func(a *algorithm, k crypto.PublicKey, text, digest, sig []byte) (fits, good bool)
	bits   int // of an EC key's curve
}

// algorithms is all there is. An algorithm with a shared secret cannot be in it: its key would be the text of a public one.
var algorithms = map[string]algorithm{
	"RS256": {"RS256", crypto.SHA256, verifyPKCS1, 0},
	"RS384": {"RS384", crypto.SHA384, verifyPKCS1, 0},
	"RS512": {"RS512", crypto.SHA512, verifyPKCS1, 0},
	"PS256": {"PS256", crypto.SHA256, verifyPSS, 0},
	"PS384": {"PS384", crypto.SHA384, verifyPSS, 0},
	"PS512": {"PS512", crypto.SHA512, verifyPSS, 0},
	"ES256": {"ES256", crypto.SHA256, verifyECDSA, 256},
	"ES384": {"ES384", crypto.SHA384, verifyECDSA, 384},
	"ES512": {"ES512", crypto.SHA512, verifyECDSA, 521},
	"EdDSA": {"EdDSA", crypto.SHA512, verifyEd25519, 0},
}

// maxTries bounds the keys that are tried for a token without key id, or with one that several keys have.
const maxTries = 8

// Verify checks the token's signature under the key that it names, or, if it names none, under any key that fits. The error is
// [ErrNoKey] or [ErrSignature].
func (s *KeySet) Verify(t *Token) error {
	h := t.algorithm.digest.New()
	_, _ = h.Write([]byte(t.signed))
	digest, result, tries := h.Sum(nil), ErrNoKey, 0
	for i := range s.keys {
		k := &s.keys[i]
		if t.keyID != "" && k.id != t.keyID || k.algorithm != "" && k.algorithm != t.algorithm.name {
			continue
		}
		fits, good := t.algorithm.verify(&t.algorithm, k.public, []byte(t.signed), digest, t.signature)
		if good {
			return nil
		}
		if fits {
			result = ErrSignature
			if tries++; tries == maxTries {
				break
			}
		}
	}
	if t.keyID == "" && errors.Is(result, ErrSignature) {
		return ErrNoKey // the right key may be a new one
	}
	return result
}

func verifyPKCS1(a *algorithm, k crypto.PublicKey, _, digest, sig []byte) (fits, good bool) {
	public, fits := k.(*rsa.PublicKey)
	return fits, fits && rsa.VerifyPKCS1v15(public, a.digest, digest, sig) == nil
}

func verifyPSS(a *algorithm, k crypto.PublicKey, _, digest, sig []byte) (fits, good bool) {
	public, fits := k.(*rsa.PublicKey)
	return fits, fits && rsa.VerifyPSS(public, a.digest, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

// verifyECDSA checks a signature of two numbers of fixed length (RFC 7518 section 3.4).
func verifyECDSA(a *algorithm, k crypto.PublicKey, _, digest, sig []byte) (fits, good bool) {
	public, ok := k.(*ecdsa.PublicKey)
	if !ok || public.Curve.Params().BitSize != a.bits {
		return false, false
	}
	size := (a.bits + 7) / 8
	if len(sig) != 2*size {
		return true, false
	}
	return true, ecdsa.Verify(public, digest, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
}

func verifyEd25519(_ *algorithm, k crypto.PublicKey, text, _, sig []byte) (fits, good bool) {
	public, fits := k.(ed25519.PublicKey)
	return fits, fits && ed25519.Verify(public, text, sig)
}
