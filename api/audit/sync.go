package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// point is a place in a segment.
type point struct {
	seg *segment
	at  place
}

// syncNow makes everything written so far durable and returns where that ends.
func (l *Log) syncNow() (point, error) {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.w.Lock()
	p, err := point{l.seg, l.flushed}, l.failure()
	start := l.cfg.Now()
	l.w.Unlock()
	if err != nil || p.seg == nil || !l.st.behind(p.at.seq) {
		return p, err
	}
	// The segment may be finished meanwhile (it is synced then, and closed only under syncMu), or written further.
	if err := p.seg.f.sync(); err != nil {
		return p, l.die(fmt.Errorf("syncing %s: %w", p.seg.name, err))
	}
	l.st.synced(p.at.seq, start)
	return p, nil
}

// Sync makes every record durable whose Append or AppendCommitted has returned. It has to be called before a snapshot of
// the state machine, since that lets go of the log entries from which committed records could be written again. When ctx
// ends first, the sync goes on without the caller.
func (l *Log) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := l.syncNow()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("audit: waiting for the sync: %w", ctx.Err())
	}
}

// syncTask syncs at every interval, in always mode for the sake of committed records.
func (l *Log) syncTask(ctx context.Context) {
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := l.syncNow(); err != nil {
			return // die has told the owner
		}
	}
}

// keeperEvery is the time between looks at the volume and the open segment.
const keeperEvery = time.Second

// keeperTask keeps the next segment reserved and watches space, age and the open file.
func (l *Log) keeperTask(ctx context.Context) {
	tick := time.NewTicker(keeperEvery)
	defer tick.Stop()
	checkpointed := time.Now()
	var last uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.inspect()
		l.provide()
		l.measure()
		l.rotateOld()
		l.begin()
		if time.Since(checkpointed) >= l.cfg.CheckpointEvery {
			checkpointed = time.Now()
			last = l.checkpoint(last)
		}
	}
}

// measure notes the free space of the volume.
func (l *Log) measure() {
	available, total, err := l.fs.free()
	if err != nil {
		l.warn("asking for the free space of the audit volume", err)
		return
	}
	l.st.measured(available, total)
}

// inspect finds out whether the open segment is still the file under its name. If not, the records so far may be gone
// (only the head tells of them); the following ones go to a new segment.
func (l *Log) inspect() {
	l.w.Lock()
	seg, size := l.seg, l.flushed.off
	lost := seg == nil || seg.lost
	l.w.Unlock()
	if lost {
		return
	}
	held, err := seg.f.id()
	if err != nil {
		return // closed meanwhile
	}
	named, err := l.fs.stat(seg.name)
	what := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what = "was deleted"
	case err != nil:
		l.warn("looking at the open audit segment", err, "segment", seg.name)
	case named.dev != held.dev || named.ino != held.ino:
		what = "was replaced by another file"
	case held.size < size:
		what = fmt.Sprintf("was cut from %d to %d bytes", size, held.size)
	}
	if what == "" {
		return
	}
	l.w.Lock()
	defer l.w.Unlock()
	if l.seg != seg || l.failure() != nil || l.isClosed() {
		return
	}
	seg.lost = true
	l.st.lose(fmt.Sprintf("the open segment %s %s at %s by somebody else; verify the log and look for its records on the other nodes",
		seg.name, what, l.cfg.Now().UTC().Format(time.RFC3339)))
	l.cfg.Logger.Error("the open audit segment was tampered with; going on in a new one", "segment", seg.name, "what", what)
	if err := l.nextSegment(); err != nil {
		l.warn("leaving the lost audit segment", err, "segment", seg.name)
	}
}

// rotateOld closes a segment that has reached its age.
func (l *Log) rotateOld() {
	l.w.Lock()
	defer l.w.Unlock()
	if l.seg == nil || l.at.records == 0 || l.isClosed() || l.failure() != nil || l.cfg.Now().Sub(l.seg.since) < l.cfg.SegmentAge {
		return
	}
	// Without space the old segment goes on; Status tells.
	if err := l.nextSegment(); err != nil && !errors.Is(err, ErrNoSpace) {
		l.cfg.Logger.Error("closing an audit segment by age failed", "error", err)
	}
}

// begin opens a segment if there was no space for one so far.
func (l *Log) begin() {
	l.w.Lock()
	defer l.w.Unlock()
	if l.seg == nil && !l.isClosed() {
		// ErrNoSpace shows in Status, anything else has told the owner.
		_ = l.nextSegment()
	}
}

// checkpoint queues a head of the open segment if it has records after last, and returns up to where it reaches. What
// it states is synced before, else a power cut would make it a false alarm.
func (l *Log) checkpoint(last uint64) uint64 {
	p, err := l.syncNow()
	if err != nil || p.seg == nil || p.at.records == 0 || p.at.seq == last {
		return last
	}
	l.heads.check(p.at.head(l.cfg.NodeID, l.cfg.LogID, p.seg.number, p.seg.name, true))
	return p.at.seq
}

// Rotate closes the open segment and waits until its head is signed and announced, or ctx ends; the segment is closed
// in both cases. It returns that head, the zero Head if the segment had no records, ErrNoSpace (and leaves the segment
// open) if the next one cannot be reserved.
func (l *Log) Rotate(ctx context.Context) (Head, error) {
	l.w.Lock()
	if l.isClosed() {
		l.w.Unlock()
		return Head{}, ErrClosed
	}
	if l.seg == nil || l.at.records == 0 {
		l.w.Unlock()
		return Head{}, l.failure()
	}
	item, err := l.rotate()
	l.w.Unlock()
	if err != nil {
		return Head{}, err
	}
	select {
	case <-item.done:
		return item.head, nil
	case <-ctx.Done():
		return Head{}, fmt.Errorf("audit: the segment is closed, its head is not yet signed and announced: %w", ctx.Err())
	}
}
