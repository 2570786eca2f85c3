package hsmtest

import (
	"crypto/fips140"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// vectors is what the suite needs of a Wycheproof file.
type vectors struct {
	TestGroups []struct {
		PrivateKeyPkcs8 hexBytes
		PrivateSeed     hexBytes
		PublicKeyDer    hexBytes
		SHA             string
		Tests           []vector
	}
}

type vector struct {
	TcID                                                            int
	Comment, Result                                                 string
	Flags                                                           []string
	Key, Msg, Ct, Label, Tag, Sig, Mu, Ctx, Public, Private, Shared hexBytes
}

// hexBytes is a hexadecimal string; in a few files the field has another shape, which is left empty.
type hexBytes []byte

// UnmarshalJSON reads a string of hexadecimal digits.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return nil
	}
	decoded, err := hex.DecodeString(s)
	if err == nil {
		*h = decoded
	}
	return nil
}

func (s *suite) vectors(file string) vectors {
	s.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	s.must(err)
	var v vectors
	s.must(json.Unmarshal(raw, &v))
	return v
}

// testWycheproof runs the vectors that have secrets in them through forged keys.
func testWycheproof(s *suite) {
	if testing.Short() && !fips140.Enabled() {
		s.Skip("known answers, which a short run (under the race detector) has nothing to add to")
	}
	id := s.newDomain()
	d := s.domainKeys(id)
	for file, t := range map[string]hsm.KeyType{"ecdh_secp256r1_test.json": hsm.P256, "ecdh_secp384r1_test.json": hsm.P384, "ecdh_secp521r1_test.json": hsm.P521} {
		s.sub(file, func(s *suite) { wycheproofECDH(s, id, d, file, t) })
	}
	for _, c := range []struct {
		file string
		t    hsm.KeyType
		alg  hsm.Algorithm
	}{
		{"rsa_oaep_2048_sha1_mgf1sha1_test.json", hsm.RSA2048, hsm.RSAOAEPSHA1},
		{"rsa_oaep_2048_sha256_mgf1sha256_test.json", hsm.RSA2048, hsm.RSAOAEPSHA256},
		{"rsa_oaep_3072_sha256_mgf1sha256_test.json", hsm.RSA3072, hsm.RSAOAEPSHA256},
		{"rsa_oaep_4096_sha256_mgf1sha256_test.json", hsm.RSA4096, hsm.RSAOAEPSHA256},
	} {
		s.sub(c.file, func(s *suite) { wycheproofOAEP(s, id, d, c.file, c.t, c.alg) })
	}
	for i, file := range []string{"hmac_sha224_test.json", "hmac_sha256_test.json", "hmac_sha384_test.json", "hmac_sha512_test.json"} {
		s.sub(file, func(s *suite) { wycheproofHMAC(s, id, d, file, hmacs[i].t) })
	}
	for file, t := range map[string]hsm.KeyType{"mldsa_44_sign_seed_test.json": hsm.MLDSA44, "mldsa_65_sign_seed_test.json": hsm.MLDSA65, "mldsa_87_sign_seed_test.json": hsm.MLDSA87} {
		s.sub(file, func(s *suite) { wycheproofMLDSA(s, id, d, file, t) })
	}
	s.sub("rsa_pkcs1_2048_sig_gen_test.json", func(s *suite) { wycheproofPKCS1(s, id, d) })
}

// publishedRSA returns a key from the vectors, which saves generating one.
func (s *suite) publishedRSA(t hsm.KeyType) *pkcs8.Key {
	s.Helper()
	for _, g := range s.vectors(fmt.Sprintf("rsa_oaep_%d_sha256_mgf1sha256_test.json", t.ModulusBits())).TestGroups {
		if pair, err := pkcs8.Parse(t, g.PrivateKeyPkcs8); err == nil {
			return pair
		}
	}
	s.Fatalf("no %v key in the vectors", t)
	return nil
}

// wantRan keeps a filter that lets nothing through from passing.
func (s *suite) wantRan(n, least int) {
	s.Helper()
	if n < least {
		s.Errorf("only %d vectors ran, want %d or more", n, least)
	}
}

func wycheproofECDH(s *suite, id hsm.DomainID, d domainKeys, file string, t hsm.KeyType) {
	s.need(t, hsm.UseAgree)
	size := map[hsm.KeyType]int{hsm.P256: 32, hsm.P384: 48, hsm.P521: 66}[t]
	loaded := make(map[string]hsm.Key)
	ran := 0
	for _, g := range s.vectors(file).TestGroups {
		for _, v := range g.Tests {
			scalar := make([]byte, size)
			private := v.Private
			for len(private) > size && private[0] == 0 {
				private = private[1:]
			}
			if len(private) > size {
				continue
			}
			copy(scalar[size-len(private):], private)
			k := loaded[string(scalar)]
			if k == nil {
				pair, err := pkcs8.FromSecret(t, scalar)
				s.must(err)
				k = s.forgePair(id, d, hsm.UseAgree, pair)
				loaded[string(scalar)] = k
			}
			got, err := k.Agree(s.Context(), v.Public)
			switch {
			case v.Result == "valid":
				s.must(err)
				s.wantBytes(v.Comment, got, v.Shared)
				ran++
			case v.Result == "invalid" || err != nil:
				s.wantErr(v.Comment, err, hsm.ErrInvalidInput)
			default: // acceptable, and accepted
				s.wantBytes(v.Comment, got, v.Shared)
			}
		}
	}
	s.wantRan(ran, 100)
}

