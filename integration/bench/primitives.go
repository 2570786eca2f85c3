package main

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

var errWrong = errors.New("the result is wrong")

// holds makes an error of a verification that failed.
func holds(ok bool) error {
	if !ok {
		return errWrong
	}
	return nil
}

func macRows(spec, alg string, hash crypto.Hash) []specRow {
	in := fields{"Message": message32, "MacAlgorithm": alg}
	compute := func() (func() error, error) {
		key := make([]byte, hash.Size())
		_, _ = rand.Read(key) // never fails
		return func() error {
			m := hmac.New(hash.New, key)
			m.Write(message32)
			m.Sum(nil)
			return nil
		}, nil
	}
	call := func(t *token) (func() error, error) { return t.mac(hash) }
	return []specRow{
		{operation: "GenerateMac", spec: spec, usage: "GENERATE_VERIFY_MAC", in: in, primitive: compute, call: call},
		{operation: "VerifyMac", spec: spec, usage: "GENERATE_VERIFY_MAC", in: in, before: "GenerateMac", member: "Mac", primitive: compute, call: call},
	}
}

// digested is a message that is hashed before it is signed: so Trent does with messages of type RAW.
func digested() []byte {
	d := sha256.Sum256(message32)
	return d[:]
}

func rsaRows(bits int) []specRow {
	spec := fmt.Sprintf("RSA_%d", bits)
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	sign := func(opts crypto.SignerOpts) func() (func() error, error) {
		return func() (func() error, error) {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			return func() error {
				_, err := key.Sign(rand.Reader, digested(), opts)
				return err
			}, err
		}
	}
	verify := func(opts crypto.SignerOpts) func() (func() error, error) {
		return func() (func() error, error) {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				return nil, err
			}
			sig, err := key.Sign(rand.Reader, digested(), opts)
			return func() error {
				if opts == crypto.SHA256 {
					return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digested(), sig)
				}
				return rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digested(), sig, pss)
			}, err
		}
	}
	const pkcs1Name, pssName, oaepName = "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256", "RSAES_OAEP_SHA_256"
	rows := signAndVerify(spec, pkcs1Name, sign(crypto.SHA256), verify(crypto.SHA256),
		func(t *token) (func() error, error) { return t.rsaSign(bits, false) }, func(t *token) (func() error, error) { return t.rsaVerify(bits, false) })
	rows = append(rows, signAndVerify(spec, pssName, sign(pss), verify(pss),
		func(t *token) (func() error, error) { return t.rsaSign(bits, true) }, func(t *token) (func() error, error) { return t.rsaVerify(bits, true) })...)
	encrypt := func() (func() error, error) {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		return func() error {
			_, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, message32, nil)
			return err
		}, err
	}
	decrypt := func() (func() error, error) {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		ct, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, message32, nil)
		return func() error {
			_, err := rsa.DecryptOAEP(sha256.New(), nil, key, ct, nil)
			return err
		}, err
	}
	in := fields{"Plaintext": message32, "EncryptionAlgorithm": oaepName}
	return append(rows,
		specRow{operation: "Encrypt", spec: spec, usage: "ENCRYPT_DECRYPT", in: in, primitive: encrypt},
		specRow{operation: "Decrypt", spec: spec, usage: "ENCRYPT_DECRYPT", in: in, before: "Encrypt", member: "CiphertextBlob", primitive: decrypt})
}

// curve is an elliptic curve for ECDSA and ECDH.
type curve struct {
	spec, alg string
	hash      crypto.Hash
	ecdsa     elliptic.Curve // nil for secp256k1
	ecdh      ecdh.Curve     // nil if the spec has no key agreement
	oid       []byte         // DER, as PKCS#11 has it
}

var curves = []curve{
	{"ECC_NIST_P256", "ECDSA_SHA_256", crypto.SHA256, elliptic.P256(), ecdh.P256(), []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}},
	{"ECC_NIST_P384", "ECDSA_SHA_384", crypto.SHA384, elliptic.P384(), ecdh.P384(), []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}},
	{"ECC_NIST_P521", "ECDSA_SHA_512", crypto.SHA512, elliptic.P521(), ecdh.P521(), []byte{6, 5, 0x2b, 0x81, 4, 0, 0x23}},
	{"ECC_SECG_P256K1", "ECDSA_SHA_256", crypto.SHA256, nil, nil, []byte{6, 5, 0x2b, 0x81, 4, 0, 0x0a}},
}

func (c *curve) digest() []byte {
	h := c.hash.New()
	h.Write(message32)
	return h.Sum(nil)
}

