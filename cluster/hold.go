package cluster

import (
	"context"
	"hash/maphash"
	"slices"

	"golang.org/x/sync/semaphore"
)

// gateStripes is the number of locks that keys are spread over; two keys of one stripe only wait for each other.
const gateStripes = 256

// exclusive is the weight of a holder: more than there can be sharers.
const exclusive = 1 << 30

// gates keep proposals on a key apart from a caller who has been refused too often. A write is decided on a view and
// judged again at its place in the log, so on a busy key a caller can lose again and again to writes that got there
// first. Each lock is fair: whoever asks for it exclusively waits for the sharers that are in, and those that come later
// wait for him.
type gates struct {
	seed    maphash.Seed
	stripes [gateStripes]*semaphore.Weighted
}

func newGates() *gates {
	g := &gates{seed: maphash.MakeSeed()}
	for i := range g.stripes {
		g.stripes[i] = semaphore.NewWeighted(exclusive)
	}
	return g
}

// Share takes the keys of an ordinary write, from before it is proposed until it is applied. Take all keys of a write in
// one call: they are taken in one order for everybody, so that nobody waits in a circle. release must be called once.
// The error is the context's.
func (n *Node) Share(ctx context.Context, keys ...string) (release func(), err error) {
	return n.gates.take(ctx, 1, keys)
}

// Hold takes the keys of a write that has been refused twice, from before it decides until it is applied: nobody else
// proposes on them meanwhile, so the third decision cannot be overtaken by a proposal of this node. The caller decides
// on a View taken after Hold has returned. With several nodes the gate that counts is the leader's, where all proposals
// meet: forwarding takes it there under the caller's deadline. release must be called once. The error is the context's.
func (n *Node) Hold(ctx context.Context, keys ...string) (release func(), err error) {
	return n.gates.take(ctx, exclusive, keys)
}

func (g *gates) take(ctx context.Context, weight int64, keys []string) (func(), error) {
	var few [4]int
	at := few[:0]
	for _, k := range keys {
		at = append(at, int(maphash.String(g.seed, k)%gateStripes))
	}
	slices.Sort(at)
	at = slices.Compact(at)
	for i, s := range at {
		if err := g.stripes[s].Acquire(ctx, weight); err != nil {
			g.give(weight, at[:i])
			return nil, err
		}
	}
	return func() { g.give(weight, at) }, nil
}

func (g *gates) give(weight int64, at []int) {
	for _, s := range at {
		g.stripes[s].Release(weight)
	}
}
