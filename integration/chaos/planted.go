//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/integration/chaos/lab"
)

// hunt says how a planted fault is looked for. The zero values are those of a short run of everything.
type hunt struct {
	bug string
	// nodes it is planted in, all if empty.
	nodes string
	// faults and workloads of the runs; rounds instead of traffic.
	faults, workloads string
	rounds            int
	scenarios         string // both if empty
	// snapshot is the number of entries between snapshots.
	snapshot int
	length   time.Duration
	// regions is the number of regions, 1 if 0.
	regions int
	// runs is the bound: so many runs, each with the next seed, may miss it.
	runs int
}

// hunts are the planted faults and how each is found. docs/chaos.md has the table of what found them.
var hunts = []hunt{
	{bug: planted.VerifyLeader, rounds: 60, scenarios: "F-P2", runs: 3},
	{bug: planted.CountNonvoters, nodes: "4,5", rounds: 12, scenarios: "F-P2n"},
	{bug: planted.LocalReads, faults: "slow-apply,pause", workloads: "lifecycle,aliases"},
	{bug: planted.JoinRunningRound, faults: "slow-apply,delay", workloads: "lifecycle,aliases", runs: 6},
	{bug: planted.AckUnknown, faults: "kill,isolate", workloads: "lifecycle,aliases,storm"},
	{bug: planted.UnknownIsRefusal, faults: "kill,isolate", workloads: "lifecycle,aliases,storm", runs: 6},
	{bug: planted.AckBeforeSync, faults: "kill-all", workloads: "lifecycle,ledger"},
	{bug: planted.SkipReadSet, faults: "none", workloads: "rights", runs: 6},
	{bug: planted.ForgetRetryIDs, faults: "kill,lost-answers", workloads: "storm,digests", snapshot: 40},
	{bug: planted.IgnoreRetryIDs, faults: "lost-answers", workloads: "storm"},
	{bug: planted.SnapshotDropsRow, faults: "kill", workloads: "rights,storm,digests", snapshot: 40},
	{bug: planted.MissDisable, nodes: "2", faults: "none", workloads: "lifecycle,digests"},
	{bug: planted.MissRevoke, nodes: "3", faults: "none", workloads: "rights,digests"},
	{bug: planted.ApplyDiffers, faults: "none", workloads: "lifecycle,digests"},
	{bug: planted.StaleAlias, faults: "none", workloads: "aliases"},
	{bug: planted.StalePolicy, faults: "none", workloads: "rights"},
	{bug: planted.StaleKeyState, faults: "none", workloads: "lifecycle"},
	{bug: planted.ImmortalAccessKey, faults: "none", workloads: "rights"},
	{bug: planted.AliasTaken, faults: "none", workloads: "aliases"},
	{bug: planted.FirstMaterial, faults: "none", workloads: "rotation"},
	{bug: planted.LocalClock, faults: "clock", workloads: "imports", runs: 6},
	{bug: planted.DropAudit, faults: "none", workloads: "lifecycle,audit"},
	{bug: planted.TwoPrimaries, faults: "none", workloads: "regions", regions: 2},
	{bug: planted.IgnoreLevels, faults: "upgrade", workloads: "lifecycle", length: 40 * time.Second},
	{bug: planted.KeepRemoved, faults: "none", workloads: "identities", regions: 2},
	{bug: planted.OlderIdentities, faults: "none", workloads: "identities", regions: 2},
	{bug: planted.EarlyAnswer, faults: "none", workloads: "identities", regions: 2},
	{bug: planted.ImmortalSession, faults: "none", workloads: "identities", regions: 2},
	{bug: planted.EarlyMaterial, faults: "region-alone,regions-apart", workloads: "regions", regions: 2},
}

// caught is what became of a hunt.
type caught struct {
	hunt hunt
	run  int // the run that found it, 0 if none did
	seed int64
	took time.Duration
	what string // the first anomaly
	by   []string
}

