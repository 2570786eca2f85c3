package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"
)

// Gate says what a proposal is about, so that the leader, where all proposals meet, can let others wait for a caller who has
// been refused too often. The zero value is about nothing: it passes at once.
type Gate struct {
	// Keys are the objects that the proposal is about, in any form that the group's users agree on.
	Keys []string
	// Hold is the hold under which it comes (Node.Hold), zero for an ordinary proposal.
	Hold HoldID
}

// HoldID names a hold.
type HoldID [16]byte

// maxHold is how long the leader keeps others waiting for one hold: long enough to decide and propose once, and short
// enough that a holder who died meanwhile does little harm.
const maxHold = 5 * time.Second

// gateStripes is the number of locks that keys are spread over; two keys of one stripe only wait for each other.
const gateStripes = 256

// exclusive is the weight of a holder: more than there can be sharers.
const exclusive = 1 << 30

// gates keep proposals on a key apart from a caller who has been refused too often. A write is decided on a view and
// judged again at its place in the log, so on a busy key a caller can lose again and again to writes that got there
// first. Each lock is fair: whoever asks for it exclusively waits for the sharers that are in, and those that come later
// wait for him. Only the leader's gates are used.
type gates struct {
	seed    maphash.Seed
	stripes [gateStripes]*semaphore.Weighted

	mu    sync.Mutex
	holds map[HoldID]*hold
}

// hold is one that is granted.
type hold struct {
	at     []int // the stripes that it has
	expiry *time.Timer
}

func newGates() *gates {
	g := &gates{seed: maphash.MakeSeed(), holds: map[HoldID]*hold{}}
	for i := range g.stripes {
		g.stripes[i] = semaphore.NewWeighted(exclusive)
	}
	return g
}

// Hold keeps the other proposals about some keys waiting at the leader, for a write that has been refused twice: the
// caller takes a View after Hold has returned, decides, and proposes with the gate that Hold gave him; nothing overtakes
// him meanwhile. release must be called once. A hold ends by itself after a few seconds, or with the leader's stay in
// office; what comes under it then is an ordinary proposal. Where no leader can be asked the gate holds nothing, and the
// write has to try its luck. The error is the context's.
func (n *Node) Hold(ctx context.Context, keys ...string) (g Gate, release func(), err error) {
	g = Gate{Keys: keys}
	var id HoldID
	rand.Read(id[:])
	leader, err := n.holdAtLeader(ctx, id, keys)
	if ctx.Err() != nil {
		n.release(leader, id) // it may have been granted all the same
		return g, nil, ctx.Err()
	}
	if err != nil {
		n.cfg.Logger.Debug("cluster: keys are not held for a write that was refused twice", "error", err)
		return g, func() {}, nil
	}
	g.Hold = id
	return g, func() { n.release(leader, id) }, nil
}

// holdAtLeader asks the leader, this node or another, for a hold.
func (n *Node) holdAtLeader(ctx context.Context, id HoldID, keys []string) (leader raft.Server, err error) {
	if n.lead.Load() != nil {
		return raft.Server{ID: n.server}, n.HoldHere(ctx, id, keys)
	}
	leader, ok := n.Leader()
	switch {
	case !ok || leader.ID == n.server:
		return leader, ErrNoLeader
	case n.cfg.Forwarder == nil:
		return leader, ErrNotLeader
	}
	ctx, cancel, ok := n.under(ctx, leader.ID)
	if !ok {
		return leader, ErrNoLeader
	}
	defer cancel()
	return leader, n.cfg.Forwarder.Hold(ctx, leader, id, keys)
}

// releaseTimeout bounds the message that ends a hold at another node.
const releaseTimeout = time.Second

// release ends a hold, wherever it is. Another node is told without waiting: the hold would end by itself.
func (n *Node) release(leader raft.Server, id HoldID) {
	if leader.ID == n.server {
		n.ReleaseHere(id)
		return
	}
	if leader.ID == "" || n.cfg.Forwarder == nil {
		return
	}
	n.background(func() {
		ctx, cancel := context.WithTimeout(n.alive, releaseTimeout)
		defer cancel()
		if err := n.cfg.Forwarder.Hold(ctx, leader, id, nil); err != nil {
			n.cfg.Logger.Debug("cluster: a hold could not be ended, it will expire", "error", err)
		}
	})
}

// HoldHere is Hold on the leader's side of a Forwarder. It waits for the proposals about the keys that are under way.
func (n *Node) HoldHere(ctx context.Context, id HoldID, keys []string) error {
	if n.lead.Load() == nil {
		return ErrNotLeader
	}
	if id == (HoldID{}) || len(keys) == 0 {
		return fmt.Errorf("%w (a hold without id or keys)", ErrCanceled)
	}
	return n.gates.hold(ctx, id, keys)
}

// ReleaseHere ends a hold at this node, if it has it.
func (n *Node) ReleaseHere(id HoldID) { n.gates.release(id) }

// share takes the keys of a proposal for as long as it is under way, unless it comes under a hold that has them already.
func (g *gates) share(ctx context.Context, gate Gate) (release func(), err error) {
	if len(gate.Keys) == 0 || gate.Hold != (HoldID{}) && g.held(gate.Hold, gate.Keys) {
		return func() {}, nil
	}
	at := g.stripesOf(gate.Keys)
	if err := g.take(ctx, 1, at); err != nil {
		return nil, err
	}
	return func() { g.give(1, at) }, nil
}

func (g *gates) hold(ctx context.Context, id HoldID, keys []string) error {
	h := &hold{at: g.stripesOf(keys)}
	if err := g.take(ctx, exclusive, h.at); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds[id] != nil {
		g.give(exclusive, h.at)
		return fmt.Errorf("%w (the hold exists)", ErrCanceled)
	}
	g.holds[id] = h
	h.expiry = time.AfterFunc(maxHold, func() { g.release(id) })
	return nil
}

func (g *gates) release(id HoldID) {
	g.mu.Lock()
	h := g.holds[id]
	delete(g.holds, id)
	g.mu.Unlock()
	if h != nil {
		h.expiry.Stop()
		g.give(exclusive, h.at)
	}
}

// held reports whether a hold has all the keys.
func (g *gates) held(id HoldID, keys []string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.holds[id]
	if h == nil {
		return false
	}
	for _, s := range g.stripesOf(keys) {
		if !slices.Contains(h.at, s) {
			return false
		}
	}
	return true
}

// stripesOf are the locks of some keys, in the one order in which everybody takes them, so that nobody waits in a circle.
func (g *gates) stripesOf(keys []string) []int {
	at := make([]int, 0, len(keys))
	for _, k := range keys {
		at = append(at, int(maphash.String(g.seed, k)%gateStripes))
	}
	slices.Sort(at)
	return slices.Compact(at)
}

func (g *gates) take(ctx context.Context, weight int64, at []int) error {
	for i, s := range at {
		if err := g.stripes[s].Acquire(ctx, weight); err != nil {
			g.give(weight, at[:i])
			return err
		}
	}
	return nil
}

func (g *gates) give(weight int64, at []int) {
	for _, s := range at {
		g.stripes[s].Release(weight)
	}
}
