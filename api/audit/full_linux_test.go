package audit

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
)

// A real small volume.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skipf("NOT TESTED on a real full volume: mounting a tmpfs failed (%v); it needs root and CAP_SYS_ADMIN", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	r := newRig(t, func(c *Config) { c.Dir = dir })
	r.dir = dir
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		err = r.log.Append(context.Background(), numbered(n))
	}
	if !errors.Is(err, ErrNoSpace) || n < 100 {
		t.Fatalf("record %d: %v", n, err)
	}
	index := uint64(0)
	for err = nil; err == nil; {
		index++
		err = r.log.AppendCommitted(index, numbered(int(index)))
	}
	if !errors.Is(err, ErrReserveExhausted) || index < 10 {
		t.Fatalf("index %d: %v", index, err)
	}
	for _, err := range r.fatal {
		t.Errorf("fatal: %v", err)
	}
	// What was written is whole, on a volume without a free byte and after a crash on it.
	eventually(t, "heads are signed as far as they fit", func() bool { return len(r.heads.all()) >= 2 })
	r.crash()
	r.open()
	if got := r.log.LastIndex(); got != index-1 {
		t.Errorf("LastIndex = %d, want %d", got, index-1)
	}
	// The operator archives a closed segment.
	if err := os.Remove(r.segments()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "records are taken again", func() bool { return r.log.Append(context.Background(), numbered(n)) == nil })
	r.commit(index, numbered(int(index)))
	r.close()
	rep := r.verifyWith(VerifyOptions{Heads: r.heads.all(), VerifyHead: r.signer.verify, PrunedThrough: 1})
	if !rep.OK() || rep.LastIndex != index {
		t.Errorf("report %+v", rep)
	}
}
