package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/netutil"

	"github.com/trentkms/trent/api/proxyproto"
	"github.com/trentkms/trent/cmd/trent/config"
)

// Time limits of connections. A client that sends its headers or its body slowly, or keeps an idle connection, gives the
// place to another (design: overload degrades).
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 20 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 64 << 10
	drainTimeout  = 15 * time.Second
	// maxConnections bounds the connections of a listener; further ones wait to be accepted.
	maxConnections = 8192
)

// listener is an open address with what serves it.
type listener struct {
	net.Listener
	server *http.Server
	ops    bool // it serves health and metrics, not the API
}

// open opens a listener's address, so that mistakes show before anything is served.
func open(l config.Listener, h http.Handler, log *slog.Logger) (*listener, error) {
	ln, err := net.Listen("tcp", l.Address)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", l.Name, err)
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	// HTTP/1.1 alone, as AWS's endpoints: a small answer leaves in one piece. HTTP/2 sends its header and its body apart, and SDKs do not
	// repeat a call whose answer breaks off in between, when a node or a balancer's session to it ends.
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	if l.CertFile != "" {
		certs := &certificate{cert: l.CertFile, key: l.KeyFile}
		if _, err := certs.get(nil); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("listener %q: %w", l.Name, err)
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certs.get}
		if l.MinVersion == "1.2" {
			srv.TLSConfig.MinVersion = tls.VersionTLS12
		}
	}
	if len(l.Proxies) > 0 {
		ln = &proxyproto.Listener{Listener: ln, Trusted: l.Proxies, Required: l.ProxyProtocol == config.ProxyRequired}
	}
	return &listener{netutil.LimitListener(ln, maxConnections), srv, l.Serves == config.ServesOps}, nil
}

// serve serves until shutdown.
func (l *listener) serve() error {
	var err error
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l.Listener, "", "")
	} else {
		err = l.server.Serve(l.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutdown takes no new requests and waits for those under way.
func (l *listener) shutdown(ctx context.Context) error { return l.server.Shutdown(ctx) }

// run serves the node until the context ends or the node fails, then drains.
func (n *node) run(ctx context.Context, listeners ...*listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- l.serve() }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-n.failed:
		// Storage has failed: nothing may be answered any more.
		return err
	case err = <-ended:
	}
	if failed := n.drain(listeners); failed != nil {
		return failed
	}
	limit, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	n.close(limit)
	return err
}

// newLogger makes the operator's log.
func newLogger(c *config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked with the configuration
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, opts))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}
