//go:build chaos

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

// failpoint is what happens where the program passes a point. The chaos harness arms it through the node's chaos socket.
type failpoint struct {
	// Point is the name of the place, such as "store.before"; points has them all.
	Point string `json:"point"`
	// Do is kill (SIGKILL to the own process), stop (SIGSTOP), sleep (For), hold (until it is disarmed) or fail (the call
	// returns an error; ENOSPC or EIO as Errno says); where messages are sent also repeat (the message once more, at most For later).
	Do    string `json:"do"`
	For   string `json:"for,omitempty"`
	Errno string `json:"errno,omitempty"`
	// Skip lets that many passages through first; Times is how many are met then, all of them if 0.
	Skip  int `json:"skip,omitempty"`
	Times int `json:"times,omitempty"`
	// Chance is the probability that a passage is met, 1 if 0.
	Chance float64 `json:"chance,omitempty"`
}

// points are the places.
var points = map[string]string{
	"store.before":     "before log entries are written",
	"store.after":      "after log entries are on the disk, before anybody is told",
	"stable.before":    "before a term or vote is written",
	"stable.after":     "after a term or vote is on the disk",
	"truncate.before":  "before entries are taken from the log",
	"apply.before":     "before a batch of entries is applied",
	"apply.after":      "after it was published",
	"snapshot.persist": "before a snapshot is written",
	"snapshot.restore": "before a snapshot is taken over",
	"audit.sink":       "before the record of a change is written",
	"hsm":              "in every call of the HSM",
	"request":          "before a request is looked at",
	"answer":           "before an answer is written, when its effect has happened",
	"raft.send":        "where a message of Raft is sent; repeat only",
	"region.request":   "where a request to another region is sent; repeat only",
}

type armedPoint struct {
	failpoint
	wait   time.Duration
	seen   int
	lifted chan struct{}
}

// failpoints are those of a process. It is safe for concurrent use.
type failpoints struct {
	mu    sync.Mutex
	armed []*armedPoint
	hits  map[string]int // passages that were met, by point and deed
}

func (f *failpoints) arm(p failpoint) error {
	a := &armedPoint{failpoint: p, lifted: make(chan struct{})}
	if points[p.Point] == "" {
		return fmt.Errorf("there is no failpoint %q", p.Point)
	}
	switch p.Do {
	case "kill", "stop", "hold", "fail":
	case "sleep", "repeat":
		var err error
		if a.wait, err = time.ParseDuration(p.For); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a failpoint cannot %q", p.Do)
	}
	if sends := p.Point == "raft.send" || p.Point == "region.request"; sends != (p.Do == "repeat") {
		return fmt.Errorf("at %s a failpoint cannot %q", p.Point, p.Do)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, a)
	return nil
}

// disarm ends all failpoints, or those of one point, and lets go who is held.
func (f *failpoints) disarm(point string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []*armedPoint
	for _, a := range f.armed {
		if point != "" && a.Point != point {
			left = append(left, a)
			continue
		}
		close(a.lifted)
	}
	f.armed = left
}

// met counts a passage and returns what it meets, nil if nothing.
func (f *failpoints) met(point string) *armedPoint {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.armed {
		if a.Point != point {
			continue
		}
		a.seen++
		if n := a.seen - a.Skip; n <= 0 || a.Times > 0 && n > a.Times || a.Chance > 0 && rand.Float64() >= a.Chance {
			continue
		}
		if f.hits == nil {
			f.hits = make(map[string]int)
		}
		f.hits[point+" "+a.Do]++
		return a
	}
	return nil
}

func (f *failpoints) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(map[string]int, len(f.hits))
	for k, v := range f.hits {
		c[k] = v
	}
	return c
}

// repeat tells whether a message is sent once more, and how much later.
func (f *failpoints) repeat(point string) (late time.Duration, ok bool) {
	a := f.met(point)
	if a == nil {
		return 0, false
	}
	return rand.N(a.wait + 1), true
}

var errInjected = errors.New("injected fault")

// pass is called where the program passes a point.
func (f *failpoints) pass(ctx context.Context, point string) error {
	a := f.met(point)
	if a == nil {
		return nil
	}
	switch a.Do {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "sleep":
		t := time.NewTimer(a.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.lifted:
		case <-ctx.Done():
			return ctx.Err()
		}
	case "hold":
		select {
		case <-a.lifted:
		case <-ctx.Done():
			return ctx.Err()
		}
	case "fail":
		switch a.Errno {
		case "ENOSPC":
			return fmt.Errorf("%w: %w", errInjected, syscall.ENOSPC)
		case "EIO":
			return fmt.Errorf("%w: %w", errInjected, syscall.EIO)
		}
		return errInjected
	}
	return nil
}
