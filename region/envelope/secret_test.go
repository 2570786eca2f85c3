package envelope_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/trentkms/trent/region/envelope"
)

// softPRF is a domain key's PRF over a key in memory, framed as package hsm frames it.
func softPRF(key []byte) envelope.PRF {
	return func(_ context.Context, label string, input []byte) (out [32]byte, err error) {
		h := hmac.New(sha256.New, key)
		h.Write(append([]byte{byte(len(label))}, label...))
		h.Write(input)
		h.Sum(out[:0])
		return out, nil
	}
}

var domainKey = bytes.Repeat([]byte{5}, 32)

func sealSecret(t testing.TB, binding, secret string) []byte {
	t.Helper()
	sealed, err := envelope.SealSecret(context.Background(), softPRF(domainKey), []byte(binding), []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSecretRoundTrip(t *testing.T) {
	for _, n := range []int{1, 40, envelope.MaxSecret} {
		secret := string(bytes.Repeat([]byte{'s'}, n))
		sealed := sealSecret(t, "access-key", secret)
		if len(sealed) != n+envelope.SecretOverhead {
			t.Errorf("%d bytes become %d", n, len(sealed))
		}
		got, err := envelope.OpenSecret(context.Background(), softPRF(domainKey), []byte("access-key"), sealed)
		if err != nil || string(got) != secret {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, envelope.MaxSecret + 1} {
		if _, err := envelope.SealSecret(context.Background(), softPRF(domainKey), nil, make([]byte, n)); err == nil || errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := envelope.SealSecret(context.Background(), nil, nil, []byte("x")); err == nil {
		t.Error("sealed without a domain key")
	}
}

func TestSecretRefusesEveryChange(t *testing.T) {
	sealed := sealSecret(t, "access-key", "wJalrXUtnFEMI")
	refused := func(what string, prf envelope.PRF, binding string, b []byte) {
		t.Helper()
		if got, err := envelope.OpenSecret(context.Background(), prf, []byte(binding), b); err != envelope.ErrInvalid || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	prf := softPRF(domainKey)
	refused("other binding", prf, "access-kez", sealed)
	refused("no binding", prf, "", sealed)
	refused("longer binding", prf, "access-key1", sealed)
	refused("other domain key", softPRF(bytes.Repeat([]byte{6}, 32)), "access-key", sealed)
	refused("extension", prf, "access-key", append(bytes.Clone(sealed), 0))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x10
		refused("bit flip", prf, "access-key", changed)
		refused("truncation", prf, "access-key", sealed[:i])
	}
}

// TestSecretsAndMessagesAreApart: even with one HMAC key for both, neither opens as the other.
func TestSecretsAndMessagesAreApart(t *testing.T) {
	blob := seal(t, header(t, account, uuid, materialID), ec(), []byte("a message that is long enough"))
	if _, err := envelope.OpenSecret(context.Background(), softPRF(material), nil, blob); err != envelope.ErrInvalid {
		t.Errorf("%v", err)
	}
	if _, err := envelope.Parse(append(sealSecret(t, "b", "s"), make([]byte, 100)...)); err != envelope.ErrInvalid {
		t.Errorf("%v", err)
	}
}
