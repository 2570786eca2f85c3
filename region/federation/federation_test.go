package federation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/region/link"
)

// two are the leaders of two regions that are federated.
func two(t testing.TB) (a, b *member) {
	ra, rb := newRealm(t, "us-east-1"), newRealm(t, "eu-west-1")
	a, b = ra.open("n1", nil), rb.open("n1", nil)
	a.SetRegions([]Region{rb.pinned(b.address())})
	b.SetRegions([]Region{ra.pinned(a.address())})
	return a, b
}

func TestCall(t *testing.T) {
	a, _ := two(t)
	ctx := seconds(t, 20)
	out, err := a.Call(ctx, "eu-west-1", []byte("hello"))
	if err != nil || string(out) != "eu-west-1/n1 heard hello from us-east-1" {
		t.Fatalf("%q, %v", out, err)
	}
	var refusal *link.Refusal
	if _, err := a.Call(ctx, "eu-west-1", []byte("no")); !errors.As(err, &refusal) || refusal.Text != "not for you" || refusal.Region != "eu-west-1" {
		t.Errorf("a refusal arrived as %v", err)
	}
	if out, err := a.Call(ctx, "eu-west-1", []byte("size")); err != nil || len(out) != link.MaxRequest {
		t.Errorf("the longest answer: %d bytes, %v", len(out), err)
	}
	if _, err := a.Call(ctx, "eu-west-1", make([]byte, link.MaxRequest)); err != nil {
		t.Errorf("the longest request: %v", err)
	}
	if _, err := a.Call(ctx, "eu-west-1", make([]byte, link.MaxRequest+1)); !errors.Is(err, link.ErrTooLarge) {
		t.Errorf("a request that is too long: %v", err)
	}
	for _, region := range []string{"ap-south-1", "us-east-1"} {
		if _, err := a.Call(ctx, region, nil); !errors.Is(err, link.ErrUnknownRegion) {
			t.Errorf("%s: %v", region, err)
		}
	}
	if p := a.Peers(); len(p) != 1 || p[0].Region != "eu-west-1" || p[0].LastContact.IsZero() || !p[0].Reachable {
		t.Errorf("peers: %+v", p)
	}
}

