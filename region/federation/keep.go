package federation

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// keepEvery is how often a node looks after its place in the pool.
const keepEvery = 2 * time.Second

// seedsAtOnce is how many addresses of one region are tried in one round.
const seedsAtOnce = 3

// metadata is what this node tells of itself.
func (f *Federation) metadata() metadata {
	m := metadata{address: f.advertise}
	if term, ok := f.cfg.Leading(); ok {
		m.term = term
	}
	return m
}

// keep looks after the pool for as long as the node lives: memberlist forgets the dead, on both sides, and never looks for them
// again, so that joining never ends.
func (f *Federation) keep() {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	swept := time.Now()
	var told []byte
	var joining sync.Map // region -> struct{}: a round is under way
	for {
		f.follow()
		g := f.pool()
		if g == nil {
			told = nil
		} else {
			if m := g.f.metadata().encode(); !bytes.Equal(m, told) {
				if told == nil || g.update() == nil {
					told = m
				}
			}
			for _, region := range f.missing(g) {
				if _, under := joining.LoadOrStore(region, struct{}{}); !under {
					seeds := f.seedsOf(region)
					if !f.run(func() {
						defer joining.Delete(region)
						f.joinBy(g, region, seeds)
					}) {
						return
					}
				}
			}
		}
		if time.Since(swept) >= sweepEvery {
			swept = time.Now()
			f.sweep()
		}
		select {
		case <-tick.C:
		case <-f.wake:
		case <-f.life.Done():
			return
		}
	}
}

// pool is the pool as long as there are other regions, nil otherwise.
func (f *Federation) pool() *gossip {
	g := f.gossip.Load()
	wanted := len(f.directory.Load().others()) > 0 && f.cfg.Wire.Credentials() != nil
	switch {
	case g == nil && wanted:
		g, err := newGossip(f)
		if err != nil {
			f.log.Error("federation: no pool", "error", err)
			return nil
		}
		f.gossip.Store(g)
		return g
	case g != nil && !wanted:
		f.gossip.Store(nil)
		g.leave()
		return nil
	}
	return g
}

// missing are the regions that have no live member, and this one if a neighbour has none.
func (f *Federation) missing(g *gossip) (regions []string) {
	for _, r := range f.directory.Load().others() {
		if g.alive(r.Name) == 0 {
			regions = append(regions, r.Name)
		}
	}
	if f.cfg.Neighbours != nil && g.alive(f.cfg.Region) < len(f.cfg.Neighbours())+1 {
		regions = append(regions, f.cfg.Region)
	}
	return regions
}

// seedsOf are addresses at which a region's nodes may be.
func (f *Federation) seedsOf(region string) []string {
	var seeds []string
	if region == f.cfg.Region {
		seeds = slices.Collect(maps.Values(f.cfg.Neighbours()))
	} else {
		if r := f.directory.Load().region(region); r != nil {
			seeds = append(seeds, r.Addresses...)
		}
		f.mu.Lock()
		seeds = append(seeds, f.seeds...)
		f.mu.Unlock()
	}
	rand.Shuffle(len(seeds), func(i, j int) { seeds[i], seeds[j] = seeds[j], seeds[i] })
	return seeds[:min(len(seeds), seedsAtOnce)]
}

func (f *Federation) joinBy(g *gossip, region string, seeds []string) {
	for _, address := range seeds {
		if g.life.Err() != nil {
			return
		}
		if err := g.join(address); err != nil {
			f.log.Debug("federation: joining", "region", region, "by", address, "error", err)
		}
	}
}

// stdLogger hands what memberlist logs to slog. A lost connection is an error to it; to us it is a fact that the status shows.
func stdLogger(to *slog.Logger) *log.Logger { return log.New(logWriter{to}, "", 0) }

type logWriter struct{ to *slog.Logger }

// Write implements io.Writer for one line.
func (w logWriter) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, bytes.TrimSpace(line)
	for prefix, l := range map[string]slog.Level{"[ERR] ": slog.LevelInfo, "[WARN] ": slog.LevelInfo, "[INFO] ": slog.LevelDebug, "[DEBUG] ": slog.LevelDebug} {
		if rest, ok := bytes.CutPrefix(text, []byte(prefix)); ok {
			level, text = l, rest
			break
		}
	}
	text = bytes.TrimPrefix(text, []byte("memberlist: "))
	if bytes.HasPrefix(text, []byte("ignoring alive message")) {
		level = slog.LevelDebug // members of the pool tell of nodes of regions that are not federated with all
	}
	w.to.Log(context.Background(), level, "federation: pool: "+string(text))
	return len(line), nil
}
