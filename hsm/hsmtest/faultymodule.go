package hsmtest

import (
	"context"

	"github.com/trentkms/trent/hsm"
)

// Info describes the module inside.
func (f *Faulty) Info() hsm.Info { return f.inner.Info() }

// Capabilities are those of the module inside.
func (f *Faulty) Capabilities() hsm.Capabilities { return f.inner.Capabilities() }

// Health is hsm.Module's.
func (f *Faulty) Health(ctx context.Context) error {
	return f.run(ctx, "Health", func() error { return f.inner.Health(ctx) })
}

// Random is hsm.Module's.
func (f *Faulty) Random(ctx context.Context, b []byte) error {
	return f.run(ctx, "Random", func() error { return f.inner.Random(ctx, b) })
}

// CreateDomain is hsm.Module's.
func (f *Faulty) CreateDomain(ctx context.Context, id hsm.DomainID) error {
	return f.run(ctx, "CreateDomain", func() error { return f.inner.CreateDomain(ctx, id) })
}

// HasDomain is hsm.Module's.
func (f *Faulty) HasDomain(ctx context.Context, id hsm.DomainID) (bool, error) {
	return try(ctx, f, "HasDomain", func() (bool, error) { return f.inner.HasDomain(ctx, id) }, nil)
}

// DestroyDomain is hsm.Module's.
func (f *Faulty) DestroyDomain(ctx context.Context, id hsm.DomainID) error {
	return f.run(ctx, "DestroyDomain", func() error { return f.inner.DestroyDomain(ctx, id) })
}

// ExportDomain is hsm.Module's.
func (f *Faulty) ExportDomain(ctx context.Context, id hsm.DomainID, to hsm.TransportKey) ([]byte, error) {
	return try(ctx, f, "ExportDomain", func() ([]byte, error) { return f.inner.ExportDomain(ctx, id, to) }, nil)
}

// ImportDomain is hsm.Module's.
func (f *Faulty) ImportDomain(ctx context.Context, id hsm.DomainID, wrapped []byte) error {
	return f.run(ctx, "ImportDomain", func() error { return f.inner.ImportDomain(ctx, id, wrapped) })
}

// DomainPRF is hsm.Module's.
func (f *Faulty) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) ([32]byte, error) {
	return try(ctx, f, "DomainPRF", func() ([32]byte, error) { return f.inner.DomainPRF(ctx, id, label, input) }, nil)
}

// Transport is hsm.Module's.
func (f *Faulty) Transport(ctx context.Context) (hsm.TransportKey, error) {
	return try(ctx, f, "Transport", func() (hsm.TransportKey, error) { return f.inner.Transport(ctx) }, nil)
}

// ReplaceTransport is hsm.Module's.
func (f *Faulty) ReplaceTransport(ctx context.Context) (hsm.TransportKey, error) {
	return try(ctx, f, "ReplaceTransport", func() (hsm.TransportKey, error) { return f.inner.ReplaceTransport(ctx) }, nil)
}

// Generate is hsm.Module's.
func (f *Faulty) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	return try(ctx, f, "Generate", func() (hsm.Wrapped, error) { return f.inner.Generate(ctx, id, t, u, binding) }, nil)
}

// Load is hsm.Module's; the key fails on demand as well.
func (f *Faulty) Load(ctx context.Context, m hsm.Material) (hsm.Key, error) {
	load := func() (hsm.Key, error) {
		k, err := f.inner.Load(ctx, m)
		if err != nil {
			return nil, err
		}
		return &faultyKey{k, f}, nil
	}
	return try(ctx, f, "Load", load, hsm.Key.Destroy)
}

// Export implements hsm.Module.
func (f *Faulty) Export(ctx context.Context, m hsm.Material, to hsm.TransportKey) ([]byte, error) {
	return try(ctx, f, "Export", func() ([]byte, error) { return f.inner.Export(ctx, m, to) }, nil)
}

// ExportUnder implements hsm.Module.
func (f *Faulty) ExportUnder(ctx context.Context, key hsm.Key, m hsm.Material) ([]byte, error) {
	if k, ok := key.(*faultyKey); ok {
		key = k.inner
	}
	return try(ctx, f, "ExportUnder", func() ([]byte, error) { return f.inner.ExportUnder(ctx, key, m) }, nil)
}

// Rewrap is hsm.Module's.
func (f *Faulty) Rewrap(ctx context.Context, m hsm.Material, to hsm.DomainID) (hsm.Wrapped, error) {
	return try(ctx, f, "Rewrap", func() (hsm.Wrapped, error) { return f.inner.Rewrap(ctx, m, to) }, nil)
}

// Import is hsm.Module's.
func (f *Faulty) Import(ctx context.Context, key hsm.Key, mech hsm.WrapMechanism, encrypted []byte, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if k, ok := key.(*faultyKey); ok {
		key = k.inner
	}
	return try(ctx, f, "Import", func() (hsm.Wrapped, error) {
		return f.inner.Import(ctx, key, mech, encrypted, id, t, u, binding)
	}, nil)
}

// Close is hsm.Module's. A fault that hangs ends with Heal alone, since there is no context.
func (f *Faulty) Close() error {
	return f.run(context.Background(), "Close", f.inner.Close)
}

// faultyKey is a key of a Faulty.
type faultyKey struct {
	inner hsm.Key
	f     *Faulty
}

func (k *faultyKey) Type() hsm.KeyType { return k.inner.Type() }

func (k *faultyKey) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	return k.f.run(ctx, "Key.DeriveKey", func() error { return k.inner.DeriveKey(ctx, fixed, out) })
}

func (k *faultyKey) MAC(ctx context.Context, msg []byte) ([]byte, error) {
	return try(ctx, k.f, "Key.MAC", func() ([]byte, error) { return k.inner.MAC(ctx, msg) }, nil)
}

func (k *faultyKey) Sign(ctx context.Context, alg hsm.Algorithm, in []byte) ([]byte, error) {
	return try(ctx, k.f, "Key.Sign", func() ([]byte, error) { return k.inner.Sign(ctx, alg, in) }, nil)
}

func (k *faultyKey) Verify(ctx context.Context, alg hsm.Algorithm, in, sig []byte) (bool, error) {
	return try(ctx, k.f, "Key.Verify", func() (bool, error) { return k.inner.Verify(ctx, alg, in, sig) }, nil)
}

func (k *faultyKey) Encrypt(ctx context.Context, alg hsm.Algorithm, plaintext []byte) ([]byte, error) {
	return try(ctx, k.f, "Key.Encrypt", func() ([]byte, error) { return k.inner.Encrypt(ctx, alg, plaintext) }, nil)
}

func (k *faultyKey) Decrypt(ctx context.Context, alg hsm.Algorithm, ciphertext []byte) ([]byte, error) {
	return try(ctx, k.f, "Key.Decrypt", func() ([]byte, error) { return k.inner.Decrypt(ctx, alg, ciphertext) }, nil)
}

func (k *faultyKey) Agree(ctx context.Context, peer []byte) ([]byte, error) {
	return try(ctx, k.f, "Key.Agree", func() ([]byte, error) { return k.inner.Agree(ctx, peer) }, nil)
}

func (k *faultyKey) Destroy() {
	k.f.mu.Lock()
	k.f.calls["Key.Destroy"]++
	k.f.mu.Unlock()
	k.inner.Destroy()
}
