package mldsamu

import "sync"

const (
	q = 8380417 // 2^23 - 2^13 + 1
	n = 256

	rootOfUnity = 1753    // FIPS 204 section 2.3, a 512th root of unity
	inverseN    = 8347681 // 256^-1 mod q
)

// poly is a polynomial of Z_q[X]/(X^256+1), or its transform; coefficients are in [0, q).
type poly [n]uint32

// zetas returns the powers of rootOfUnity in bit-reversed order (FIPS 204 appendix B).
var zetas = sync.OnceValue(func() *[n]uint32 {
	var powers, z [n]uint32
	powers[0] = 1
	for i := 1; i < n; i++ {
		powers[i] = mul(powers[i-1], rootOfUnity)
	}
	for i := range z {
		reversed := 0
		for bit := range 8 {
			reversed |= i >> bit & 1 << (7 - bit)
		}
		z[i] = powers[reversed]
	}
	return &z
})

func mul(a, b uint32) uint32 { return uint32(uint64(a) * uint64(b) % q) }

func add(a, b uint32) uint32 {
	if s := a + b; s >= q {
		return s - q
	} else {
		return s
	}
}

func sub(a, b uint32) uint32 { return add(a, q-b) }

func fromSigned(v int32) uint32 {
	if v < 0 {
		v += q
	}
	return uint32(v)
}

// ntt is FIPS 204 algorithm 41.
func (w *poly) ntt() {
	z := zetas()
	m := 0
	for length := n / 2; length >= 1; length /= 2 {
		for start := 0; start < n; start += 2 * length {
			m++
			for j := start; j < start+length; j++ {
				t := mul(z[m], w[j+length])
				w[j+length] = sub(w[j], t)
				w[j] = add(w[j], t)
			}
		}
	}
}

// inverseNTT is FIPS 204 algorithm 42.
func (w *poly) inverseNTT() {
	z := zetas()
	m := n
	for length := 1; length < n; length *= 2 {
		for start := 0; start < n; start += 2 * length {
			m--
			for j := start; j < start+length; j++ {
				t := w[j]
				w[j] = add(t, w[j+length])
				w[j+length] = mul(q-z[m], sub(t, w[j+length]))
			}
		}
	}
	for i := range w {
		w[i] = mul(w[i], inverseN)
	}
}

// addProduct adds a·b, both transformed.
func (w *poly) addProduct(a, b *poly) {
	for i := range w {
		w[i] = add(w[i], mul(a[i], b[i]))
	}
}

// subProduct subtracts a·b, both transformed.
func (w *poly) subProduct(a, b *poly) {
	for i := range w {
		w[i] = sub(w[i], mul(a[i], b[i]))
	}
}
