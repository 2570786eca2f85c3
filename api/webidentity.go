package api

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/trentkms/trent/api/oidc"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/iamfault"
)

// bearers finds out who brings a provider's token. Providers are looked up in the state of each request; what is remembered are
// keys.
type bearers struct {
	service *region.Service
	log     *slog.Logger
	source  *oidc.Source
	// warned limits the log's lines about issuers that cannot be asked: whoever can reach the node can cause them.
	warned lineLimit

	mu sync.Mutex
	// offline are the parsed key sets of the providers that have one, by its text; at most maxOffline.
	offline map[string]*oidc.KeySet
}

// maxOffline bounds the parsed key sets that are kept: when they are more, they are parsed anew.
const maxOffline = 128

// bearer verifies the token of a request that has no signature and returns the caller that it makes.
func (b *bearers) bearer(ctx context.Context, st *fsm.State, in region.Bearer, now time.Time) (*region.Caller, error) {
	if err := b.service.FreshIdentities(st); err != nil {
		return nil, err
	}
	account, secret := in.Bearer()
	token, err := oidc.Parse(string(secret.Bytes()))
	if err != nil {
		return nil, b.refuse(nil, err)
	}
	issuer := token.Issuer()
	url, _ := strings.CutPrefix(issuer, "https://")
	p := st.OIDCProvider(account, url)
	if p == nil || issuer == url {
		return nil, iamfault.InvalidIdentityToken("No OpenIDConnect provider found in your account for %.256s", issuer)
	}
	if err := b.verify(ctx, p, token); err != nil {
		return nil, b.refuse(p, err)
	}
	claims, err := token.Check("https://"+p.URL, p.ClientIDs, now)
	if err != nil {
		return nil, b.refuse(p, err)
	}
	return b.caller(p, claims), nil
}

// verify checks the signature under the provider's own key set, or under the keys that its issuer publishes.
func (b *bearers) verify(ctx context.Context, p *fsm.OIDCProvider, t *oidc.Token) error {
	if p.Keys == "" {
		return b.source.Verify(ctx, oidc.Issuer{URL: "https://" + p.URL, Account: p.Account, Thumbprints: p.Thumbprints}, t)
	}
	set, err := b.keySet(p.Keys)
	if err != nil {
		return err
	}
	return set.Verify(t)
}

// keySet parses a key set once.
func (b *bearers) keySet(text string) (*oidc.KeySet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if set := b.offline[text]; set != nil {
		return set, nil
	}
	set, err := oidc.ParseKeySet([]byte(text))
	if err != nil {
		return nil, err
	}
	if b.offline == nil || len(b.offline) >= maxOffline {
		b.offline = make(map[string]*oidc.KeySet)
	}
	b.offline[text] = set
	return set, nil
}

// refuse says in the words of STS why a token is refused, and tells the operator.
func (b *bearers) refuse(p *fsm.OIDCProvider, err error) error {
	name := ""
	if p != nil {
		name = p.URL
	}
	said := iamfault.InvalidIdentityToken("The web identity token that was passed could not be validated.")
	switch {
	case errors.Is(err, oidc.ErrExpired):
		said = iamfault.ExpiredToken("Token expired: the current time must be before the expiration time of the token.")
	case errors.Is(err, oidc.ErrNotYet):
		said = iamfault.InvalidIdentityToken("The web identity token is not valid yet.")
	case errors.Is(err, oidc.ErrAudience):
		said = iamfault.InvalidIdentityToken("Incorrect token audience")
	case errors.Is(err, oidc.ErrFetch):
		if more, ok := b.warned.next(time.Now()); ok {
			b.log.Warn("the keys of an identity provider cannot be fetched", "provider", name, "error", err, "notShown", more)
		}
		said = iamfault.IDPCommunicationError("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case errors.Is(err, oidc.ErrNoKey):
		said = iamfault.InvalidIdentityToken("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case errors.Is(err, oidc.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Unavailable(err)
	case errors.Is(err, oidc.ErrKeySet):
		return fault.Internal(err) // it was parsed when it was put
	}
	b.log.Debug("web identity token refused", "provider", name, "reason", err)
	return said
}

// caller is the bearer of a verified token.
func (b *bearers) caller(p *fsm.OIDCProvider, c *oidc.Claims) *region.Caller {
	w := &region.WebIdentity{
		Provider: p, ProviderARN: b.service.ProviderARN(p), Subject: c.Subject, Audience: c.Audience, Claims: c.Values,
		SourceIdentity: c.SourceIdentity, Transitive: c.Transitive,
	}
	for _, t := range c.Tags {
		w.Tags = append(w.Tags, region.IAMTag{Key: t.Key, Value: t.Value})
	}
	return &region.Caller{
		Kind: region.PrincipalWebIdentity, Account: p.Account, ARN: w.ProviderARN, UserName: c.Subject, Web: w,
		PrincipalID: w.ProviderARN + ":" + strings.Join(c.Audience, " ") + ":" + c.Subject,
	}
}

// CheckIssuer implements region.Edge.
func (e *edge) CheckIssuer(url string) error { return oidc.CheckURL(url) }

// CheckKeySet implements region.Edge.
func (e *edge) CheckKeySet(text string) error {
	_, err := oidc.ParseKeySet([]byte(text))
	return err
}
