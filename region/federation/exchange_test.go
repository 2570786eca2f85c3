package federation

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestSilentStrangers: connections that say nothing, however many, keep nobody from meeting.
func TestSilentStrangers(t *testing.T) {
	here, there := newRealm(t, "us-east-1"), newRealm(t, "eu-west-1")
	a := here.open("n1", func(c *Config) {
		c.Meet = func(_ context.Context, _ Channel, request []byte) ([]byte, error) {
			return append([]byte("met "), request...), nil
		}
	})
	b := there.open("n1", nil)
	stranger := newRealm(t, "ap-south-1").issue("n1", "cluster", time.Now())
	for range maxArriving + maxExchanges + 4 {
		d := tls.Dialer{Config: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{stranger.Certificate()}, NextProtos: []string{protoMeet}, InsecureSkipVerify: true,
		}}
		c, err := d.DialContext(seconds(t, 10), "tcp", a.address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	var answer []byte
	err := b.Meet(seconds(t, 10), here.name, a.address(),
		func(Channel) ([]byte, error) { return []byte("b"), nil },
		func(_ Channel, said []byte) error { answer = said; return nil })
	if err != nil || !bytes.Equal(answer, []byte("met b")) {
		t.Errorf("%q, %v", answer, err)
	}
}

// address is a connection that comes from somewhere.
type address struct {
	net.Conn
	from   netip.AddrPort
	closed bool
}

func (c *address) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.from) }

func (c *address) Close() error {
	if c.closed {
		return errors.New("closed twice")
	}
	c.closed = true
	return nil
}

// TestWhoGivesWay: of too many arrivals the oldest one gives way of whoever has most, an IPv6 network of 64 bits counting as one.
func TestWhoGivesWay(t *testing.T) {
	at := &arrivals{}
	patient := &address{from: netip.MustParseAddrPort("192.0.2.1:1000")}
	at.add(patient)
	network := netip.MustParseAddr("2001:db8::").As16()
	var many []*address
	for i := range 5 * maxArriving {
		network[14], network[15] = byte(i>>8), byte(i)
		many = append(many, &address{from: netip.AddrPortFrom(netip.AddrFrom16(network), 1000)})
		at.add(many[i])
		if len(at.all) > maxArriving {
			t.Fatalf("%d arrivals", len(at.all))
		}
	}
	for i, c := range many {
		if c.closed != (i <= 4*maxArriving) {
			t.Errorf("connection %d of the many: closed %t", i, c.closed)
		}
	}
	if patient.closed {
		t.Error("who has one connection gave way to who has many")
	}
}