// huntAll looks for every planted fault, or those named, and fails if one is not found.
func huntAll(ctx context.Context, o options, names []string) error {
	dir, err := o.directory()
	if err != nil {
		return err
	}
	if o.binary == "" {
		if o.binary, err = lab.Build(dir, "trent", false, "chaos"); err != nil {
			return err
		}
	}
	var missed []string
	var all []caught
	for _, h := range hunts {
		if len(names) > 0 && !slices.Contains(names, strings.TrimPrefix(h.bug, "planted/")) {
			continue
		}
		c := h.look(ctx, o, dir)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Println(c.row())
		all = append(all, c)
		if c.run == 0 {
			missed = append(missed, h.bug)
		}
	}
	var table strings.Builder
	table.WriteString("| planted fault | found by | in run | after | what was seen |\n|---|---|---|---|---|\n")
	for _, c := range all {
		table.WriteString(c.row() + "\n")
	}
	err = os.WriteFile(filepath.Join(dir, "planted.md"), []byte(table.String()), 0o644)
	if len(missed) > 0 {
		err = errors.Join(err, fmt.Errorf("not found: %s", strings.Join(missed, ", ")))
	}
	return err
}

// bound is how many runs may miss the fault.
func (h hunt) bound() int {
	if h.runs == 0 {
		return 3
	}
	return h.runs
}

// look runs until the fault is found or the bound is reached.
func (h hunt) look(ctx context.Context, o options, dir string) caught {
	c := caught{hunt: h}
	start := time.Now()
	runs := h.bound()
	for run := 1; run <= runs && ctx.Err() == nil; run++ {
		one := h.options(o, dir, run)
		res, err := one.run(ctx)
		if res != nil && len(res.Anomalies) > 0 {
			c.run, c.seed, c.took, c.what = run, one.Seed, time.Since(start), res.Anomalies[0].Text
			for _, a := range res.Anomalies {
				if !slices.Contains(c.by, a.Workload) {
					c.by = append(c.by, a.Workload)
				}
			}
			return c
		}
		if err != nil {
			c.what = err.Error()
		}
	}
	c.took = time.Since(start)
	return c
}

func (h hunt) options(o options, dir string, run int) *options {
	one := defaults()
	one.binary, one.helper, one.quiet, one.stopAtFirst = o.binary, o.helper, true, true
	one.next = o.next
	one.Nodes, one.HSM, one.Disk, one.Network, one.Clients = o.Nodes, o.HSM, o.Disk, o.Network, 4
	one.Seed = max(o.Seed, 1) + int64(run) - 1
	one.Duration, one.Rounds, one.floor = h.length, h.rounds, 1
	one.Faults, one.Workloads, one.Bugs, one.BugNodes = h.faults, h.workloads, h.bug, h.nodes
	if h.rounds == 0 && h.length == 0 {
		one.Duration = 25 * time.Second
	}
	if h.workloads == "" {
		one.Workloads = "none"
	}
	if h.scenarios != "" {
		one.Scenarios = h.scenarios
	}
	if h.regions > 0 {
		one.Regions = h.regions
	}
	if h.snapshot > 0 {
		one.Snapshot = h.snapshot
	}
	one.Out = filepath.Join(dir, fmt.Sprintf("%s-%d", strings.TrimPrefix(h.bug, "planted/"), run))
	return &one
}

// row is the line of the table.
func (c caught) row() string {
	name := strings.TrimPrefix(c.hunt.bug, "planted/")
	if c.run == 0 {
		return fmt.Sprintf("| `%s` | **nobody** | %d runs | %v | %s |", name, c.hunt.bound(), c.took.Round(time.Second), c.what)
	}
	what := strings.Join(strings.Fields(strings.ReplaceAll(c.what, "|", "/")), " ")
	if len(what) > 160 {
		what = what[:160] + "…"
	}
	return fmt.Sprintf("| `%s` | %s | %d (seed %d) | %v | %s |", name, strings.Join(c.by, ", "), c.run, c.seed, c.took.Round(time.Second), what)
}
