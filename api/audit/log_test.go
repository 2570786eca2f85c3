package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLogKeepsRecordsInOrderOverSegments(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize, c.Reserve = 8<<10, 8<<10 })
	var want []string
	for i := range 50 {
		rec := numbered(i)
		if i%5 == 0 {
			r.commit(uint64(i+1), rec)
		} else {
			r.append(rec)
		}
		want = append(want, string(rec[:len(rec)-1])+`,"trent":{"node":"node-1","seq":`+fmt.Sprint(i+1))
	}
	if got := r.log.LastIndex(); got != 46 {
		t.Errorf("LastIndex = %d", got)
	}
	r.close()
	lines := r.lines()
	if len(lines) != len(want) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d is %s", i+1, line)
		}
	}
	if n := len(r.segments()); n < 5 {
		t.Errorf("only %d segments", n)
	}
	rep := r.sound(50)
	if rep.SealedSeq != 50 || rep.LastIndex != 46 || rep.Segments != len(r.segments()) || rep.SignaturesChecked < rep.Segments {
		t.Errorf("report %+v", rep)
	}
	for _, path := range r.segments() {
		if info, err := os.Stat(path); err != nil || info.Size() > 8<<10 {
			t.Errorf("%s: %v bytes, %v", path, info.Size(), err)
		}
	}
}

func TestReopenContinues(t *testing.T) {
	for _, how := range []string{"close", "crash"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, realFS)
			for round := range 4 {
				r.append(numbered(round))
				r.commit(uint64(10+round), numbered(100+round))
				if how == "close" {
					r.close()
				} else {
					r.crash()
				}
				r.open()
				if got := r.log.LastIndex(); got != uint64(10+round) {
					t.Errorf("LastIndex after restart = %d", got)
				}
			}
			r.close()
			r.sound(8)
		})
	}
}

func TestReplayWritesNothingTwice(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize = 8 << 10 })
	for i := uint64(1); i <= 30; i++ {
		r.commit(2*i, numbered(int(i)))
		r.append(numbered(1000 + int(i)))
	}
	r.crash()
	r.open()
	for i := uint64(1); i <= 32; i++ {
		r.commit(2*i, numbered(int(i)))
	}
	r.close()
	r.sound(62)
}

// Indexes of another Raft log are no replays.
func TestNewRaftLogCountsAnew(t *testing.T) {
	for _, closed := range []bool{false, true} {
		r := newRig(t, nil)
		r.commit(100, numbered(1))
		if closed {
			r.close()
		} else {
			r.crash()
		}
		r.cfg.LogID = "log-2"
		r.open()
		if got := r.log.LastIndex(); got != 0 {
			t.Errorf("closed %v: LastIndex of a new Raft log = %d", closed, got)
		}
		r.commit(5, numbered(2))
		r.close()
		r.open()
		if got := r.log.LastIndex(); got != 5 {
			t.Errorf("closed %v: LastIndex = %d", closed, got)
		}
		r.close()
		r.sound(2)
	}
}

func TestCommittedGroupAndMalformed(t *testing.T) {
	r := newRig(t, nil)
	r.commit(1, numbered(1), []byte("not\nJSON"), numbered(2))
	r.commit(2)
	if err := r.log.AppendCommitted(0, numbered(3)); err == nil {
		t.Error("index 0 was taken")
	}
	if err := r.log.AppendCommitted(3, numbered(1), bytes.Repeat([]byte("x"), 70<<10)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a group larger than a segment: %v", err)
	}
	if err := r.log.Append(context.Background(), []byte("not JSON")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a malformed record: %v", err)
	}
	r.close()
	lines := r.lines()
	if len(lines) != 3 || !strings.Contains(lines[1], `"unreadableRecord":"not\nJSON"`) {
		t.Errorf("lines %q", lines)
	}
	for i, more := range []bool{true, true, false} {
		if strings.Contains(lines[i], `"index":1,"log":"log-1","more":true`) != more || !strings.Contains(lines[i], `"index":1`) {
			t.Errorf("line %d: %s", i+1, lines[i])
		}
	}
	r.sound(3)
}

func TestConcurrentAppend(t *testing.T) {
	for _, mode := range []FsyncMode{FsyncInterval, FsyncAlways} {
		t.Run(string(mode), func(t *testing.T) {
			r, ffs := faultRig(t, func(c *Config) { c.Fsync = mode })
			const callers, n = 64, 1920
			var index uint64
			var mu sync.Mutex
			each(callers, n, func(i int) {
				var err error
				switch {
				case i%16 == 0:
					mu.Lock()
					index++
					err = r.log.AppendCommitted(index, numbered(i))
					mu.Unlock()
				case i%16 == 1:
					err = r.log.Append(context.Background(), numbered(i), numbered(n+i))
				default:
					err = r.log.Append(context.Background(), numbered(i))
				}
				if err != nil {
					t.Error(err)
				}
				if i%500 == 0 {
					r.log.Status()
				}
			})
			total := n + n/16
			if mode == FsyncAlways {
				// Everything but committed records has to survive a power cut at this moment.
				r.crash()
				ffs.powerCut(t, r.dir, 0)
				r.open()
				for i := uint64(1); i <= index; i++ {
					r.commit(i, numbered(int(i)))
				}
			}
			st := r.log.Status()
			r.close()
			rep := r.sound(total)
			if rep.SealedSeq != uint64(total) {
				t.Errorf("sealed up to %d of %d", rep.SealedSeq, total)
			}
			seen := make(map[string]bool)
			lines := r.lines()
			for i, line := range lines {
				seen[line[strings.Index(line, `"eventID":"`):][:24]] = true
				// The two records of one call stand next to each other.
				if id := eventNumber(line); id >= n && eventNumber(lines[i-1]) != id-n {
					t.Errorf("record %d follows %d", id, eventNumber(lines[i-1]))
				}
			}
			if mode == FsyncInterval && (len(seen) != total || st.Records != uint64(total)) {
				t.Errorf("%d different records, status %+v", len(seen), st)
			}
		})
	}
}

