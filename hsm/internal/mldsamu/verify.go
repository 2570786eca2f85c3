// Package mldsamu verifies ML-DSA signatures (FIPS 204) against an external message representative mu, which
// filippo.io/mldsa can sign but not verify.
//
// It handles public data only, so that nothing in it has to be constant-time. It is held to filippo.io/mldsa and to
// published vectors by its tests. A malformed key or signature is false, never a panic.
package mldsamu

import (
	"bytes"
	"crypto/sha3"
)

// MuSize is the length of a message representative, in bytes.
const MuSize = 64

// Params is a parameter set of FIPS 204 section 4, table 1.
type Params struct {
	k, l        int
	tau         int
	cTilde      int // length of the commitment hash, lambda/4 bytes
	gamma1Bits  int // gamma1 = 1 << gamma1Bits
	gamma2      uint32
	beta, omega int
}

// MLDSA44, MLDSA65 and MLDSA87 return the three parameter sets.
func MLDSA44() Params {
	return Params{k: 4, l: 4, tau: 39, cTilde: 32, gamma1Bits: 17, gamma2: (q - 1) / 88, beta: 78, omega: 80}
}

// MLDSA65 returns the parameter set of security category 3.
func MLDSA65() Params {
	return Params{k: 6, l: 5, tau: 49, cTilde: 48, gamma1Bits: 19, gamma2: (q - 1) / 32, beta: 196, omega: 55}
}

// MLDSA87 returns the parameter set of security category 5.
func MLDSA87() Params {
	return Params{k: 8, l: 7, tau: 60, cTilde: 64, gamma1Bits: 19, gamma2: (q - 1) / 32, beta: 120, omega: 75}
}

const (
	seedSize = 32
	t1Size   = n * 10 / 8 // t1 has 10 bits a coefficient
	droppedD = 13         // bits of t that the public key drops
)

func (p Params) zBits() int  { return p.gamma1Bits + 1 }
func (p Params) pkSize() int { return seedSize + p.k*t1Size }
func (p Params) sigSize() int {
	return p.cTilde + p.l*n*p.zBits()/8 + p.omega + p.k
}

// Verify reports whether sig is a signature of mu under the encoded public key: ML-DSA.Verify_internal, FIPS 204
// algorithm 8, from step 8 on.
func Verify(p Params, publicKey, mu, sig []byte) bool {
	if len(publicKey) != p.pkSize() || len(mu) != MuSize || len(sig) != p.sigSize() {
		return false
	}
	cTilde := sig[:p.cTilde]
	z, ok := p.decodeZ(sig[p.cTilde:])
	if !ok {
		return false
	}
	hint, ok := p.decodeHint(sig[len(sig)-p.omega-p.k:])
	if !ok {
		return false
	}
	w1 := p.commitment(publicKey, p.sampleInBall(cTilde), z, hint)
	h := sha3.NewSHAKE256()
	h.Write(mu)
	h.Write(w1)
	want := make([]byte, p.cTilde)
	h.Read(want)
	return bytes.Equal(want, cTilde)
}

// commitment recomputes the encoded w1: UseHint(h, A·z - c·t1·2^d), row by row (steps 9 to 11).
func (p Params) commitment(publicKey []byte, c *poly, z []poly, hint [][n]bool) []byte {
	rho := publicKey[:seedSize]
	c.ntt()
	for i := range z {
		z[i].ntt()
	}
	var w1 []byte
	for row := range p.k {
		var acc poly
		for col := range p.l {
			a := expandA(rho, byte(col), byte(row))
			acc.addProduct(a, &z[col])
		}
		t1 := unpackT1(publicKey[seedSize+row*t1Size:])
		t1.ntt()
		acc.subProduct(c, t1)
		acc.inverseNTT()
		w1 = p.appendW1(w1, &acc, &hint[row])
	}
	return w1
}

// decodeZ unpacks z and checks its norm: every coefficient below gamma1 - beta (step 13).
func (p Params) decodeZ(b []byte) ([]poly, bool) {
	gamma1 := int32(1) << p.gamma1Bits
	bound := gamma1 - int32(p.beta)
	z := make([]poly, p.l)
	bits := bitReader{b: b}
	for i := range z {
		for j := range z[i] {
			v := gamma1 - int32(bits.next(p.zBits()))
			if v >= bound || v <= -bound {
				return nil, false
			}
			z[i][j] = fromSigned(v)
		}
	}
	return z, true
}

