package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/hsm"
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
	rsas := []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096}
	for _, host := range []bool{false, true} {
		cfg := r.newToken()
		cfg.AllowHostUnwrap = host
		caps := r.open(cfg).Capabilities()
		encryption := []hsm.Algorithm{hsm.RSAOAEPSHA1}
		direct, hybrid := slices.Concat(secrets, curves), slices.Concat(secrets, rsas, curves)
		var direct256, hybrid256 []hsm.KeyType
		if host {
			encryption = append(encryption, hsm.RSAOAEPSHA256)
			direct, hybrid = slices.Concat(allSecrets, curves), slices.Concat(allSecrets, rsas, curves)
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

// TestSoftHSMBlobFormat is the suite's BlobFormat, but for the zeros that SoftHSM2 2.6 puts behind keys whose length is
// not a multiple of eight before it wraps them. It reads both forms.
func TestSoftHSMBlobFormat(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	priv, err := rsa.GenerateKey(rand.Reader, 3072)
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
