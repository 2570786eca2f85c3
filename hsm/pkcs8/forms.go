package pkcs8

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/subtle"
	"errors"

	"filippo.io/mldsa"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/internal/k256"
)

// form is how one key type is encoded.
type form struct {
	name       string
	oid        []byte // content of the algorithm's OBJECT IDENTIFIER
	curve      []byte // content of the named curve's, for EC keys
	algorithm  []byte // the AlgorithmIdentifier in DER
	rsaBits    int
	secretSize int // of Key.Secret, in bytes

	parse   func(hsm.KeyType, *info) (*Key, error)
	marshal func(*Key) []byte          // content of PrivateKeyInfo's OCTET STRING
	public  func(*Key) ([]byte, error) // content of SubjectPublicKeyInfo's BIT STRING
}

// OBJECT IDENTIFIERs, as encoded.
var (
	oidRSA       = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1} // 1.2.840.113549.1.1.1
	oidEC        = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}          // 1.2.840.10045.2.1
	oidEd25519   = []byte{0x2b, 0x65, 0x70}                            // 1.3.101.112
	oidP256      = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}       // 1.2.840.10045.3.1.7
	oidP384      = []byte{0x2b, 0x81, 0x04, 0, 0x22}                   // 1.3.132.0.34
	oidP521      = []byte{0x2b, 0x81, 0x04, 0, 0x23}                   // 1.3.132.0.35
	oidSecp256k1 = []byte{0x2b, 0x81, 0x04, 0, 0x0a}                   // 1.3.132.0.10
	oidMLDSA     = []byte{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3}          // 2.16.840.1.101.3.4.3, without the last arc
)

// forms is the table of all types with a PKCS #8 form. It is never changed.
var forms = map[hsm.KeyType]*form{
	hsm.RSA2048:   rsaForm("RSA-2048", 2048),
	hsm.RSA3072:   rsaForm("RSA-3072", 3072),
	hsm.RSA4096:   rsaForm("RSA-4096", 4096),
	hsm.P256:      ecForm("P-256", oidP256, 32, nistPublic(elliptic.P256())),
	hsm.P384:      ecForm("P-384", oidP384, 48, nistPublic(elliptic.P384())),
	hsm.P521:      ecForm("P-521", oidP521, 66, nistPublic(elliptic.P521())),
	hsm.Secp256k1: ecForm("secp256k1", oidSecp256k1, 32, k256Public),
	hsm.Ed25519:   ed25519Form(),
	hsm.MLDSA44:   mldsaForm("ML-DSA-44", 17, mldsa.MLDSA44()),
	hsm.MLDSA65:   mldsaForm("ML-DSA-65", 18, mldsa.MLDSA65()),
	hsm.MLDSA87:   mldsaForm("ML-DSA-87", 19, mldsa.MLDSA87()),
}

var errPublic = errors.New("the public key in it does not belong to the private key")

func ecForm(name string, curve []byte, size int, public func(*Key) ([]byte, error)) *form {
	f := &form{name: name, oid: oidEC, curve: curve, secretSize: size, public: public}
	f.algorithm = tlv(tagSequence, tlv(tagOID, oidEC), tlv(tagOID, curve))
	f.parse = f.parseEC
	f.marshal = f.marshalEC
	return f
}

