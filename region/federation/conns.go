package federation

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Times and bounds of connections.
const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	sweepEvery   = 10 * time.Second
	// maxConns bounds the connections that one node of another region may have open here for each protocol. A node that restarts
	// or moves has its old ones until they fail.
	maxConns = 16
)

// conn is an open connection whose other end is known. It forgets itself when it is closed.
type conn struct {
	*tls.Conn
	f     *Federation
	peer  Identity
	proto string
	once  sync.Once
}

// Close implements net.Conn.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		c.f.connsMu.Lock()
		delete(c.f.conns, c)
		c.f.connsMu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

// track remembers a connection, so that it ends when its region is refused, its certificate expires or the federation closes.
func (f *Federation) track(raw *tls.Conn, peer Identity, proto string, arrived bool) (*conn, error) {
	c := &conn{Conn: raw, f: f, peer: peer, proto: proto}
	f.connsMu.Lock()
	defer f.connsMu.Unlock()
	if f.life.Err() != nil {
		return nil, net.ErrClosed
	}
	if arrived {
		n := 0
		for other := range f.conns {
			if other.proto == proto && other.peer.Region == peer.Region && other.peer.Node == peer.Node {
				n++
			}
		}
		if n >= 2*maxConns { // both directions
			return nil, fmt.Errorf("federation: node %s of region %s has too many connections", peer.Node, peer.Region)
		}
	}
	f.conns[c] = struct{}{}
	return c, nil
}

// sweep ends the connections of those who are not who they were: their region is refused, or their certificate has expired.
func (f *Federation) sweep() {
	d := f.directory.Load()
	now := time.Now()
	var over []*conn
	f.connsMu.Lock()
	for c := range f.conns {
		id, err := d.identify(c.ConnectionState().PeerCertificates, now)
		if err != nil || id != c.peer || f.refusedNode(id) {
			over = append(over, c)
		}
	}
	f.connsMu.Unlock()
	for _, c := range over {
		_ = c.Close()
	}
}

func (f *Federation) closeConns() {
	f.connsMu.Lock()
	all := make([]*conn, 0, len(f.conns))
	for c := range f.conns {
		all = append(all, c)
	}
	f.connsMu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

// identify is the peer of a connection whose handshake is done.
func (f *Federation) identify(st *tls.ConnectionState) (Identity, error) {
	id, err := f.directory.Load().identify(st.PeerCertificates, time.Now())
	if err == nil && f.refusedNode(id) {
		err = fmt.Errorf("%w: node %s was removed", ErrRefused, id.Node)
	}
	return id, err
}

// refusedNode reports whether a node of this region was removed from it.
func (f *Federation) refusedNode(id Identity) bool {
	return id.Region == f.cfg.Region && f.cfg.Refused != nil && f.cfg.Refused(id.Node) != nil
}

// configure lets only nodes of known regions in.
func (f *Federation) configure(cfg *tls.Config) {
	// What the certificate must chain to depends on whose it is; VerifyConnection decides.
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.VerifyConnection = func(st tls.ConnectionState) error {
		_, err := f.identify(&st)
		return err
	}
}

// serving wraps a protocol's service: who is there is known, and the connection is tracked.
func (f *Federation) serving(proto string, serve func(ctx context.Context, c *conn)) func(context.Context, *tls.Conn) {
	return func(ctx context.Context, raw *tls.Conn) {
		st := raw.ConnectionState()
		id, err := f.identify(&st)
		var c *conn
		if err == nil {
			c, err = f.track(raw, id, proto, true)
		}
		if err != nil {
			f.log.Debug("federation: connection refused", "remote", raw.RemoteAddr().String(), "error", err)
			_ = raw.Close()
			return
		}
		defer func() { _ = c.Close() }()
		if id.Region != f.cfg.Region {
			f.contact(id.Region)
		}
		serve(ctx, c)
	}
}

// want is who must be at the other end of a connection. Empty names mean anybody who is known.
type want struct{ region, node string }

// dial opens a connection to an address. It ends at whom it was meant for or fails.
func (f *Federation) dial(ctx context.Context, address, proto string, w want) (*conn, error) {
	creds := f.cfg.Wire.Credentials()
	if creds == nil {
		return nil, errors.New("federation: this node has no certificate yet")
	}
	var peer Identity
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{proto},
		SessionTicketsDisabled: true,
		// Roots and name follow from the certificate; VerifyConnection below takes their place.
		InsecureSkipVerify: true,
		VerifyConnection: func(st tls.ConnectionState) (err error) {
			if peer, err = f.identify(&st); err != nil {
				return err
			}
			if w.region != "" && peer.Region != w.region || w.node != "" && peer.Node != w.node {
				return fmt.Errorf("federation: node %s of region %s answered for node %q of region %q", peer.Node, peer.Region, w.node, w.region)
			}
			return nil
		},
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	stop := context.AfterFunc(f.life, cancel)
	defer stop()
	raw, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("federation: %s: %w", address, err)
	}
	conn := raw.(*tls.Conn)
	if conn.ConnectionState().NegotiatedProtocol != proto {
		_ = conn.Close()
		return nil, fmt.Errorf("federation: %s does not speak %s", address, proto)
	}
	c, err := f.track(conn, peer, proto, false)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}
