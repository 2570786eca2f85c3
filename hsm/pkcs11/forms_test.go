package pkcs11

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// spkis returns a public key of each type that has one, from other code.
func spkis(t testing.TB) map[hsm.KeyType][]byte {
	t.Helper()
	out := map[hsm.KeyType][]byte{}
	for _, kt := range keyTypes {
		if f := forms[kt]; f.kind == kindSecret || f.kind == kindRSA {
			continue
		}
		size := forms[kt].size
		if forms[kt].kind == kindMLDSA {
			size = 32
		}
		secret := make([]byte, size)
		secret[size-1] = 7
		k, err := pkcs8.FromSecret(kt, secret)
		if err != nil {
			t.Fatal(err)
		}
		if out[kt], err = k.PublicDER(); err != nil {
			t.Fatal(err)
		}
	}
	priv, err := testRSA()
	if err != nil {
		t.Fatal(err)
	}
	if out[hsm.RSA2048], err = x509.MarshalPKIXPublicKey(&priv.PublicKey); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSPKI(t *testing.T) {
	all := spkis(t)
	for kt, b := range all {
		p, err := parseSPKI(kt, b)
		if err != nil {
			t.Errorf("%v: %v", kt, err)
			continue
		}
		if !bytes.Equal(p.spki(), b) {
			t.Errorf("%v: %x, want %x", kt, p.spki(), b)
		}
		for other := range all {
			if _, err := parseSPKI(other, b); (err == nil) != (other == kt) {
				t.Errorf("%v read as %v: %v", kt, other, err)
			}
		}
		for name, bad := range map[string][]byte{
			"empty": nil, "cut": b[:len(b)-1], "longer": append(bytes.Clone(b), 0), "indefinite": append([]byte{0x30, 0x80}, b[2:]...),
		} {
			if _, err := parseSPKI(kt, bad); err == nil {
				t.Errorf("%v, %s: no error", kt, name)
			}
		}
	}
	for _, kt := range []hsm.KeyType{hsm.P256, hsm.P521, hsm.Secp256k1} {
		off := bytes.Clone(all[kt])
		off[len(off)-1] ^= 1
		if _, err := parseSPKI(kt, off); err == nil {
			t.Errorf("%v: a point off the curve", kt)
		}
	}
	if _, err := parseSPKI(hsm.Symmetric, all[hsm.P256]); err == nil {
		t.Error("a symmetric key has no public key")
	}
}

// FuzzSPKI: what parses encodes to the same bytes.
func FuzzSPKI(f *testing.F) {
	for kt, b := range spkis(f) {
		f.Add(byte(kt), b)
	}
	f.Fuzz(func(t *testing.T, kt byte, b []byte) {
		if p, err := parseSPKI(hsm.KeyType(kt), b); err == nil && !bytes.Equal(p.spki(), b) {
			t.Errorf("%x encodes to %x", b, p.spki())
		}
	})
}

func TestUnwrapPoint(t *testing.T) {
	point := append([]byte{4}, bytes.Repeat([]byte{4}, 64)...)
	for name, in := range map[string][]byte{"bare": point, "in an OCTET STRING": der(point)} {
		if got := unwrapPoint(in, forms[hsm.P256]); !bytes.Equal(got, point) {
			t.Errorf("%s: %x", name, got)
		}
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string][]byte{"bare": pub, "in an OCTET STRING": der([]byte(pub))} {
		if got := unwrapPoint(in, forms[hsm.Ed25519]); !bytes.Equal(got, pub) {
			t.Errorf("%s: %x", name, got)
		}
	}
	for _, junk := range [][]byte{nil, {4}, {4, 0x80}, bytes.Repeat([]byte{4}, 300)} {
		_ = unwrapPoint(junk, forms[hsm.P256])
	}
}

func TestCurves(t *testing.T) {
	for _, kt := range []hsm.KeyType{hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1} {
		f := forms[kt]
		g := f.generator()
		if err := f.onCurve(g); err != nil {
			t.Errorf("%v: %v", kt, err)
		}
		one := make([]byte, f.size)
		one[f.size-1] = 1
		k, err := pkcs8.FromSecret(kt, one)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := k.PublicDER()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(spki, g) {
			t.Errorf("%v: the base point is not 1 * G", kt)
		}
		back, err := f.decompress(append([]byte{2 | g[len(g)-1]&1}, g[1:1+f.size]...))
		if err != nil || !bytes.Equal(back, g) {
			t.Errorf("%v: decompressed to %x, %v", kt, back, err)
		}
		if _, err := f.decompress(append([]byte{2}, bytes.Repeat([]byte{0xff}, f.size)...)); err == nil {
			t.Errorf("%v: an x coordinate out of range", kt)
		}
		if new(big.Int).SetBytes(f.order()).BitLen() < 8*f.size-7 {
			t.Errorf("%v: order %x", kt, f.order())
		}
	}
}

func TestECDSAEncoding(t *testing.T) {
	priv, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := forms[hsm.P521]
	for range 20 {
		sig, err := ecdsa.SignASN1(rand.Reader, priv, make([]byte, 64))
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := ecdsaFromDER(sig, f)
		if !ok || len(raw) != 132 {
			t.Fatalf("%x: %x, %v", sig, raw, ok)
		}
		back, err := ecdsaToDER(raw, f.size)
		if err != nil || !bytes.Equal(back, sig) {
			t.Errorf("%x, want %x", back, sig)
		}
	}
	n := new(big.Int).SetBytes(f.order())
	one := big.NewInt(1)
	for name, v := range map[string]ecdsaSignature{
		"r = 0": {new(big.Int), one}, "s = 0": {one, new(big.Int)}, "r = n": {n, one}, "s = n": {one, n},
		"negative": {big.NewInt(-1), one}, "huge": {new(big.Int).Lsh(one, 5000), one},
	} {
		if _, ok := ecdsaFromDER(der(v), f); ok {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := ecdsaToDER(make([]byte, 131), f.size); err == nil {
		t.Error("a short signature of the token")
	}
}

// FuzzECDSASignature: what is accepted is strict DER in range.
func FuzzECDSASignature(f *testing.F) {
	f.Add(der(ecdsaSignature{big.NewInt(1), big.NewInt(2)}))
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 7, 2, 2, 0, 1, 2, 1, 1})
	f.Add([]byte{0x30, 0x81, 6, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, sig []byte) {
		raw, ok := ecdsaFromDER(sig, forms[hsm.P256])
		if !ok {
			return
		}
		if back, err := ecdsaToDER(raw, 32); err != nil || !bytes.Equal(back, sig) {
			t.Errorf("%x is read as %x", sig, back)
		}
	})
}

// TestDigestInfo compares the prefixes with what encoding/asn1 makes.
func TestDigestInfo(t *testing.T) {
	for alg, arc := range map[hsm.Algorithm]int{hsm.RSAPKCS1SHA256: 1, hsm.RSAPKCS1SHA384: 2, hsm.RSAPKCS1SHA512: 3} {
		digest := make([]byte, alg.DigestSize())
		want := der(struct {
			Algorithm struct {
				OID  asn1.ObjectIdentifier
				Null asn1.RawValue
			}
			Digest []byte
		}{struct {
			OID  asn1.ObjectIdentifier
			Null asn1.RawValue
		}{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, arc}, derNull}, digest})
		if got := append(bytes.Clone(schemes[alg].prefix), digest...); !bytes.Equal(got, want) {
			t.Errorf("%v: %x, want %x", alg, got, want)
		}
	}
}
