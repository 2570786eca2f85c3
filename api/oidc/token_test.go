package oidc

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEveryAlgorithm(t *testing.T) {
	var keys []string
	signers := make(map[string]*signer)
	for alg := range algorithms {
		signers[alg] = newSigner(t, alg, "key-"+alg)
		keys = append(keys, signers[alg].jwk(`,"use":"sig"`))
	}
	set := parsedSet(t, setOf(keys...))
	if len(signers) != 10 {
		t.Fatalf("%d algorithms", len(signers))
	}
	for alg, s := range signers {
		text := s.good(t, nil)
		if _, err := verified(set, text); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		dot := strings.LastIndexByte(text, '.')
		sig, _ := b64.DecodeString(text[dot+1:])
		for _, bad := range [][]byte{append([]byte{1}, sig...), sig[1:], make([]byte, len(sig)), flipped(sig)} {
			if _, err := verified(set, text[:dot+1]+b64.EncodeToString(bad)); !errors.Is(err, ErrSignature) {
				t.Errorf("%s with another signature: %v", alg, err)
			}
		}
		// The header's algorithm is part of what was signed and of what the key is for.
		for other := range algorithms {
			if other == alg {
				continue
			}
			o := &signer{alg, s.kid, s.key}
			header := fmt.Sprintf(`{"alg":%q,"kid":%q}`, other, s.kid)
			if _, err := verified(set, o.token(t, header, claimsWith(t, nil))); !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrSignature) {
				t.Errorf("signed by %s, said to be by %s: %v", alg, other, err)
			}
		}
	}
}

func flipped(b []byte) []byte {
	c := append([]byte(nil), b...)
	c[len(c)/2] ^= 1
	return c
}

