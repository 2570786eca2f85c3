package hsmtest

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"slices"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// domainKeys are the two keys of a domain key, in the clear.
type domainKeys struct{ wrap, auth []byte }

func (d domainKeys) mac(input []byte) (out [32]byte, err error) {
	h := hmac.New(sha256.New, d.auth)
	h.Write(input)
	h.Sum(out[:0])
	return out, nil
}

// domainKeys exports a domain key to the test's receiver and takes the export apart.
func (s *suite) domainKeys(id hsm.DomainID) domainKeys {
	s.Helper()
	r := s.receiver()
	wrapped, err := s.m.ExportDomain(s.Context(), id, r.key)
	s.must(err)
	export, err := hsm.ParseDomainExport(wrapped)
	s.must(err)
	h := mechanismHash(r.key.Mechanism)
	var d domainKeys
	d.wrap, err = rsa.DecryptOAEP(h(), nil, r.priv, export.WrapBlock, nil)
	s.must(err)
	d.auth, err = rsa.DecryptOAEP(h(), nil, r.priv, export.AuthBlock, nil)
	s.must(err)
	if len(d.wrap) != hsm.DomainKeySize || len(d.auth) != hsm.DomainKeySize || bytes.Equal(d.wrap, d.auth) {
		s.Fatalf("domain key of %d and %d bytes", len(d.wrap), len(d.auth))
	}
	s.must(export.Verify(id, d.mac))
	return d
}

func mechanismHash(mech hsm.WrapMechanism) func() hash.Hash {
	if mech == hsm.WrapOAEPSHA1 || mech == hsm.WrapRSAAESKWSHA1 {
		return sha1.New
	}
	return sha256.New
}

// forge wraps a known secret as the module would, by the published format.
func (s *suite) forge(id hsm.DomainID, d domainKeys, t hsm.KeyType, u hsm.Usage, secret, public []byte) hsm.Material {
	s.Helper()
	block, err := aes.NewCipher(d.wrap)
	s.must(err)
	wrapped, err := kwp.Wrap(block, secret)
	s.must(err)
	binding := []byte("forged")
	blob, err := hsm.SealWrapped(t, u, binding, public, wrapped, d.mac)
	s.must(err)
	return hsm.Material{Domain: id, Type: t, Usage: u, Binding: binding, Wrapped: hsm.Wrapped{Blob: blob, Public: public}}
}

// forgePair is forge and load for an asymmetric key.
func (s *suite) forgePair(id hsm.DomainID, d domainKeys, u hsm.Usage, k *pkcs8.Key) hsm.Key {
	s.Helper()
	public, err := k.PublicDER()
	s.must(err)
	return s.load(s.forge(id, d, k.Type, u, k.DER(), public))
}

// testBlobFormat opens what the module wraps by the published format, and lets it open what the test wraps.
func testBlobFormat(s *suite) {
	id := s.newDomain()
	d := s.domainKeys(id)
	block, err := aes.NewCipher(d.wrap)
	s.must(err)
	for _, t := range []hsm.KeyType{hsm.Symmetric, hsm.HMAC224, hsm.HMAC512, hsm.RSA2048, hsm.P256, hsm.P521, hsm.Secp256k1, hsm.Ed25519, hsm.MLDSA44} {
		s.sub(t.String(), func(s *suite) {
			u := s.anyUsage(t)
			mat := s.generate(id, t, u)
			wrapped, err := hsm.OpenWrapped(mat, d.mac)
			s.must(err)
			secret, err := kwp.Unwrap(block, wrapped)
			s.must(err)
			if !t.Asymmetric() {
				if len(secret) != t.SecretSize() || mat.Public != nil {
					s.Errorf("material of %d bytes, public key of %d", len(secret), len(mat.Public))
				}
			} else if k, err := pkcs8.Parse(t, secret); err != nil {
				s.Errorf("the material is no PKCS #8 key: %v", err)
			} else if public, err := k.PublicDER(); err != nil || !bytes.Equal(public, mat.Public) {
				s.Errorf("Public is not the public key of the material: %v", err)
			}
			s.load(s.forge(id, d, t, u, secret, mat.Public))
		})
	}
}

