package oidc

import (
	"context"
	"crypto/fips140"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is a provider on this machine.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  string
	serve func(w http.ResponseWriter, r *http.Request) bool // takes over if it returns true
	asked atomic.Int64                                      // for keys
}

func newIssuer(t *testing.T, keys string) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		keys, serve := i.keys, i.serve
		i.mu.Unlock()
		if r.URL.Path == "/a/keys" {
			i.asked.Add(1)
		}
		if serve != nil && serve(w, r) {
			return
		}
		switch r.URL.Path {
		case "/a/.well-known/openid-configuration":
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL+"/a", i.URL+"/a/keys")
		case "/a/keys":
			_, _ = io.WriteString(w, keys)
		default:
			http.NotFound(w, r)
		}
	}))
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) set(keys string, serve func(w http.ResponseWriter, r *http.Request) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys, i.serve = keys, serve
}

func (i *issuer) who() Issuer { return Issuer{URL: i.URL + "/a"} }

// source trusts the issuer; its clock stands until the test moves it.
func (i *issuer) source() (*Source, *time.Time) {
	pool := x509.NewCertPool()
	pool.AddCert(i.Certificate())
	s, clock := NewSource(pool), time.Now()
	s.now = func() time.Time { return clock }
	return s, &clock
}

func tokenOf(t *testing.T, s *signer) *Token {
	t.Helper()
	tok, err := Parse(s.good(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestSource(t *testing.T) {
	old, next := newSigner(t, "ES256", "old"), newSigner(t, "RS256", "next")
	i := newIssuer(t, setOf(old.jwk("")))
	s, clock := i.source()
	verify := func(what string, by *signer, want error, asked int64) {
		t.Helper()
		err := s.Verify(t.Context(), i.who(), tokenOf(t, by))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if n := i.asked.Swap(0); n != asked {
			t.Errorf("%s: asked %d times, want %d", what, n, asked)
		}
	}
	verify("first", old, nil, 1)
	verify("known", old, nil, 0)
	i.set(setOf(next.jwk("")), nil)
	verify("a new key, a moment later", next, ErrNoKey, 0)
	*clock = clock.Add(pause)
	verify("a new key", next, nil, 1)
	verify("the old key", old, ErrNoKey, 0)
	*clock = clock.Add(fresh - time.Second)
	verify("not old yet", next, nil, 0)
	*clock = clock.Add(time.Second)
	verify("old", next, nil, 1)
	fails := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	i.set("", fails)
	*clock = clock.Add(fresh)
	verify("does not answer", next, nil, 0) // not even the configuration
	*clock = clock.Add(stale - fresh)
	verify("does not answer for long", next, ErrFetch, 0)
	i.set(setOf(next.jwk("")), nil)
	verify("answers again, a moment later", next, ErrFetch, 0)
	*clock = clock.Add(pause)
	verify("answers again", next, nil, 1)
}

// TestSourceAsksOnce: one question serves all who wait.
func TestSourceAsksOnce(t *testing.T) {
	k := newSigner(t, "ES256", "k")
	i := newIssuer(t, setOf(k.jwk("")))
	s, _ := i.source()
	tok := tokenOf(t, k)
	release := make(chan struct{})
	i.set(setOf(k.jwk("")), func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	var wait sync.WaitGroup
	for range maxWaitingOf {
		wait.Go(func() {
			if err := s.Verify(t.Context(), i.who(), tok); err != nil {
				t.Error(err)
			}
		})
	}
	s.untilWaiting(maxWaitingOf)
	if err := s.Verify(t.Context(), i.who(), tok); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	close(release)
	wait.Wait()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// untilWaiting returns once so many tokens wait.
func (s *Source) untilWaiting(n int) {
	for at := 0; at < n; runtime.Gosched() {
		s.mu.Lock()
		at = s.waiting
		s.mu.Unlock()
	}
}

// TestSourceIsShared: an account whose issuer does not answer takes its own part of the places, and old keys serve on where none is left.
func TestSourceIsShared(t *testing.T) {
	k := newSigner(t, "ES256", "k")
	slow, good := newIssuer(t, setOf(k.jwk(""))), newIssuer(t, setOf(k.jwk("")))
	s, clock := good.source()
	s.roots.AddCert(slow.Certificate())
	tok := tokenOf(t, k)
	mine, theirs := slow.who(), good.who()
	mine.Account, theirs.Account = "111122223333", "444455556666"
	for _, from := range []Issuer{mine, theirs} {
		if err := s.Verify(t.Context(), from, tok); err != nil {
			t.Fatal(err)
		}
	}
	*clock = clock.Add(stale)
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow.set(setOf(k.jwk("")), func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(asked) })
		<-release
		return false
	})
	var wait sync.WaitGroup
	for range maxWaitingOf {
		wait.Go(func() { _ = s.Verify(t.Context(), mine, tok) })
	}
	s.untilWaiting(maxWaitingOf)
	<-asked
	if err := s.Verify(t.Context(), mine, tok); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many of the account: %v", err)
	}
	if err := s.Verify(t.Context(), theirs, tok); err != nil {
		t.Errorf("another account: %v", err)
	}
	*clock = clock.Add(fresh)
	theirs.Account = mine.Account
	if err := s.Verify(t.Context(), theirs, tok); err != nil {
		t.Errorf("old keys, and no place to wait for new ones: %v", err)
	}
	close(release)
	wait.Wait()
	if s.waiting != 0 || len(s.waitingOf) != 0 {
		t.Errorf("%d wait for ever, of %d accounts", s.waiting, len(s.waitingOf))
	}
}

// TestSourceOutlivesTheAsker: a client that leaves does not leave the others without keys.
func TestSourceOutlivesTheAsker(t *testing.T) {
	k := newSigner(t, "ES256", "k")
	i := newIssuer(t, setOf(k.jwk("")))
	s, _ := i.source()
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	i.set(setOf(k.jwk("")), func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(asked) })
		<-release
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if err := s.Verify(ctx, i.who(), tokenOf(t, k)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(release)
	if err := s.Verify(t.Context(), i.who(), tokenOf(t, k)); err != nil {
		t.Error(err)
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestSourceGoesNowhereElse: whatever an issuer answers, nobody but its host is asked.
func TestSourceGoesNowhereElse(t *testing.T) {
	k := newSigner(t, "ES256", "k")
	keys := setOf(k.jwk(""))
	var reached atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, keys)
	}))
	defer elsewhere.Close()
	for what, answer := range map[string]func(i *issuer, w http.ResponseWriter, r *http.Request) bool{
		"configuration redirects": func(_ *issuer, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
			return true
		},
		"keys redirect": func(_ *issuer, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/a/keys" {
				return false
			}
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return true
		},
		"keys elsewhere": configured(func(*issuer) (string, string) { return "", elsewhere.URL }),
		"keys elsewhere by TLS": configured(func(*issuer) (string, string) {
			return "", "https" + strings.TrimPrefix(elsewhere.URL, "http")
		}),
		"keys by HTTP":            configured(func(i *issuer) (string, string) { return "", "http" + strings.TrimPrefix(i.URL, "https") + "/a/keys" }),
		"keys with a user":        configured(func(i *issuer) (string, string) { return "", strings.Replace(i.URL, "://", "://u:p@", 1) + "/a/keys" }),
		"keys in a file":          configured(func(*issuer) (string, string) { return "", "file:///etc/passwd" }),
		"keys nowhere":            configured(func(*issuer) (string, string) { return "", "" }),
		"another issuer":          configured(func(i *issuer) (string, string) { return i.URL, i.URL + "/a/keys" }),
		"configuration too large": large("/a/.well-known/openid-configuration"),
		"keys too large":          large("/a/keys"),
		"no configuration": func(_ *issuer, w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		},
		"no JSON": func(_ *issuer, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, "<html>")
			return true
		},
	} {
		i := newIssuer(t, keys)
		i.set(keys, func(w http.ResponseWriter, r *http.Request) bool { return answer(i, w, r) })
		s, _ := i.source()
		if err := s.Verify(t.Context(), i.who(), tokenOf(t, k)); !errors.Is(err, ErrFetch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if reached.Load() > 0 {
		t.Errorf("somebody else was asked %d times", reached.Load())
	}
}

// configured answers with a configuration of another issuer, "" for the right one, or other keys.
func configured(of func(*issuer) (issuer, keys string)) func(*issuer, http.ResponseWriter, *http.Request) bool {
	return func(i *issuer, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/a/keys" {
			return false
		}
		name, keys := of(i)
		if name == "" {
			name = i.URL + "/a"
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, name, keys)
		return true
	}
}

