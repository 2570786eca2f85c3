package mldsamu_test

import (
	"crypto"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/c2sp/wycheproof"
	"github.com/trentkms/trent/hsm/internal/mldsamu"
)

var sets = []struct {
	name   string
	ours   mldsamu.Params
	theirs mldsa.Parameters
}{
	{"44", mldsamu.MLDSA44(), mldsa.MLDSA44()},
	{"65", mldsamu.MLDSA65(), mldsa.MLDSA65()},
	{"87", mldsamu.MLDSA87(), mldsa.MLDSA87()},
}

// representative computes mu for an empty context (FIPS 204 algorithms 2 and 7).
func representative(publicKey, msg, context []byte) []byte {
	tr := sha3.SumSHAKE256(publicKey, 64)
	h := sha3.NewSHAKE256()
	h.Write(tr)
	h.Write([]byte{0, byte(len(context))})
	h.Write(context)
	h.Write(msg)
	mu := make([]byte, 64)
	h.Read(mu)
	return mu
}

// TestAgainstLibrary signs with the library, by message and by mu, and verifies here; each single change must fail.
func TestAgainstLibrary(t *testing.T) {
	for _, set := range sets {
		t.Run(set.name, func(t *testing.T) {
			for i := range 20 {
				sk, err := mldsa.GenerateKey(set.theirs)
				if err != nil {
					t.Fatal(err)
				}
				pk, msg := sk.PublicKey().Bytes(), []byte{byte(i)}
				mu := representative(pk, msg, nil)
				pure, err := sk.Sign(nil, msg, nil)
				if err != nil {
					t.Fatal(err)
				}
				external, err := sk.Sign(nil, mu, crypto.Hash(mldsacrypto.MLDSAMu))
				if err != nil {
					t.Fatal(err)
				}
				for _, sig := range [][]byte{pure, external} {
					if !mldsamu.Verify(set.ours, pk, mu, sig) {
						t.Fatal("valid signature refused")
					}
					at := (i * 211) % len(sig)
					sig[at] ^= 1
					if mldsamu.Verify(set.ours, pk, mu, sig) {
						t.Errorf("signature accepted with byte %d changed", at)
					}
					sig[at] ^= 1
				}
				mu[0] ^= 1
				if mldsamu.Verify(set.ours, pk, mu, pure) {
					t.Error("signature accepted for another mu")
				}
			}
		})
	}
}

func TestWycheproof(t *testing.T) {
	for _, set := range sets {
		t.Run(set.name, func(t *testing.T) {
			raw, err := fs.ReadFile(wycheproof.TestVectors, "mldsa_"+set.name+"_verify_test.json")
			if err != nil {
				t.Fatal(err)
			}
			var file struct {
				TestGroups []struct {
					PublicKey string
					Tests     []struct {
						TcID                           int
						Comment, Msg, Ctx, Sig, Result string
					}
				}
			}
			if err := json.Unmarshal(raw, &file); err != nil {
				t.Fatal(err)
			}
			valid := 0
			for _, group := range file.TestGroups {
				pk, _ := hex.DecodeString(group.PublicKey)
				for _, v := range group.Tests {
					msg, _ := hex.DecodeString(v.Msg)
					sig, _ := hex.DecodeString(v.Sig)
					ctx, _ := hex.DecodeString(v.Ctx)
					if len(ctx) > 255 {
						continue // such a context has no mu
					}
					got := mldsamu.Verify(set.ours, pk, representative(pk, msg, ctx), sig)
					if got != (v.Result == "valid") {
						t.Errorf("%d (%s): %v, want %s", v.TcID, v.Comment, got, v.Result)
					}
					if got {
						valid++
					}
				}
			}
			if valid < 10 {
				t.Errorf("only %d valid vectors ran", valid)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	for _, set := range sets {
		sk, err := mldsa.NewPrivateKey(set.theirs, make([]byte, 32))
		if err != nil {
			f.Fatal(err)
		}
		pk := sk.PublicKey().Bytes()
		sig, err := sk.SignDeterministic([]byte("m"), nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pk, []byte("m"), sig)
	}
	f.Fuzz(func(t *testing.T, pk, msg, sig []byte) {
		for _, set := range sets {
			got := mldsamu.Verify(set.ours, pk, representative(pk, msg, nil), sig)
			want := false
			if public, err := mldsa.NewPublicKey(set.theirs, pk); err == nil {
				want = mldsa.Verify(public, msg, sig, nil) == nil
			}
			if got != want {
				t.Fatalf("%s: %v, the library says %v", set.name, got, want)
			}
		}
	})
}

func BenchmarkVerify65(b *testing.B) {
	sk, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		b.Fatal(err)
	}
	pk, mu := sk.PublicKey().Bytes(), make([]byte, 64)
	sig, err := sk.Sign(nil, mu, crypto.Hash(mldsacrypto.MLDSAMu))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !mldsamu.Verify(mldsamu.MLDSA65(), pk, mu, sig) {
			b.Fatal("refused")
		}
	}
}
