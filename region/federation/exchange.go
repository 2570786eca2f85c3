package federation

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// maxExchanges bounds the exchanges under way: anybody can begin one.
	maxExchanges = 4
	// exchangeTimeout bounds one exchange.
	exchangeTimeout = 30 * time.Second
)

// anyCertificate asks for a certificate without a look at it: the exchange is for regions that are not known yet.
func anyCertificate(cfg *tls.Config) { cfg.ClientAuth = tls.RequireAnyClientCert }

// serveExchange takes one request of a region that brings a token. The answer is a status byte and a payload or an error's text.
func (f *Federation) serveExchange(ctx context.Context, c *tls.Conn) {
	defer func() { _ = c.Close() }()
	select {
	case f.exchanges <- struct{}{}:
		defer func() { <-f.exchanges }()
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	stopLife := context.AfterFunc(f.life, func() { _ = c.Close() })
	defer stopLife()
	if c.SetReadDeadline(time.Now().Add(dialTimeout)) != nil {
		return
	}
	request, err := readExchange(c)
	if err != nil {
		f.log.Debug("federation: exchange", "remote", c.RemoteAddr().String(), "error", err)
		return
	}
	answer := f.exchange(ctx, c.ConnectionState().PeerCertificates, request)
	if c.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
		_ = writeExchange(c, answer)
	}
}

func (f *Federation) exchange(ctx context.Context, chain []*x509.Certificate, request []byte) []byte {
	if f.cfg.Exchange == nil {
		return append([]byte{statusFault}, "this region does not federate"...)
	}
	der := make([][]byte, len(chain))
	for i, c := range chain {
		der[i] = c.Raw
	}
	out, err := f.cfg.Exchange(ctx, der, request)
	if err != nil {
		text := err.Error()
		return append([]byte{statusFault}, text[:min(len(text), maxFault)]...)
	}
	return append([]byte{statusOK}, out...)
}

// Exchange brings a request to a node of the region whose authority has the pin (SHA-256 of its public key), at one of the
// addresses, and returns the answer. A refusal is a *RemoteError.
func (f *Federation) Exchange(ctx context.Context, region string, addresses []string, pin [32]byte, request []byte) ([]byte, error) {
	var errs []error
	for _, address := range addresses {
		answer, err := f.exchangeWith(ctx, region, address, pin, request)
		var said *RemoteError
		if err == nil || errors.As(err, &said) {
			return answer, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (f *Federation) exchangeWith(ctx context.Context, region, address string, pin [32]byte, request []byte) ([]byte, error) {
	creds := f.cfg.Wire.Credentials()
	if creds == nil {
		return nil, errors.New("federation: this node has no certificate yet")
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{protoFederate},
		SessionTicketsDisabled: true,
		// Roots and name are unknown; VerifyConnection takes their place.
		InsecureSkipVerify: true,
		VerifyConnection:   func(st tls.ConnectionState) error { return verifyPin(st.PeerCertificates, pin) },
	}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("federation: %s: %w", address, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := writeExchange(conn, request); err != nil {
		return nil, fmt.Errorf("federation: %s: %w", address, err)
	}
	answer, err := readExchange(conn)
	if err != nil {
		return nil, fmt.Errorf("federation: %s: %w", address, errors.Join(err, ctx.Err()))
	}
	if answer[0] != statusOK {
		return nil, &RemoteError{Region: region, Text: faultText(answer[1:])}
	}
	return answer[1:], nil
}

// verifyPin accepts a chain of a node's certificate and the authority with the pin.
func verifyPin(chain []*x509.Certificate, pin [32]byte) error {
	if len(chain) != 2 {
		return errors.New("federation: the other end is not a node of a region")
	}
	sum := sha256.Sum256(chain[1].RawSubjectPublicKeyInfo)
	if subtle.ConstantTimeCompare(sum[:], pin[:]) != 1 {
		return errors.New("federation: the other end does not belong to the region that the token is of")
	}
	return VerifyLeaf(chain[0], chain[1])
}

// VerifyLeaf checks that a node's certificate is valid and of an authority.
func VerifyLeaf(leaf, authority *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("federation: %w", err)
	}
	return nil
}

var _ net.Conn = (*conn)(nil)
