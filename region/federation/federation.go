package federation

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/region/link"
)

// Config says who takes part in a federation.
type Config struct {
	// Region, ClusterID and Node name this node.
	Region, ClusterID, Node string
	// Wire is the node's port, which the protocols extend.
	Wire *transport.Server
	// Advertise is where nodes of other regions reach this one, host:port; the port's own address if empty.
	Advertise string
	// Seeds are addresses at which nodes of other regions may be found, besides those in the replicated state.
	Seeds []string
	// Leading tells whether this node leads its region, and in which term.
	Leading func() (term uint64, ok bool)
	// Leader is the id of the node that leads this region, "" if none is known.
	Leader func() string
	// Neighbours are the other nodes of this region: id and address of the port. nil if there are none.
	Neighbours func() map[string]string
	// Refused says why a node of this region is refused, nil if it is not.
	Refused func(node string) error
	// Control serves what regions tell each other of themselves (Control), on the leader. Also a region whose identity is not Current may.
	Control func(ctx context.Context, from Identity, request []byte) ([]byte, error)
	// Exchange serves a region that brings a token (Exchange). chain is the certificate that it showed, unchecked, with its authority.
	Exchange func(ctx context.Context, chain [][]byte, request []byte) ([]byte, error)
	// Meet serves a region that was restored and is known under another authority, or under none any more (Meet).
	Meet func(ctx context.Context, c Channel, request []byte) ([]byte, error)
	// Logger receives what happens. nil discards.
	Logger *slog.Logger
}

// Federation is one node's place among the nodes of all regions. It implements link.Link and is safe for concurrent use.
type Federation struct {
	cfg       Config
	advertise string
	log       *slog.Logger
	directory atomic.Pointer[directory]
	setting   sync.Mutex // orders changes of directory
	regions   []Region   // what directory was made of, with creds
	creds     *transport.Credentials
	life      context.Context
	end       context.CancelFunc
	work      sync.WaitGroup
	adding    sync.Mutex    // orders work.Add against Close's Wait
	wake      chan struct{} // tells keep that there may be something to do
	gossip    atomic.Pointer[gossip]
	handler   atomic.Pointer[link.Handler]
	digests   digests
	// tune changes the pool's times; tests set it.
	tune func(*memberlist.Config)

	connsMu sync.Mutex
	conns   map[*conn]struct{}

	mu      sync.Mutex
	seeds   []string
	links   map[string]*outgoing // by address
	leaders map[string]redirect  // by region: who led when somebody said so
	seen    map[string]*seen     // by region
}

// seen is what is known of another region's condition.
type seen struct {
	contact     time.Time
	incarnation uint64
}

// New takes a place in the federation: the port serves the protocols from now on. There are no other regions until SetRegions.
func New(cfg Config) *Federation { return open(cfg, nil) }

func open(cfg Config, tune func(*memberlist.Config)) *Federation {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Federation{
		cfg: cfg, advertise: cfg.Advertise, log: cfg.Logger, wake: make(chan struct{}, 1),
		conns: map[*conn]struct{}{}, links: map[string]*outgoing{}, leaders: map[string]redirect{}, seen: map[string]*seen{},
		seeds: cfg.Seeds, digests: digests{wake: make(chan struct{}, 1)}, tune: tune,
	}
	if f.advertise == "" {
		f.advertise = cfg.Wire.Advertise()
	}
	f.life, f.end = context.WithCancel(context.Background())
	empty, _ := newDirectory(Region{Name: cfg.Region, ClusterID: cfg.ClusterID}, nil) // nothing in it can fail
	f.directory.Store(empty)
	for _, e := range []transport.Extension{
		{Protocol: protoPacket, Configure: f.configure, Serve: f.serving(protoPacket, f.servePackets)},
		{Protocol: protoStream, Configure: f.configure, Serve: f.serving(protoStream, f.serveStream)},
		{Protocol: protoLink, Configure: f.configure, Serve: f.serving(protoLink, f.serveLink)},
		{Protocol: protoFederate, Configure: anyCertificate, Serve: f.strangers(f.exchange)},
		{Protocol: protoMeet, Configure: anyCertificate, Serve: f.strangers(f.meet)},
	} {
		cfg.Wire.Extend(e)
	}
	f.work.Go(f.keep)
	f.work.Go(f.sendDigests)
	return f
}

