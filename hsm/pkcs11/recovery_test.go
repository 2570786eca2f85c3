package pkcs11

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// load is a set of workers that use keys all the time and note what goes wrong.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ok     atomic.Int64 // calls that succeeded
	failed atomic.Int64 // calls that were ErrUnavailable
}

// startLoad uses a MAC key and a signing key, both of which must always give the right result or ErrUnavailable.
func startLoad(t *testing.T, m *Module, workers int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{t: t, cancel: cancel}
	mac, sign := newKey(t, m, hsm.HMAC256, hsm.UseMAC), newKey(t, m, hsm.P256, hsm.UseSign)
	want, err := mac.MAC(ctx, []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	for range workers {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				l.round(ctx, mac, sign, string(want))
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) round(ctx context.Context, mac, sign hsm.Key, want string) {
	got, err := mac.MAC(ctx, []byte("m"))
	if err == nil && string(got) != want {
		l.t.Errorf("MAC is %x, want %x", got, want)
	}
	l.count(ctx, err)
	digest := make([]byte, 32)
	sig, err := sign.Sign(ctx, hsm.ECDSASHA256, digest)
	l.count(ctx, err)
	if err != nil {
		return
	}
	ok, err := sign.Verify(ctx, hsm.ECDSASHA256, digest, sig)
	if err == nil && !ok {
		l.t.Error("a signature does not verify")
	}
	l.count(ctx, err)
}

func (l *load) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		l.ok.Add(1)
	case ctx.Err() != nil: // the load is being stopped
	case errors.Is(err, hsm.ErrUnavailable):
		if l.failed.Add(1) <= 3 {
			l.t.Logf("under load: %v", err)
		}
	default:
		l.t.Errorf("under load: %v", err)
	}
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// progress waits until n more calls have succeeded.
func (l *load) progress(n int64) {
	l.t.Helper()
	from := l.ok.Load()
	eventually(l.t, "calls succeed", func() bool { return l.ok.Load() >= from+n })
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("timed out waiting: %s", what)
		}
	}
}

// counter counts calls by name.
type counter struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counter) note(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[call]++
}

func (c *counter) count(call string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[call]
}

// TestTokenComesBack moves the token's directory away under load, and back: Health turns red and green again, the same
// keys work again, and each initialization logs in once.
func TestTokenComesBack(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	l := startLoad(t, m, 4)
	var calls counter
	r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
		calls.note(call)
		return nil
	})
	l.progress(50)

	tokens, away := filepath.Join(r.dir, "tokens"), filepath.Join(r.dir, "away")
	if err := os.Rename(tokens, away); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Health turns red", func() bool { return m.Health(t.Context()) != nil })
	if err := m.Health(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("Health while the token is away: %v", err)
	}
	eventually(t, "calls fail", func() bool { return l.failed.Load() > 0 })
	if has, err := m.HasDomain(t.Context(), testDomain); has || !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("HasDomain while the token is away: %v, %v; an absent token has no absent domain keys", has, err)
	}
	if err := os.Rename(away, tokens); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Health turns green", func() bool { return m.Health(t.Context()) == nil })
	l.progress(50)
	l.stop()
	if has, err := m.HasDomain(t.Context(), testDomain); !has || err != nil {
		t.Errorf("HasDomain after recovery: %v, %v", has, err)
	}
	if logins, inits := calls.count("C_Login"), calls.count("C_Initialize"); logins == 0 || logins > inits {
		t.Errorf("%d logins in %d initializations", logins, inits)
	}
}

// TestEmptySearchOfLostToken: a token that has gone answers searches with nothing found, and no error.
func TestEmptySearchOfLostToken(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	newMaterial(t, m, hsm.Symmetric, hsm.UseDerive)
	if err := os.Rename(filepath.Join(r.dir, "tokens"), filepath.Join(r.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if has, err := m.HasDomain(t.Context(), testDomain); has || !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("HasDomain: %v, %v", has, err)
	}
	if err := m.DestroyDomain(t.Context(), testDomain); !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("DestroyDomain claims to have destroyed what is on a lost token: %v", err)
	}
}

