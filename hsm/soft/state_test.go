package soft

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/c2sp/wycheproof"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
)

// TestContentGolden holds the format of the token file's content.
func TestContentGolden(t *testing.T) {
	st := &state{serial: "0123", label: "l", domains: map[hsm.DomainID]*domain{}}
	for _, id := range []hsm.DomainID{"b", "a"} {
		d, err := newDomain(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32))
		if err != nil {
			t.Fatal(err)
		}
		if err := st.add(id, d); err != nil {
			t.Fatal(err)
		}
	}
	secret := strings.Repeat("01", 32) + strings.Repeat("02", 32)
	want := "0100" + "0004" + "30313233" + // serial
		"0200" + "0001" + "6c" + // label
		"0301" + "61" + "0040" + secret +
		"0301" + "62" + "0040" + secret
	got, err := st.encode()
	if err != nil || hex.EncodeToString(got) != want {
		t.Fatalf("content %x, %v; want %s", got, err, want)
	}
	back, err := decodeState(got)
	if err != nil || back.serial != "0123" || back.label != "l" || len(back.domains) != 2 || back.domains["a"].secret != st.domains["a"].secret {
		t.Fatalf("decoded %+v, %v", back, err)
	}
	for name, bad := range map[string][]byte{
		"no serial":        got[8:],
		"serial twice":     append(bytes.Clone(got), got[:8]...),
		"label twice":      append(bytes.Clone(got), got[8:13]...),
		"domain twice":     append(bytes.Clone(got), got[13:82]...),
		"cut":              got[:len(got)-1],
		"header only":      append(bytes.Clone(got), 3),
		"unknown kind":     append(bytes.Clone(got), 9, 0, 0, 0),
		"bad id":           append(bytes.Clone(got), append([]byte{3, 1, 'A', 0, 64}, make([]byte, 64)...)...),
		"short domain key": append(bytes.Clone(got), 3, 1, 'c', 0, 1, 0),
		"named label":      append(bytes.Clone(got[:8]), 2, 1, 'x', 0, 0),
		"bad transport":    append(bytes.Clone(got), 4, 0, 0, 1, 0),
	} {
		if st, err := decodeState(bad); err == nil || st != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	st := newState("label")
	d, err := newDomain(make([]byte, 32), make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	if err := st.add("d", d); err != nil {
		f.Fatal(err)
	}
	content, err := st.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte{1, 0, 0, 1, 'x', 4, 0, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := decodeState(b)
		if err != nil {
			return
		}
		once, err := st.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeState(once)
		if err != nil {
			t.Fatalf("%x is written as %x, which is unreadable: %v", b, once, err)
		}
		if twice, err := back.encode(); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x, %v", once, twice, err)
		}
	})
}

