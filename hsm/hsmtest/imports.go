package hsmtest

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

var allMechanisms = []hsm.WrapMechanism{hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256, hsm.WrapRSAAESKWSHA1, hsm.WrapRSAAESKWSHA256}

// wrappingKey is a loaded key with UseUnwrap and its public half.
type wrappingKey struct {
	hsm.Key
	pub  *rsa.PublicKey
	spki []byte
}

func (s *suite) wrappingKey(id hsm.DomainID, t hsm.KeyType) wrappingKey {
	s.Helper()
	mat := s.generate(id, t, hsm.UseUnwrap)
	pub, err := parsePublic(t, mat.Public)
	s.must(err)
	return wrappingKey{s.load(mat), pub.(*rsa.PublicKey), mat.Public}
}

// wrap wraps material as a client does (spec 07 WRP-02, WRP-03).
func (w wrappingKey) wrap(mech hsm.WrapMechanism, material []byte) ([]byte, error) {
	h := mechanismHash(mech)
	if mech == hsm.WrapOAEPSHA1 || mech == hsm.WrapOAEPSHA256 {
		return rsa.EncryptOAEP(h(), rand.Reader, w.pub, material, nil)
	}
	return w.wrapHybrid(mech, random(32), material)
}

func (w wrappingKey) wrapHybrid(mech hsm.WrapMechanism, kek, material []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	head, err := rsa.EncryptOAEP(mechanismHash(mech)(), rand.Reader, w.pub, kek, nil)
	if err != nil {
		return nil, err
	}
	tail, err := kwp.Wrap(block, material)
	return append(head, tail...), err
}

// sample is a key made outside.
type sample struct {
	material []byte // as a client imports it
	public   []byte // SubjectPublicKeyInfo, nil for secret keys
}

// sample makes a key with other code than the module's where there is any.
func (s *suite) sample(t hsm.KeyType) sample {
	s.Helper()
	if !t.Asymmetric() {
		return sample{material: random(t.SecretSize())}
	}
	var priv any
	var err error
	switch t {
	case hsm.RSA2048:
		priv, err = publishedrsa.Generate(2048)
	case hsm.RSA3072, hsm.RSA4096:
		priv = s.publishedRSA(t).RSA
	case hsm.P256:
		priv, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case hsm.P384:
		priv, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case hsm.P521:
		priv, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case hsm.Ed25519:
		_, priv, err = ed25519.GenerateKey(rand.Reader)
	default: // secp256k1 and ML-DSA: any 32 bytes, for all that matters
		k, err := pkcs8.FromSecret(t, random(32))
		s.must(err)
		public, err := k.PublicDER()
		s.must(err)
		return sample{k.DER(), public}
	}
	s.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	s.must(err)
	return sample{der, s.pkixFor(priv.(crypto.Signer).Public())}
}

// testImport imports a key of each claimed type by each claimed mechanism.
func testImport(s *suite) {
	if len(s.caps.Import) == 0 {
		s.Skip("the module claims no import")
	}
	id := s.newDomain()
	small, large := s.wrappingKey(id, hsm.RSA2048), s.wrappingKey(id, hsm.RSA3072)
	samples := make(map[hsm.KeyType]sample)
	for _, mech := range allMechanisms {
		for _, t := range s.caps.Import[mech] {
			if t == hsm.RSA4096 && s.opts.Slow {
				continue
			}
			s.sub(mech.String()+"/"+t.String(), func(s *suite) {
				if _, ok := samples[t]; !ok {
					samples[t] = s.sample(t)
				}
				w := small
				if t == hsm.P521 {
					w = large // spec 07 WRP-05
				}
				encrypted, err := w.wrap(mech, samples[t].material)
				s.must(err)
				s.checkImport(id, w, mech, encrypted, t, samples[t])
			})
		}
	}
}

