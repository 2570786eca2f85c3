package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
)

// patient is a node with the timeouts of a real one.
func patient(cfg *Config) {
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaseTimeout = time.Second, time.Second, time.Second
}

// The leader dies at any moment: another one is in office soon after one timeout, every time.
func TestFailoverTime(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		for _, planted := range []bool{false, true} {
			var took []time.Duration
			inBubble(t, func(t *testing.T) {
				c := newSim(t, uint64(nodes), nodes, func(cfg *Config) {
					patient(cfg)
					cfg.mutation.noVigil = planted
				})
				c.boot(nodes)
				phase := rand.New(rand.NewPCG(7, uint64(nodes)))
				for i := range 8 {
					l := c.awaitLeader("")
					c.propose(l.up(), fmt.Sprint("x", i), time.Second)
					time.Sleep(time.Second + time.Duration(phase.Int64N(int64(2*time.Second))))
					c.kill(l.id)
					start := time.Now()
					c.awaitLeader(l.id)
					took = append(took, time.Since(start))
					c.start(l.id)
				}
				for _, e := range c.end() {
					t.Error(e)
				}
			})
			slices.Sort(took)
			median, longest := took[len(took)/2], took[len(took)-1]
			t.Logf("%d nodes, by the library alone: %v: median %v, longest %v", nodes, planted, median, longest)
			// A split vote, which costs another timeout, must be rare.
			if most := 1500 * time.Millisecond; !planted && (median > most || took[len(took)-2] > most) {
				t.Errorf("%d nodes: without a leader for %v", nodes, took)
			} else if planted && median < most {
				t.Errorf("planted: median %v: the test proves nothing", median)
			}
		}
	}
}

// Of two survivors only the one with the longer log can win; whichever that is, it wins at the first try.
func TestLongerLogStandsLast(t *testing.T) {
	late := 0
	for _, planted := range []bool{false, true} {
		for seed := range uint64(6) {
			inBubble(t, func(t *testing.T) {
				c := newSim(t, seed, 3, func(cfg *Config) {
					patient(cfg)
					cfg.mutation.noPlace = planted
				})
				c.boot(3)
				l := c.awaitLeader("")
				c.propose(l.up(), "before", time.Second)
				time.Sleep(time.Second)
				behind := c.followers(l)[seed%2]
				c.isolate(behind.id)
				if err := c.propose(l.up(), "to-one", time.Second); err != nil {
					t.Errorf("with a majority: %v", err)
				}
				c.kill(l.id)
				c.net.heal()
				start := time.Now()
				next := c.awaitLeader(l.id)
				if next == behind {
					t.Error("a node without what was acknowledged leads")
				}
				switch d := time.Since(start); {
				case d > 1500*time.Millisecond && planted:
					late++
				case d > 1500*time.Millisecond:
					t.Errorf("seed %d: %v", seed, d)
				}
				for _, e := range c.end() {
					t.Error(e)
				}
			})
		}
	}
	if late == 0 {
		t.Error("planted: never late; the test proves nothing")
	}
}

// Short gaps are nothing to stand for, and neither is a silence that this node has slept through itself.
func TestShortSilence(t *testing.T) {
	inGroup(t, patient, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		term, _ := l.up().Leading()
		for range 20 {
			c.isolate(l.id)
			time.Sleep(300 * time.Millisecond)
			c.net.heal()
			time.Sleep(time.Second)
		}
		if now, ok := l.up().Leading(); !ok || now != term {
			t.Errorf("term %d became %d, leading: %v", term, now, ok)
		}
	})
	at := time.Now()
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	v := &vigil{limit: time.Second, looked: at, awake: at}
	for _, look := range []struct{ now, heard, silent int }{
		{50, 40, 10},
		{100, 40, 60},
		{300, 40, 260},    // a little late
		{2300, 40, 0},     // it did not run for two seconds
		{2350, 40, 50},    // what it hears nothing of from then on counts
		{2400, 2390, 10},  // heard
		{2450, 2390, 60},  //
		{2701, 2390, 0},   // late again
		{2750, 2390, 49},  //
		{2800, 2799, 1},   //
		{3000, 2799, 201}, //
	} {
		if got := v.silence(after(look.now), after(look.heard)); got != time.Duration(look.silent)*time.Millisecond {
			t.Errorf("at %d, heard at %d: silent for %v, want %d ms", look.now, look.heard, got, look.silent)
		}
	}
}

