package hsmtest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"hash"

	"github.com/trentkms/trent/hsm"
)

// testEncrypt encrypts and decrypts in the module and outside.
func testEncrypt(s *suite) {
	id := s.newDomain()
	d := s.domainKeys(id)
	for _, t := range s.types(hsm.UseDecrypt) {
		pair := s.publishedRSA(t)
		priv := pair.RSA
		k := s.forgePair(id, d, hsm.UseDecrypt, pair)
		for _, alg := range s.caps.Keys[hsm.KeyUse{Type: t, Usage: hsm.UseDecrypt}] {
			s.sub(t.String()+"/"+alg.String(), func(s *suite) { testEncryptWith(s, k, priv, alg) })
		}
	}
}

func testEncryptWith(s *suite, k hsm.Key, priv *rsa.PrivateKey, alg hsm.Algorithm) {
	ctx := s.Context()
	h := mechanismHash(hsm.WrapOAEPSHA256)
	if alg == hsm.RSAOAEPSHA1 {
		h = mechanismHash(hsm.WrapOAEPSHA1)
	}
	most := priv.Size() - 2*h().Size() - 2
	for _, n := range []int{1, 32, most} {
		plaintext := random(n)
		c, err := k.Encrypt(ctx, alg, plaintext)
		s.must(err)
		if len(c) != priv.Size() {
			s.Errorf("ciphertext of %d bytes", len(c))
		}
		got, err := rsa.DecryptOAEP(h(), nil, priv, c, nil)
		s.must(err)
		s.wantBytes("decrypted outside", got, plaintext)
		c, err = rsa.EncryptOAEP(h(), rand.Reader, &priv.PublicKey, plaintext, nil)
		s.must(err)
		got, err = k.Decrypt(ctx, alg, c)
		s.must(err)
		s.wantBytes("decrypted inside", got, plaintext)
	}
	_, err := k.Encrypt(ctx, alg, random(most+1))
	s.wantErr("Encrypt of too much", err, hsm.ErrInvalidInput)
	testUndecryptable(s, k, priv, alg, h)
}

// testUndecryptable checks that all wrong ciphertexts get the same answer.
func testUndecryptable(s *suite, k hsm.Key, priv *rsa.PrivateKey, alg hsm.Algorithm, h func() hash.Hash) {
	ctx := s.Context()
	good, err := k.Encrypt(ctx, alg, []byte("plaintext"))
	s.must(err)
	labelled, err := rsa.EncryptOAEP(h(), rand.Reader, &priv.PublicKey, []byte("p"), []byte("label"))
	s.must(err)
	n := priv.Size()
	var first string
	for _, bad := range [][]byte{flipped(good, n-1), flipped(good, n/2), labelled, nil, good[:n-1], append(bytes.Clone(good), 0), make([]byte, n), bytes.Repeat([]byte{255}, n)} {
		p, err := k.Decrypt(ctx, alg, bad)
		s.wantErr("Decrypt of a bad ciphertext", err, hsm.ErrInvalidInput)
		if p != nil {
			s.Error("plaintext beside an error")
		}
		if err == nil {
			continue
		}
		if first == "" {
			first = err.Error()
		} else if err.Error() != first {
			s.Errorf("bad ciphertexts are told apart: %q, %q", first, err)
		}
	}
	for _, other := range []hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256} {
		if other != alg && s.caps.CanUse(k.Type(), hsm.UseDecrypt, other) {
			_, err := k.Decrypt(ctx, other, good)
			s.wantErr("Decrypt with the other hash", err, hsm.ErrInvalidInput)
		}
	}
}