func eventNumber(line string) (n int) {
	fmt.Sscanf(line[strings.Index(line, `"event-`)+len(`"event-`):], "%06d", &n)
	return n
}

// Callers that wait while one writes are written together.
func TestGroupCommit(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.Fsync = FsyncAlways })
	inSync, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ffs.set(func(op, name string, after bool) error {
		if op == "sync" && !after && strings.HasSuffix(name, segmentSuffix) || name == spareName && op == "sync" {
			once.Do(func() { close(inSync); <-goOn })
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { r.append(numbered(0)) })
	<-inSync
	for i := range 20 {
		wg.Go(func() { r.append(numbered(i + 1)) })
	}
	// A committed record does not wait for the sync that is under way.
	r.commit(1, numbered(100))
	eventually(t, "all wait", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return r.log.queue != nil && len(r.log.queue.groups) == 20
	})
	close(goOn)
	wg.Wait()
	if st := r.log.Status(); st.Writes != 3 || st.Records != 22 {
		t.Errorf("%d writes for %d records", st.Writes, st.Records)
	}
}

func TestCancelledCaller(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.Fsync, c.Interval = FsyncAlways, time.Hour })
	inSync, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ffs.set(func(op, name string, after bool) error {
		if op == "sync" && !after {
			once.Do(func() { close(inSync); <-goOn })
		}
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var first, second error
	var wg sync.WaitGroup
	wg.Go(func() { first = r.log.Append(ctx, numbered(1)) })
	<-inSync
	var queued sync.WaitGroup
	queued.Go(func() { second = r.log.Append(ctx, numbered(2)) })
	eventually(t, "the second waits", func() bool { r.log.mu.Lock(); defer r.log.mu.Unlock(); return r.log.queue != nil })
	cancel()
	wg.Wait()
	queued.Wait()
	close(goOn)
	if !errors.Is(first, context.Canceled) || !strings.Contains(first.Error(), "unknown") {
		t.Errorf("first: %v", first)
	}
	if !errors.Is(second, context.Canceled) || !strings.Contains(second.Error(), "not written") {
		t.Errorf("second: %v", second)
	}
	r.append(numbered(3))
	r.close()
	if lines := r.lines(); len(lines) != 2 || eventNumber(lines[0]) != 1 || eventNumber(lines[1]) != 3 {
		t.Errorf("lines %q", lines)
	}
}

func TestSecondProcessAndWrongNode(t *testing.T) {
	r := newRig(t, nil)
	if _, err := Open(r.cfg); !errors.Is(err, errLocked) {
		t.Errorf("a second Open: %v", err)
	}
	r.append(numbered(1))
	r.crash()
	other := r.cfg
	other.NodeID = "node-2"
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "node-1") {
		t.Errorf("open segment of another node: %v", err)
	}
	r.open()
	r.close()
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "node-1") {
		t.Errorf("closed segment of another node: %v", err)
	}
	if err := r.log.Append(context.Background(), numbered(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	if err := r.log.AppendCommitted(2, numbered(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("AppendCommitted after Close: %v", err)
	}
	if _, err := r.log.Rotate(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Rotate after Close: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Dir: t.TempDir(), NodeID: "n"}
	for name, change := range map[string]func(*Config){
		"no directory":  func(c *Config) { c.Dir = "" },
		"no node":       func(c *Config) { c.NodeID = "" },
		"bad node":      func(c *Config) { c.NodeID = `a"b` },
		"bad log":       func(c *Config) { c.LogID = "a b" },
		"small segment": func(c *Config) { c.SegmentSize = 1 << 19 },
		"small reserve": func(c *Config) { c.Reserve = 1 },
		"fsync":         func(c *Config) { c.Fsync = "never" },
		"negative age":  func(c *Config) { c.SegmentAge = -1 },
	} {
		c := good
		change(&c)
		if _, err := Open(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOpenSegmentVanishes(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func(path string) error
	}{
		{"deleted", "was deleted", os.Remove},
		{"replaced", "was replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".x", []byte("x"), 0o600), os.Rename(path+".x", path))
		}},
		{"cut", "was cut", func(path string) error { return os.Truncate(path, 10) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.append(numbered(1))
			if err := c.do(r.segments()[0]); err != nil {
				t.Fatal(err)
			}
			r.log.inspect()
			st := r.log.Status()
			if st.Level != Red || len(st.Reasons) != 1 || !strings.Contains(st.Reasons[0], c.want) || st.Segment != 2 {
				t.Errorf("status %+v", st)
			}
			r.append(numbered(2))
			r.close()
			paths := r.segments()
			if lines := splitLines(t, paths[len(paths)-1]); len(lines) != 1 || eventNumber(lines[0]) != 2 {
				t.Errorf("the next segment holds %q", lines)
			}
			if rep := r.verify(); rep.OK() || rep.Findings[0].Segment != 1 {
				t.Errorf("verify: %+v", rep)
			}
		})
	}
}
