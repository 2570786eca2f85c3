package oidc

import (
	"context"
	"crypto/fips140"
	"crypto/sha1" // thumbprints are defined by it
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// client talks to the host of one issuer and to nobody else.
func (s *Source) client(from Issuer) (*http.Client, error) {
	u, err := url.Parse(from.URL)
	if err != nil || CheckURL(from.URL) != nil {
		return nil, ErrURL
	}
	dialer := net.Dialer{Timeout: 3 * time.Second, Control: refuseLocal}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext,
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS12,
				// The chain is verified below, since a thumbprint can stand in for the system's certificates.
				InsecureSkipVerify: true, //nolint:gosec // see VerifyConnection
				VerifyConnection: func(cs tls.ConnectionState) error {
					return s.verifyChain(cs.PeerCertificates, u.Hostname(), from.Thumbprints)
				},
			},
			TLSHandshakeTimeout: 3 * time.Second, ResponseHeaderTimeout: 3 * time.Second,
			MaxResponseHeaderBytes: 16 << 10, DisableCompression: true, MaxConnsPerHost: 1, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// refuseLocal keeps connections away from addresses that are nobody's on the network: of this link, where machines find their
// metadata services, of groups, and none at all. Private addresses and this machine are where issuers on premises live.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := ap.Addr().Unmap(); a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return fmt.Errorf("the address %s is no issuer's", a)
	}
	return nil
}

// verifyChain accepts a chain that ends in a trusted certificate, or in one of its own whose thumbprint is known. Either way the
// certificate must be valid now and for the host.
func (s *Source) verifyChain(chain []*x509.Certificate, host string, thumbprints []string) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	opts := x509.VerifyOptions{DNSName: host, Roots: s.roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	if err == nil {
		return nil
	}
	opts.Roots = x509.NewCertPool()
	found := false
	for _, c := range chain {
		if slices.Contains(thumbprints, thumbprint(c)) {
			opts.Roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return err
	}
	_, err = chain[0].Verify(opts)
	return err
}

// thumbprint is the SHA-1 digest of a certificate in hex, "" where SHA-1 is not allowed: then only trusted certificates count.
func thumbprint(c *x509.Certificate) string {
	if fips140.Enforced() {
		return ""
	}
	sum := sha1.Sum(c.Raw)
	return hex.EncodeToString(sum[:])
}

// get reads one document. A redirect is no answer.
func get(ctx context.Context, c *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", address, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxKeySet+1))
	if err == nil && len(body) > MaxKeySet {
		err = fmt.Errorf("GET %s: more than %d bytes", address, MaxKeySet)
	}
	return body, err
}

// sameHost wants the keys to be where the issuer is: the configuration must not send us elsewhere.
func sameHost(issuer, keys string) error {
	i, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	k, err := url.Parse(keys)
	if err != nil || k.Scheme != "https" || k.User != nil || !strings.EqualFold(k.Host, i.Host) {
		return errors.New("the configuration's jwks_uri is not on the issuer's own host: register the keys themselves")
	}
	return nil
}
