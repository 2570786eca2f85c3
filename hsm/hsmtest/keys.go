package hsmtest

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"github.com/trentkms/trent/hsm"
)

// testDeriveKey compares the key derivation with its definition, for inputs around the block size of SHA-256.
func testDeriveKey(s *suite) {
	s.need(hsm.Symmetric, hsm.UseDerive)
	id := s.newDomain()
	secret := random(32)
	k := s.load(s.forge(id, s.domainKeys(id), hsm.Symmetric, hsm.UseDerive, secret, nil))
	for _, n := range []int{0, 1, 31, 32, 51, 52, 59, 60, 61, 64, 100, 1000, 8192} {
		fixed := random(n)
		var got [32]byte
		s.must(k.DeriveKey(s.Context(), fixed, &got))
		h := hmac.New(sha256.New, secret)
		h.Write([]byte{0, 0, 0, 1})
		h.Write(fixed)
		s.wantBytes("DeriveKey", got[:], h.Sum(nil))
	}
}

var hmacs = []struct {
	t    hsm.KeyType
	hash func() hash.Hash
}{
	{hsm.HMAC224, sha256.New224}, {hsm.HMAC256, sha256.New}, {hsm.HMAC384, sha512.New384}, {hsm.HMAC512, sha512.New},
}

// testMAC compares HMACs with the standard library's and with RFC 4231.
func testMAC(s *suite) {
	id := s.newDomain()
	d := s.domainKeys(id)
	for i, c := range hmacs {
		s.sub(c.t.String(), func(s *suite) {
			s.need(c.t, hsm.UseMAC)
			secret := random(c.t.SecretSize())
			k := s.load(s.forge(id, d, c.t, hsm.UseMAC, secret, nil))
			for _, n := range []int{0, 1, 55, 64, 111, 128, 4096, 70000} {
				msg := random(n)
				got, err := k.MAC(s.Context(), msg)
				s.must(err)
				h := hmac.New(c.hash, secret)
				h.Write(msg)
				s.wantBytes("MAC", got, h.Sum(nil))
			}
			for _, v := range rfc4231 {
				// HMAC pads keys with zeros to the block (RFC 2104), so that a short key may be padded here.
				key := append(bytes.Clone(v.key), make([]byte, c.t.SecretSize()-len(v.key))...)
				got, err := s.load(s.forge(id, d, c.t, hsm.UseMAC, key, nil)).MAC(s.Context(), v.data)
				s.must(err)
				s.wantBytes("RFC 4231", got, unhex(v.tags[i]))
			}
		})
	}
}

// testAgree compares shared secrets with crypto/ecdh, and offers wrong peers.
func testAgree(s *suite) {
	id := s.newDomain()
	curves := map[hsm.KeyType]ecdh.Curve{hsm.P256: ecdh.P256(), hsm.P384: ecdh.P384(), hsm.P521: ecdh.P521()}
	for _, t := range s.types(hsm.UseAgree) {
		s.sub(t.String(), func(s *suite) {
			mat := s.generate(id, t, hsm.UseAgree)
			k := s.load(mat)
			parsed, err := parsePublic(t, mat.Public)
			s.must(err)
			own, err := parsed.(*ecdsa.PublicKey).ECDH()
			s.must(err)
			for range 3 {
				peer, err := curves[t].GenerateKey(rand.Reader)
				s.must(err)
				want, err := peer.ECDH(own)
				s.must(err)
				got, err := k.Agree(s.Context(), s.pkixFor(peer.PublicKey()))
				s.must(err)
				s.wantBytes("shared secret", got, want)
			}
			testWrongPeers(s, k, mat.Public, curves)
		})
	}
}

func testWrongPeers(s *suite, k hsm.Key, own []byte, curves map[hsm.KeyType]ecdh.Curve) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	bad := map[string][]byte{
		"nothing": nil, "text": []byte("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"), "half": own[:len(own)/2], "longer": append(bytes.Clone(own), 0),
		"off the curve": flipped(own, len(own)-1), "an Ed25519 key": s.pkixFor(ed),
	}
	for t, curve := range curves {
		if t != k.Type() {
			peer, err := curve.GenerateKey(rand.Reader)
			s.must(err)
			bad["a key on "+t.String()] = s.pkixFor(peer.PublicKey())
		}
	}
	for name, peer := range bad {
		secret, err := k.Agree(s.Context(), peer)
		s.wantErr("Agree with "+name, err, hsm.ErrInvalidInput)
		if secret != nil {
			s.Errorf("Agree with %s: secret beside an error", name)
		}
	}
}
