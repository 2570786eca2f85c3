package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that was started here, with its counters.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
	err    error         // how it ended; read after ended
	client *http.Client
	url    string // of the server
}

// startTimeout bounds the time until a server tells its address.
const startTimeout = 60 * time.Second

// start starts a program and waits until it has printed a line for which ready returns true.
func start(ctx context.Context, cmd *exec.Cmd, ready func(line string) bool) (*process, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	found := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for seen := false; lines.Scan(); {
			if !seen && ready(lines.Text()) {
				seen = true
				close(found)
			}
		}
		_, _ = io.Copy(io.Discard, out)
		p.err = cmd.Wait()
		close(p.ended)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-found:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended before it served: %w", cmd.Path, p.err)
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("%s did not serve within %v", cmd.Path, startTimeout)
	}
	return nil, errors.Join(err, p.stop())
}

// stopTimeout bounds the time that a server has to end by itself.
const stopTimeout = 30 * time.Second

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(stopTimeout):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return fmt.Errorf("%s did not end within %v and was killed", p.cmd.Path, stopTimeout)
}

// clockTick is the unit of processor times in /proc, 1/100 s on every Linux architecture that Go has (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpu is the processor time that the process has used so far, in user and kernel mode (proc(5), /proc/PID/stat).
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields behind it.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has fewer fields than expected")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// memory is the resident memory of a process in MiB. File is what it has mapped of files: copies of the page cache, which the
// kernel takes back when it needs the room.
type memory struct{ resident, anonymous, file float64 }

func (p *process) memory() (memory, error) { return memoryOf(p.cmd.Process.Pid) }

// memoryOf reads /proc/PID/status (proc(5)).
func memoryOf(pid int) (m memory, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	fields := map[string]*float64{"VmRSS": &m.resident, "RssAnon": &m.anonymous, "RssFile": &m.file}
	for line := range strings.Lines(string(b)) {
		name, v, _ := strings.Cut(line, ":")
		if to := fields[name]; to != nil {
			kib, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			if err != nil {
				return m, err
			}
			*to = kib / 1024
		}
	}
	if m.resident == 0 {
		return m, errors.New("/proc/PID/status has no VmRSS")
	}
	return m, nil
}

// metrics reads the process's own counters: all samples without labels.
func (p *process) metrics() (map[string]float64, error) {
	res, err := p.client.Get(p.url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	values := make(map[string]float64)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: %s", res.Status)
	}
	return values, lines.Err()
}

// usage is what a process used between two moments.
type usage struct {
	cpu     time.Duration
	mallocs float64 // objects allocated
	bytes   float64 // allocated
	metrics map[string]float64
}

// meter reads the counters; the function that it returns gives what was used since.
func (p *process) meter() (func() (*usage, error), error) {
	before, err := p.metrics()
	if err != nil {
		return nil, err
	}
	cpu, err := p.cpu()
	if err != nil {
		return nil, err
	}
	return func() (*usage, error) {
		now, err := p.cpu() // first, so that asking for the metrics does not count
		if err != nil {
			return nil, err
		}
		after, err := p.metrics()
		if err != nil {
			return nil, err
		}
		for name, v := range before {
			after[name] -= v
		}
		return &usage{now - cpu, after["go_memstats_mallocs_total"], after["go_memstats_alloc_bytes_total"], after}, nil
	}, nil
}
