package federation

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// gossip is one memberlist pool with its transport. A pool lives while there are other regions.
type gossip struct {
	f       *Federation
	list    *memberlist.Memberlist // set before anybody else knows the pool
	packets chan *memberlist.Packet
	streams chan net.Conn
	life    context.Context
	end     context.CancelFunc
	leaving sync.Once

	mu      sync.Mutex
	members map[string]metadata // live ones by name
	seeds   map[string]string   // addresses of seeds by their places
	names   map[string]string   // names of members by their places
	senders map[string]*sender  // by place
}

// maxMembers bounds the members of one region that are remembered: more cannot be a region's nodes.
const maxMembers = 64

// packetQueue is how many packets wait for a connection to one member; more are dropped, as a network does.
const packetQueue = 64

// senderIdle is how long the connection for packets to one member stays without any.
const senderIdle = 2 * time.Minute

func newGossip(f *Federation) (*gossip, error) {
	g := &gossip{
		f: f, packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn), members: map[string]metadata{},
		seeds: map[string]string{}, names: map[string]string{}, senders: map[string]*sender{},
	}
	g.life, g.end = context.WithCancel(f.life)
	cfg := memberlist.DefaultLANConfig()
	cfg.Name, cfg.Transport = memberName(f.cfg.Region, f.cfg.Node), g
	cfg.Logger = stdLogger(f.log)
	cfg.Delegate, cfg.Events, cfg.Alive = g, g, g
	// The transport authenticates and encrypts; compressed messages can be bombs.
	cfg.EnableCompression = false
	cfg.UDPBufferSize = gossipPacket
	cfg.TCPTimeout = dialTimeout
	cfg.ProbeInterval, cfg.ProbeTimeout = 2*time.Second, time.Second
	cfg.SuspicionMult = 5
	cfg.PushPullInterval = 20 * time.Second
	cfg.DNSConfigPath = ""
	if f.tune != nil {
		f.tune(cfg)
	}
	list, err := memberlist.Create(cfg)
	if err != nil {
		g.end()
		return nil, fmt.Errorf("federation: pool: %w", err)
	}
	g.list = list
	return g, nil
}

// leave tells the others that this node goes, and ends the pool.
func (g *gossip) leave() {
	g.leaving.Do(func() {
		// That nobody hears it only means that the others find out by themselves.
		_ = g.list.Leave(300 * time.Millisecond)
		_ = g.list.Shutdown()
		g.end()
	})
}

// FinalAdvertiseAddr implements memberlist.Transport: the place that stands for this node.
func (g *gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return place("member", memberName(g.f.cfg.Region, g.f.cfg.Node)), placePort, nil
}

// PacketCh implements memberlist.Transport.
func (g *gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh implements memberlist.Transport.
func (g *gossip) StreamCh() <-chan net.Conn { return g.streams }

// Shutdown implements memberlist.Transport.
func (g *gossip) Shutdown() error {
	g.end()
	return nil
}

// WriteTo implements memberlist.Transport.
func (g *gossip) WriteTo(b []byte, addr string) (time.Time, error) {
	return g.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// DialTimeout implements memberlist.Transport.
func (g *gossip) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return g.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (g *gossip) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	address, w, err := g.resolve(a)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(g.life, timeout)
	defer cancel()
	return g.f.dial(ctx, address, protoStream, w)
}

// resolve finds out what a place stands for now: the real address, and who must be there.
func (g *gossip) resolve(a memberlist.Address) (address string, w want, err error) {
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return "", w, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if seed, ok := g.seeds[host]; ok {
		return seed, want{}, nil
	}
	name := a.Name
	if name == "" {
		name = g.names[host]
	}
	region, node, ok := splitMember(name)
	m, known := g.members[name]
	if !ok || !known {
		return "", w, fmt.Errorf("federation: where %s is reached is not known", a.String())
	}
	if region == g.f.cfg.Region && g.f.cfg.Neighbours != nil {
		// Inside the region the nodes have a way of their own to each other.
		if at := g.f.cfg.Neighbours()[node]; at != "" {
			return at, want{region, node}, nil
		}
	}
	return m.address, want{region, node}, nil
}

// WriteToAddress implements memberlist.NodeAwareTransport. Like a datagram, a packet that cannot be sent is lost.
func (g *gossip) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if len(b) == 0 || len(b) > maxPacket {
		return time.Time{}, fmt.Errorf("federation: a packet of %d bytes", len(b))
	}
	now := time.Now()
	if g.life.Err() != nil {
		return now, net.ErrClosed
	}
	s := g.sender(a)
	select {
	case s.queue <- append([]byte(nil), b...):
	default:
	}
	return now, nil
}

// sender keeps one connection for packets to one member.
type sender struct {
	to    memberlist.Address
	queue chan []byte
}

func (g *gossip) sender(a memberlist.Address) *sender {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.senders[a.Addr]
	if s == nil {
		s = &sender{a, make(chan []byte, packetQueue)}
		if g.f.run(func() { g.send(s) }) {
			g.senders[a.Addr] = s
		}
	}
	return s
}

// send sends a member's packets until there have been none for a while. Packets that meet no connection are dropped.
func (g *gossip) send(s *sender) {
	var c *conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	idle := time.NewTimer(senderIdle)
	defer idle.Stop()
	for {
		select {
		case b := <-s.queue:
			idle.Reset(senderIdle)
			if c == nil {
				if c = g.openSender(s); c == nil {
					g.drain(s)
					continue
				}
			}
			if err := writePacket(c, b); err != nil {
				_ = c.Close()
				c = nil
			}
		case <-idle.C:
			g.mu.Lock()
			if len(s.queue) > 0 {
				g.mu.Unlock()
				idle.Reset(senderIdle)
				continue
			}
			delete(g.senders, s.to.Addr)
			g.mu.Unlock()
			return
		case <-g.life.Done():
			return
		}
	}
}

