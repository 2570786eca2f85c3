package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// TestSoftHSMCapabilities holds what SoftHSM2 2.6 is found to be able to do, and that what it lacks is told.
func TestSoftHSMCapabilities(t *testing.T) {
	r := newRig(t)
	r.ownProfile = true
	secrets := []hsm.KeyType{hsm.Symmetric, hsm.HMAC256, hsm.HMAC384, hsm.HMAC512}
	allSecrets := []hsm.KeyType{hsm.Symmetric, hsm.HMAC224, hsm.HMAC256, hsm.HMAC384, hsm.HMAC512}
	curves := []hsm.KeyType{hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1}
	aes := []hsm.KeyType{hsm.AES256}
	rsas := []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096}
	for _, host := range []bool{false, true} {
		cfg := r.newToken()
		cfg.AllowHostUnwrap = host
		caps := r.open(cfg).Capabilities()
		encryption := []hsm.Algorithm{hsm.RSAOAEPSHA1}
		direct, hybrid := slices.Concat(secrets, curves), slices.Concat(secrets, aes, rsas, curves)
		under := slices.Concat(secrets, rsas, curves)
		var direct256, hybrid256 []hsm.KeyType
		if host {
			encryption = append(encryption, hsm.RSAOAEPSHA256)
			direct, hybrid = slices.Concat(allSecrets, curves), slices.Concat(allSecrets, aes, rsas, curves)
			direct256, hybrid256 = direct, hybrid
		}
		for _, kt := range rsas {
			for _, u := range []hsm.Usage{hsm.UseDecrypt, hsm.UseUnwrap} {
				if got := caps.Keys[hsm.KeyUse{Type: kt, Usage: u}]; !slices.Equal(got, encryption) {
					t.Errorf("host %v: %v for %v: %v", host, kt, u, got)
				}
			}
			if got := caps.Keys[hsm.KeyUse{Type: kt, Usage: hsm.UseSign}]; len(got) != 6 {
				t.Errorf("%v: %v", kt, got)
			}
		}
		for _, kt := range []hsm.KeyType{hsm.Ed25519, hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87} {
			if caps.Can(kt, hsm.UseSign) {
				t.Errorf("%v is claimed", kt)
			}
		}
		for mechanism, want := range map[hsm.WrapMechanism][]hsm.KeyType{
			hsm.WrapOAEPSHA1: direct, hsm.WrapRSAAESKWSHA1: hybrid, hsm.WrapOAEPSHA256: direct256, hsm.WrapRSAAESKWSHA256: hybrid256,
			hsm.WrapAESKWP: under,
		} {
			if got := caps.Import[mechanism]; !slices.Equal(got, want) {
				t.Errorf("host %v: import with %v: %v, want %v", host, mechanism, got, want)
			}
		}
		missing := strings.Join(caps.Missing, "\n")
		for _, want := range []string{"RSAES-OAEP-SHA-256", "CKR_ARGUMENTS_BAD", "Ed25519 keys: C_WrapKey", "CKR_KEY_NOT_WRAPPABLE", "ML-DSA-44, ML-DSA-65, ML-DSA-87 keys", "zeros"} {
			if !strings.Contains(missing, want) {
				t.Errorf("host %v: Missing does not tell of %q:\n%s", host, want, missing)
			}
		}
		if strings.Contains(missing, "this process removes the padding itself") != host {
			t.Errorf("host %v: Missing tells otherwise:\n%s", host, missing)
		}
	}
}