// parseEC reads the ECPrivateKey of RFC 5915.
func (f *form) parseEC(t hsm.KeyType, p *info) (*Key, error) {
	seq, err := parseBER(p.private)
	if err != nil || seq.tag != tagSequence || len(seq.children) < 2 || !seq.children[1].is(tagOctetString) {
		return nil, errForm
	}
	if version, err := seq.children[0].small(); err != nil || version != 1 {
		return nil, errForm
	}
	scalar, err := seq.children[1].octets()
	if err != nil {
		return nil, errForm
	}
	k, err := f.scalarKey(t, scalar)
	if err != nil {
		return nil, err
	}
	if err := f.checkECOptional(k, seq.children[2:], p.publicKey); err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// scalarKey pads or strips the scalar to the curve's length, for writers that leave out leading zeros.
func (f *form) scalarKey(t hsm.KeyType, scalar []byte) (*Key, error) {
	for len(scalar) > f.secretSize && scalar[0] == 0 {
		scalar = scalar[1:]
	}
	if len(scalar) > f.secretSize {
		return nil, errors.New("the scalar is too long")
	}
	k := &Key{Type: t, Secret: make([]byte, f.secretSize)}
	copy(k.Secret[f.secretSize-len(scalar):], scalar)
	if _, err := f.public(k); err != nil {
		k.Wipe()
		return nil, err
	}
	return k, nil
}

// checkECOptional checks the curve and the public point that an ECPrivateKey may repeat.
func (f *form) checkECOptional(k *Key, rest []node, outer []byte) error {
	if len(rest) > 0 && rest[0].tag == explicit0 {
		c := rest[0].children
		if len(c) != 1 || c[0].tag != tagOID || !bytes.Equal(c[0].content, f.curve) {
			return errors.New("the curve is given twice, and differs")
		}
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0].tag == explicit1 {
		c := rest[0].children
		if len(c) != 1 || !c[0].is(tagBitString) {
			return errForm
		}
		point, err := c[0].bits()
		if err != nil {
			return errForm
		}
		if err := f.checkPoint(k, point); err != nil {
			return err
		}
		rest = rest[1:]
	}
	if len(rest) != 0 {
		return errForm
	}
	if outer != nil {
		return f.checkPoint(k, outer)
	}
	return nil
}

// checkPoint compares a compressed, uncompressed or hybrid point (spec 07 MAT-01) with the key's own.
func (f *form) checkPoint(k *Key, point []byte) error {
	own, err := f.public(k)
	if err != nil {
		return err
	}
	size := (len(own) - 1) / 2
	parity := own[len(own)-1] & 1
	var want []byte
	switch {
	case len(point) == 1+size && point[0] == 2|parity:
		want = own[1 : 1+size]
	case len(point) == len(own) && (point[0] == 4 || point[0] == 6|parity):
		want = own[1:]
	default:
		return errPublic
	}
	if !bytes.Equal(point[1:], want) {
		return errPublic
	}
	return nil
}

func (f *form) marshalEC(k *Key) []byte {
	version := []byte{tagInteger, 1, 1}
	scalar := tlv(tagOctetString, k.Secret)
	defer clear(scalar)
	point, err := f.public(k)
	if err != nil {
		return tlv(tagSequence, version, scalar) // cannot happen: a Key's scalar is in range
	}
	return tlv(tagSequence, version, scalar, tlv(explicit1, tlv(tagBitString, []byte{0}, point)))
}

func nistPublic(curve elliptic.Curve) func(*Key) ([]byte, error) {
	return func(k *Key) ([]byte, error) {
		priv, err := ecdsa.ParseRawPrivateKey(curve, k.Secret)
		if err != nil {
			return nil, errors.New("the scalar is out of range")
		}
		return priv.PublicKey.Bytes()
	}
}

func k256Public(k *Key) ([]byte, error) {
	priv, err := k256.NewPrivateKey(k.Secret)
	if err != nil {
		return nil, err
	}
	defer priv.Wipe()
	return priv.Public().Bytes(), nil
}

func ed25519Form() *form {
	f := &form{name: "Ed25519", oid: oidEd25519, secretSize: ed25519.SeedSize}
	f.algorithm = tlv(tagSequence, tlv(tagOID, oidEd25519))
	f.public = func(k *Key) ([]byte, error) {
		priv := ed25519.NewKeyFromSeed(k.Secret)
		defer clear(priv)
		return bytes.Clone(priv[ed25519.SeedSize:]), nil
	}
	f.marshal = func(k *Key) []byte { return tlv(tagOctetString, k.Secret) } // CurvePrivateKey, RFC 8410 section 7
	f.parse = func(t hsm.KeyType, p *info) (*Key, error) { return f.parseSeed(t, p, tagOctetString) }
	return f
}

func mldsaForm(name string, arc byte, params mldsa.Parameters) *form {
	f := &form{name: name, oid: append(bytes.Clone(oidMLDSA), arc), secretSize: mldsa.PrivateKeySize}
	f.algorithm = tlv(tagSequence, tlv(tagOID, f.oid))
	f.public = func(k *Key) ([]byte, error) {
		priv, err := mldsa.NewPrivateKey(params, k.Secret)
		if err != nil {
			return nil, err
		}
		return priv.PublicKey().Bytes(), nil
	}
	f.marshal = func(k *Key) []byte { return tlv(context0, k.Secret) } // the seed form, RFC 9881 section 6
	f.parse = func(t hsm.KeyType, p *info) (*Key, error) { return f.parseSeed(t, p, context0) }
	return f
}

// parseSeed reads a private key that is a string of 32 bytes with the given tag.
func (f *form) parseSeed(t hsm.KeyType, p *info, tag byte) (*Key, error) {
	n, err := parseBER(p.private)
	if err != nil || !n.is(tag) {
		return nil, errForm
	}
	seed, err := n.octets()
	if err != nil || len(seed) != f.secretSize {
		return nil, errors.New("the seed has not 32 bytes")
	}
	k := &Key{Type: t, Secret: bytes.Clone(seed)}
	if p.publicKey == nil {
		return k, nil
	}
	if own, err := f.public(k); err != nil || subtle.ConstantTimeCompare(own, p.publicKey) != 1 {
		k.Wipe()
		return nil, errPublic
	}
	return k, nil
}
