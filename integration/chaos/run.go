//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/chaos/lab"
	"github.com/trentkms/trent/integration/chaos/nemesis"
	"github.com/trentkms/trent/integration/chaos/workload"
)

// errAnomalies ends a run that found something.
var errAnomalies = errors.New("the run found anomalies")

// running is one run under way.
type running struct {
	o       *options
	dir     string
	lab     *lab.Lab
	target  *workload.Target
	work    []workload.Workload
	clock   *history.Clock
	ops     *history.Writer
	log     *logger
	result  *result
	skew    skews
	slow    float64    // how slow the machine was before the first fault
	crashed sync.Mutex // guards the anomalies while clients work
}

// logger writes to the console and to the run's log.
type logger struct {
	mu    sync.Mutex
	start time.Time
	to    io.Writer
}

func (l *logger) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.to, "%8.2fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// run is a whole run: build, break, check, report.
func (o *options) run(ctx context.Context) (*result, error) {
	if o.Seed == 0 {
		o.Seed = time.Now().UnixNano() % 1_000_000_007
	}
	dir, err := o.directory()
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(dir, "run.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var to io.Writer = file
	if !o.quiet {
		to = io.MultiWriter(file, os.Stdout)
	}
	r := &running{o: o, dir: dir, clock: history.NewClock(), slow: 1, log: &logger{start: time.Now(), to: to}}
	r.result = &result{Options: *o, Command: o.command(), Started: time.Now().UTC(), Skipped: map[string]string{}}
	r.log.printf("seed %d; to repeat: %s", o.Seed, o.command())
	err = r.all(ctx)
	r.result.Took = time.Since(r.log.start)
	if err != nil && !errors.Is(err, errAnomalies) {
		r.result.Error = err.Error()
	}
	err = errors.Join(err, r.finish(err))
	return r.result, err
}

// all is the run between its beginning and its end.
func (r *running) all(ctx context.Context) error {
	if err := r.build(ctx); err != nil {
		return err
	}
	ops, err := history.Create(filepath.Join(r.dir, "history.jsonl"))
	if err != nil {
		return err
	}
	r.ops = ops
	if err := r.rounds(ctx); err != nil {
		return err
	}
	if err := r.setUp(ctx); err != nil {
		return err
	}
	runErr := r.traffic(ctx)
	return errors.Join(r.judge(ctx, runErr), runErr)
}

// build makes the cluster.
func (r *running) build(ctx context.Context) error {
	o := r.o
	c := lab.Config{
		Dir: filepath.Join(r.dir, "nodes"), Binary: o.binary, Chaos: !o.Release, Nodes: o.Nodes, Regions: o.Regions, HSM: o.HSM, Disk: o.Disk,
		Balancer: o.Balancer, SnapshotEntries: o.Snapshot, Helper: o.helper, Log: r.log.printf,
	}
	if o.Bugs != "" {
		c.Bugs = strings.Split(o.Bugs, ",")
	}
	for _, s := range strings.Split(o.BugNodes, ",") {
		if n, err := strconv.Atoi(s); err == nil {
			c.BugNodes = append(c.BugNodes, n)
		}
	}
	if c.Binary == "" {
		var tags []string
		if !o.Release {
			tags = []string{"chaos"}
		}
		var err error
		if c.Binary, err = lab.Build(r.dir, "trent", o.Race, tags...); err != nil {
			return err
		}
	}
	if err := r.buildNext(&c); err != nil {
		return err
	}
	if len(c.Helper) == 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Helper = []string{self, "fs"}
	}
	if o.Network != "shared" {
		switch err := lab.HaveNetwork(); {
		case err == nil:
			c.Network = true
		case o.Network == "own":
			return err
		default:
			r.result.Skipped["own networks"] = err.Error()
		}
	}
	if c.Disk == "auto" {
		c.Disk = lab.DiskDir
		if lab.HaveTmpfs() == nil {
			c.Disk = lab.DiskTmpfs
		}
		if err := lab.HaveFuse(); err == nil {
			c.Disk = lab.DiskFuse
		} else {
			r.result.Skipped["failing disks"] = err.Error()
		}
	}
	var err error
	if c.Home, err = o.home(); err != nil {
		return err
	}
	if r.lab, err = lab.New(ctx, c); err != nil {
		return err
	}
	for what, why := range r.lab.Skips {
		r.result.Skipped[what] = why
	}
	r.log.printf("%d regions of %d nodes run; disks: %s", o.Regions, o.Nodes, c.Disk)
	if r.lab.Home != nil {
		r.log.printf("identities are decided in %s for all", r.lab.Home.Name)
	}
	return nil
}

