//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/lab"
)

func main() {
	if len(os.Args) == 5 && os.Args[1] == "fs" {
		exit(lab.ServeDisk(os.Args[2], os.Args[3], os.Args[4]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(command(ctx, os.Args[1:]))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command is the command line: chaos [run|rounds|planted|check] flags.
func command(ctx context.Context, args []string) error {
	verb := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	o := defaults()
	f := flag.NewFlagSet("chaos "+verb, flag.ContinueOnError)
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long clients work and faults strike")
	f.Int64Var(&o.Seed, "seed", 0, "of the schedule and of what clients do; drawn if 0")
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "nodes of each region")
	f.IntVar(&o.Regions, "regions", o.Regions, "regions")
	f.StringVar(&o.Faults, "faults", o.Faults, "faults or groups of faults, comma-separated; all; none")
	f.StringVar(&o.Workloads, "workloads", o.Workloads, "workloads, comma-separated; all")
	f.StringVar(&o.HSM, "hsm", o.HSM, "embedded or softhsm")
	f.StringVar(&o.Out, "out", "", "directory for what the run leaves; a new one under the working directory if empty")
	f.StringVar(&o.Disk, "disk", o.Disk, "dir, tmpfs, fuse; auto is the best that there is")
	f.StringVar(&o.Network, "network", o.Network, "own: a network for each node; shared: the loopback; auto")
	f.BoolVar(&o.Balancer, "balancer", false, "HAProxy before each region")
	f.StringVar(&o.binary, "binary", "", "a trent binary that was built already, with the tag chaos unless -release is given")
	f.StringVar(&o.next, "next", "", "a binary of the next feature level (tags chaos and trent_upcoming); built if empty and upgrades are among the faults; none leaves them out")
	f.BoolVar(&o.Release, "release", false, "the release binary, without failpoints")
	f.BoolVar(&o.Race, "race", false, "build with the race detector")
	f.BoolVar(&o.Keep, "keep", false, "keep data and logs of a run without anomalies too")
	f.IntVar(&o.Clients, "clients", o.Clients, "clients of each workload")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of each decisive scenario; 0: none")
	f.BoolVar(&o.stopAtFirst, "stop", false, "stop at the first anomaly of the rounds")
	f.StringVar(&o.Scenarios, "scenarios", o.Scenarios, "the decisive scenarios of the rounds")
	f.StringVar(&o.Bugs, "bugs", "", "planted faults, comma-separated")
	f.StringVar(&o.BugNodes, "bug-nodes", "", "numbers of the nodes that they are planted in; all if empty")
	f.StringVar(&o.Home, "home", o.Home, "with several regions, the number of the one in which the identities of all are decided; none: each has identities of its own; drawn: by the seed")
	f.IntVar(&o.Snapshot, "snapshot-entries", o.Snapshot, "entries between snapshots; 0 as in production")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch verb {
	case "run":
		_, err := o.run(ctx)
		return err
	case "planted":
		return huntAll(ctx, o, f.Args())
	case "check":
		if f.NArg() != 1 {
			return errors.New("name the directory of one run")
		}
		return rejudge(ctx, f.Arg(0))
	}
	return fmt.Errorf("there is no command %q; run, planted and check are", verb)
}

// options are what a run is made of; run.json keeps them.
type options struct {
	Duration                              time.Duration
	Seed                                  int64
	Nodes, Regions                        int
	Faults, Workloads, HSM, Disk, Network string
	Balancer, Release, Race, Keep         bool
	Clients, Rounds, Snapshot             int
	Bugs, BugNodes, Scenarios, Home       string
	Out                                   string `json:"-"`
	// hold bounds how long leaders are stopped in F-P1.
	hold [2]time.Duration
	// binary, if set, is the binary to test, and helper the command that serves disks.
	binary string
	helper []string
	// next is a binary of the next feature level.
	next string
	// quiet leaves the log of steps out; floor is the least traffic, operations a second, below which a run proves nothing.
	quiet bool
	floor float64
	// cheap leaves out the passes of checks that restart the cluster.
	stopAtFirst bool
}

// noNext is the value of next that leaves upgrades out.
const noNext = "none"

func defaults() options {
	return options{
		Duration: 10 * time.Minute, Nodes: 3, Regions: 1, Faults: "all", Workloads: "all", HSM: "embedded", Disk: "auto", Network: "auto",
		Clients: 2, Rounds: 500, Snapshot: 200, Scenarios: "F-P1,F-P2,F-P2n", Home: "drawn", hold: [2]time.Duration{300 * time.Millisecond, 15 * time.Second}, floor: 20,
	}
}

// home is the number of the region that is the home of all identities, 0 for none. Drawn by the seed it is none in one run of five, unless the
// workload that needs one was asked for by name.
func (o *options) home() (int, error) {
	switch {
	case o.Regions < 2 || o.Home == "none":
		return 0, nil
	case o.Home != "drawn":
		n, err := strconv.Atoi(o.Home)
		if err != nil || n < 1 || n > o.Regions {
			return 0, fmt.Errorf("-home is none, drawn, or the number of a region, not %q", o.Home)
		}
		return n, nil
	}
	rng := rand.New(rand.NewSource(o.Seed))
	if n := 1 + rng.Intn(o.Regions); rng.Intn(5) > 0 || slices.Contains(strings.Split(o.Workloads, ","), check.IdentitiesName) {
		return n, nil
	}
	return 0, nil
}

// command is the command line that repeats the run.
func (o *options) command() string {
	var b strings.Builder
	fmt.Fprintf(&b, "go run ./integration/chaos run -seed %d -duration %v -nodes %d -regions %d -faults %s -workloads %s -hsm %s -disk %s -network %s -clients %d -rounds %d -scenarios %s -home %s -snapshot-entries %d",
		o.Seed, o.Duration, o.Nodes, o.Regions, o.Faults, o.Workloads, o.HSM, o.Disk, o.Network, o.Clients, o.Rounds, o.Scenarios, o.Home, o.Snapshot)
	for _, flag := range []struct {
		name string
		on   bool
	}{{"balancer", o.Balancer}, {"release", o.Release}, {"race", o.Race}} {
		if flag.on {
			b.WriteString(" -" + flag.name)
		}
	}
	if o.Bugs != "" {
		fmt.Fprintf(&b, " -bugs %s", o.Bugs)
		if o.BugNodes != "" {
			fmt.Fprintf(&b, " -bug-nodes %s", o.BugNodes)
		}
	}
	return b.String()
}

// directory makes the directory of the run.
func (o *options) directory() (string, error) {
	if o.Out == "" {
		o.Out = filepath.Join("chaos-runs", fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102-150405"), o.Seed))
	}
	dir, err := filepath.Abs(o.Out)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}
