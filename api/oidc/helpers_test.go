package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// now0 is when the tests' tokens are good.
var now0 = time.Unix(1_800_000_000, 0)

const issuer0 = "https://idp.example/a"

// signer signs tokens of one algorithm with one key.
type signer struct {
	alg, kid string
	key      crypto.Signer
}

var rsaKey0 = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newSigner(t testing.TB, alg, kid string) *signer {
	t.Helper()
	var k crypto.Signer
	var err error
	switch alg {
	case "ES256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	default:
		k = rsaKey0()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &signer{alg, kid, k}
}

// sign makes a signature as RFC 7515 wants it.
func (s *signer) sign(t testing.TB, text string) []byte {
	t.Helper()
	a := algorithms[s.alg]
	h := a.digest.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	var sig []byte
	var err error
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		var r, v *big.Int
		r, v, err = ecdsa.Sign(rand.Reader, k, digest)
		size := (a.bits + 7) / 8
		sig = append(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(text))
	case *rsa.PrivateKey:
		if s.alg[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, k, a.digest, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(nil, k, a.digest, digest)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// token signs a header and claims.
func (s *signer) token(t testing.TB, header, claims string) string {
	t.Helper()
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	return text + "." + b64.EncodeToString(s.sign(t, text))
}

func (s *signer) header() string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, s.alg, s.kid) }

// good signs the tests' usual claims with some of them changed; nil removes one.
func (s *signer) good(t testing.TB, changed map[string]any) string {
	t.Helper()
	return s.token(t, s.header(), claimsWith(t, changed))
}

func claimsWith(t testing.TB, changed map[string]any) string {
	t.Helper()
	c := map[string]any{"iss": issuer0, "sub": "system:serviceaccount:ns:sa", "aud": "sts.amazonaws.com", "iat": now0.Unix() - 60, "nbf": now0.Unix() - 60, "exp": now0.Unix() + 600}
	maps.Copy(c, changed)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// jwk is the public key as a JSON Web Key, with members added.
func (s *signer) jwk(more string) string {
	var k string
	switch p := s.key.Public().(type) {
	case *rsa.PublicKey:
		k = fmt.Sprintf(`"kty":"RSA","n":%q,"e":"AQAB"`, b64.EncodeToString(p.N.Bytes()))
	case *ecdsa.PublicKey:
		b, _ := p.Bytes()
		n := (len(b) - 1) / 2
		k = fmt.Sprintf(`"kty":"EC","crv":%q,"x":%q,"y":%q`, p.Curve.Params().Name, b64.EncodeToString(b[1:1+n]), b64.EncodeToString(b[1+n:]))
	case ed25519.PublicKey:
		k = fmt.Sprintf(`"kty":"OKP","crv":"Ed25519","x":%q`, b64.EncodeToString(p))
	}
	if s.kid != "" {
		k += fmt.Sprintf(`,"kid":%q`, s.kid)
	}
	return "{" + k + more + "}"
}

func setOf(keys ...string) string {
	s := `{"keys":[`
	for i, k := range keys {
		if i > 0 {
			s += ","
		}
		s += k
	}
	return s + "]}"
}

func parsedSet(t testing.TB, text string) *KeySet {
	t.Helper()
	s, err := ParseKeySet([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verified parses a token and verifies it under a set.
func verified(s *KeySet, text string) (*Token, error) {
	t, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return t, s.Verify(t)
}