func curveRows(c curve) []specRow {
	sign, verify := c.signNIST, c.verifyNIST
	if c.ecdsa == nil {
		sign, verify = c.signSecp, c.verifySecp
	}
	rows := signAndVerify(c.spec, c.alg, sign, verify,
		func(t *token) (func() error, error) { return t.ecdsaSign(&c) }, func(t *token) (func() error, error) { return t.ecdsaVerify(&c) })
	if c.ecdh == nil {
		return rows
	}
	peer, err := peerKey(c.ecdsa)
	agree := func() (func() error, error) {
		if err != nil {
			return nil, err
		}
		key, err := c.ecdh.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		other, err := c.ecdh.GenerateKey(rand.Reader)
		return func() error {
			_, err := key.ECDH(other.PublicKey())
			return err
		}, err
	}
	return append(rows, specRow{
		operation: "DeriveSharedSecret", spec: c.spec, usage: "KEY_AGREEMENT", in: fields{"PublicKey": peer, "KeyAgreementAlgorithm": "ECDH"},
		primitive: agree, call: func(t *token) (func() error, error) { return t.agree(&c) },
	})
}

// peerKey is a public key to agree with, as SubjectPublicKeyInfo.
func peerKey(c elliptic.Curve) ([]byte, error) {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(&key.PublicKey)
}

func (c *curve) signNIST() (func() error, error) {
	key, err := ecdsa.GenerateKey(c.ecdsa, rand.Reader)
	return func() error {
		_, err := ecdsa.SignASN1(rand.Reader, key, c.digest())
		return err
	}, err
}

func (c *curve) verifyNIST() (func() error, error) {
	key, err := ecdsa.GenerateKey(c.ecdsa, rand.Reader)
	if err != nil {
		return nil, err
	}
	sig, err := ecdsa.SignASN1(rand.Reader, key, c.digest())
	return func() error { return holds(ecdsa.VerifyASN1(&key.PublicKey, c.digest(), sig)) }, err
}

func (c *curve) signSecp() (func() error, error) {
	key, err := secp256k1.GeneratePrivateKey()
	return func() error {
		secpecdsa.Sign(key, c.digest()).Serialize()
		return nil
	}, err
}

func (c *curve) verifySecp() (func() error, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	der := secpecdsa.Sign(key, c.digest()).Serialize()
	return func() error {
		sig, err := secpecdsa.ParseDERSignature(der)
		if err != nil {
			return err
		}
		return holds(sig.Verify(c.digest(), key.PubKey()))
	}, nil
}

func edwardsRows() []specRow {
	sign := func() (func() error, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return func() error {
			ed25519.Sign(key, message32)
			return nil
		}, err
	}
	verify := func() (func() error, error) {
		public, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		sig := ed25519.Sign(key, message32)
		return func() error { return holds(ed25519.Verify(public, message32, sig)) }, nil
	}
	return signAndVerify("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", sign, verify, (*token).edwardsSign, (*token).edwardsVerify)
}

// mldsaSet is a parameter set of ML-DSA.
type mldsaSet struct {
	spec       string
	parameters mldsa.Parameters
}

func mldsaSets() []mldsaSet {
	return []mldsaSet{{"ML_DSA_44", mldsa.MLDSA44()}, {"ML_DSA_65", mldsa.MLDSA65()}, {"ML_DSA_87", mldsa.MLDSA87()}}
}

func mldsaRows(p mldsaSet) []specRow {
	sign := func() (func() error, error) {
		key, err := mldsa.GenerateKey(p.parameters)
		return func() error {
			_, err := key.Sign(rand.Reader, message32, &mldsa.Options{})
			return err
		}, err
	}
	verify := func() (func() error, error) {
		key, err := mldsa.GenerateKey(p.parameters)
		if err != nil {
			return nil, err
		}
		sig, err := key.Sign(rand.Reader, message32, &mldsa.Options{})
		return func() error { return mldsa.Verify(key.PublicKey(), message32, sig, nil) }, err
	}
	return signAndVerify(p.spec, "ML_DSA_SHAKE_256", sign, verify, nil, nil)
}

// pairRows are what makes keys and random bytes.
func pairRows() []specRow {
	pair := func(spec string, generate func() error) specRow {
		return specRow{
			operation: "GenerateDataKeyPair", spec: "SYMMETRIC_DEFAULT", usage: "ENCRYPT_DECRYPT", in: fields{"KeyPairSpec": spec},
			primitive: func() (func() error, error) { return generate, nil },
		}
	}
	p256 := pair("ECC_NIST_P256", func() error {
		_, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return err
	})
	rsa2048 := pair("RSA_2048", func() error {
		_, err := rsa.GenerateKey(rand.Reader, 2048)
		return err
	})
	random := specRow{
		operation: "GenerateRandom", keyless: true, in: fields{"NumberOfBytes": 32},
		primitive: func() (func() error, error) {
			b := make([]byte, 32)
			return func() error {
				_, err := rand.Read(b)
				return errors.Join(err, holds(!bytes.Equal(b, message32)))
			}, nil
		},
		call: (*token).random,
	}
	return []specRow{p256, rsa2048, random}
}
