package pkcs11

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// publicKey is a public key between its two forms, SubjectPublicKeyInfo and PKCS #11 attributes.
type publicKey struct {
	t hsm.KeyType
	// n and e are of RSA keys.
	n, e *big.Int
	// point is the uncompressed point of curves, or the bare key of Ed25519 and ML-DSA.
	point []byte
}

type subjectPublicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Key       asn1.BitString
}

type rsaPublicKey struct{ N, E *big.Int }

// publicExponent is the one exponent of RSA keys (spec 06 RSA-01).
const publicExponent = 65537

var (
	oidRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC    = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	derNull  = asn1.RawValue{FullBytes: []byte{5, 0}}
	errSPKI  = errors.New("not a SubjectPublicKeyInfo of this key type")
	errPoint = errors.New("not a point of this curve")
)

// algorithm is the AlgorithmIdentifier of the type (RFC 3279, RFC 5480, RFC 8410, RFC 9881).
func (f *form) algorithm() pkix.AlgorithmIdentifier {
	switch f.kind {
	case kindRSA:
		return pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: derNull}
	case kindEC:
		return pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: f.params}}
	}
	return pkix.AlgorithmIdentifier{Algorithm: f.oid}
}

// spki returns the SubjectPublicKeyInfo in DER.
func (p *publicKey) spki() []byte {
	key := p.point
	if p.n != nil {
		key = der(rsaPublicKey{p.n, p.e})
	}
	return der(subjectPublicKeyInfo{forms[p.t].algorithm(), asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
}

// parseSPKI reads the SubjectPublicKeyInfo of a key of type t; only the encoding that spki writes is accepted.
func parseSPKI(t hsm.KeyType, b []byte) (*publicKey, error) {
	f, ok := forms[t]
	if !ok || f.kind == kindSecret {
		return nil, errSPKI
	}
	var info subjectPublicKeyInfo
	if rest, err := asn1.Unmarshal(b, &info); err != nil || len(rest) != 0 {
		return nil, errSPKI
	}
	p := &publicKey{t: t, point: info.Key.RightAlign()}
	if f.kind == kindRSA {
		var key rsaPublicKey
		if rest, err := asn1.Unmarshal(p.point, &key); err != nil || len(rest) != 0 {
			return nil, errSPKI
		}
		p.n, p.e, p.point = key.N, key.E, nil
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(p.spki(), b) {
		return nil, errSPKI
	}
	return p, nil
}

// check reports whether the key is one of its type: size, exponent, a point on the curve.
func (p *publicKey) check() error {
	f := forms[p.t]
	switch f.kind {
	case kindRSA:
		if p.n.Sign() <= 0 || p.n.BitLen() != p.t.ModulusBits() || p.n.Bit(0) == 0 || !p.e.IsInt64() || p.e.Int64() != publicExponent {
			return errSPKI
		}
	case kindEC:
		return f.onCurve(p.point)
	case kindEd:
		if len(p.point) != f.size {
			return errSPKI
		}
	case kindMLDSA:
		if len(p.point) != f.pubSize {
			return errSPKI
		}
	}
	return nil
}

// onCurve checks an uncompressed point.
func (f *form) onCurve(point []byte) error {
	if len(point) != 1+2*f.size || point[0] != 4 {
		return errPoint
	}
	if f.curve == nil {
		if _, err := secp256k1.ParsePubKey(point); err != nil {
			return errPoint
		}
		return nil
	}
	compressed := append([]byte{2 | point[len(point)-1]&1}, point[1:1+f.size]...)
	full, err := f.decompress(compressed)
	if err != nil || !bytes.Equal(full, point) {
		return errPoint
	}
	return nil
}

// attrs is the template of the public key as a session object. params is CKA_EC_PARAMS, for curves.
func (p *publicKey) attrs(params []byte, granted ...uint) attrs {
	f := forms[p.t]
	a := attrs{}.with(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY).with(pkcs11.CKA_KEY_TYPE, f.ckk).
		with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).rights(publicRights, granted...)
	switch f.kind {
	case kindRSA:
		return a.with(pkcs11.CKA_MODULUS, p.n.Bytes()).with(pkcs11.CKA_PUBLIC_EXPONENT, p.e.Bytes())
	case kindMLDSA:
		return a.with(ckaParameterSet, f.paramSet).with(pkcs11.CKA_VALUE, p.point)
	}
	return a.with(pkcs11.CKA_EC_PARAMS, params).with(pkcs11.CKA_EC_POINT, der(p.point))
}

// rsaPublic is an RSA key in the form of crypto/rsa.
func (p *publicKey) rsaPublic() *rsa.PublicKey { return &rsa.PublicKey{N: p.n, E: publicExponent} }

// publicOf reads the public key out of an object: a public key, or a private RSA key.
func (l *lease) publicOf(o pkcs11.ObjectHandle, t hsm.KeyType) (*publicKey, error) {
	p := &publicKey{t: t}
	switch forms[t].kind {
	case kindRSA:
		n, err := l.attribute(o, pkcs11.CKA_MODULUS)
		if err != nil {
			return nil, err
		}
		e, err := l.attribute(o, pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return nil, err
		}
		p.n, p.e = new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	case kindMLDSA:
		value, err := l.attribute(o, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		p.point = value
	default:
		point, err := l.attribute(o, pkcs11.CKA_EC_POINT)
		if err != nil {
			return nil, err
		}
		p.point = unwrapPoint(point, forms[t])
	}
	return p, p.check()
}

// unwrapPoint takes the OCTET STRING off a point; some tokens leave it out.
func unwrapPoint(point []byte, f *form) []byte {
	bare := f.size
	if f.kind == kindEC {
		bare = 1 + 2*f.size
	}
	var inner []byte
	if len(point) == bare {
		return point
	}
	if rest, err := asn1.Unmarshal(point, &inner); err != nil || len(rest) != 0 {
		return point
	}
	return inner
}
