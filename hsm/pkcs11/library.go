package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// Library is one Cryptoki library of the process, initialized. It is safe for concurrent use.
type Library struct {
	path string
	ck   cryptoki
	log  *slog.Logger
	info pkcs11.Info

	// gate holds the calls inside the library.
	gate gate
	// objects is held while objects and sessions come, go or are looked for, if the library cannot do that in parallel;
	// else nil.
	objects chan struct{}
	// admin is held while the set of open modules or the generation changes: by Open, Close and recovery. It is a
	// channel because its holder may hang inside the library.
	admin chan struct{}

	mu       sync.Mutex // guards what follows
	modules  map[*Module]struct{}
	gen      uint64 // number of the initialization; handles of another one are void
	status   status
	cause    error         // why status is not serving
	attempt  chan struct{} // closed when the running attempt of recovery ends
	backoff  time.Duration // before the next attempt
	restored time.Time     // end of the last successful recovery
	stop     chan struct{} // closed by Close
	profiles map[profileKey]*profile
}

type status int

const (
	serving    status = iota
	recovering        // an attempt is running
	waiting           // the last attempt failed; the next one comes by itself
	dead              // no attempt will be made
	closed
)

// Load loads and initializes the Cryptoki library at path. log may be nil. The library stays in memory for the life of
// the process, since unloading some of them crashes.
func Load(path string, log *slog.Logger) (*Library, error) {
	if path == "" {
		return nil, errors.New("pkcs11: no module path: set it to the Cryptoki library of the HSM, a .so file")
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, fmt.Errorf("pkcs11: cannot load %s: is it there, readable, and a PKCS #11 library for this platform?", path)
	}
	return newLibrary(path, ctx, log)
}

func newLibrary(path string, ck cryptoki, log *slog.Logger) (*Library, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Library{path: path, ck: ck, log: log, gen: 1}
	l.admin = make(chan struct{}, 1)
	l.modules = map[*Module]struct{}{}
	l.stop = make(chan struct{})
	l.profiles = map[profileKey]*profile{}
	if err := ck.Initialize(); err != nil {
		if isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
			return nil, fmt.Errorf("pkcs11: %s is in use already in this process: open all of its tokens through one Library", path)
		}
		return nil, fmt.Errorf("pkcs11: %s cannot be initialized, see its own log and configuration: %w", path, err)
	}
	info, err := ck.GetInfo()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: %s does not tell what it is: %w", path, err), ck.Finalize())
	}
	l.info = info
	if fragile(info) {
		l.objects = make(chan struct{}, 1)
	}
	return l, nil
}

// fragile reports whether objects and sessions must be made, destroyed and looked for one at a time. SoftHSM2 corrupts
// its containers otherwise, and searches disturb the writing of token objects (SoftHSMv2 issues 464, 518, 573, 688).
func fragile(info pkcs11.Info) bool {
	return strings.Contains(strings.ToLower(info.ManufacturerID+info.LibraryDescription), "softhsm")
}

// exclusively runs f while no other object or session comes, goes or is looked for, if the library needs that.
func (l *Library) exclusively(f func() error) error {
	if l.objects != nil {
		l.objects <- struct{}{}
		defer func() { <-l.objects }()
	}
	return f()
}

// Open opens a token. cfg.Module is ignored. The module does not close the Library.
func (l *Library) Open(cfg Config) (hsm.Module, error) {
	m, err := l.openModule(cfg)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Open loads the library cfg.Module and opens the token; closing the module finalizes the library. Open it once per
// process and library path: several tokens of one library need Load and Library.Open.
func Open(cfg Config) (hsm.Module, error) {
	l, err := Load(cfg.Module, cfg.Logger)
	if err != nil {
		return nil, err
	}
	m, err := l.openModule(cfg)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	m.ownsLibrary = true
	return m, nil
}

// Close ends the use of the library by this process (C_Finalize). All modules must be closed. It returns an error, and
// leaves the library as it is, if calls hang in it.
func (l *Library) Close() error {
	l.mu.Lock()
	if l.status == closed {
		l.mu.Unlock()
		return nil
	}
	if n := len(l.modules); n > 0 {
		l.mu.Unlock()
		return fmt.Errorf("pkcs11: %d modules of %s are still open: close them first", n, l.path)
	}
	l.status, l.cause = closed, hsm.ErrClosed
	close(l.stop)
	l.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := l.administer(ctx); err != nil {
		return err
	}
	defer l.administered()
	if n := l.gate.shut(ctx); n > 0 {
		return fmt.Errorf("pkcs11: %d calls hang in %s: it stays initialized until the process ends", n, l.path)
	}
	if err := l.ck.Finalize(); err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return fmt.Errorf("pkcs11: finalizing %s: %w", l.path, err)
	}
	return nil
}

// administer takes the right to change the set of modules or the generation.
func (l *Library) administer(ctx context.Context) error {
	select {
	case l.admin <- struct{}{}:
		return nil
	case <-ctx.Done():
		return unavailable(fmt.Errorf("opening, closing or recovery hangs in %s: %w", l.path, ctx.Err()))
	}
}

func (l *Library) administered() { <-l.admin }

// generation returns the number of the present initialization.
func (l *Library) generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gen
}

// profileKey tells what a profile depends on.
type profileKey struct {
	serial, label   string
	allowHostUnwrap bool
}

func (l *Library) knownProfile(k profileKey) *profile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.profiles[k]
}

func (l *Library) keepProfile(k profileKey, p *profile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.profiles[k] = p
}
