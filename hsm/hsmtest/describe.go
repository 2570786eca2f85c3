package hsmtest

import (
	"bytes"
	"context"
	"slices"

	"github.com/trentkms/trent/hsm"
)

// cleanupContext returns a context for clean-up functions, when the test's own has ended.
func (s *suite) cleanupContext() context.Context { return context.WithoutCancel(s.Context()) }

var allTypes = []hsm.KeyType{
	hsm.Symmetric, hsm.HMAC224, hsm.HMAC256, hsm.HMAC384, hsm.HMAC512, hsm.AES256, hsm.RSA2048, hsm.RSA3072, hsm.RSA4096,
	hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1, hsm.Ed25519, hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87,
}

var allUsages = []hsm.Usage{hsm.UseDerive, hsm.UseMAC, hsm.UseSign, hsm.UseDecrypt, hsm.UseAgree, hsm.UseUnwrap, hsm.UseWrap}

// possible returns the algorithms that a type and usage can have at all (spec 06, table 1); none if they do not go
// together.
func possible(t hsm.KeyType, u hsm.Usage) []hsm.Algorithm {
	rsa := t.ModulusBits() != 0
	nist := t == hsm.P256 || t == hsm.P384 || t == hsm.P521
	mldsa := t == hsm.MLDSA44 || t == hsm.MLDSA65 || t == hsm.MLDSA87
	switch {
	case t == hsm.Symmetric && u == hsm.UseDerive:
		return []hsm.Algorithm{hsm.KDFCounterSHA256}
	case t == hsm.HMAC224 && u == hsm.UseMAC:
		return []hsm.Algorithm{hsm.HMACSHA224}
	case t == hsm.HMAC256 && u == hsm.UseMAC:
		return []hsm.Algorithm{hsm.HMACSHA256}
	case t == hsm.HMAC384 && u == hsm.UseMAC:
		return []hsm.Algorithm{hsm.HMACSHA384}
	case t == hsm.HMAC512 && u == hsm.UseMAC:
		return []hsm.Algorithm{hsm.HMACSHA512}
	case t == hsm.AES256 && (u == hsm.UseUnwrap || u == hsm.UseWrap):
		return []hsm.Algorithm{hsm.AESKWP}
	case rsa && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.RSAPKCS1SHA256, hsm.RSAPKCS1SHA384, hsm.RSAPKCS1SHA512, hsm.RSAPSSSHA256, hsm.RSAPSSSHA384, hsm.RSAPSSSHA512}
	case rsa && (u == hsm.UseDecrypt || u == hsm.UseUnwrap):
		return []hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256}
	case nist && u == hsm.UseAgree:
		return []hsm.Algorithm{hsm.ECDH}
	case (t == hsm.P256 || t == hsm.Secp256k1) && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.ECDSASHA256}
	case t == hsm.P384 && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.ECDSASHA384}
	case t == hsm.P521 && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.ECDSASHA512}
	case t == hsm.Ed25519 && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.Ed25519Pure, hsm.Ed25519ph}
	case mldsa && u == hsm.UseSign:
		return []hsm.Algorithm{hsm.MLDSAPure, hsm.MLDSAExternalMu}
	}
	return nil
}

// testDescribe checks that a fresh module tells what it is, answers, and has randomness.
func testDescribe(s *suite) {
	if s.m.Info().Kind == "" {
		s.Error("Info().Kind is empty")
	}
	s.must(s.m.Health(s.Context()))
	a, b := make([]byte, 64), make([]byte, 64)
	s.must(s.m.Random(s.Context(), a))
	s.must(s.m.Random(s.Context(), b))
	if bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 64)) {
		s.Errorf("Random gave %x, then %x", a, b)
	}
	s.must(s.m.Random(s.Context(), nil))
}

// testCapabilities checks that the claims are possible, consistent and stable, and that gaps are explained.
func testCapabilities(s *suite) {
	gap := false
	for _, t := range allTypes {
		for _, u := range allUsages {
			algs, claimed := s.caps.Keys[hsm.KeyUse{Type: t, Usage: u}]
			can := possible(t, u)
			gap = gap || len(algs) < len(can)
			if claimed && len(algs) == 0 {
				s.Errorf("%v for %v is claimed without algorithms", t, u)
			}
			for _, alg := range algs {
				if !slices.Contains(can, alg) {
					s.Errorf("%v for %v claims %v", t, u, alg)
				}
			}
			if again := s.m.Capabilities().Keys[hsm.KeyUse{Type: t, Usage: u}]; !slices.Equal(again, algs) {
				s.Errorf("%v for %v: %v, then %v", t, u, algs, again)
			}
		}
	}
	for mech, types := range s.caps.Import {
		for _, t := range types {
			if !slices.ContainsFunc(allUsages, func(u hsm.Usage) bool { return s.caps.Can(t, u) }) {
				s.Errorf("import of %v with %v is claimed, but no use of such keys", t, mech)
			}
		}
	}
	if len(s.caps.Import) != 0 && len(s.types(hsm.UseUnwrap)) == 0 {
		s.Error("import is claimed, but no wrapping key")
	}
	if gap && len(s.caps.Missing) == 0 {
		s.Error("the module lacks something, and Missing is empty")
	}
}

// testUnclaimed checks that whatever is not claimed is ErrUnsupported.
func testUnclaimed(s *suite) {
	id := s.newDomain()
	mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
	for _, t := range append(allTypes, 0, 99) {
		for _, u := range append(allUsages, 0, 99) {
			if s.caps.Can(t, u) {
				continue
			}
			w, err := s.m.Generate(s.Context(), id, t, u, nil)
			s.wantErr("Generate "+t.String()+" for "+u.String(), err, hsm.ErrUnsupported)
			if w.Blob != nil || w.Public != nil {
				s.Errorf("Generate %v for %v: material beside an error", t, u)
			}
			bad := mat
			bad.Type, bad.Usage = t, u
			_, err = s.m.Load(s.Context(), bad)
			s.wantErr("Load "+t.String()+" for "+u.String(), err, hsm.ErrUnsupported, hsm.ErrIntegrity)
		}
	}
}
