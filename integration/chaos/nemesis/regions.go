//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// forgotten is longer than the pool of the regions' nodes remembers who died: memberlist needs some seconds to call a node dead and
// forgets it 30 s later (GossipToTheDeadTime).
const forgotten = 45 * time.Second

// regionFaults strike what regions have to do with each other. Within each region everything stays whole, but for kill-leaders.
func regionFaults() []Fault {
	s := time.Second
	needs := []string{"network", "regions"}
	fault := func(name string, most time.Duration, f func(context.Context, *env) error) Fault {
		return Fault{Name: name, Group: "regions", Needs: needs, Least: s, Most: most, inject: between(f)}
	}
	long := fault("region-forgotten", forgotten+5*s, func(_ context.Context, e *env) error { return regionAlone(e, true, true) })
	long.Least = forgotten
	return []Fault{
		fault("regions-apart", 10*s, regionsApart),
		fault("region-alone", 10*s, func(_ context.Context, e *env) error { return regionAlone(e, true, true) }),
		fault("region-deaf", 8*s, func(_ context.Context, e *env) error { return regionAlone(e, true, false) }),
		fault("region-mute", 8*s, func(_ context.Context, e *env) error { return regionAlone(e, false, true) }),
		fault("region-door", 8*s, regionDoor),
		fault("region-loss", 8*s, regionLoss),
		long,
		{Name: "repeat-regions", Group: "regions", Needs: []string{"regions", "failpoints"}, Least: 2 * s, Most: 8 * s, inject: repeated("region.request", 0.5)},
		{Name: regionRestoredName, Group: "regions", Needs: []string{"regions"}, Least: 300 * time.Millisecond, Most: 2 * s, inject: regionRestored},
		{Name: "kill-leaders", Group: "regions", Needs: []string{"regions"}, Least: 300 * time.Millisecond, Most: 4 * s, inject: killed(leaders)},
	}
}

// between is a fault of links between regions, whose effect are packets that did not arrive.
func between(f func(context.Context, *env) error) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		if err := f(ctx, e); err != nil {
			return nil, err
		}
		return &active{
			effect: func(ctx context.Context) string {
				var n int64
				for _, node := range e.lab.Nodes() {
					n += node.Dropped(ctx)
				}
				if n == 0 {
					return ""
				}
				return fmt.Sprintf("%d packets dropped between regions", n)
			},
			end: func(context.Context) error {
				var errs []error
				for _, r := range e.lab.Regions {
					errs = append(errs, healLinks(r))
				}
				return errors.Join(errs...)
			},
		}, nil
	}
}

// abroad are the nodes of all regions but one.
func (e *env) abroad(home *lab.Region) (all []*lab.Node) {
	for _, r := range e.lab.Regions {
		if r != home {
			all = append(all, r.Members()...)
		}
	}
	return all
}

// Part cuts every region from every other one, until the links are healed.
func Part(l *lab.Lab) error { return regionsApart(context.Background(), &env{lab: l}) }

// regionsApart cuts every region from every other one.
func regionsApart(_ context.Context, e *env) error {
	for _, r := range e.lab.Regions {
		if err := cutFrom(r.Members(), e.abroad(r)...); err != nil {
			return err
		}
	}
	return nil
}

// regionAlone has the target's region hear nothing of the others, or the others nothing of it, or both.
func regionAlone(e *env, deaf, mute bool) error {
	var errs []error
	if deaf {
		errs = append(errs, cutFrom(e.region.Members(), e.abroad(e.region)...))
	}
	if mute {
		errs = append(errs, cutFrom(e.abroad(e.region), e.region.Members()...))
	}
	return errors.Join(errs...)
}

// regionDoor cuts the target alone from the other regions. The leaders of regions speak with each other: what its region has to say
// waits for another leader, or goes by way of another node.
func regionDoor(_ context.Context, e *env) error {
	return errors.Join(e.target.Cut(e.abroad(e.region)...), cutFrom(e.abroad(e.region), e.target))
}

// regionLoss has the links between regions lose a share of what passes.
func regionLoss(_ context.Context, e *env) error {
	share := 0.1 + 0.4*e.rng.Float64()
	for _, r := range e.lab.Regions {
		for _, n := range r.Members() {
			if err := n.Lose(share, e.abroad(r)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaders are the leaders of all regions, as far as there are any now.
func leaders(e *env) (all []*lab.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, r := range e.lab.Regions {
		if n := r.Leader(ctx); n != nil {
			all = append(all, n)
		}
	}
	return all
}