// buildNext builds the version that nodes are upgraded to, if they are.
func (r *running) buildNext(c *lab.Config) (err error) {
	c.Next = r.o.next
	switch {
	case r.o.Release || r.o.Duration <= 0 || !nemesis.Wants(r.o.Faults, "upgrade") || c.Next == noNext:
		c.Next = ""
	case c.Next == "":
		c.Next, err = lab.Build(r.dir, "trent-next", r.o.Race, "chaos,trent_upcoming")
	}
	return err
}

// setUp makes the clients' side.
func (r *running) setUp(ctx context.Context) error {
	first := r.lab.Regions[0]
	r.target = &workload.Target{
		Account: lab.Account, Root: workload.Credentials{AccessKeyID: first.AccessKeyID, Secret: first.Secret}, Clock: r.clock,
		Binary: r.lab.Config.Binary, Skew: r.skew.bounds, Record: r.ops.Add,
		Restart: func() error {
			for _, n := range r.lab.Nodes() {
				if err := errors.Join(n.Stop(), n.Start(), n.Await(ctx)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if r.lab.Home != nil {
		r.target.Home, r.target.SessionsOfPeers = r.lab.Home.Name, true
	}
	r.target.Regions = r.regions()
	all := r.o.Workloads == "" || r.o.Workloads == "all"
	names := strings.Split(r.o.Workloads, ",")
	for _, w := range workload.All() {
		if all || slices.Contains(names, w.Name()) {
			r.work = append(r.work, w)
			names = slices.DeleteFunc(names, func(n string) bool { return n == w.Name() })
		}
	}
	if !all && len(names) > 0 && names[0] != "none" {
		return fmt.Errorf("there is no workload %q", names[0])
	}
	for _, w := range r.work {
		if err := w.Setup(ctx, r.target); err != nil {
			return fmt.Errorf("set up workload %s: %w", w.Name(), err)
		}
	}
	return nil
}

// regions are the lab's regions as clients see them now.
func (r *running) regions() []workload.Region {
	var all []workload.Region
	for _, reg := range r.lab.Regions {
		w := workload.Region{Name: reg.Name, LB: reg.LB, Root: workload.Credentials{AccessKeyID: reg.AccessKeyID, Secret: reg.Secret}}
		for _, n := range reg.Members() {
			w.Nodes = append(w.Nodes, workload.Node{
				Name: n.Name, URL: n.URL, AuditDir: n.AuditDir(), DataDir: n.DataDir(), Logs: []string{n.LogFile()},
				LostDisk: n.LostDisk || n.Replaced, AdminSocket: n.AdminSocket(),
			})
		}
		all = append(all, w)
	}
	return all
}

// recovery is within what time after a fault every node must serve, on a machine of one's own.
const recovery = 60 * time.Second

// calm is how long clients work before the first fault and after the last.
const calm = 2 * time.Second

// traffic has clients work while the schedule is carried out.
func (r *running) traffic(ctx context.Context) error {
	if r.o.Duration <= 0 {
		return nil
	}
	faults, skipped, err := nemesis.Choose(r.lab, r.o.Faults)
	if err != nil {
		return err
	}
	for f, why := range skipped {
		r.result.Skipped[f] = why
	}
	steps := nemesis.Schedule(r.o.Seed, r.o.Duration, faults, len(r.lab.Regions))
	work, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	for i, w := range r.work {
		for k := range r.o.Clients {
			rng := rand.New(rand.NewSource(r.o.Seed + int64(1000*i+k)))
			clients.Go(func() {
				defer r.catch(w)
				w.Run(work, k, rng, r.target, r.ops.Add)
			})
		}
	}
	sleep(ctx, calm)
	r.result.Faulted[0] = r.clock.Now()
	limit, cancel := context.WithTimeout(ctx, r.o.Duration-2*calm)
	r.slow = max(slowness(), 1)
	runner := nemesis.Runner{Lab: r.lab, Now: r.clock.Now, Log: r.log.printf, Recovery: times(recovery, r.slow), BeforeLoss: r.loses, Skewed: r.skew.set, Note: r.note}
	r.result.Events, err = runner.Run(limit, steps)
	for _, ev := range r.result.Events {
		if ev.Broken != "" {
			r.result.Anomalies = append(r.result.Anomalies, check.Anomaly{Workload: "nemesis", Text: ev.Broken})
		}
	}
	if len(steps) == 0 {
		<-limit.Done()
	}
	cancel()
	r.result.Faulted[1] = r.clock.Now()
	sleep(ctx, calm)
	return errors.Join(err, r.lastPartition(ctx, func() { stop(); clients.Wait() }))
}

// catch makes an anomaly of a client that could not cope with what it was answered.
func (r *running) catch(w workload.Workload) {
	if p := recover(); p != nil {
		r.crashed.Lock()
		defer r.crashed.Unlock()
		r.result.Anomalies = append(r.result.Anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("a client could not cope with an answer: %v\n%s", p, debug.Stack())})
	}
}

// loses notes that a node is about to lose what it had not synced.
func (r *running) loses(n *lab.Node) {
	n.LostDisk = true
	r.target.PowerCut = true
}

// note puts something that happened to a region into the history, for the checkers that have to know.
func (r *running) note(kind, region string, from, to int64) {
	if kind == check.RegionRestored {
		r.target.Restored(region)
	}
	for _, w := range []string{check.RegionsName, check.IdentitiesName} {
		r.ops.Add(history.Op{Workload: w, Node: "all", Region: region, Kind: kind, Call: from, Return: to})
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// judge checks what the clients saw.
func (r *running) judge(ctx context.Context, failed error) error {
	r.result.count(r.ops.Ops())
	if r.o.Duration > 0 {
		if void := nemesis.Void(r.result.Events, 2); len(void) > 0 {
			r.result.Void = append(r.result.Void, fmt.Sprintf("these faults showed no effect: %s", strings.Join(void, ", ")))
		}
		if rate, floor := r.result.Rate, r.o.floor/r.slow; len(r.work) > 0 && rate < floor {
			r.result.Void = append(r.result.Void, fmt.Sprintf("%.0f operations a second outside the faults are too few for the run to mean anything", rate))
		}
	}
	if failed == nil {
		r.target.Regions = r.regions()
		r.settle(ctx)
		for _, w := range r.work {
			// Checks ask the cluster too, and what they ask is part of the history of those that come later.
			found := w.Check(ctx, r.target, r.ops.Ops())
			r.log.printf("workload %s: %d anomalies", w.Name(), len(found))
			r.result.Anomalies = append(r.result.Anomalies, found...)
		}
		r.result.Converged = r.target.Converged
	}
	r.result.Anomalies = append(r.result.Anomalies, r.readLogs()...)
	if len(r.result.Anomalies) > 0 {
		return errAnomalies
	}
	if len(r.result.Void) > 0 {
		return fmt.Errorf("the run is void: %s", strings.Join(r.result.Void, "; "))
	}
	return nil
}

// settle has the workloads wait for regions to agree, all at once: each measures how long that takes.
func (r *running) settle(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range r.work {
		if s, ok := w.(workload.Settler); ok {
			all.Go(func() {
				found := s.Settle(ctx, r.target)
				r.crashed.Lock()
				defer r.crashed.Unlock()
				r.result.Anomalies = append(r.result.Anomalies, found...)
			})
		}
	}
	all.Wait()
}

// alarms are what no log may hold, whatever was done to the node.
var alarms = []string{"DATA RACE", "panic: ", "fatal error: ", "the log went back", "fault of the program", "they are not what their home has"}

// readLogs looks for what a node must never say.
func (r *running) readLogs() (found []check.Anomaly) {
	for _, n := range r.lab.Nodes() {
		b, err := os.ReadFile(n.LogFile())
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			for _, a := range alarms {
				if strings.Contains(line, a) && len(found) < 20 {
					found = append(found, check.Anomaly{Workload: "logs", Text: n.Name + " wrote: " + strings.TrimSpace(line)})
				}
			}
		}
	}
	return found
}

// finish takes the cluster down and writes what the run leaves.
func (r *running) finish(failed error) error {
	var errs []error
	if r.lab != nil {
		r.result.Nodes = len(r.lab.Nodes())
		errs = append(errs, r.lab.Close())
	}
	if r.target != nil {
		r.target.Close()
	}
	if r.ops != nil {
		errs = append(errs, r.ops.Close())
	}
	errs = append(errs, r.result.write(r.dir))
	if failed == nil && !r.o.Keep {
		errs = append(errs, os.RemoveAll(filepath.Join(r.dir, "nodes")), os.Remove(filepath.Join(r.dir, "history.jsonl")))
	}
	for _, name := range []string{"trent", "trent-next"} {
		if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	r.log.printf("%s", r.result.summary())
	if failed != nil {
		r.log.printf("the run failed: %v; what it leaves is in %s; to repeat it: %s", failed, r.dir, r.result.Command)
		for _, a := range r.result.Anomalies {
			r.log.printf("  %v", a)
		}
	}
	return errors.Join(errs...)
}

// rejudge has the workloads look at the history of an earlier run again, after a checker was changed.
func rejudge(ctx context.Context, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		return err
	}
	var old result
	if err := json.Unmarshal(b, &old); err != nil {
		return err
	}
	ops, err := history.Read(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return err
	}
	total := 0
	for _, w := range workload.All() {
		found := w.Check(ctx, &workload.Target{Clock: history.NewClock()}, ops)
		for _, a := range found {
			fmt.Println(a)
		}
		total += len(found)
	}
	fmt.Printf("%d operations, %d anomalies; the run found %d\n", len(ops), total, len(old.Anomalies))
	if total > 0 {
		return errAnomalies
	}
	return nil
}
