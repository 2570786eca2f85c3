package oidc

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestClaims(t *testing.T) {
	s := newSigner(t, "ES256", "k")
	clients := []string{"other.example", "sts.amazonaws.com"}
	at := now0.Unix()
	for _, c := range []struct {
		what    string
		changed map[string]any
		want    error
	}{
		{"as usual", nil, nil},
		{"several audiences, one registered", map[string]any{"aud": []string{"x", "sts.amazonaws.com"}}, nil},
		{"asked for by a registered client", map[string]any{"aud": []string{"x", "sts.amazonaws.com"}, "azp": "other.example"}, nil},
		{"asked for by somebody else", map[string]any{"aud": []string{"x", "sts.amazonaws.com"}, "azp": "x"}, ErrAudience},
		{"one audience, asked for by somebody else", map[string]any{"azp": "x"}, nil},
		{"another audience", map[string]any{"aud": "sts.amazonaws.com.evil"}, ErrAudience},
		{"audience in another case", map[string]any{"aud": "STS.amazonaws.com"}, ErrAudience},
		{"registered as the party alone", map[string]any{"aud": "x", "azp": "sts.amazonaws.com"}, ErrAudience},
		{"no audiences", map[string]any{"aud": []string{}}, ErrAudience},
		{"no audience", map[string]any{"aud": nil}, ErrMalformed},
		{"audience is a number", map[string]any{"aud": 1}, ErrMalformed},
		{"audience among numbers", map[string]any{"aud": []any{"sts.amazonaws.com", 1}}, ErrMalformed},
		{"another issuer", map[string]any{"iss": issuer0 + "/"}, ErrIssuer},
		{"no issuer", map[string]any{"iss": nil}, ErrIssuer},
		{"issuer in capitals", map[string]any{"iss": nil, "ISS": issuer0}, ErrIssuer},
		{"issuers", map[string]any{"iss": []string{issuer0}}, ErrIssuer},
		{"no subject", map[string]any{"sub": nil}, ErrMalformed},
		{"empty subject", map[string]any{"sub": ""}, ErrMalformed},
		{"subject is a number", map[string]any{"sub": 7}, ErrMalformed},
		{"long subject", map[string]any{"sub": strings.Repeat("s", 256)}, ErrMalformed},
		{"no end", map[string]any{"exp": nil}, ErrMalformed},
		{"end is a text", map[string]any{"exp": "1800000600"}, ErrMalformed},
		{"end is null", map[string]any{"exp": []any{}}, ErrMalformed},
		{"end beyond all years", map[string]any{"exp": 1e300}, ErrMalformed},
		{"end before all years", map[string]any{"exp": -1}, ErrMalformed},
		{"ends in a second", map[string]any{"exp": at + 1}, nil},
		{"ends now", map[string]any{"exp": at}, ErrExpired},
		{"ended", map[string]any{"exp": at - 1}, ErrExpired},
		{"end with a fraction", map[string]any{"exp": float64(at) + 1.5}, nil},
		{"begins in a minute", map[string]any{"nbf": at + 60, "iat": at + 60}, nil},
		{"begins later", map[string]any{"nbf": at + 61}, ErrNotYet},
		{"issued later", map[string]any{"iat": at + 61}, ErrNotYet},
		{"no beginning", map[string]any{"nbf": nil, "iat": nil}, nil},
		{"beginning is a text", map[string]any{"nbf": "1"}, ErrMalformed},
		{"tags no object", map[string]any{tagsClaim: "x"}, ErrMalformed},
		{"tag with two values", map[string]any{tagsClaim: map[string]any{"principal_tags": map[string]any{"k": []string{"a", "b"}}}}, ErrMalformed},
		{"tag with a number", map[string]any{tagsClaim: map[string]any{"principal_tags": map[string]any{"k": 1}}}, ErrMalformed},
		{"transitive keys no list", map[string]any{tagsClaim: map[string]any{"transitive_tag_keys": 1}}, ErrMalformed},
		{"source identity no text", map[string]any{identityClaim: 1}, ErrMalformed},
	} {
		tok, err := Parse(s.good(t, c.changed))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if got, err := tok.Check(issuer0, clients, now0); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (got == nil) != (err != nil) {
			t.Errorf("%s: %v, %v, want %v", c.what, got, err, c.want)
		}
	}
}

func TestWhatClaimsSay(t *testing.T) {
	s := newSigner(t, "ES256", "k")
	tok, err := Parse(s.good(t, map[string]any{
		"aud": []string{"x", "b", "a", "b"}, "repository": "org/repo", "admin": true, "id": 12, "groups": []string{"g", "h"}, "nested": map[string]any{"a": 1},
		"half": 1.5, "nothing": []any{nil}, "long": strings.Repeat("l", maxValue+1), identityClaim: "alice",
		tagsClaim: map[string]any{"principal_tags": map[string]any{"team": []string{"red"}, "cost": "7"}, "transitive_tag_keys": []string{"team"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := tok.Check(issuer0, []string{"a", "b"}, now0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"aud": {"b", "a"}, "sub": {"system:serviceaccount:ns:sa"}, "repository": {"org/repo"}, "admin": {"true"}, "id": {"12"}, "groups": {"g", "h"},
		"nested": nil, "half": nil, "nothing": nil, "long": nil, "exp": {"1800000600"},
	} {
		if got := c.Values[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if c.SourceIdentity != "alice" || !reflect.DeepEqual(c.Tags, []Tag{{"cost", "7"}, {"team", "red"}}) || !reflect.DeepEqual(c.Transitive, []string{"team"}) {
		t.Errorf("%+v", c)
	}
	if !c.Expires.Equal(now0.Add(10 * time.Minute)) {
		t.Error(c.Expires)
	}
}
