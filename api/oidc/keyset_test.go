package oidc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestKeySets(t *testing.T) {
	ec, ed := newSigner(t, "ES256", "ec"), newSigner(t, "EdDSA", "ed")
	good := ec.jwk("")
	for what, c := range map[string]struct {
		text string
		ids  []string // nil: refused
	}{
		"two":                {setOf(good, ed.jwk("")), []string{"ec", "ed"}},
		"unknown kinds":      {setOf(`{"kty":"oct","k":"AA","kid":"h"}`, `{"kty":"XX"}`, good), []string{"ec"}},
		"for encryption":     {setOf(ed.jwk(`,"use":"enc"`), good), []string{"ec"}},
		"not to verify":      {setOf(ed.jwk(`,"key_ops":["encrypt"]`), good), []string{"ec"}},
		"to verify":          {setOf(ed.jwk(`,"key_ops":["verify"]`)), []string{"ed"}},
		"more members":       {`{"x":1,"keys":[` + good + `]}`, []string{"ec"}},
		"without id":         {setOf((&signer{"ES256", "", ec.key}).jwk("")), []string{""}},
		"none of use":        {setOf(`{"kty":"oct","k":"AA"}`), nil},
		"empty":              {setOf(), nil},
		"no list":            {`{"keys":{}}`, nil},
		"no member":          {`{}`, nil},
		"not JSON":           {`keys`, nil},
		"list twice":         {`{"keys":[` + good + `],"keys":[]}`, nil},
		"private":            {setOf(good, ed.jwk(`,"d":"AA"`)), nil},
		"member twice":       {setOf(good, ed.jwk(`,"kid":"x"`)), nil},
		"off the curve":      {setOf(strings.Replace(good, `"y":"`, `"y":"AAAA`, 1)), nil},
		"point at infinity":  {setOf(`{"kty":"EC","crv":"P-256","x":"` + b64.EncodeToString(make([]byte, 32)) + `","y":"` + b64.EncodeToString(make([]byte, 32)) + `"}`), nil},
		"short Ed25519":      {setOf(`{"kty":"OKP","crv":"Ed25519","x":"AA"}`), nil},
		"X25519":             {setOf(strings.Replace(ed.jwk(""), "Ed25519", "X25519", 1)), nil},
		"another curve":      {setOf(strings.Replace(good, "P-256", "P-384", 1)), nil},
		"too many":           {setOf(slices.Repeat([]string{good}, maxKeys+1)...), nil},
		"too large":          {strings.Repeat(" ", MaxKeySet) + setOf(good), nil},
		"RSA of 1024 bits":   {setOf(`{"kty":"RSA","e":"AQAB","n":"` + b64.EncodeToString(append([]byte{0x80}, make([]byte, 127)...)) + `"}`), nil},
		"RSA of 16384 bits":  {setOf(`{"kty":"RSA","e":"AQAB","n":"` + b64.EncodeToString(append(slices.Repeat([]byte{0x80}, 2047), 1)) + `"}`), nil},
		"RSA, even":          {setOf(`{"kty":"RSA","e":"AQAB","n":"` + b64.EncodeToString(append([]byte{0x80}, make([]byte, 255)...)) + `"}`), nil},
		"RSA, exponent 1":    {setOf(`{"kty":"RSA","e":"AQ","n":"` + b64.EncodeToString(rsaKey0().N.Bytes()) + `"}`), nil},
		"RSA, huge exponent": {setOf(`{"kty":"RSA","e":"AQAAAAAB","n":"` + b64.EncodeToString(rsaKey0().N.Bytes()) + `"}`), nil},
	} {
		s, err := ParseKeySet([]byte(c.text))
		switch {
		case c.ids == nil && !errors.Is(err, ErrKeySet):
			t.Errorf("%s: %v", what, err)
		case c.ids != nil && (err != nil || !slices.Equal(s.IDs(), c.ids)):
			t.Errorf("%s: %v, want %q", what, err, c.ids)
		}
	}
}

func TestWhichKey(t *testing.T) {
	a, b := newSigner(t, "ES256", "a"), newSigner(t, "ES256", "b")
	set := parsedSet(t, setOf(a.jwk(""), b.jwk("")))
	nameless := &signer{"ES256", "", b.key}
	for what, c := range map[string]struct {
		header string
		by     *signer
		want   error
	}{
		"by its id":         {a.header(), a, nil},
		"another's id":      {a.header(), b, ErrSignature},
		"unknown id":        {`{"alg":"ES256","kid":"c"}`, a, ErrNoKey},
		"no id":             {`{"alg":"ES256"}`, nameless, nil},
		"no id, unknown":    {`{"alg":"ES256"}`, newSigner(t, "ES256", ""), ErrNoKey},
		"id of another alg": {`{"alg":"ES384","kid":"a"}`, a, ErrNoKey},
	} {
		if _, err := verified(set, c.by.token(t, c.header, claimsWith(t, nil))); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	only := parsedSet(t, setOf(a.jwk(`,"alg":"ES384"`)))
	if _, err := verified(only, a.good(t, nil)); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key for another algorithm: %v", err)
	}
}

// TestTriesAreBounded: a token without a key id is not worth a hundred verifications.
func TestTriesAreBounded(t *testing.T) {
	var keys []string
	for i := range maxTries {
		keys = append(keys, newSigner(t, "ES256", fmt.Sprint(i)).jwk(""))
	}
	last := newSigner(t, "ES256", "")
	if _, err := verified(parsedSet(t, setOf(append(keys, last.jwk(""))...)), last.token(t, `{"alg":"ES256"}`, claimsWith(t, nil))); !errors.Is(err, ErrNoKey) {
		t.Errorf("the key after %d others: %v", maxTries, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		s := newSigner(b, alg, "k")
		set, text := parsedSet(b, setOf(s.jwk(""))), s.good(b, nil)
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if _, err := verified(set, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
