package pkcs8_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"strings"
	"sync"
	"testing"

	mldsax509 "filippo.io/mldsa/x509"
	"github.com/c2sp/wycheproof"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/pkcs8"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := publishedrsa.Generate(2048)
	if err != nil {
		panic(err)
	}
	return k
})

// TestStandardLibrary: what crypto/x509 writes is read, and what is written crypto/x509 reads as the same key.
func TestStandardLibrary(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ecKey := func(c elliptic.Curve) *ecdsa.PrivateKey {
		return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(c, rand.Reader))
	}
	for typ, key := range map[hsm.KeyType]any{
		hsm.RSA2048: rsaKey(), hsm.P256: ecKey(elliptic.P256()), hsm.P384: ecKey(elliptic.P384()), hsm.P521: ecKey(elliptic.P521()), hsm.Ed25519: ed,
	} {
		t.Run(typ.String(), func(t *testing.T) {
			der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(key))
			k := must[*pkcs8.Key](t)(pkcs8.Parse(typ, der))
			again := must[any](t)(x509.ParsePKCS8PrivateKey(k.DER()))
			public := must[[]byte](t)(k.PublicDER())
			want := must[[]byte](t)(x509.MarshalPKIXPublicKey(publicOf(key)))
			if !bytes.Equal(public, want) {
				t.Errorf("public key %x, want %x", public, want)
			}
			if !bytes.Equal(want, must[[]byte](t)(x509.MarshalPKIXPublicKey(publicOf(again)))) {
				t.Error("crypto/x509 reads another key from what was written")
			}
			for _, other := range []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1, hsm.Ed25519, hsm.MLDSA44} {
				if other == typ {
					continue
				}
				if _, err := pkcs8.Parse(other, der); err == nil {
					t.Errorf("is read as %v too", other)
				}
			}
		})
	}
}

func publicOf(key any) any {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return &k.PublicKey
	case *ecdsa.PrivateKey:
		return &k.PublicKey
	case ed25519.PrivateKey:
		return k.Public()
	}
	return nil
}

func TestMLDSA(t *testing.T) {
	for _, typ := range []hsm.KeyType{hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87} {
		k := must[*pkcs8.Key](t)(pkcs8.FromSecret(typ, bytes.Repeat([]byte{9}, 32)))
		theirs := must[any](t)(mldsax509.ParsePKCS8PrivateKey(k.DER()))
		if again := must[[]byte](t)(mldsax509.MarshalPKCS8PrivateKey(theirs)); !bytes.Equal(again, k.DER()) {
			t.Errorf("%v: %x, the library writes %x", typ, k.DER(), again)
		}
		if _, err := mldsax509.ParsePKIXPublicKey(must[[]byte](t)(k.PublicDER())); err != nil {
			t.Errorf("%v: %v", typ, err)
		}
		if back := must[*pkcs8.Key](t)(pkcs8.Parse(typ, k.DER())); !bytes.Equal(back.Secret, k.Secret) {
			t.Errorf("%v does not survive its DER", typ)
		}
	}
}