// anyUsage returns a claimed usage of a type, or skips the test.
func (s *suite) anyUsage(t hsm.KeyType) hsm.Usage {
	s.Helper()
	for _, u := range allUsages {
		if s.caps.Can(t, u) {
			return u
		}
	}
	s.Skipf("the module does not claim %v keys", t)
	return 0
}

// testGenerate makes a key of each claimed type and usage, and uses it.
func testGenerate(s *suite) {
	id := s.newDomain()
	for _, u := range allUsages {
		for _, t := range s.types(u) {
			if t.ModulusBits() > 2048 && u != hsm.UseSign && s.caps.Can(t, hsm.UseSign) {
				continue // long RSA keys take seconds each
			}
			s.sub(t.String()+"/"+u.String(), func(s *suite) {
				mat := s.generate(id, t, u)
				checkPublic(s, mat)
				k := s.load(mat)
				if k.Type() != t {
					s.Errorf("Type() is %v", k.Type())
				}
				s.exercise(k, u)
			})
		}
	}
	a, b := s.generate(id, hsm.Symmetric, hsm.UseDerive), s.generate(id, hsm.Symmetric, hsm.UseDerive)
	if bytes.Equal(a.Blob, b.Blob) {
		s.Error("two keys have the same blob")
	}
}

// checkPublic checks type, size and sizes of encodings of a public key (spec 06 PUB-03, PQC-06).
func checkPublic(s *suite, mat hsm.Material) {
	s.Helper()
	sizes := map[hsm.KeyType]int{
		hsm.RSA2048: 294, hsm.RSA3072: 422, hsm.RSA4096: 550, hsm.P256: 91, hsm.P384: 120, hsm.P521: 158, hsm.Secp256k1: 88,
		hsm.Ed25519: 44, hsm.MLDSA44: 1334, hsm.MLDSA65: 1974, hsm.MLDSA87: 2614,
	}
	if len(mat.Public) != sizes[mat.Type] {
		s.Errorf("public key of %d bytes, want %d", len(mat.Public), sizes[mat.Type])
	}
	if mat.Type.Asymmetric() {
		if _, err := parsePublic(mat.Type, mat.Public); err != nil {
			s.Error(err)
		}
	}
}

// exercise does one operation of each kind that the usage has.
func (s *suite) exercise(k hsm.Key, u hsm.Usage) {
	s.Helper()
	ctx := s.Context()
	alg := s.caps.Keys[hsm.KeyUse{Type: k.Type(), Usage: u}][0]
	switch u {
	case hsm.UseDerive:
		var a, b [32]byte
		s.must(k.DeriveKey(ctx, []byte("f"), &a))
		s.must(k.DeriveKey(ctx, []byte("f"), &b))
		if a != b || a == [32]byte{} {
			s.Errorf("DeriveKey gave %x, then %x", a, b)
		}
	case hsm.UseMAC:
		mac, err := k.MAC(ctx, []byte("m"))
		s.must(err)
		if len(mac) != k.Type().SecretSize() {
			s.Errorf("MAC of %d bytes", len(mac))
		}
	case hsm.UseSign:
		in := random(max(32, alg.DigestSize()))
		sig, err := k.Sign(ctx, alg, in)
		s.must(err)
		if ok, err := k.Verify(ctx, alg, in, sig); !ok || err != nil {
			s.Errorf("own signature: %v, %v", ok, err)
		}
	case hsm.UseDecrypt:
		c, err := k.Encrypt(ctx, alg, []byte("p"))
		s.must(err)
		p, err := k.Decrypt(ctx, alg, c)
		s.must(err)
		s.wantBytes("Decrypt", p, []byte("p"))
	}
}

