// Package proxyproto takes connections from load balancers that say for whom they connect, by the PROXY protocol in version 2 (the
// HAProxy specification of 2020-03-05, section 2.2).
//
// What it guarantees: only connections from trusted addresses may name another client; from all others a header is data that no
// protocol behind it understands, or, where headers are required, ends the connection. Nothing of a connection is handed on before its
// header is complete and well-formed, a header is bounded in size and time, and the memory for it is small and fixed.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// signature begins every header.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	fixedLen = 16
	// maxRest bounds what follows the fixed part, in bytes: addresses and the additions that load balancers make.
	maxRest = 2048
	// headerTimeout bounds the wait for a header.
	headerTimeout = 5 * time.Second
)

// ErrHeader reports a connection that does not begin with a well-formed header.
var ErrHeader = errors.New("proxyproto: no well-formed PROXY protocol header of version 2")

// ErrUntrusted reports a connection from an address that is not a load balancer's, where headers are required.
var ErrUntrusted = errors.New("proxyproto: the connection does not come from a trusted proxy")

// Header is what a load balancer says of a connection.
type Header struct {
	// Local tells that the load balancer connects for itself (a health check), or does not know the client: Client is not set.
	Local  bool
	Client netip.AddrPort
}

// Read reads one header and nothing behind it.
func Read(r io.Reader) (Header, error) {
	var fixed [fixedLen]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return readRest(r, &fixed)
}

func readRest(r io.Reader, fixed *[fixedLen]byte) (Header, error) {
	rest := int(binary.BigEndian.Uint16(fixed[14:]))
	if string(fixed[:12]) != signature || fixed[12]>>4 != 2 || rest > maxRest {
		return Header{}, ErrHeader
	}
	body := make([]byte, rest)
	if _, err := io.ReadFull(r, body); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	const local, proxy = 0x20, 0x21
	const unspecified, tcp4, tcp6 = 0x00, 0x11, 0x21
	switch command, family := fixed[12], fixed[13]; {
	case command == local, command == proxy && family == unspecified:
		return Header{Local: true}, nil
	case command == proxy && family == tcp4 && rest >= 12:
		return client(body[:4], body[8:])
	case command == proxy && family == tcp6 && rest >= 36:
		return client(body[:16], body[32:])
	}
	return Header{}, ErrHeader
}

func client(address, port []byte) (Header, error) {
	a, _ := netip.AddrFromSlice(address)
	if a = a.Unmap(); a.IsUnspecified() || a.IsMulticast() {
		return Header{}, ErrHeader
	}
	return Header{Client: netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))}, nil
}

// Listener hands on connections with their clients' addresses as RemoteAddr.
type Listener struct {
	net.Listener
	// Trusted are the addresses of the load balancers.
	Trusted []netip.Prefix
	// Required wants a header on every connection; else a connection of a load balancer may begin without one.
	Required bool
}

// Accept returns the next connection. Its header is read when the connection is first used, not here: one that sends slowly holds up
// nobody else.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, listener: l}, nil
}

func (l *Listener) trusts(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	from := t.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range l.Trusted {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

// conn is a connection behind its header.
type conn struct {
	net.Conn
	listener *Listener

	once  sync.Once
	from  net.Addr
	ahead []byte // read while looking for a header, and not one
	err   error
}

// begin reads the header. It runs once, by whoever comes first.
func (c *conn) begin() {
	c.from = c.Conn.RemoteAddr()
	if !c.listener.trusts(c.from) {
		if c.listener.Required {
			c.err = ErrUntrusted
		}
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(headerTimeout))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	h, err := c.header()
	switch {
	case err != nil:
		c.err = err
	case !h.Local && c.ahead == nil:
		c.from = net.TCPAddrFromAddrPort(h.Client)
	}
}

// header reads a header. Where none is required, a connection that begins with something else is left as it is.
func (c *conn) header() (Header, error) {
	if c.listener.Required {
		return Read(c.Conn)
	}
	var fixed [fixedLen]byte
	for n := 0; n < len(signature); {
		m, err := c.Conn.Read(fixed[n:len(signature)])
		n += m
		if string(fixed[:n]) != signature[:n] {
			c.ahead = append([]byte{}, fixed[:n]...)
			return Header{}, nil
		}
		if err != nil {
			return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
		}
	}
	if _, err := io.ReadFull(c.Conn, fixed[len(signature):]); err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return readRest(c.Conn, &fixed)
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	c.once.Do(c.begin)
	if c.err != nil {
		return 0, c.err
	}
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn. Nothing is said to whoever has not said who they are.
func (c *conn) Write(b []byte) (int, error) {
	c.once.Do(c.begin)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(b)
}

// RemoteAddr is the client's address. It waits for the header.
func (c *conn) RemoteAddr() net.Addr {
	c.once.Do(c.begin)
	return c.from
}
