package main

import (
	"context"
	"crypto/fips140"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// bench is one run: the flags, the programs to start, a directory for their data, and the report.
type bench struct {
	*options
	dir    string
	self   string // this program, which is also the ceiling and the new node
	report *report
	began  time.Time
}

func newBench(ctx context.Context, o *options, out io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "trent-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, self: self, began: time.Now(), report: &report{out: out, markdown: o.markdown}}
	if err := b.build(ctx); err != nil {
		b.close()
		return nil, err
	}
	b.report.line("%s", machine())
	return b, nil
}

// machine says where and when the measurements are made, and what else the machine has to do.
func machine() string {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	fips := "off"
	if fips140.Enabled() {
		fips = "on"
	}
	return fmt.Sprintf("%d processors, %s/%s, %s, crypto module %s, FIPS mode %s; load average at the start: %s",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), fips140.Version(), fips, strings.TrimSpace(string(load)))
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// build builds the server as this program was built: the environment decides about the cryptographic module (GOFIPS140).
func (b *bench) build(ctx context.Context) error {
	if b.trent != "" {
		path, err := filepath.Abs(b.trent)
		b.trent = path
		return err
	}
	b.trent = filepath.Join(b.dir, "trent")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.trent, "github.com/trentkms/trent/cmd/trent")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build trent (run this inside the source tree, or give -trent): %w", err)
	}
	return nil
}

// progress tells on standard error what is being measured.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(b.began).Round(time.Second), fmt.Sprintf(format, args...))
}

// slice is the time that each of n servers gets in one round of a measurement.
func (b *bench) slice(n int) time.Duration {
	return max(b.duration/time.Duration(b.rounds*n), 100*time.Millisecond)
}

// connections are the numbers of connections to measure with.
func (b *bench) connections(otherwise ...int) ([]int, error) {
	if b.conns == "" {
		return otherwise, nil
	}
	var list []int
	for _, s := range strings.Split(b.conns, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 4096 {
			return nil, fmt.Errorf("-conns: %q is not a number of connections", s)
		}
		list = append(list, n)
	}
	return list, nil
}

// chosen tells whether an operation is to be measured.
func (b *bench) chosen(name string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(b.ops))
}

// fresh makes an empty directory for a server's data.
func (b *bench) fresh(name string) (string, error) { return os.MkdirTemp(b.dir, name+"-") }
