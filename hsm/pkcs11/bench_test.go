package pkcs11

import (
	"context"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
)

func benchModule(b *testing.B) *Module {
	b.Helper()
	r := newRig(b)
	cfg := r.newToken()
	cfg.AllowHostUnwrap = true
	return r.open(cfg)
}

// BenchmarkDeriveKey is the module's share of the hot path: one HMAC in the token per message.
func BenchmarkDeriveKey(b *testing.B) {
	k := newKey(b, benchModule(b), hsm.Symmetric, hsm.UseDerive)
	fixed := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	var out [32]byte
	for range b.N {
		if err := k.DeriveKey(context.Background(), fixed, &out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeriveKeyParallel keeps all sessions busy.
func BenchmarkDeriveKeyParallel(b *testing.B) {
	k := newKey(b, benchModule(b), hsm.Symmetric, hsm.UseDerive)
	fixed := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var out [32]byte
		for pb.Next() {
			if err := k.DeriveKey(context.Background(), fixed, &out); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	m := benchModule(b)
	for _, c := range []struct {
		t   hsm.KeyType
		alg hsm.Algorithm
	}{{hsm.P256, hsm.ECDSASHA256}, {hsm.P384, hsm.ECDSASHA384}, {hsm.RSA2048, hsm.RSAPSSSHA256}, {hsm.RSA2048, hsm.RSAPKCS1SHA256}} {
		b.Run(c.t.String()+"/"+c.alg.String(), func(b *testing.B) {
			k := newKey(b, m, c.t, hsm.UseSign)
			digest := make([]byte, c.alg.DigestSize())
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := k.Sign(context.Background(), c.alg, digest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad is what the first use of a key costs: the tag, and unwrapping.
func BenchmarkLoad(b *testing.B) {
	m := benchModule(b)
	for _, c := range []struct {
		t hsm.KeyType
		u hsm.Usage
	}{{hsm.Symmetric, hsm.UseDerive}, {hsm.P256, hsm.UseSign}, {hsm.RSA2048, hsm.UseSign}} {
		b.Run(c.t.String(), func(b *testing.B) {
			mat := newMaterial(b, m, c.t, c.u)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				k, err := m.Load(context.Background(), mat)
				if err != nil {
					b.Fatal(err)
				}
				k.Destroy()
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	m := benchModule(b)
	k := newKey(b, m, hsm.RSA2048, hsm.UseDecrypt)
	for _, alg := range []hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256} {
		b.Run(alg.String(), func(b *testing.B) {
			c, err := k.Encrypt(context.Background(), alg, make([]byte, 32))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := k.Decrypt(context.Background(), alg, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTransfer(b *testing.B) {
	r := newRig(b)
	cfg := r.newToken()
	cfg.AllowOAEPSHA1Transport = true // SoftHSM2 2.6 wraps with no other hash
	m := r.open(cfg)
	if err := m.CreateDomain(b.Context(), testDomain); err != nil {
		b.Fatal(err)
	}
	hsmtest.BenchmarkTransfer(b, m, testDomain)
}
