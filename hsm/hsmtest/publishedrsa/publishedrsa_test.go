package publishedrsa

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

var update = flag.Bool("update", false, "write primes.txt anew")

// TestPrimesArePublished holds that nobody's own key got into primes.txt.
func TestPrimesArePublished(t *testing.T) {
	files, err := fs.Glob(wycheproof.TestVectors, "*rsa_*_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var published []string
	for _, file := range files {
		text, err := fs.ReadFile(wycheproof.TestVectors, file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			TestGroups []struct{ PrivateKeyPkcs8 string }
		}
		if strings.Contains(file, "misc") || json.Unmarshal(text, &v) != nil { // odd sizes and exponents
			continue
		}
		for _, g := range v.TestGroups {
			der, _ := hex.DecodeString(g.PrivateKeyPkcs8)
			key, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				continue
			}
			if k, ok := key.(*rsa.PrivateKey); ok && k.E == exponent && len(k.Primes) == 2 && k.N.BitLen() >= 2048 {
				published = append(published, k.Primes[0].Text(16), k.Primes[1].Text(16))
			}
		}
	}
	slices.Sort(published)
	want := strings.Join(slices.Compact(published), "\n") + "\n"
	if *update {
		if err := os.WriteFile("primes.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if primes != want {
		t.Error("primes.txt is not the primes of the vectors; -update writes it")
	}
}

func TestGenerate(t *testing.T) {
	for _, typ := range []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096} {
		bits, seen := typ.ModulusBits(), make(map[string]bool)
		for range 20 {
			k, err := Generate(bits)
			if err != nil {
				t.Fatal(err)
			}
			if n := k.N.String(); k.N.BitLen() != bits || seen[n] {
				t.Fatalf("%d bits, seen before: %v", k.N.BitLen(), seen[n])
			}
			seen[k.N.String()] = true
			if _, err := pkcs8.FromRSA(typ, k); err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256([]byte("x"))
			sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, hash[:])
			if err != nil {
				t.Fatal(err)
			}
			if err := rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, hash[:], sig); err != nil {
				t.Error(err)
			}
			pkcs8.WipeRSA(k) // the next ones must not mind
		}
	}
}

// TestUsedUp: when the published keys are used up, new ones are made; and there are enough of them.
func TestUsedUp(t *testing.T) {
	for bits, p := range pools() {
		if len(p.pairs) < 2000 {
			t.Errorf("%d keys of %d bits", len(p.pairs), bits)
		}
	}
	p := pools()[2048]
	p.mu.Lock()
	rest := p.pairs
	p.pairs = nil
	p.mu.Unlock()
	defer func() { p.pairs = rest }()
	if k, err := Generate(2048); err != nil || k.N.BitLen() != 2048 {
		t.Error(err)
	}
}
