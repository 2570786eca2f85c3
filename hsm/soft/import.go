package soft

import (
	"context"
	"crypto/aes"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// errUnwrap is the one answer to material that cannot be unwrapped, whatever the reason.
var errUnwrap = fmt.Errorf("%w: the imported material cannot be unwrapped", hsm.ErrInvalidInput)

// Import unwraps what was wrapped for wrapping or under it, checks its form and wraps it under domain key id.
func (m *Module) Import(ctx context.Context, wrapping hsm.Key, mech hsm.WrapMechanism, encrypted []byte, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.claimed(t, u); err != nil {
		return hsm.Wrapped{}, err
	}
	if !slices.Contains(m.caps.Import[mech], t) {
		return hsm.Wrapped{}, unsupported("import of %v material with %v (FIPS mode %q)", t, mech, m.info.FIPS)
	}
	k, err := m.own(wrapping)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	material, err := k.unwrapImport(ctx, mech, encrypted)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	defer clear(material)
	secret, public, err := checkMaterial(t, material)
	if err != nil {
		return hsm.Wrapped{}, fmt.Errorf("%w: %v", hsm.ErrWrongMaterial, err)
	}
	defer clear(secret)
	return m.wrap(ctx, id, t, u, binding, secret, public)
}

// unwrapImport undoes the wrapping. The caller clears the result.
func (k *key) unwrapImport(ctx context.Context, mech hsm.WrapMechanism, encrypted []byte) ([]byte, error) {
	if mech == hsm.WrapAESKWP {
		p, err := k.begin(ctx, hsm.UseUnwrap, hsm.AESKWP)
		if err != nil {
			return nil, err
		}
		defer k.mu.RUnlock()
		return kwpUnwrap(p.(*aesKey).secret, encrypted)
	}
	alg, hybrid := importAlgorithm(mech)
	p, err := k.begin(ctx, hsm.UseUnwrap, alg)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	pair, ok := p.(*rsaKey)
	if !ok {
		return nil, hsm.ErrUnsupported
	}
	size := pair.priv.Size()
	if !hybrid {
		return oaepUnwrap(pair.priv, alg, encrypted)
	}
	if len(encrypted) <= size {
		return nil, errUnwrap
	}
	kek, err := oaepUnwrap(pair.priv, alg, encrypted[:size])
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	return kwpUnwrap(kek, encrypted[size:])
}

func importAlgorithm(mech hsm.WrapMechanism) (alg hsm.Algorithm, hybrid bool) {
	switch mech {
	case hsm.WrapOAEPSHA1:
		return hsm.RSAOAEPSHA1, false
	case hsm.WrapRSAAESKWSHA1:
		return hsm.RSAOAEPSHA1, true
	case hsm.WrapRSAAESKWSHA256:
		return hsm.RSAOAEPSHA256, true
	}
	return hsm.RSAOAEPSHA256, false
}

func oaepUnwrap(priv *rsa.PrivateKey, alg hsm.Algorithm, block []byte) ([]byte, error) {
	b, err := rsa.DecryptOAEP(oaepHash(alg)(), nil, priv, block, nil)
	if err != nil {
		return nil, errUnwrap
	}
	return b, nil
}

// kwpUnwrap takes AES-256 keys only (spec 07 WRP-03).
func kwpUnwrap(kek, wrapped []byte) ([]byte, error) {
	if len(kek) != 32 {
		return nil, errUnwrap
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, errUnwrap
	}
	b, err := kwp.Unwrap(block, wrapped)
	if err != nil {
		return nil, errUnwrap
	}
	return b, nil
}

// checkMaterial checks the form of imported material (spec 07 B4) and returns it as it is stored, with the public key.
func checkMaterial(t hsm.KeyType, material []byte) (secret, public []byte, err error) {
	if !t.Asymmetric() {
		if len(material) != t.SecretSize() {
			return nil, nil, fmt.Errorf("%d bytes, want %d", len(material), t.SecretSize())
		}
		return slices.Clone(material), nil, nil
	}
	k, err := pkcs8.Parse(t, material)
	if err != nil {
		return nil, nil, err
	}
	defer k.Wipe()
	if err := k.CheckPrimes(); err != nil {
		return nil, nil, err
	}
	return encodePair(k)
}