// SetRegions replaces the regions that this one is federated with. Connections of those that are gone end.
func (f *Federation) SetRegions(others []Region) {
	f.setting.Lock()
	defer f.setting.Unlock()
	f.regions = slices.SortedFunc(slices.Values(others), func(a, b Region) int { return strings.Compare(a.Name, b.Name) })
	f.renew()
}

// renew makes the directory anew. The caller holds f.setting.
func (f *Federation) renew() {
	own := Region{Name: f.cfg.Region, ClusterID: f.cfg.ClusterID}
	if f.creds = f.cfg.Wire.Credentials(); f.creds != nil {
		own.Authorities = f.creds.Authorities()
	}
	d, err := newDirectory(own, f.regions)
	if err != nil {
		f.log.Error("federation: a region cannot be talked to", "error", err)
	}
	f.directory.Store(d)
	f.mu.Lock()
	for name := range f.seen {
		if d.region(name) == nil {
			delete(f.seen, name)
			delete(f.leaders, name)
		}
	}
	f.mu.Unlock()
	f.sweep()
	f.nudge()
}

// follow takes over what has changed of this node's own certificate.
func (f *Federation) follow() {
	f.setting.Lock()
	defer f.setting.Unlock()
	if f.cfg.Wire.Credentials() != f.creds {
		f.renew()
	}
}

// nudge has keep look after the pool now.
func (f *Federation) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// AddSeeds adds to Config.Seeds.
func (f *Federation) AddSeeds(addresses ...string) {
	f.mu.Lock()
	f.seeds = append(f.seeds, addresses...)
	f.mu.Unlock()
	f.nudge()
}

// Handle sets who serves requests and digests of other regions. Until then they are refused.
func (f *Federation) Handle(h link.Handler) { f.handler.Store(&h) }

// OwnAddresses is where nodes of other regions reach those of this one, by node id, as far as the pool knows them.
func (f *Federation) OwnAddresses() map[string]string {
	all := map[string]string{}
	if g := f.gossip.Load(); g != nil {
		for node, m := range g.live(f.cfg.Region) {
			all[node] = m.address
		}
	}
	all[f.cfg.Node] = f.advertise
	return all
}

// Advertise is where nodes of other regions reach this one.
func (f *Federation) Advertise() string { return f.advertise }

// Close leaves the pool and ends all connections. The port stays open.
func (f *Federation) Close() {
	if g := f.gossip.Load(); g != nil {
		g.leave()
	}
	f.adding.Lock()
	f.end()
	f.adding.Unlock()
	f.closeConns()
	f.work.Wait()
}

// run runs g in a goroutine that Close waits for, unless the federation is closed.
func (f *Federation) run(g func()) bool {
	f.adding.Lock()
	defer f.adding.Unlock()
	if f.life.Err() != nil {
		return false
	}
	f.work.Go(g)
	return true
}

// contact notes that something proven to come from a region has arrived.
func (f *Federation) contact(region string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.see(region).contact = time.Now()
}

// see is what is known of a region. The caller holds f.mu.
func (f *Federation) see(region string) *seen {
	s := f.seen[region]
	if s == nil {
		s = &seen{}
		f.seen[region] = s
	}
	return s
}

// Peers implements link.Link.
func (f *Federation) Peers() []link.Peer {
	var all []link.Peer
	g := f.gossip.Load()
	for _, r := range f.directory.Load().others() {
		p := link.Peer{Region: r.Name, Reachable: g != nil && g.alive(r.Name) > 0}
		f.mu.Lock()
		if s := f.seen[r.Name]; s != nil {
			p.LastContact, p.Incarnation = s.contact, s.incarnation
		}
		f.mu.Unlock()
		p.Reachable = p.Reachable || time.Since(p.LastContact) < reachableFor
		all = append(all, p)
	}
	return all
}

// reachableFor is how long a region counts as reachable after it was heard, also if the pool thinks otherwise.
const reachableFor = 5 * time.Second

// Members is the number of live members of the pool in each region, this one included.
func (f *Federation) Members() map[string]int {
	n := map[string]int{}
	g := f.gossip.Load()
	for _, r := range f.directory.Load().pinned {
		n[r.Name] = 0
		if g != nil {
			n[r.Name] = g.alive(r.Name)
		}
	}
	return n
}

var _ link.Link = (*Federation)(nil)
