package soft

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/internal/k256"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// Generate makes key material and wraps it under domain key id.
func (m *Module) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.claimed(t, u); err != nil {
		return hsm.Wrapped{}, err
	}
	// An unknown domain is told before seconds go into an RSA key.
	if _, err := m.domain(ctx, id); err != nil {
		return hsm.Wrapped{}, err
	}
	m.mu.RUnlock()
	secret, public, err := m.newMaterial(ctx, t)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	defer clear(secret)
	return m.wrap(ctx, id, t, u, binding, secret, public)
}

// claimed returns ErrUnsupported for a type and usage outside the capabilities.
func (m *Module) claimed(t hsm.KeyType, u hsm.Usage) error {
	if !m.caps.Can(t, u) {
		return unsupported("%v keys for %v (FIPS mode %q)", t, u, m.info.FIPS)
	}
	return nil
}

// newMaterial returns fresh material as it is stored, and the public key of asymmetric types.
func (m *Module) newMaterial(ctx context.Context, t hsm.KeyType) (secret, public []byte, err error) {
	if !t.Asymmetric() {
		secret = make([]byte, t.SecretSize())
		rand.Read(secret)
		return secret, nil, nil
	}
	k, err := m.newPair(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	defer k.Wipe()
	return encodePair(k)
}

func encodePair(k *pkcs8.Key) (secret, public []byte, err error) {
	if public, err = k.PublicDER(); err != nil {
		return nil, nil, err
	}
	return k.DER(), public, nil
}

func (m *Module) newPair(ctx context.Context, t hsm.KeyType) (*pkcs8.Key, error) {
	if t.ModulusBits() != 0 {
		pair, err := m.generateRSA(ctx, t)
		if err != nil {
			return nil, err
		}
		return pkcs8.FromRSA(t, pair)
	}
	secret, err := newPairSecret(t)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return pkcs8.FromSecret(t, secret)
}

// newPairSecret returns a scalar, or a seed for the types that have one.
func newPairSecret(t hsm.KeyType) ([]byte, error) {
	if curve := nistCurve(t); curve != nil {
		priv, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return priv.Bytes(), nil
	}
	if t == hsm.Secp256k1 {
		priv := k256.GenerateKey()
		defer priv.Wipe()
		return priv.Bytes(), nil
	}
	seed := make([]byte, 32) // Ed25519 (RFC 8032 section 5.1.5) and ML-DSA (FIPS 204 section 5.1)
	rand.Read(seed)
	return seed, nil
}

// generateRSA generates a pair in a goroutine of its own, since that takes up to seconds and cannot be interrupted;
// what comes too late is wiped. At most GOMAXPROCS run at a time.
func (m *Module) generateRSA(ctx context.Context, t hsm.KeyType) (*rsa.PrivateKey, error) {
	select {
	case m.generating <- struct{}{}:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	type result struct {
		key *rsa.PrivateKey
		err error
	}
	done := make(chan result)
	go func() {
		defer func() { <-m.generating }()
		key, err := m.newRSA(t.ModulusBits())
		select {
		case done <- result{key, err}:
		case <-ctx.Done():
			if err == nil {
				pkcs8.WipeRSA(key)
			}
		}
	}()
	select {
	case r := <-done:
		return r.key, r.err
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// wrap wraps material under domain key id.
func (m *Module) wrap(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding, secret, public []byte) (hsm.Wrapped, error) {
	d, err := m.domain(ctx, id)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	defer m.mu.RUnlock()
	return d.wrap(t, u, binding, secret, public)
}

func (d *domain) wrap(t hsm.KeyType, u hsm.Usage, binding, secret, public []byte) (hsm.Wrapped, error) {
	wrapped, err := kwp.Wrap(d.block, secret)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	blob, err := hsm.SealWrapped(t, u, binding, public, wrapped, d.prf)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	return hsm.Wrapped{Blob: blob, Public: public}, nil
}

// unwrap authenticates a blob and returns the material, which the caller clears.
func (d *domain) unwrap(mat hsm.Material) ([]byte, error) {
	wrapped, err := hsm.OpenWrapped(mat, d.prf)
	if err != nil {
		return nil, err
	}
	secret, err := kwp.Unwrap(d.block, wrapped)
	if err != nil {
		// The tag was right, so that this is a blob that no module made.
		return nil, fmt.Errorf("%w: %v", hsm.ErrIntegrity, err)
	}
	return secret, nil
}

// Load unwraps material for use.
func (m *Module) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	if err := m.claimed(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	d, err := m.domain(ctx, mat.Domain)
	if err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	secret, err := d.unwrap(mat)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	p, err := newPrimitive(mat.Type, mat.Usage, secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", hsm.ErrIntegrity, err)
	}
	return m.register(&key{m: m, typ: mat.Type, use: mat.Usage, algs: m.caps.Keys[hsm.KeyUse{Type: mat.Type, Usage: mat.Usage}], p: p})
}

// Rewrap moves material to another domain key.
func (m *Module) Rewrap(ctx context.Context, mat hsm.Material, to hsm.DomainID) (hsm.Wrapped, error) {
	st, err := m.begin(ctx)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	defer m.mu.RUnlock()
	from, err := st.domain(mat.Domain)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	target, err := st.domain(to)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	secret, err := from.unwrap(mat)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	defer clear(secret)
	return target.wrap(mat.Type, mat.Usage, mat.Binding, secret, mat.Public)
}

// oaepHash returns the hash of an RSAES-OAEP algorithm.
func oaepHash(alg hsm.Algorithm) func() hash.Hash {
	if alg == hsm.RSAOAEPSHA1 {
		return sha1.New
	}
	return sha256.New
}
