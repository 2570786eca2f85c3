package soft_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/soft"
)

// loaded returns a fresh key in a module in memory.
func loaded(tb testing.TB, t hsm.KeyType, u hsm.Usage) hsm.Key {
	tb.Helper()
	m, err := soft.Open(soft.Options{InMemory: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	if err := m.CreateDomain(tb.Context(), "d"); err != nil {
		tb.Fatal(err)
	}
	w, err := m.Generate(tb.Context(), "d", t, u, []byte("binding"))
	if err != nil {
		tb.Fatal(err)
	}
	k, err := m.Load(tb.Context(), hsm.Material{Domain: "d", Type: t, Usage: u, Binding: []byte("binding"), Wrapped: w})
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func BenchmarkDeriveKey(b *testing.B) {
	k := loaded(b, hsm.Symmetric, hsm.UseDerive)
	fixed := make([]byte, 96)
	ctx := b.Context()
	var out [32]byte
	b.ReportAllocs()
	for b.Loop() {
		if err := k.DeriveKey(ctx, fixed, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeriveKeyParallel(b *testing.B) {
	k := loaded(b, hsm.Symmetric, hsm.UseDerive)
	fixed := make([]byte, 96)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var out [32]byte
		for pb.Next() {
			if err := k.DeriveKey(b.Context(), fixed, &out); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMAC(b *testing.B) {
	k := loaded(b, hsm.HMAC256, hsm.UseMAC)
	msg := make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.MAC(b.Context(), msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, c := range []struct {
		t   hsm.KeyType
		alg hsm.Algorithm
	}{
		{hsm.RSA2048, hsm.RSAPSSSHA256}, {hsm.RSA4096, hsm.RSAPSSSHA256}, {hsm.P256, hsm.ECDSASHA256},
		{hsm.P384, hsm.ECDSASHA384}, {hsm.Secp256k1, hsm.ECDSASHA256}, {hsm.Ed25519, hsm.Ed25519Pure},
		{hsm.MLDSA65, hsm.MLDSAPure},
	} {
		b.Run(c.t.String(), func(b *testing.B) {
			k := loaded(b, c.t, hsm.UseSign)
			in := make([]byte, max(32, c.alg.DigestSize()))
			rand.Read(in)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Sign(b.Context(), c.alg, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, t := range []hsm.KeyType{hsm.Symmetric, hsm.P256, hsm.RSA2048, hsm.RSA4096, hsm.MLDSA65} {
		b.Run(t.String(), func(b *testing.B) {
			m, err := soft.Open(soft.Options{InMemory: true})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			if err := m.CreateDomain(b.Context(), "d"); err != nil {
				b.Fatal(err)
			}
			u := hsm.UseSign
			if t == hsm.Symmetric {
				u = hsm.UseDerive
			}
			w, err := m.Generate(b.Context(), "d", t, u, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				k, err := m.Load(b.Context(), hsm.Material{Domain: "d", Type: t, Usage: u, Wrapped: w})
				if err != nil {
					b.Fatal(err)
				}
				k.Destroy()
			}
		})
	}
}

// BenchmarkOpen is the start-up: it is mostly the derivation of the sealing key.
func BenchmarkOpen(b *testing.B) {
	opts := soft.Options{Path: filepath.Join(b.TempDir(), "token"), PIN: []byte("12345678"), Create: true}
	for b.Loop() {
		m, err := soft.Open(opts)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkTransfer(b *testing.B) {
	m, err := soft.Open(soft.Options{InMemory: true})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	if err := m.CreateDomain(b.Context(), "d"); err != nil {
		b.Fatal(err)
	}
	hsmtest.BenchmarkTransfer(b, m, "d")
}
