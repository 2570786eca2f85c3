package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		for len(g.stripesOf([]string{"k", "l", "x", "y"})) < 4 {
			g = newGates() // two of them had drawn one lock
		}
		share := func(gate Gate) func() {
			t.Helper()
			release, err := g.share(t.Context(), gate)
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		waits := func(gate Gate, what string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := g.share(ctx, gate); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		k := Gate{Keys: []string{"k"}}
		a, b := share(k), share(Gate{Keys: []string{"k", "k"}})
		id := HoldID{1}
		held := make(chan error)
		go func() { held <- g.hold(t.Context(), id, []string{"k", "l"}) }()
		synctest.Wait()
		waits(k, "a newcomer got past a holder who waits")
		a()
		synctest.Wait()
		select {
		case <-held:
			t.Fatal("held while another one shares")
		default:
		}
		b()
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		waits(Gate{Keys: []string{"x", "k"}}, "a key that is held")
		waits(Gate{Keys: []string{"k"}, Hold: HoldID{2}}, "under a hold that does not exist")
		waits(Gate{Keys: []string{"k", "y"}, Hold: id}, "under a hold that has not all keys")
		share(Gate{Keys: []string{"l"}, Hold: id})() // the holder himself passes
		share(Gate{})()
		g.release(id)
		g.release(id)
		share(k)()
		share(Gate{Keys: []string{"k"}, Hold: id})() // the hold is over: an ordinary proposal
		if err := g.hold(t.Context(), id, []string{"k"}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		share(k)() // nobody releases it
		if d := time.Since(start); d != maxHold {
			t.Fatalf("a hold that was forgotten lasted %v", d)
		}
		if len(g.holds) != 0 {
			t.Fatal("it left something behind")
		}
	})
}

// Two writes on the same keys, in any order, must not wait for each other in a circle.
func TestHoldTakesKeysInOneOrder(t *testing.T) {
	g := newGates()
	var both sync.WaitGroup
	for i, keys := range [][]string{{"a", "b", "c", "d", "e"}, {"e", "d", "c", "b", "a"}} {
		both.Go(func() {
			for n := range 2000 {
				id := HoldID{byte(i), byte(n), byte(n >> 8), 1}
				if err := g.hold(seconds(t, 10), id, keys); err != nil {
					t.Error(err)
					return
				}
				g.release(id)
			}
		})
	}
	both.Wait()
}

// A hold asked for on one node keeps the proposals of every node waiting, and only those about its keys.
func TestHoldReachesEveryNode(t *testing.T) {
	inGroup(t, nil, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		fs := c.followers(l)
		holder := fs[0].up()
		k := Gate{Keys: []string{"k"}}
		gate, release, err := holder.Hold(t.Context(), "k")
		if err != nil {
			t.Errorf("hold: %v", err)
			return
		}
		for _, p := range []*simNode{l, fs[0], fs[1]} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := p.up().ProposeOn(ctx, k, simCommand("other-"+p.id)); !errors.Is(err, ErrTooBusy) || !NotWritten(err) {
				t.Errorf("%s got past a hold: %v", p.id, err)
			}
			cancel()
		}
		for _, g := range []Gate{gate, {}} {
			if _, err := holder.ProposeOn(seconds(t, 1), g, simCommand("held")); err != nil {
				t.Errorf("gate %v: %v", g, err)
			}
		}
		done := make(chan error)
		go func() {
			_, err := fs[1].up().ProposeOn(t.Context(), k, simCommand("after"))
			done <- err
		}()
		time.Sleep(100 * time.Millisecond)
		release()
		start := time.Now()
		if err := <-done; err != nil || time.Since(start) > time.Second {
			t.Errorf("once released: %v after %v", err, time.Since(start))
		}
		// A holder that dies, or cannot say that he is through, holds nobody up for long.
		if _, _, err := holder.Hold(t.Context(), "k"); err != nil {
			t.Errorf("hold again: %v", err)
		}
		c.kill(fs[0].id)
		start = time.Now()
		if _, err := l.up().ProposeOn(seconds(t, 10), k, simCommand("late")); err != nil || time.Since(start) > maxHold+time.Second {
			t.Errorf("after the holder died: %v after %v", err, time.Since(start))
		}
		// Without a leader nothing is held, and nobody waits for it.
		c.isolate(fs[1].id)
		time.Sleep(3 * time.Second)
		if g, release, err := fs[1].up().Hold(t.Context(), "k"); err != nil || g.Hold != (HoldID{}) {
			t.Errorf("without a leader: %v, %v", g, err)
		} else {
			release()
		}
		c.net.heal()
		c.start(fs[0].id)
	})
}
