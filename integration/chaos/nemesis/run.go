//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// Event is what became of a step.
type Event struct {
	Step Step
	// Start and End are nanoseconds of the run: of the fault, and Healed when every node served again.
	Start, End, Healed int64
	Nodes              []string // that were struck
	// Effects are what each fault showed, "" where nothing could be seen.
	Effects []string
	// Skipped says why the step was not made.
	Skipped string
	// Broken is a promise that the cluster broke.
	Broken string
	// Failure says what went wrong with the cluster: it did not come back.
	Failure string
}

// Runner carries a schedule out.
type Runner struct {
	Lab *lab.Lab
	// Now is the clock of the run, in nanoseconds.
	Now func() int64
	Log func(format string, args ...any)
	// Recovery bounds the time in which every node must serve after a fault has ended, 60 s if 0.
	Recovery time.Duration
	// BeforeLoss is called before a fault that takes what a node had written.
	BeforeLoss func(*lab.Node)
	// Note, if not nil, is told of what the checkers have to know of the run: what happened to a region, from when to when.
	Note func(kind, region string, from, to int64)
	// Skewed is called when the clock of a node is set, and when it is set back.
	Skewed func(n *lab.Node, off time.Duration)
}

// Run carries out the steps until the context ends. It returns what happened; the error is a cluster that did not recover.
func (r *Runner) Run(ctx context.Context, steps []Step) ([]Event, error) {
	var events []Event
	for _, s := range steps {
		pause(ctx, s.Pause)
		if ctx.Err() != nil {
			return events, nil
		}
		ev := r.step(ctx, s)
		events = append(events, ev)
		switch {
		case ev.Failure != "":
			r.Log("step %d: %v: %s: %s", s.Number, s, strings.Join(ev.Nodes, ", "), ev.Failure)
			return events, errors.New(ev.Failure)
		case ev.Skipped != "":
			r.Log("step %d: %v: skipped: %s", s.Number, s, ev.Skipped)
		default:
			r.Log("step %d: %v: %s: %s; served again after %v", s.Number, s, strings.Join(ev.Nodes, ", "), strings.Join(ev.Effects, "; "),
				time.Duration(ev.Healed-ev.End).Round(10*time.Millisecond))
		}
	}
	return events, nil
}

