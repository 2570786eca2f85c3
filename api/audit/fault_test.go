package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Every write of the log fails once, without and with its effect. The log must report its end, refuse from then on, and
// after a restart be sound with every record that was acknowledged.
func TestFaultsAreFatalAndLeaveASoundLog(t *testing.T) {
	for _, op := range []string{"write", "sync", "rename", "syncdir"} {
		for _, after := range []bool{false, true} {
			for _, mode := range []FsyncMode{FsyncInterval, FsyncAlways} {
				for _, nth := range []int{0, 2} {
					t.Run(fmt.Sprintf("%s/done=%v/%s/%d", op, after, mode, nth), func(t *testing.T) {
						testFault(t, op, after, mode, nth)
					})
				}
			}
		}
	}
}

func testFault(t *testing.T, op string, after bool, mode FsyncMode, nth int) {
	r, ffs := faultRig(t, func(c *Config) { c.Fsync, c.SegmentSize, c.Reserve, c.Signer, c.OnHead = mode, 16<<10, 8<<10, nil, nil })
	var left atomic.Int64
	left.Store(int64(nth))
	ffs.set(func(o, name string, a bool) error {
		// Only what concerns records: heads and spares are written by tasks that may fail and try again.
		if o != op || a != after || op != "syncdir" && !strings.HasSuffix(name, segmentSuffix) && name != spareName {
			return nil
		}
		if left.Add(-1) >= 0 {
			return nil
		}
		return errDisk
	})
	var acknowledged []string
	var failed error
	for i := 0; i < 200 && failed == nil; i++ {
		if i%3 == 0 {
			failed = r.log.AppendCommitted(uint64(i+1), numbered(i))
		} else {
			failed = r.log.Append(context.Background(), numbered(i))
		}
		if failed == nil {
			acknowledged = append(acknowledged, fmt.Sprintf(`"event-%06d"`, i))
		}
	}
	if failed == nil {
		t.Fatal("nothing failed")
	}
	if op == "syncdir" && errors.Is(failed, ErrNoSpace) {
		// A spare that may not survive a power cut counts as not reserved: a refusal, not the end.
		r.crash()
	} else {
		if !errors.Is(failed, ErrFailed) || !errors.Is(failed, syscall.EIO) {
			t.Fatalf("error %v", failed)
		}
		eventually(t, "Fatal is called", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.fatal) == 1 })
		if err := r.log.Append(context.Background(), numbered(999)); !errors.Is(err, ErrFailed) {
			t.Errorf("Append after the end: %v", err)
		}
		if err := r.log.AppendCommitted(9999, numbered(999)); !errors.Is(err, ErrFailed) {
			t.Errorf("AppendCommitted after the end: %v", err)
		}
		if st := r.log.Status(); st.Level != Red {
			t.Errorf("status %v", st)
		}
		r.crash()
	}
	ffs.set(nil)
	r.open()
	last := r.log.LastIndex()
	for i := 0; i < 200; i += 3 { // replay
		r.commit(uint64(i+1), numbered(i))
	}
	r.close()
	text := strings.Join(r.lines(), "\n")
	for _, id := range acknowledged {
		if n := strings.Count(text, id); n != 1 {
			t.Errorf("the acknowledged %s is there %d times (last index after the restart: %d)", id, n, last)
		}
	}
	for _, f := range r.verifyWith(VerifyOptions{}).Findings {
		t.Errorf("finding: %s", f)
	}
}

// A failed sync in the background ends the log as well.
func TestBackgroundSyncFailureIsFatal(t *testing.T) {
	r, ffs := faultRig(t, nil)
	ffs.set(func(op, name string, after bool) error {
		if op == "sync" {
			return errDisk
		}
		return nil
	})
	r.append(numbered(1))
	eventually(t, "Fatal is called", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.fatal) == 1 })
	if err := r.log.Sync(context.Background()); !errors.Is(err, ErrFailed) {
		t.Errorf("Sync: %v", err)
	}
}

// Power cuts: whatever of the unsynced bytes survives, the log is sound afterwards, holds what was acknowledged under
// fsync = always, and what the committed checkpoint states.
func TestPowerCut(t *testing.T) {
	for extra := int64(0); extra < 5000; extra += 211 {
		r, ffs := faultRig(t, func(c *Config) { c.Fsync, c.Interval = FsyncAlways, time.Hour })
		for i := range 20 {
			r.append(numbered(i))
		}
		r.log.checkpoint(0)
		eventually(t, "the checkpoint is announced", func() bool {
			for _, h := range r.heads.all() {
				if h.LastSeq == 20 {
					return true
				}
			}
			return false
		})
		for i := uint64(1); i < 5; i++ {
			r.commit(i, numbered(100+int(i)), numbered(200+int(i)))
		}
		r.crash()
		ffs.powerCut(t, r.dir, extra)
		r.open()
		for i := uint64(1); i < 5; i++ {
			r.commit(i, numbered(100+int(i)), numbered(200+int(i)))
		}
		r.close()
		r.sound(28)
	}
}

