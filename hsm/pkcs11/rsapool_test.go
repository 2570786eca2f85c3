package pkcs11

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/miekg/pkcs11"
)

// rsaPool is SoftHSM2 that answers the generation of RSA keys with published ones, in turn, because that is what takes
// most of the time of the suite. TRENT_TEST_THOROUGH leaves it out; so do the other tests.
type rsaPool struct {
	cryptoki
	mu   sync.Mutex
	keys map[int][]*rsa.PrivateKey // by size in bits
}

// newRSAPool collects the distinct keys of Wycheproof's vectors.
func newRSAPool(t *testing.T, ck cryptoki) *rsaPool {
	t.Helper()
	files, err := fs.Glob(wycheproof.TestVectors, "rsa_oaep_*_test.json")
	if err != nil {
		t.Fatal(err)
	}
	p := &rsaPool{cryptoki: ck, keys: map[int][]*rsa.PrivateKey{}}
	for _, file := range files {
		text, err := fs.ReadFile(wycheproof.TestVectors, file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			TestGroups []struct{ PrivateKeyPkcs8 string }
		}
		if strings.Contains(file, "misc") || json.Unmarshal(text, &v) != nil {
			continue
		}
		for _, g := range v.TestGroups {
			der, _ := hex.DecodeString(g.PrivateKeyPkcs8)
			if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
				p.add(key.(*rsa.PrivateKey))
			}
		}
	}
	for _, bits := range []int{2048, 3072, 4096} {
		if len(p.keys[bits]) < 2 {
			t.Fatalf("%d published RSA-%d keys", len(p.keys[bits]), bits)
		}
	}
	return p
}

func (p *rsaPool) add(k *rsa.PrivateKey) {
	bits := k.N.BitLen()
	if !slices.ContainsFunc(p.keys[bits], func(old *rsa.PrivateKey) bool { return old.N.Cmp(k.N) == 0 }) {
		p.keys[bits] = append(p.keys[bits], k)
	}
}

// next returns the key that was used longest ago.
func (p *rsaPool) next(bits int) (*rsa.PrivateKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.keys[bits]) == 0 {
		return nil, fmt.Errorf("no RSA-%d keys", bits)
	}
	k := p.keys[bits][0]
	p.keys[bits] = append(p.keys[bits][1:], k)
	return k, nil
}

func (p *rsaPool) GenerateKeyPair(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, public, private []*pkcs11.Attribute) (pkcs11.ObjectHandle, pkcs11.ObjectHandle, error) {
	if m[0].Mechanism != pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN {
		return p.cryptoki.GenerateKeyPair(s, m, public, private)
	}
	k, err := p.next(int(ulong(valueOf(public, pkcs11.CKA_MODULUS_BITS))))
	if err != nil {
		return 0, 0, err
	}
	e := big.NewInt(int64(k.E)).Bytes()
	pubTemplate := slices.DeleteFunc(slices.Clone(public), func(a *pkcs11.Attribute) bool { return a.Type == pkcs11.CKA_MODULUS_BITS })
	pub, err := p.CreateObject(s, override(attrs(pubTemplate).with(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY).
		with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).with(pkcs11.CKA_MODULUS, k.N.Bytes()), pkcs11.CKA_PUBLIC_EXPONENT, e))
	if err != nil {
		return 0, 0, err
	}
	priv, err := p.CreateObject(s, attrs(private).with(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY).
		with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).with(pkcs11.CKA_MODULUS, k.N.Bytes()).with(pkcs11.CKA_PUBLIC_EXPONENT, e).
		with(pkcs11.CKA_PRIVATE_EXPONENT, k.D.Bytes()).with(pkcs11.CKA_PRIME_1, k.Primes[0].Bytes()).
		with(pkcs11.CKA_PRIME_2, k.Primes[1].Bytes()).with(pkcs11.CKA_EXPONENT_1, k.Precomputed.Dp.Bytes()).
		with(pkcs11.CKA_EXPONENT_2, k.Precomputed.Dq.Bytes()).with(pkcs11.CKA_COEFFICIENT, k.Precomputed.Qinv.Bytes()))
	return pub, priv, err
}
