package federation

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/region/link"
)

// realm is a region as a test's federation knows it: its authority, and the addresses of its nodes.
type realm struct {
	t         testing.TB
	name      string
	cluster   string
	cert, key []byte
	leader    atomic.Pointer[string] // id of the node that leads
	term      atomic.Uint64
}

func newRealm(t testing.TB, name string) *realm {
	t.Helper()
	r := &realm{t: t, name: name, cluster: "cluster-of-" + name}
	var err error
	if r.cert, r.key, err = transport.NewAuthority(r.cluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.lead("n1")
	return r
}

func (r *realm) lead(node string) {
	r.leader.Store(&node)
	r.term.Add(1)
}

func (r *realm) pinned(addresses ...string) Region {
	return Region{Name: r.name, ClusterID: r.cluster, Authorities: [][]byte{r.cert}, Addresses: addresses}
}

// issue makes a certificate of this realm's authority for a node of any cluster.
func (r *realm) issue(node, cluster string, now time.Time) *transport.Credentials {
	r.t.Helper()
	key, err := transport.NewKey()
	if err != nil {
		r.t.Fatal(err)
	}
	request, err := transport.NewRequest(key)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := transport.Issue(r.cert, r.key, request, node, cluster, now)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := transport.NewCredentials(cert, key, [][]byte{r.cert})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// heard is what a test's node was asked and told.
type heard struct {
	mu      sync.Mutex
	digests map[string]string
	served  int
}

func (h *heard) digest(region string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.digests[region]
}

type handler struct {
	*heard
	node string
}

func (h handler) Serve(_ context.Context, from string, request []byte) ([]byte, error) {
	h.mu.Lock()
	h.served++
	h.mu.Unlock()
	switch string(request) {
	case "no":
		return nil, errors.New("not for you")
	case "size":
		return make([]byte, link.MaxRequest), nil
	}
	return []byte(h.node + " heard " + string(request[:min(len(request), 16)]) + " from " + from), nil
}

func (h handler) Digest(from string, digest []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.digests[from] = string(digest)
}

// member is a node of a realm.
type member struct {
	*Federation
	heard   *heard
	wire    *transport.Server
	realm   *realm
	closing sync.Once
}

// quick has the pool notice and forget within fractions of a second.
func quick(c *memberlist.Config) {
	c.ProbeInterval, c.ProbeTimeout = 100*time.Millisecond, 80*time.Millisecond
	c.GossipInterval, c.GossipToTheDeadTime = 50*time.Millisecond, 200*time.Millisecond
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = 2, 1
	c.PushPullInterval = time.Second
	c.TCPTimeout = 200 * time.Millisecond
}

func (r *realm) open(node string, change func(*Config)) *member {
	r.t.Helper()
	wire, err := transport.Listen(transport.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		r.t.Fatal(err)
	}
	wire.SetCredentials(r.issue(node, r.cluster, time.Now()))
	m := &member{heard: &heard{digests: map[string]string{}}, wire: wire, realm: r}
	cfg := Config{
		Region: r.name, ClusterID: r.cluster, Node: node, Wire: wire,
		Leading: func() (uint64, bool) { return r.term.Load(), *r.leader.Load() == node },
		Leader:  func() string { return *r.leader.Load() },
	}
	if change != nil {
		change(&cfg)
	}
	m.Federation = open(cfg, quick)
	m.Handle(handler{m.heard, r.name + "/" + node})
	r.t.Cleanup(m.stop)
	return m
}

func (m *member) stop() {
	m.closing.Do(func() {
		m.Federation.Close()
		if err := m.wire.Close(); err != nil {
			m.realm.t.Error(err)
		}
	})
}

func (m *member) address() string { return m.wire.Advertise() }

func seconds(t testing.TB, n float64) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n*float64(time.Second)))
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx := seconds(t, 30)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}

// door is an address that leads to another one and can be shut: a network between regions that partitions.
type door struct {
	ln   net.Listener
	to   atomic.Pointer[string]
	mu   sync.Mutex
	shut bool
	open map[net.Conn]bool
	work sync.WaitGroup
}

func newDoor(t testing.TB) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{ln: ln, open: map[net.Conn]bool{}}
	d.work.Go(d.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		d.set(true)
		d.work.Wait()
	})
	return d
}

func (d *door) address() string { return d.ln.Addr().String() }

// set shuts the door, which cuts what is open, or opens it.
func (d *door) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
	if shut {
		for c := range d.open {
			_ = c.Close()
		}
		clear(d.open)
	}
}

func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		_ = c.Close()
		return false
	}
	d.open[c] = true
	return true
}

func (d *door) accept() {
	for {
		in, err := d.ln.Accept()
		if err != nil {
			return
		}
		to := d.to.Load()
		if to == nil || !d.enter(in) {
			_ = in.Close()
			continue
		}
		out, err := net.Dial("tcp", *to)
		if err != nil || !d.enter(out) {
			_ = in.Close()
			continue
		}
		pipe := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			_ = a.Close()
			_ = b.Close()
		}
		d.work.Go(func() { pipe(in, out) })
		d.work.Go(func() { pipe(out, in) })
	}
}