// testIntegrity changes, swaps and cuts everything that belongs to a blob.
func testIntegrity(s *suite) {
	id, other := s.newDomain(), s.newDomain()
	for _, c := range []struct {
		t        hsm.KeyType
		u        hsm.Usage
		swapType hsm.KeyType
		swapUse  hsm.Usage
	}{
		{hsm.Symmetric, hsm.UseDerive, 0, 0},
		{hsm.HMAC256, hsm.UseMAC, hsm.HMAC384, 0},
		{hsm.P256, hsm.UseSign, hsm.P384, hsm.UseAgree},
		{hsm.Ed25519, hsm.UseSign, hsm.P256, 0},
		{hsm.RSA2048, hsm.UseSign, hsm.RSA3072, hsm.UseDecrypt},
	} {
		s.sub(c.t.String(), func(s *suite) {
			s.need(c.t, c.u)
			mat, twin := s.generate(id, c.t, c.u), s.generate(id, c.t, c.u)
			changes := brokenBlobs(mat)
			change := func(name string, f func(*hsm.Material)) {
				bad := mat
				f(&bad)
				changes[name] = bad
			}
			change("another binding", func(m *hsm.Material) { m.Binding = []byte("other") })
			change("no binding", func(m *hsm.Material) { m.Binding = nil })
			change("longer binding", func(m *hsm.Material) { m.Binding = append(bytes.Clone(m.Binding), 0) })
			change("another domain", func(m *hsm.Material) { m.Domain = other })
			change("a public key added or cut", func(m *hsm.Material) { m.Public = append(bytes.Clone(m.Public), 0) })
			if c.t.Asymmetric() {
				change("the twin's public key", func(m *hsm.Material) { m.Public = twin.Public })
				change("no public key", func(m *hsm.Material) { m.Public = nil })
			}
			if s.caps.Can(c.swapType, c.u) {
				change("another type", func(m *hsm.Material) { m.Type = c.swapType })
			}
			if s.caps.Can(c.t, c.swapUse) {
				change("another usage", func(m *hsm.Material) { m.Usage = c.swapUse })
			}
			for name, bad := range changes {
				k, err := s.m.Load(s.Context(), bad)
				s.wantErr("Load with "+name, err, hsm.ErrIntegrity)
				if k != nil {
					s.Errorf("Load with %s: key beside an error", name)
				}
				_, err = s.m.Rewrap(s.Context(), bad, other)
				s.wantErr("Rewrap with "+name, err, hsm.ErrIntegrity)
			}
			s.load(mat)
		})
	}
}

// brokenBlobs returns mat with its blob changed in every fifth byte and at the ends, cut and extended.
func brokenBlobs(mat hsm.Material) map[string]hsm.Material {
	bad := make(map[string]hsm.Material)
	set := func(name string, blob []byte) {
		m := mat
		m.Blob = blob
		bad[name] = m
	}
	for at := 0; at < len(mat.Blob); at += max(5, len(mat.Blob)/50) {
		set("a changed byte "+string(rune('0'+at%10)), flipped(mat.Blob, at))
	}
	set("a changed last byte", flipped(mat.Blob, len(mat.Blob)-1))
	set("no blob", nil)
	set("one byte", mat.Blob[:1])
	set("a cut blob", mat.Blob[:len(mat.Blob)-1])
	set("eight bytes cut", mat.Blob[:len(mat.Blob)-8])
	set("no tag", mat.Blob[:len(mat.Blob)-hsm.TagSize])
	set("a longer blob", append(bytes.Clone(mat.Blob), 0))
	return bad
}

// testRewrap moves keys to another domain key.
func testRewrap(s *suite) {
	from, to := s.newDomain(), s.newDomain()
	for _, u := range []hsm.Usage{hsm.UseDerive, hsm.UseSign} {
		for _, t := range []hsm.KeyType{hsm.Symmetric, hsm.P256, hsm.RSA2048, hsm.Ed25519} {
			if !s.caps.Can(t, u) {
				continue
			}
			s.sub(t.String(), func(s *suite) {
				mat := s.generate(from, t, u)
				w, err := s.m.Rewrap(s.Context(), mat, to)
				s.must(err)
				s.wantBytes("Public after Rewrap", w.Public, mat.Public)
				moved := mat
				moved.Domain, moved.Wrapped = to, w
				sameKey(s, u, s.load(mat), s.load(moved))
				moved.Domain = from
				_, err = s.m.Load(s.Context(), moved)
				s.wantErr("Load of the new blob under the old domain key", err, hsm.ErrIntegrity)
			})
		}
	}
}

// exportMechanism is the mechanism by which the module takes in what it exported.
func exportMechanism(s *suite) hsm.WrapMechanism {
	for _, t := range s.caps.Import[hsm.WrapRSAAESKWSHA256] {
		if t == hsm.Symmetric {
			return hsm.WrapRSAAESKWSHA256
		}
	}
	return hsm.WrapRSAAESKWSHA1
}

