package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"
)

// verdict says what to do after a call that failed.
type verdict int

const (
	final  verdict = iota // the error stands
	again                 // a session or handle was stale; the token answers
	reborn                // the token is being recovered
)

// do runs f with a session of its own, inside the limits of ctx and of the configuration, and once more if a session,
// a handle or the token turned out to be gone. f runs in another goroutine, because the library may hang in it: when do
// has returned, f may still be running, so that f must own all memory it uses. f must be fit to run twice.
func do[T any](ctx context.Context, m *Module, f func(*lease) (T, error)) (T, error) {
	return doWithin(ctx, m, m.cfg.CallTimeout, f)
}

func doWithin[T any](ctx context.Context, m *Module, limit time.Duration, f func(*lease) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, next, err := once(ctx, m, limit, f)
	if next == reborn {
		m.lib.settle(ctx)
	}
	if next != final && ctx.Err() == nil {
		v, _, err = once(ctx, m, limit, f)
	}
	return v, public(err)
}

// once makes one attempt.
func once[T any](ctx context.Context, m *Module, limit time.Duration, f func(*lease) (T, error)) (T, verdict, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, final, unavailable(err) // else a call that nobody waits for might take effect
	}
	if err := m.admit(ctx); err != nil {
		return zero, final, err
	}
	if err := m.lib.enter(ctx); err != nil {
		m.dismiss()
		return zero, final, err
	}
	c := m.conn.Load()
	if c == nil {
		m.lib.gate.leave()
		m.dismiss()
		return zero, final, m.disconnected()
	}
	r := newRun(m, limit)
	done := make(chan outcome[T], 1)
	go func() {
		o := perform(m, c, f)
		if !r.finish() {
			wipe(o.value)
		}
		done <- o
	}()
	select {
	case o := <-done:
		return o.value, o.next, o.err
	case <-ctx.Done():
	}
	if !r.abandon() {
		o := <-done
		return o.value, o.next, o.err
	}
	return zero, final, unavailable(fmt.Errorf("no answer from the token: %w", ctx.Err()))
}

type outcome[T any] struct {
	value T
	next  verdict
	err   error
}

// perform runs f on a session of the pool.
func perform[T any](m *Module, c *conn, f func(*lease) (T, error)) (o outcome[T]) {
	l := &lease{m: m, ck: m.ck, conn: c}
	l.session, o.err = m.takeSession(c)
	if o.err == nil {
		o.value, o.err = f(l)
		l.sweep()
		m.returnSession(c, l.session, l.spoiled)
	}
	if o.err != nil {
		o.next = l.judge(o.err)
	}
	return o
}

// wipe clears the result of a call that nobody waits for any more.
func wipe(v any) {
	switch v := v.(type) {
	case []byte:
		clear(v)
	case *[32]byte:
		clear(v[:])
	}
}

// judge finds out what an error means for the calls to come. A broad return value alone proves nothing: the token is
// asked whether it is still there, so that no input of a client can set off a recovery.
func (l *lease) judge(err error) verdict {
	if errors.Is(err, errGone) {
		l.m.lib.lost(l.conn.gen, err)
		return reborn
	}
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return final
	}
	kind := classify(code)
	if kind == classCall || kind == classUnsupported {
		return final
	}
	if gone := l.conn.answers(l.ck); gone != nil {
		l.m.lib.lost(l.conn.gen, fmt.Errorf("%w, after %w", gone, err))
		return reborn
	}
	if told(err) || kind == classDevice {
		return final
	}
	if kind == classSession {
		l.m.closeIdle(l.conn)
	}
	l.conn.forget()
	return again
}
