//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is the account of every region.
const Account = "111122223333"

// Disk kinds.
const (
	DiskDir   = "dir"   // a plain directory
	DiskTmpfs = "tmpfs" // a small volume of its own
	DiskFuse  = "fuse"  // a file system that fails on demand
)

// Config says what is to be built. Zero values mean the defaults beside them.
type Config struct {
	// Dir holds everything that a failed run leaves. Required.
	Dir string
	// Binary is the trent binary; Chaos tells that it was built with the tag chaos.
	Binary string
	Chaos  bool
	// Next is the same binary of a version above, with a feature level that Binary does not know. Nodes begin with Binary.
	Next string
	// Nodes per region, 3; Regions, 1.
	Nodes, Regions int
	// Home is the number of the region (from 1) in which the identities of all are decided, 0 if each has identities of its own.
	Home int
	// HSM is embedded or softhsm.
	HSM string
	// Network puts each node into a network namespace. Needs root; see HaveNetwork.
	Network bool
	// Disk is one of the disk kinds, DiskDir if empty.
	Disk string
	// Balancer puts HAProxy before each region.
	Balancer bool
	// ElectionTimeout of the nodes, 1 s.
	ElectionTimeout time.Duration
	// SnapshotEntries is after how many entries a node takes a snapshot, 0 = as in production. Needs Chaos.
	SnapshotEntries int
	// Bugs are planted in the nodes with these numbers (from 1), in all if BugNodes is empty. Needs Chaos.
	Bugs     []string
	BugNodes []int
	// Helper is the command line by which this program runs ServeDisk; {self, "fs"} for the chaos command.
	Helper []string
	// Log receives a line for each step.
	Log func(format string, args ...any)
}

// Lab is what was built. Its methods may be called by one goroutine at a time unless they say otherwise.
type Lab struct {
	Config  Config
	Regions []*Region
	// Home is the region in which the identities of all are decided, nil if each has identities of its own.
	Home *Region
	// Skips are the kinds of faults that this lab cannot make, with the reason.
	Skips map[string]string

	short string // for sockets, whose paths must be short
	net   *network
}

// New builds regions, federates them, and waits until every node serves and votes.
func New(ctx context.Context, c Config) (_ *Lab, err error) {
	def(&c.Nodes, 3)
	def(&c.Regions, 1)
	def(&c.HSM, "embedded")
	def(&c.Disk, DiskDir)
	def(&c.ElectionTimeout, time.Second)
	if c.Log == nil {
		c.Log = func(string, ...any) {}
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	l := &Lab{Config: c, Skips: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	if l.short, err = os.MkdirTemp("", "trc-"); err != nil {
		return nil, err
	}
	if c.Network {
		if l.net, err = newNetwork(); err != nil {
			return nil, err
		}
	} else {
		l.Skips["network"] = "the nodes share the loopback; run as root, with ip and iptables, to cut links"
	}
	if !c.Chaos {
		l.Skips["failpoints"] = "the release binary has none"
	}
	if c.Disk != DiskFuse {
		l.Skips["fuse"] = "the nodes' disks are not on the failing file system"
	}
	if c.Disk == DiskDir {
		l.Skips["volume"] = "the nodes' disks have no bounds of their own"
	}
	if c.Next == "" {
		l.Skips["upgrade"] = "no binary of a further feature level was built"
	}
	if c.HSM != "embedded" {
		l.Skips["embedded"] = "the nodes' tokens are not files of theirs"
	}
	if c.HSM != "softhsm" {
		l.Skips["softhsm"] = "the nodes have embedded HSMs"
	}
	made, errs := make([]*Region, c.Regions), make([]error, c.Regions)
	var all sync.WaitGroup
	for i := range c.Regions {
		all.Go(func() {
			if made[i], errs[i] = l.newRegion(ctx, i); errs[i] != nil {
				errs[i] = fmt.Errorf("region %d: %w", i+1, errs[i])
			}
		})
	}
	all.Wait()
	l.Regions = slices.DeleteFunc(made, func(r *Region) bool { return r == nil })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(l.Regions) < 2 {
		l.Skips["regions"] = "there is one region"
	} else if err := l.federate(ctx); err != nil {
		return nil, err
	} else if c.Home > 0 {
		if err := l.shareIdentities(ctx, l.Regions[c.Home-1]); err != nil {
			return nil, err
		}
	}
	if c.Nodes < 2 {
		l.Skips["others"] = "there is no other node from which a new one could learn what one has lost"
	}
	if err := l.Nodes()[0].HaveDomainKeyRotation(ctx); err != nil {
		l.Skips["domain-key"] = err.Error()
	}
	if err := l.HaveQueue(); err != nil {
		l.Skips["queue"] = err.Error()
	}
	return l, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Nodes are the nodes of all regions.
func (l *Lab) Nodes() []*Node {
	var all []*Node
	for _, r := range l.Regions {
		all = append(all, r.Nodes...)
	}
	return all
}

// Close kills what runs and takes the network and the mounts down. What was on the nodes' disks is in Config.Dir afterwards.
func (l *Lab) Close() error {
	var errs []error
	// All processes first: each has a mount namespace of its own, and with it a hold on every disk.
	for _, n := range l.Nodes() {
		n.Kill()
	}
	for _, r := range l.Regions {
		errs = append(errs, r.close())
	}
	if l.net != nil {
		errs = append(errs, l.net.close())
	}
	if l.short != "" {
		errs = append(errs, os.RemoveAll(l.short))
	}
	return errors.Join(errs...)
}

// Heal ends every disturbance of links, disks, clocks and failpoints, and wakes and starts every node that is stopped or down.
func (l *Lab) Heal() error {
	var errs []error
	if l.net != nil {
		errs = append(errs, l.net.heal())
	}
	for _, n := range l.Nodes() {
		errs = append(errs, n.Heal())
	}
	return errors.Join(errs...)
}

// Build builds the trent binary with the given tags, and with the race detector if race is set, into dir.
func Build(dir, name string, race bool, tags ...string) (string, error) {
	path := filepath.Join(dir, name)
	args := []string{"build", "-tags", strings.Join(tags, ","), "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/trentkms/trent/cmd/trent")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build trent: %w\n%s", err, out)
	}
	return path, nil
}

// run runs a program to its end and returns its standard output.
func run(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return out, fmt.Errorf("%s %v: %w: %s", name, args, err, exit.Stderr)
		}
		return out, fmt.Errorf("%s %v: %w", name, args, err)
	}
	return out, nil
}

// eventually calls ok every 50 ms until it is nil.
func eventually(ctx context.Context, what string, ok func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%w)", what, context.Cause(ctx), err)
		}
	}
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