// el is an element of definite length, for hand-made keys.
func el(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	switch n := len(content); {
	case n < 128:
		return append([]byte{tag, byte(n)}, content...)
	case n < 256:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

func indefinite(tag byte, parts ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
}

var (
	v0      = []byte{2, 1, 0}
	v1      = []byte{2, 1, 1}
	oidEC   = must0("06072a8648ce3d0201")
	oidP256 = must0("06082a8648ce3d030107")
	oidK1   = must0("06052b8104000a")
	oidRSA  = must0("06092a864886f70d010101")
	oidEd   = must0("06032b6570")
)

func must0(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// point returns the public point of a scalar in one of its forms.
func point(t testing.TB, typ hsm.KeyType, scalar []byte, form string) []byte {
	k := must[*pkcs8.Key](t)(pkcs8.FromSecret(typ, scalar))
	spki := must[[]byte](t)(k.PublicDER())
	p := bytes.Clone(spki[len(spki)-65:])
	switch form {
	case "compressed":
		return append([]byte{2 | p[64]&1}, p[1:33]...)
	case "hybrid":
		p[0] = 6 | p[64]&1
	case "hybrid, wrong parity":
		p[0] = 7 ^ p[64]&1
	case "another":
		p[64] ^= 1
	}
	return p
}

func bits(b []byte) []byte { return el(3, []byte{0}, b) }

// TestECForms goes through the forms that spec 07 MAT lists, and near misses.
func TestECForms(t *testing.T) {
	scalar := append(make([]byte, 3), bytes.Repeat([]byte{5}, 29)...) // with leading zeros
	for typ, curve := range map[hsm.KeyType][]byte{hsm.P256: oidP256, hsm.Secp256k1: oidK1} {
		p := func(form string) []byte { return el(0xa1, bits(point(t, typ, scalar, form))) }
		alg := el(0x30, oidEC, curve)
		key := func(parts ...[]byte) []byte {
			return el(0x30, v0, alg, el(4, el(0x30, append([][]byte{v1}, parts...)...)))
		}
		oct := el(4, scalar)
		good := map[string][]byte{
			"no point":               key(oct),
			"uncompressed":           key(oct, p("uncompressed")),
			"compressed":             key(oct, p("compressed")),
			"hybrid":                 key(oct, p("hybrid")),
			"curve twice":            key(oct, el(0xa0, curve)),
			"curve twice, point":     key(oct, el(0xa0, curve), p("uncompressed")),
			"stripped scalar":        key(el(4, scalar[3:])),
			"padded scalar":          key(el(4, []byte{0, 0}, scalar)),
			"attributes":             el(0x30, v0, alg, el(4, el(0x30, v1, oct)), el(0xa0, el(0x30, oidEC))),
			"version 2 with point":   el(0x30, v1, alg, el(4, el(0x30, v1, oct)), append([]byte{0x81}, bits(point(t, typ, scalar, ""))[1:]...)),
			"indefinite lengths":     indefinite(0x30, v0, indefinite(0x30, oidEC, curve), indefinite(0x24, el(4, indefinite(0x30, v1, oct)))),
			"constructed in pieces":  el(0x30, v0, alg, el(0x24, el(4, el(0x30, v1, oct)[:9]), el(4, el(0x30, v1, oct)[9:]))),
			"constructed scalar":     key(el(0x24, el(4, scalar[:7]), el(0x24, el(4, scalar[7:])))),
			"constructed bit string": key(oct, el(0xa1, el(0x23, bits(point(t, typ, scalar, "")[:9]), bits(point(t, typ, scalar, "")[9:])))),
			"long length form":       append([]byte{0x30, 0x84, 0, 0, 0, byte(len(key(oct)) - 2)}, key(oct)[2:]...),
		}
		for name, der := range good {
			k, err := pkcs8.Parse(typ, der)
			if err != nil || !bytes.Equal(k.Secret, scalar) {
				t.Errorf("%v, %s: %v", typ, name, err)
			}
		}
		order := elliptic.P256().Params().N.Bytes()
		if typ == hsm.Secp256k1 {
			order = secp256k1.Params().N.Bytes()
		}
		explicit := el(0x30, oidEC, el(0x30, v1, el(0x30, must0("06072a8648ce3d0101"), el(2, order))))
		bad := map[string][]byte{
			"point of another key":     key(oct, p("another")),
			"wrong parity":             key(oct, p("hybrid, wrong parity")),
			"point cut":                key(oct, el(0xa1, bits(point(t, typ, scalar, "")[:64]))),
			"empty point":              key(oct, el(0xa1, bits(nil))),
			"infinity":                 key(oct, el(0xa1, bits([]byte{0}))),
			"unused bits":              key(oct, el(0xa1, el(3, []byte{4}, point(t, typ, scalar, "")))),
			"another curve inside":     key(oct, el(0xa0, el(6, []byte{0x2b, 0x81, 0x04, 0, 0x22}))),
			"explicit parameters":      el(0x30, v0, explicit, el(4, el(0x30, v1, oct))),
			"no parameters":            el(0x30, v0, el(0x30, oidEC), el(4, el(0x30, v1, oct))),
			"NULL parameters":          el(0x30, v0, el(0x30, oidEC, []byte{5, 0}), el(4, el(0x30, v1, oct))),
			"ECPrivateKey version 2":   el(0x30, v0, alg, el(4, el(0x30, []byte{2, 1, 2}, oct))),
			"PKCS #8 version 3":        el(0x30, []byte{2, 1, 2}, alg, el(4, el(0x30, v1, oct))),
			"public key in version 1":  el(0x30, v0, alg, el(4, el(0x30, v1, oct)), append([]byte{0x81}, bits(point(t, typ, scalar, ""))[1:]...)),
			"version 2, another point": el(0x30, v1, alg, el(4, el(0x30, v1, oct)), append([]byte{0x81}, bits(point(t, typ, scalar, "another"))[1:]...)),
			"zero":                     key(el(4, make([]byte, 32))),
			"no scalar":                key(el(4)),
			"the order":                key(el(4, order)),
			"scalar too long":          key(el(4, []byte{1}, scalar)),
			"something after":          append(key(oct), 0),
			"something inside":         key(oct, el(0xa2)),
			"trailing in the octets":   el(0x30, v0, alg, el(4, el(0x30, v1, oct), []byte{0})),
			"indefinite primitive":     el(0x30, v0, alg, append([]byte{4, 0x80}, el(0x30, v1, oct)...)),
			"no end of contents":       indefinite(0x30, v0, alg, el(4, el(0x30, v1, oct)))[:60],
			"only SEC 1":               el(0x30, v1, oct, el(0xa0, curve)),
			"encrypted":                el(0x30, el(0x30, must0("06092a864886f70d01050d")), el(4, scalar)),
		}
		for name, der := range bad {
			if k, err := pkcs8.Parse(typ, der); err == nil || k != nil {
				t.Errorf("%v, %s: accepted", typ, name)
			} else if strings.Contains(err.Error(), hex.EncodeToString(scalar[3:8])) {
				t.Errorf("%v, %s: the error quotes the key", typ, name)
			}
		}
	}
}

func TestRSAForms(t *testing.T) {
	key := rsaKey()
	numbers := func() []*big.Int {
		return []*big.Int{key.N, big.NewInt(65537), key.D, key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}
	}
	build := func(version int, alg []byte, ns []*big.Int, more ...[]byte) []byte {
		parts := [][]byte{{2, 1, byte(version)}}
		for _, n := range ns {
			parts = append(parts, must[[]byte](t)(asn1.Marshal(n)))
		}
		return el(0x30, v0, alg, el(4, el(0x30, append(parts, more...)...)))
	}
	with := func(i int, f func(*big.Int) *big.Int) []*big.Int {
		ns := numbers()
		ns[i] = f(new(big.Int).Set(ns[i]))
		return ns
	}
	plus2 := func(x *big.Int) *big.Int { return x.Add(x, big.NewInt(2)) }
	alg := el(0x30, oidRSA, []byte{5, 0})
	for name, der := range map[string][]byte{
		"as written": build(0, alg, numbers()), "without NULL": build(0, el(0x30, oidRSA), numbers()),
		"indefinite": indefinite(0x30, v0, alg, build(0, alg, numbers())[4+len(v0)+len(alg):]),
	} {
		if k, err := pkcs8.Parse(hsm.RSA2048, der); err != nil || k.RSA.N.Cmp(key.N) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	swapped := numbers()
	swapped[3], swapped[4] = swapped[4], swapped[3]
	exponent3 := numbers()
	exponent3[1] = big.NewInt(3)
	multi := el(0x30, el(0x30, v1, v1, v1))
	for name, der := range map[string][]byte{
		"RSA-PSS":               build(0, el(0x30, must0("06092a864886f70d01010a"), []byte{5, 0}), numbers()),
		"multi-prime":           build(1, alg, numbers(), multi),
		"multi-prime version":   build(1, alg, numbers()),
		"another modulus":       build(0, alg, with(0, plus2)),
		"exponent 3":            build(0, alg, exponent3),
		"another d":             build(0, alg, with(2, plus2)),
		"another prime":         build(0, alg, with(3, plus2)),
		"primes swapped":        build(0, alg, swapped),
		"another dp":            build(0, alg, with(5, plus2)),
		"another dq":            build(0, alg, with(6, plus2)),
		"another coefficient":   build(0, alg, with(7, plus2)),
		"zero prime":            build(0, alg, with(3, func(*big.Int) *big.Int { return new(big.Int) })),
		"negative d":            build(0, alg, with(2, func(d *big.Int) *big.Int { return d.Neg(d) })),
		"a number missing":      build(0, alg, numbers()[:7]),
		"huge number":           build(0, alg, with(5, func(d *big.Int) *big.Int { return d.Lsh(d, 4096) })),
		"PKCS #1":               x509.MarshalPKCS1PrivateKey(key),
		"PEM":                   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: build(0, alg, numbers())}),
		"public key":            must[[]byte](t)(x509.MarshalPKIXPublicKey(&key.PublicKey)),
		"not minimal integer":   build(0, alg, nil, []byte{2, 2, 0, 1}),
		"parameters of another": build(0, el(0x30, oidRSA, oidP256), numbers()),
	} {
		if k, err := pkcs8.Parse(hsm.RSA2048, der); err == nil || k != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, typ := range []hsm.KeyType{hsm.RSA3072, hsm.RSA4096} {
		if _, err := pkcs8.Parse(typ, build(0, alg, numbers())); err == nil {
			t.Errorf("RSA-2048 is read as %v", typ)
		}
	}
}

func TestEd25519Forms(t *testing.T) {
	seed := bytes.Repeat([]byte{3}, 32)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	alg := el(0x30, oidEd)
	der := el(0x30, v0, alg, el(4, el(4, seed)))
	withPublic := func(p []byte) []byte {
		return el(0x30, v1, alg, el(4, el(4, seed)), append([]byte{0x81}, bits(p)[1:]...))
	}
	for name, good := range map[string][]byte{"version 1": der, "version 2": withPublic(public)} {
		if k, err := pkcs8.Parse(hsm.Ed25519, good); err != nil || !bytes.Equal(k.Secret, seed) || !bytes.Equal(k.DER(), der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := bytes.Clone(public)
	other[0] ^= 1
	for name, bad := range map[string][]byte{
		"another public key": withPublic(other), "no public key": withPublic(nil), "31 bytes": el(0x30, v0, alg, el(4, el(4, seed[1:]))),
		"bare seed": el(0x30, v0, alg, el(4, seed)), "parameters": el(0x30, v0, el(0x30, oidEd, []byte{5, 0}), el(4, el(4, seed))),
		"X25519": el(0x30, v0, el(0x30, must0("06032b656e")), el(4, el(4, seed))),
	} {
		if _, err := pkcs8.Parse(hsm.Ed25519, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestThreePrimes offers published keys of three primes.
func TestThreePrimes(t *testing.T) {
	raw := must[[]byte](t)(fs.ReadFile(wycheproof.TestVectors, "rsa_three_primes_oaep_2048_sha1_mgf1sha1_test.json"))
	var file struct {
		TestGroups []struct{ PrivateKeyPkcs8 string }
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.TestGroups) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, g := range file.TestGroups {
		der := must[[]byte](t)(hex.DecodeString(g.PrivateKeyPkcs8))
		if len(der) == 0 {
			t.Fatal("no key in the vector")
		}
		if _, err := pkcs8.Parse(hsm.RSA2048, der); err == nil {
			t.Error("accepted")
		}
	}
}

func TestCheckPrimes(t *testing.T) {
	k := must[*pkcs8.Key](t)(pkcs8.FromRSA(hsm.RSA2048, rsaKey()))
	if err := k.CheckPrimes(); err != nil {
		t.Error(err)
	}
	composite := &pkcs8.Key{RSA: &rsa.PrivateKey{Primes: []*big.Int{k.RSA.Primes[0], new(big.Int).Mul(big.NewInt(65539), big.NewInt(65543))}}}
	if composite.CheckPrimes() == nil {
		t.Error("a composite factor passes")
	}
}

func TestNeverPrinted(t *testing.T) {
	k := must[*pkcs8.Key](t)(pkcs8.FromSecret(hsm.Ed25519, bytes.Repeat([]byte{0xab}, 32)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if out := fmt.Sprintf(verb, k); !strings.HasSuffix(out, "(redacted)") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
	if out, err := json.Marshal(k); err == nil {
		t.Errorf("JSON %s", out)
	}
	k.Wipe()
	if !bytes.Equal(k.Secret, make([]byte, 32)) {
		t.Error("Wipe left the secret")
	}
}

func TestTypesWithoutForm(t *testing.T) {
	for _, typ := range []hsm.KeyType{0, hsm.Symmetric, hsm.HMAC256, 99} {
		if _, err := pkcs8.Parse(typ, nil); err != pkcs8.ErrType {
			t.Errorf("Parse %v: %v", typ, err)
		}
		if _, err := pkcs8.FromSecret(typ, make([]byte, 32)); err != pkcs8.ErrType {
			t.Errorf("FromSecret %v: %v", typ, err)
		}
		if _, err := pkcs8.FromRSA(typ, rsaKey()); err != pkcs8.ErrType {
			t.Errorf("FromRSA %v: %v", typ, err)
		}
	}
}

// FuzzParse: what parses is written in a form that parses to the same form, and has a public key.
func FuzzParse(f *testing.F) {
	types := []hsm.KeyType{hsm.RSA2048, hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1, hsm.Ed25519, hsm.MLDSA44}
	for i, typ := range types[1:] {
		size := map[hsm.KeyType]int{hsm.P384: 48, hsm.P521: 66}[typ]
		k, err := pkcs8.FromSecret(typ, append(make([]byte, max(size, 32)-1), 7))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i+1), k.DER())
	}
	der, err := x509.MarshalPKCS8PrivateKey(rsaKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), der)
	f.Add(uint8(1), indefinite(0x30, v0, indefinite(0x30, oidEC, oidP256), indefinite(0x24, el(4, indefinite(0x30, v1, el(4, make([]byte, 31), []byte{1}))))))
	f.Fuzz(func(t *testing.T, which uint8, ber []byte) {
		typ := types[int(which)%len(types)]
		k, err := pkcs8.Parse(typ, ber)
		if err != nil {
			if k != nil {
				t.Fatal("key beside an error")
			}
			return
		}
		again, err := pkcs8.Parse(typ, k.DER())
		if err != nil || !bytes.Equal(again.DER(), k.DER()) {
			t.Fatalf("%x does not survive its DER: %v", ber, err)
		}
		if _, err := k.PublicDER(); err != nil {
			t.Fatal(err)
		}
	})
}
