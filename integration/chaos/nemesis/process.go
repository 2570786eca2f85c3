//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

func processFaults() []Fault {
	s := time.Second
	return []Fault{
		{Name: "kill", Group: "process", Least: 300 * time.Millisecond, Most: 4 * s, inject: killed(func(e *env) []*lab.Node { return []*lab.Node{e.target} })},
		{Name: "kill-all", Group: "process", Least: 100 * time.Millisecond, Most: s, inject: killed(func(e *env) []*lab.Node { return e.shuffled() })},
		{Name: "kill-majority", Group: "process", Least: 500 * time.Millisecond, Most: 3 * s, inject: killed(majority)},
		{Name: "pause", Group: "process", Least: 300 * time.Millisecond, Most: 15 * s, inject: paused(func(e *env) []*lab.Node { return []*lab.Node{e.target} })},
		{Name: "pause-majority", Group: "process", Least: 300 * time.Millisecond, Most: 6 * s, inject: paused(majority)},
		{Name: "pause-all-but-one", Group: "process", Least: 300 * time.Millisecond, Most: 4 * s, inject: paused(func(e *env) []*lab.Node { return e.others() })},
		{Name: "rolling-restart", Group: "process", Least: s, Most: 2 * s, inject: rollingRestart},
		{Name: "crash-point", Group: "process", Needs: []string{"failpoints"}, Least: 2 * s, Most: 4 * s, inject: crashPoint},
	}
}

// majority is a majority of the region with the target among it.
func majority(e *env) []*lab.Node {
	others := e.others()
	return append([]*lab.Node{e.target}, others[:len(e.region.Members())/2]...)
}

func killed(who func(*env) []*lab.Node) func(context.Context, *env) (*active, error) {
	return func(_ context.Context, e *env) (*active, error) {
		nodes := who(e)
		for _, n := range nodes {
			n.Kill()
		}
		return &active{effect: func(context.Context) string { return fmt.Sprintf("%d processes killed", len(nodes)) }}, nil
	}
}

func paused(who func(*env) []*lab.Node) func(context.Context, *env) (*active, error) {
	return func(_ context.Context, e *env) (*active, error) {
		nodes := who(e)
		stopped := 0
		for _, n := range nodes {
			if n.Pause() == nil {
				stopped++
			}
		}
		return &active{
			stops: true,
			effect: func(context.Context) string {
				if stopped == 0 {
					return ""
				}
				return fmt.Sprintf("%d processes stopped", stopped)
			},
			end: func(context.Context) error {
				for _, n := range nodes {
					if err := n.Resume(); err != nil {
						return err
					}
				}
				return nil
			},
		}, nil
	}
}

// rollingRestart restarts one node after the other as an operator does.
func rollingRestart(ctx context.Context, e *env) (*active, error) {
	restarted := 0
	for _, n := range e.shuffled() {
		if err := n.Stop(); err != nil {
			return nil, err
		}
		if err := n.Start(); err != nil {
			return nil, err
		}
		if err := n.Await(ctx); err != nil {
			return nil, err
		}
		restarted++
	}
	return &active{effect: func(context.Context) string { return fmt.Sprintf("%d nodes restarted", restarted) }}, nil
}

// crashPoints are where a process may die; the second list needs a reason to be passed, which a restart gives.
var crashPoints = []string{"store.before", "store.after", "stable.before", "stable.after", "apply.before", "apply.after", "snapshot.persist", "audit.sink", "hsm", "answer"}

// crashPoint has the target kill itself at a named place. With the leader down others pass places as well.
func crashPoint(ctx context.Context, e *env) (*active, error) {
	point := crashPoints[e.rng.Intn(len(crashPoints))]
	if err := e.target.Arm(ctx, lab.Failpoint{Point: point, Do: "kill", Skip: e.rng.Intn(20), Times: 1}); err != nil {
		return nil, err
	}
	e.log("%s dies at %s", e.target.Name, point)
	return &active{effect: func(context.Context) string {
		if e.target.Running() {
			return ""
		}
		return "died at " + point
	}}, nil
}
