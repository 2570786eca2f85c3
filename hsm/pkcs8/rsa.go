package pkcs8

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/trentkms/trent/hsm"
)

// publicExponent is the one exponent of keys here: that of generated keys (spec 06 RSA-01), which every module accepts.
const publicExponent = 65537

func rsaForm(name string, bits int) *form {
	f := &form{name: name, oid: oidRSA, rsaBits: bits}
	f.algorithm = tlv(tagSequence, tlv(tagOID, oidRSA), []byte{tagNull, 0})
	f.parse = f.parseRSA
	f.marshal = func(k *Key) []byte { return x509.MarshalPKCS1PrivateKey(k.RSA) }
	f.public = func(k *Key) ([]byte, error) { return x509.MarshalPKCS1PublicKey(&k.RSA.PublicKey), nil }
	return f
}

// parseRSA reads the RSAPrivateKey of RFC 8017 appendix A.1.2: two primes, version 0, all CRT values right.
func (f *form) parseRSA(t hsm.KeyType, p *info) (*Key, error) {
	seq, err := parseBER(p.private)
	if err != nil || seq.tag != tagSequence || len(seq.children) != 9 || p.publicKey != nil {
		return nil, errors.New("not an RSAPrivateKey of two primes")
	}
	if version, err := seq.children[0].small(); err != nil || version != 0 {
		return nil, errors.New("not an RSAPrivateKey of two primes")
	}
	var v [8]*big.Int // n, e, d, p, q, d mod p-1, d mod q-1, q^-1 mod p
	for i := range v {
		b, err := seq.children[i+1].unsigned()
		if err != nil || len(b) > f.rsaBits/8 {
			return nil, errForm
		}
		v[i] = new(big.Int).SetBytes(b)
	}
	if !v[1].IsInt64() || v[1].Int64() != publicExponent {
		return nil, fmt.Errorf("the public exponent is not %d", publicExponent)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: v[0], E: publicExponent}, D: v[2], Primes: []*big.Int{v[3], v[4]}}
	if err := checkRSA(f.rsaBits, key); err != nil {
		return nil, err
	}
	c := &key.Precomputed
	if c.Dp.Cmp(v[5]) != 0 || c.Dq.Cmp(v[6]) != 0 || c.Qinv.Cmp(v[7]) != 0 {
		return nil, errors.New("the CRT values do not belong to the key")
	}
	return &Key{Type: t, RSA: key}, nil
}

// checkRSA checks size, exponent, number of primes and consistency, and computes the CRT values.
func checkRSA(bits int, key *rsa.PrivateKey) error {
	switch {
	case key.N.BitLen() != bits:
		return fmt.Errorf("the modulus has %d bits, want %d", key.N.BitLen(), bits)
	case key.E != publicExponent:
		return fmt.Errorf("the public exponent is not %d", publicExponent)
	case len(key.Primes) != 2:
		return errors.New("not an RSAPrivateKey of two primes")
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return errors.New("the numbers of the key do not belong together")
	}
	return nil
}

// CheckPrimes reports whether both factors of an RSA key are prime (Baillie-PSW and rounds of Miller-Rabin). It is for
// keys from outside: with a composite factor the key would be weak, and some signatures wrong.
func (k *Key) CheckPrimes() error {
	if k.RSA == nil {
		return nil
	}
	for _, p := range k.RSA.Primes {
		if !p.ProbablyPrime(8) {
			return errors.New("a factor of the RSA modulus is not prime")
		}
	}
	return nil
}

// WipeRSA clears the secret numbers of key in place. The key is unusable afterwards. Copies inside crypto/rsa's
// precomputed values are out of reach.
func WipeRSA(key *rsa.PrivateKey) {
	secrets := append([]*big.Int{key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}, key.Primes...)
	for _, x := range secrets {
		if x != nil {
			clear(x.Bits())
		}
	}
	key.Precomputed = rsa.PrecomputedValues{}
}
