package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func newProvider(account string, n int, was uint64) *PutOIDCProvider {
	return &PutOIDCProvider{OIDCProvider{
		Account: account, URL: fmt.Sprint("idp.example/", n), ID: fmt.Sprint("OIDC", n), CreatedAt: now0, ClientIDs: []string{"a", "b"},
	}, was}
}

// oidcProvider draws a put or a removal.
func (c chance) oidcProvider() Body {
	p := newProvider(account1, c.Intn(3), 0)
	was := c.s.Version(Read{Doc: DocOIDCProvider, Account: account1, Name: p.Provider.URL})
	if c.Intn(3) == 0 {
		return &DeleteOIDCProvider{account1, p.Provider.URL, was}
	}
	p.Was, p.Provider.Keys = was, []string{"", "{}"}[c.Intn(2)]
	return p
}

func TestApplyOIDCProviders(t *testing.T) {
	many := make([]Body, MaxOIDCProviders)
	for n := range many {
		many[n] = newProvider(account1, n+1000, 0)
	}
	runApply(t, []applyCase{
		{name: "adds", body: newProvider(account1, 1, 0), after: func(t *testing.T, l *lab) {
			p := l.state().OIDCProvider(account1, "idp.example/1")
			eq(t, "version", p.Version, l.index)
			eq(t, "of another account", l.state().OIDCProvider(account2, "idp.example/1"), nil)
			eq(t, "of a longer name", l.state().OIDCProvider(account1, "idp.example/"), nil)
		}},
		{name: "replaces", setup: []Body{newProvider(account1, 1, 0)}, body: changed(newProvider(account1, 1, first1), func(c *PutOIDCProvider) {
			c.Provider.Keys, c.Provider.CreatedAt = "{}", 5
		}), after: func(t *testing.T, l *lab) {
			p := l.state().OIDCProvider(account1, "idp.example/1")
			eq(t, "keys", p.Keys, "{}")
			eq(t, "created", p.CreatedAt, now0)
		}},
		{name: "another account, same URL", setup: []Body{newProvider(account1, 1, 0)}, body: newProvider(account2, 1, 0)},
		{name: "taken", setup: []Body{newProvider(account1, 1, 0)}, body: newProvider(account1, 1, 0), code: Stale, detail: "the provider has changed"},
		{name: "changed since", setup: []Body{newProvider(account1, 1, 0)}, body: newProvider(account1, 1, 1), code: Stale, detail: "the provider has changed"},
		{name: "made again since", setup: []Body{newProvider(account1, 1, 0)}, body: changed(newProvider(account1, 1, first1), func(c *PutOIDCProvider) { c.Provider.ID = "OIDC9" }),
			code: Conflict, detail: "the provider is another one"},
		{name: "gone", body: newProvider(account1, 1, 1), code: Conflict, detail: "the provider does not exist"},
		{name: "unknown account", body: newProvider("777788889999", 1, 0), code: Conflict, detail: "the account does not exist"},
		{name: "quota", setup: many, body: newProvider(account1, 1, 0), code: Stale, detail: "the account's providers are at the quota"},
		{name: "quota of another account", setup: many, body: newProvider(account2, 1, 0)},
		{name: "removes", setup: []Body{newProvider(account1, 1, 0), newProvider(account1, 2, 0)}, body: &DeleteOIDCProvider{account1, "idp.example/1", first1},
			after: func(t *testing.T, l *lab) {
				var left []string
				for p := range l.state().OIDCProviders(account1) {
					left = append(left, p.URL)
				}
				eq(t, "left", slices.Clone(left), []string{"idp.example/2"})
			}},
		{name: "removes what has changed", setup: []Body{newProvider(account1, 1, 0)}, body: &DeleteOIDCProvider{account1, "idp.example/1", 1}, code: Stale, detail: "the provider has changed"},
		{name: "absent", body: &DeleteOIDCProvider{account1, "idp.example/1", 1}, code: Conflict, detail: "the provider does not exist"},
	})
}

func TestOIDCProviderBounds(t *testing.T) {
	for want, change := range map[string]func(*OIDCProvider){
		"URL of 0 bytes":          func(p *OIDCProvider) { p.URL = "" },
		"URL has a character":     func(p *OIDCProvider) { p.URL = "a\x00b" },
		"client ids out of order": func(p *OIDCProvider) { p.ClientIDs = []string{"b", "a"} },
		"no SHA-1 digest":         func(p *OIDCProvider) { p.Thumbprints = []string{"abc"} },
		"6 thumbprints": func(p *OIDCProvider) {
			for n := range 6 {
				p.Thumbprints = append(p.Thumbprints, strings.Repeat(fmt.Sprint(n), 40))
			}
		},
		"length of the key set": func(p *OIDCProvider) { p.Keys = strings.Repeat("x", maxKeySet+1) },
		"account is not":        func(p *OIDCProvider) { p.Account = "1" },
	} {
		body := newProvider(account1, 1, 0)
		change(&body.Provider)
		if _, err := Encode(Command{Body: body}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
