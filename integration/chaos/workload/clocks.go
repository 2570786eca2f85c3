package workload

import "time"

// clockSlack is how far region time may be off beyond what the clocks of the nodes explain: a voter that is silent for 5 s counts as
// not yet, and clocks travel with pings.
const clockSlack = 6 * time.Second

// slowest and fastest are the bounds of the clocks of a region against the harness's.
func (t *Target) slowest(region string) time.Duration {
	if t.Skew == nil {
		return 0
	}
	low, _ := t.Skew(region)
	return min(low, 0)
}

func (t *Target) fastest(region string) time.Duration {
	if t.Skew == nil {
		return 0
	}
	_, high := t.Skew(region)
	return max(high, 0)
}