// In interval mode a power cut takes what was not yet synced, but never from the middle: a finished segment and
// everything that a head or a checkpoint states are on the disk.
func TestPowerCutBetweenSyncs(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.Interval, c.SegmentSize = time.Hour, 8<<10 })
	for i := range 20 {
		r.append(numbered(i))
	}
	if n := len(r.segments()); n < 2 {
		t.Fatalf("%d segments", n)
	}
	stated := r.log.checkpoint(0)
	eventually(t, "the heads are announced", func() bool {
		var last uint64
		for _, h := range r.heads.all() {
			last = max(last, h.LastSeq)
		}
		return last == stated && len(r.heads.all()) == len(r.segments())
	})
	r.append(numbered(100))
	r.crash()
	ffs.powerCut(t, r.dir, 0)
	r.open()
	if st := r.log.Status(); st.Level != Green || st.LastSeq < stated || stated != 20 {
		t.Errorf("status %+v, stated %d", st, stated)
	}
	r.append(numbered(200))
	r.close()
	rep := r.verify()
	for _, f := range rep.Findings {
		t.Errorf("finding: %s", f)
	}
	if rep.Records < stated+1 {
		t.Errorf("%d records, %d were stated", rep.Records, stated)
	}
}

// A sync that began before a record was written must not count for it.
func TestSyncCoversOnlyWhatWasWritten(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.Interval = time.Hour })
	r.append(numbered(1))
	inSync, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ffs.set(func(op, name string, after bool) error {
		if op == "sync" && after {
			once.Do(func() { close(inSync); <-goOn })
		}
		return nil
	})
	done := make(chan error)
	go func() { done <- r.log.Sync(context.Background()) }()
	<-inSync
	r.append(numbered(2))
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := r.log.Status(); st.SyncLag <= 0 {
		t.Errorf("everything counts as synced: %+v", st)
	}
	if err := r.log.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if st := r.log.Status(); st.SyncLag != 0 || st.Syncs != 2 {
		t.Errorf("after the second sync: %+v", st)
	}
}

// Filesystems without fallocate: a full volume is refused, undone, and mended without a restart.
func TestWithoutReservation(t *testing.T) {
	var full atomic.Bool
	r, ffs := faultRig(t, nil)
	r.close()
	os.Remove(filepath.Join(r.dir, spareName))
	ffs.set(func(op, name string, after bool) error {
		switch {
		case op == "reserve" && !after:
			return errNoReserve
		case op == "write" && !after && full.Load() && strings.HasSuffix(name, segmentSuffix) || op == "write" && full.Load() && name == spareName:
			return syscall.ENOSPC
		}
		return nil
	})
	r.open()
	r.append(numbered(1))
	if st := r.log.Status(); st.Reserves || st.Level != Amber {
		t.Errorf("status %+v", st)
	}
	full.Store(true)
	if err := r.log.Append(context.Background(), numbered(2)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Append on a full volume: %v", err)
	}
	if err := r.log.AppendCommitted(1, numbered(3)); !errors.Is(err, ErrReserveExhausted) {
		t.Errorf("AppendCommitted on a full volume: %v", err)
	}
	full.Store(false)
	r.append(numbered(4))
	r.commit(1, numbered(3))
	r.close()
	r.sound(3)
}

// When a batch goes over two segments and only the second write fails, only its records are refused.
func TestBatchFailsInPart(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.SegmentSize = 8 << 10 })
	writes := 0
	r.log.w.Lock()
	r.log.seg.soft = true
	ffs.set(func(op, name string, after bool) error {
		if op == "write" && !after && (strings.HasSuffix(name, segmentSuffix) || name == spareName) {
			if writes++; writes == 2 {
				return syscall.ENOSPC
			}
		}
		if op == "reserve" && !after {
			return errNoReserve
		}
		return nil
	})
	r.log.space.mu.Lock()
	r.log.space.spare.soft = true
	r.log.space.mu.Unlock()
	b := &batch{done: make(chan struct{})}
	for i := range 8 {
		rec := numbered(i)
		b.buf, b.sizes, b.groups = append(b.buf, rec...), append(b.sizes, len(rec)), append(b.groups, group{records: 1})
	}
	r.log.writeBatch(b)
	r.log.w.Unlock()
	ffs.set(nil)
	r.append(numbered(99))
	r.close()
	var failed []int
	for i := range 8 {
		if b.failed[i] != nil {
			failed = append(failed, i)
			if !errors.Is(b.failed[i], ErrNoSpace) {
				t.Errorf("record %d: %v", i, b.failed[i])
			}
		}
	}
	lines := r.lines()
	if len(failed) == 0 || len(failed) == 8 || len(lines) != 9-len(failed) {
		t.Errorf("refused %v, written %d", failed, len(lines))
	}
	for i, line := range lines[:len(lines)-1] {
		if eventNumber(line) != i {
			t.Errorf("line %d is event %d", i+1, eventNumber(line))
		}
	}
	r.sound(len(lines))
}

// A segment that a crash left open and whose space cannot be reserved again takes nothing more.
func TestReopenedSegmentNeedsItsReservation(t *testing.T) {
	r, ffs := faultRig(t, nil)
	r.commit(1, numbered(1))
	r.crash()
	ffs.set(func(op, name string, after bool) error {
		if op == "reserve" && !after {
			return syscall.ENOSPC
		}
		return nil
	})
	r.open()
	if err := r.log.Append(context.Background(), numbered(2)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Append: %v", err)
	}
	if err := r.log.AppendCommitted(2, numbered(2)); !errors.Is(err, ErrReserveExhausted) {
		t.Errorf("AppendCommitted: %v", err)
	}
	if err := r.log.AppendCommitted(1, numbered(1)); err != nil {
		t.Errorf("a replay needs no space: %v", err)
	}
	ffs.set(nil)
	eventually(t, "space is back", func() bool { return r.log.AppendCommitted(2, numbered(2)) == nil })
	r.close()
	r.sound(2)
}
