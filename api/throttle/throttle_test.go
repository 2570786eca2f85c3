package throttle_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trentkms/trent/api/throttle"
)

// group is some nodes with one ledger between them.
type group struct {
	ledger *throttle.Ledger
	limit  throttle.Limit
	nodes  int
	delay  time.Duration
	down   atomic.Bool
	asks   atomic.Int64
}

func (g *group) Lease(ctx context.Context, a throttle.Ask) (throttle.Grant, error) {
	g.asks.Add(1)
	select {
	case <-time.After(g.delay):
	case <-ctx.Done():
		return throttle.Grant{}, ctx.Err()
	}
	if g.down.Load() {
		return throttle.Grant{}, errors.New("no leader")
	}
	return g.ledger.Take(time.Now(), g.limit, g.nodes, a), nil
}

func (g *group) Nodes() int { return g.nodes }

func limit(t *testing.T, rate float64) throttle.Limit {
	t.Helper()
	l, err := throttle.PerSecond(rate)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var quota = throttle.Key{Scope: "111122223333", Quota: "q"}

func TestPerSecond(t *testing.T) {
	for _, c := range []struct {
		rate float64
		want throttle.Limit
	}{
		{0, throttle.Limit{}}, {5500, throttle.Limit{Count: 5500, Interval: time.Second}}, {1, throttle.Limit{Count: 1, Interval: time.Second}},
		{0.5, throttle.Limit{Count: 1, Interval: 2 * time.Second}}, {0.25, throttle.Limit{Count: 1, Interval: 4 * time.Second}},
		{0.1, throttle.Limit{Count: 1, Interval: 10 * time.Second}},
	} {
		if got := limit(t, c.rate); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.rate, got, c.want)
		}
	}
	for _, bad := range []float64{-1, 1e-9, 1e12} {
		if _, err := throttle.PerSecond(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

// TestRegionWide: whatever nodes the requests go to, an interval grants the limit: all of it to those who ask, and at most a
// tenth more (spec 03 QUO-15).
func TestRegionWide(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  float64
		nodes int
		delay time.Duration
		skew  bool // all requests go to one node
	}{
		{"one node", 100, 1, 0, false}, {"three", 1000, 3, time.Millisecond, false}, {"three, one busy", 1000, 3, time.Millisecond, true},
		{"few tokens", 5, 5, 2 * time.Millisecond, false}, {"one in ten seconds", 0.1, 3, time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &group{ledger: throttle.NewLedger(), limit: limit(t, c.rate), nodes: c.nodes, delay: c.delay}
				meters := make([]*throttle.Meter, c.nodes)
				for i := range meters {
					meters[i] = throttle.NewMeter(g)
				}
				const intervals = 5
				granted, n := 0, 0
				var mu sync.Mutex
				var wait sync.WaitGroup
				clients := max(20, 3*g.limit.Count/10)
				for i := range clients {
					wait.Go(func() {
						m := meters[i%len(meters)]
						if c.skew {
							m = meters[0]
						}
						for start := time.Now(); time.Since(start) < intervals*g.limit.Interval; time.Sleep(g.limit.Interval / 10) {
							ok := m.Allow(t.Context(), quota, g.limit)
							mu.Lock()
							n++
							if ok {
								granted++
							}
							mu.Unlock()
						}
					})
				}
				wait.Wait()
				full := intervals * g.limit.Count
				if granted > full+full/10+g.limit.Count || granted < full*9/10 {
					t.Errorf("%d of %d requests were granted, the limit is %d", granted, n, full)
				}
			})
		})
	}
}

// TestFewAsks: a node that uses many tokens asks for many at once.
func TestFewAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{ledger: throttle.NewLedger(), limit: limit(t, 10_000), nodes: 3}
		m := throttle.NewMeter(g)
		for range 20_000 {
			m.Allow(t.Context(), quota, g.limit)
		}
		if n := g.asks.Load(); n > 100 {
			t.Errorf("%d questions for 10,000 tokens", n)
		}
	})
}

// TestWithoutLeader: a node without a leader grants its part, and goes back to leases when there is one again.
func TestWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{ledger: throttle.NewLedger(), limit: limit(t, 90), nodes: 3, delay: time.Millisecond}
		m := throttle.NewMeter(g)
		second := func() (granted int) {
			for range 200 {
				if m.Allow(t.Context(), quota, g.limit) {
					granted++
				}
				time.Sleep(5 * time.Millisecond)
			}
			return granted
		}
		g.down.Store(true)
		for range 3 {
			if n := second(); n < 25 || n > 60 {
				t.Errorf("%d in a second without a leader, its part is 30", n)
			}
		}
		g.down.Store(false)
		second()
		if n := second(); n < 85 || n > 100 {
			t.Errorf("%d in a second with a leader again, the limit is 90", n)
		}
		// Where the part is less than one request, it comes less often.
		few := throttle.Key{Scope: "111122223333", Quota: "few"}
		g.down.Store(true)
		granted := 0
		start := time.Now()
		for time.Since(start) < 60*time.Second {
			if m.Allow(t.Context(), few, limit(t, 0.5)) {
				granted++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if granted < 9 || granted > 11 {
			t.Errorf("%d in a minute, a third of one in two seconds is 10", granted)
		}
	})
}

// TestIndependent: one quota's exhaustion is no other's, nor another account's (spec 03 QUO-11).
func TestIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group{ledger: throttle.NewLedger(), limit: limit(t, 5), nodes: 1}
		m := throttle.NewMeter(g)
		for range 10 {
			m.Allow(t.Context(), quota, g.limit)
		}
		if m.Allow(t.Context(), quota, g.limit) {
			t.Error("the quota is not used up")
		}
		for _, k := range []throttle.Key{{Scope: "111122223333", Quota: "r"}, {Scope: "444455556666", Quota: "q"}} {
			if !m.Allow(t.Context(), k, g.limit) {
				t.Errorf("%v is throttled", k)
			}
		}
		time.Sleep(time.Second)
		if !m.Allow(t.Context(), quota, g.limit) {
			t.Error("a new interval grants nothing")
		}
		if !m.Allow(t.Context(), quota, throttle.Limit{}) {
			t.Error("no limit refuses")
		}
	})
}

func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s throttle.Sampler
		told := 0
		for range 100 {
			if ok, _ := s.Tell(time.Now(), quota); ok {
				told++
			}
		}
		time.Sleep(time.Second)
		ok, left := s.Tell(time.Now(), quota)
		if told != 1 || !ok || left != 99 {
			t.Errorf("told %d of 100, then %t with %d left out", told, ok, left)
		}
	})
}
