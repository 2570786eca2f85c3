package oidc

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// MaxToken is the longest token, in bytes: STS's.
const MaxToken = 20_000

// Token is a parsed token whose signature and claims nobody has checked yet. It is immutable.
type Token struct {
	algorithm algorithm
	keyID     string // "" if the token names none
	claims    object
	signed    string // header and claims as they were signed
	signature []byte
}

// Parse reads the compact form of a signed token. The error is an [ErrMalformed].
func Parse(text string) (*Token, error) {
	if len(text) > MaxToken {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(text))
	}
	head, rest, _ := strings.Cut(text, ".")
	body, sig, ok := strings.Cut(rest, ".")
	if !ok || head == "" || body == "" || sig == "" {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	header, err := part(head)
	if err != nil {
		return nil, err
	}
	t := &Token{signed: text[:len(head)+1+len(body)]}
	if err := t.header(header); err != nil {
		return nil, err
	}
	claims, err := part(body)
	if err != nil {
		return nil, err
	}
	if t.claims, err = parseObject(claims); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	t.signature, err = part(sig)
	return t, err
}

// header reads what decides how the token is verified. Of a header that would have to be understood (crit) nothing is.
func (t *Token) header(data []byte) error {
	o, err := parseObject(data)
	if err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	name, _, ok := o.text("alg")
	if !ok {
		return fmt.Errorf("%w: alg", ErrMalformed)
	}
	if t.algorithm, ok = algorithms[name]; !ok {
		return fmt.Errorf("%w: its algorithm is not accepted", ErrMalformed)
	}
	if _, critical := o["crit"]; critical {
		return fmt.Errorf("%w: critical header parameters", ErrMalformed)
	}
	if t.keyID, _, ok = o.text("kid"); !ok {
		return fmt.Errorf("%w: kid", ErrMalformed)
	}
	return nil
}

// part decodes base64url without padding. The decoder of the standard library passes over line ends, so the alphabet is checked
// first.
func part(s string) ([]byte, error) {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
		}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return b, nil
}

// Issuer is the issuer that the token names, unverified: it says whose keys to look for. "" if it names none.
func (t *Token) Issuer() string {
	s, _, _ := t.claims.text("iss")
	return s
}
