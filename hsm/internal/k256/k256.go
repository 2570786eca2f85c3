// Package k256 is ECDSA over secp256k1 (SEC 2) for the embedded module, on decred's field and group arithmetic.
//
// That arithmetic is variable-time where it multiplies points and inverts scalars. The package keeps secrets out of
// those places: each multiplication by a secret runs as two multiplications by random shares of it, and each inversion
// of a nonce runs on its product with a random number. What the timing then tells is independent of the secret.
package k256

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// ScalarSize and DigestSize are in bytes.
const (
	ScalarSize = 32
	DigestSize = 32
)

// PublicKey is a point on the curve.
type PublicKey struct{ point *secp256k1.PublicKey }

// PrivateKey is a secret scalar with its public key. It is immutable until Wipe.
type PrivateKey struct {
	d   secp256k1.ModNScalar
	pub PublicKey
}

// ErrScalar reports a private key that is not a number in [1, n-1].
var ErrScalar = errors.New("secp256k1 private key is out of range")

// GenerateKey makes a private key.
func GenerateKey() *PrivateKey {
	k := &PrivateKey{d: randomScalar()}
	k.pub = derivePublic(&k.d)
	return k
}

// NewPrivateKey returns the key of a big-endian scalar of ScalarSize bytes. ErrScalar if it is out of range.
func NewPrivateKey(scalar []byte) (*PrivateKey, error) {
	k := new(PrivateKey)
	if len(scalar) != ScalarSize || k.d.SetByteSlice(scalar) || k.d.IsZero() {
		k.Wipe()
		return nil, ErrScalar
	}
	k.pub = derivePublic(&k.d)
	return k, nil
}

// ParsePublicKey reads a compressed, uncompressed or hybrid point (SEC 1 section 2.3.4, X9.62 for the hybrid form).
func ParsePublicKey(point []byte) (PublicKey, error) {
	p, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return PublicKey{}, errors.New("not a point of secp256k1")
	}
	return PublicKey{p}, nil
}

// Bytes returns the uncompressed point, 65 bytes.
func (p PublicKey) Bytes() []byte { return p.point.SerializeUncompressed() }

// Equal reports whether both are the same point.
func (p PublicKey) Equal(q PublicKey) bool { return p.point.IsEqual(q.point) }

// Bytes returns the scalar, big-endian, ScalarSize bytes. The caller clears it.
func (k *PrivateKey) Bytes() []byte {
	b := k.d.Bytes()
	defer clear(b[:])
	return append([]byte(nil), b[:]...)
}

// Public returns the public key.
func (k *PrivateKey) Public() PublicKey { return k.pub }

// Format writes a stand-in: a key is never printed.
func (k *PrivateKey) Format(f fmt.State, _ rune) {
	io.WriteString(f, "secp256k1 private key (redacted)")
}

// Wipe clears the secret.
func (k *PrivateKey) Wipe() { k.d.Zero() }

// Sign signs a digest of DigestSize bytes; the signature is ASN.1 DER with the lower of both values of s. The nonce is
// random: with a sound generator that is as safe as RFC 6979 and cannot be replayed by a fault.
func (k *PrivateKey) Sign(digest []byte) ([]byte, error) {
	if len(digest) != DigestSize {
		return nil, errors.New("secp256k1 signs digests of 32 bytes")
	}
	var e secp256k1.ModNScalar
	e.SetByteSlice(digest) // reduces modulo n, as SEC 1 section 4.1.3 step 5 does
	for {
		if sig := k.trySign(&e); sig != nil {
			return sig, nil
		}
	}
}

// trySign makes one attempt with a fresh nonce; nil in the negligible case that r or s is zero.
func (k *PrivateKey) trySign(e *secp256k1.ModNScalar) []byte {
	nonce, blind := randomScalar(), randomScalar()
	defer nonce.Zero()
	defer blind.Zero()
	point := blindedBaseMult(&nonce)
	var x [32]byte
	point.X.PutBytes(&x)
	var r, s secp256k1.ModNScalar
	r.SetBytes(&x)

	// s = (e + r·d) / nonce, as ((e + r·d)·blind) / (nonce·blind).
	s.Mul2(&r, &k.d).Add(e).Mul(&blind)
	nonce.Mul(&blind).InverseNonConst()
	s.Mul(&nonce)
	if r.IsZero() || s.IsZero() {
		return nil
	}
	return ecdsa.NewSignature(&r, &s).Serialize()
}

// Verify reports whether sig, in DER, is a signature of digest. Both values of s are accepted (spec 06 ECC-04).
func (p PublicKey) Verify(digest, sig []byte) bool {
	if len(digest) != DigestSize {
		return false
	}
	parsed, err := ecdsa.ParseDERSignature(sig)
	return err == nil && parsed.Verify(digest, p.point)
}

func derivePublic(d *secp256k1.ModNScalar) PublicKey {
	point := blindedBaseMult(d)
	return PublicKey{secp256k1.NewPublicKey(&point.X, &point.Y)}
}

// blindedBaseMult returns k·G in affine coordinates, as (k-share)·G + share·G.
func blindedBaseMult(k *secp256k1.ModNScalar) secp256k1.JacobianPoint {
	share := randomScalar()
	rest := new(secp256k1.ModNScalar).NegateVal(&share)
	rest.Add(k)
	defer share.Zero()
	defer rest.Zero()
	var a, b, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&share, &a)
	secp256k1.ScalarBaseMultNonConst(rest, &b)
	secp256k1.AddNonConst(&a, &b, &sum)
	sum.ToAffine()
	return sum
}

func randomScalar() secp256k1.ModNScalar {
	var b [ScalarSize]byte
	defer clear(b[:])
	for {
		rand.Read(b[:]) // never fails (crypto/rand)
		var s secp256k1.ModNScalar
		if overflow := s.SetBytes(&b); overflow == 0 && !s.IsZero() {
			return s
		}
	}
}
