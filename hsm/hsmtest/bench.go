package hsmtest

import (
	"testing"

	"github.com/trentkms/trent/hsm"
)

// BenchmarkTransfer measures what it takes to hand one symmetric key to another module and to take it in: by itself, and under a key
// that many share. The module plays both parts.
func BenchmarkTransfer(b *testing.B, m hsm.Module, id hsm.DomainID) {
	ctx := b.Context()
	fresh := func(t hsm.KeyType, u hsm.Usage) (hsm.Material, hsm.Key) {
		w, err := m.Generate(ctx, id, t, u, nil)
		if err != nil {
			b.Fatal(err)
		}
		mat := hsm.Material{Domain: id, Type: t, Usage: u, Wrapped: w}
		k, err := m.Load(ctx, mat)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(k.Destroy)
		return mat, k
	}
	do := func(f func() ([]byte, error)) []byte {
		out, err := f()
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	mech := hsm.WrapRSAAESKWSHA256
	if len(m.Capabilities().Import[mech]) == 0 {
		mech = hsm.WrapRSAAESKWSHA1
	}
	material, _ := fresh(hsm.Symmetric, hsm.UseDerive)
	pair, transport := fresh(hsm.RSA3072, hsm.UseUnwrap)
	target := hsm.TransportKey{SPKI: pair.Public, Mechanism: mech}
	message, wraps := fresh(hsm.AES256, hsm.UseWrap)
	crossing := do(func() ([]byte, error) { return m.Export(ctx, message, target) })
	w, err := m.Import(ctx, transport, mech, crossing, id, hsm.AES256, hsm.UseUnwrap, nil)
	if err != nil {
		b.Fatal(err)
	}
	unwraps, err := m.Load(ctx, hsm.Material{Domain: id, Type: hsm.AES256, Usage: hsm.UseUnwrap, Wrapped: w})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(unwraps.Destroy)
	alone, under := func() ([]byte, error) { return m.Export(ctx, material, target) }, func() ([]byte, error) { return m.ExportUnder(ctx, wraps, material) }
	take := func(k hsm.Key, mech hsm.WrapMechanism, wrapped []byte) func() ([]byte, error) {
		return func() ([]byte, error) {
			w, err := m.Import(ctx, k, mech, wrapped, id, hsm.Symmetric, hsm.UseDerive, nil)
			return w.Blob, err
		}
	}
	for _, c := range []struct {
		name string
		f    func() ([]byte, error)
	}{
		{"export alone", alone}, {"export under a key", under},
		{"import alone", take(transport, mech, do(alone))}, {"import under a key", take(unwraps, hsm.WrapAESKWP, do(under))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do(c.f)
			}
		})
	}
}
