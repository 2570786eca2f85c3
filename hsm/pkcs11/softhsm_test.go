package pkcs11

import (
	"context"
	"crypto/fips140"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

const (
	testPIN   = "1234-user"
	testSOPIN = "5678-officer"
)

// softHSMPaths are where distributions put SoftHSM2.
var softHSMPaths = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// softHSM returns the path of SoftHSM2. Without it the tests fail: they would prove nothing.
func softHSM(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("SOFTHSM2_MODULE"); path != "" {
		return path
	}
	for _, path := range softHSMPaths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if testing.Short() {
		t.Skip("SoftHSM2 is not installed")
	}
	t.Fatal("SoftHSM2 is not installed: run apt-get install softhsm2, or set SOFTHSM2_MODULE to libsofthsm2.so; -short skips these tests")
	return ""
}

// rig is a SoftHSM2 of one test: a directory of tokens and the library initialized on it. Tests with a rig run one after
// another, since the library is one for the process.
type rig struct {
	t    testing.TB
	dir  string
	lib  *Library
	ctx  *pkcs11.Ctx
	hook *hook
	// ownProfile has every token tried: for tokens that are not plain SoftHSM2.
	ownProfile bool

	mu     sync.Mutex
	tokens int
}

func newRig(t testing.TB) *rig {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("the tests exchange keys with SoftHSM2 by RSAES-OAEP with SHA-1, which fips140=only forbids them")
	}
	return newRigOn(t, func(ck cryptoki) cryptoki { return ck })
}

// newRigOn puts something between the library and SoftHSM2, below the hook.
func newRigOn(t testing.TB, between func(cryptoki) cryptoki) *rig {
	t.Helper()
	r := &rig{t: t}
	r.configure()
	path := softHSM(t)
	r.ctx = pkcs11.New(path)
	if r.ctx == nil {
		t.Fatalf("cannot load %s", path)
	}
	r.hook = &hook{cryptoki: between(r.ctx)}
	lib, err := newLibrary(path, r.hook, r.logger())
	if err != nil {
		t.Fatal(err)
	}
	r.lib = lib
	t.Cleanup(func() {
		r.hook.set(nil)
		if err := lib.Close(); err != nil {
			t.Errorf("Library.Close: %v", err)
		}
	})
	return r
}

// configure points SoftHSM2, which reads the variable at C_Initialize, at an empty directory.
func (r *rig) configure() {
	r.t.Helper()
	softHSM(r.t)
	r.dir = r.t.TempDir()
	tokens := filepath.Join(r.dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		r.t.Fatal(err)
	}
	conf := filepath.Join(r.dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.t.Setenv("SOFTHSM2_CONF", conf)
}

// logger writes what the package logs to the test's output, until the test ends.
func (r *rig) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newToken initializes another token and returns a configuration for it.
func (r *rig) newToken() Config {
	r.t.Helper()
	r.mu.Lock()
	r.tokens++
	label := fmt.Sprintf("token-%d", r.tokens)
	r.mu.Unlock()
	if err := r.lib.exclusively(func() error { return initToken(r.ctx, label) }); err != nil {
		r.t.Fatalf("initializing a token: %v", err)
	}
	return Config{
		TokenLabel: label, PIN: fixedPIN(testPIN), PoolSize: 8, CallTimeout: 30 * time.Second,
		AllowOAEPSHA1Transport: true, Logger: r.logger(),
	}
}

func fixedPIN(pin string) PINFunc {
	return func() ([]byte, error) { return []byte(pin), nil }
}

func initToken(ctx *pkcs11.Ctx, label string) error {
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return err
	}
	if err := ctx.InitToken(slots[len(slots)-1], testSOPIN, label); err != nil {
		return err
	}
	if slots, err = ctx.GetSlotList(true); err != nil {
		return err
	}
	for _, slot := range slots {
		if info, err := ctx.GetTokenInfo(slot); err != nil || info.Label != label {
			continue
		}
		s, err := ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			return err
		}
		defer ctx.CloseSession(s)
		if err := ctx.Login(s, pkcs11.CKU_SO, testSOPIN); err != nil {
			return err
		}
		return ctx.InitPIN(s, testPIN)
	}
	return fmt.Errorf("token %s is not there", label)
}

// open opens a token and closes it with the test. What SoftHSM2 can do is tried once for each rig.
func (r *rig) open(cfg Config) *Module {
	r.t.Helper()
	return r.openFor(r.t, cfg)
}

func (r *rig) openFor(t testing.TB, cfg Config) *Module {
	t.Helper()
	r.shareProfile(cfg)
	m, err := r.lib.Open(cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if !r.ownProfile {
		profiles.LoadOrStore(cfg.AllowHostUnwrap, m.(*Module).profile)
	}
	return m.(*Module)
}

// profiles keeps what SoftHSM2 can do, which no test changes and which takes an RSA generation to find out.
var profiles sync.Map // of *profile by AllowHostUnwrap

// shareProfile gives a token the profile of another one.
func (r *rig) shareProfile(cfg Config) {
	r.t.Helper()
	known, ok := profiles.Load(cfg.AllowHostUnwrap)
	if !ok || r.ownProfile {
		return
	}
	slots, err := r.ctx.GetSlotList(true)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, slot := range slots {
		if info, err := r.ctx.GetTokenInfo(slot); err == nil && info.Flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
			r.lib.keepProfile(profileKey{info.SerialNumber, info.Label, cfg.AllowHostUnwrap}, known.(*profile))
		}
	}
}

