//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

func diskFaults() []Fault {
	s := time.Second
	points, fuse := []string{"failpoints"}, []string{"fuse"}
	return []Fault{
		{Name: "slow-log", Group: "disk", Needs: points, Least: 2 * s, Most: 6 * s, inject: at("store.before", func(e *env) lab.Failpoint {
			return lab.Failpoint{Do: "sleep", For: fmt.Sprintf("%dms", 20+e.rng.Intn(300))}
		})},
		{Name: "stalled-log", Group: "disk", Needs: points, Least: s, Most: 8 * s, inject: at("store.before", func(*env) lab.Failpoint { return lab.Failpoint{Do: "hold"} })},
		{Name: "stalled-vote", Group: "disk", Needs: points, Least: s, Most: 4 * s, inject: stalledVote},
		{Name: "failed-log", Group: "disk", Needs: points, Least: s, Most: 3 * s, inject: fatal("store.before")},
		{Name: "failed-after-log", Group: "disk", Needs: points, Least: s, Most: 3 * s, inject: fatal("store.after")},
		{Name: "slow-sync", Group: "disk", Needs: fuse, Least: 2 * s, Most: 8 * s, inject: slowSync},
		{Name: "failed-sync", Group: "disk", Needs: fuse, Least: s, Most: 3 * s, inject: failedDisk(func(e *env) lab.DiskFault {
			return lab.DiskFault{Under: "data/raft", SyncErrors: 1, SkipSyncs: e.rng.Intn(6)}
		})},
		{Name: "failed-write", Group: "disk", Needs: fuse, Least: s, Most: 3 * s, inject: failedDisk(func(e *env) lab.DiskFault {
			return lab.DiskFault{Under: "data/raft", WriteErrors: 1, SkipWrites: e.rng.Intn(10)}
		})},
		{Name: "failed-audit", Group: "disk", Needs: fuse, Least: s, Most: 3 * s, inject: failedDisk(func(e *env) lab.DiskFault {
			return lab.DiskFault{Under: "audit", WriteErrors: 1, SkipWrites: e.rng.Intn(10)}
		})},
		{Name: "power-cut", Group: "disk", Needs: fuse, Loses: true, Least: 300 * time.Millisecond, Most: 3 * s, inject: powerCut(false, false)},
		{Name: "torn-power-cut", Group: "disk", Needs: fuse, Loses: true, Least: 300 * time.Millisecond, Most: 3 * s, inject: powerCut(false, true)},
		{Name: "power-cut-all", Group: "disk", Needs: fuse, Loses: true, Least: 200 * time.Millisecond, Most: s, inject: powerCut(true, false)},
		{Name: "full-disk", Group: "disk", Needs: []string{"volume"}, Least: 6 * s, Most: 9 * s, inject: fullDisk},
		{Name: "full-audit", Group: "disk", Needs: fuse, Least: 3 * s, Most: 6 * s, inject: fullAudit},
	}
}

// hits is the effect of a failpoint: how often it was met.
func hits(n *lab.Node, key string) func(ctx context.Context) string {
	return func(ctx context.Context) string {
		if !n.Running() {
			return "the process ended" // and took the counter with it
		}
		st, err := n.State(ctx, false)
		if err != nil || st.Hits[key] == 0 {
			return ""
		}
		return fmt.Sprintf("%s: %d times", key, st.Hits[key])
	}
}

// at arms a failpoint at the target.
func at(point string, make func(*env) lab.Failpoint) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		p := make(e)
		p.Point = point
		if err := e.target.Arm(ctx, p); err != nil {
			return nil, err
		}
		return &active{
			effect: hits(e.target, point+" "+p.Do),
			end: func(ctx context.Context) error {
				if !e.target.Running() {
					return nil
				}
				return e.target.Disarm(ctx, point)
			},
		}, nil
	}
}

// stalledVote has elections while the target cannot write its vote.
func stalledVote(ctx context.Context, e *env) (*active, error) {
	a, err := at("stable.before", func(*env) lab.Failpoint { return lab.Failpoint{Do: "hold"} })(ctx, e)
	if err == nil {
		for _, n := range e.others() {
			_ = n.StepDown(ctx) // whoever leads
			break
		}
	}
	return a, err
}