// checkImport imports and checks that what came in is the sample.
func (s *suite) checkImport(id hsm.DomainID, w wrappingKey, mech hsm.WrapMechanism, encrypted []byte, t hsm.KeyType, want sample) {
	s.Helper()
	u := s.anyUsage(t)
	got, err := s.m.Import(s.Context(), w.Key, mech, encrypted, id, t, u, []byte("imported"))
	s.must(err)
	s.wantBytes("Public", got.Public, want.public)
	k := s.load(hsm.Material{Domain: id, Type: t, Usage: u, Binding: []byte("imported"), Wrapped: got})
	s.exercise(k, u)
	switch u {
	case hsm.UseDerive:
		var out [32]byte
		s.must(k.DeriveKey(s.Context(), []byte("x"), &out))
		h := hmac.New(sha256.New, want.material)
		h.Write([]byte("\x00\x00\x00\x01x"))
		s.wantBytes("DeriveKey with the imported key", out[:], h.Sum(nil))
	case hsm.UseMAC:
		for _, c := range hmacs {
			if c.t == t {
				mac, err := k.MAC(s.Context(), []byte("x"))
				s.must(err)
				h := hmac.New(c.hash, want.material)
				h.Write([]byte("x"))
				s.wantBytes("MAC with the imported key", mac, h.Sum(nil))
			}
		}
	case hsm.UseSign:
		alg := s.caps.Keys[hsm.KeyUse{Type: t, Usage: u}][0]
		in := random(max(32, alg.DigestSize()))
		sig, err := k.Sign(s.Context(), alg, in)
		s.must(err)
		s.must(verifyOutside(t, alg, want.public, in, sig))
	}
}

// testImportRefusals offers what must not come in, and checks which error tells so.
func testImportRefusals(s *suite) {
	id := s.newDomain()
	if len(s.caps.Import) == 0 || !s.caps.Can(hsm.RSA2048, hsm.UseUnwrap) {
		s.Skip("the module claims no import")
	}
	w, other := s.wrappingKey(id, hsm.RSA2048), s.wrappingKey(id, hsm.RSA2048)
	wrongP, wrongR := wrongP256(s), wrongRSA2048(s)
	for _, mech := range allMechanisms {
		s.sub(mech.String(), func(s *suite) {
			testUnclaimedImport(s, id, w, mech)
			if slices.Contains(s.caps.Import[mech], hsm.Symmetric) {
				testNotUnwrapped(s, id, w, other, mech)
				s.wrongMaterial(id, w, mech, hsm.Symmetric, map[string][]byte{
					"31 bytes": random(31), "33 bytes": random(33), "16 bytes": random(16), "one byte": {1},
				})
			}
			if slices.Contains(s.caps.Import[mech], hsm.HMAC224) {
				s.wrongMaterial(id, w, mech, hsm.HMAC224, map[string][]byte{"27 bytes": random(27), "32 bytes": random(32)})
			}
			if slices.Contains(s.caps.Import[mech], hsm.P256) {
				s.wrongMaterial(id, w, mech, hsm.P256, wrongP)
			}
			if slices.Contains(s.caps.Import[mech], hsm.RSA2048) {
				s.wrongMaterial(id, w, mech, hsm.RSA2048, wrongR)
			}
		})
	}
	decrypt := s.anyUsageBut(hsm.RSA2048, hsm.UseUnwrap)
	k := s.generated(id, hsm.RSA2048, decrypt)
	for mech := range s.caps.Import {
		_, err := s.m.Import(s.Context(), k, mech, random(256), id, hsm.Symmetric, hsm.UseDerive, nil)
		s.wantErr("Import with a key for another use", err, hsm.ErrUnsupported)
	}
}

func (s *suite) anyUsageBut(t hsm.KeyType, not hsm.Usage) hsm.Usage {
	s.Helper()
	for _, u := range allUsages {
		if u != not && s.caps.Can(t, u) {
			return u
		}
	}
	s.Skipf("the module claims %v keys for %v only", t, not)
	return 0
}

// testUnclaimedImport checks that mechanisms and types that are not claimed are refused.
func testUnclaimedImport(s *suite, id hsm.DomainID, w wrappingKey, mech hsm.WrapMechanism) {
	for _, t := range allTypes {
		if slices.Contains(s.caps.Import[mech], t) {
			continue
		}
		u := hsm.UseSign
		if !s.caps.Can(t, u) {
			u = possibleUsage(t)
		}
		_, err := s.m.Import(s.Context(), w.Key, mech, random(400), id, t, u, nil)
		s.wantErr("Import of "+t.String(), err, hsm.ErrUnsupported)
	}
}

