package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// Times of recovery.
const (
	drainTimeout = 5 * time.Second        // for calls to leave the library before C_Finalize
	minBackoff   = 250 * time.Millisecond // between attempts, doubling
	maxBackoff   = 10 * time.Second
	calmTime     = time.Minute // without a loss, after which the back-off starts anew
)

// lost tells that the token, the anchor session or the whole library was found dead in generation gen. The first to
// tell starts the recovery; tellers of an older generation are late.
func (l *Library) lost(gen uint64, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status != serving || gen != l.gen {
		return
	}
	if time.Since(l.restored) > calmTime {
		l.backoff = 0
	}
	l.cause = cause
	l.begin()
	l.log.Warn("pkcs11: token lost, initializing the library again", "module", l.path, "cause", cause)
	go l.recover()
}

// begin marks an attempt as running. The caller holds mu.
func (l *Library) begin() {
	l.status = recovering
	l.attempt = make(chan struct{})
}

// recover makes attempts until one succeeds, none can succeed any more, or the Library is closed.
func (l *Library) recover() {
	for {
		if !l.pause() {
			l.end(closed, nil)
			return
		}
		err := l.reinitialize()
		switch {
		case err == nil:
			l.end(serving, nil)
			l.log.Info("pkcs11: token is back; keys load again at their next use", "module", l.path)
			return
		case errors.Is(err, ErrPIN):
			l.end(dead, err)
			l.log.Error("pkcs11: giving up: restart with the right PIN", "module", l.path, "cause", err)
			return
		}
		l.end(waiting, err)
		l.log.Warn("pkcs11: token is still away, trying again", "module", l.path, "cause", err)
	}
}

// pause waits for the back-off before an attempt; there is none before the first. It reports false once the Library is
// closed.
func (l *Library) pause() bool {
	l.mu.Lock()
	wait := l.backoff
	l.backoff = min(max(2*l.backoff, minBackoff), maxBackoff)
	l.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.stop:
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status == closed {
		return false
	}
	if l.status == waiting {
		l.begin()
	}
	return true
}

// end notes how an attempt ended and wakes those who wait for it.
func (l *Library) end(s status, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status != closed {
		l.status, l.cause = s, cause
		if s == serving {
			l.restored = time.Now()
		}
	}
	if l.attempt != nil {
		close(l.attempt)
		l.attempt = nil
	}
}

// reinitialize drains the library, finalizes and initializes it once and connects every module anew. The gate stays
// shut unless all of them are connected.
func (l *Library) reinitialize() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := l.administer(ctx); err != nil {
		return err
	}
	defer l.administered()
	if n := l.gate.shut(ctx); n > 0 {
		return fmt.Errorf("pkcs11: %d calls hang in the library, so that it cannot be initialized again; restart the node if that lasts", n)
	}
	gen, modules, ok := l.nextGeneration()
	if !ok {
		return hsm.ErrClosed
	}
	if err := l.ck.Finalize(); err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return failed("C_Finalize", err)
	}
	if err := l.ck.Initialize(); err != nil {
		return failed("C_Initialize", err)
	}
	for _, m := range modules {
		if err := m.connect(gen); err != nil {
			return err
		}
	}
	l.gate.open()
	return nil
}

// nextGeneration voids all handles. It reports false if the Library was closed in the meantime.
func (l *Library) nextGeneration() (gen uint64, modules []*Module, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.status == closed {
		return 0, nil, false
	}
	l.gen++
	for m := range l.modules {
		m.conn.Store(nil)
		modules = append(modules, m)
	}
	return l.gen, modules, true
}

// enter lets a call into the library. While an attempt of recovery runs it waits for its end; between attempts, and if
// there will be none, it fails at once. The caller must leave the gate.
func (l *Library) enter(ctx context.Context) error {
	for {
		if l.gate.enter() {
			return nil
		}
		l.mu.Lock()
		status, cause, attempt := l.status, l.cause, l.attempt
		l.mu.Unlock()
		switch status {
		case serving:
			continue // it has just been opened
		case closed:
			return hsm.ErrClosed
		case waiting, dead:
			return unavailable(cause)
		}
		select {
		case <-attempt:
		case <-ctx.Done():
			return unavailable(errors.Join(ctx.Err(), cause))
		}
	}
}

// settle waits until no attempt of recovery is running.
func (l *Library) settle(ctx context.Context) {
	l.mu.Lock()
	attempt := l.attempt
	l.mu.Unlock()
	if attempt == nil {
		return
	}
	select {
	case <-attempt:
	case <-ctx.Done():
	}
}

// condition returns nil if the library serves, else why it does not.
func (l *Library) condition() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.status {
	case serving:
		return nil
	case closed:
		return hsm.ErrClosed
	case dead:
		return unavailable(fmt.Errorf("the token was lost and cannot be recovered without a restart: %w", l.cause))
	}
	return unavailable(fmt.Errorf("the token was lost and is being recovered: %w", l.cause))
}
