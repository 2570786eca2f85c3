package soft

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// macKey is a key of Symmetric or HMAC type.
type macKey struct{ pool *macPool }

func newMACKey(t hsm.KeyType, secret []byte) (primitive, error) {
	if len(secret) != t.SecretSize() {
		return nil, fmt.Errorf("%v key of %d bytes", t, len(secret))
	}
	return &macKey{newMACPool(macHash(t), secret)}, nil
}

func (k *macKey) wipe() { k.pool.wipe() }

func macHash(t hsm.KeyType) func() hash.Hash {
	switch t {
	case hsm.HMAC224:
		return sha256.New224
	case hsm.HMAC384:
		return sha512.New384
	case hsm.HMAC512:
		return sha512.New
	}
	return sha256.New
}

func macAlgorithm(t hsm.KeyType) hsm.Algorithm {
	switch t {
	case hsm.HMAC224:
		return hsm.HMACSHA224
	case hsm.HMAC384:
		return hsm.HMACSHA384
	case hsm.HMAC512:
		return hsm.HMACSHA512
	}
	return hsm.HMACSHA256
}

// aesKey is a key that others travel under.
type aesKey struct{ secret []byte }

func newAESKey(secret []byte) (primitive, error) {
	if len(secret) != hsm.AES256.SecretSize() {
		return nil, fmt.Errorf("AES-256 key of %d bytes", len(secret))
	}
	return &aesKey{bytes.Clone(secret)}, nil
}

func (k *aesKey) wipe() { clear(k.secret) }

// rsaKey is an RSA pair of any usage.
type rsaKey struct{ priv *rsa.PrivateKey }

func newRSAKey(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	return &rsaKey{k.RSA}, nil
}

func (k *rsaKey) wipe() { pkcs8.WipeRSA(k.priv) }

// rsaScheme returns the hash of an RSA signing algorithm and whether it is PSS.
func rsaScheme(alg hsm.Algorithm) (h crypto.Hash, pss bool) {
	switch alg.DigestSize() {
	case 48:
		h = crypto.SHA384
	case 64:
		h = crypto.SHA512
	default:
		h = crypto.SHA256
	}
	return h, alg >= hsm.RSAPSSSHA256
}

// pssOptions: the salt is as long as the digest, at signing and at verification (spec 06 RSA-10).
func pssOptions(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}

func (k *rsaKey) sign(alg hsm.Algorithm, digest []byte) ([]byte, error) {
	h, pss := rsaScheme(alg)
	if pss {
		return rsa.SignPSS(rand.Reader, k.priv, h, digest, pssOptions(h))
	}
	return rsa.SignPKCS1v15(rand.Reader, k.priv, h, digest)
}

func (k *rsaKey) verify(alg hsm.Algorithm, digest, sig []byte) bool {
	return verifyRSA(&k.priv.PublicKey, alg, digest, sig)
}

func verifyRSA(pub *rsa.PublicKey, alg hsm.Algorithm, digest, sig []byte) bool {
	h, pss := rsaScheme(alg)
	if pss {
		return rsa.VerifyPSS(pub, h, digest, sig, pssOptions(h)) == nil
	}
	return rsa.VerifyPKCS1v15(pub, h, digest, sig) == nil
}

func (k *rsaKey) encrypt(alg hsm.Algorithm, plaintext []byte) ([]byte, error) {
	h := oaepHash(alg)()
	if most := k.priv.Size() - 2*h.Size() - 2; len(plaintext) > most {
		return nil, invalid("%v encrypts at most %d bytes with this key, got %d", alg, most, len(plaintext))
	}
	return rsa.EncryptOAEP(h, rand.Reader, &k.priv.PublicKey, plaintext, nil)
}

// errDecrypt is the one answer to undecodable ciphertext.
var errDecrypt = fmt.Errorf("%w: the ciphertext cannot be decrypted", hsm.ErrInvalidInput)

func (k *rsaKey) decrypt(alg hsm.Algorithm, ciphertext []byte) ([]byte, error) {
	plaintext, err := rsa.DecryptOAEP(oaepHash(alg)(), nil, k.priv, ciphertext, nil)
	if err != nil {
		return nil, errDecrypt
	}
	return plaintext, nil
}
