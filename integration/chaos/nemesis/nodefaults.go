//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

func nodeFaults() []Fault {
	s := time.Second
	points := []string{"failpoints"}
	return []Fault{
		{Name: "clock", Group: "clock", Needs: points, Least: 2 * s, Most: 8 * s, inject: clock},
		{Name: "hsm-errors", Group: "hsm", Needs: points, Least: s, Most: 5 * s, inject: at("hsm", func(e *env) lab.Failpoint {
			return lab.Failpoint{Do: "fail", Chance: 0.2 + 0.8*e.rng.Float64()}
		})},
		{Name: "hsm-hangs", Group: "hsm", Needs: points, Least: s, Most: 5 * s, inject: at("hsm", func(*env) lab.Failpoint { return lab.Failpoint{Do: "hold"} })},
		{Name: "hsm-slow", Group: "hsm", Needs: points, Least: 2 * s, Most: 6 * s, inject: at("hsm", func(e *env) lab.Failpoint {
			return lab.Failpoint{Do: "sleep", For: fmt.Sprintf("%dms", 50+e.rng.Intn(800))}
		})},
		{Name: "hsm-token-away", Group: "hsm", Needs: []string{"softhsm"}, Least: s, Most: 4 * s, inject: tokenAway},
		{Name: "lost-answers", Group: "process", Needs: points, Least: 2 * s, Most: 6 * s, inject: at("answer", func(*env) lab.Failpoint {
			return lab.Failpoint{Do: "fail", Chance: 0.4}
		})},
		{Name: "slow-apply", Group: "process", Needs: points, Least: 2 * s, Most: 6 * s, inject: at("apply.before", func(e *env) lab.Failpoint {
			return lab.Failpoint{Do: "sleep", For: fmt.Sprintf("%dms", 20+e.rng.Intn(200))}
		})},
	}
}

// offsets are what clocks are off by: about the bound of signatures, a day, backwards.
var offsets = []time.Duration{
	5 * time.Second, -5 * time.Second, 4*time.Minute + 59*time.Second, 5*time.Minute + time.Second, -5*time.Minute - time.Second,
	24 * time.Hour, -24 * time.Hour,
}

// clock sets the clock of one node wrong, at once and then once more. A minority of clocks decides nothing.
func clock(ctx context.Context, e *env) (*active, error) {
	off := offsets[e.rng.Intn(len(offsets))]
	if err := e.target.SetClock(ctx, off); err != nil {
		return nil, err
	}
	e.skewed(e.target, off)
	e.log("the clock of %s is off by %v", e.target.Name, off)
	return &active{
		effect: func(ctx context.Context) string {
			if _, err := e.target.State(ctx, false); err != nil {
				return ""
			}
			return fmt.Sprintf("the clock of %s was off by %v", e.target.Name, off)
		},
		end: func(ctx context.Context) error {
			defer e.skewed(e.target, 0)
			if !e.target.Running() {
				return nil
			}
			return e.target.SetClock(ctx, 0)
		},
	}, nil
}

func tokenAway(_ context.Context, e *env) (*active, error) {
	if err := e.target.TakeToken(); err != nil {
		return nil, err
	}
	return &active{effect: func(context.Context) string { return "the token of " + e.target.Name + " was gone" }, end: func(context.Context) error { return e.target.GiveToken() }}, nil
}
