//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/nemesis"
)

// The decisive scenarios: F-P1, a leader that is stopped, F-P2, a leader that is deposed without noticing, and F-P2n, the same with
// nodes without a vote on its side.
var scenarios = []string{"F-P1", "F-P2", "F-P2n"}

// rounds runs the decisive scenarios, in every region a part of the rounds: most of a round is waiting for an election.
func (r *running) rounds(ctx context.Context) error {
	if r.o.Rounds == 0 {
		return nil
	}
	wanted := strings.Split(r.o.Scenarios, ",")
	for _, name := range scenarios {
		if !slices.Contains(wanted, name) {
			continue
		}
		if why := r.missing("network", "failpoints", "queue"); why != "" && name != "F-P1" {
			r.result.Skipped[name] = why
			continue
		}
		if err := r.scenario(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// missing says what the lab cannot do of what is needed, "" if it can do all.
func (r *running) missing(needs ...string) string {
	for _, need := range needs {
		if why, missing := r.lab.Skips[need]; missing {
			return why
		}
	}
	return ""
}

// arena is where the rounds of one scenario are run; its regions share the sum.
type arena struct {
	*running
	name string
	mu   sync.Mutex
	sum  rounds
	next int // number of rounds that have begun
}

// scenario runs the rounds of one scenario in all regions at once.
func (r *running) scenario(ctx context.Context, name string) error {
	a := &arena{running: r, name: name, sum: rounds{Name: name}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := time.Now()
	errs := make([]error, len(r.lab.Regions))
	var all sync.WaitGroup
	for i, region := range r.lab.Regions[:min(len(r.lab.Regions), r.o.Rounds)] {
		s := &nemesis.Scenario{Region: region, Rng: rand.New(rand.NewSource(r.o.Seed + int64(i))), Log: r.log.printf}
		all.Go(func() {
			if errs[i] = a.region(ctx, s); errs[i] != nil {
				stop()
			}
		})
	}
	all.Wait()
	a.sum.Took = time.Since(start)
	r.result.Rounds = append(r.result.Rounds, a.sum)
	return errors.Join(errs...)
}

// region runs rounds in one region until there have been enough in all of them together.
func (a *arena) region(ctx context.Context, s *nemesis.Scenario) (err error) {
	if a.name == "F-P2n" {
		defer func() {
			for _, n := range s.Nonvoters {
				err = errors.Join(err, s.Region.Remove(context.WithoutCancel(ctx), n))
			}
		}()
		for range a.o.Nodes - 1 { // as many as there are voters beside the leader
			n, err := s.Region.JoinWithoutVote(ctx)
			if err != nil {
				return err
			}
			s.Nonvoters = append(s.Nonvoters, n)
		}
	}
	for {
		a.mu.Lock()
		n := a.next
		a.next++
		a.mu.Unlock()
		if n >= a.o.Rounds {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
		one, err := a.round(limit, s)
		cancel()
		if err := a.judge(n+1, one, err); err != nil {
			return err
		}
	}
}

// round runs one round.
func (a *arena) round(ctx context.Context, s *nemesis.Scenario) (nemesis.Round, error) {
	switch {
	case a.name == "F-P1":
		// Mostly short, some long: the sixth power of an even draw. One in nine is beyond the half.
		x := math.Pow(s.Rng.Float64(), 6)
		return s.Paused(ctx, a.o.hold[0]+time.Duration(x*float64(a.o.hold[1]-a.o.hold[0])))
	case a.name == "F-P2n" && s.Rng.Intn(2) == 0:
		return s.Outvoted(ctx)
	}
	return s.Deposed(ctx)
}

// judge counts a round.
func (a *arena) judge(n int, one nemesis.Round, failed error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if failed != nil {
		// A round in which the machine was too slow for the scenario proves nothing; too many of them fail the run.
		a.sum.Void++
		a.log.printf("%s round %d: void: %v", a.name, n, failed)
		if a.sum.Void > 3+a.o.Rounds/10 {
			return fmt.Errorf("%s: %d of %d rounds are void, the last one: %w", a.name, a.sum.Void, n, failed)
		}
		return nil
	}
	a.sum.add(one)
	if one.Forbidden > 0 {
		a.result.Anomalies = append(a.result.Anomalies, check.Anomaly{Workload: a.name, Text: fmt.Sprintf(
			"round %d: %d of %d uses of a disabled key succeeded on the old leader's side, all sent after the change was acknowledged", n, one.Forbidden, one.Sent)})
		if a.o.stopAtFirst {
			return errAnomalies
		}
	}
	if a.sum.Rounds%25 == 0 || a.o.Rounds < 10 {
		a.log.printf("%s: %d rounds, %d uses sent after an acknowledged disable, %d succeeded, %d refused", a.name, a.sum.Rounds, a.sum.Sent, a.sum.Forbidden, a.sum.Refused)
	}
	return nil
}