func possibleUsage(t hsm.KeyType) hsm.Usage {
	for _, u := range allUsages {
		if possible(t, u) != nil {
			return u
		}
	}
	return 0
}

// testNotUnwrapped offers blobs that do not unwrap: all get the same plain ErrInvalidInput.
func testNotUnwrapped(s *suite, id hsm.DomainID, w, other wrappingKey, mech hsm.WrapMechanism) {
	good, err := w.wrap(mech, random(32))
	s.must(err)
	foreign, err := other.wrap(mech, random(32))
	s.must(err)
	bad := map[string][]byte{
		"nothing": nil, "one byte": {1}, "a cut blob": good[:len(good)-1], "a longer blob": append(bytes.Clone(good), 0),
		"a changed first half": flipped(good, 100), "a changed end": flipped(good, len(good)-1),
		"another wrapping key's": foreign, "zeros": make([]byte, len(good)), "too much": random(6144),
	}
	hybrid := mech == hsm.WrapRSAAESKWSHA1 || mech == hsm.WrapRSAAESKWSHA256
	for _, m := range allMechanisms {
		if slices.Contains(s.caps.Import[m], hsm.Symmetric) && m != mech && !(hybrid && len(good) == 256) {
			if bad["by "+m.String()], err = w.wrap(m, random(32)); err != nil {
				s.Fatal(err)
			}
		}
	}
	if hybrid {
		if bad["an AES-128 key"], err = w.wrapHybrid(mech, random(16), random(32)); err != nil {
			s.Fatal(err)
		}
		bad["no material"] = good[:256]
	}
	for name, encrypted := range bad {
		got, err := s.m.Import(s.Context(), w.Key, mech, encrypted, id, hsm.Symmetric, hsm.UseDerive, nil)
		s.wantErr("Import of "+name, err, hsm.ErrInvalidInput)
		if errors.Is(err, hsm.ErrWrongMaterial) || got.Blob != nil {
			s.Errorf("Import of %s: %v, %d bytes", name, err, len(got.Blob))
		}
	}
}

// wrongMaterial imports material of the wrong form.
func (s *suite) wrongMaterial(id hsm.DomainID, w wrappingKey, mech hsm.WrapMechanism, t hsm.KeyType, materials map[string][]byte) {
	s.Helper()
	want := hsm.ErrWrongMaterial
	if s.opts.CoarseImport {
		want = hsm.ErrInvalidInput
	}
	for name, material := range materials {
		encrypted, err := w.wrap(mech, material)
		if errors.Is(err, rsa.ErrMessageTooLong) {
			continue
		}
		s.must(err)
		got, err := s.m.Import(s.Context(), w.Key, mech, encrypted, id, t, s.anyUsage(t), nil)
		s.wantErr("Import of "+t.String()+", "+name, err, want)
		if got.Blob != nil {
			s.Errorf("Import of %s: material beside an error", name)
		}
	}
}

func wrongP256(s *suite) map[string][]byte {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	sec1, err := x509.MarshalECPrivateKey(priv)
	s.must(err)
	scalar, err := priv.Bytes()
	s.must(err)
	other := s.sample(hsm.P384).material
	return map[string][]byte{
		"a P-384 key": other, "SEC 1": sec1, "the bare scalar": scalar, "a public key": s.pkixFor(&priv.PublicKey),
		"an Ed25519 key": s.sample(hsm.Ed25519).material, "noise": random(138),
	}
}

func wrongRSA2048(s *suite) map[string][]byte {
	priv, err := publishedrsa.Generate(2048)
	s.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	s.must(err)
	return map[string][]byte{
		"an RSA-3072 key": s.sample(hsm.RSA3072).material, "PKCS #1": x509.MarshalPKCS1PrivateKey(priv),
		"PEM":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"a cut": der[:len(der)-1], "a P-256 key": s.sample(hsm.P256).material, "noise": random(1217),
	}
}
