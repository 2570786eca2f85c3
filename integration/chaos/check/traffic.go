package check

import (
	"fmt"

	"github.com/trentkms/trent/integration/chaos/history"
)

// Floor tells whether there was enough traffic for a history to mean something: at least rate answered operations per second between
// two times of the run (nanoseconds), successes among them. A workload of "" stands for all.
func Floor(ops []history.Op, workload string, from, to int64, rate float64) error {
	answered, succeeded := 0, 0
	for i := range ops {
		op := &ops[i]
		if workload != "" && op.Workload != workload || op.Return < from || op.Return > to {
			continue
		}
		switch op.Outcome {
		case history.OK:
			succeeded++
			answered++
		case history.Refused:
			answered++
		}
	}
	seconds := float64(to-from) / 1e9
	if float64(answered) < rate*seconds || succeeded*5 < answered {
		return fmt.Errorf("%s: %d operations were answered in %.1f s, %d with success; at least %.0f a second and one success in five make a history that proves something",
			workload, answered, seconds, succeeded, rate)
	}
	return nil
}

// Judge runs the checkers that need nothing but the history, so that a stored one can be judged again.
func Judge(ops []history.Op) []Anomaly {
	var all []Anomaly
	for _, f := range []func([]history.Op) []Anomaly{Lifecycle, Rights, Aliases, Rotation, Imports, Ledger, Storm, Regions, Identities} {
		all = append(all, f(ops)...)
	}
	return append(all, Quotas(ops, QuotaRoom)...)
}

// QuotaRoom is how many tags fit on a key beside those that the set-up of the quotas workload makes.
const QuotaRoom = 3