// hungForwarder reaches a node that takes what is sent to it, or not even that, and never answers.
type hungForwarder struct {
	Forwarder
	hung *atomic.Value // raft.ServerID
	sent bool
}

func (f hungForwarder) Forward(ctx context.Context, to raft.Server, gate Gate, cmd fsm.Command) (fsm.Result, error) {
	if to.ID != f.hung.Load() {
		return f.Forwarder.Forward(ctx, to, gate, cmd)
	}
	<-ctx.Done()
	if f.sent {
		return fsm.Result{}, ErrUnknown
	}
	return fsm.Result{}, ErrNoLeader
}

func (f hungForwarder) Hold(ctx context.Context, to raft.Server, id HoldID, keys []string) error {
	if to.ID != f.hung.Load() {
		return f.Forwarder.Hold(ctx, to, id, keys)
	}
	<-ctx.Done()
	return ctx.Err()
}

// A write that waits for the answer of a leader that hangs waits until there is another one, and no longer: the time of
// the client's request would be over. If it provably was not sent it goes to the new leader.
func TestWriteWithAHungLeader(t *testing.T) {
	for _, sent := range []bool{true, false} {
		var hung atomic.Value
		hung.Store(raft.ServerID(""))
		inGroup(t, func(cfg *Config) {
			patient(cfg)
			cfg.ProposeTimeout = 30 * time.Second
			cfg.Forwarder = hungForwarder{cfg.Forwarder, &hung, sent}
		}, func(t *testing.T, c *sim) {
			l := c.awaitLeader("")
			time.Sleep(time.Second)
			hung.Store(raft.ServerID(l.id))
			c.isolate(l.id)
			var holds []time.Duration
			start := time.Now()
			held := make(chan struct{})
			go func() {
				defer close(held)
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				_, release, err := c.followers(l)[1].up().Hold(ctx, "key")
				if err != nil {
					t.Errorf("hold: %v", err)
					return
				}
				holds = append(holds, time.Since(start))
				release()
			}()
			err := c.propose(c.followers(l)[0].up(), "x", 20*time.Second)
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("the write ended after %v", d)
			}
			if sent != errors.Is(err, ErrUnknown) || !sent && err != nil {
				t.Errorf("sent %v: %v", sent, err)
			}
			if err := c.propose(c.followers(l)[0].up(), "y", time.Second); err != nil {
				t.Errorf("on the new leader: %v", err)
			}
			<-held
			if len(holds) != 1 || holds[0] > 2*time.Second {
				t.Errorf("the hold ended after %v", holds)
			}
		})
	}
}

// The only voter of a group leads as soon as it is up: it waits for nobody.
func TestOnlyVoterLeadsAtOnce(t *testing.T) {
	for _, planted := range []bool{false, true} {
		var took time.Duration
		inBubble(t, func(t *testing.T) {
			c := newSim(t, 1, 1, func(cfg *Config) {
				patient(cfg)
				cfg.mutation.noVigil = planted
			})
			c.boot(1)
			l := c.awaitLeader("")
			c.kill(l.id)
			start := time.Now()
			c.start(l.id)
			c.awaitLeader("")
			took = time.Since(start)
			for _, e := range c.end() {
				t.Error(e)
			}
		})
		if quick := took < time.Second/2; quick == planted {
			t.Errorf("planted %v: the only voter led after %v", planted, took)
		}
	}
}
