package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// Module is an open token.
type Module struct {
	cfg Config
	lib *Library
	ck  cryptoki
	log *slog.Logger

	ownsLibrary bool
	token       pkcs11.TokenInfo // of the first connection, and then only changed while the gate is shut
	info        hsm.Info
	profile     *profile // what the token can do; nil until it has been tried

	conn   atomic.Pointer[conn] // nil while the token is away
	closed atomic.Bool
	places chan struct{} // holds an element for each call in progress
	stuck  atomic.Int64  // calls that are over their limit and still in the library

	tokenMu sync.Mutex // held while domain keys and transport pairs are made or destroyed
}

var _ hsm.Module = (*Module)(nil)

// openModule connects to the token, tries what it can do and registers the module.
func (l *Library) openModule(cfg Config) (*Module, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Module{cfg: cfg, lib: l, ck: l.ck, log: cfg.Logger, places: make(chan struct{}, cfg.PoolSize)}
	ctx, cancel := context.WithTimeout(context.Background(), cfg.OpenTimeout)
	defer cancel()
	if err := m.register(ctx); err != nil {
		m.closed.Store(true) // a connection that comes too late is closed by whoever makes it
		m.unregister()
		return nil, err
	}
	p, err := m.probe(ctx)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.profile = p
	return m, nil
}

// register makes the first connection. It runs in a goroutine of its own, since the library may hang.
func (m *Module) register(ctx context.Context) error {
	m.lib.settle(ctx)
	if err := m.lib.administer(ctx); err != nil {
		return err
	}
	if !m.lib.gate.enter() {
		m.lib.administered()
		return m.lib.condition()
	}
	done := make(chan error, 1)
	go func() {
		err := m.firstConnection()
		m.lib.gate.leave()
		m.lib.administered()
		done <- err
	}()
	select {
	case err := <-done:
		return public(err)
	case <-ctx.Done():
		return unavailable(fmt.Errorf("no answer from %s while opening the %s: %w", m.lib.path, m.cfg.tokenName(), ctx.Err()))
	}
}

func (m *Module) firstConnection() error {
	if err := m.lib.exclusively(func() error { return m.connect(m.lib.generation()) }); err != nil {
		return err
	}
	m.info = hsm.Info{
		Kind:         "pkcs11",
		Manufacturer: m.token.ManufacturerID,
		Model:        m.token.Model,
		Serial:       m.token.SerialNumber,
		Firmware:     fmt.Sprintf("%d.%d", m.token.FirmwareVersion.Major, m.token.FirmwareVersion.Minor),
		Label:        m.token.Label,
		FIPS:         "unknown", // PKCS #11 does not tell
	}
	m.checkSessions()
	m.lib.mu.Lock()
	late := m.lib.status == closed || m.closed.Load()
	if !late {
		m.lib.modules[m] = struct{}{}
	}
	m.lib.mu.Unlock()
	if late {
		return errors.Join(hsm.ErrClosed, m.ck.CloseSession(m.conn.Swap(nil).anchor))
	}
	return nil
}

// checkSessions warns of a pool that the token has no room for.
func (m *Module) checkSessions() {
	most, want := m.token.MaxRwSessionCount, uint(m.cfg.PoolSize+m.cfg.MaxStuck+1)
	if unknown := ^uint(0); most != 0 && most != unknown && most < want {
		m.log.Warn("pkcs11: the token allows fewer sessions than the pool may open: lower the pool size",
			"token", m.cfg.tokenName(), "allowed", most, "wanted", want)
	}
}

// Info describes the token.
func (m *Module) Info() hsm.Info { return m.info }

// Capabilities tells what the token proved to be able to do when it was opened.
func (m *Module) Capabilities() hsm.Capabilities { return m.profile.capabilities() }

// Health reports whether the token answers now: no recovery running, no call hanging, anchor session logged in, random
// numbers. It is also what notices a token that went away while nobody used it.
func (m *Module) Health(ctx context.Context) error {
	if m.closed.Load() {
		return hsm.ErrClosed
	}
	if err := m.lib.condition(); err != nil {
		return err
	}
	if n := m.stuck.Load(); n > 0 {
		return unavailable(fmt.Errorf("%d calls hang in the library of the %s; restart the node if that lasts", n, m.cfg.tokenName()))
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.CallTimeout)
	defer cancel()
	_, _, err := once(ctx, m, m.cfg.CallTimeout, func(l *lease) (struct{}, error) {
		if err := l.conn.answers(l.ck); err != nil {
			return struct{}{}, err
		}
		_, err := l.ck.GenerateRandom(l.session, 16)
		return struct{}{}, l.spoil("C_GenerateRandom", err)
	})
	return public(err)
}

// maxRandom is how many bytes are asked of the token at one time.
const maxRandom = 1 << 10

// Random fills b from the token's generator.
func (m *Module) Random(ctx context.Context, b []byte) error {
	n := len(b)
	got, err := do(ctx, m, func(l *lease) ([]byte, error) {
		out := make([]byte, 0, n)
		for len(out) < n {
			part, err := l.ck.GenerateRandom(l.session, min(n-len(out), maxRandom))
			if err == nil && len(part) == 0 {
				err = errors.New("no random bytes")
			}
			if err != nil {
				clear(out)
				return nil, l.spoil("C_GenerateRandom", err)
			}
			out = append(out, part...)
			clear(part)
		}
		return out, nil
	})
	if err != nil {
		return err
	}
	copy(b, got)
	clear(got)
	return nil
}

// disconnected says why there is no connection.
func (m *Module) disconnected() error {
	if m.closed.Load() {
		return hsm.ErrClosed
	}
	return unavailable(fmt.Errorf("the %s is not connected", m.cfg.tokenName()))
}

// Close waits for calls in progress, as long as one may take, and closes the sessions, with which the loaded keys and
// the login go. Closing twice succeeds.
func (m *Module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.CallTimeout)
	defer cancel()
	err := m.disconnect(ctx)
	m.unregister()
	if m.ownsLibrary {
		err = errors.Join(err, m.lib.Close())
	}
	return err
}

func (m *Module) unregister() {
	m.lib.mu.Lock()
	defer m.lib.mu.Unlock()
	delete(m.lib.modules, m)
}

// disconnect takes every place of the pool, so that nobody uses a session any more, and closes them.
func (m *Module) disconnect(ctx context.Context) error {
	if err := m.lib.administer(ctx); err != nil {
		return err
	}
	defer m.lib.administered()
	for range cap(m.places) {
		select {
		case m.places <- struct{}{}:
			defer m.dismiss() // so that those who still wait for a place learn that the module is closed
		case <-ctx.Done():
			return unavailable(fmt.Errorf("calls to the %s are still running: their sessions stay open", m.cfg.tokenName()))
		}
	}
	c := m.conn.Swap(nil)
	if c == nil || m.stuck.Load() > 0 || !m.lib.gate.enter() {
		return nil // finalized, or about to be: sessions do not outlive that
	}
	defer m.lib.gate.leave()
	m.closeIdle(c)
	err := m.lib.exclusively(func() error { return m.ck.CloseSession(c.anchor) })
	if isCode(err, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return nil
	}
	return failed("C_CloseSession", err)
}
