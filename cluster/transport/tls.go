package transport

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// Protocols by their ALPN names.
const (
	protoRaft = "trent-raft/1"
	protoRPC  = "trent-rpc/1"
	protoJoin = "trent-join/1"
)

var (
	errNoCredentials = errors.New("transport: this node has no certificate of the cluster yet")
	errNoProtocol    = errors.New("transport: the peer offers none of the protocols of this port")
)

// serverConfig is the TLS configuration for one arriving connection. Only a connection that offers nothing but joining is
// spared the client certificate.
func (s *Server) serverConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	c := s.creds.Load()
	if c == nil {
		return nil, errNoCredentials
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.cert}, SessionTicketsDisabled: true,
	}
	offers := func(p string) bool { return slices.Contains(hello.SupportedProtos, p) }
	switch {
	case len(hello.SupportedProtos) == 1 && offers(protoJoin):
		base.NextProtos = []string{protoJoin}
		return base, nil
	case offers(protoRaft) || offers(protoRPC):
		base.NextProtos = []string{protoRaft, protoRPC}
		base.ClientAuth, base.ClientCAs = tls.RequireAndVerifyClientCert, c.pool
		// A node that was removed gets through, to be told so (greet), and no further.
		base.VerifyConnection = func(st tls.ConnectionState) error {
			_, err := nameOf(c, st)
			return err
		}
		return base, nil
	}
	return s.extensionConfig(hello)
}

// clientConfig is for a connection to one node: the server's name is the node's.
func (s *Server) clientConfig(node, proto string) (*tls.Config, error) {
	c := s.creds.Load()
	if c == nil {
		return nil, errNoCredentials
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.cert}, RootCAs: c.pool,
		ServerName: dnsName(node, c.ClusterID), NextProtos: []string{proto}, SessionTicketsDisabled: true,
		VerifyConnection: func(st tls.ConnectionState) error {
			peer, err := s.peerOf(c, st)
			if err == nil && peer != node {
				err = fmt.Errorf("transport: node %s answered for node %s", peer, node)
			}
			return err
		},
	}, nil
}

// peerOf is the node at the other end of a connection whose certificate chain has been verified. It must be of this cluster
// and not refused.
func (s *Server) peerOf(c *Credentials, st tls.ConnectionState) (string, error) {
	node, err := nameOf(c, st)
	if err != nil {
		return "", err
	}
	return node, s.refused(node)
}

// nameOf is peerOf for a node that may be refused.
func nameOf(c *Credentials, st tls.ConnectionState) (string, error) {
	if len(st.PeerCertificates) == 0 {
		return "", errors.New("transport: the peer has no certificate")
	}
	node, cluster, err := Names(st.PeerCertificates[0])
	if err != nil {
		return "", err
	}
	if cluster != c.ClusterID {
		return "", fmt.Errorf("transport: the peer belongs to cluster %s", cluster)
	}
	return node, nil
}

// joinConfig is for a node that knows nothing of the cluster but the pin of its authority.
func joinConfig(pin [32]byte) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protoJoin}, SessionTicketsDisabled: true,
		// Roots and name are unknown; VerifyConnection below takes their place.
		InsecureSkipVerify: true,
		VerifyConnection:   func(st tls.ConnectionState) error { return verifyPinned(st.PeerCertificates, pin) },
	}
}

// verifyPinned accepts a chain of a node's certificate and the authority with the pin.
func verifyPinned(chain []*x509.Certificate, pin [32]byte) error {
	if len(chain) != 2 {
		return errors.New("transport: the other end is not a node of a region")
	}
	sum := sha256.Sum256(chain[1].RawSubjectPublicKeyInfo)
	if subtle.ConstantTimeCompare(sum[:], pin[:]) != 1 {
		return errors.New("transport: the other end does not belong to the cluster that the join token is for")
	}
	roots := x509.NewCertPool()
	roots.AddCert(chain[1])
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	_, _, err = Names(chain[0])
	return err
}
