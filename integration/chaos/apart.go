//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/nemesis"
	"github.com/trentkms/trent/integration/chaos/workload"
)

const (
	// apart is how long the regions are parted at the end of a run.
	apart = 3 * time.Second
	// convergence is within what time after the end of the partition they must tell the same, on a machine of one's own.
	convergence = 5 * time.Second
)

// lastPartition parts the regions once more while clients work. Each must go on serving. Then the clients stop, the links are whole
// again, and from this moment on the time until all regions agree is measured, by the checker of the regions.
func (r *running) lastPartition(ctx context.Context, stop func()) error {
	regions := r.lab.Regions
	if len(regions) < 2 || r.missing("network") != "" || !slices.ContainsFunc(r.work, func(w workload.Workload) bool { _, ok := w.(workload.Settler); return ok }) {
		stop()
		return nil
	}
	slow := slowness()
	from := r.clock.Now()
	if err := nemesis.Part(r.lab); err != nil {
		stop()
		return errors.Join(err, r.lab.Heal())
	}
	parted := r.clock.Now() // from now on; it takes a while with many nodes
	sleep(ctx, times(apart, slow))
	until := r.clock.Now()
	stop()
	if r.target.Home != "" {
		r.note(check.RegionsParted, "", parted, until)
	}
	if err := r.lab.Heal(); err != nil {
		return err
	}
	r.target.Settled, r.target.Within = time.Now(), times(convergence, max(slow, slowness()))
	for i, region := range regions {
		served := slices.ContainsFunc(r.ops.Ops(), func(op history.Op) bool {
			return op.Outcome == history.OK && op.Call >= from && op.Return <= until && strings.HasPrefix(op.Node, fmt.Sprintf("r%dn", i+1))
		})
		if !served {
			r.result.Anomalies = append(r.result.Anomalies, check.Anomaly{Workload: check.RegionsName, Text: fmt.Sprintf("%s answered nobody while it was parted from the others", region.Name)})
		}
	}
	return nil
}