// decodeHint is HintBitUnpack, FIPS 204 algorithm 21: it refuses every encoding but the canonical one.
func (p Params) decodeHint(y []byte) ([][n]bool, bool) {
	h := make([][n]bool, p.k)
	index := 0
	for i := range h {
		end := int(y[p.omega+i])
		if end < index || end > p.omega {
			return nil, false
		}
		for first := index; index < end; index++ {
			if index > first && y[index-1] >= y[index] {
				return nil, false
			}
			h[i][y[index]] = true
		}
	}
	for ; index < p.omega; index++ {
		if y[index] != 0 {
			return nil, false
		}
	}
	return h, true
}

// sampleInBall is FIPS 204 algorithm 29: a polynomial with tau coefficients of ±1.
func (p Params) sampleInBall(seed []byte) *poly {
	h := sha3.NewSHAKE256()
	h.Write(seed)
	var signs [8]byte
	h.Read(signs[:])
	c := new(poly)
	for i := n - p.tau; i < n; i++ {
		var j [1]byte
		for h.Read(j[:]); int(j[0]) > i; h.Read(j[:]) {
		}
		c[i] = c[j[0]]
		bit := i + p.tau - n
		c[j[0]] = 1
		if signs[bit/8]>>(bit%8)&1 == 1 {
			c[j[0]] = q - 1
		}
	}
	return c
}

// appendW1 applies the hint to each coefficient and packs the high parts (algorithms 40 and 28).
func (p Params) appendW1(b []byte, w *poly, hint *[n]bool) []byte {
	m := (q - 1) / (2 * p.gamma2)
	width := 4
	if m == 44 {
		width = 6
	}
	var acc, have uint32
	for i, r := range w {
		acc |= useHint(r, hint[i], p.gamma2, m) << have
		for have += uint32(width); have >= 8; have -= 8 {
			b = append(b, byte(acc))
			acc >>= 8
		}
	}
	return b
}

// useHint is FIPS 204 algorithm 40 over Decompose, algorithm 36.
func useHint(r uint32, hint bool, gamma2, m uint32) uint32 {
	r0 := int32(r % (2 * gamma2))
	if r0 > int32(gamma2) {
		r0 -= int32(2 * gamma2)
	}
	var r1 uint32
	if high := uint32(int32(r) - r0); high == q-1 {
		r0--
	} else {
		r1 = high / (2 * gamma2)
	}
	switch {
	case !hint:
		return r1
	case r0 > 0:
		return (r1 + 1) % m
	default:
		return (r1 + m - 1) % m
	}
}

// expandA is RejNTTPoly, FIPS 204 algorithm 30, for one entry of the matrix.
func expandA(rho []byte, col, row byte) *poly {
	h := sha3.NewSHAKE128()
	h.Write(rho)
	h.Write([]byte{col, row})
	a := new(poly)
	var buf [168]byte
	for i, at := 0, len(buf); i < n; at += 3 {
		if at == len(buf) {
			h.Read(buf[:])
			at = 0
		}
		if v := uint32(buf[at]) | uint32(buf[at+1])<<8 | uint32(buf[at+2]&0x7f)<<16; v < q {
			a[i] = v
			i++
		}
	}
	return a
}

// unpackT1 returns t1·2^d of one row of the public key.
func unpackT1(b []byte) *poly {
	t := new(poly)
	bits := bitReader{b: b}
	for i := range t {
		t[i] = uint32(uint64(bits.next(10)) << droppedD % q)
	}
	return t
}

// bitReader reads little-endian bit strings. Callers have checked the length.
type bitReader struct {
	b    []byte
	acc  uint64
	have int
}

func (r *bitReader) next(width int) uint32 {
	for r.have < width {
		r.acc |= uint64(r.b[0]) << r.have
		r.b = r.b[1:]
		r.have += 8
	}
	v := uint32(r.acc & (1<<width - 1))
	r.acc >>= width
	r.have -= width
	return v
}
