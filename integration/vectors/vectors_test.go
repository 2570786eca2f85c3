package vectors_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/shape"
)

// decrypt runs decrypt.py. Without python3 the test fails rather than skips: a format that nobody checked is not published.
func decrypt(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is not installed; install it, decrypt.py needs its standard library only")
	}
	cmd := exec.Command(python, append([]string{"-B", "decrypt.py"}, args...)...)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	err = cmd.Run()
	return out.String(), msg.String(), err
}

func TestPublishedVectors(t *testing.T) {
	file := filepath.Join("..", "..", "region", "envelope", "testdata", "vectors.json")
	out, msg, err := decrypt(t, "vectors", file)
	if err != nil || !strings.Contains(out, "6 messages, 19 invalid blobs, 2 secrets: ok") {
		t.Fatalf("%v: %s%s", err, out, msg)
	}
}

// kdf is a key material in memory that also shows the message key.
type kdf struct {
	material []byte
	key      [32]byte
}

func (k *kdf) DeriveKey(_ context.Context, fixed []byte, out *[32]byte) error {
	h := hmac.New(sha256.New, k.material)
	h.Write([]byte{0, 0, 0, 1})
	h.Write(fixed)
	h.Sum(out[:0])
	k.key = *out
	return nil
}

// TestFreshMessage decrypts what was sealed a moment ago: with the material, and the way an owner of an HSM would, who has it
// compute the message key from what "show" prints.
func TestFreshMessage(t *testing.T) {
	k := &kdf{material: bytes.Repeat([]byte{3}, 32)}
	h, err := envelope.NewHeader("111122223333", "mrk-1234abcd12ab34cd56ef1234567890ab", bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	const plaintext = "plaintext with a newline\nand \x00 bytes"
	sealed, err := envelope.Seal(context.Background(), k, h, shape.EncryptionContextOf(map[string]string{"ü": "x", "a": "y"}), []byte(plaintext), nil)
	if err != nil {
		t.Fatal(err)
	}
	blob := base64.StdEncoding.EncodeToString(sealed)

	out, msg, err := decrypt(t, "show", blob)
	if err != nil {
		t.Fatal(msg)
	}
	var shown struct{ Account, KeyID, KeyMaterialID, KDFInput string }
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Account != "111122223333" || shown.KeyID != h.KeyID() || shown.KeyMaterialID != strings.Repeat("01", 32) {
		t.Errorf("shown: %+v", shown)
	}
	input, err := hex.DecodeString(shown.KDFInput)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, k.material)
	mac.Write(input)
	if !bytes.Equal(mac.Sum(nil), k.key[:]) {
		t.Error("the shown input does not give the message key")
	}

	for _, key := range [][]string{
		{"--material", hex.EncodeToString(k.material)}, {"--message-key", hex.EncodeToString(k.key[:])},
	} {
		out, msg, err := decrypt(t, append([]string{"open", blob, "--context", `{"a": "y", "ü": "x"}`}, key...)...)
		if err != nil || out != plaintext {
			t.Errorf("%s: %q, %v %s", key[0], out, err, msg)
		}
	}

	out, msg, err = decrypt(t, "open", blob, "--context", `{"a": "y"}`, "--material", hex.EncodeToString(k.material))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || out != "" || !strings.Contains(msg, "not valid") {
		t.Errorf("a wrong context: %q, %v %s", out, err, msg)
	}
}
