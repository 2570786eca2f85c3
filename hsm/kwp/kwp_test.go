package kwp_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/trentkms/trent/hsm/kwp"
)

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustAES(t testing.TB, key []byte) cipher.Block {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC5649 holds the examples of RFC 5649 section 6.
func TestRFC5649(t *testing.T) {
	const kek = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"
	for _, test := range []struct{ key, wrapped string }{
		{"c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		{"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	} {
		b := mustAES(t, mustHex(t, kek))
		got, err := kwp.Wrap(b, mustHex(t, test.key))
		if err != nil || hex.EncodeToString(got) != test.wrapped {
			t.Errorf("Wrap(%s) = %x, %v; want %s", test.key, got, err, test.wrapped)
		}
		key, err := kwp.Unwrap(b, mustHex(t, test.wrapped))
		if err != nil || hex.EncodeToString(key) != test.key {
			t.Errorf("Unwrap(%s) = %x, %v; want %s", test.wrapped, key, err, test.key)
		}
	}
}

func TestWycheproof(t *testing.T) {
	raw, err := fs.ReadFile(wycheproof.TestVectors, "aes_kwp_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                  int
				Comment, Key, Msg, Ct string
				Result                string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	valid := 0
	for _, group := range file.TestGroups {
		for _, v := range group.Tests {
			b := mustAES(t, mustHex(t, v.Key))
			msg, ct := mustHex(t, v.Msg), mustHex(t, v.Ct)
			got, err := kwp.Unwrap(b, ct)
			if v.Result == "invalid" {
				if !errors.Is(err, kwp.ErrUnwrap) || got != nil {
					t.Errorf("%d (%s): unwrapped an invalid vector: %x, %v", v.TcID, v.Comment, got, err)
				}
				continue
			}
			if len(msg) == 0 {
				continue // RFC 5649 wants at least one byte; the vectors call the empty key acceptable.
			}
			if err != nil || !bytes.Equal(got, msg) {
				t.Errorf("%d (%s): Unwrap = %x, %v; want %x", v.TcID, v.Comment, got, err, msg)
			}
			if wrapped, err := kwp.Wrap(b, msg); err != nil || !bytes.Equal(wrapped, ct) {
				t.Errorf("%d (%s): Wrap = %x, %v; want %x", v.TcID, v.Comment, wrapped, err, ct)
			}
			valid++
		}
	}
	if valid < 50 {
		t.Errorf("only %d valid vectors ran", valid)
	}
}

func TestWrapSizes(t *testing.T) {
	b := mustAES(t, make([]byte, 32))
	for _, n := range []int{0, kwp.MaxKey + 1} {
		if got, err := kwp.Wrap(b, make([]byte, n)); err == nil || got != nil {
			t.Errorf("Wrap accepts %d bytes", n)
		}
	}
	for n := 1; n <= 40; n++ {
		wrapped, err := kwp.Wrap(b, bytes.Repeat([]byte{7}, n))
		if err != nil || len(wrapped) != kwp.WrappedSize(n) {
			t.Fatalf("Wrap of %d bytes: %d bytes, %v; want %d", n, len(wrapped), err, kwp.WrappedSize(n))
		}
		for i := range wrapped {
			wrapped[i] ^= 1
			if _, err := kwp.Unwrap(b, wrapped); err == nil {
				t.Fatalf("Unwrap accepts a change in byte %d of a key of %d bytes", i, n)
			}
			wrapped[i] ^= 1
		}
	}
}

// FuzzUnwrap: whatever unwraps wraps to the same bytes.
func FuzzUnwrap(f *testing.F) {
	b := mustAES(f, make([]byte, 32))
	for _, n := range []int{1, 8, 9, 32, 33} {
		wrapped, _ := kwp.Wrap(b, make([]byte, n))
		f.Add(wrapped)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		key, err := kwp.Unwrap(b, wrapped)
		if err != nil {
			if key != nil {
				t.Fatal("key beside an error")
			}
			return
		}
		again, err := kwp.Wrap(b, key)
		if err != nil || !bytes.Equal(again, wrapped) {
			t.Fatalf("%x unwraps to %x, which wraps to %x, %v", wrapped, key, again, err)
		}
	})
}
