// Package soft is the embedded HSM: a module on Go's own cryptographic module, its long-term secrets in one token file
// sealed under a PIN.
//
// The package guarantees:
//   - domain keys and the transport pair are on disk only in the token file, under AES-256-GCM with a key derived from
//     the PIN; what a change promised is there after a crash, and a change is there wholly or not at all;
//   - one process at a time has a token file open;
//   - a wrong PIN, a damaged file, a file in use and a missing file are four different errors, found at Open;
//   - what Go's FIPS 140-3 module forbids in the mode that the process runs in is hsm.ErrUnsupported and listed among
//     the missing capabilities; nothing panics.
//
// What it cannot guarantee, because it is software: secrets are in the memory of the process. They are cleared when they
// are no longer needed wherever Go hands out the memory they are in; the insides of crypto/rsa, hash states and AES key
// schedules are left to the garbage collector. A copy of an older token file, with its PIN, still holds domain keys that
// were destroyed later.
package soft

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/trentkms/trent/hsm"
)

// Errors of Open, beside those of the file system.
var (
	// ErrPIN reports a PIN that does not open the token file. Trying again with the same one is of no use.
	ErrPIN = errors.New("soft: wrong PIN for the token file")
	// ErrCorrupt reports a token file that is damaged, truncated or not a token file.
	ErrCorrupt = errors.New("soft: token file is damaged; restore it from a copy, or rebuild this node")
	// ErrLocked reports a token file that another process has open.
	ErrLocked = errors.New("soft: token file is in use by another process")
	// ErrNoToken reports that there is no token file.
	ErrNoToken = errors.New("soft: no token file")
)

// MinPIN and MaxPIN bound the length of PINs, in bytes.
const (
	MinPIN = 8
	MaxPIN = 1024
)

// Options say which token to open.
type Options struct {
	// Path is the token file's. Its directory must exist. Beside it Open makes the files Path.lock and, for the moment
	// of a change, Path.tmp.
	Path string
	// PIN seals the token file. It may be cleared once Open has returned.
	PIN []byte
	// Create makes a new token file if there is none. Without it that is ErrNoToken, so that a mistyped path does not
	// come up as an empty HSM.
	Create bool
	// InMemory makes a token without a file; it ends with Close. Path and PIN must be empty.
	InMemory bool
	// Label names a new token, at most 64 bytes; an existing one keeps its label.
	Label string
	// AllowSHA1Transport lets ExportDomain wrap for transport keys whose mechanism is WrapOAEPSHA1.
	AllowSHA1Transport bool
	// GenerateRSA makes RSA keys of a size in bits; nil: Go's cryptographic module does. It is for tests, of which most would spend
	// their time on it (see hsmtest/publishedrsa). It must be safe for concurrent use, and its keys are wiped.
	GenerateRSA func(bits int) (*rsa.PrivateKey, error)
}

func (o *Options) check() error {
	switch {
	case o.InMemory && (o.Path != "" || len(o.PIN) != 0):
		return errors.New("soft: a token in memory has neither path nor PIN")
	case !o.InMemory && o.Path == "":
		return errors.New("soft: the path of the token file is missing")
	case len(o.Label) > maxLabel:
		return fmt.Errorf("soft: the token's label must have at most %d bytes", maxLabel)
	case o.InMemory:
		return nil
	}
	return checkPIN(o.PIN)
}

// Module is an open token. It implements hsm.Module.
type Module struct {
	info      hsm.Info
	caps      hsm.Capabilities
	allowSHA1 bool
	file      *tokenFile // nil in memory

	// changing is held (one token in the channel) while a change of the state is computed and written.
	changing chan struct{}
	// generating bounds concurrent RSA key generations, which cannot be interrupted.
	generating chan struct{}
	newRSA     func(bits int) (*rsa.PrivateKey, error)

	mu    sync.RWMutex
	state *state // nil after Close; read and used under mu, replaced under mu and changing

	keysMu sync.Mutex
	keys   map[*key]struct{} // loaded keys; nil after Close; guarded by keysMu
}

var _ hsm.Module = (*Module)(nil)

