package pkcs11

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// TestOpenRefusals: what is wrong with a configuration is said in words that help.
func TestOpenRefusals(t *testing.T) {
	r := newRig(t)
	good := r.newToken()
	other := uint(77777)
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no token", func(c *Config) { c.TokenLabel = "" }, "no token chosen"},
		{"no PIN", func(c *Config) { c.PIN = nil }, "no PIN source"},
		{"negative pool", func(c *Config) { c.PoolSize = -1 }, "must not be negative"},
		{"unknown label", func(c *Config) { c.TokenLabel = "elsewhere" }, `0 tokens match token with label "elsewhere"; present: [label "token-1"`},
		{"unknown serial", func(c *Config) { c.Serial = "0000" }, "0 tokens match"},
		{"unknown slot", func(c *Config) { c.Slot = &other }, "0 tokens match"},
		{"PIN source fails", func(c *Config) { c.PIN = PINFile(filepath.Join(t.TempDir(), "pin")) }, "cannot read the PIN file"},
	} {
		cfg := good
		c.change(&cfg)
		m, err := r.lib.Open(cfg)
		if err == nil {
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nothing.so"), nil); err == nil || !strings.Contains(err.Error(), "cannot load") {
		t.Errorf("Load of nothing: %v", err)
	}
	if _, err := Open(Config{}); err == nil || !strings.Contains(err.Error(), "no module path") {
		t.Errorf("Open without a path: %v", err)
	}
}

// TestOpenBySerial chooses one of two tokens with the same PIN.
func TestOpenBySerial(t *testing.T) {
	r := newRig(t)
	one, two := r.open(r.newToken()), r.open(r.newToken())
	if one.Info().Serial == two.Info().Serial || one.Info().Kind != "pkcs11" || one.Info().Label != "token-1" {
		t.Errorf("%+v, %+v", one.Info(), two.Info())
	}
	cfg := two.cfg
	cfg.TokenLabel, cfg.Serial = "", two.Info().Serial
	again := r.open(cfg)
	if again.Info() != two.Info() {
		t.Errorf("%+v, want %+v", again.Info(), two.Info())
	}
}

// TestWrongPIN: one attempt, no repetition, and the buffer is wiped.
func TestWrongPIN(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	var calls counter
	r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
		calls.note(call)
		return nil
	})
	pin := []byte("not-the-pin")
	cfg.PIN = func() ([]byte, error) { return pin, nil }
	_, err := r.lib.Open(cfg)
	if !errors.Is(err, ErrPIN) || errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
	if strings.Contains(err.Error(), "not-the-pin") {
		t.Errorf("the PIN is in the error: %v", err)
	}
	if n := calls.count("C_Login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	for _, b := range pin {
		if b != 0 {
			t.Fatal("the PIN is not wiped")
		}
	}
	cfg.PIN = fixedPIN(testPIN)
	if err := r.open(cfg).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLoggedInAlready: a second module on the same token finds the process logged in, and closing one does not log out
// the other.
func TestLoggedInAlready(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	one, two := r.open(cfg), r.open(cfg)
	k := newKey(t, two, hsm.Symmetric, hsm.UseDerive)
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	var out [32]byte
	if err := k.DeriveKey(t.Context(), nil, &out); err != nil {
		t.Error(err)
	}
	if err := one.Health(t.Context()); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("Health of a closed module: %v", err)
	}
}

// TestFinalTry: with one try left, the program does not use it up.
func TestFinalTry(t *testing.T) {
	for flag, want := range map[uint]string{
		pkcs11.CKF_USER_PIN_FINAL_TRY: "one more wrong PIN locks",
		pkcs11.CKF_USER_PIN_LOCKED:    "is locked",
	} {
		r := newRig(t)
		cfg := r.newToken()
		r.hook.tokenFlags.Store(uint64(flag))
		var logins atomic.Int64
		r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
			if call == "C_Login" {
				logins.Add(1)
			}
			return nil
		})
		if _, err := r.lib.Open(cfg); !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open: %v, want %q", err, want)
		}
		if logins.Load() != 0 {
			t.Error("the PIN was presented")
		}
		r.hook.tokenFlags.Store(0)
		if err := r.lib.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenAlone opens and closes with a library of its own, twice, and finds the library in use in between.
func TestOpenAlone(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	if err := r.lib.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Module = softHSM(t)
	for range 2 {
		m, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if has, err := m.HasDomain(t.Context(), testDomain); err != nil {
			t.Error(has, err)
		} else if !has {
			if err := m.CreateDomain(t.Context(), testDomain); err != nil {
				t.Error(err)
			}
		}
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "in use already in this process") {
			t.Errorf("second Open: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if has, err := m.HasDomain(t.Context(), testDomain); !has || err != nil {
		t.Errorf("after C_Finalize: %v, %v", has, err)
	}
}

// TestLibraryCloseRefuses: C_Finalize would take the tokens away from open modules.
func TestLibraryCloseRefuses(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	if err := r.lib.Close(); err == nil || !strings.Contains(err.Error(), "still open") {
		t.Errorf("Close: %v", err)
	}
	if err := m.Health(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := r.lib.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.lib.Open(m.cfg); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("Open on a closed Library: %v", err)
	}
}

func TestPINFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want, fail string
	}{
		{"plain", "1234", 0o400, "1234", ""},
		{"line", "12 34\r\n", 0o440, "12 34", ""},
		{"empty", "", 0o400, "", "is empty"},
		{"only a line end", "\n", 0o400, "", "is empty"},
		{"too long", strings.Repeat("1", maxPIN), 0o400, "", "longer than a PIN"},
		{"for everybody", "1234", 0o444, "", "chmod 0400"},
	} {
		got, err := PINFile(write(c.name, c.text, c.mode))()
		if c.fail == "" && (err != nil || string(got) != c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fail)
		}
	}
	if _, err := PINFile(dir)(); err == nil {
		t.Error("a directory is no PIN file")
	}
}