// openSender dials. After a failure it waits a moment, so that a member that is gone does not cost a dial for each packet.
func (g *gossip) openSender(s *sender) *conn {
	address, w, err := g.resolve(s.to)
	if err == nil {
		var c *conn
		if c, err = g.f.dial(g.life, address, protoPacket, w); err == nil {
			// The other end never says anything: reading finds out when it has gone.
			if !g.f.run(func() { discard(c) }) {
				_ = c.Close()
				return nil
			}
			return c
		}
	}
	g.f.log.Debug("federation: gossip is not sent", "to", s.to.String(), "error", err)
	select {
	case <-time.After(500 * time.Millisecond):
	case <-g.life.Done():
	}
	return nil
}

// drain drops what has waited too long to be of use.
func (g *gossip) drain(s *sender) {
	for len(s.queue) > 0 {
		<-s.queue
	}
}

func writePacket(c *conn, b []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.Write(appendPacket(nil, b))
	return err
}

// discard reads until the connection ends, and closes it.
func discard(c *conn) {
	var b [64]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			_ = c.Close()
			return
		}
	}
}

// servePackets hands a member's packets to the pool. Its answers go to the place of whom the certificate names.
func (f *Federation) servePackets(ctx context.Context, c *conn) {
	if !c.peer.Current {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	name := memberName(c.peer.Region, c.peer.Node)
	from := &net.TCPAddr{IP: place("member", name), Port: placePort}
	r := bufio.NewReader(c)
	for {
		b, err := readPacket(r)
		if err != nil {
			return
		}
		if c.peer.Region != f.cfg.Region {
			f.contact(c.peer.Region)
		}
		g := f.gossip.Load()
		if g == nil {
			continue
		}
		select {
		case g.packets <- &memberlist.Packet{Buf: b, From: from, Timestamp: time.Now()}:
		case <-g.life.Done():
		case <-ctx.Done():
			return
		}
	}
}

// serveStream hands a stream to the pool, which closes it.
func (f *Federation) serveStream(ctx context.Context, c *conn) {
	g := f.gossip.Load()
	if g == nil || !c.peer.Current {
		return
	}
	s := &stream{conn: c, closed: make(chan struct{})}
	select {
	case g.streams <- s:
	case <-g.life.Done():
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-s.closed:
	case <-ctx.Done():
	}
}

// stream tells when the pool has closed it.
type stream struct {
	*conn
	closing sync.Once
	closed  chan struct{}
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.closing.Do(func() { close(s.closed) })
	return s.conn.Close()
}

// NotifyAlive implements memberlist.AliveDelegate: members are nodes of known regions that say where they are.
func (g *gossip) NotifyAlive(n *memberlist.Node) error {
	region, _, ok := splitMember(n.Name)
	if !ok || g.f.directory.Load().region(region) == nil {
		return fmt.Errorf("%w: member %q", ErrRefused, n.Name)
	}
	if !n.Addr.Equal(place("member", n.Name)) || n.Port != placePort {
		return fmt.Errorf("federation: the place of member %q is not its own", n.Name)
	}
	if _, err := decodeMetadata(n.Meta); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.members[n.Name]; !known && g.count(region) >= maxMembers {
		return fmt.Errorf("federation: region %s has too many members", region)
	}
	return nil
}

// count is the number of live members of a region. The caller holds g.mu.
func (g *gossip) count(region string) (n int) {
	for name := range g.members {
		if r, _, _ := splitMember(name); r == region {
			n++
		}
	}
	return n
}

// NotifyJoin implements memberlist.EventDelegate.
func (g *gossip) NotifyJoin(n *memberlist.Node) { g.NotifyUpdate(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (g *gossip) NotifyUpdate(n *memberlist.Node) {
	m, err := decodeMetadata(n.Meta)
	if err != nil {
		return
	}
	g.mu.Lock()
	g.members[n.Name] = m
	g.names[place("member", n.Name).String()] = n.Name
	g.mu.Unlock()
	g.f.digests.soon() // a region that was away learns at once where this one is
}

// NotifyLeave implements memberlist.EventDelegate.
func (g *gossip) NotifyLeave(n *memberlist.Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, n.Name)
	delete(g.names, place("member", n.Name).String())
}

// NodeMeta implements memberlist.Delegate.
func (g *gossip) NodeMeta(int) []byte { return g.f.metadata().encode() }

// NotifyMsg implements memberlist.Delegate. Nothing travels as a message of the pool: such a message does not tell who sent it.
func (*gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (*gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (*gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (*gossip) MergeRemoteState([]byte, bool) {}

// alive is the number of live members of a region.
func (g *gossip) alive(region string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count(region)
}

// live are the live members of a region by node id.
func (g *gossip) live(region string) map[string]metadata {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]metadata{}
	for name, m := range g.members {
		if r, node, _ := splitMember(name); r == region {
			all[node] = m
		}
	}
	return all
}

// join meets the pool by way of an address.
func (g *gossip) join(address string) error {
	at := place("seed", address)
	g.mu.Lock()
	g.seeds[at.String()] = address
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.seeds, at.String())
		g.mu.Unlock()
	}()
	_, err := g.list.Join([]string{net.JoinHostPort(at.String(), fmt.Sprint(placePort))})
	return err
}

// update tells the pool this node's metadata.
func (g *gossip) update() error { return g.list.UpdateNode(time.Second) }

var _ memberlist.NodeAwareTransport = (*gossip)(nil)
