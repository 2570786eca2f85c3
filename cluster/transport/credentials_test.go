package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/cluster"
)

func TestIdentitiesAreChecked(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	b, refused := open(t, ca, "b")
	b.Handle(handlers("b", "cluster-1"))
	ask := func(s *Server, node string) error {
		_, err := s.LastIndex(seconds(t, 5), b.asServer(node), "cluster-1")
		return err
	}
	a, refusedByA := open(t, ca, "a")
	dismissed := make(chan error, 8)
	a.cfg.Dismissed = func(err error) {
		select {
		case dismissed <- err:
		default:
		}
	}
	if err := ask(a, "c"); err == nil {
		t.Error("node b answered for node c")
	}
	foreign, _ := open(t, newAuthority(t, "cluster-1"), "a")
	if err := ask(foreign, "b"); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	other := *ca
	other.cluster = "cluster-2"
	elsewhere, _ := open(t, &other, "a")
	if err := ask(elsewhere, "b"); err == nil {
		t.Error("a node of another cluster was accepted")
	}
	old := *ca
	old.now = time.Now().Add(-2 * CertLife)
	expired, _ := open(t, &old, "a")
	if err := ask(expired, "b"); err == nil {
		t.Error("an expired certificate was accepted")
	}
	bare, _ := open(t, nil, "a")
	if err := ask(bare, "b"); !errors.Is(err, errNoCredentials) {
		t.Errorf("without a certificate: %v", err)
	}
	if err := ask(a, "b"); err != nil {
		t.Fatal(err)
	}
	// Removal reaches connections that are open.
	refused.add("a")
	eventually(t, "the connection of a removed node is closed", func() bool { return ask(a, "b") != nil })
	// The next one tells it why, whatever it asks for, and the node hears of it beside the request.
	served := false
	h := handlers("b", "cluster-1")
	h.Answer = func(string, string) (cluster.Answer, error) { served = true; return cluster.Answer{}, nil }
	b.Handle(h)
	eventually(t, "a removed node is told", func() bool { return errors.Is(ask(a, "b"), cluster.ErrRemoved) })
	if _, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command()); err == nil || served {
		t.Errorf("a removed node was served: %v", err)
	}
	select {
	case err := <-dismissed:
		if !errors.Is(err, cluster.ErrRemoved) || !strings.Contains(err.Error(), "node b") {
			t.Errorf("told of its removal: %v", err)
		}
	default:
		t.Error("the node does not know that it was removed")
	}
	raftConn, err := a.dial(seconds(t, 5), "b", b.Advertise(), protoRaft)
	if err == nil {
		err = raftConn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, closed := raftConn.Read(make([]byte, 1)); err != nil || closed != io.EOF {
			t.Errorf("Raft's connection of a removed node: %v, %v", err, closed)
		}
	}
	refusedByA.add("b")
	if err := ask(a, "b"); !errors.Is(err, cluster.ErrRemoved) {
		t.Errorf("a removed node was asked: %v", err)
	}
}

// handshake tries to connect with a configuration of its own and reports whether the server keeps the connection.
func handshake(t *testing.T, s *Server, cfg *tls.Config) error {
	t.Helper()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(seconds(t, 5), "tcp", s.Advertise())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	var b [1]byte
	_, err = conn.Read(b[:])
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return nil
	}
	return err
}

func TestHandshakesThatAreRefused(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	b, _ := open(t, ca, "b")
	b.Handle(handlers("b", "cluster-1"))
	good, _ := ca.issue("a")
	base := func() *tls.Config {
		return &tls.Config{RootCAs: good.pool, ServerName: dnsName("b", "cluster-1"), NextProtos: []string{protoRPC}, Certificates: []tls.Certificate{good.cert}}
	}
	if err := handshake(t, b, base()); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, change := range map[string]func(*tls.Config){
		"no client certificate":                func(c *tls.Config) { c.Certificates = nil },
		"no client certificate, Raft":          func(c *tls.Config) { c.Certificates, c.NextProtos = nil, []string{protoRaft} },
		"joining and more without certificate": func(c *tls.Config) { c.Certificates, c.NextProtos = nil, []string{protoJoin, protoRPC} },
		"no protocol":                          func(c *tls.Config) { c.NextProtos = nil },
		"unknown protocol":                     func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"TLS 1.2":                              func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"self-signed certificate of a node name": func(c *tls.Config) {
			o, _ := newAuthority(t, "cluster-1").issue("a")
			c.Certificates = []tls.Certificate{o.cert}
		},
	} {
		cfg := base()
		change(cfg)
		if err := handshake(t, b, cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A renewed certificate is used by new connections; open ones stay.
func TestRenewal(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	a, _ := open(t, ca, "a")
	b, _ := open(t, ca, "b")
	b.Handle(handlers("b", "cluster-1"))
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Fatal(err)
	}
	conn := a.peer("b").conn
	for _, s := range []*Server{a, b} {
		c, _ := ca.issue(s.Credentials().NodeID)
		s.SetCredentials(c)
	}
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil || a.peer("b").conn != conn {
		t.Errorf("on the open connection: %v", err)
	}
	conn.fail(errors.New("cut"))
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Errorf("on a new connection: %v", err)
	}
	c := a.Credentials()
	if c.Due(time.Now()) || !c.Due(time.Now().Add(CertLife/2)) || c.Due(time.Now().Add(CertLife/4)) {
		t.Error("a certificate is due when a third of its life is over")
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	c, key := ca.issue("a")
	_, otherKey := ca.issue("b")
	foreign := newAuthority(t, "cluster-1")
	if _, err := NewCredentials(c.Leaf().Raw, otherKey, [][]byte{ca.cert}); err == nil {
		t.Error("a key of another certificate")
	}
	if _, err := NewCredentials(c.Leaf().Raw, key, [][]byte{foreign.cert}); err == nil {
		t.Error("a certificate of another authority")
	}
	if _, err := NewCredentials(c.Leaf().Raw, key, nil); err == nil {
		t.Error("no authority")
	}
	if _, err := RequestKey([]byte("no request")); err == nil {
		t.Error("no request")
	}
	request, err := NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	request[len(request)-1] ^= 1
	if _, err := RequestKey(request); err == nil {
		t.Error("a request whose signature is wrong")
	}
}
