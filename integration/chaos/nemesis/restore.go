//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/lab"
)

const regionRestoredName = "region-restored"

// alone is how long a restored region is kept from the others at first.
const alone = 2 * time.Second

// regionRestored loses a region and restores it from a snapshot that is older than what its clients were told, while the others go on. At first it
// cannot reach them: it has to know that it is late. It is none that the other workloads live in, and not the home of the identities.
func regionRestored(ctx context.Context, e *env) (*active, error) {
	regions := slices.DeleteFunc(slices.Clone(e.lab.Regions[1:]), func(r *lab.Region) bool { return r == e.lab.Home })
	if len(regions) == 0 {
		return nil, errors.New("each region is the first or the home")
	}
	r := regions[e.rng.Intn(len(regions))]
	saved := e.now()
	file, err := r.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("save a snapshot of %s: %w", r.Name, err)
	}
	apart := e.rng.Intn(2) == 0 // nobody learns what is lost; else nearly everything was told
	_, shared := e.lab.Skips["network"]
	cut := func() error {
		if shared {
			return nil
		}
		return cutFrom(r.Members(), e.abroad(r)...)
	}
	links := func() error {
		var errs []error
		for _, other := range e.lab.Regions {
			if !shared {
				errs = append(errs, healLinks(other))
			}
		}
		return errors.Join(errs...)
	}
	if apart {
		err = cut()
	}
	pause(ctx, time.Second+time.Duration(e.rng.Int63n(int64(3*time.Second)))) // what is done now is lost
	r.Kill()
	lost := e.now()
	if err = errors.Join(err, cut()); err != nil {
		return nil, err
	}
	complete, err := r.Restore(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", r.Name, errors.Join(err, links()))
	}
	served, heard := e.now(), e.now()
	if !shared {
		pause(ctx, alone)
		heard = e.now()
	}
	e.note(check.RegionRestored, r.Name, saved, lost)
	e.note(check.RegionAlone, r.Name, served, heard)
	return &active{
		effect: func(context.Context) string {
			return fmt.Sprintf("%s restored, audit trail complete: %t", r.Name, complete)
		},
		end: func(context.Context) error { return links() },
	}, nil
}
