package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// Bounds of arriving connections.
const (
	handshakeTimeout = 5 * time.Second
	maxHandshakes    = 256
	joinTimeout      = 60 * time.Second
	maxJoining       = 8
	sweepInterval    = time.Second
	writeTimeout     = 10 * time.Second
	dismissTimeout   = 2 * time.Second
)

// Config says how to open a port.
type Config struct {
	// Listen is the address to listen on, Advertise what other nodes dial; Listen's own address if empty.
	Listen, Advertise string
	// Refused says why a node is refused (its id was removed), nil if it is not. It is asked again while connections last.
	// It must not block.
	Refused func(node string) error
	// Dismissed is called, more than once, when another node, whose certificate is of the cluster, says that this one was
	// removed. It must not block. nil: nobody wants to know.
	Dismissed func(reason error)
	// Logger receives faults of peers. nil discards.
	Logger *slog.Logger
}

// Handlers are what a port serves. All must be safe for concurrent use.
type Handlers struct {
	// Answer answers a read round (cluster.Node.Answer).
	Answer func(node, cluster string) (cluster.Answer, error)
	// Propose runs a forwarded proposal (cluster.Node.ProposeHere).
	Propose func(ctx context.Context, gate cluster.Gate, cmd fsm.Command) (fsm.Result, error)
	// Hold and Release serve holds (cluster.Node.HoldHere, ReleaseHere).
	Hold    func(ctx context.Context, id cluster.HoldID, keys []string) error
	Release func(id cluster.HoldID)
	// Unfit says why this node should not lead (cluster.Node.Unfit); nil: it does not say.
	Unfit func() error
	// Call serves calls between nodes; peer is the asking node.
	Call func(ctx context.Context, peer, method string, payload []byte) ([]byte, error)
	// Join serves a node that does not belong to the region. Its error is shown to that node.
	Join func(ctx context.Context, payload []byte) ([]byte, error)
	// Member says why a node may not propose or call: only nodes of the configuration may.
	Member func(node string) error
}

// Server is one node's port and its connections to other nodes. It is safe for concurrent use.
type Server struct {
	cfg       Config
	ln        net.Listener
	advertise string
	creds     atomic.Pointer[Credentials]
	handlers  atomic.Pointer[Handlers]
	raft      *stream
	shaking   chan struct{} // one for each connection in handshake
	joining   chan struct{}
	life      context.Context
	end       context.CancelFunc
	work      sync.WaitGroup
	adding    sync.Mutex // orders work.Add against Close's Wait

	mu    sync.Mutex
	open  map[net.Conn]string // connections of known peers, both ways
	peers map[string]*peer
	// extensions are further protocols by their ALPN names.
	extensions map[string]*Extension
}

