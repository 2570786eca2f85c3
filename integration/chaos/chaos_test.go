//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/integration/chaos/lab"
	"github.com/trentkms/trent/integration/chaos/nemesis"
)

// TestMain also serves the failing disks: labs run this program again for that.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "fs" {
		exit(lab.ServeDisk(os.Args[2], os.Args[3], os.Args[4]))
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// binaries builds trent with what tests are given (the tag chaos and published RSA keys) and as it is released.
func binaries(t *testing.T) (chaos, release string) {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "trc-bin-"); built.err != nil {
			return
		}
		_, err1 := lab.Build(built.dir, "trent-chaos", false, "chaos", publishedrsa.Tag)
		_, err2 := lab.Build(built.dir, "trent", false)
		built.err = errors.Join(err1, err2)
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "trent-chaos"), filepath.Join(built.dir, "trent")
}

// shortRun is a run for tests: small, and fit for slow machines.
func shortRun(t *testing.T) *options {
	t.Helper()
	o := defaults()
	o.binary, _ = binaries(t)
	o.Scenarios = "F-P1,F-P2"
	o.next = noNext // integration/cluster upgrades a region; a third binary would take longer than the run
	o.Duration, o.Rounds, o.hold, o.floor = 25*time.Second, 1, [2]time.Duration{500 * time.Millisecond, 2 * time.Second}, 5
	o.Seed, o.Out = 1, filepath.Join(t.ArtifactDir(), "run")
	if s, err := strconv.ParseInt(os.Getenv("TRENT_CHAOS_SEED"), 10, 64); err == nil {
		o.Seed = s
	}
	return &o
}

// TestSmoke is the short run of everything: all workloads, whatever faults the seed draws and this machine allows, one round of
// each decisive scenario. TRENT_CHAOS_SEED chooses another seed.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	o := shortRun(t)
	res, err := o.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Total.Total() == 0 || len(res.Events) == 0 {
		t.Errorf("%d operations and %d steps: nothing happened", res.Total.Total(), len(res.Events))
	}
	for _, s := range res.Rounds {
		if s.Rounds > 0 && s.Sent == 0 {
			t.Errorf("%s sent nothing", s.Name)
		}
	}
}

// TestRegionsApart parts three regions of three nodes from each other, one at a time and all at once, while clients make, replicate,
// rotate and move multi-Region keys, and change and use the identities that one of them decides for all. Each goes on serving, every ciphertext opens in every region that holds its key, and
// they agree within seconds once they can speak again.
func TestRegionsApart(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	if err := lab.HaveNetwork(); err != nil {
		t.Skip("no networks here: ", err)
	}
	o := shortRun(t)
	o.Regions, o.Faults, o.Workloads, o.Duration, o.Rounds, o.Disk, o.Clients = 3, "regions-apart,region-alone,region-door", "regions,identities,digests", 12*time.Second, 0, lab.DiskDir, 4
	res, err := o.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Converged == 0 || len(res.Events) == 0 {
		t.Errorf("%d partitions, and then %v: nothing was measured", len(res.Events), res.Converged)
	}
}

// TestFindsWhatIsPlanted runs the harness on a node that goes on using disabled keys. It must say so, and leave what is needed to
// look into it.
func TestFindsWhatIsPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	o := shortRun(t)
	o.Bugs, o.Faults, o.Workloads, o.Duration, o.Rounds, o.quiet = planted.StaleKeyState, "none", "lifecycle", 12*time.Second, 0, true
	res, err := o.run(t.Context())
	if !errors.Is(err, errAnomalies) || len(res.Anomalies) == 0 {
		t.Fatalf("the planted fault was not found: %v", err)
	}
	for _, name := range []string{"run.json", "run.log", "report.md", "report.html", "history.jsonl", "nodes/r1n1/log", "nodes/r1n1/disk/data/node-id"} {
		if _, err := os.Stat(filepath.Join(o.Out, name)); err != nil {
			t.Errorf("a failed run must leave %s: %v", name, err)
		}
	}
	if log, _ := os.ReadFile(filepath.Join(o.Out, "run.log")); !bytes.Contains(log, []byte(fmt.Sprint("-seed ", o.Seed))) {
		t.Error("the log does not say how to repeat the run")
	}
	if err := rejudge(t.Context(), o.Out); !errors.Is(err, errAnomalies) {
		t.Errorf("judged again from what it left, the run is %v", err)
	}
}

// TestReleaseHasNoFaults: what the harness plants and arms, and keys that are published, are in builds with these tags only.
func TestReleaseHasNoFaults(t *testing.T) {
	chaos, release := binaries(t)
	words := append(planted.All(), "TRENT_CHAOS", "injected fault", "/failpoints", "publishedrsa")
	for path, want := range map[string]bool{chaos: true, release: false} {
		program, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if bytes.Contains(program, []byte(w)) != want {
				t.Errorf("%s: %q is there: %t, want %t", filepath.Base(path), w, !want, want)
			}
		}
	}
}

// TestScheduleRepeats: the same seed gives the same schedule, another seed another one.
func TestScheduleRepeats(t *testing.T) {
	all := nemesis.Faults()
	a, b := nemesis.Schedule(7, 10*time.Minute, all, 2), nemesis.Schedule(7, 10*time.Minute, all, 2)
	if !reflect.DeepEqual(a, b) {
		t.Error("two schedules of one seed differ")
	}
	if reflect.DeepEqual(a, nemesis.Schedule(8, 10*time.Minute, all, 2)) {
		t.Error("two seeds give one schedule")
	}
	seen, pairs := map[string]bool{}, 0
	for _, s := range a {
		for _, f := range s.Faults {
			seen[f] = true
		}
		if len(s.Faults) == 2 {
			pairs++
		}
	}
	if len(seen) != len(all) || pairs == 0 {
		t.Errorf("ten minutes have %d of %d faults and %d pairs", len(seen), len(all), pairs)
	}
}

// TestEveryFaultIsHunted: docs/chaos.md says of each planted fault what found it, and the hunts know them all.
func TestEveryFaultIsHunted(t *testing.T) {
	doc, err := os.ReadFile("../../docs/chaos.md")
	if err != nil {
		t.Fatal(err)
	}
	hunted := map[string]bool{}
	for _, h := range hunts {
		hunted[h.bug] = true
	}
	for _, bug := range planted.All() {
		name := strings.TrimPrefix(bug, "planted/")
		if !bytes.Contains(doc, []byte("`"+name+"`")) {
			t.Errorf("docs/chaos.md does not mention %s", name)
		}
		if !hunted[bug] {
			t.Errorf("nobody hunts for %s", name)
		}
	}
}
