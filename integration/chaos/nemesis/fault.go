//go:build linux

package nemesis

import (
	"context"
	"errors"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// Fault is a kind of disturbance.
type Fault struct {
	Name  string
	Group string // process, network, disk, clock, hsm, members, upgrade, damage, regions
	// Needs are the abilities of the lab without which the fault cannot be made: keys of lab.Lab.Skips.
	Needs []string
	// Least and Most bound its length.
	Least, Most time.Duration
	// Loses tells that a node may lose what it had not synced.
	Loses  bool
	inject func(ctx context.Context, e *env) (*active, error)
}

// active is a fault that is in force.
type active struct {
	// effect says what the fault has done so far, "" if nothing can be seen. It is called before end, but for a fault that stops.
	effect func(ctx context.Context) string
	// end takes the fault back. nil: Lab.Heal does.
	end func(ctx context.Context) error
	// stops tells that the fault stops processes.
	stops bool
}

// env is what a fault works with.
type env struct {
	lab    *lab.Lab
	region *lab.Region
	target *lab.Node // chosen by the step: the leader, a follower, or any
	rng    *rand.Rand
	length time.Duration
	log    func(string, ...any)
	skewed func(*lab.Node, time.Duration)
	broken func(format string, args ...any) // a promise that the cluster broke
	now    func() int64                     // the clock of the run
	note   func(kind, region string, from, to int64)
}

// others are the other members of the target's region.
func (e *env) others() []*lab.Node {
	return slices.DeleteFunc(e.region.Members(), func(n *lab.Node) bool { return n == e.target })
}

// shuffled are all members in an order drawn from the step's seed.
func (e *env) shuffled() []*lab.Node {
	all := slices.Clone(e.region.Members())
	e.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// Faults are all kinds, in a fixed order.
func Faults() []Fault {
	return slices.Concat(processFaults(), networkFaults(), diskFaults(), nodeFaults(), memberFaults(), upgradeFaults(), damageFaults(), regionFaults())
}

// Choose picks faults by a comma-separated list of names and groups; "all" or "" is every fault. It leaves out what the lab cannot
// make and says so.
func Choose(l *lab.Lab, list string) (chosen []Fault, skipped map[string]string, err error) {
	skipped = map[string]string{}
	wanted := strings.Split(list, ",")
	found := map[string]bool{}
	for _, f := range Faults() {
		found[f.Name], found[f.Group] = true, true
		if !Wants(list, f.Name) {
			continue
		}
		if why := missing(l, f); why != "" {
			skipped[f.Name] = why
			continue
		}
		chosen = append(chosen, f)
	}
	for _, w := range wanted {
		if w != "" && w != "all" && w != "none" && !found[w] {
			return nil, nil, errors.New("there is no fault or group of faults " + w)
		}
	}
	return chosen, skipped, nil
}

// Wants tells whether a list of names and groups has a fault.
func Wants(list, fault string) bool {
	f := byName(fault)
	return list == "" || list == "all" || slices.ContainsFunc(strings.Split(list, ","), func(w string) bool { return w == f.Name || w == f.Group })
}

func missing(l *lab.Lab, f Fault) string {
	for _, need := range f.Needs {
		if why, ok := l.Skips[need]; ok {
			return why
		}
	}
	return ""
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
