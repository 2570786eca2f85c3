package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
)

// failOn makes one call of Cryptoki fail as SoftHSM2 does for everything.
func failOn(call string) func(string, pkcs11.SessionHandle) error {
	return func(c string, _ pkcs11.SessionHandle) error {
		if c == call {
			return pkcs11.Error(pkcs11.CKR_GENERAL_ERROR)
		}
		return nil
	}
}

// client wraps material as a client does, by the hybrid mechanism with SHA-1, or with OAEP alone.
func client(t *testing.T, k hsm.Key, hybrid bool, material []byte) []byte {
	t.Helper()
	pub := k.(*key).pub.rsaPublic()
	secret := material
	if hybrid {
		secret = randomBytes(32)
	}
	block, err := rsa.EncryptOAEP(oaepSHA1.crypto().New(), rand.Reader, pub, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !hybrid {
		return block
	}
	cipher, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := kwp.Wrap(cipher, material)
	if err != nil {
		t.Fatal(err)
	}
	return append(block, rest...)
}

// pkcs8EC builds a PrivateKeyInfo around parameters and an ECPrivateKey with any public point.
func pkcs8EC(params asn1.RawValue, scalar, point []byte) []byte {
	type ecPrivateKey struct {
		Version int
		Scalar  []byte
		Public  asn1.BitString `asn1:"optional,explicit,tag:1"`
	}
	type algorithm struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue
	}
	inner := ecPrivateKey{Version: 1, Scalar: scalar}
	if point != nil {
		inner.Public = asn1.BitString{Bytes: point, BitLength: 8 * len(point)}
	}
	return der(struct {
		Version   int
		Algorithm algorithm
		Key       []byte
	}{0, algorithm{oidEC, params}, der(inner)})
}

// explicitP256 is P-256 by its numbers (RFC 3279 section 2.3.5).
func explicitP256() asn1.RawValue {
	p := elliptic.P256().Params()
	a := new(big.Int).Sub(p.P, big.NewInt(3))
	type fieldID struct {
		Type  asn1.ObjectIdentifier
		Prime *big.Int
	}
	type curve struct{ A, B []byte }
	return asn1.RawValue{FullBytes: der(struct {
		Version  int
		Field    fieldID
		Curve    curve
		Base     []byte
		Order    *big.Int
		Cofactor int
	}{1, fieldID{asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}, p.P}, curve{a.FillBytes(make([]byte, 32)), p.B.FillBytes(make([]byte, 32))},
		forms[hsm.P256].generator(), p.N, 1})}
}

// TestImportCurveForms imports curve keys inside the token in the forms of spec 07 MAT, and refuses others.
func TestImportCurveForms(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	w := newKey(t, m, hsm.RSA2048, hsm.UseUnwrap)
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := priv.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := priv.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&priv.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	parity := point[64] & 1
	compressed := append([]byte{2 | parity}, point[1:33]...)
	hybridForm := append([]byte{6 | parity}, point[1:]...)
	named := asn1.RawValue{FullBytes: forms[hsm.P256].params}
	for _, c := range []struct {
		name     string
		material []byte
		ok       bool
	}{
		{"no point", pkcs8EC(named, scalar, nil), true},
		{"uncompressed", pkcs8EC(named, scalar, point), true},
		{"compressed", pkcs8EC(named, scalar, compressed), true},
		{"hybrid", pkcs8EC(named, scalar, hybridForm), true},
		{"explicit parameters", pkcs8EC(explicitP256(), scalar, nil), false},
		{"explicit parameters with point", pkcs8EC(explicitP256(), scalar, point), false},
		{"scalar zero", pkcs8EC(named, make([]byte, 32), nil), false},
		// The token ignores a public point, and what is stored is the right one.
		{"somebody else's point", pkcs8EC(named, scalar, forms[hsm.P256].generator()), true},
	} {
		for mechanism, hybrid := range map[hsm.WrapMechanism]bool{hsm.WrapOAEPSHA1: false, hsm.WrapRSAAESKWSHA1: true} {
			if !hybrid && len(c.material) > oaepSHA1.maxPlain(256) {
				continue
			}
			got, err := m.Import(t.Context(), w, mechanism, client(t, w, hybrid, c.material), testDomain, hsm.P256, hsm.UseSign, nil)
			switch {
			case c.ok && (err != nil || !bytes.Equal(got.Public, spki)):
				t.Errorf("%s, %v: %x, %v", c.name, mechanism, got.Public, err)
			case !c.ok && !errors.Is(err, hsm.ErrWrongMaterial):
				t.Errorf("%s, %v: %v, want ErrWrongMaterial", c.name, mechanism, err)
			}
		}
	}
}

// TestImportBlame: that the token refuses to unwrap is the client's fault only if it still unwraps what is right.
func TestImportBlame(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.AllowHostUnwrap = true
	m := r.open(cfg)
	rsa, aes := newKey(t, m, hsm.RSA2048, hsm.UseUnwrap), newKey(t, m, hsm.AES256, hsm.UseUnwrap)
	for mechanism, types := range m.profile.imports {
		_, hybrid, _ := importParts(mechanism)
		w := rsa
		if mechanism == hsm.WrapAESKWP {
			w = aes
		}
		for kt, way := range types {
			if kt != hsm.Symmetric && kt != hsm.P256 && kt != hsm.HMAC224 {
				continue
			}
			u := usages(kt)[0]
			junk := make([]byte, 256)
			if hybrid {
				junk = append(junk, make([]byte, 48)...)
			}
			_, err := m.Import(t.Context(), w, mechanism, junk, testDomain, kt, u, nil)
			if !errors.Is(err, hsm.ErrInvalidInput) || errors.Is(err, hsm.ErrWrongMaterial) {
				t.Errorf("%v of %v by way %d: junk: %v", mechanism, kt, way, err)
			}
			call := "C_UnwrapKey"
			if way == routeHost || way == routeHostKey {
				call = "C_Decrypt"
			}
			r.hook.set(failOn(call))
			_, err = m.Import(t.Context(), w, mechanism, junk, testDomain, kt, u, nil)
			if errors.Is(err, hsm.ErrInvalidInput) || !errors.Is(err, hsm.ErrUnavailable) {
				t.Errorf("%v of %v by way %d: broken token: %v", mechanism, kt, way, err)
			}
			r.hook.set(nil)
		}
	}
}
