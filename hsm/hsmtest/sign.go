package hsmtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"slices"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// testSign signs with each claimed type and algorithm and verifies in the module and outside.
func testSign(s *suite) {
	id := s.newDomain()
	d := s.domainKeys(id)
	for _, t := range s.types(hsm.UseSign) {
		var mat hsm.Material
		if t.ModulusBits() > 2048 { // generating one takes seconds
			pair := s.publishedRSA(t)
			public, err := pair.PublicDER()
			s.must(err)
			mat = s.forge(id, d, t, hsm.UseSign, pair.DER(), public)
		} else {
			mat = s.generate(id, t, hsm.UseSign)
		}
		k := s.load(mat)
		for _, alg := range s.caps.Keys[hsm.KeyUse{Type: t, Usage: hsm.UseSign}] {
			s.sub(t.String()+"/"+alg.String(), func(s *suite) { testSignWith(s, k, mat.Public, alg) })
		}
	}
}

func testSignWith(s *suite, k hsm.Key, public []byte, alg hsm.Algorithm) {
	ctx := s.Context()
	msg := random(100)
	in := msg
	if alg == hsm.MLDSAExternalMu {
		var err error
		in, err = messageRepresentative(k.Type(), public, msg)
		s.must(err)
	} else if n := alg.DigestSize(); n != 0 {
		in = random(n)
	}
	sig, err := k.Sign(ctx, alg, in)
	s.must(err)
	if alg == hsm.MLDSAExternalMu { // the same kind of signature as that of the message (spec 06 PQC-04)
		s.must(verifyOutside(k.Type(), hsm.MLDSAPure, public, msg, sig))
	} else {
		s.must(verifyOutside(k.Type(), alg, public, in, sig))
	}
	if ok, err := k.Verify(ctx, alg, in, sig); !ok || err != nil {
		s.Errorf("Verify: %v, %v", ok, err)
	}
	for name, bad := range map[string][]byte{
		"changed": flipped(sig, len(sig)/2), "empty": nil, "cut": sig[:len(sig)-1], "longer": append(bytes.Clone(sig), 0),
		"zeros": make([]byte, len(sig)), "one byte": {0x30}, "huge": make([]byte, 6144),
	} {
		if ok, err := k.Verify(ctx, alg, in, bad); ok || err != nil {
			s.Errorf("Verify of a signature, %s: %v, %v", name, ok, err)
		}
	}
	if ok, err := k.Verify(ctx, alg, flipped(in, 0), sig); ok || err != nil {
		s.Errorf("Verify for another input: %v, %v", ok, err)
	}
	testWrongInput(s, k, alg, sig)
	testUnclaimedAlgorithms(s, k, sig)
}

// testWrongInput checks digests of the wrong length.
func testWrongInput(s *suite, k hsm.Key, alg hsm.Algorithm, sig []byte) {
	n := alg.DigestSize()
	if n == 0 {
		return
	}
	for _, in := range [][]byte{nil, random(n - 1), random(n + 1), random(20)} {
		_, err := k.Sign(s.Context(), alg, in)
		s.wantErr("Sign of a wrong length", err, hsm.ErrInvalidInput)
		_, err = k.Verify(s.Context(), alg, in, sig)
		s.wantErr("Verify of a wrong length", err, hsm.ErrInvalidInput)
	}
}

func testUnclaimedAlgorithms(s *suite, k hsm.Key, sig []byte) {
	claimed := s.caps.Keys[hsm.KeyUse{Type: k.Type(), Usage: hsm.UseSign}]
	for alg := hsm.Algorithm(0); alg < 60; alg++ {
		if slices.Contains(claimed, alg) {
			continue
		}
		in := random(max(32, alg.DigestSize()))
		_, err := k.Sign(s.Context(), alg, in)
		s.wantErr("Sign with "+alg.String(), err, hsm.ErrUnsupported)
		_, err = k.Verify(s.Context(), alg, in, sig)
		s.wantErr("Verify with "+alg.String(), err, hsm.ErrUnsupported)
	}
}

// testVerifyForeign verifies signatures that others made with the same key, and refuses near misses.
func testVerifyForeign(s *suite) {
	id := s.newDomain()
	d := s.domainKeys(id)
	s.sub("RSA", func(s *suite) {
		s.need(hsm.RSA2048, hsm.UseSign)
		priv, err := publishedrsa.Generate(2048)
		s.must(err)
		pair, err := pkcs8.FromRSA(hsm.RSA2048, priv)
		s.must(err)
		k := s.forgePair(id, d, hsm.UseSign, pair)
		for _, alg := range s.caps.Keys[hsm.KeyUse{Type: hsm.RSA2048, Usage: hsm.UseSign}] {
			testVerifyRSA(s, k, priv, alg)
		}
	})
	s.sub("P-256", func(s *suite) {
		s.need(hsm.P256, hsm.UseSign)
		priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		s.must(err)
		scalar, err := priv.Bytes()
		s.must(err)
		pair, err := pkcs8.FromSecret(hsm.P256, scalar)
		s.must(err)
		digest := random(32)
		sig, err := ecdsa.SignASN1(rand.Reader, priv, digest)
		s.must(err)
		s.wantVerify(s.forgePair(id, d, hsm.UseSign, pair), hsm.ECDSASHA256, digest, sig, true)
	})
	s.sub("Ed25519", func(s *suite) {
		s.need(hsm.Ed25519, hsm.UseSign)
		_, priv, err := ed25519.GenerateKey(rand.Reader)
		s.must(err)
		pair, err := pkcs8.FromSecret(hsm.Ed25519, priv.Seed())
		s.must(err)
		k, msg := s.forgePair(id, d, hsm.UseSign, pair), random(64)
		pure := ed25519.Sign(priv, msg)
		s.wantVerify(k, hsm.Ed25519Pure, msg, pure, true)
		if s.caps.CanUse(hsm.Ed25519, hsm.UseSign, hsm.Ed25519ph) {
			s.wantVerify(k, hsm.Ed25519ph, msg, pure, false) // spec 06 EDD-05
		}
		// Deterministic (RFC 8032): the module signs with this very key.
		sig, err := k.Sign(s.Context(), hsm.Ed25519Pure, msg)
		s.must(err)
		s.wantBytes("Ed25519 signature", sig, pure)
	})
}

// testVerifyRSA checks salt lengths (spec 06 RSA-10) and that the two paddings do not stand for each other.
func testVerifyRSA(s *suite, k hsm.Key, priv *rsa.PrivateKey, alg hsm.Algorithm) {
	s.Helper()
	h := digestHash(alg)
	digest := random(h.Size())
	pkcs1, err := rsa.SignPKCS1v15(nil, priv, h, digest)
	s.must(err)
	pss := alg >= hsm.RSAPSSSHA256
	s.wantVerify(k, alg, digest, pkcs1, !pss)
	for _, salt := range []int{h.Size(), h.Size() - 1, 20} {
		sig, err := rsa.SignPSS(rand.Reader, priv, h, digest, &rsa.PSSOptions{SaltLength: salt})
		s.must(err)
		s.wantVerify(k, alg, digest, sig, pss && salt == h.Size())
	}
	if !pss {
		sig, err := k.Sign(s.Context(), alg, digest)
		s.must(err)
		s.wantBytes(alg.String(), sig, pkcs1)
	}
}

func (s *suite) wantVerify(k hsm.Key, alg hsm.Algorithm, in, sig []byte, want bool) {
	s.Helper()
	if ok, err := k.Verify(s.Context(), alg, in, sig); ok != want || err != nil {
		s.Errorf("Verify %v: %v, %v; want %v", alg, ok, err, want)
	}
}
