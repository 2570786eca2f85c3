// Package publishedrsa hands out RSA keys that anybody can know, for tests: to find the primes of a key takes the certified module
// seconds, and most tests of a region would do nothing else. Each key is the product of two published primes, so that thousands of
// keys come from a few dozen. It is linked by tests and by binaries built with Tag, and never by a release.
package publishedrsa

import (
	"crypto/rand"
	"crypto/rsa"
	_ "embed"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
)

// Tag is the build tag of cmd/trent with which the embedded HSM is given these keys.
const Tag = "trent_published_rsa"

// EnvThorough, if set in the environment, has Generate find new primes, as a release does.
const EnvThorough = "TRENT_TEST_THOROUGH"

// primes are the primes of the RSA keys of two primes in Wycheproof's vectors, in hexadecimal, one a line.
//
//go:embed primes.txt
var primes string

const exponent = 65537

// pool is the keys of one size that have not been handed out yet, as pairs of primes.
type pool struct {
	mu    sync.Mutex
	bits  int
	pairs [][2]*big.Int
}

var pools = sync.OnceValue(func() map[int]*pool {
	all := map[int]*pool{2048: {bits: 2048}, 3072: {bits: 3072}, 4096: {bits: 4096}}
	bySize := make(map[int][]*big.Int)
	for line := range strings.Lines(primes) {
		p, ok := new(big.Int).SetString(strings.TrimSpace(line), 16)
		if !ok {
			panic("publishedrsa: primes.txt is damaged")
		}
		bySize[p.BitLen()] = append(bySize[p.BitLen()], p)
	}
	for bits, pool := range all {
		pool.fill(bySize[bits/2])
	}
	return all
})

// fill sets all pairs whose product has the size, in an order that differs from process to process: the nodes of a test are to have
// keys of their own.
func (p *pool) fill(primes []*big.Int) {
	p.pairs = p.pairs[:0]
	for i, a := range primes {
		for _, b := range primes[:i] {
			if new(big.Int).Mul(a, b).BitLen() == p.bits {
				p.pairs = append(p.pairs, [2]*big.Int{a, b})
			}
		}
	}
	mathrand.Shuffle(len(p.pairs), func(i, j int) { p.pairs[i], p.pairs[j] = p.pairs[j], p.pairs[i] })
}

func (p *pool) next() (a, b *big.Int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pairs) == 0 {
		return nil, nil, false
	}
	last := p.pairs[len(p.pairs)-1]
	p.pairs = p.pairs[:len(p.pairs)-1]
	return last[0], last[1], true
}

// Generate returns a key of 2048, 3072 or 4096 bits that this process has not had before. The caller may wipe it. Sizes without
// published primes, and what is asked for once all keys are used up (more than 2500 of a size), are generated as ever. It is safe for
// concurrent use.
func Generate(bits int) (*rsa.PrivateKey, error) {
	pool := pools()[bits]
	if pool == nil || os.Getenv(EnvThorough) != "" {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	a, b, ok := pool.next()
	if !ok {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	key, err := fromPrimes(a, b)
	if err != nil {
		return nil, fmt.Errorf("published RSA-%d key: %w", bits, err)
	}
	return key, nil
}

// fromPrimes makes a key of copies of its primes.
func fromPrimes(a, b *big.Int) (*rsa.PrivateKey, error) {
	p, q, one := new(big.Int).Set(a), new(big.Int).Set(b), big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	lcm := new(big.Int).Div(new(big.Int).Mul(p1, q1), new(big.Int).GCD(nil, nil, p1, q1))
	d := new(big.Int).ModInverse(big.NewInt(exponent), lcm)
	if d == nil {
		return nil, fmt.Errorf("no private exponent")
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent}, D: d, Primes: []*big.Int{p, q}}
	key.Precompute()
	return key, key.Validate()
}