// TestIdleSessionsClosed closes the pool's sessions behind the module's back, as tokens do with idle ones: the call that
// finds out goes on with a new session.
func TestIdleSessionsClosed(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	k := newKey(t, m, hsm.HMAC256, hsm.UseMAC)
	for range 10 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := k.MAC(context.Background(), []byte("m")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		closeIdleSessions(r, m)
	}
	l := startLoad(t, m, 4)
	for range 10 {
		l.progress(10)
		closeIdleSessions(r, m)
	}
	l.progress(10)
	if gen := r.lib.generation(); gen != 1 {
		t.Errorf("generation %d: a dead session of the pool is no reason to initialize the library", gen)
	}
}

func closeIdleSessions(r *rig, m *Module) {
	c := m.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.idle {
		_ = m.lib.exclusively(func() error { return r.ctx.CloseSession(s) }) // it may be closed already
	}
}

// TestAllSessionsClosed closes every session, the anchor's too: login and loaded keys are gone with it.
func TestAllSessionsClosed(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	l := startLoad(t, m, 4)
	for range 3 {
		l.progress(10)
		// SoftHSM2 crashes if a session in use is closed.
		if n := r.lib.gate.shut(t.Context()); n != 0 {
			t.Fatal(n)
		}
		if err := r.ctx.CloseAllSessions(m.conn.Load().slot); err != nil {
			t.Error(err)
		}
		gen := r.lib.generation()
		r.lib.gate.open()
		eventually(t, "the library is initialized again", func() bool { return r.lib.generation() > gen && m.Health(t.Context()) == nil })
	}
	l.progress(10)
}

// TestRecoveryWithRefusedPIN: the PIN is presented once, and never again while the process lives.
func TestRecoveryWithRefusedPIN(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	var asked atomic.Int64
	cfg.PIN = func() ([]byte, error) {
		if asked.Add(1) == 1 {
			return []byte(testPIN), nil
		}
		return []byte("wrong"), nil
	}
	m := r.open(cfg)
	if err := r.ctx.CloseSession(m.conn.Load().anchor); err != nil {
		t.Fatal(err)
	}
	eventually(t, "recovery gives up", func() bool {
		err := m.Health(t.Context())
		return errors.Is(err, ErrPIN) && errors.Is(err, hsm.ErrUnavailable)
	})
	for range 50 {
		if _, err := m.HasDomain(t.Context(), testDomain); !errors.Is(err, ErrPIN) {
			t.Fatalf("HasDomain: %v", err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the PIN was presented %d times, want 2", n)
	}
	again := cfg
	again.PIN = fixedPIN(testPIN)
	if _, err := r.lib.Open(again); !errors.Is(err, ErrPIN) {
		t.Errorf("Open on a dead Library: %v", err)
	}
}

// TestRecoveryFailures: failures at each step of recovery are tried again, with the token back at the end.
func TestRecoveryFailures(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	for _, step := range []string{"C_Initialize", "C_OpenSession", "C_Login"} {
		for _, code := range []pkcs11.Error{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_TOKEN_NOT_PRESENT} {
			var fails atomic.Int64
			r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
				if call == step && fails.Add(1) == 1 {
					return code
				}
				return nil
			})
			if err := r.ctx.CloseSession(m.conn.Load().anchor); err != nil {
				t.Fatal(err)
			}
			r.lib.mu.Lock()
			r.lib.backoff = 0
			r.lib.mu.Unlock()
			var out [32]byte
			eventually(t, step+" works again", func() bool { return k.DeriveKey(t.Context(), nil, &out) == nil })
			if fails.Load() < 2 {
				t.Errorf("%s failed %d times, want a failure and a success", step, fails.Load())
			}
		}
	}
}

// TestErrorsThatMeanNothing: an error that a client's input may cause does not set off a recovery.
func TestErrorsThatMeanNothing(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	for _, code := range []pkcs11.Error{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_VENDOR_DEFINED + 7} {
		r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
			if call == "C_Sign" {
				return code
			}
			return nil
		})
		var out [32]byte
		if err := k.DeriveKey(t.Context(), nil, &out); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, code) {
			t.Errorf("%v: %v", code, err)
		}
		r.hook.set(nil)
		if err := k.DeriveKey(t.Context(), nil, &out); err != nil {
			t.Errorf("after %v: %v", code, err)
		}
	}
	if gen := r.lib.generation(); gen != 1 {
		t.Errorf("generation %d, want 1", gen)
	}
}
