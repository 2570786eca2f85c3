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
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// maxExchanges bounds the exchanges of one protocol that are worked on at a time, maxArriving those whose request is not here yet
	// or that wait for that: anybody can begin one.
	maxExchanges = 4
	maxArriving  = 64
	// exchangeTimeout bounds one exchange.
	exchangeTimeout = 30 * time.Second
)

// anyCertificate asks for a certificate without a look at it: the exchange is for regions that are not known yet.
func anyCertificate(cfg *tls.Config) { cfg.ClientAuth = tls.RequireAnyClientCert }

// strangers serves a protocol that anybody can begin: one request and its answer, a status byte and a payload or an error's text.
func (f *Federation) strangers(serve func(ctx context.Context, st tls.ConnectionState, request []byte) ([]byte, error)) func(context.Context, *tls.Conn) {
	at := &arrivals{under: make(chan struct{}, maxExchanges)}
	return func(ctx context.Context, c *tls.Conn) { f.serveStranger(ctx, c, at, serve) }
}

// arrivals are the exchanges of one protocol.
type arrivals struct {
	under chan struct{} // those that are worked on

	mu  sync.Mutex
	all []*arrival // the others, in the order of their arrival; guarded by mu
}

// arrival is a connection with the network that it comes from.
type arrival struct {
	net.Conn
	from netip.Prefix
}

// networkOf is an IPv4 address, or the 64 bits of an IPv6 address that one host can have all addresses below of; zero of what has no address.
func networkOf(c net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap()
	p, _ := address.Prefix(min(address.BitLen(), 64)) // it has that many bits
	return p
}

// add takes a connection in. If there are too many, one gives way: the oldest of the network that has most. So who opens many and says
// nothing keeps only itself waiting.
func (at *arrivals) add(c net.Conn) *arrival {
	a := &arrival{c, networkOf(c)}
	if last := at.put(a); last != nil {
		_ = last.Close()
	}
	return a
}

// put returns who is to give way, nil if nobody is.
func (at *arrivals) put(a *arrival) *arrival {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.all = append(at.all, a)
	if len(at.all) <= maxArriving {
		return nil
	}
	many, most := map[netip.Prefix]int{}, a.from
	for _, a := range at.all {
		if many[a.from]++; many[a.from] > many[most] {
			most = a.from
		}
	}
	i := slices.IndexFunc(at.all, func(a *arrival) bool { return a.from == most })
	last := at.all[i]
	at.all = slices.Delete(at.all, i, i+1)
	return last
}

func (at *arrivals) remove(a *arrival) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.all = slices.DeleteFunc(at.all, func(other *arrival) bool { return other == a })
}

func (f *Federation) serveStranger(
	ctx context.Context, c *tls.Conn, at *arrivals, serve func(ctx context.Context, st tls.ConnectionState, request []byte) ([]byte, error),
) {
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	stopLife := context.AfterFunc(f.life, func() { _ = c.Close() })
	defer stopLife()
	answer, err := at.answer(ctx, c, func(request []byte) ([]byte, error) { return serve(ctx, c.ConnectionState(), request) })
	if err != nil {
		f.log.Debug("federation: exchange", "remote", c.RemoteAddr().String(), "error", err)
		return
	}
	if c.SetWriteDeadline(time.Now().Add(writeTimeout)) == nil {
		_ = writeExchange(c, answer)
	}
}

// answer reads a request and has it served when it is its turn.
func (at *arrivals) answer(ctx context.Context, c net.Conn, serve func(request []byte) ([]byte, error)) ([]byte, error) {
	a := at.add(c)
	defer at.remove(a)
	if err := c.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	request, err := readExchange(c)
	if err != nil {
		return nil, err
	}
	select {
	case at.under <- struct{}{}:
		defer func() { <-at.under }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at.remove(a)
	out, err := serve(request)
	if err != nil {
		text := err.Error()
		return append([]byte{statusFault}, text[:min(len(text), maxFault)]...), nil
	}
	return append([]byte{statusOK}, out...), nil
}

// exchange serves one request of a region that brings a token.
func (f *Federation) exchange(ctx context.Context, st tls.ConnectionState, request []byte) ([]byte, error) {
	if f.cfg.Exchange == nil {
		return nil, errors.New("this region does not federate")
	}
	return f.cfg.Exchange(ctx, rawChain(&st), request)
}

// rawChain are the certificates that the other end has shown, DER.
func rawChain(st *tls.ConnectionState) [][]byte {
	der := make([][]byte, len(st.PeerCertificates))
	for i, c := range st.PeerCertificates {
		der[i] = c.Raw
	}
	return der
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
	return f.askStranger(ctx, region, address, protoFederate,
		func(st tls.ConnectionState) error { return verifyPin(st.PeerCertificates, pin) },
		func(tls.ConnectionState) ([]byte, error) { return request, nil })
}

// askStranger connects to a node whose authority is not pinned and exchanges one request, made for that connection, for an answer.
func (f *Federation) askStranger(
	ctx context.Context, region, address, proto string, verify func(tls.ConnectionState) error, request func(tls.ConnectionState) ([]byte, error),
) ([]byte, error) {
	creds := f.cfg.Wire.Credentials()
	if creds == nil {
		return nil, errors.New("federation: this node has no certificate yet")
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{proto},
		SessionTicketsDisabled: true,
		// Roots and name are unknown; verify takes their place.
		InsecureSkipVerify: true,
		VerifyConnection:   verify,
	}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("federation: %s: %w", address, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	st := conn.(*tls.Conn).ConnectionState()
	if st.NegotiatedProtocol != proto {
		return nil, fmt.Errorf("federation: %s does not speak %s", address, proto)
	}
	message, err := request(st)
	if err != nil {
		return nil, err
	}
	if err := writeExchange(conn, message); err != nil {
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
