//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/nemesis"
)

// rounds runs the two decisive scenarios: F-P1, a leader that is stopped, and F-P2, a leader that is deposed without noticing.
func (r *running) rounds(ctx context.Context) error {
	if r.o.Rounds == 0 {
		return nil
	}
	s := nemesis.Scenario{Region: r.lab.Regions[0], Rng: rand.New(rand.NewSource(r.o.Seed)), Log: r.log.printf}
	paused := func(ctx context.Context) (nemesis.Round, error) {
		span := int64(r.o.hold[1] - r.o.hold[0])
		// Mostly short, some long: the square of an even draw.
		x := s.Rng.Float64()
		return s.Paused(ctx, r.o.hold[0]+time.Duration(x*x*x*float64(span)))
	}
	wanted := strings.Split(r.o.Scenarios, ",")
	if slices.Contains(wanted, "F-P1") {
		if err := r.scenario(ctx, "F-P1", paused); err != nil {
			return err
		}
	}
	for _, name := range []string{"F-P2", "F-P2n"} {
		if !slices.Contains(wanted, name) {
			continue
		}
		if why := r.missing("network", "failpoints", "queue"); why != "" {
			r.result.Skipped[name] = why
			continue
		}
		run := r.scenario
		if name == "F-P2n" {
			run = r.nonvoters(&s)
		}
		round := s.Deposed
		if name == "F-P2n" {
			round = func(ctx context.Context) (nemesis.Round, error) {
				if s.Rng.Intn(2) == 0 {
					return s.Outvoted(ctx)
				}
				return s.Deposed(ctx)
			}
		}
		if err := run(ctx, name, round); err != nil {
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

type scenarioFunc func(ctx context.Context, name string, round func(context.Context) (nemesis.Round, error)) error

// nonvoters is scenario with nodes without a vote: as many as there are voters beside the leader. They leave afterwards.
func (r *running) nonvoters(s *nemesis.Scenario) scenarioFunc {
	return func(ctx context.Context, name string, round func(context.Context) (nemesis.Round, error)) (err error) {
		defer func() {
			for _, n := range s.Nonvoters {
				err = errors.Join(err, s.Region.Remove(context.WithoutCancel(ctx), n))
			}
			s.Nonvoters = nil
		}()
		for range r.o.Nodes - 1 {
			n, err := s.Region.JoinWithoutVote(ctx)
			if err != nil {
				return err
			}
			s.Nonvoters = append(s.Nonvoters, n)
		}
		return r.scenario(ctx, name, round)
	}
}

// scenario runs the rounds of one scenario.
func (r *running) scenario(ctx context.Context, name string, round func(context.Context) (nemesis.Round, error)) error {
	sum := rounds{Name: name}
	defer func() { r.result.Rounds = append(r.result.Rounds, sum) }()
	for n := range r.o.Rounds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
		one, err := round(limit)
		cancel()
		if err != nil {
			// A round in which the machine was too slow for the scenario proves nothing; too many of them fail the run.
			sum.Void++
			r.log.printf("%s round %d: void: %v", name, n+1, err)
			if sum.Void > 3+r.o.Rounds/10 {
				return fmt.Errorf("%s: %d of %d rounds are void, the last one: %w", name, sum.Void, n+1, err)
			}
			continue
		}
		sum.add(one)
		if one.Forbidden > 0 {
			r.result.Anomalies = append(r.result.Anomalies, check.Anomaly{Workload: name, Text: fmt.Sprintf(
				"round %d: %d of %d uses of a disabled key succeeded on the old leader's side, all sent after the change was acknowledged", n+1, one.Forbidden, one.Sent)})
			if r.o.stopAtFirst {
				return errAnomalies
			}
		}
		if n%25 == 24 || r.o.Rounds < 10 {
			r.log.printf("%s: %d rounds, %d uses sent after an acknowledged disable, %d succeeded, %d refused", name, sum.Rounds, sum.Sent, sum.Forbidden, sum.Refused)
		}
	}
	return nil
}
