package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// Extension is a further protocol of the port. The port does the handshake, within its limits; whom the protocol talks to is
// the extension's to decide.
type Extension struct {
	// Protocol is its ALPN name. It is offered alone.
	Protocol string
	// Configure completes the TLS configuration of an arriving connection, which has this node's certificate already: it must say
	// which client certificates are taken.
	Configure func(*tls.Config)
	// Serve serves one connection and closes it. It returns when the context ends.
	Serve func(ctx context.Context, conn *tls.Conn)
}

// Extend adds a protocol to the port.
func (s *Server) Extend(e Extension) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extensions[e.Protocol] = &e
}

func (s *Server) extension(protocol string) *Extension {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extensions[protocol]
}

// ListenAlso opens a further address that serves the extensions and nothing else, until the port closes.
func (s *Server) ListenAlso(address string) (net.Addr, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	stop := context.AfterFunc(s.life, func() { _ = ln.Close() })
	if !s.run(func() { s.accept(ln, s.extensionConfig) }) {
		stop()
		return nil, errors.Join(net.ErrClosed, ln.Close())
	}
	return ln.Addr(), nil
}

// extensionConfig is the TLS configuration for a connection that offers nothing but one extension.
func (s *Server) extensionConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 {
		return nil, errNoProtocol
	}
	e := s.extension(hello.SupportedProtos[0])
	if e == nil {
		return nil, errNoProtocol
	}
	c := s.creds.Load()
	if c == nil {
		return nil, errNoCredentials
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.cert}, SessionTicketsDisabled: true,
		NextProtos: []string{e.Protocol},
	}
	e.Configure(cfg)
	return cfg, nil
}
