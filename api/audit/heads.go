package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// headItem is the head of a finished segment on its way: stored as a file, signed, stored again, announced.
type headItem struct {
	segment uint64
	head    Head // the head task's until done closes
	done    chan struct{}

	stored    bool // the file holds the head as it is
	announced bool
}

// headQueue holds what the head task has still to do.
type headQueue struct {
	mu      sync.Mutex
	pending []*headItem // of closed segments, oldest first
	latest  *Head       // newest checkpoint that is not yet signed
	err     error       // of the last attempt
	wake    chan struct{}
	idle    *sync.Cond // pending became empty
}

func (q *headQueue) init() {
	q.wake = make(chan struct{}, 1)
	q.idle = sync.NewCond(&q.mu)
}

func (q *headQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push queues the head of a finished segment.
func (q *headQueue) push(item *headItem) {
	q.mu.Lock()
	q.pending = append(q.pending, item)
	slices.SortFunc(q.pending, func(a, b *headItem) int { return cmp.Compare(a.segment, b.segment) })
	q.mu.Unlock()
	q.signal()
}

// check queues a checkpoint; a newer one replaces it.
func (q *headQueue) check(h Head) {
	q.mu.Lock()
	q.latest = &h
	q.mu.Unlock()
	q.signal()
}

// again puts a checkpoint back that could not be signed or announced, unless a newer one has come.
func (q *headQueue) again(h Head) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.latest == nil {
		q.latest = &h
	}
}

func (q *headQueue) all() []*headItem {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.pending)
}

func (q *headQueue) checkpoint() *Head {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.latest
	q.latest = nil
	return h
}

// finished takes the item out and tells who waits for it.
func (q *headQueue) finished(item *headItem) {
	close(item.done)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = slices.DeleteFunc(q.pending, func(i *headItem) bool { return i == item })
	if len(q.pending) == 0 {
		q.idle.Broadcast()
	}
}

func (q *headQueue) failed(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

// state returns how many heads of closed segments wait, and why.
func (q *headQueue) state() (pending int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending), q.err
}

// wait returns when no head of a closed segment waits.
func (q *headQueue) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("audit: %d segment heads are not yet signed and announced: %w", len(q.pending), ctx.Err())
		}
		q.idle.Wait()
	}
	return nil
}

// The head task tries again after headRetry, doubled up to headRetryMax; one attempt to sign or announce may take
// headTimeout.
const (
	headRetry    = time.Second
	headRetryMax = time.Minute
	headTimeout  = 30 * time.Second
)

// headTask signs and announces, one head after the other. It is a task of its own because an HSM may be away for long.
func (l *Log) headTask(ctx context.Context) {
	delay := headRetry
	for {
		err := l.handleHeads(ctx)
		if ctx.Err() != nil {
			return
		}
		l.heads.failed(err)
		again := (<-chan time.Time)(nil)
		if err != nil {
			l.warn("signing and announcing an audit head", err, "retry", delay)
			again = time.After(delay)
			delay = min(2*delay, headRetryMax)
		} else {
			delay = headRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-l.heads.wake:
		case <-again:
		}
	}
}

// handleHeads works through the queue until signing or announcing fails; a head that only cannot be stored (a full
// volume) does not hold up the others.
func (l *Log) handleHeads(ctx context.Context) error {
	var failed error
	for _, item := range l.heads.all() {
		err := l.handleHead(ctx, item)
		if err == nil {
			l.heads.finished(item)
			continue
		}
		failed = errors.Join(failed, err)
		if !item.announced {
			return failed
		}
	}
	h := l.heads.checkpoint()
	if h == nil {
		return failed
	}
	signed, err := l.sign(ctx, *h)
	if err == nil {
		err = l.announce(ctx, signed)
	}
	if err != nil {
		l.heads.again(*h)
	}
	return errors.Join(failed, err)
}

// handleHead takes the steps that are still missing. The unsigned head is stored first: it spares the next Open reading
// the segment even when the HSM is away.
func (l *Log) handleHead(ctx context.Context, item *headItem) error {
	storeErr := l.store(item)
	if !item.head.Signed() {
		signed, err := l.sign(ctx, item.head)
		if err != nil {
			return err
		}
		if signed.Signed() {
			item.head, item.stored = signed, false
			storeErr = l.store(item)
		}
	}
	if !item.announced {
		if err := l.announce(ctx, item.head); err != nil {
			return err
		}
		item.announced = true
	}
	return storeErr
}

func (l *Log) store(item *headItem) error {
	if item.stored {
		return nil
	}
	if err := writeFile(l.fs, headName(item.head.File), item.head.encode()); err != nil {
		return fmt.Errorf("writing the head of %s: %w", item.head.File, err)
	}
	item.stored = true
	return nil
}

// sign signs a head, or returns it as it is without a Signer.
func (l *Log) sign(ctx context.Context, h Head) (Head, error) {
	if l.cfg.Signer == nil {
		return h, nil
	}
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	signed, err := h.signed(ctx, l.cfg.Signer)
	if err != nil {
		return h, fmt.Errorf("signing the head of %s: %w", h.File, err)
	}
	return signed, nil
}

func (l *Log) announce(ctx context.Context, h Head) error {
	if l.cfg.OnHead == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	if err := l.cfg.OnHead(ctx, h); err != nil {
		return fmt.Errorf("announcing the head of %s: %w", h.File, err)
	}
	return nil
}
