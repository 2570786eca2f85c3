package pkcs11

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// blocker makes C_Sign hang until it is opened.
type blocker struct {
	free    chan struct{}
	entered chan struct{}
	once    sync.Once
}

func newBlocker(r *rig) *blocker {
	b := &blocker{free: make(chan struct{}), entered: make(chan struct{}, 1000)}
	r.t.Cleanup(b.open)
	r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
		if call == "C_Sign" {
			b.entered <- struct{}{}
			<-b.free
		}
		return nil
	})
	return b
}

func (b *blocker) open() { b.once.Do(func() { close(b.free) }) }

// TestDeadline: the caller's deadline holds while the library hangs, and the module recovers when it lets go.
func TestDeadline(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.CallTimeout = time.Hour
	m := r.open(cfg)
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	b := newBlocker(r)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var out [32]byte
		done <- k.DeriveKey(ctx, []byte("x"), &out)
	}()
	<-b.entered
	cancel()
	if err := <-done; !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("DeriveKey: %v", err)
	}
	if n := m.stuck.Load(); n != 0 {
		t.Errorf("%d calls count as hanging before their limit", n)
	}
	b.open()
	r.hook.set(nil)
	var out [32]byte
	if err := k.DeriveKey(t.Context(), []byte("x"), &out); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestHangingCalls: hanging calls lose their places to others, up to MaxStuck; then everything fails at once.
func TestHangingCalls(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.PoolSize, cfg.MaxStuck = 2, 3
	m := r.open(cfg)
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	m.cfg.CallTimeout = 250 * time.Millisecond
	b := newBlocker(r)
	var out [32]byte
	for i := range 3 {
		if err := k.DeriveKey(t.Context(), nil, &out); !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("hanging call %d: %v", i, err)
		}
		eventually(t, "the call counts as hanging", func() bool { return m.stuck.Load() == int64(i+1) })
		if err := m.Health(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("Health with a hanging call: %v", err)
		}
		if i < 2 {
			if _, err := m.HasDomain(t.Context(), testDomain); err != nil {
				t.Errorf("another call beside %d hanging ones: %v", i+1, err)
			}
		}
	}
	if _, err := m.HasDomain(t.Context(), testDomain); !errors.Is(err, hsm.ErrUnavailable) || !strings.Contains(err.Error(), "3 calls hang") {
		t.Errorf("beyond MaxStuck: %v", err)
	}
	b.open()
	r.hook.set(nil)
	eventually(t, "the calls return", func() bool { return m.stuck.Load() == 0 })
	if err := m.Health(t.Context()); err != nil {
		t.Errorf("Health afterwards: %v", err)
	}
	if err := k.DeriveKey(t.Context(), nil, &out); err != nil {
		t.Error(err)
	}
	if n := len(m.places); n != 0 {
		t.Errorf("%d places of the pool are taken by nobody", n)
	}
}

// TestNoFinalizeUnderHangingCalls: C_Finalize under a thread in the library is undefined behaviour.
func TestNoFinalizeUnderHangingCalls(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	m := r.open(cfg)
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	m.cfg.CallTimeout = 20 * time.Millisecond
	b := newBlocker(r)
	var out [32]byte
	if err := k.DeriveKey(t.Context(), nil, &out); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if n := r.lib.gate.shut(short); n != 1 {
		t.Errorf("%d calls inside, want 1", n)
	}
	r.lib.gate.open()
	b.open()
	eventually(t, "the call returns", func() bool { return r.lib.gate.shut(t.Context()) == 0 })
	r.lib.gate.open()
}

// TestOpenDeadline: opening gives up on a library that hangs, and leaves nothing behind when that lets go.
func TestOpenDeadline(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.OpenTimeout = 50 * time.Millisecond
	free := make(chan struct{})
	r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
		if call == "C_Login" {
			<-free
		}
		return nil
	})
	if _, err := r.lib.Open(cfg); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open: %v", err)
	}
	close(free)
	r.hook.set(nil)
	eventually(t, "nobody is inside", func() bool { return r.lib.gate.shut(t.Context()) == 0 })
	r.lib.gate.open()
	cfg.OpenTimeout = 0
	if err := r.open(cfg).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBusyPool: calls wait for a place no longer than their context.