// hook stands between a Library and Cryptoki. before is told each call, with its session, and may block it or answer it
// with an error.
type hook struct {
	cryptoki
	tokenFlags atomic.Uint64 // added to those of C_GetTokenInfo

	mu     sync.RWMutex
	before func(call string, s pkcs11.SessionHandle) error
}

func (h *hook) set(before func(call string, s pkcs11.SessionHandle) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = before
}

func (h *hook) ask(call string, s pkcs11.SessionHandle) error {
	h.mu.RLock()
	before := h.before
	h.mu.RUnlock()
	if before == nil {
		return nil
	}
	return before(call, s)
}

func (h *hook) GetTokenInfo(slot uint) (pkcs11.TokenInfo, error) {
	info, err := h.cryptoki.GetTokenInfo(slot)
	info.Flags |= uint(h.tokenFlags.Load())
	return info, err
}

func (h *hook) Initialize(opts ...pkcs11.InitializeOption) error {
	if err := h.ask("C_Initialize", 0); err != nil {
		return err
	}
	return h.cryptoki.Initialize(opts...)
}

func (h *hook) OpenSession(slot uint, flags uint) (pkcs11.SessionHandle, error) {
	if err := h.ask("C_OpenSession", 0); err != nil {
		return 0, err
	}
	return h.cryptoki.OpenSession(slot, flags)
}

func (h *hook) CloseSession(s pkcs11.SessionHandle) error {
	if err := h.ask("C_CloseSession", s); err != nil {
		return err
	}
	return h.cryptoki.CloseSession(s)
}

func (h *hook) Login(s pkcs11.SessionHandle, user uint, pin string) error {
	if err := h.ask("C_Login", s); err != nil {
		return err
	}
	return h.cryptoki.Login(s, user, pin)
}

func (h *hook) Sign(s pkcs11.SessionHandle, in []byte) ([]byte, error) {
	if err := h.ask("C_Sign", s); err != nil {
		return nil, err
	}
	return h.cryptoki.Sign(s, in)
}

func (h *hook) Decrypt(s pkcs11.SessionHandle, in []byte) ([]byte, error) {
	if err := h.ask("C_Decrypt", s); err != nil {
		return nil, err
	}
	return h.cryptoki.Decrypt(s, in)
}

func (h *hook) GenerateRandom(s pkcs11.SessionHandle, n int) ([]byte, error) {
	if err := h.ask("C_GenerateRandom", s); err != nil {
		return nil, err
	}
	return h.cryptoki.GenerateRandom(s, n)
}

func (h *hook) GenerateKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, temp []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if err := h.ask("C_GenerateKey", s); err != nil {
		return 0, err
	}
	return h.cryptoki.GenerateKey(s, m, temp)
}

func (h *hook) UnwrapKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, wrapped []byte, a []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if err := h.ask("C_UnwrapKey", s); err != nil {
		return 0, err
	}
	return h.cryptoki.UnwrapKey(s, m, key, wrapped, a)
}

// objects counts the token's objects that a user sees, by label prefix; "" counts the session objects too.
func (r *rig) objects(m *Module, prefix string) int {
	r.t.Helper()
	n, err := do(context.Background(), m, func(l *lease) (int, error) {
		var found []pkcs11.ObjectHandle
		err := m.lib.exclusively(func() (err error) {
			found, err = l.search(nil, 10000)
			return err
		})
		if err != nil {
			return 0, err
		}
		n := 0
		for _, o := range found {
			label, err := l.attribute(o, pkcs11.CKA_LABEL)
			if err != nil {
				return 0, err
			}
			if strings.HasPrefix(string(label), prefix) {
				n++
			}
		}
		return n, nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// newKey generates and loads a key under a domain key that it makes if need be.
func newKey(t testing.TB, m *Module, kt hsm.KeyType, u hsm.Usage) hsm.Key {
	t.Helper()
	k, err := m.Load(context.Background(), newMaterial(t, m, kt, u))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const testDomain hsm.DomainID = "region-1"

func newMaterial(t testing.TB, m *Module, kt hsm.KeyType, u hsm.Usage) hsm.Material {
	t.Helper()
	ctx := context.Background()
	has, err := m.HasDomain(ctx, testDomain)
	if err == nil && !has {
		err = m.CreateDomain(ctx, testDomain)
	}
	if err != nil {
		t.Fatal(err)
	}
	binding := []byte("binding")
	w, err := m.Generate(ctx, testDomain, kt, u, binding)
	if err != nil {
		t.Fatal(err)
	}
	return hsm.Material{Domain: testDomain, Type: kt, Usage: u, Binding: binding, Wrapped: w}
}