// hybridOf is the mechanism for material beside that for domain keys.
func hybridOf(m hsm.WrapMechanism) hsm.WrapMechanism {
	if m == hsm.WrapOAEPSHA1 {
		return hsm.WrapRSAAESKWSHA1
	}
	return hsm.WrapRSAAESKWSHA256
}

// testExport moves keys out of the module and in again, under another domain key and binding, as between two regions.
func testExport(s *suite) {
	mech := exportMechanism(s)
	if len(s.caps.Import[mech]) == 0 {
		s.Skip("the module imports nothing")
	}
	from, to := s.newDomain(), s.newDomain()
	pair := s.generate(to, hsm.RSA3072, hsm.UseUnwrap)
	wrapping := s.load(pair)
	target := hsm.TransportKey{SPKI: pair.Public, Mechanism: mech}
	for _, use := range []hsm.KeyUse{{Type: hsm.Symmetric, Usage: hsm.UseDerive}, {Type: hsm.HMAC384, Usage: hsm.UseMAC}, {Type: hsm.P256, Usage: hsm.UseSign},
		{Type: hsm.RSA2048, Usage: hsm.UseSign}, {Type: hsm.Ed25519, Usage: hsm.UseSign}, {Type: hsm.MLDSA44, Usage: hsm.UseSign}} {
		if !s.caps.Can(use.Type, use.Usage) || !slices.Contains(s.caps.Import[mech], use.Type) {
			continue
		}
		s.sub(use.Type.String(), func(s *suite) {
			mat := s.generate(from, use.Type, use.Usage)
			out, err := s.m.Export(s.Context(), mat, target)
			s.must(err)
			moved := hsm.Material{Domain: to, Type: use.Type, Usage: use.Usage, Binding: []byte("another region")}
			moved.Wrapped, err = s.m.Import(s.Context(), wrapping, mech, out, to, use.Type, use.Usage, moved.Binding)
			s.must(err)
			s.wantBytes("Public after Export and Import", moved.Public, mat.Public)
			if use.Usage == hsm.UseMAC {
				a, err := s.load(mat).MAC(s.Context(), []byte("m"))
				s.must(err)
				b, err := s.load(moved).MAC(s.Context(), []byte("m"))
				s.must(err)
				s.wantBytes("MAC after Export and Import", b, a)
				return
			}
			sameKey(s, use.Usage, s.load(mat), s.load(moved))
		})
	}
	mat := s.generate(from, hsm.Symmetric, hsm.UseDerive)
	_, err := s.m.Export(s.Context(), mat, hsm.TransportKey{SPKI: pair.Public, Mechanism: hsm.WrapOAEPSHA256})
	s.wantErr("Export with OAEP alone", err, hsm.ErrUnsupported)
	_, err = s.m.Export(s.Context(), mat, hsm.TransportKey{SPKI: []byte("no key"), Mechanism: mech})
	s.wantErr("Export for no key", err, hsm.ErrInvalidInput)
	mat.Binding = append(mat.Binding, 0)
	_, err = s.m.Export(s.Context(), mat, target)
	s.wantErr("Export of a blob with another binding", err, hsm.ErrIntegrity)
}

func sameKey(s *suite, u hsm.Usage, a, b hsm.Key) {
	s.Helper()
	ctx := s.Context()
	if u == hsm.UseDerive {
		var x, y [32]byte
		s.must(a.DeriveKey(ctx, nil, &x))
		s.must(b.DeriveKey(ctx, nil, &y))
		if x != y {
			s.Error("the key derives something else")
		}
		return
	}
	alg := s.caps.Keys[hsm.KeyUse{Type: a.Type(), Usage: u}][0]
	in := random(max(32, alg.DigestSize()))
	sig, err := a.Sign(ctx, alg, in)
	s.must(err)
	if ok, err := b.Verify(ctx, alg, in, sig); !ok || err != nil {
		s.Errorf("the signature of one does not verify with the other: %v, %v", ok, err)
	}
}

// digestHash returns the hash function of an algorithm's digest.
func digestHash(alg hsm.Algorithm) crypto.Hash {
	switch alg.DigestSize() {
	case 32:
		return crypto.SHA256
	case 48:
		return crypto.SHA384
	}
	return crypto.SHA512
}