// step carries out one step and waits until the cluster is whole again. Once begun it is completed even if the run ends.
func (r *Runner) step(run context.Context, s Step) (ev Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(run), 5*time.Minute)
	defer cancel()
	ev = Event{Step: s, Start: r.Now()}
	region := r.Lab.Regions[s.Region]
	rng := rand.New(rand.NewSource(s.Seed))
	var inForce []*active
	for i, name := range s.Faults {
		f := byName(name)
		target, err := choose(ctx, region, s.Targets[i], rng)
		if err != nil {
			ev.Skipped = err.Error()
			break
		}
		e := &env{lab: r.Lab, region: region, target: target, rng: rng, length: s.Length, log: r.Log, skewed: r.Skewed, now: r.Now, note: r.Note}
		if e.note == nil {
			e.note = func(string, string, int64, int64) {}
		}
		e.broken = func(format string, args ...any) {
			ev.Broken = fmt.Sprintf("step %d (%v): %s", s.Number, s, fmt.Sprintf(format, args...))
		}
		if e.skewed == nil {
			e.skewed = func(*lab.Node, time.Duration) {}
		}
		if f.Loses && r.BeforeLoss != nil {
			for _, n := range region.Members() {
				r.BeforeLoss(n)
			}
		}
		a, err := f.inject(ctx, e)
		if err != nil {
			if i == 0 {
				ev.Skipped = fmt.Sprintf("%s of %s: %v", name, target.Name, err)
				break
			}
			// The first fault of the pair has left nothing for the second to strike; it goes on alone.
			if !errors.Is(err, errUpgraded) {
				r.Log("step %d: %s of %s was not possible: %v", s.Number, name, target.Name, err)
			}
			ev.Step.Faults, ev.Step.Targets = ev.Step.Faults[:i], ev.Step.Targets[:i]
			break
		}
		ev.Nodes = append(ev.Nodes, target.Name)
		inForce = append(inForce, a)
	}
	if ev.Skipped == "" {
		pause(run, s.Length)
	}
	var errs []error
	end := func(stops bool) {
		for _, a := range inForce {
			if a.end != nil && a.stops == stops {
				errs = append(errs, a.end(ctx))
			}
		}
	}
	end(true) // a process that is stopped can be asked nothing
	for _, a := range inForce {
		ev.Effects = append(ev.Effects, a.effect(ctx))
	}
	ev.End = r.Now()
	end(false)
	errs = append(errs, r.Lab.Heal())
	if err := errors.Join(errs...); err != nil {
		r.Log("healing after step %d: %v", s.Number, err)
	}
	if err := r.recover(ctx); err != nil {
		ev.Failure = fmt.Sprintf("the cluster did not recover from step %d (%v): %v", s.Number, s, err)
	}
	ev.Healed = r.Now()
	if earlyUse(region) {
		ev.Broken = fmt.Sprintf("step %d (%v): a command of the next level was committed while a node did not know it", s.Number, s)
		ev.Failure = ev.Broken
	}
	if ev.Failure == "" && slices.Contains(ev.Step.Faults, upgradeName) {
		if err := settleUpgrade(ctx, region); err != nil {
			ev.Failure = fmt.Sprintf("the upgrade in step %d (%v): %v", s.Number, s, err)
		}
	}
	return ev
}

// recover waits until every node serves. A node may end itself late, when it meets a fault only now; it is started again, as an
// init system would.
func (r *Runner) recover(ctx context.Context) error {
	limit := r.Recovery
	if limit == 0 {
		limit = 60 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		var err error
		for _, n := range r.members() {
			short, cancel := context.WithTimeout(ctx, 10*time.Second)
			err = errors.Join(err, n.Start(), n.Await(short))
			cancel()
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// members are the nodes of all regions that have not been removed.
func (r *Runner) members() (all []*lab.Node) {
	for _, region := range r.Lab.Regions {
		all = append(all, region.Members()...)
	}
	return all
}

func byName(name string) Fault {
	for _, f := range Faults() {
		if f.Name == name {
			return f
		}
	}
	panic("nemesis: no fault " + name)
}

// choose finds whom a fault strikes.
func choose(ctx context.Context, r *lab.Region, who string, rng *rand.Rand) (*lab.Node, error) {
	members := r.Members()
	pick := members[rng.Intn(len(members))]
	if who == "any" {
		return pick, nil
	}
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	leader, err := r.AwaitLeader(limit)
	if err != nil {
		return pick, nil // a pair: the first fault has left no leader
	}
	if who == "leader" || len(members) == 1 {
		return leader, nil
	}
	for pick == leader {
		pick = members[rng.Intn(len(members))]
	}
	return pick, nil
}

// Proven counts, for each kind of fault, the steps and those that showed an effect.
func Proven(events []Event) (steps, shown map[string]int) {
	steps, shown = map[string]int{}, map[string]int{}
	for _, ev := range events {
		if ev.Skipped != "" {
			continue
		}
		for i, f := range ev.Step.Faults {
			steps[f]++
			if i < len(ev.Effects) && ev.Effects[i] != "" {
				shown[f]++
			}
		}
	}
	return steps, shown
}

// Void lists the kinds of faults that were made at least this often and never showed an effect: the run proves nothing of them.
func Void(events []Event, least int) []string {
	steps, shown := Proven(events)
	var void []string
	for _, f := range Faults() {
		if steps[f.Name] >= least && shown[f.Name] == 0 {
			void = append(void, f.Name)
		}
	}
	return void
}
