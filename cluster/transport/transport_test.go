package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

func TestRequests(t *testing.T) {
	a, b, _ := pair(t)
	to := b.asServer("b")
	got, err := a.LastIndex(seconds(t, 5), to, "cluster-1")
	want := cluster.Answer{NodeID: "b", ClusterID: "cluster-1", LastIndex: 7, Applied: 5, Clock: 1_700_000_000_000}
	if err != nil || got != want {
		t.Errorf("question: %+v, %v", got, err)
	}
	res, err := a.Forward(seconds(t, 5), to, cluster.Gate{}, command())
	if err != nil || !reflect.DeepEqual(res, fsm.Result{Code: fsm.Stale, Index: 9, Objects: []string{"a", "b"}, Repeat: true, Detail: "d"}) {
		t.Errorf("proposal: %+v, %v", res, err)
	}
	out, err := a.Call(seconds(t, 5), to, "m", []byte("p"))
	if err != nil || string(out) != "a m p" {
		t.Errorf("call: %q, %v", out, err)
	}
	if _, err := a.LastIndex(seconds(t, 5), to, "cluster-2"); !errors.Is(err, cluster.ErrIdentity) {
		t.Errorf("another cluster was asked for: %v", err)
	}
}

// Many requests share one connection and none gets another's answer.
func TestRequestsRunSideBySide(t *testing.T) {
	a, b, _ := pair(t)
	slow := make(chan struct{})
	h := handlers("b", "cluster-1")
	echo := h.Call
	h.Call = func(ctx context.Context, peer, method string, p []byte) ([]byte, error) {
		if method == "slow" {
			<-slow
		}
		return echo(ctx, peer, method, p)
	}
	b.Handle(h)
	to := b.asServer("b")
	var wg sync.WaitGroup
	wg.Go(func() {
		if out, err := a.Call(seconds(t, 10), to, "slow", nil); err != nil || string(out) != "a slow " {
			t.Errorf("%q, %v", out, err)
		}
	})
	var rest sync.WaitGroup
	for i := range 200 {
		rest.Go(func() {
			payload := fmt.Sprint(i)
			if out, err := a.Call(seconds(t, 10), to, "m", []byte(payload)); err != nil || string(out) != "a m "+payload {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	rest.Wait()
	close(slow)
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) != 1 {
		t.Errorf("%d connections", len(b.open))
	}
}

// What an error means survives the wire, and what is not known stays unknown.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	var say error
	h.Propose = func(context.Context, cluster.Gate, fsm.Command) (fsm.Result, error) { return fsm.Result{}, say }
	b.Handle(h)
	for _, c := range []struct {
		say, want error
		written   bool // may have been written
	}{
		{cluster.ErrNotLeader, cluster.ErrNotLeader, false},
		{cluster.ErrNoLeader, cluster.ErrNoLeader, false},
		{cluster.ErrTooBusy, cluster.ErrTooBusy, false},
		{cluster.ErrDiskFull, cluster.ErrDiskFull, false},
		{cluster.ErrClockOff, cluster.ErrClockOff, false},
		{cluster.ErrCanceled, cluster.ErrCanceled, false},
		{cluster.ErrOldNodes, cluster.ErrOldNodes, false},
		{cluster.ErrClosed, cluster.ErrNoLeader, false}, // that node stops, another may lead
		{fsm.ErrInvalid, fsm.ErrInvalid, false},
		{fmt.Errorf("%w (x)", cluster.ErrUnknown), cluster.ErrUnknown, true},
		{fmt.Errorf("%w (%w)", cluster.ErrUnknown, cluster.ErrClosed), cluster.ErrUnknown, true},
		{errors.New("anything else"), cluster.ErrUnknown, true},
	} {
		say = c.say
		_, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command())
		if !errors.Is(err, c.want) || cluster.NotWritten(err) == c.written {
			t.Errorf("%v became %v", c.say, err)
		}
	}
}

// Gates and holds arrive as they were sent.
func TestGatesOnTheWire(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	var said []string
	h.Propose = func(_ context.Context, g cluster.Gate, _ fsm.Command) (fsm.Result, error) {
		said = append(said, fmt.Sprint("propose ", g.Keys, g.Hold[0]))
		return fsm.Result{}, nil
	}
	h.Hold = func(_ context.Context, id cluster.HoldID, keys []string) error {
		said = append(said, fmt.Sprint("hold ", keys, id[0]))
		return cluster.ErrNotLeader
	}
	h.Release = func(id cluster.HoldID) { said = append(said, fmt.Sprint("release ", id[0])) }
	b.Handle(h)
	to, id := b.asServer("b"), cluster.HoldID{7}
	if err := a.Hold(seconds(t, 5), to, id, []string{"k", "l"}); !errors.Is(err, cluster.ErrNotLeader) {
		t.Errorf("a refused hold: %v", err)
	}
	for _, g := range []cluster.Gate{{}, {Keys: []string{"k"}}, {Keys: []string{"k"}, Hold: id}} {
		if _, err := a.Forward(seconds(t, 5), to, g, command()); err != nil {
			t.Error(err)
		}
	}
	if err := a.Hold(seconds(t, 5), to, id, nil); err != nil {
		t.Error(err)
	}
	if got, want := fmt.Sprint(said), "[hold [k l] 7 propose [] 0 propose [k] 0 propose [k] 7 release 7]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A node that cannot be reached has written nothing; one that was reached and does not answer may have.
func TestOutcomeOfForwarding(t *testing.T) {
	a, b, _ := pair(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	nobody := raft.Server{ID: "c", Address: raft.ServerAddress(free.Addr().String())}
	if _, err := a.Forward(seconds(t, 5), nobody, cluster.Gate{}, command()); !errors.Is(err, cluster.ErrNoLeader) {
		t.Errorf("nobody there: %v", err)
	}
	h := handlers("b", "cluster-1")
	arrived := make(chan struct{})
	h.Propose = func(ctx context.Context, _ cluster.Gate, _ fsm.Command) (fsm.Result, error) {
		close(arrived)
		<-ctx.Done()
		return fsm.Result{}, cluster.ErrCanceled
	}
	b.Handle(h)
	done := make(chan error)
	go func() {
		_, err := a.Forward(seconds(t, 20), b.asServer("b"), cluster.Gate{}, command())
		done <- err
	}()
	<-arrived
	b.mu.Lock()
	for c := range b.open {
		c.Close()
	}
	b.mu.Unlock()
	if err := <-done; !errors.Is(err, cluster.ErrUnknown) || cluster.NotWritten(err) {
		t.Errorf("the connection ended: %v", err)
	}
	b.Handle(handlers("b", "cluster-1"))
	if _, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command()); err != nil {
		t.Errorf("on the next connection: %v", err)
	}
}

// A deadline ends a request, and a connection that has said nothing meanwhile is given up.
func TestSilentPeer(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	h.Answer = func(string, string) (cluster.Answer, error) {
		<-b.life.Done()
		return cluster.Answer{}, errors.New("late")
	}
	b.Handle(h)
	if _, err := a.LastIndex(seconds(t, 0.05), b.asServer("b"), "cluster-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	conn := a.peer("b").conn
	if conn.failed() != nil {
		t.Error("given up after 50 ms")
	}
	if _, err := a.LastIndex(seconds(t, 1.05), b.asServer("b"), "cluster-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if conn.failed() == nil {
		t.Error("a silent connection is kept")
	}
}

func TestOnlyMembersPropose(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	h.Member = func(id string) error { return fmt.Errorf("%w (%s)", cluster.ErrNoSuchMember, id) }
	h.Propose = func(context.Context, cluster.Gate, fsm.Command) (fsm.Result, error) {
		t.Error("proposed")
		return fsm.Result{}, nil
	}
	b.Handle(h)
	if _, err := a.Forward(seconds(t, 5), b.asServer("b"), cluster.Gate{}, command()); err == nil {
		t.Error("a proposal of a node that is no member was taken")
	}
	if _, err := a.Call(seconds(t, 5), b.asServer("b"), "m", nil); !errors.Is(err, cluster.ErrNoSuchMember) {
		t.Errorf("a call of a node that is no member: %v", err)
	}
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Errorf("a question: %v", err)
	}
}

// A node says why it should not lead. One that does not know the question counts as fit, one that does not answer does not.
func TestUnfit(t *testing.T) {
	a, b, _ := pair(t)
	h := handlers("b", "cluster-1")
	if why, err := a.Unfit(seconds(t, 5), b.asServer("b")); why != "" || err != nil {
		t.Errorf("a node that does not know the question: %q, %v", why, err)
	}
	for _, ill := range []error{nil, errors.New("the HSM hangs")} {
		h.Unfit = func() error { return ill }
		b.Handle(h)
		why, err := a.Unfit(seconds(t, 5), b.asServer("b"))
		if err != nil || (why == "") != (ill == nil) || ill != nil && why != ill.Error() {
			t.Errorf("%v arrived as %q, %v", ill, why, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if why, err := a.Unfit(seconds(t, 5), b.asServer("b")); err == nil {
		t.Errorf("a node that is gone: %q", why)
	}
}

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

func TestJoining(t *testing.T) {
	ca := newAuthority(t, "cluster-1")
	b, _ := open(t, ca, "b")
	pin, err := Pin(ca.cert)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *RemoteError
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); !errors.As(err, &refusal) {
		t.Errorf("while the node starts: %v", err)
	}
	b.Handle(handlers("b", "cluster-1"))
	if out, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); err != nil || string(out) != "welcome x" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("no")); !errors.As(err, &refusal) || refusal.Text != "refused for a reason" {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, make([]byte, maxJoin+1)); err == nil {
		t.Error("a request that is too long was sent")
	}
	pin[0] ^= 1
	if _, err := RequestJoin(seconds(t, 5), b.Advertise(), pin, []byte("x")); err == nil || errors.As(err, &refusal) {
		t.Errorf("another cluster: %v", err)
	}
}

// Bytes that are no frames end the connection and nothing else.
// To join by way of a port that serves something else is answered with what to look at.
func TestJoiningByTheWrongPort(t *testing.T) {
	api := httptest.NewTLSServer(http.NotFoundHandler())
	defer api.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, s := range []*httptest.Server{api, plain} {
		_, err := RequestJoin(seconds(t, 5), s.Listener.Addr().String(), [32]byte{}, []byte("x"))
		if err == nil || !strings.Contains(err.Error(), "cluster block") {
			t.Errorf("%s: %v", s.URL, err)
		}
	}
}

func TestHostileMembers(t *testing.T) {
	a, b, _ := pair(t)
	cfg, err := a.clientConfig("b", protoRPC)
	if err != nil {
		t.Fatal(err)
	}
	good := func(f frame) []byte {
		e, err := f.encode(maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, bytes := range map[string][]byte{
		"nothing":              {},
		"length only":          {0, 0, 0, 20},
		"length of everything": {0xff, 0xff, 0xff, 0xff},
		"length too short":     {0, 0, 0, 1, 1},
		"unknown method":       good(frame{id: 1, code: 99, millis: 1000}),
		"question without ids": good(frame{id: 1, code: methodLastIndex}),
		"call without method":  good(frame{id: 1, code: methodCall, millis: 1000, payload: []byte{200, 1}}),
		"no command":           good(frame{id: 1, code: methodPropose, millis: 1000, payload: []byte("TRC")}),
		"no time":              good(frame{id: 1, code: methodCall, payload: encodeTwo("m", "")}),
	} {
		conn, err := (&tls.Dialer{Config: cfg}).DialContext(seconds(t, 5), "tcp", b.Advertise())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
	if _, err := a.LastIndex(seconds(t, 5), b.asServer("b"), "cluster-1"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestUnreadableCommandIsNotWritten(t *testing.T) {
	a, b, _ := pair(t)
	_, err := a.request(seconds(t, 5), b.asServer("b"), methodPropose, []byte("no command"))
	if err := forwardError(err); !errors.Is(err, fsm.ErrInvalid) || !cluster.NotWritten(err) {
		t.Errorf("%v", err)
	}
}

func TestFrames(t *testing.T) {
	f := frame{id: 1 << 40, code: 3, millis: 250, payload: []byte("payload")}
	b, err := f.encode(maxFrame)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(bytes.NewReader(b), maxFrame); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(b) {
		if _, err := readFrame(bytes.NewReader(b[:n]), maxFrame); err == nil {
			t.Errorf("cut to %d bytes: read", n)
		}
	}
	if _, err := (&frame{payload: make([]byte, maxFrame)}).encode(maxFrame); err == nil {
		t.Error("a frame that is too long was encoded")
	}
	// A length is not allocated before its bytes are there.
	allocated := testing.AllocsPerRun(10, func() {
		if _, err := readFrame(bytes.NewReader([]byte{0, 0x0f, 0xff, 0xff, 1}), maxFrame); err == nil {
			t.Error("read")
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestJoinTokenText(t *testing.T) {
	token := NewJoinToken([32]byte{1}, [32]byte{2})
	text := token.Reveal()
	got, err := ParseJoinToken(" " + text + "\n")
	if err != nil || got != token {
		t.Errorf("%v, %v", got, err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", token, token, token, token); strings.Contains(printed, "2") {
		t.Errorf("it prints as %s", printed)
	}
	for _, bad := range []string{"", text[:len(text)-1], text + "A", strings.ToUpper(text), "x" + text} {
		if _, err := ParseJoinToken(bad); err == nil || (len(bad) > 60 && strings.Contains(err.Error(), bad[20:])) {
			t.Errorf("%q: %v", bad, err)
		}
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

func FuzzReadFrame(f *testing.F) {
	for _, fr := range []frame{{id: 1, code: methodLastIndex, payload: encodeTwo("a", "b")}, {id: 2, code: methodCall, millis: 7}} {
		b, err := fr.encode(maxFrame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := readFrame(bytes.NewReader(data), maxFrame)
		if err != nil {
			return
		}
		again, err := fr.encode(maxFrame)
		if err != nil || !bytes.Equal(again, data[:len(again)]) {
			t.Errorf("read %x, written %x, %v", data, again, err)
		}
		if a, b, err := decodeTwo(fr.payload); err == nil && !bytes.Equal(encodeTwo(a, b), fr.payload) {
			t.Errorf("%q %q", a, b)
		}
		if res, err := decodeResult(fr.payload); err == nil {
			if _, err := encodeResult(res); err != nil {
				t.Error(err)
			}
		}
		if _, err := decodeAnswer(fr.payload, "a", "c"); (err == nil) != (len(fr.payload) == answerSize) {
			t.Error(err)
		}
		if err := decodeFault(fr.code, fr.payload, "a"); err == nil {
			t.Error("a fault without an error")
		}
	})
}

// What another node refuses is said once, whatever it adds to it, and keeps its meaning.
func TestFaultIsSaidOnce(t *testing.T) {
	for _, err := range []error{cluster.ErrQuorum, fmt.Errorf("%w (1 of 2)", cluster.ErrQuorum), fmt.Errorf("remove: %w", cluster.ErrQuorum)} {
		status, text := encodeFault(err)
		got := decodeFault(status, text, "n7")
		if said := got.Error(); !errors.Is(got, cluster.ErrQuorum) || !strings.Contains(said, "n7") {
			t.Errorf("%q became %q", err, said)
		}
		if strings.HasPrefix(err.Error(), cluster.ErrQuorum.Error()) && strings.Count(got.Error(), cluster.ErrQuorum.Error()) != 1 {
			t.Errorf("%q became %q", err, got)
		}
	}
}

func FuzzParseJoinToken(f *testing.F) {
	f.Add(NewJoinToken([32]byte{1}, [32]byte{2}).Reveal())
	f.Add("trent-join-1.")
	f.Fuzz(func(t *testing.T, text string) {
		if token, err := ParseJoinToken(text); err == nil && token.Reveal() != strings.TrimSpace(text) {
			t.Errorf("%q is read as another token", text)
		}
	})
}

func FuzzRequestKey(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	request, err := NewRequest(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Fuzz(func(t *testing.T, der []byte) {
		if k, err := RequestKey(der); err == nil && len(k) != 32 {
			t.Errorf("%x", k)
		}
	})
}

func BenchmarkLastIndex(b *testing.B) {
	a, s, _ := pair(b)
	to := s.asServer("b")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.LastIndex(context.Background(), to, "cluster-1"); err != nil {
			b.Fatal(err)
		}
	}
}