// TestStrictFIPS runs itself again with fips140=only: what the mode forbids is not claimed, the rest works.
func TestStrictFIPS(t *testing.T) {
	if !fips140.Enforced() {
		softHSM(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStrictFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestStrictFIPS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	r := newRigOn(t, func(ck cryptoki) cryptoki { return ck })
	cfg := r.newToken()
	cfg.AllowHostUnwrap = true
	m := r.open(cfg)
	caps := m.Capabilities()
	if caps.Can(hsm.Secp256k1, hsm.UseSign) || caps.CanUse(hsm.RSA2048, hsm.UseDecrypt, hsm.RSAOAEPSHA1) ||
		len(caps.Import[hsm.WrapOAEPSHA1]) != 0 || len(caps.Import[hsm.WrapRSAAESKWSHA1]) != 0 {
		t.Errorf("claims what fips140=only forbids: %+v", caps)
	}
	if missing := strings.Join(caps.Missing, "\n"); !strings.Contains(missing, "fips140=only") {
		t.Errorf("Missing does not tell of the mode:\n%s", missing)
	}
	k := newKey(t, m, hsm.RSA2048, hsm.UseDecrypt)
	c, err := k.Encrypt(t.Context(), hsm.RSAOAEPSHA256, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Decrypt(t.Context(), hsm.RSAOAEPSHA256, c); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := k.Encrypt(t.Context(), hsm.RSAOAEPSHA1, []byte("hello")); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("SHA-1: %v", err)
	}
	unwrap := newKey(t, m, hsm.RSA2048, hsm.UseUnwrap)
	if _, err := m.Import(t.Context(), unwrap, hsm.WrapRSAAESKWSHA256, make([]byte, 296), testDomain, hsm.Symmetric, hsm.UseDerive, nil); !errors.Is(err, hsm.ErrInvalidInput) {
		t.Errorf("import of junk: %v", err)
	}
	var out [32]byte
	if err := newKey(t, m, hsm.Symmetric, hsm.UseDerive).DeriveKey(t.Context(), nil, &out); err != nil {
		t.Error(err)
	}
}

// TestSoftHSMBlobFormat is the suite's BlobFormat, but for the zeros that SoftHSM2 2.6 puts behind keys whose length is
// not a multiple of eight before it wraps them. It reads both forms.
func TestSoftHSMBlobFormat(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	priv, err := publishedrsa.Generate(3072)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&priv.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CreateDomain(t.Context(), testDomain); err != nil {
		t.Fatal(err)
	}
	exported, err := m.ExportDomain(t.Context(), testDomain, hsm.TransportKey{SPKI: spki, Mechanism: hsm.WrapOAEPSHA1})
	if err != nil {
		t.Fatal(err)
	}
	e, err := hsm.ParseDomainExport(exported)
	if err != nil {
		t.Fatal(err)
	}
	wrapKey, err := rsa.DecryptOAEP(oaepSHA1.crypto().New(), nil, priv, e.WrapBlock, nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(wrapKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, kt := range []hsm.KeyType{hsm.Symmetric, hsm.HMAC224, hsm.HMAC512, hsm.RSA2048, hsm.P256, hsm.P521, hsm.Secp256k1} {
		mat := newMaterial(t, m, kt, usages(kt)[0])
		material, err := kwp.Unwrap(block, mat.Blob[1:len(mat.Blob)-hsm.TagSize])
		if err != nil {
			t.Fatalf("%v: %v", kt, err)
		}
		exact := derOnly(material)
		if n := kt.SecretSize(); n != 0 {
			exact = material[:n]
		}
		if rest := material[len(exact):]; len(rest) > 7 || len(bytes.Trim(rest, "\x00")) != 0 {
			t.Errorf("%v: %d bytes behind the key", kt, len(rest))
		}
		if kt.Asymmetric() {
			k, err := pkcs8.Parse(kt, exact)
			if err != nil {
				t.Errorf("%v: %v", kt, err)
			} else if public, err := k.PublicDER(); err != nil || !bytes.Equal(public, mat.Public) {
				t.Errorf("%v: Public is not the public key of the material: %v", kt, err)
			}
		}
		// Without the zeros, as other modules write it.
		_, err = do(t.Context(), m, func(l *lease) (int, error) {
			d, err := l.domain(testDomain)
			if err != nil {
				return 0, err
			}
			wrapped, err := kwp.Wrap(block, exact)
			if err != nil {
				return 0, err
			}
			mat.Blob, err = hsm.SealWrapped(kt, mat.Usage, mat.Binding, mat.Public, wrapped, l.prf(d.auth))
			return 0, err
		})
		if err != nil {
			t.Fatal(err)
		}
		k, err := m.Load(t.Context(), mat)
		if err != nil {
			t.Errorf("%v: %v", kt, err)
			continue
		}
		k.Destroy()
	}
}