func TestBusyPool(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.PoolSize, cfg.CallTimeout = 1, time.Hour
	m := r.open(cfg)
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	b := newBlocker(r)
	done := make(chan error, 1)
	go func() {
		var out [32]byte
		done <- k.DeriveKey(context.Background(), nil, &out)
	}()
	<-b.entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.HasDomain(ctx, testDomain); !errors.Is(err, hsm.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a place: %v", err)
	}
	b.open()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDestroyWaits: Destroy waits for the call in flight, whose result is right; later calls are ErrClosed.
func TestDestroyWaits(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	k := newKey(t, m, hsm.Symmetric, hsm.UseDerive)
	var want [32]byte
	if err := k.DeriveKey(t.Context(), []byte("x"), &want); err != nil {
		t.Fatal(err)
	}
	before := r.objects(m, "")
	b := newBlocker(r)
	var got [32]byte
	derived, destroyed := make(chan error, 1), make(chan struct{})
	go func() { derived <- k.DeriveKey(context.Background(), []byte("x"), &got) }()
	<-b.entered
	go func() {
		k.Destroy()
		close(destroyed)
	}()
	eventually(t, "Destroy has begun", func() bool {
		impl := k.(*key)
		impl.lifeMu.Lock()
		defer impl.lifeMu.Unlock()
		return impl.gone
	})
	var out [32]byte
	if err := k.DeriveKey(t.Context(), nil, &out); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("DeriveKey of a destroyed key: %v", err)
	}
	select {
	case <-destroyed:
		t.Error("Destroy did not wait")
	default:
	}
	b.open()
	if err := <-derived; err != nil || got != want {
		t.Errorf("the call in flight: %v", err)
	}
	<-destroyed
	k.Destroy()
	if after := r.objects(m, ""); after != before-1 {
		t.Errorf("%d objects, want %d", after, before-1)
	}
}

// TestAbandonedLoad: a load that finishes after its caller has left destroys the key itself.
func TestAbandonedLoad(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	mat := newMaterial(t, m, hsm.Symmetric, hsm.UseDerive)
	before := r.objects(m, "")
	b := newBlocker(r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := m.Load(ctx, mat)
		done <- err
	}()
	<-b.entered
	cancel()
	if err := <-done; !errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("Load: %v", err)
	}
	b.open()
	eventually(t, "nobody is inside", func() bool { return len(m.places) == 0 })
	if after := r.objects(m, ""); after != before {
		t.Errorf("%d objects, want %d: the key stayed on the token", after, before)
	}
}

// TestNoObjectsLeft: whatever succeeds or fails, session objects go with the call, and those of keys with Destroy.
func TestNoObjectsLeft(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.AllowHostUnwrap = true
	m := r.open(cfg)
	ctx := t.Context()
	mat := newMaterial(t, m, hsm.Symmetric, hsm.UseDerive)
	before := r.objects(m, "")
	if _, err := m.Rewrap(ctx, mat, testDomain); err != nil {
		t.Error(err)
	}
	sign := newKey(t, m, hsm.P256, hsm.UseSign)
	sig, err := sign.Sign(ctx, hsm.ECDSASHA256, make([]byte, 32))
	if err != nil {
		t.Error(err)
	}
	if ok, err := sign.Verify(ctx, hsm.ECDSASHA256, make([]byte, 32), sig); !ok || err != nil {
		t.Error(ok, err)
	}
	sign.Destroy()
	agree := newKey(t, m, hsm.P256, hsm.UseAgree)
	if _, err := agree.Agree(ctx, agree.(*key).mat.Public); err != nil {
		t.Error(err)
	}
	agree.Destroy()
	unwrap := newKey(t, m, hsm.RSA2048, hsm.UseUnwrap)
	under := newKey(t, m, hsm.AES256, hsm.UseUnwrap)
	for mechanism := range m.profile.imports {
		unwrap := unwrap
		if mechanism == hsm.WrapAESKWP {
			unwrap = under
		}
		if _, err := m.Import(ctx, unwrap, mechanism, make([]byte, 256+40), testDomain, hsm.Symmetric, hsm.UseDerive, nil); !errors.Is(err, hsm.ErrInvalidInput) {
			t.Errorf("Import of nothing with %v: %v", mechanism, err)
		}
	}
	unwrap.Destroy()
	under.Destroy()
	wrap := newKey(t, m, hsm.AES256, hsm.UseWrap)
	if _, err := m.ExportUnder(ctx, wrap, mat); err != nil {
		t.Error(err)
	}
	wrap.Destroy()
	bad := mat
	bad.Blob = append([]byte(nil), mat.Blob...)
	bad.Blob[3] ^= 1
	if _, err := m.Load(ctx, bad); !errors.Is(err, hsm.ErrIntegrity) {
		t.Error(err)
	}
	if after := r.objects(m, ""); after != before {
		t.Errorf("%d objects, want %d", after, before)
	}
}
