package hsmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k256ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/trentkms/trent/hsm"
)

// parsePublic reads a public key with libraries other than the one under test and checks its type and size.
func parsePublic(t hsm.KeyType, spki []byte) (any, error) {
	if t == hsm.Secp256k1 {
		return parseK256(spki)
	}
	pub, err := mldsax509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	var ok bool
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		ok = pub.N.BitLen() == t.ModulusBits() && pub.E == 65537
	case *ecdsa.PublicKey:
		ok = pub.Curve.Params().Name == t.String()
	case ed25519.PublicKey:
		ok = t == hsm.Ed25519
	case *mldsa.PublicKey:
		ok = pub.Parameters().String() == t.String()
	}
	if !ok {
		return nil, fmt.Errorf("the public key of a %v key is %T, or has the wrong size", t, pub)
	}
	return pub, nil
}

func parseK256(spki []byte) (*secp256k1.PublicKey, error) {
	var info struct {
		Algorithm struct{ OID, Curve asn1.ObjectIdentifier }
		Point     asn1.BitString
	}
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) != 0 {
		return nil, errors.New("not a SubjectPublicKeyInfo")
	}
	if !info.Algorithm.OID.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}) || !info.Algorithm.Curve.Equal(asn1.ObjectIdentifier{1, 3, 132, 0, 10}) {
		return nil, errors.New("not a key on secp256k1")
	}
	return secp256k1.ParsePubKey(info.Point.Bytes)
}

// verifyOutside verifies a signature with the libraries, by the definitions of spec 06.
func verifyOutside(t hsm.KeyType, alg hsm.Algorithm, spki, in, sig []byte) error {
	parsed, err := parsePublic(t, spki)
	if err != nil {
		return err
	}
	failed := errors.New("signature refused")
	switch pub := parsed.(type) {
	case *rsa.PublicKey:
		if alg >= hsm.RSAPSSSHA256 {
			return rsa.VerifyPSS(pub, digestHash(alg), in, sig, &rsa.PSSOptions{SaltLength: alg.DigestSize()})
		}
		return rsa.VerifyPKCS1v15(pub, digestHash(alg), in, sig)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, in, sig) {
			return failed
		}
	case *secp256k1.PublicKey:
		if s, err := k256ecdsa.ParseDERSignature(sig); err != nil || !s.Verify(in, pub) {
			return failed
		}
	case ed25519.PublicKey:
		opts := &ed25519.Options{}
		if alg == hsm.Ed25519ph {
			opts.Hash = crypto.SHA512
		}
		return ed25519.VerifyWithOptions(pub, in, sig, opts)
	case *mldsa.PublicKey:
		return mldsa.Verify(pub, in, sig, nil)
	}
	return nil
}

// messageRepresentative computes the mu of FIPS 204 section 6.2 for an empty context.
func messageRepresentative(t hsm.KeyType, spki, msg []byte) ([]byte, error) {
	parsed, err := parsePublic(t, spki)
	if err != nil {
		return nil, err
	}
	pub, ok := parsed.(*mldsa.PublicKey)
	if !ok {
		return nil, errors.New("not an ML-DSA key")
	}
	h := sha3.NewSHAKE256()
	h.Write(sha3.SumSHAKE256(pub.Bytes(), 64))
	h.Write([]byte{0, 0})
	h.Write(msg)
	mu := make([]byte, 64)
	h.Read(mu)
	return mu, nil
}

// pkixFor is the SubjectPublicKeyInfo of a standard library key.
func (s *suite) pkixFor(pub any) []byte {
	s.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	s.must(err)
	return der
}