// TestNoConfusion: no token without a signature, and none whose secret is a public key.
func TestNoConfusion(t *testing.T) {
	s := newSigner(t, "RS256", "k")
	set := parsedSet(t, setOf(s.jwk("")))
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte(s.jwk("")), s.key.Public().(*rsa.PublicKey).N.Bytes()}
	for _, secret := range secrets {
		for _, alg := range []string{"HS256", "hs256", "RS256"} {
			text := b64.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"kid":"k"}`, alg)) + "." + b64.EncodeToString([]byte(claimsWith(t, nil)))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(text))
			if _, err := verified(set, text+"."+b64.EncodeToString(mac.Sum(nil))); err == nil {
				t.Errorf("%s under a public key was accepted", alg)
			}
		}
	}
	for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `""`, `null`, `["RS256"]`, `"rs256"`} {
		text := b64.EncodeToString([]byte(`{"kid":"k","alg":`+alg+`}`)) + "." + b64.EncodeToString([]byte(claimsWith(t, nil))) + "."
		for _, sig := range []string{"", "AA", b64.EncodeToString(s.sign(t, strings.TrimSuffix(text, ".")))} {
			if _, err := verified(set, text+sig); !errors.Is(err, ErrMalformed) {
				t.Errorf("alg %s, signature %q: %v", alg, sig, err)
			}
		}
	}
}

func TestMalformedTokens(t *testing.T) {
	s := newSigner(t, "ES256", "k")
	good := s.good(t, nil)
	claims := claimsWith(t, nil)
	head, rest, _ := strings.Cut(good, ".")
	for what, text := range map[string]string{
		"empty":                   "",
		"two parts":               head + ".x",
		"four parts":              good + ".x",
		"five parts":              good + ".x.y",
		"no header":               "." + rest,
		"padding":                 head + "=." + rest,
		"line end":                head + "\n." + rest,
		"line end in the payload": head + ".\r\n" + rest,
		"standard alphabet":       head + "+." + rest,
		"stray bits":              good[:len(good)-1] + "B",
		"long":                    head + "." + strings.Repeat("A", MaxToken) + ".AA",
		"no object":               s.token(t, s.header(), `[1]`),
		"more than one":           s.token(t, s.header(), claims+`{}`),
		"claim twice":             s.token(t, s.header(), `{"sub":"x",`+claims[1:]),
		"claim twice, escaped":    s.token(t, s.header(), `{"\u0073ub":"x",`+claims[1:]),
		"not UTF-8":               s.token(t, s.header(), "{\"x\":\"\xff\","+claims[1:]),
		"header twice":            s.token(t, `{"alg":"ES256","alg":"ES256"}`, claims),
		"critical":                s.token(t, `{"alg":"ES256","kid":"k","crit":["b64"],"b64":false}`, claims),
		"critical, empty":         s.token(t, `{"alg":"ES256","kid":"k","crit":[]}`, claims),
		"kid no text":             s.token(t, `{"alg":"ES256","kid":7}`, claims),
		"alg in capitals":         s.token(t, `{"ALG":"ES256","kid":"k"}`, claims),
		"deep":                    s.token(t, s.header(), `{"x":`+strings.Repeat("[", 12_000)+`}`),
		"many members":            s.token(t, s.header(), manyMembers()),
	} {
		if _, err := Parse(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Parse(good); err != nil {
		t.Error(err)
	}
}

func manyMembers() string {
	s := "{"
	for i := range maxMembers + 1 {
		s += fmt.Sprintf(`"%d":1,`, i)
	}
	return s[:len(s)-1] + "}"
}

// TestKeysOfTheTokenAreIgnored: what a token brings to verify itself with counts for nothing.
func TestKeysOfTheTokenAreIgnored(t *testing.T) {
	right, wrong := newSigner(t, "ES256", "k"), newSigner(t, "ES256", "k")
	set := parsedSet(t, setOf(right.jwk("")))
	header := `{"alg":"ES256","kid":"k","jwk":` + wrong.jwk("") + `,"jku":"https://evil.example/keys","x5u":"https://evil.example","x5c":["AA=="]}`
	if _, err := verified(set, wrong.token(t, header, claimsWith(t, nil))); !errors.Is(err, ErrSignature) {
		t.Errorf("a token with its own key: %v", err)
	}
	if _, err := verified(set, right.token(t, header, claimsWith(t, nil))); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	s := newSigner(f, "ES256", "k")
	f.Add(s.good(f, nil))
	f.Add(s.good(f, map[string]any{"aud": []string{"a", "b"}, "azp": "a", tagsClaim: map[string]any{"principal_tags": map[string][]string{"k": {"v"}}, "transitive_tag_keys": []string{"k"}}}))
	f.Add("e30.e30.AA")
	f.Add(s.token(f, `{"alg":"none"}`, `{}`))
	set := parsedSet(f, setOf(s.jwk("")))
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, ok := algorithms[tok.algorithm.name]; !ok {
			t.Fatal("an algorithm that does not exist")
		}
		if text != tok.signed+"."+b64.EncodeToString(tok.signature) {
			t.Fatal("a token that is written in two ways")
		}
		_ = set.Verify(tok)
		c, err := tok.Check(tok.Issuer(), []string{"sts.amazonaws.com", "a"}, now0)
		if (c == nil) == (err == nil) {
			t.Fatalf("%+v, %v", c, err)
		}
		if err == nil && (c.Subject == "" || c.Issuer == "" || len(c.Audience) == 0 || !now0.Before(c.Expires)) {
			t.Fatalf("accepted %+v", c)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		f.Add([]byte(setOf(newSigner(f, alg, "k").jwk(`,"use":"sig","key_ops":["verify"]`))))
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	tok, err := Parse(newSigner(f, "RS256", "").good(f, nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseKeySet(data)
		if err != nil {
			return
		}
		if len(s.keys) == 0 || len(s.keys) > maxKeys || len(s.IDs()) != len(s.keys) {
			t.Fatalf("%d keys", len(s.keys))
		}
		_ = s.Verify(tok)
	})
}