// Listen opens the port. Connections are refused until there are credentials.
func Listen(cfg Config) (*Server, error) {
	if cfg.Refused == nil {
		cfg.Refused = func(string) error { return nil }
	}
	if cfg.Dismissed == nil {
		cfg.Dismissed = func(error) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	s := &Server{
		cfg: cfg, ln: ln, advertise: cfg.Advertise, shaking: make(chan struct{}, maxHandshakes), joining: make(chan struct{}, maxJoining),
		open: map[net.Conn]string{}, peers: map[string]*peer{}, extensions: map[string]*Extension{},
	}
	if s.advertise == "" {
		s.advertise = ln.Addr().String()
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.raft = newStream(s)
	s.work.Go(func() { s.accept(ln, s.serverConfig) })
	s.work.Go(s.sweep)
	return s, nil
}

// Addr is the address that the port listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Advertise is the address by which other nodes reach the port.
func (s *Server) Advertise() string { return s.advertise }

// SetCredentials makes connections possible, or renews what new ones use. Open ones stay.
func (s *Server) SetCredentials(c *Credentials) { s.creds.Store(c) }

// Credentials are the ones in use, nil before the first.
func (s *Server) Credentials() *Credentials { return s.creds.Load() }

// Handle sets what the port serves. Until then requests are refused as not written.
func (s *Server) Handle(h Handlers) { s.handlers.Store(&h) }

// Close closes the port and all connections, and waits for what they ran.
func (s *Server) Close() error {
	s.adding.Lock()
	s.end()
	s.adding.Unlock()
	err := s.ln.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

// run runs f in a goroutine that Close waits for, unless the port is closed.
func (s *Server) run(f func()) bool {
	s.adding.Lock()
	defer s.adding.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.work.Go(f)
	return true
}

func (s *Server) refused(node string) error { return s.cfg.Refused(node) }

// tlsConfig chooses the TLS configuration for one arriving connection.
type tlsConfig func(*tls.ClientHelloInfo) (*tls.Config, error)

// accept takes connections until the port closes. More than maxHandshakes unauthenticated ones are dropped: each costs a
// key exchange.
func (s *Server) accept(ln net.Listener, config tlsConfig) {
	for {
		conn, err := ln.Accept()
		if s.life.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			s.cfg.Logger.Warn("transport: accept", "error", err)
			select {
			case <-time.After(50 * time.Millisecond): // out of file descriptors
			case <-s.life.Done():
			}
			continue
		}
		select {
		case s.shaking <- struct{}{}:
			s.work.Go(func() { s.greet(conn, config) })
		default:
			conn.Close()
		}
	}
}

// greet does the handshake and hands the connection to its protocol.
func (s *Server) greet(raw net.Conn, config tlsConfig) {
	conn := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: config})
	ctx, cancel := context.WithTimeout(s.life, handshakeTimeout)
	err := conn.HandshakeContext(ctx)
	cancel()
	<-s.shaking
	if err != nil {
		s.cfg.Logger.Debug("transport: handshake failed", "remote", raw.RemoteAddr().String(), "error", err)
		raw.Close()
		return
	}
	st := conn.ConnectionState()
	if st.NegotiatedProtocol == protoJoin {
		s.serveJoin(conn)
		return
	}
	if e := s.extension(st.NegotiatedProtocol); e != nil {
		e.Serve(s.life, conn)
		return
	}
	node, err := s.peerOf(s.creds.Load(), st)
	if err != nil {
		s.dismiss(conn, st.NegotiatedProtocol, err)
		return
	}
	if !s.track(conn, node) {
		conn.Close()
		return
	}
	switch st.NegotiatedProtocol {
	case protoRaft:
		s.raft.offer(&tracked{Conn: conn, server: s})
	case protoRPC:
		defer s.forget(conn)
		s.serveRPC(conn, node)
	default:
		s.forget(conn)
	}
}

// dismiss tells a refused node why, where it would hear it, and closes its connection. What it sends is not looked at.
func (s *Server) dismiss(conn *tls.Conn, proto string, why error) {
	defer conn.Close()
	if proto != protoRPC {
		return
	}
	select {
	case s.joining <- struct{}{}: // these, too, are connections of nodes that do not belong to the cluster
		defer func() { <-s.joining }()
	default:
		return
	}
	stop := context.AfterFunc(s.life, func() { conn.Close() })
	defer stop()
	status, text := encodeFault(why)
	b, err := (&frame{id: frameFarewell, code: status, payload: text}).encode(maxFrame)
	if err != nil || conn.SetDeadline(time.Now().Add(dismissTimeout)) != nil {
		return
	}
	if _, err := conn.Write(b); err != nil || conn.CloseWrite() != nil {
		return
	}
	// To close with something unread would reset the connection, and what was written with it.
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxFrame))
}

// track remembers a connection of a peer, so that it can be closed when the peer is refused or the port closes.
func (s *Server) track(conn net.Conn, node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.open[conn] = node
	return true
}

// forget closes a connection.
func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	delete(s.open, conn)
	s.mu.Unlock()
	conn.Close()
}

// tracked is a connection that forgets itself when its user closes it.
type tracked struct {
	net.Conn
	server *Server
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	t.server.forget(t.Conn)
	return nil
}

// sweep closes connections of peers that have been refused since they were made.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.life.Done():
			return
		}
		s.mu.Lock()
		for conn, node := range s.open {
			if s.refused(node) != nil {
				delete(s.open, conn)
				conn.Close()
			}
		}
		s.mu.Unlock()
	}
}

// dial opens a connection to a node. It ends at that node or fails.
func (s *Server) dial(ctx context.Context, node, address, proto string) (net.Conn, error) {
	if err := s.refused(node); err != nil {
		return nil, err
	}
	cfg, err := s.clientConfig(node, proto)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(s.life, cancel)
	defer stop()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("transport: node %s at %s: %w", node, address, err)
	}
	if conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != proto {
		conn.Close()
		return nil, fmt.Errorf("transport: node %s at %s: %w", node, address, errNoProtocol)
	}
	if !s.track(conn, node) {
		conn.Close()
		return nil, net.ErrClosed
	}
	return &tracked{Conn: conn, server: s}, nil
}
