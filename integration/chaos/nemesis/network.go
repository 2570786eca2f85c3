//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

func networkFaults() []Fault {
	s := time.Second
	needs := []string{"network"}
	fault := func(name string, most time.Duration, f func(context.Context, *env) error) Fault {
		return Fault{Name: name, Group: "network", Needs: needs, Least: 500 * time.Millisecond, Most: most, inject: linked(f)}
	}
	return []Fault{
		fault("isolate", 8*s, func(_ context.Context, e *env) error { return isolate(e, (*lab.Node).Cut) }),
		fault("refuse", 5*s, func(_ context.Context, e *env) error { return isolate(e, (*lab.Node).Refuse) }),
		fault("one-way-in", 6*s, func(_ context.Context, e *env) error { return e.target.Cut(e.others()...) }),
		fault("one-way-out", 6*s, func(_ context.Context, e *env) error { return cutFrom(e.others(), e.target) }),
		fault("halves", 8*s, halves),
		fault("bridge", 6*s, bridge),
		fault("ring", 6*s, ring),
		fault("split", 4*s, split),
		fault("loss", 8*s, loss),
		fault("cut-clients", 3*s, func(_ context.Context, e *env) error { return e.target.CutClients() }),
		{Name: "flapping", Group: "network", Needs: needs, Least: 2 * s, Most: 6 * s, inject: flapping},
		{Name: "repeat-raft", Group: "network", Needs: []string{"failpoints"}, Least: 2 * s, Most: 8 * s, inject: repeated("raft.send", 0.3)},
		{Name: "delay", Group: "network", Needs: []string{"network", "queue"}, Least: 2 * s, Most: 8 * s, inject: linked(delay)},
	}
}

// linked is a fault of links, whose effect are packets that did not arrive, or late.
func linked(f func(context.Context, *env) error) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		if err := f(ctx, e); err != nil {
			return nil, err
		}
		return &active{effect: func(ctx context.Context) string { return packets(ctx, e.region) }, end: func(context.Context) error { return healLinks(e.region) }}, nil
	}
}

func packets(ctx context.Context, r *lab.Region) string {
	var n int64
	for _, node := range r.Members() {
		n += node.Dropped(ctx)
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d packets dropped or held", n)
}

func healLinks(r *lab.Region) error {
	for _, n := range r.Members() {
		if err := n.HealLinks(); err != nil {
			return err
		}
	}
	return nil
}

func cutFrom(nodes []*lab.Node, from ...*lab.Node) error {
	for _, n := range nodes {
		if err := n.Cut(from...); err != nil {
			return err
		}
	}
	return nil
}

func isolate(e *env, how func(*lab.Node, ...*lab.Node) error) error {
	if err := how(e.target, e.others()...); err != nil {
		return err
	}
	for _, n := range e.others() {
		if err := how(n, e.target); err != nil {
			return err
		}
	}
	return nil
}

// halves parts the region into a minority with the target and a majority.
func halves(_ context.Context, e *env) error {
	others := e.others()
	small := append([]*lab.Node{e.target}, others[:(len(others)-1)/2]...)
	large := others[(len(others)-1)/2:]
	if err := cutFrom(small, large...); err != nil {
		return err
	}
	return cutFrom(large, small...)
}

// bridge parts the region into two halves which both see the target, and not each other.
func bridge(_ context.Context, e *env) error {
	others := e.others()
	a, b := others[:len(others)/2], others[len(others)/2:]
	if err := cutFrom(a, b...); err != nil {
		return err
	}
	return cutFrom(b, a...)
}

// ring has every node see a majority, and no two the same one; with three nodes each hears only one of the others.
func ring(_ context.Context, e *env) error {
	all := e.shuffled()
	for i, n := range all {
		hears := map[*lab.Node]bool{}
		for k := range len(all) / 2 {
			hears[all[(i+k+1)%len(all)]] = true
		}
		for _, m := range all {
			if m != n && !hears[m] {
				if err := n.Cut(m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// split leaves every node alone.
func split(_ context.Context, e *env) error {
	return cutFrom(e.region.Members(), e.region.Members()...)
}

func loss(_ context.Context, e *env) error {
	share := 0.1 + 0.4*e.rng.Float64()
	for _, n := range e.region.Members() {
		if err := n.Lose(share, e.region.Members()...); err != nil {
			return err
		}
	}
	return nil
}

// delay holds each packet for a time of its own, so that they overtake each other.
func delay(_ context.Context, e *env) error {
	least := time.Duration(5+e.rng.Intn(45)) * time.Millisecond
	most := least + time.Duration(e.rng.Intn(200))*time.Millisecond
	for _, n := range e.region.Members() {
		if err := n.Slow(least, most, e.region.Members()...); err != nil {
			return err
		}
	}
	return nil
}

// repeated has messages arrive twice, the second time up to a second late and after others. Nodes send them twice: within a TLS
// connection a packet that the network duplicates is taken once.
func repeated(point string, chance float64) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		late := time.Duration(1+e.rng.Intn(1000)) * time.Millisecond
		nodes := e.region.Running()
		if point == "region.request" {
			nodes = e.lab.Nodes()
		}
		for _, n := range nodes {
			if n.Running() && !n.Paused() {
				if err := n.Arm(ctx, lab.Failpoint{Point: point, Do: "repeat", For: late.String(), Chance: chance}); err != nil {
					return nil, err
				}
			}
		}
		return &active{effect: func(ctx context.Context) string {
			sent := 0
			for _, n := range nodes {
				if st, err := n.State(ctx, false); err == nil {
					sent += st.Hits[point+" repeat"]
				}
			}
			if sent == 0 {
				return ""
			}
			return fmt.Sprintf("%d messages sent twice", sent)
		}}, nil
	}
}

// flapping isolates the target and lets it back every 200 ms.
func flapping(ctx context.Context, e *env) (*active, error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var dropped int64
	var failure error
	wg.Go(func() {
		for ctx.Err() == nil {
			err := isolate(e, (*lab.Node).Cut)
			pause(ctx, 200*time.Millisecond)
			n := int64(0)
			for _, m := range e.region.Members() {
				n += m.Dropped(ctx)
			}
			if err == nil {
				err = healLinks(e.region)
			}
			mu.Lock()
			dropped += n
			if failure == nil && ctx.Err() == nil {
				failure = err
			}
			mu.Unlock()
			pause(ctx, 200*time.Millisecond)
		}
	})
	return &active{
		effect: func(context.Context) string {
			mu.Lock()
			defer mu.Unlock()
			if dropped == 0 {
				return ""
			}
			return fmt.Sprintf("%d packets dropped", dropped)
		},
		end: func(context.Context) error {
			stop()
			wg.Wait()
			return failure
		},
	}, nil
}
