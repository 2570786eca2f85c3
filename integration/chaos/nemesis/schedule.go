//go:build linux

package nemesis

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"time"
)

// Step is one disturbance: one fault, or two at the same time.
type Step struct {
	Number int
	// Pause comes before it, Length is how long it lasts.
	Pause, Length time.Duration
	Faults        []string
	// Targets say whom each fault strikes: leader, follower or any.
	Targets []string
	Region  int
	Seed    int64 // of the choices that the faults make
}

// String renders the step without what the cluster decides.
func (s Step) String() string {
	var b strings.Builder
	for i, f := range s.Faults {
		if i > 0 {
			b.WriteString(" + ")
		}
		fmt.Fprintf(&b, "%s of the %s", f, s.Targets[i])
	}
	return fmt.Sprintf("%s for %v", b.String(), s.Length.Round(time.Millisecond))
}

// Schedule draws steps for a run of the given length. Every fault comes about equally often; one step in three is a pair. An
// upgrade goes on beside them, in one step of three. The same
// arguments give the same schedule.
func Schedule(seed int64, length time.Duration, faults []Fault, regions int) []Step {
	if len(faults) == 0 {
		return nil
	}
	rng := rand.New(rand.NewSource(seed))
	upgrades := slices.ContainsFunc(faults, isUpgrade)
	if faults = slices.DeleteFunc(slices.Clone(faults), isUpgrade); len(faults) == 0 {
		faults = []Fault{byName(upgradeName)}
	}
	deck := newDeck(rng, faults)
	var steps []Step
	// What a step costs beside its own length is the cluster's recovery, which is not known here; the schedule is long enough in
	// any case, and the run stops in it.
	for total := time.Duration(0); total < length; {
		s := Step{Number: len(steps) + 1, Pause: 300*time.Millisecond + time.Duration(rng.Int63n(int64(1200*time.Millisecond))), Region: rng.Intn(regions), Seed: rng.Int63()}
		n := 1
		if len(faults) > 1 && rng.Intn(3) == 0 {
			n = 2
		}
		for len(s.Faults) < n {
			f := deck.next()
			if len(s.Faults) == 1 && !fits(s.Faults[0], f.Name) {
				deck.back(f)
				n = 1
				break
			}
			d := f.Least + time.Duration(rng.Int63n(int64(f.Most-f.Least)+1))
			if len(s.Faults) == 0 || d < s.Length {
				s.Length = d
			}
			s.Faults = append(s.Faults, f.Name)
			s.Targets = append(s.Targets, []string{"leader", "leader", "follower", "any"}[rng.Intn(4)])
		}
		if upgrades && len(steps)%3 == 1 && s.Faults[0] != upgradeName {
			s.Faults, s.Targets = append(s.Faults, upgradeName), append(s.Targets, "any")
		}
		total += s.Pause + s.Length
		steps = append(steps, s)
	}
	return steps
}

func isUpgrade(f Fault) bool { return f.Name == upgradeName }

// fits tells whether two faults can be in force together: both would rewrite the same rules, or one needs a healthy majority.
func fits(a, b string) bool {
	alone := map[string]bool{"rolling-restart": true, "replace-member": true, "flapping": true, regionRestoredName: true}
	for _, f := range damageFaults() {
		alone[f.Name] = true // a second node down would leave no majority to join
	}
	return a != b && !alone[a] && !alone[b]
}

// deck deals the faults in a new order each time around.
type deck struct {
	rng    *rand.Rand
	faults []Fault
	left   []Fault
}

func newDeck(rng *rand.Rand, faults []Fault) *deck { return &deck{rng: rng, faults: faults} }

func (d *deck) next() Fault {
	if len(d.left) == 0 {
		d.left = append(d.left, d.faults...)
		d.rng.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	f := d.left[0]
	d.left = d.left[1:]
	return f
}

func (d *deck) back(f Fault) { d.left = append([]Fault{f}, d.left...) }
