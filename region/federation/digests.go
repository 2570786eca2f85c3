package federation

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/trentkms/trent/region/link"
)

const (
	// digestEvery is how often a leader sends its digest, and digestGap the least time between two.
	digestEvery = time.Second
	digestGap   = 20 * time.Millisecond
	// digestTimeout bounds the sending of one digest to one node.
	digestTimeout = 3 * time.Second
)

// digests is this region's digest on its way to the others.
type digests struct {
	wake chan struct{}

	mu     sync.Mutex
	latest []byte
	under  map[target]bool // sending is under way
}

// soon has the digest sent at once.
func (d *digests) soon() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// SetDigest implements link.Link.
func (f *Federation) SetDigest(digest []byte) {
	if len(digest) > link.MaxDigest {
		f.log.Error("federation: the digest is too long and is not sent", "bytes", len(digest))
		return
	}
	d := &f.digests
	d.mu.Lock()
	changed := !bytes.Equal(d.latest, digest)
	d.latest = bytes.Clone(digest)
	d.mu.Unlock()
	if changed {
		d.soon()
	}
}

// sendDigests sends the leader's digest to every node of every other region: at once when it has changed, else every second.
// It goes over the connections of requests, since a message of the pool would not prove who sent it, and to the addresses in
// the state when the pool knows of nobody.
func (f *Federation) sendDigests() {
	tick := time.NewTicker(digestEvery)
	defer tick.Stop()
	for {
		if _, leads := f.cfg.Leading(); leads {
			for _, r := range f.directory.Load().others() {
				if r.Pending {
					continue
				}
				for _, to := range f.everyone(&r) {
					f.sendDigest(r.Name, to)
				}
			}
		}
		select {
		case <-time.After(digestGap):
		case <-f.life.Done():
			return
		}
		select {
		case <-tick.C:
		case <-f.digests.wake:
		case <-f.life.Done():
			return
		}
	}
}

// everyone is every node of a region that is known.
func (f *Federation) everyone(r *pinned) (all []target) {
	if g := f.gossip.Load(); g != nil {
		for node, m := range g.live(r.Name) {
			all = append(all, target{node, m.address})
		}
	}
	if len(all) == 0 {
		for _, a := range r.Addresses {
			all = append(all, target{"", a})
		}
	}
	return all
}

// sendDigest sends the latest digest to one node, unless that is under way already.
func (f *Federation) sendDigest(region string, to target) {
	d := &f.digests
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.latest == nil || d.under[to] {
		return
	}
	if d.under == nil {
		d.under = map[target]bool{}
	}
	digest := d.latest
	if !f.run(func() {
		ctx, cancel := context.WithTimeout(f.life, digestTimeout)
		defer cancel()
		if _, _, err := f.ask(ctx, region, to, codeDigest, digest); err != nil {
			f.log.Debug("federation: digest", "region", region, "to", to.address, "error", err)
		}
		d.mu.Lock()
		delete(d.under, to)
		again := !bytes.Equal(d.latest, digest)
		d.mu.Unlock()
		if again {
			d.soon()
		}
	}) {
		return
	}
	d.under[to] = true
}

// tookDigest hands an arrived digest on.
func (f *Federation) tookDigest(region string, digest []byte) {
	incarnation, _, ok := link.Incarnation(digest)
	if !ok {
		return
	}
	f.mu.Lock()
	f.see(region).incarnation = incarnation
	f.mu.Unlock()
	if h := f.handler.Load(); h != nil {
		(*h).Digest(region, digest)
	}
}
