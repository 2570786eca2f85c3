package fsm

import (
	"errors"
	"fmt"
	"iter"
)

// OIDCProvider is an OpenID Connect provider of an account: an issuer of tokens whose bearers may assume roles of the account. It
// is put as a whole, like Identity.
type OIDCProvider struct {
	Account string `cbor:"1,keyasint"`
	// URL is the issuer without "https://", as in the provider's ARN.
	URL string `cbor:"2,keyasint"`
	// ID tells a provider from a later one of the same URL; sessions are bound to it.
	ID        string `cbor:"3,keyasint"`
	CreatedAt int64  `cbor:"4,keyasint"`
	// ClientIDs are the audiences that tokens may be for, sorted.
	ClientIDs []string `cbor:"5,keyasint,omitempty"`
	// Thumbprints are SHA-1 digests in hex of certificates that the issuer's chain may end in, sorted.
	Thumbprints []string `cbor:"6,keyasint,omitempty"`
	// Keys is the issuer's key set (RFC 7517), as it was put, where none is to be fetched; "" is to fetch it.
	Keys string `cbor:"7,keyasint,omitempty"`
	Tags []Tag  `cbor:"8,keyasint,omitempty"`

	// Version is the index of the last change.
	Version uint64 `cbor:"30,keyasint"`
}

// LevelProviders is the feature level that introduced OpenID Connect providers.
const LevelProviders = 2

// Bounds of a provider, IAM's.
const (
	MaxOIDCProviders = 100 // of an account
	maxProviderURL   = 255
	maxClientIDs     = 100
	maxThumbprints   = 5
	maxKeySet        = 64 << 10
)

// PutOIDCProvider adds a provider, or replaces the row whose version was Was (0 = it must be new).
type PutOIDCProvider struct {
	Provider OIDCProvider `cbor:"1,keyasint"`
	Was      uint64       `cbor:"2,keyasint,omitempty"`
}

// DeleteOIDCProvider removes a provider whose version is Was.
type DeleteOIDCProvider struct {
	Account string `cbor:"1,keyasint"`
	URL     string `cbor:"2,keyasint"`
	Was     uint64 `cbor:"3,keyasint"`
}

// Kind implements Body.
func (PutOIDCProvider) Kind() Kind    { return KindPutOIDCProvider }
func (DeleteOIDCProvider) Kind() Kind { return KindDeleteOIDCProvider }

func (p *OIDCProvider) primary() []byte { return name2(nil, p.Account, p.URL) }

func (v *view) oidcProvider(account, url string) *OIDCProvider {
	l := v.lookup()
	l.key = name2(l.key[:0], account, url)
	return first[OIDCProvider](v, tableOIDCProviders, l)
}

func (v *view) oidcProviders(account string) iter.Seq[*OIDCProvider] {
	return while(from[OIDCProvider](v, tableOIDCProviders, indexID, name2(nil, account, "")),
		func(p *OIDCProvider) bool { return p.Account == account })
}

// OIDCProvider returns the provider of an issuer, given without "https://", nil if the account has none.
func (s *State) OIDCProvider(account, url string) *OIDCProvider { return s.oidcProvider(account, url) }

// OIDCProviders yields an account's providers, ordered by URL.
func (s *State) OIDCProviders(account string) iter.Seq[*OIDCProvider] {
	return s.oidcProviders(account)
}

func (p *OIDCProvider) check() error {
	for i, t := range p.Thumbprints {
		if len(t) != 40 || i > 0 && p.Thumbprints[i-1] >= t {
			return errors.New("thumbprints out of order, or one that is no SHA-1 digest")
		}
	}
	if len(p.ClientIDs) > maxClientIDs || len(p.Thumbprints) > maxThumbprints {
		return fmt.Errorf("%d client ids and %d thumbprints", len(p.ClientIDs), len(p.Thumbprints))
	}
	return errors.Join(
		checkAccount(p.Account), checkName("URL", p.URL, maxProviderURL), checkName("unique id", p.ID, maxID),
		checkTime("CreatedAt", p.CreatedAt), checkSorted("client ids", p.ClientIDs, maxProviderURL),
		checkLength("length of the key set", len(p.Keys), maxKeySet), checkTags(p.Tags),
	)
}

func (c *PutOIDCProvider) check() error { return c.Provider.check() }

// applyPutOIDCProvider adds a provider or replaces the row that the proposer saw.
func applyPutOIDCProvider(t *tx, c *PutOIDCProvider) outcome {
	p := c.Provider
	old := t.oidcProvider(p.Account, p.URL)
	switch {
	case t.account(p.Account) == nil:
		return conflict("the account does not exist")
	case old == nil && c.Was != 0:
		return conflict("the provider does not exist")
	case old != nil && old.Version != c.Was:
		return stale("the provider has changed")
	case old != nil && old.ID != p.ID:
		return conflict("the provider is another one")
	}
	if old != nil {
		p.CreatedAt = old.CreatedAt
	} else {
		n := 0
		for range t.oidcProviders(p.Account) {
			n++
		}
		if n >= MaxOIDCProviders {
			return stale("the account's providers are at the quota")
		}
	}
	p.Version = t.index
	t.put(tableOIDCProviders, &p)
	return done(p.ID)
}

func (c *DeleteOIDCProvider) check() error {
	return errors.Join(checkAccount(c.Account), checkName("URL", c.URL, maxProviderURL))
}

func applyDeleteOIDCProvider(t *tx, c *DeleteOIDCProvider) outcome {
	old := t.oidcProvider(c.Account, c.URL)
	switch {
	case old == nil:
		return conflict("the provider does not exist")
	case old.Version != c.Was:
		return stale("the provider has changed")
	}
	t.remove(tableOIDCProviders, old)
	t.gone(old.ref())
	return done()
}
