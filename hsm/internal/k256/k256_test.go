package k256_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math/big"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/trentkms/trent/hsm/internal/k256"
)

var order, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)

func TestPublicKeyAgainstLibrary(t *testing.T) {
	for range 50 {
		k := k256.GenerateKey()
		want := secp256k1.PrivKeyFromBytes(k.Bytes()).PubKey()
		if !bytes.Equal(k.Public().Bytes(), want.SerializeUncompressed()) {
			t.Fatal("public key differs from the library's")
		}
		again, err := k256.NewPrivateKey(k.Bytes())
		if err != nil || !again.Public().Equal(k.Public()) {
			t.Fatalf("key does not survive its bytes: %v", err)
		}
		for _, form := range [][]byte{want.SerializeCompressed(), want.SerializeUncompressed(), hybrid(want)} {
			p, err := k256.ParsePublicKey(form)
			if err != nil || !p.Equal(k.Public()) {
				t.Fatalf("form %#x: %v", form[0], err)
			}
		}
	}
}

func hybrid(p *secp256k1.PublicKey) []byte {
	b := p.SerializeUncompressed()
	b[0] = 6 | b[64]&1
	return b
}

func TestScalarRange(t *testing.T) {
	for _, bad := range [][]byte{nil, make([]byte, 31), make([]byte, 32), order.Bytes(), bytes.Repeat([]byte{255}, 32), make([]byte, 33)} {
		if _, err := k256.NewPrivateKey(bad); err == nil {
			t.Errorf("accepts scalar %x", bad)
		}
	}
	one := make([]byte, 32)
	one[31] = 1
	top := new(big.Int).Sub(order, big.NewInt(1)).Bytes()
	for _, good := range [][]byte{one, top} {
		if _, err := k256.NewPrivateKey(good); err != nil {
			t.Errorf("refuses scalar %x: %v", good, err)
		}
	}
}

// TestSign checks signatures by a textbook verification on the generic curve code, and that both values of s verify.
func TestSign(t *testing.T) {
	k := k256.GenerateKey()
	seen := map[string]bool{}
	for range 30 {
		digest := make([]byte, 32)
		rand.Read(digest)
		sig, err := k.Sign(digest)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Public().Verify(digest, sig) || !textbookVerify(k.Public().Bytes(), digest, sig) {
			t.Fatalf("signature %x does not verify", sig)
		}
		var rs struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(sig, &rs); err != nil || len(rest) != 0 {
			t.Fatalf("signature is not DER: %v", err)
		}
		if seen[rs.R.String()] {
			t.Fatal("nonce used twice")
		}
		seen[rs.R.String()] = true
		rs.S.Sub(order, rs.S)
		other, err := asn1.Marshal(rs)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Public().Verify(digest, other) {
			t.Error("the other value of s is refused")
		}
		digest[0] ^= 1
		if k.Public().Verify(digest, sig) {
			t.Error("verifies for another digest")
		}
	}
	if _, err := k.Sign(make([]byte, 31)); err == nil {
		t.Error("signs 31 bytes")
	}
}

// textbookVerify is SEC 1 section 4.1.4 with math/big for the scalars.
func textbookVerify(pub, digest, sig []byte) bool {
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		return false
	}
	q, err := secp256k1.ParsePubKey(pub)
	if err != nil {
		return false
	}
	w := new(big.Int).ModInverse(rs.S, order)
	scalar := func(x *big.Int) *secp256k1.ModNScalar {
		s := new(secp256k1.ModNScalar)
		s.SetByteSlice(x.Mod(x.Mul(x, w), order).FillBytes(make([]byte, 32)))
		return s
	}
	var point, a, b, sum secp256k1.JacobianPoint
	q.AsJacobian(&point)
	secp256k1.ScalarBaseMultNonConst(scalar(new(big.Int).SetBytes(digest)), &a)
	secp256k1.ScalarMultNonConst(scalar(new(big.Int).Set(rs.R)), &point, &b)
	secp256k1.AddNonConst(&a, &b, &sum)
	sum.ToAffine()
	x := sum.X.Bytes()
	got := new(big.Int).SetBytes(x[:])
	return got.Mod(got, order).Cmp(rs.R) == 0
}

func TestWycheproof(t *testing.T) {
	raw, err := fs.ReadFile(wycheproof.TestVectors, "ecdsa_secp256k1_sha256_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			PublicKey struct{ Uncompressed string }
			Tests     []struct {
				TcID                      int
				Comment, Msg, Sig, Result string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	valid := 0
	for _, group := range file.TestGroups {
		point, _ := hex.DecodeString(group.PublicKey.Uncompressed)
		pub, err := k256.ParsePublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range group.Tests {
			msg, _ := hex.DecodeString(v.Msg)
			sig, _ := hex.DecodeString(v.Sig)
			digest := sha256.Sum256(msg)
			if got := pub.Verify(digest[:], sig); got != (v.Result == "valid") {
				t.Errorf("%d (%s): %v, want %s", v.TcID, v.Comment, got, v.Result)
			} else if got {
				valid++
			}
		}
	}
	if valid < 50 {
		t.Errorf("only %d valid vectors ran", valid)
	}
}

func BenchmarkSign(b *testing.B) {
	k := k256.GenerateKey()
	digest := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(digest); err != nil {
			b.Fatal(err)
		}
	}
}