func large(path string) func(*issuer, http.ResponseWriter, *http.Request) bool {
	return func(_ *issuer, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		_, _ = io.WriteString(w, strings.Repeat(" ", MaxKeySet+1)+"{}")
		return true
	}
}

// TestTrust: an issuer's server is trusted by the roots or by a thumbprint, and by nothing else.
func TestTrust(t *testing.T) {
	k := newSigner(t, "ES256", "k")
	i := newIssuer(t, setOf(k.jwk("")))
	right := thumbprint(i.Certificate())
	for what, c := range map[string]struct {
		thumbprints []string
		url         string
		want        error
	}{
		"nothing":                      {nil, i.URL, ErrFetch},
		"thumbprint":                   {[]string{strings.Repeat("0", 40), right}, i.URL, nil},
		"another thumbprint":           {[]string{strings.Repeat("0", 40)}, i.URL, ErrFetch},
		"thumbprint, but another host": {[]string{right}, strings.Replace(i.URL, "127.0.0.1", "localhost", 1), ErrFetch},
		"no TLS":                       {[]string{right}, strings.Replace(i.URL, "https", "http", 1), ErrFetch},
		"of this link":                 {[]string{right}, "https://169.254.169.254", ErrFetch},
		"of this link by IPv6":         {[]string{right}, "https://[fe80::1]", ErrFetch},
		"nowhere":                      {[]string{right}, "https://0.0.0.0" + i.URL[strings.LastIndexByte(i.URL, ':'):], ErrFetch},
	} {
		if c.want == nil && fips140.Enforced() {
			continue
		}
		err := NewSource(x509.NewCertPool()).Verify(t.Context(), Issuer{URL: c.url + "/a", Thumbprints: c.thumbprints}, tokenOf(t, k))
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"https://token.actions.githubusercontent.com", "https://tenant.auth0.com/", "https://idp.example:8443/realms/a",
		"https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE", "https://[2001:db8::1]:8443/a", "https://kubernetes.default.svc",
	} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "https://", "http://idp.example", "HTTPS://idp.example", "https://u@idp.example", "https://u:p@idp.example", "https://idp.example?x", "https://idp.example/#a",
		"https://idp.example/a/../b", "https://idp.example/..", "https://idp.example/./a", "https://idp.example//a", "https://idp.example/%2e%2e", "https://idp.example/a b", "https://idp.example/\x00",
		"https://idp.exämple", "https://:443/a", "https://idp.example/a*", "https://idp.example/${aws:username}", "idp.example", "https:idp.example", "https://idp.example:port",
	} {
		if CheckURL(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
