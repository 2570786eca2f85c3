package oidc

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Limits of fetching keys.
const (
	// fresh is how long keys serve before they are asked for again, stale how long at most if the issuer does not answer.
	fresh = 10 * time.Minute
	stale = time.Hour
	// pause is the least time between two questions to one issuer: a token with an unknown key does not cause more, nor does one
	// whose issuer does not answer.
	pause = 10 * time.Second
	// fetchTimeout bounds one fetch: two questions.
	fetchTimeout = 5 * time.Second
	// maxWaiting bounds the tokens that wait for keys at one time, maxWaitingOf those for issuers of one account: whoever has a role
	// there chooses the issuer, and one that does not answer must not stop the others'.
	maxWaiting   = 256
	maxWaitingOf = 32
	// maxIssuers bounds the issuers whose keys are kept.
	maxIssuers = 1024
)

// Issuer is whom to ask for keys.
type Issuer struct {
	// URL begins with https://.
	URL string
	// Account is whose provider it is.
	Account string
	// Thumbprints are SHA-1 digests, in lower-case hex, of certificates that are trusted in the chain of this issuer's server
	// besides those of the system.
	Thumbprints []string
}

// Source has the keys of issuers. It is safe for concurrent use. Every node has its own: what it remembers is never older than its
// limits say, and which issuers there are is not its business.
type Source struct {
	roots   *x509.CertPool // nil for the system's
	flights singleflight.Group
	now     func() time.Time

	mu        sync.Mutex
	issuer    map[string]*known // by URL and thumbprints
	waiting   int               // tokens
	waitingOf map[string]int    // by account, none with 0
}

// known is what was fetched for one issuer.
type known struct {
	set *KeySet // nil before the first success
	at  time.Time
	// asked is when the issuer was asked last, err what came of it.
	asked time.Time
	err   error
}

// NewSource makes a source that trusts the certificates of roots, nil for those of the system.
func NewSource(roots *x509.CertPool) *Source {
	return &Source{roots: roots, now: time.Now, issuer: make(map[string]*known), waitingOf: make(map[string]int)}
}

// Verify checks a token's signature under the keys of its issuer, which are fetched if they are not known, are old, or have none
// that fits: issuers change their keys. It fails with [ErrNoKey], [ErrSignature], [ErrFetch] or [ErrBusy], or with ctx.
func (s *Source) Verify(ctx context.Context, from Issuer, t *Token) error {
	k := s.lookup(from)
	if k.set == nil || s.now().Sub(k.at) >= fresh {
		next, err := s.refresh(ctx, from)
		switch {
		case err == nil:
			k = next
		case !errors.Is(err, ErrBusy) || !k.usable(s.now()):
			return err
		}
	}
	err := k.set.Verify(t)
	if !errors.Is(err, ErrNoKey) || s.now().Sub(k.asked) < pause {
		return err
	}
	if k, err = s.refresh(ctx, from); err != nil {
		return err
	}
	return k.set.Verify(t)
}

func (i *Issuer) name() string { return i.URL + " " + strings.Join(i.Thumbprints, " ") }

func (s *Source) lookup(from Issuer) known {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.issuer[from.name()]; k != nil {
		return *k
	}
	return known{}
}

// usable tells whether the keys can serve, fresh or while the issuer does not answer.
func (k *known) usable(now time.Time) bool { return k.set != nil && now.Sub(k.at) < stale }

// enter counts a token among those that wait, unless too many do.
func (s *Source) enter(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == maxWaiting || s.waitingOf[account] == maxWaitingOf {
		return false
	}
	s.waiting++
	s.waitingOf[account]++
	return true
}

func (s *Source) leave(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	if s.waitingOf[account]--; s.waitingOf[account] == 0 {
		delete(s.waitingOf, account)
	}
}

// refresh asks the issuer, once for all who wait, unless it was asked a moment ago. Keys that are old serve on for a while if the
// issuer does not answer.
func (s *Source) refresh(ctx context.Context, from Issuer) (known, error) {
	if !s.enter(from.Account) {
		return known{}, ErrBusy
	}
	defer s.leave(from.Account)
	flight := s.flights.DoChan(from.name(), func() (any, error) {
		if k := s.lookup(from); !k.asked.IsZero() && s.now().Sub(k.asked) < pause {
			return k, nil
		}
		return s.ask(from), nil
	})
	select {
	case r := <-flight:
		k := r.Val.(known)
		if !k.usable(s.now()) {
			return known{}, fmt.Errorf("%w: %w", ErrFetch, k.err)
		}
		return k, nil
	case <-ctx.Done():
		return known{}, ctx.Err()
	}
}

// ask fetches the keys and remembers what came of it. It goes on when those who wait have left: others will come.
func (s *Source) ask(from Issuer) known {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	set, err := s.fetch(ctx, from)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := known{asked: now, err: err}
	if old := s.issuer[from.name()]; old != nil {
		k.set, k.at = old.set, old.at
	}
	if err == nil {
		k.set, k.at = set, now
	}
	if len(s.issuer) >= maxIssuers {
		clear(s.issuer)
	}
	s.issuer[from.name()] = &k
	return k
}

// discovery are the members of an issuer's configuration that matter here.
type discovery struct {
	issuer, keys string
}

// fetch asks for the issuer's configuration, then for the keys that it names.
func (s *Source) fetch(ctx context.Context, from Issuer) (*KeySet, error) {
	c, err := s.client(from)
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	text, err := get(ctx, c, strings.TrimSuffix(from.URL, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	d, err := parseDiscovery(text)
	switch {
	case err != nil:
		return nil, err
	case d.issuer != from.URL:
		return nil, errors.New("the configuration is another issuer's")
	}
	if err := sameHost(from.URL, d.keys); err != nil {
		return nil, err
	}
	if text, err = get(ctx, c, d.keys); err != nil {
		return nil, err
	}
	return ParseKeySet(text)
}

func parseDiscovery(text []byte) (d discovery, err error) {
	o, err := parseObject(text)
	if err != nil {
		return d, fmt.Errorf("configuration: %w", err)
	}
	if json.Unmarshal(o["issuer"], &d.issuer) != nil || json.Unmarshal(o["jwks_uri"], &d.keys) != nil {
		return d, errors.New("the configuration lacks issuer or jwks_uri")
	}
	return d, nil
}
