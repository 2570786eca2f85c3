package envelope_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/shape"
)

// The published vectors of docs/cryptography.md. They are written once and never again: what they hold, customers hold.
const vectorsFile = "testdata/vectors.json"

var writeVectors = flag.Bool("write-vectors", false, "write "+vectorsFile+" if it does not exist")

type vectors struct {
	Comment  string    `json:"comment"`
	Messages []message `json:"messages"`
	Invalid  []message `json:"invalid"`
	Secrets  []secret  `json:"secrets"`
}

type message struct {
	Name              string            `json:"name"`
	Account           string            `json:"account,omitempty"`
	KeyID             string            `json:"keyId,omitempty"`
	KeyMaterialID     string            `json:"keyMaterialId,omitempty"`
	Material          hexBytes          `json:"material"`
	EncryptionContext map[string]string `json:"encryptionContext"`
	Plaintext         hexBytes          `json:"plaintext,omitempty"`
	Blob              []byte            `json:"blob"`
}

type secret struct {
	Name      string   `json:"name"`
	DomainKey hexBytes `json:"domainKey"`
	Binding   hexBytes `json:"binding"`
	Secret    hexBytes `json:"secret"`
	Sealed    []byte   `json:"sealed"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func readVectors(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectorsStayReadable: every ciphertext that this format ever made opens.
func TestVectorsStayReadable(t *testing.T) {
	if *writeVectors {
		makeVectors(t)
	}
	v := readVectors(t)
	if len(v.Messages) < 6 || len(v.Invalid) < 10 || len(v.Secrets) < 2 {
		t.Fatalf("%d messages, %d invalid, %d secrets", len(v.Messages), len(v.Invalid), len(v.Secrets))
	}
	ctx := context.Background()
	for _, m := range v.Messages {
		h, err := envelope.Parse(m.Blob)
		if err != nil || h.Account() != m.Account || h.KeyID() != m.KeyID || hex.EncodeToString(h.MaterialID()) != m.KeyMaterialID {
			t.Errorf("%s: header %s %s, %v", m.Name, h.Account(), h.KeyID(), err)
			continue
		}
		got, err := envelope.Open(ctx, newKDF(m.Material), h, shape.EncryptionContextOf(m.EncryptionContext), m.Blob, nil)
		if err != nil || !bytes.Equal(got, m.Plaintext) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	for _, m := range v.Invalid {
		h, err := envelope.Parse(m.Blob)
		if err == nil {
			_, err = envelope.Open(ctx, newKDF(m.Material), h, shape.EncryptionContextOf(m.EncryptionContext), m.Blob, nil)
		}
		if err != envelope.ErrInvalid {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	for _, s := range v.Secrets {
		got, err := envelope.OpenSecret(ctx, softPRF(s.DomainKey), s.Binding, s.Sealed)
		if err != nil || !bytes.Equal(got, s.Secret) {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// makeVectors writes the file with materials that are visibly made for tests.
func makeVectors(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(vectorsFile); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s exists; published vectors are never rewritten", vectorsFile)
	}
	v := vectors{Comment: "Test vectors of docs/cryptography.md. material is the 32-byte key material, which a real key never shows."}
	add := func(name, keyID string, fill byte, c map[string]string, plaintext []byte) {
		id := bytes.Repeat([]byte{0xa0 + fill}, 32)
		m := message{
			Name: name, Account: account, KeyID: keyID, KeyMaterialID: hex.EncodeToString(id), Material: sequence(fill, 32),
			EncryptionContext: c, Plaintext: plaintext,
		}
		blob, err := envelope.Seal(context.Background(), newKDF(m.Material), header(t, account, keyID, id), shape.EncryptionContextOf(c), plaintext, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.Blob = blob
		v.Messages = append(v.Messages, m)
	}
	none := map[string]string{}
	add("one byte, no context", uuid, 0, none, []byte{0})
	add("data key", uuid, 1, map[string]string{"tenant": "blue", "purpose": "orders"}, sequence(64, 32))
	add("multi-Region key", mrk, 2, map[string]string{"a": "1"}, []byte("attack at dawn"))
	add("context in Unicode, sorted by UTF-8 bytes", uuid, 3, map[string]string{"\uffee": "halfwidth", "\U0001f511": "key", "é": "", "": "empty key"}, []byte("x"))
	add("context longer than one buffer", uuid, 4, map[string]string{strings.Repeat("k", 700): strings.Repeat("v", 3000)}, []byte("y"))
	add("longest plaintext", uuid, 5, none, bytes.Repeat([]byte("Trent "), 683)[:4096])
	v.Invalid = invalidVectors(v.Messages[1])
	for _, s := range []secret{
		{Name: "secret access key", Binding: []byte("access-key\x00111122223333\x00AKIAIOSFODNN7EXAMPLE"), Secret: []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")},
		{Name: "one byte, no binding", Secret: []byte{0xff}},
	} {
		s.DomainKey = sequence(200, 32)
		var err error
		if s.Sealed, err = envelope.SealSecret(context.Background(), softPRF(s.DomainKey), s.Binding, s.Secret); err != nil {
			t.Fatal(err)
		}
		v.Secrets = append(v.Secrets, s)
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// invalidVectors are ways in which a blob can be wrong.
func invalidVectors(good message) []message {
	var all []message
	add := func(name string, change func(m *message)) {
		m := message{Name: name, Material: good.Material, EncryptionContext: map[string]string{"tenant": "blue", "purpose": "orders"}, Blob: bytes.Clone(good.Blob)}
		change(&m)
		all = append(all, m)
	}
	flip := func(i int) func(*message) { return func(m *message) { m.Blob[i] ^= 1 } }
	last := len(good.Blob) - 1
	add("tag changed", flip(last))
	add("ciphertext changed", flip(90))
	add("AES-GCM nonce changed", flip(74))
	add("message nonce changed", flip(58))
	add("key material ID changed", flip(26))
	add("key ID changed", flip(10))
	add("key ID taken for a multi-Region key's", flip(4))
	add("account changed", flip(9))
	add("account above 999999999999", func(m *message) { m.Blob[5] = 0xff })
	add("undefined flag", func(m *message) { m.Blob[4] = 0x80 })
	add("undefined version", func(m *message) { m.Blob[3] = 2 })
	add("foreign format", func(m *message) { copy(m.Blob, "\x01\x02\x02\x00") })
	add("truncated", func(m *message) { m.Blob = m.Blob[:last] })
	add("without ciphertext", func(m *message) { m.Blob = m.Blob[:envelope.Overhead] })
	add("longer", func(m *message) { m.Blob = append(m.Blob, 0) })
	add("context missing", func(m *message) { m.EncryptionContext = map[string]string{} })
	add("context value in another case", func(m *message) { m.EncryptionContext["tenant"] = "Blue" })
	add("context with one pair more", func(m *message) { m.EncryptionContext["x"] = "" })
	add("other material", func(m *message) { m.Material = sequence(77, 32) })
	return all
}

func sequence(start byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = start + byte(i)
	}
	return b
}
