package audit

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestSpaceOfFinishedSegmentIsGivenBack(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize, c.Reserve = 1<<20, 1<<20 })
	r.append(numbered(1))
	var st syscall.Stat_t
	path := r.segments()[0]
	if err := syscall.Stat(path, &st); err != nil || st.Blocks*512 < 2<<20 || st.Size > 4096 {
		t.Skipf("the temporary directory's filesystem does not reserve (%d blocks, %v)", st.Blocks, err)
	}
	r.rotate()
	if err := syscall.Stat(path, &st); err != nil || st.Blocks*512 > 64<<10 {
		t.Errorf("after closing: %d blocks, %v", st.Blocks, err)
	}
}

// The volume fills up: red long before, then refusals, committed records longer, then not even those; mended by space.
func TestFullVolume(t *testing.T) {
	var full atomic.Bool
	r, ffs := faultRig(t, func(c *Config) { c.SegmentSize, c.Reserve = 16<<10, 8<<10 })
	ffs.set(func(op, name string, after bool) error {
		if op == "reserve" && full.Load() && !after {
			return syscall.ENOSPC
		}
		return nil
	})
	full.Store(true)
	r.append(numbered(0))
	r.rotate() // takes the spare
	eventually(t, "red", func() bool { return r.log.Status().Level == Red })
	st := r.log.Status()
	if st.Refusing || st.SpareReady || st.SegmentLeft == 0 || !strings.Contains(st.Reasons[0], "next segment cannot be reserved") {
		t.Errorf("status before refusing: %+v", st)
	}
	n, err := 1, error(nil)
	for ; err == nil && n < 1000; n++ {
		err = r.log.Append(context.Background(), numbered(n))
	}
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) || n < 5 {
		t.Fatalf("record %d: %v", n, err)
	}
	st = r.log.Status()
	if !st.Refusing || st.Level != Red || st.CommittedLeft < 8<<10 || st.Refused != 1 {
		t.Errorf("status while refusing: %+v", st)
	}
	index := uint64(1)
	for err = nil; err == nil; index++ {
		err = r.log.AppendCommitted(index, numbered(int(1000+index)))
	}
	if !errors.Is(err, ErrReserveExhausted) || index < 4 {
		t.Fatalf("index %d: %v", index, err)
	}
	r.crash()
	r.open() // on the full volume
	if err := r.log.Append(context.Background(), numbered(n)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("after a restart: %v", err)
	}
	full.Store(false)
	eventually(t, "the same call succeeds", func() bool { return r.log.AppendCommitted(index-1, numbered(int(1000+index-1))) == nil })
	r.append(numbered(n))
	eventually(t, "green", func() bool { return r.log.Status().Level == Green })
	r.close()
	r.sound(n + int(index) - 1)
}

func TestKeepFreeAndLowWater(t *testing.T) {
	r, ffs := faultRig(t, func(c *Config) { c.KeepFree, c.MinFreeAmber, c.MinFreeRed = 1<<20, 4<<20, 2<<20 })
	at := func(room int64) Status {
		ffs.mu.Lock()
		ffs.room = room
		ffs.mu.Unlock()
		r.log.measure()
		return r.log.Status()
	}
	for _, c := range []struct {
		room int64
		want Level
	}{{5 << 20, Green}, {3 << 20, Amber}, {1<<20 + 9, Red}} {
		if st := at(c.room); st.Level != c.want || st.Free != c.room {
			t.Errorf("with %d bytes: %+v", c.room, st)
		}
	}
	r.append(numbered(1))
	r.rotate() // takes the spare; the next one would cut into KeepFree
	r.append(numbered(2))
	if _, err := r.log.Rotate(context.Background()); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Rotate: %v", err)
	}
}