// TestLeaderIsFound asks a region whose leader moves, knowing the address of one node only.
func TestLeaderIsFound(t *testing.T) {
	ra, rb := newRealm(t, "us-east-1"), newRealm(t, "eu-west-1")
	a, b1 := ra.open("n1", nil), rb.open("n1", nil)
	b2 := rb.open("n2", func(c *Config) {
		c.Neighbours = func() map[string]string { return map[string]string{"n1": b1.address()} }
	})
	a.SetRegions([]Region{rb.pinned(b1.address())})
	b1.SetRegions([]Region{ra.pinned(a.address())})
	b2.SetRegions([]Region{ra.pinned(a.address())})
	eventually(t, "all nodes are in one pool", func() bool {
		for _, m := range []*member{a, b1, b2} {
			if n := m.Members(); n["us-east-1"] != 1 || n["eu-west-1"] != 2 {
				return false
			}
		}
		return true
	})
	for i, leader := range []string{"n2", "n1", "n2"} {
		rb.lead(leader)
		eventually(t, "the leader answers", func() bool {
			out, err := a.Call(seconds(t, 10), "eu-west-1", []byte("hi"))
			if err == nil && !strings.HasPrefix(string(out), "eu-west-1/"+leader) {
				t.Fatalf("%d: served by %q, the leader is %s", i, out, leader)
			}
			return err == nil
		})
	}
	// The leader's node goes without a word; the other one leads.
	b2.stop()
	rb.lead("n1")
	if out, err := a.Call(seconds(t, 20), "eu-west-1", []byte("hi")); err != nil || !strings.HasPrefix(string(out), "eu-west-1/n1") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDigest tells every node of the other regions what the leader's digest is, also when it changes and when the leader does.
func TestDigest(t *testing.T) {
	a, b := two(t)
	digest := func(s string) []byte { return append(link.AppendIncarnation(nil, 7), s...) }
	a.SetDigest(digest("one"))
	eventually(t, "the digest arrives", func() bool { return b.heard.digest("us-east-1") == string(digest("one")) })
	a.SetDigest(digest("two"))
	eventually(t, "the next digest arrives", func() bool { return b.heard.digest("us-east-1") == string(digest("two")) })
	if p := b.Peers(); p[0].Incarnation != 7 {
		t.Errorf("peers: %+v", p)
	}
	a.SetDigest(bytes.Repeat([]byte{1}, link.MaxDigest+1))
	if got := b.heard.digest("us-east-1"); got != string(digest("two")) {
		t.Errorf("a digest that is too long arrived: %q", got)
	}
}

// TestForgedCertificates dials every protocol of a node with certificates that are not those of a federated region.
func TestForgedCertificates(t *testing.T) {
	a, b := two(t)
	ra, rb := a.realm, b.realm
	rc := newRealm(t, "ap-south-1")
	now := time.Now()
	cases := []struct {
		what  string
		creds *transport.Credentials
	}{
		{"another authority that names the region's cluster", rc.issue("n1", rb.cluster, now)},
		{"another authority that names this region's cluster", rc.issue("n1", ra.cluster, now)},
		{"this region's authority with the other region's cluster", ra.issue("n1", rb.cluster, now)},
		{"an expired certificate", rb.issue("n1", rb.cluster, now.Add(-2*transport.CertLife))},
	}
	for _, c := range cases {
		for _, proto := range []string{protoPacket, protoStream, protoLink} {
			if err := shake(t, a.address(), proto, c.creds); err == nil {
				t.Errorf("%s: %s let it in", c.what, proto)
			}
		}
		// The same certificate as a server's.
		wire, err := transport.Listen(transport.Config{Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		wire.SetCredentials(c.creds)
		wire.Extend(transport.Extension{
			Protocol: protoLink, Configure: anyCertificate,
			Serve: func(ctx context.Context, conn *tls.Conn) {
				_ = transport.ServeRequests(ctx, conn, MaxMessage, 1, func(context.Context, byte, []byte) (byte, []byte) { return statusOK, []byte("forged") })
			},
		})
		if _, err := a.dial(seconds(t, 10), wire.Advertise(), protoLink, want{}); err == nil {
			t.Errorf("%s: dialed", c.what)
		}
		if err := wire.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := shake(t, a.address(), protoLink, rb.issue("n9", rb.cluster, now)); err != nil {
		t.Errorf("a node of the region is refused: %v", err)
	}
}

// shake does a handshake as a client and reads until the server's word on it is known.
func shake(t testing.TB, address, proto string, creds *transport.Credentials) error {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{proto}, InsecureSkipVerify: true,
	}}
	conn, err := d.DialContext(seconds(t, 10), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// In TLS 1.3 a client learns with the first bytes that its certificate was refused.
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil // it waits for us: we are in
	}
	return err
}

// TestNamesComeFromCertificates has a federated region speak for another one: what it may say is its own.
func TestNamesComeFromCertificates(t *testing.T) {
	ra, rb, rc := newRealm(t, "us-east-1"), newRealm(t, "eu-west-1"), newRealm(t, "ap-south-1")
	a := ra.open("n1", nil)
	a.SetRegions([]Region{rb.pinned(), rc.pinned()})
	d := a.directory.Load()
	// Its authority signs a certificate in the name of another region's cluster: it is still itself, and not the group that speaks for it.
	id, err := d.identify([]*x509.Certificate{rb.issue("n1", rc.cluster, time.Now()).Leaf()}, time.Now())
	if err != nil || id.Region != "eu-west-1" || id.Current {
		t.Fatalf("%+v, %v", id, err)
	}
	if status, answer := a.serve(seconds(t, 5), id, codeCall, nil); status != statusFault {
		t.Errorf("served: %d %q", status, answer)
	}
	if a.heard.served != 0 {
		t.Error("the request reached the handler")
	}
}

// TestPartition cuts two regions off for longer than the pool remembers the dead, on both sides.
func TestPartition(t *testing.T) {
	da, db := newDoor(t), newDoor(t)
	ra, rb := newRealm(t, "us-east-1"), newRealm(t, "eu-west-1")
	a := ra.open("n1", func(c *Config) { c.Advertise = da.address() })
	b := rb.open("n1", func(c *Config) { c.Advertise = db.address() })
	toA, toB := a.address(), b.address()
	da.to.Store(&toA)
	db.to.Store(&toB)
	a.SetRegions([]Region{rb.pinned(db.address())})
	b.SetRegions([]Region{ra.pinned(da.address())})
	met := func() bool { return a.Members()["eu-west-1"] == 1 && b.Members()["us-east-1"] == 1 }
	eventually(t, "they meet", met)
	da.set(true)
	db.set(true)
	forgotten := func(m *member) bool {
		g := m.gossip.Load()
		return g.list.NumMembers() == 1 && m.Members()[m.realm.name] == 1
	}
	eventually(t, "they forget each other", func() bool { return forgotten(a) && forgotten(b) })
	if _, err := a.Call(seconds(t, 1), "eu-west-1", nil); !errors.Is(err, link.ErrUnreachable) {
		t.Errorf("through the partition: %v", err)
	}
	da.set(false)
	db.set(false)
	if _, err := a.Call(seconds(t, 20), "eu-west-1", []byte("hi")); err != nil {
		t.Errorf("at once after the partition, before the pool has healed: %v", err)
	}
	eventually(t, "they meet again", met)
}

// TestNewAddress restarts a node under another address, which the others' replicated state does not name.
func TestNewAddress(t *testing.T) {
	a, b := two(t)
	eventually(t, "they meet", func() bool { return a.Members()["eu-west-1"] == 1 })
	b.stop()
	again := b.realm.open("n1", nil)
	again.SetRegions([]Region{a.realm.pinned(a.address())})
	eventually(t, "the node is found at its new address", func() bool {
		out, err := a.Call(seconds(t, 5), "eu-west-1", []byte("hi"))
		return err == nil && len(out) > 0
	})
}

// TestRemovedRegion ends the federation on one side: what was open is closed and nothing opens again.
func TestRemovedRegion(t *testing.T) {
	a, b := two(t)
	if _, err := b.Call(seconds(t, 20), "us-east-1", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "they meet", func() bool { return a.Members()["eu-west-1"] == 1 })
	a.SetRegions(nil)
	if _, err := b.Call(seconds(t, 5), "us-east-1", []byte("hi")); !errors.Is(err, link.ErrUnreachable) {
		t.Errorf("a region that is no longer federated was served: %v", err)
	}
	if _, err := a.Call(seconds(t, 5), "eu-west-1", nil); !errors.Is(err, link.ErrUnknownRegion) {
		t.Errorf("%v", err)
	}
	eventually(t, "nothing stays open and the pool ends", func() bool {
		a.connsMu.Lock()
		defer a.connsMu.Unlock()
		return len(a.conns) == 0 && a.gossip.Load() == nil
	})
}

// TestRenewedCertificate replaces a node's certificate while it runs.
func TestRenewedCertificate(t *testing.T) {
	a, b := two(t)
	if _, err := a.Call(seconds(t, 20), "eu-west-1", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	renewed := b.realm.issue("n1", b.realm.cluster, time.Now())
	b.wire.SetCredentials(renewed)
	a.closeConns()
	eventually(t, "calls arrive over the new certificate", func() bool {
		_, err := a.Call(seconds(t, 5), "eu-west-1", []byte("hi"))
		return err == nil
	})
	c, err := a.dial(seconds(t, 10), b.address(), protoLink, want{"eu-west-1", "n1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(renewed.Leaf()) {
		t.Error("the old certificate is still shown")
	}
}