// Open opens a token, or makes one. Deriving the sealing key takes 0.1 to 0.4 s.
func Open(opts Options) (*Module, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	m := &Module{
		allowSHA1:  opts.AllowSHA1Transport,
		changing:   make(chan struct{}, 1),
		generating: make(chan struct{}, max(1, runtime.GOMAXPROCS(0))),
		newRSA:     opts.GenerateRSA,
		keys:       make(map[*key]struct{}),
	}
	if m.newRSA == nil {
		m.newRSA = func(bits int) (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }
	}
	var err error
	if opts.InMemory {
		m.state = newState(opts.Label)
	} else if m.file, m.state, err = openTokenFile(&opts); err != nil {
		return nil, err
	}
	mode := fipsMode()
	m.caps = capabilities(mode)
	m.info = hsm.Info{
		Kind: "embedded", Manufacturer: "Trent", Model: "Go Cryptographic Module " + fips140.Version(),
		Serial: m.state.serial, Firmware: runtime.Version(), Label: m.state.label, FIPS: mode,
	}
	return m, nil
}

// Info describes the module.
func (m *Module) Info() hsm.Info { return m.info }

// Format writes the module's name: its state is never printed.
func (m *Module) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "embedded HSM %s %q", m.info.Serial, m.info.Label)
}

// Capabilities tells what the module can do in the FIPS mode of the process.
func (m *Module) Capabilities() hsm.Capabilities { return m.caps }

// Health returns nil if the module is open and its token file is still the one that it wrote.
func (m *Module) Health(ctx context.Context) error {
	if _, err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.RUnlock()
	if m.file == nil {
		return nil
	}
	return m.file.check()
}

// Random fills b from Go's random number generator, the DRBG of its cryptographic module in FIPS modes.
func (m *Module) Random(ctx context.Context, b []byte) error {
	if _, err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.RUnlock()
	rand.Read(b) // never fails (crypto/rand)
	return nil
}

// Close waits for calls in flight, destroys all loaded keys, clears the secrets and gives the token file free. Closing
// again does nothing.
func (m *Module) Close() error {
	m.changing <- struct{}{} // a change in flight ends first
	defer func() { <-m.changing }()
	m.keysMu.Lock()
	keys := m.keys
	m.keys = nil
	m.keysMu.Unlock()
	for k := range keys {
		k.destroy()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == nil {
		return nil
	}
	m.state.wipe()
	m.state = nil
	if m.file == nil {
		return nil
	}
	return m.file.close()
}

// begin starts a call: it returns the state, with m.mu held for reading, or an error, with m.mu free.
func (m *Module) begin(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	m.mu.RLock()
	if m.state == nil {
		m.mu.RUnlock()
		return nil, hsm.ErrClosed
	}
	return m.state, nil
}

// domain is begin for a call that uses a domain key.
func (m *Module) domain(ctx context.Context, id hsm.DomainID) (*domain, error) {
	st, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	d, err := st.domain(id)
	if err != nil {
		m.mu.RUnlock()
		return nil, err
	}
	return d, nil
}

// errUnchanged, returned by the function of a change, ends it successfully with nothing to write.
var errUnchanged = errors.New("soft: unchanged")

// change replaces the state by the one that f makes from a copy, durably. Nobody else changes it meanwhile. On an error
// the keys that f put in are wiped.
func (m *Module) change(ctx context.Context, f func(*state) error) error {
	select {
	case m.changing <- struct{}{}:
		defer func() { <-m.changing }()
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	old, err := m.begin(ctx)
	if err != nil {
		return err
	}
	next := old.clone()
	m.mu.RUnlock()
	if err = f(next); err == errUnchanged {
		return nil
	} else if err == nil {
		err = m.commit(ctx, next)
	}
	if err != nil {
		next.wipeUnless(old)
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = next
	old.wipeUnless(next)
	return nil
}

// commit writes a changed state to the token file, unless the context has ended.
func (m *Module) commit(ctx context.Context, next *state) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if m.file == nil {
		return nil
	}
	if err := m.file.write(next); err != nil {
		return fmt.Errorf("%w: writing the token file: %w", hsm.ErrUnavailable, err)
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", hsm.ErrUnavailable, err) }

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", hsm.ErrUnsupported, fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", hsm.ErrInvalidInput, fmt.Sprintf(format, args...))
}
