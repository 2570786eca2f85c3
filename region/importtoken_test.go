package region

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/trentkms/trent/region/shape"
)

func aToken() *importToken {
	return &importToken{
		Domain: 3, ValidTo: 1_800_000_000_000, Algorithm: shape.WrappingAlgorithmRSAAESSHA256, KeySpec: shape.WrappingKeySpecRSA4096,
		Account: labAccount, KeyID: "1234abcd-12ab-34cd-56ef-1234567890ab", Region: "us-east-1",
		Public: bytes.Repeat([]byte{0x30}, 550), Blob: bytes.Repeat([]byte{0xa5}, 2400),
	}
}

func TestImportTokenRoundTrip(t *testing.T) {
	token := aToken()
	b := token.encode()
	if len(b) > 6144 {
		t.Errorf("%d bytes, the model allows 6144", len(b))
	}
	got, err := parseImportToken(b)
	if err != nil || !reflect.DeepEqual(got, token) {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range len(b) - len(token.Blob) + 1 { // without a blob there is no token
		if _, err := parseImportToken(b[:n]); err == nil {
			t.Fatalf("the first %d bytes are a token", n)
		}
	}
}

// TestImportTokenBinding: every field is part of what the private key is bound to.
func TestImportTokenBinding(t *testing.T) {
	seen := map[string]string{string(aToken().binding()): "nothing"}
	for what, change := range map[string]func(*importToken){
		"domain": func(t *importToken) { t.Domain++ }, "validity": func(t *importToken) { t.ValidTo++ },
		"algorithm": func(t *importToken) { t.Algorithm = shape.WrappingAlgorithmRSAAESSHA1 },
		"spec":      func(t *importToken) { t.KeySpec = shape.WrappingKeySpecRSA2048 },
		"account":   func(t *importToken) { t.Account = "444455556666" },
		"key":       func(t *importToken) { t.KeyID = "1234abcd-12ab-34cd-56ef-1234567890ac" },
		"region":    func(t *importToken) { t.Region = "us-east-2" },
		"borders":   func(t *importToken) { t.Account, t.KeyID = t.Account+"1", t.KeyID[1:] },
	} {
		token := aToken()
		change(token)
		if same, there := seen[string(token.binding())]; there {
			t.Errorf("changing %s binds like changing %s", what, same)
		}
		seen[string(token.binding())] = what
	}
}

// FuzzParseImportToken: what parses is exactly what encode makes, and nothing panics.
func FuzzParseImportToken(f *testing.F) {
	good := aToken().encode()
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte(tokenMagic))
	f.Add(good[:40])
	f.Add(append([]byte(tokenMagic), bytes.Repeat([]byte{0xff}, 64)...))
	f.Add((&importToken{Blob: []byte{1}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := parseImportToken(b)
		if err != nil {
			if token != nil {
				t.Error("an error with a token")
			}
			return
		}
		if again := token.encode(); !bytes.Equal(again, b) {
			t.Errorf("%x parses and encodes to %x", b, again)
		}
	})
}
