package soft

import (
	"context"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
)

// Export wraps material for another module: a fresh AES-256 key under the other's RSA key, the material under that key.
func (m *Module) Export(ctx context.Context, mat hsm.Material, to hsm.TransportKey) ([]byte, error) {
	if err := m.claimed(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	direct := hsm.WrapOAEPSHA256
	switch to.Mechanism {
	case hsm.WrapRSAAESKWSHA256:
	case hsm.WrapRSAAESKWSHA1:
		direct = hsm.WrapOAEPSHA1
	default:
		return nil, unsupported("export with %v", to.Mechanism)
	}
	newHash, err := m.transportHash(direct)
	if err != nil {
		return nil, err
	}
	pub, err := to.Public()
	if err != nil {
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
	kek := make([]byte, 32)
	defer clear(kek)
	rand.Read(kek)
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	wrapped, err := kwp.Wrap(block, secret)
	if err != nil {
		return nil, err
	}
	out, err := rsa.EncryptOAEP(newHash(), rand.Reader, pub, kek, nil)
	if err != nil {
		return nil, invalid("the transport key cannot encrypt: %v", err)
	}
	return append(out, wrapped...), nil
}

// ExportUnder wraps material under a loaded AES key.
func (m *Module) ExportUnder(ctx context.Context, wrapping hsm.Key, mat hsm.Material) ([]byte, error) {
	if err := m.claimed(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	k, err := m.own(wrapping)
	if err != nil {
		return nil, err
	}
	if k.use != hsm.UseWrap {
		return nil, unsupported("the key is for %v, not for %v", k.use, hsm.UseWrap)
	}
	secret, err := m.unwrap(ctx, mat)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	p, err := k.begin(ctx, hsm.UseWrap, hsm.AESKWP)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	block, err := aes.NewCipher(p.(*aesKey).secret)
	if err != nil {
		return nil, err
	}
	return kwp.Wrap(block, secret)
}

// own is a wrapping key as this module's own, which it has to be.
func (m *Module) own(wrapping hsm.Key) (*key, error) {
	k, ok := wrapping.(*key)
	if !ok || k.m != m {
		return nil, unsupported("the wrapping key is not a key of this module")
	}
	return k, nil
}

// unwrap returns stored material, which the caller clears.
func (m *Module) unwrap(ctx context.Context, mat hsm.Material) ([]byte, error) {
	d, err := m.domain(ctx, mat.Domain)
	if err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return d.unwrap(mat)
}