// fatal fails one write of the log. The process must end of itself.
func fatal(point string) func(context.Context, *env) (*active, error) {
	return func(ctx context.Context, e *env) (*active, error) {
		if err := e.target.Arm(ctx, lab.Failpoint{Point: point, Do: "fail", Errno: "EIO", Times: 1}); err != nil {
			return nil, err
		}
		return &active{effect: ended(e.target)}, nil
	}
}

// ended is the effect of a fault that a node must not survive.
func ended(n *lab.Node) func(context.Context) string {
	return func(context.Context) string {
		if n.Running() {
			return ""
		}
		return "the process ended itself"
	}
}

func slowSync(_ context.Context, e *env) (*active, error) {
	d := time.Duration(50+e.rng.Intn(1000)) * time.Millisecond
	if err := e.target.FailDisk(lab.DiskFault{Delay: d}); err != nil {
		return nil, err
	}
	return &active{effect: diskHits(e.target, func(h lab.DiskHits) (int64, string) { return h.SlowSyncs, "slow syncs" })}, nil
}

// diskHits is the effect of a disk fault: how much more of something the disk has done since.
func diskHits(n *lab.Node, what func(lab.DiskHits) (int64, string)) func(context.Context) string {
	before := int64(0)
	if h, err := n.DiskHits(context.Background()); err == nil {
		before, _ = what(h)
	}
	return func(ctx context.Context) string {
		h, err := n.DiskHits(ctx)
		if err != nil {
			return ""
		}
		count, name := what(h)
		if count <= before {
			return ""
		}
		return fmt.Sprintf("%d %s", count-before, name)
	}
}

// failedDisk makes one operation of the disk fail.
func failedDisk(make func(*env) lab.DiskFault) func(context.Context, *env) (*active, error) {
	return func(_ context.Context, e *env) (*active, error) {
		effect := diskHits(e.target, func(h lab.DiskHits) (int64, string) { return h.FailedSyncs + h.FailedWrites, "operations failed" })
		if err := e.target.FailDisk(make(e)); err != nil {
			return nil, err
		}
		return &active{effect: effect}, nil
	}
}

func powerCut(all, torn bool) func(context.Context, *env) (*active, error) {
	return func(_ context.Context, e *env) (*active, error) {
		nodes := []*lab.Node{e.target}
		if all {
			nodes = e.region.Members()
		}
		effect := diskHits(e.target, func(h lab.DiskHits) (int64, string) { return h.Lost + 1, "bytes lost" })
		for _, n := range nodes {
			n.Kill() // all at the same moment, as far as that goes
		}
		for _, n := range nodes {
			if err := n.PowerCut(torn); err != nil {
				return nil, err
			}
		}
		return &active{effect: func(ctx context.Context) string {
			if s := effect(ctx); s != "" {
				return s
			}
			return fmt.Sprintf("%d processes killed, everything was synced", len(nodes))
		}}, nil
	}
}

// fullDisk takes the space of the target's disk. It must refuse writes, stay alive, and come back.
func fullDisk(_ context.Context, e *env) (*active, error) {
	if err := e.target.FillDisk(1 << 20); err != nil {
		return nil, err
	}
	return &active{effect: func(ctx context.Context) string {
		if !e.target.Running() {
			return "the process ended"
		}
		return "no space left"
	}, end: func(context.Context) error { return e.target.HealDisk() }}, nil
}

// fullAudit takes the space of the audit log alone.
func fullAudit(_ context.Context, e *env) (*active, error) {
	effect := diskHits(e.target, func(h lab.DiskHits) (int64, string) { return h.Refused, "requests for space refused" })
	if err := e.target.FailDisk(lab.DiskFault{Full: true, Under: "audit"}); err != nil {
		return nil, err
	}
	return &active{effect: func(ctx context.Context) string {
		if s := effect(ctx); s != "" {
			return s
		}
		return "no space left, none was asked for"
	}}, nil
}
