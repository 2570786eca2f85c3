// Package linktest is an in-memory link.Link between regions of one process, with the faults that a real one has: requests and
// answers are lost, duplicated, delayed and reordered, and regions are cut off from each other. Everything it does at random
// follows from a seed.
package linktest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/trentkms/trent/region/link"
)

// Faults say how bad the network is. The zero value is a perfect one.
type Faults struct {
	// LoseRequest, LoseAnswer and Duplicate are chances between 0 and 1 for each call.
	LoseRequest, LoseAnswer, Duplicate float64
	// Delay is the longest delay of a request and of its answer; each is delayed by a random part of it, so that calls
	// overtake each other. A duplicate arrives after up to ten times as long, also after its caller has gone.
	Delay time.Duration
	// LoseDigest is the chance that a digest is lost.
	LoseDigest float64
}

// Network joins regions.
type Network struct {
	mu      sync.Mutex
	rand    *rand.Rand
	faults  Faults
	regions map[string]*Link
	cut     map[[2]string]bool // ordered pairs: requests from the first to the second are lost
	wait    sync.WaitGroup     // duplicates in flight
	bytes   int64
}

// New returns a network without faults.
func New(seed uint64) *Network {
	return &Network{rand: rand.New(rand.NewPCG(seed, 1)), regions: map[string]*Link{}, cut: map[[2]string]bool{}}
}

// SetFaults replaces the faults.
func (n *Network) SetFaults(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Join returns the link of a region; handler serves what the others send. Joining again replaces the handler, as a new leader
// or a restored region does.
func (n *Network) Join(region string, handler link.Handler) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &Link{net: n, region: region, handler: handler, peers: map[string]*link.Peer{}}
	n.regions[region] = l
	return l
}

// Leave takes a region off the network.
func (n *Network) Leave(region string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.regions, region)
}

// Cut stops, or with false restores, everything between two regions.
func (n *Network) Cut(a, b string, cut bool) {
	n.CutOneWay(a, b, cut)
	n.CutOneWay(b, a, cut)
}

// CutOneWay stops requests and digests from one region to another; answers to requests of the other still pass.
func (n *Network) CutOneWay(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{from, to}] = cut
}

// Isolate cuts a region off from all others, or joins it to them again.
func (n *Network) Isolate(region string, cut bool) {
	n.mu.Lock()
	others := make([]string, 0, len(n.regions))
	for name := range n.regions {
		others = append(others, name)
	}
	n.mu.Unlock()
	for _, other := range others {
		if other != region {
			n.Cut(region, other, cut)
		}
	}
}

// Bytes returns how many bytes of requests and answers have been carried.
func (n *Network) Bytes() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bytes
}

// Wait returns once all duplicates in flight have been served.
func (n *Network) Wait() { n.wait.Wait() }

// fate is what happens to one call.
type fate struct {
	target                *Link
	loseRequest, loseBack bool
	duplicate             bool
	there, back, late     time.Duration
}

func (n *Network) decide(from, to string, size int) (fate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	target := n.regions[to]
	if target == nil || n.cut[[2]string{from, to}] {
		return fate{}, fmt.Errorf("%w: %s", link.ErrUnreachable, to)
	}
	n.bytes += int64(size)
	delay := func(longest time.Duration) time.Duration {
		if longest <= 0 {
			return 0
		}
		return time.Duration(n.rand.Int64N(int64(longest)))
	}
	chance := func(p float64) bool { return p > 0 && n.rand.Float64() < p }
	return fate{
		target: target, loseRequest: chance(n.faults.LoseRequest), loseBack: chance(n.faults.LoseAnswer),
		duplicate: chance(n.faults.Duplicate), there: delay(n.faults.Delay), back: delay(n.faults.Delay), late: delay(10 * n.faults.Delay),
	}, nil
}

// Link is one region's end. It implements link.Link.
type Link struct {
	net     *Network
	region  string
	handler link.Handler

	mu    sync.Mutex
	peers map[string]*link.Peer // guarded by mu
}

// Call implements link.Link.
func (l *Link) Call(ctx context.Context, region string, request []byte) ([]byte, error) {
	if len(request) > link.MaxRequest {
		return nil, link.ErrTooLarge
	}
	f, err := l.net.decide(l.region, region, len(request))
	if err != nil {
		return nil, err
	}
	request = bytes.Clone(request)
	if f.duplicate {
		l.duplicate(f, request)
	}
	if err := sleep(ctx, f.there); err != nil {
		return nil, err
	}
	if f.loseRequest {
		return nil, fmt.Errorf("%w: %s: the request was lost", link.ErrUnreachable, region)
	}
	f.target.saw(l.region)
	answer, err := f.target.handler.Serve(ctx, l.region, request)
	if err2 := sleep(ctx, f.back); err2 != nil {
		return nil, err2
	}
	if f.loseBack {
		return nil, fmt.Errorf("%w: %s: the answer was lost", link.ErrUnreachable, region)
	}
	l.saw(region)
	if err != nil {
		return nil, &link.Refusal{Region: region, Text: err.Error()}
	}
	l.net.mu.Lock()
	l.net.bytes += int64(len(answer))
	l.net.mu.Unlock()
	return bytes.Clone(answer), nil
}

// duplicate serves the request once more, later, for nobody.
func (l *Link) duplicate(f fate, request []byte) {
	request = bytes.Clone(request)
	l.net.wait.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if sleep(ctx, f.late) == nil {
			_, _ = f.target.handler.Serve(ctx, l.region, request)
		}
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetDigest implements link.Link: the digest reaches each region at once or never.
func (l *Link) SetDigest(digest []byte) {
	if len(digest) > link.MaxDigest {
		return
	}
	l.net.mu.Lock()
	var to []*Link
	for name, other := range l.net.regions {
		lost := l.net.faults.LoseDigest > 0 && l.net.rand.Float64() < l.net.faults.LoseDigest
		if name != l.region && !lost && !l.net.cut[[2]string{l.region, name}] {
			to = append(to, other)
		}
	}
	l.net.mu.Unlock()
	slices.SortFunc(to, func(a, b *Link) int { return bytes.Compare([]byte(a.region), []byte(b.region)) })
	for _, other := range to {
		other.saw(l.region)
		if incarnation, _, ok := link.Incarnation(digest); ok {
			other.mu.Lock()
			other.peers[l.region].Incarnation = incarnation
			other.mu.Unlock()
		}
		other.handler.Digest(l.region, bytes.Clone(digest))
	}
}

func (l *Link) saw(region string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[region]
	if p == nil {
		p = &link.Peer{Region: region}
		l.peers[region] = p
	}
	p.LastContact, p.Reachable = time.Now(), true
}

// Peers implements link.Link.
func (l *Link) Peers() []link.Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]link.Peer, 0, len(l.peers))
	for _, p := range l.peers {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b link.Peer) int { return bytes.Compare([]byte(a.Region), []byte(b.Region)) })
	return out
}
