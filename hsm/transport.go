package hsm

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// Public reads the key. Whoever wraps for it calls this first: a key that is too short, or whose public exponent makes encryption weak,
// is ErrInvalidInput.
func (k TransportKey) Public() (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(k.SPKI)
	if err != nil {
		return nil, fmt.Errorf("%w: the transport key is not a SubjectPublicKeyInfo", ErrInvalidInput)
	}
	pub, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the transport key is not an RSA key", ErrInvalidInput)
	}
	if bits := pub.N.BitLen(); bits < 3072 || bits > 16384 || bits%8 != 0 {
		return nil, fmt.Errorf("%w: the transport key has %d bits, want 3072 to 16384", ErrInvalidInput, bits)
	}
	if pub.E < 65537 {
		return nil, fmt.Errorf("%w: the transport key has public exponent %d, want at least 65537", ErrInvalidInput, pub.E)
	}
	return pub, nil
}
