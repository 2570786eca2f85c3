// Package pkcs8 reads and writes the private keys that Trent imports, stores and hands out: PrivateKeyInfo of PKCS #8
// (RFC 5208, RFC 5958), with the key formats of spec 07 MAT, and the SubjectPublicKeyInfo of the same keys.
//
// The package guarantees that a key that parses is complete and consistent: it is of the asked type and of no other, in
// a form that the specification lists, its numbers are in range, and a public key that comes along belongs to it. BER
// is read, DER is written, so that the same key has one encoding here. Errors never quote the input.
package pkcs8

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/trentkms/trent/hsm"
)

// Key is a private key. Exactly one of RSA and Secret is set.
type Key struct {
	Type hsm.KeyType
	// RSA is the key of RSA types, with its CRT values.
	RSA *rsa.PrivateKey
	// Secret is the scalar of curve types, big-endian and as long as the curve's order, or the 32-byte seed of Ed25519
	// and ML-DSA types.
	Secret []byte
}

// ErrType reports a key type that has no PKCS #8 form.
var ErrType = errors.New("pkcs8: key type has no PKCS #8 form")

var errForm = errors.New("not a PKCS #8 private key of this type")

// Parse reads a private key of type t in BER or DER. The key does not alias ber; the caller wipes both.
func Parse(t hsm.KeyType, ber []byte) (*Key, error) {
	f, ok := forms[t]
	if !ok {
		return nil, ErrType
	}
	info, err := parseInfo(ber)
	if err != nil {
		return nil, err
	}
	if err := info.checkAlgorithm(f); err != nil {
		return nil, err
	}
	k, err := f.parse(t, info)
	if err != nil {
		return nil, fmt.Errorf("%s private key: %w", f.name, err)
	}
	return k, nil
}

// FromSecret returns the key of a curve type's scalar or of a seed, which it copies.
func FromSecret(t hsm.KeyType, secret []byte) (*Key, error) {
	f, ok := forms[t]
	if !ok || f.secretSize == 0 {
		return nil, ErrType
	}
	if len(secret) != f.secretSize {
		return nil, fmt.Errorf("%s private key of %d bytes, want %d", f.name, len(secret), f.secretSize)
	}
	k := &Key{Type: t, Secret: bytes.Clone(secret)}
	if _, err := f.public(k); err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// FromRSA returns the key of type t for an RSA key, which it does not copy.
func FromRSA(t hsm.KeyType, key *rsa.PrivateKey) (*Key, error) {
	f, ok := forms[t]
	if !ok || f.rsaBits == 0 {
		return nil, ErrType
	}
	if err := checkRSA(f.rsaBits, key); err != nil {
		return nil, err
	}
	return &Key{Type: t, RSA: key}, nil
}

// DER returns the PrivateKeyInfo, version 1. The caller clears it.
func (k *Key) DER() []byte {
	f := forms[k.Type]
	inner := f.marshal(k)
	defer clear(inner)
	return tlv(tagSequence, []byte{tagInteger, 1, 0}, f.algorithm, tlv(tagOctetString, inner))
}

// PublicDER returns the SubjectPublicKeyInfo (RFC 5280): rsaEncryption with NULL, named curve with uncompressed point,
// RFC 8410 for Ed25519, RFC 9881 for ML-DSA (spec 06 PUB-03).
func (k *Key) PublicDER() ([]byte, error) {
	f := forms[k.Type]
	public, err := f.public(k)
	if err != nil {
		return nil, err
	}
	return tlv(tagSequence, f.algorithm, tlv(tagBitString, []byte{0}, public)), nil
}

// Format writes a stand-in: a key is never printed.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%v private key (redacted)", k.Type) }

// MarshalJSON refuses: a key leaves as DER only.
func (k *Key) MarshalJSON() ([]byte, error) {
	return nil, errors.New("pkcs8: private keys have no JSON form")
}

// Wipe clears the secret, as far as Go permits: the copies that math/big made of RSA numbers stay until collected.
func (k *Key) Wipe() {
	clear(k.Secret)
	if k.RSA != nil {
		WipeRSA(k.RSA)
	}
}

// info is a PrivateKeyInfo taken apart.
type info struct {
	oid       []byte
	params    *node // nil if absent
	private   []byte
	publicKey []byte // [1] of RFC 5958, nil if absent
}

func parseInfo(ber []byte) (*info, error) {
	top, err := parseBER(ber)
	if err != nil {
		return nil, errForm
	}
	c := top.children
	if top.tag != tagSequence || len(c) < 3 || c[1].tag != tagSequence || !c[2].is(tagOctetString) {
		return nil, errForm
	}
	version, err := c[0].small()
	if err != nil || version > 1 {
		return nil, errForm
	}
	out := new(info)
	if err := out.readAlgorithm(c[1].children); err != nil {
		return nil, err
	}
	if out.private, err = c[2].octets(); err != nil {
		return nil, errForm
	}
	return out, out.readOptional(version, c[3:])
}

func (p *info) readAlgorithm(c []node) error {
	if len(c) < 1 || len(c) > 2 || c[0].tag != tagOID {
		return errForm
	}
	p.oid = c[0].content
	if len(c) == 2 {
		p.params = &c[1]
	}
	return nil
}

// readOptional reads the attributes, which have no meaning here, and the public key of version 2.
func (p *info) readOptional(version int, rest []node) (err error) {
	if len(rest) > 0 && rest[0].tag == explicit0 {
		rest = rest[1:]
	}
	if version == 1 && len(rest) > 0 && rest[0].is(context1) {
		if p.publicKey, err = rest[0].bits(); err != nil {
			return errForm
		}
		rest = rest[1:]
	}
	if len(rest) != 0 {
		return errForm
	}
	return nil
}

// checkAlgorithm compares the AlgorithmIdentifier with the one that the type has. Absent parameters stand for the NULL
// of rsaEncryption, since some writers leave it out.
func (p *info) checkAlgorithm(f *form) error {
	if !bytes.Equal(p.oid, f.oid) {
		return fmt.Errorf("%w: another algorithm than %s", errForm, f.name)
	}
	switch {
	case f.curve != nil:
		if p.params == nil || p.params.tag != tagOID || !bytes.Equal(p.params.content, f.curve) {
			return fmt.Errorf("%w: not the named curve %s", errForm, f.name)
		}
	case f.rsaBits != 0:
		if p.params != nil && (p.params.tag != tagNull || len(p.params.content) != 0) {
			return fmt.Errorf("%w: parameters of rsaEncryption", errForm)
		}
	case p.params != nil:
		return fmt.Errorf("%w: %s has no parameters", errForm, f.name)
	}
	return nil
}