// TestCloseWipes looks at the memory of a domain key and a MAC key after they were let go.
func TestCloseWipes(t *testing.T) {
	m, err := Open(Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CreateDomain(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	w, err := m.Generate(t.Context(), "d", hsm.HMAC256, hsm.UseMAC, nil)
	if err != nil {
		t.Fatal(err)
	}
	mat := hsm.Material{Domain: "d", Type: hsm.HMAC256, Usage: hsm.UseMAC, Wrapped: w}
	var secrets [][]byte
	for range 2 {
		k, err := m.Load(t.Context(), mat)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, k.(*key).p.(*macKey).pool.key)
		if len(secrets) == 1 {
			k.Destroy() // the other one is left to Close
		}
	}
	d := m.state.domains["d"]
	secrets = append(secrets, d.secret[:], d.mac.key)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for i, secret := range secrets {
		if !bytes.Equal(secret, make([]byte, len(secret))) {
			t.Errorf("secret %d is still there", i)
		}
	}
}

// TestGenerateRSAGivesUp: a caller does not wait for an RSA key longer than its context allows.
func TestGenerateRSAGivesUp(t *testing.T) {
	m, err := Open(Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.CreateDomain(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	for range cap(m.generating) {
		m.generating <- struct{}{} // all busy
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := m.Generate(ctx, "d", hsm.RSA4096, hsm.UseSign, nil); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Generate while all are busy: %v", err)
	}
	<-m.generating
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := m.Generate(ctx, "d", hsm.RSA4096, hsm.UseSign, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Generate with too little time: %v", err)
	}
}

// TestSHA1Transport: transport by OAEP with SHA-1 is for those who ask for it.
func TestSHA1Transport(t *testing.T) {
	if fipsMode() == "only" {
		t.Skip("no SHA-1 with fips140=only")
	}
	var to hsm.TransportKey
	for _, allow := range []bool{false, true} {
		m, err := Open(Options{InMemory: true, AllowSHA1Transport: allow, GenerateRSA: publishedrsa.Generate})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.CreateDomain(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		if to.SPKI == nil { // one will do
			if to, err = m.Transport(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		to.Mechanism = hsm.WrapOAEPSHA1
		if _, err := m.ExportDomain(t.Context(), "d", to); allow != (err == nil) || !allow && !errors.Is(err, hsm.ErrUnsupported) {
			t.Errorf("allowed %v: %v", allow, err)
		}
	}
}

// TestCapabilitiesByMode: strict mode claims nothing outside the FIPS module, and explains each gap.
func TestCapabilitiesByMode(t *testing.T) {
	full, strict := capabilities("off"), capabilities("only")
	if len(full.Missing) != 0 || len(strict.Missing) == 0 {
		t.Errorf("missing: %q, %q", full.Missing, strict.Missing)
	}
	outside := []hsm.KeyType{hsm.Secp256k1, hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87}
	for _, typ := range outside {
		if !full.Can(typ, hsm.UseSign) || strict.Can(typ, hsm.UseSign) {
			t.Errorf("%v: claimed %v, in strict mode %v", typ, full.Can(typ, hsm.UseSign), strict.Can(typ, hsm.UseSign))
		}
	}
	if !full.CanUse(hsm.RSA2048, hsm.UseDecrypt, hsm.RSAOAEPSHA1) || strict.CanUse(hsm.RSA2048, hsm.UseDecrypt, hsm.RSAOAEPSHA1) {
		t.Error("OAEP with SHA-1")
	}
	if len(full.Import) != 5 || len(strict.Import) != 3 || len(full.Import[hsm.WrapRSAAESKWSHA256]) != 17 || len(full.Import[hsm.WrapOAEPSHA256]) != 13 ||
		len(full.Import[hsm.WrapAESKWP]) != 16 {
		t.Errorf("import: %v; strict: %v", full.Import, strict.Import)
	}
}

// TestWycheproofVerify runs the vectors that have public keys only through the code behind Key.Verify.
func TestWycheproofVerify(t *testing.T) {
	for file, alg := range map[string]hsm.Algorithm{
		"ecdsa_secp256r1_sha256_test.json":      hsm.ECDSASHA256,
		"ecdsa_secp384r1_sha384_test.json":      hsm.ECDSASHA384,
		"ecdsa_secp521r1_sha512_test.json":      hsm.ECDSASHA512,
		"rsa_signature_2048_sha256_test.json":   hsm.RSAPKCS1SHA256,
		"rsa_signature_2048_sha384_test.json":   hsm.RSAPKCS1SHA384,
		"rsa_signature_3072_sha512_test.json":   hsm.RSAPKCS1SHA512,
		"rsa_signature_4096_sha256_test.json":   hsm.RSAPKCS1SHA256,
		"rsa_pss_2048_sha256_mgf1_32_test.json": hsm.RSAPSSSHA256,
		"rsa_pss_2048_sha384_mgf1_48_test.json": hsm.RSAPSSSHA384,
		"rsa_pss_4096_sha512_mgf1_64_test.json": hsm.RSAPSSSHA512,
		"rsa_pss_2048_sha256_mgf1_0_test.json":  hsm.RSAPSSSHA256, // salts of the wrong length: none may verify
		"rsa_pss_4096_sha512_mgf1_32_test.json": hsm.RSAPSSSHA512, // likewise
		"ed25519_test.json":                     hsm.Ed25519Pure,
	} {
		t.Run(file, func(t *testing.T) { wycheproofVerify(t, file, alg) })
	}
}

func wycheproofVerify(t *testing.T, file string, alg hsm.Algorithm) {
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		TestGroups []struct {
			PublicKeyDer string
			SLen         *int
			Tests        []struct {
				TcID                      int
				Comment, Msg, Sig, Result string
				Flags                     []string
			}
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, g := range v.TestGroups {
		der, _ := hex.DecodeString(g.PublicKeyDer)
		pub, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			t.Fatal(err)
		}
		if pub, ok := pub.(*rsa.PublicKey); ok && pub.E != 65537 {
			continue // no key of ours, and refused by Go in strict mode
		}
		wrongSalt := g.SLen != nil && *g.SLen != alg.DigestSize()
		for _, c := range g.Tests {
			msg, _ := hex.DecodeString(c.Msg)
			sig, _ := hex.DecodeString(c.Sig)
			got := verifyPublic(pub, alg, msg, sig)
			want := c.Result == "valid"
			if wrongSalt && !want || c.Result == "acceptable" {
				continue // among them salts changed to the right length
			}
			if got != (want && !wrongSalt) {
				t.Errorf("%d (%s): %v, vector %s", c.TcID, c.Comment, got, c.Result)
			}
			ran++
		}
	}
	if ran < 20 {
		t.Errorf("only %d vectors ran", ran)
	}
}

func verifyPublic(pub any, alg hsm.Algorithm, msg, sig []byte) bool {
	if pub, ok := pub.(ed25519.PublicKey); ok {
		return verifyEd25519(pub, alg, msg, sig)
	}
	h, _ := rsaScheme(alg)
	digest := h.New()
	digest.Write(msg)
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return verifyRSA(pub, alg, digest.Sum(nil), sig)
	case *ecdsa.PublicKey:
		return (&ecdsaKey{&ecdsa.PrivateKey{PublicKey: *pub}}).verify(alg, digest.Sum(nil), sig)
	}
	return false
}

// TestPoolAllocatesNothing holds the hot path to what it promises.
func TestPoolAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("under the race detector, which runs with -short, sync.Pool drops what it is given at random")
	}
	p := newMACPool(sha256.New, make([]byte, 32))
	var out [32]byte
	msg := make([]byte, 100)
	if n := testing.AllocsPerRun(200, func() { p.sum(out[:], counterOne, msg) }); n > 0.1 {
		t.Errorf("%v allocations", n)
	}
}
