package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// need is the space in bytes that a group takes at most.
func need(recs [][]byte) int64 {
	n := int64(len(recs) * trailerMax)
	for _, rec := range recs {
		n += int64(len(rec))
	}
	return n
}

// fits tells whether n bytes have room in the open segment. l.w is held, here and below.
func (l *Log) fits(n int64, reserve bool) bool {
	if l.seg == nil {
		return false
	}
	if reserve {
		return l.at.off+n <= l.seg.hard
	}
	return l.at.off+n <= l.seg.limit
}

// write writes one group; index is 0 unless it is committed.
func (l *Log) write(recs [][]byte, index uint64) error {
	n := need(recs)
	if !l.fits(n, false) {
		if err := l.makeRoom(n, index > 0); err != nil {
			return err
		}
	}
	l.encode(recs, index)
	err := l.flush()
	if index > 0 && errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrReserveExhausted, err)
	}
	return err
}

// makeRoom sees to it that n bytes fit, in a new segment or, for committed records only, in the reserve of the old one.
// Nothing encoded is pending when it is called.
func (l *Log) makeRoom(n int64, committed bool) error {
	if n > l.cfg.SegmentSize {
		return fmt.Errorf("%w: %d bytes in one group, a segment holds %d", ErrTooLarge, n, l.cfg.SegmentSize)
	}
	err := l.nextSegment()
	if err == nil || !errors.Is(err, ErrNoSpace) || !committed {
		return err
	}
	if l.fits(n, true) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrReserveExhausted, err)
}

// encode appends the lines of a group that fits to l.out.
func (l *Log) encode(recs [][]byte, index uint64) {
	t := trailer{node: []byte(l.cfg.NodeID), index: index, log: []byte(l.cfg.LogID)}
	for i, rec := range recs {
		t.seq, t.more, t.first = l.at.seq+1, i < len(recs)-1, l.at.records == 0
		before := len(l.out)
		l.out, t.chain = l.hash.appendLine(l.out, rec, t, l.at.chain)
		l.at.add(len(l.out)-before, &t, l.cfg.LogID, eventTimeOf(rec))
	}
}

// flush writes l.out to the segment. On an error nothing of it counts: on reserved space that is the log's end, because
// the bytes may be there or not; where the filesystem could not reserve, a full volume is undone and refused.
func (l *Log) flush() error {
	if err := l.failure(); err != nil {
		return err
	}
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.seg.f.WriteAt(l.out, l.flushed.off)
	size := len(l.out)
	l.resetOut()
	if err == nil {
		if l.flushed.records == 0 {
			l.seg.since = l.cfg.Now()
		}
		l.st.wrote(l, size)
		l.flushed = l.at
		return nil
	}
	l.at = l.flushed
	if !l.seg.soft || !isNoSpace(err) {
		return l.die(fmt.Errorf("writing %s: %w", l.seg.name, err))
	}
	if truncErr := l.seg.f.truncate(l.flushed.off); truncErr != nil {
		return l.die(fmt.Errorf("undoing a write to %s: %w", l.seg.name, truncErr))
	}
	return fmt.Errorf("%w: %w", ErrNoSpace, err)
}

// resetOut empties l.out, and drops its memory if a burst made it large.
func (l *Log) resetOut() {
	const keep = 4 << 20
	if l.out = l.out[:0]; cap(l.out) > keep {
		l.out = nil
	}
}

// nextSegment makes the reserved spare the open segment and finishes the old one. ErrNoSpace leaves all as it was.
func (l *Log) nextSegment() error {
	_, err := l.rotate()
	return err
}

// rotate is nextSegment that returns the old segment's head to be, nil if there was no old segment.
func (l *Log) rotate() (*headItem, error) {
	if err := l.failure(); err != nil {
		return nil, err
	}
	spare, err := l.takeSpare()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if l.seg != nil {
		// The old segment first: if the new one could reach the disk before it, a power cut would leave a hole that looks
		// like tampering.
		if err := l.seg.f.sync(); err != nil {
			return nil, l.die(errors.Join(fmt.Errorf("syncing %s: %w", l.seg.name, err), spare.f.close()))
		}
		l.st.synced(l.flushed.seq, time.Time{})
	}
	number, name, err := l.freeName()
	if err == nil {
		err = l.fs.rename(spareName, name)
	}
	if isNoSpace(err) {
		l.space.putBack(spare)
		return nil, fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if err == nil {
		err = l.fs.syncDir()
	}
	if err != nil {
		return nil, l.die(errors.Join(fmt.Errorf("beginning a segment: %w", err), spare.f.close()))
	}
	var item *headItem
	if l.seg != nil {
		item = l.finish()
	}
	l.at = l.at.next()
	l.flushed = l.at
	l.use(number, name, spare)
	return item, nil
}

// use makes a reserved file the open segment.
func (l *Log) use(number uint64, name string, r reservation) {
	l.number = number
	l.seg = &segment{
		number: number, name: name, f: r.f, soft: r.soft, since: l.cfg.Now(),
		limit: l.cfg.SegmentSize, hard: l.cfg.SegmentSize + l.cfg.Reserve,
	}
	l.st.opened(l.seg, l.at.off)
}

// freeName returns the number and name of the next segment. A name that somebody else took is passed over: renaming
// onto it would destroy what it holds.
func (l *Log) freeName() (uint64, string, error) {
	for number := l.number + 1; ; number++ {
		name := segmentName(number, l.cfg.Now())
		_, err := l.fs.stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return number, name, nil
		}
		if err != nil {
			return 0, "", err
		}
	}
}

// finish hands the open segment over to be cut to its size, closed and given its head.
func (l *Log) finish() *headItem {
	seg, at := l.seg, l.flushed
	item := &headItem{segment: seg.number, done: make(chan struct{})}
	if at.records > 0 {
		item.head = at.head(l.cfg.NodeID, l.cfg.LogID, seg.number, seg.name, false)
	}
	l.settling.Go(func() { l.settle(seg, at.off, item) })
	return item
}

// settle gives the unused reserve of a finished segment back, closes it and queues its head. Failures here lose no
// record and are retried with the head, or at the next Open.
func (l *Log) settle(seg *segment, size int64, item *headItem) {
	l.syncMu.Lock()
	err := errors.Join(seg.f.truncate(size), seg.f.close())
	l.syncMu.Unlock()
	if err != nil {
		l.warn("closing a finished audit segment", err, "segment", seg.name)
	}
	if item.head.Records == 0 {
		close(item.done)
		return
	}
	l.heads.push(item)
}

// warn logs a failure that loses no record and keeps it for Status.
func (l *Log) warn(doing string, err error, args ...any) {
	l.cfg.Logger.Warn(doing+" failed", append(args, "error", err)...)
	l.st.failed(fmt.Errorf("%s: %w", doing, err), l.cfg.Now())
}
