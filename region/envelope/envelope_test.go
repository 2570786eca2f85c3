package envelope_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"sync"
	"testing"

	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/shape"
)

// softKDF computes what an HSM computes, over a material in memory.
type softKDF struct{ pool sync.Pool }

func newKDF(material []byte) *softKDF {
	m := bytes.Clone(material)
	return &softKDF{sync.Pool{New: func() any { return hmac.New(sha256.New, m) }}}
}

func (k *softKDF) DeriveKey(_ context.Context, fixed []byte, out *[32]byte) error {
	h := k.pool.Get().(hash.Hash)
	h.Reset()
	h.Write([]byte{0, 0, 0, 1})
	h.Write(fixed)
	h.Sum(out[:0])
	k.pool.Put(h)
	return nil
}

const (
	account = "111122223333"
	uuid    = "1234abcd-12ab-34cd-56ef-1234567890ab"
	mrk     = "mrk-1234abcd12ab34cd56ef1234567890ab"
)

var (
	material   = bytes.Repeat([]byte{7}, 32)
	materialID = bytes.Repeat([]byte{9}, 32)
)

func header(t testing.TB, account, keyID string, materialID []byte) envelope.Header {
	t.Helper()
	h, err := envelope.NewHeader(account, keyID, materialID)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func seal(t testing.TB, h envelope.Header, ec shape.EncryptionContext, plaintext []byte) []byte {
	t.Helper()
	blob, err := envelope.Seal(context.Background(), newKDF(material), h, ec, plaintext, nil)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func ec(pairs ...string) shape.EncryptionContext {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return shape.EncryptionContextOf(m)
}

func TestRoundTrip(t *testing.T) {
	for _, keyID := range []string{uuid, mrk} {
		for _, n := range []int{1, 16, 32, 4095, 4096} {
			h := header(t, account, keyID, materialID)
			plaintext := bytes.Repeat([]byte{byte(n)}, n)
			blob := seal(t, h, ec("a", "b"), plaintext)
			if len(blob) != n+envelope.Overhead || len(blob) > 6144 || bytes.Contains(blob, plaintext[:min(n, 16)]) && n >= 16 {
				t.Fatalf("%d bytes become %d", n, len(blob))
			}
			got, err := envelope.Open(context.Background(), newKDF(material), h, ec("a", "b"), blob, nil)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	h := header(t, account, uuid, materialID)
	for _, n := range []int{0, 4097} {
		blob, err := envelope.Seal(context.Background(), newKDF(material), h, ec(), make([]byte, n), nil)
		if err == nil || errors.Is(err, envelope.ErrInvalid) || blob != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := envelope.Seal(context.Background(), newKDF(material), envelope.Header{}, ec(), []byte{1}, nil); err == nil {
		t.Error("sealed without a header")
	}
}

func TestAppendsToDst(t *testing.T) {
	h := header(t, account, uuid, materialID)
	for _, dst := range [][]byte{[]byte("front"), append(make([]byte, 0, 8192), "front"...)} {
		blob, err := envelope.Seal(context.Background(), newKDF(material), h, ec(), []byte("secret"), dst)
		if err != nil || !bytes.HasPrefix(blob, []byte("front")) {
			t.Fatalf("%q, %v", blob, err)
		}
		got, err := envelope.Open(context.Background(), newKDF(material), h, ec(), blob[5:], []byte("front"))
		if err != nil || string(got) != "frontsecret" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// TestHeader is the layout, byte by byte.
func TestHeader(t *testing.T) {
	for keyID, flag := range map[string]string{uuid: "00", mrk: "01"} {
		blob := seal(t, header(t, "000000000042", keyID, materialID), ec(), []byte("x"))
		want := "54524e01" + flag + "000000002a" + "1234abcd12ab34cd56ef1234567890ab" + strings.Repeat("09", 32)
		if got := hex.EncodeToString(blob[:58]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		h, err := envelope.Parse(blob)
		if err != nil || !h.Valid() || h.Account() != "000000000042" || h.KeyID() != keyID || !bytes.Equal(h.MaterialID(), materialID) {
			t.Errorf("%q %q %x %v", h.Account(), h.KeyID(), h.MaterialID(), err)
		}
		if h != header(t, "000000000042", keyID, materialID) {
			t.Error("headers of one identity differ")
		}
	}
	if got := header(t, "999999999999", uuid, materialID).Account(); got != "999999999999" {
		t.Errorf("account %s", got)
	}
}

func TestNewHeaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		account, keyID string
		materialID     []byte
	}{
		{"1111", uuid, materialID}, {"11112222333a", uuid, materialID}, {account, "x", materialID},
		{account, strings.ToUpper(uuid), materialID}, {account, uuid, materialID[1:]}, {account, uuid, nil},
	} {
		if h, err := envelope.NewHeader(tt.account, tt.keyID, tt.materialID); err == nil || h.Valid() {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

// TestOtherIdentityNeverOpens: the very same material under another key, account or material ID (spec 01 ENV-05). Neither the
// records of the other key nor a blob rewritten to name it may work.
func TestOtherIdentityNeverOpens(t *testing.T) {
	h := header(t, account, uuid, materialID)
	blob := seal(t, h, ec(), []byte("secret"))
	others := map[string]envelope.Header{
		"key":          header(t, account, "1234abcd-12ab-34cd-56ef-1234567890ac", materialID),
		"multi-Region": header(t, account, mrk, materialID),
		"account":      header(t, "111122223334", uuid, materialID),
		"material":     header(t, account, uuid, bytes.Repeat([]byte{8}, 32)),
		"none":         {},
	}
	for name, other := range others {
		if got, err := envelope.Open(context.Background(), newKDF(material), other, ec(), blob, nil); !errors.Is(err, envelope.ErrInvalid) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if !other.Valid() {
			continue
		}
		rewritten := append(bytes.Clone(seal(t, other, ec(), []byte("x"))[:58]), blob[58:]...)
		if got, err := envelope.Open(context.Background(), newKDF(material), other, ec(), rewritten, nil); !errors.Is(err, envelope.ErrInvalid) || got != nil {
			t.Errorf("rewritten to another %s: %q, %v", name, got, err)
		}
	}
	if _, err := envelope.Open(context.Background(), newKDF(bytes.Repeat([]byte{1}, 32)), h, ec(), blob, nil); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("other material: %v", err)
	}
}

// TestContextMustBeTheSame: exactly the same pairs, in any order (spec 01 CTX-03, CTX-08).
func TestContextMustBeTheSame(t *testing.T) {
	h := header(t, account, uuid, materialID)
	open := func(blob []byte, c shape.EncryptionContext) error {
		_, err := envelope.Open(context.Background(), newKDF(material), h, c, blob, nil)
		return err
	}
	blob := seal(t, h, ec("ab", "c", "d", "ef"), []byte("x"))
	ordered, err := shape.NewEncryptionContext([]shape.Pair{{Key: "d", Value: "ef"}, {Key: "ab", Value: "c"}})
	if err != nil || open(blob, ordered) != nil {
		t.Errorf("another order: %v", err)
	}
	for _, c := range []shape.EncryptionContext{
		{}, ec(), ec("ab", "c"), ec("d", "ef"), ec("ab", "c", "d", "ef", "g", ""), ec("a", "bc", "d", "ef"), ec("ab", "cd", "e", "f"),
		ec("AB", "c", "d", "ef"), ec("ab", "C", "d", "ef"), ec("ab", "ef", "d", "c"), ec("ab", "c", "d", "ef "), ec("ab", "c", "d", ""),
		ec("abc", "", "d", "ef"), ec("", "abc", "d", "ef"),
	} {
		if err := open(blob, c); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%v: %v", c.Map(), err)
		}
	}
	none := seal(t, h, shape.EncryptionContext{}, []byte("x"))
	if err := open(none, ec()); err != nil {
		t.Errorf("absent and empty differ: %v", err)
	}
	if err := open(none, ec("", "")); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("an empty pair is a pair: %v", err)
	}
}

func TestEveryChangeIsRefused(t *testing.T) {
	h := header(t, account, uuid, materialID)
	blob := seal(t, h, ec("k", "v"), []byte("0123456789abcdef!"))
	refused := func(what string, changed []byte) {
		t.Helper()
		if got, err := envelope.Open(context.Background(), newKDF(material), h, ec("k", "v"), changed, nil); err != envelope.ErrInvalid || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		// Also if the records agree with the changed header.
		if named, err := envelope.Parse(changed); err == nil {
			if got, err := envelope.Open(context.Background(), newKDF(material), named, ec("k", "v"), changed, nil); err != envelope.ErrInvalid || got != nil {
				t.Errorf("%s, its own header: %q, %v", what, got, err)
			}
		}
	}
	for i := range blob {
		for bit := range 8 {
			changed := bytes.Clone(blob)
			changed[i] ^= 1 << bit
			refused("bit flip", changed)
		}
		refused("truncation", blob[:i])
	}
	refused("extension", append(bytes.Clone(blob), 0))
	refused("too long", append(bytes.Clone(blob), make([]byte, 5000)...))
	refused("nothing", nil)
}

// TestParseIsCanonical: values that no header writes are refused before the HSM sees anything.
func TestParseIsCanonical(t *testing.T) {
	blob := seal(t, header(t, account, uuid, materialID), ec(), []byte("x"))
	for name, change := range map[string]func([]byte){
		"flag":    func(b []byte) { b[4] = 2 },
		"account": func(b []byte) { binary.BigEndian.PutUint32(b[6:], 0xd4a51000); b[5] = 0xe8 }, // 10^12
		"version": func(b []byte) { b[3] = 2 },
		"magic":   func(b []byte) { b[0] = 't' },
	} {
		changed := bytes.Clone(blob)
		change(changed)
		if h, err := envelope.Parse(changed); err != envelope.ErrInvalid || h.Valid() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failingKDF struct{ err error }

func (f failingKDF) DeriveKey(context.Context, []byte, *[32]byte) error { return f.err }

// TestHSMErrorsAreTheirOwn: an HSM that fails says nothing about the ciphertext.
func TestHSMErrorsAreTheirOwn(t *testing.T) {
	h := header(t, account, uuid, materialID)
	blob := seal(t, h, ec(), []byte("x"))
	for _, cause := range []error{errors.New("CKR_GENERAL_ERROR"), context.DeadlineExceeded} {
		if _, err := envelope.Open(context.Background(), failingKDF{cause}, h, ec(), blob, nil); err != cause {
			t.Errorf("open: %v", err)
		}
		if _, err := envelope.Seal(context.Background(), failingKDF{cause}, h, ec(), []byte("x"), nil); err != cause {
			t.Errorf("seal: %v", err)
		}
		prf := func(context.Context, string, []byte) ([32]byte, error) { return [32]byte{}, cause }
		if _, err := envelope.SealSecret(context.Background(), prf, nil, []byte("x")); err != cause {
			t.Errorf("seal secret: %v", err)
		}
		if _, err := envelope.OpenSecret(context.Background(), prf, nil, sealSecret(t, "b", "x")); err != cause {
			t.Errorf("open secret: %v", err)
		}
	}
}

// spyKDF keeps what it was called with.
type spyKDF struct {
	softKDF *softKDF
	fixed   [][]byte
	keys    [][32]byte
	outs    []*[32]byte
}

func (s *spyKDF) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	s.fixed = append(s.fixed, bytes.Clone(fixed))
	err := s.softKDF.DeriveKey(ctx, fixed, out)
	s.keys, s.outs = append(s.keys, *out), append(s.outs, out)
	return err
}

func TestMessageKeysAreFreshAndWiped(t *testing.T) {
	spy := &spyKDF{softKDF: newKDF(material)}
	h := header(t, account, uuid, materialID)
	var blob []byte
	seen := map[[32]byte]bool{}
	for range 50 {
		var err error
		if blob, err = envelope.Seal(context.Background(), spy, h, ec(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := envelope.Open(context.Background(), spy, h, ec(), blob, nil); err != nil {
		t.Fatal(err)
	}
	if spy.keys[50] != spy.keys[49] {
		t.Error("seal and open derive different keys")
	}
	for i, key := range spy.keys[:50] {
		if seen[key] {
			t.Error("two messages share a key")
		}
		seen[key] = true
		if *spy.outs[i] != [32]byte{} {
			t.Error("a message key was left in memory")
		}
	}
	want := "trent/message/1\x00" + string(blob[:74]) + "\x00\x00\x01\x00"
	if got := string(spy.fixed[50]); got != want {
		t.Errorf("fixed input\ngot  %x\nwant %x", got, want)
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{32, 4096} {
		b.Run(map[int]string{32: "32B", 4096: "4KiB"}[n], func(b *testing.B) {
			h := header(b, account, uuid, materialID)
			kdf, c, plaintext := newKDF(material), ec("tenant", "blue", "purpose", "orders"), make([]byte, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := envelope.Seal(context.Background(), kdf, h, c, plaintext, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	h := header(b, account, uuid, materialID)
	kdf, c := newKDF(material), ec("tenant", "blue", "purpose", "orders")
	blob := seal(b, h, c, make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Open(context.Background(), kdf, h, c, blob, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	blob := seal(b, header(b, account, uuid, materialID), ec(), make([]byte, 32))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Parse(blob); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations holds the hot path to a handful: the working set, the AES key schedule, GCM, and the output.
func TestAllocations(t *testing.T) {
	h := header(t, account, uuid, materialID)
	kdf, c, plaintext := newKDF(material), ec("tenant", "blue"), make([]byte, 32)
	blob := seal(t, h, c, plaintext)
	for name, f := range map[string]func(){
		"seal":  func() { _, _ = envelope.Seal(context.Background(), kdf, h, c, plaintext, nil) },
		"open":  func() { _, _ = envelope.Open(context.Background(), kdf, h, c, blob, nil) },
		"parse": func() { _, _ = envelope.Parse(blob) },
	} {
		limit := 6.0
		if name == "parse" {
			limit = 0
		}
		if n := testing.AllocsPerRun(200, f); n > limit {
			t.Errorf("%s: %v allocations, at most %v", name, n, limit)
		}
	}
}
