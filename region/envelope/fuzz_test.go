package envelope_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/shape"
)

// FuzzParse: what parses names an identity that encodes to the same bytes.
func FuzzParse(f *testing.F) {
	for _, keyID := range []string{uuid, mrk} {
		f.Add(seal(f, header(f, account, keyID, materialID), ec("k", "v"), []byte("plaintext")))
	}
	f.Add([]byte("TRN\x01"))
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, blob []byte) {
		h, err := envelope.Parse(blob)
		if err != nil {
			if err != envelope.ErrInvalid || h.Valid() {
				t.Fatalf("refused with %v, %v", err, h.Valid())
			}
			return
		}
		again, err := envelope.NewHeader(h.Account(), h.KeyID(), h.MaterialID())
		if err != nil || again != h {
			t.Fatalf("%x prints as %s %s, %v", blob[:58], h.Account(), h.KeyID(), err)
		}
		got := seal(t, again, ec(), []byte("x"))
		if !bytes.Equal(got[:58], blob[:58]) {
			t.Fatalf("%x encodes as %x", blob[:58], got[:58])
		}
	})
}

// FuzzOpen: nothing but what was sealed opens, and everything else is ErrInvalid. The original is a published one, since every
// fuzzing process has to know the same.
func FuzzOpen(f *testing.F) {
	m := readVectors(f).Messages[2]
	h := header(f, m.Account, m.KeyID, bytes.Repeat([]byte{0xa2}, 32))
	kdf := newKDF(m.Material)
	f.Add(m.Blob, "a", "1")
	f.Add(m.Blob, "a", "2")
	f.Add(m.Blob[:90], "a", "1")
	f.Add([]byte{}, "", "")
	f.Fuzz(func(t *testing.T, blob []byte, key, value string) {
		got, err := envelope.Open(context.Background(), kdf, h, ec(key, value), blob, nil)
		if bytes.Equal(blob, m.Blob) && key == "a" && value == "1" {
			if err != nil || !bytes.Equal(got, m.Plaintext) {
				t.Fatalf("the original: %q, %v", got, err)
			}
			return
		}
		if err != envelope.ErrInvalid || got != nil {
			t.Fatalf("opened %x with %q=%q: %q, %v", blob, key, value, got, err)
		}
	})
}

// FuzzContext: two contexts open each other's blobs exactly if they are equal. The fuzzer gives the pairs' bytes and where to cut.
func FuzzContext(f *testing.F) {
	f.Add("abcd", uint8(1), uint8(2), uint8(3), "abcd", uint8(1), uint8(2), uint8(3))
	f.Add("abcd", uint8(1), uint8(2), uint8(3), "abcd", uint8(2), uint8(2), uint8(4))
	f.Add("", uint8(0), uint8(0), uint8(0), "\x00\x00\x00\x00", uint8(1), uint8(1), uint8(1))
	h := header(f, account, uuid, materialID)
	kdf := newKDF(material)
	f.Fuzz(func(t *testing.T, s1 string, a1, b1, c1 uint8, s2 string, a2, b2, c2 uint8) {
		first, second := cut(s1, a1, b1, c1), cut(s2, a2, b2, c2)
		_, err := envelope.Open(context.Background(), kdf, h, second, seal(t, h, first, []byte("x")), nil)
		if opened, same := err == nil, first.Equal(second); opened != same {
			t.Fatalf("%q and %q: equal %v, opened %v", first.Map(), second.Map(), same, opened)
		}
	})
}

// cut makes two pairs of a string cut at three places.
func cut(s string, a, b, c uint8) shape.EncryptionContext {
	i := min(int(a), len(s))
	j := min(i+int(b), len(s))
	k := min(j+int(c), len(s))
	return ec(s[:i], s[i:j], s[j:k], s[k:])
}

func FuzzOpenSecret(f *testing.F) {
	original := readVectors(f).Secrets[0]
	f.Add(original.Sealed, []byte(original.Binding))
	f.Add(original.Sealed, []byte("c"))
	f.Add([]byte("TRS\x01"), []byte("b"))
	prf := softPRF(original.DomainKey)
	f.Fuzz(func(t *testing.T, sealed, binding []byte) {
		got, err := envelope.OpenSecret(context.Background(), prf, binding, sealed)
		if bytes.Equal(sealed, original.Sealed) && bytes.Equal(binding, original.Binding) {
			if err != nil || !bytes.Equal(got, original.Secret) {
				t.Fatalf("%q, %v", got, err)
			}
			return
		}
		if err != envelope.ErrInvalid || got != nil {
			t.Fatalf("%q, %v", got, err)
		}
	})
}