func wycheproofOAEP(s *suite, id hsm.DomainID, d domainKeys, file string, t hsm.KeyType, alg hsm.Algorithm) {
	if !s.caps.CanUse(t, hsm.UseDecrypt, alg) {
		s.Skipf("the module does not claim %v with %v", alg, t)
	}
	ran := 0
	for _, g := range s.vectors(file).TestGroups {
		pair, err := pkcs8.Parse(t, g.PrivateKeyPkcs8)
		if err != nil {
			continue // another size or exponent
		}
		k := s.forgePair(id, d, hsm.UseDecrypt, pair)
		for _, v := range g.Tests {
			if len(v.Label) != 0 {
				v.Result = "invalid" // the label is empty here
			}
			got, err := k.Decrypt(s.Context(), alg, v.Ct)
			if v.Result == "invalid" {
				s.wantErr(v.Comment, err, hsm.ErrInvalidInput)
				continue
			}
			s.must(err)
			s.wantBytes(v.Comment, got, v.Msg)
			ran++
		}
	}
	s.wantRan(ran, 5)
}

func wycheproofHMAC(s *suite, id hsm.DomainID, d domainKeys, file string, t hsm.KeyType) {
	s.need(t, hsm.UseMAC)
	ran := 0
	for _, g := range s.vectors(file).TestGroups {
		for _, v := range g.Tests {
			if len(v.Key) > t.SecretSize() || len(v.Tag) != t.SecretSize() {
				continue
			}
			key := make([]byte, t.SecretSize()) // HMAC pads keys with zeros itself
			copy(key, v.Key)
			got, err := s.load(s.forge(id, d, t, hsm.UseMAC, key, nil)).MAC(s.Context(), v.Msg)
			s.must(err)
			if (v.Result == "valid") != (string(got) == string(v.Tag)) {
				s.Errorf("%d (%s): MAC %x, vector %s %x", v.TcID, v.Comment, got, v.Result, v.Tag)
			}
			ran++
		}
	}
	s.wantRan(ran, 20)
}

// wycheproofMLDSA verifies the signatures that come with the vectors, by message and by mu.
func wycheproofMLDSA(s *suite, id hsm.DomainID, d domainKeys, file string, t hsm.KeyType) {
	s.need(t, hsm.UseSign)
	ran := 0
	for _, g := range s.vectors(file).TestGroups {
		pair, err := pkcs8.FromSecret(t, g.PrivateSeed)
		if err != nil {
			continue // a seed of the wrong length
		}
		k := s.forgePair(id, d, hsm.UseSign, pair)
		for _, v := range g.Tests {
			if v.Result != "valid" {
				continue
			}
			if len(v.Ctx) == 0 && len(v.Msg) != 0 {
				s.wantVerify(k, hsm.MLDSAPure, v.Msg, v.Sig, true)
				ran++
			}
			if len(v.Mu) == 64 && s.caps.CanUse(t, hsm.UseSign, hsm.MLDSAExternalMu) {
				s.wantVerify(k, hsm.MLDSAExternalMu, v.Mu, v.Sig, true)
				ran++
			}
		}
	}
	s.wantRan(ran, 20)
}

// wycheproofPKCS1 signs with the keys of the vectors; the scheme is deterministic.
func wycheproofPKCS1(s *suite, id hsm.DomainID, d domainKeys) {
	s.need(hsm.RSA2048, hsm.UseSign)
	algs := map[string]hsm.Algorithm{"SHA-256": hsm.RSAPKCS1SHA256, "SHA-384": hsm.RSAPKCS1SHA384, "SHA-512": hsm.RSAPKCS1SHA512}
	ran := 0
	for _, g := range s.vectors("rsa_pkcs1_2048_sig_gen_test.json").TestGroups {
		alg := algs[g.SHA]
		pair, err := pkcs8.Parse(hsm.RSA2048, g.PrivateKeyPkcs8)
		if err != nil || !s.caps.CanUse(hsm.RSA2048, hsm.UseSign, alg) {
			continue
		}
		k := s.forgePair(id, d, hsm.UseSign, pair)
		for _, v := range g.Tests {
			h := digestHash(alg).New()
			h.Write(v.Msg)
			got, err := k.Sign(s.Context(), alg, h.Sum(nil))
			s.must(err)
			s.wantBytes(v.Comment, got, v.Sig)
			ran++
		}
	}
	s.wantRan(ran, 5)
}
