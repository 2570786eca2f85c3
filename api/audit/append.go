package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// maxQueued bounds the bytes that wait for the disk; callers beyond it get ErrBusy.
const maxQueued = 64 << 20

// batch gathers what callers bring while another one writes. Its fields are under Log.mu until a writer takes it, then
// the writer's; done closes when the outcome is known, after which only failed is read.
type batch struct {
	buf    []byte // records back to back
	sizes  []int  // of the records
	groups []group
	failed map[int]error // by group; nil if none failed
	done   chan struct{}
}

// group is what one call of Append brings: its records stand next to each other in the log, or not at all.
type group struct {
	records   int
	abandoned bool // the caller left before a writer took the batch
}

// Append writes the records of one read, cryptographic operation or refusal; several belong together, such as the two
// of a cross-account call. It returns nil once they are written (FsyncInterval) or on the disk (FsyncAlways), which has
// to be before the answer leaves. Any error means that the operation is to be refused: CheckRecord's errors, ErrNoSpace,
// ErrBusy, ErrClosed, ErrFailed, or ctx's. After an error of ctx the records may still be written; a record without an
// answer does no harm, an answer without a record does.
//
// Callers that come while another one writes are written together by one write. Without others a caller writes by
// itself, without any hand-over (FsyncInterval), and then a stalled disk holds it beyond ctx.
func (l *Log) Append(ctx context.Context, recs ...[]byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("audit: not written: %w", err)
	}
	size := 0
	for _, rec := range recs {
		if err := CheckRecord(rec); err != nil {
			return err
		}
		size += len(rec)
	}
	err := l.append(ctx, recs, size)
	if err != nil {
		l.st.refuse(err, l.cfg.Now())
	}
	return err
}

func (l *Log) append(ctx context.Context, recs [][]byte, size int) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	if l.cfg.Fsync == FsyncInterval && !l.draining && l.w.TryLock() {
		l.mu.Unlock()
		defer l.w.Unlock()
		return l.write(recs, 0)
	}
	if l.queue != nil && len(l.queue.buf)+size > maxQueued {
		l.mu.Unlock()
		return ErrBusy
	}
	b, i := l.enqueue(recs)
	l.mu.Unlock()
	select {
	case <-b.done:
		return b.failed[i]
	case <-ctx.Done():
		return l.abandon(ctx, b, i)
	}
}

// enqueue adds a group to the queue and sees to it that somebody writes it. l.mu is held.
func (l *Log) enqueue(recs [][]byte) (*batch, int) {
	if l.queue == nil {
		l.queue = &batch{done: make(chan struct{}), buf: l.spare[:0]}
		l.spare = nil
	}
	b := l.queue
	for _, rec := range recs {
		b.buf = append(b.buf, rec...)
		b.sizes = append(b.sizes, len(rec))
	}
	b.groups = append(b.groups, group{records: len(recs)})
	if !l.draining {
		l.draining = true
		l.drainers.Add(1)
		go l.drain()
	}
	return b, len(b.groups) - 1
}

// abandon takes a group out of the queue if no writer has it yet.
func (l *Log) abandon(ctx context.Context, b *batch, i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == b {
		b.groups[i].abandoned = true
		return fmt.Errorf("audit: not written: %w", ctx.Err())
	}
	return fmt.Errorf("audit: it is unknown whether the record was written: %w", ctx.Err())
}

// drain writes batch after batch until nobody waits. In always mode the sync happens without the writer's role, so that
// committed records need not wait for it; who comes meanwhile is in the next batch.
func (l *Log) drain() {
	defer l.drainers.Done()
	for {
		l.w.Lock()
		b := l.take()
		if b == nil {
			l.w.Unlock()
			return
		}
		l.writeBatch(b)
		l.w.Unlock()
		if l.cfg.Fsync == FsyncAlways {
			if _, err := l.syncNow(); err != nil {
				b.fail(0, len(b.groups), err)
			}
		}
		l.giveBack(b)
		close(b.done)
	}
}

// take returns the queue, or nil and the end of draining.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.queue
	l.queue = nil
	l.draining = b != nil
	return b
}

// giveBack keeps the batch's buffer for the next one, unless a burst made it large.
func (l *Log) giveBack(b *batch) {
	const keep = 4 << 20
	if cap(b.buf) > keep {
		return
	}
	l.mu.Lock()
	l.spare = b.buf
	l.mu.Unlock()
	b.buf = nil
}

// fail marks the groups [from, to), keeping earlier errors.
func (b *batch) fail(from, to int, err error) {
	if b.failed == nil {
		b.failed = make(map[int]error)
	}
	for i := from; i < to; i++ {
		if b.failed[i] == nil {
			b.failed[i] = err
		}
	}
}

// writeBatch writes all groups with as few writes as the segments allow. l.w is held.
func (l *Log) writeBatch(b *batch) {
	unflushed := 0 // groups from here on are only encoded
	buf, sizes := b.buf, b.sizes
	for i, g := range b.groups {
		recs := l.recs[:0]
		for _, n := range sizes[:g.records] {
			recs = append(recs, buf[:n])
			buf = buf[n:]
		}
		sizes = sizes[g.records:]
		l.recs = recs
		if g.abandoned {
			continue
		}
		if !l.fits(need(recs), false) {
			if err := l.flush(); err != nil {
				b.fail(unflushed, i, err)
			}
			unflushed = i
			if err := l.makeRoom(need(recs), false); err != nil {
				b.fail(i, i+1, err)
				continue
			}
		}
		l.encode(recs, 0)
	}
	if err := l.flush(); err != nil {
		b.fail(unflushed, len(b.groups), err)
	}
	clear(l.recs)
}

// AppendCommitted writes the records of the committed change at a Raft index, in log order, from the state machine's
// apply. Records of an index that the log already holds are left out, so that a replay writes nothing twice; all records
// of an index come in one call and are recovered together or not at all. It uses the reserve where Append is already
// refused and does not wait for a sync: the Raft log has the command until a snapshot, and [Log.Sync] comes before that.
//
// It never refuses a record for its contents: what CheckRecord would refuse is wrapped as a text. On
// ErrReserveExhausted nothing was written and the caller stops applying until the same call succeeds; on ErrFailed the
// process ends; ErrTooLarge (one index with more records than a segment holds) and index 0 are mistakes of the caller.
func (l *Log) AppendCommitted(index uint64, recs ...[]byte) error {
	if index == 0 {
		return errors.New("audit: committed records need a Raft index")
	}
	recs = l.writable(index, recs)
	l.w.Lock()
	defer l.w.Unlock()
	if l.isClosed() {
		return ErrClosed
	}
	if index <= l.at.index || len(recs) == 0 {
		return l.failure()
	}
	err := l.write(recs, index)
	if err != nil {
		l.st.refuse(err, l.cfg.Now())
	}
	return err
}

// writable returns recs with the malformed ones wrapped.
func (l *Log) writable(index uint64, recs [][]byte) [][]byte {
	copied := false
	for i, rec := range recs {
		err := CheckRecord(rec)
		if err == nil {
			continue
		}
		if !copied {
			recs, copied = slices.Clone(recs), true
		}
		recs[i] = substitute(rec)
		l.cfg.Logger.Error("a committed audit record was malformed and is wrapped", "index", index, "bytes", len(rec), "error", err)
	}
	return recs
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
