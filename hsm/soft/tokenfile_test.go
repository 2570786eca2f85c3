package soft_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/soft"
)

var pin = []byte("correct horse")

// fixture is a token file with one domain key, and a blob made under it. It is made once: a PIN takes 0.2 s each time.
type fixture struct {
	file []byte
	mat  hsm.Material
}

var madeToken = sync.OnceValues(func() (fixture, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "token")
	if err != nil {
		return fixture{}, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "token")
	m, err := soft.Open(soft.Options{Path: path, PIN: pin, Create: true, Label: "node 1"})
	if err != nil {
		return fixture{}, err
	}
	defer m.Close()
	if err := m.CreateDomain(ctx, "d"); err != nil {
		return fixture{}, err
	}
	w, err := m.Generate(ctx, "d", hsm.Symmetric, hsm.UseDerive, nil)
	if err != nil {
		return fixture{}, err
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		return fixture{}, fmt.Errorf("mode of the token file: %v, %v", fi, err)
	}
	file, err := os.ReadFile(path)
	return fixture{file, hsm.Material{Domain: "d", Type: hsm.Symmetric, Usage: hsm.UseDerive, Wrapped: w}}, err
})

// newToken writes the fixture's file and returns its path, and the blob.
func newToken(t *testing.T) (path string, mat hsm.Material) {
	t.Helper()
	f, err := madeToken()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "token")
	write(t, path, f.file)
	return path, f.mat
}

func reopen(t *testing.T, path string) *soft.Module {
	t.Helper()
	m, err := soft.Open(soft.Options{Path: path, PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTokenSurvives(t *testing.T) {
	path, mat := newToken(t)
	m := reopen(t, path)
	if _, err := m.Load(t.Context(), mat); err != nil {
		t.Error(err)
	}
	if m.Info().Label != "node 1" || len(m.Info().Serial) != 16 {
		t.Errorf("info %+v", m.Info())
	}
}

func TestWrongPIN(t *testing.T) {
	path, _ := newToken(t)
	before := read(t, path)
	m, err := soft.Open(soft.Options{Path: path, PIN: []byte("another PIN"), Create: true})
	if !errors.Is(err, soft.ErrPIN) || m != nil {
		t.Fatalf("Open: %v", err)
	}
	if strings.Contains(err.Error(), "another") {
		t.Errorf("the error quotes the PIN: %v", err)
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("a wrong PIN changed the file")
	}
	reopen(t, path) // the lock was given free
}

// TestDamagedFile changes, cuts and extends the file everywhere.
func TestDamagedFile(t *testing.T) {
	path, _ := newToken(t)
	good := read(t, path)
	check := func(name string, b []byte) {
		t.Helper()
		write(t, path, b)
		if m, err := soft.Open(soft.Options{Path: path, PIN: pin, Create: true}); !errors.Is(err, soft.ErrCorrupt) || m != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for at := range good {
		b := bytes.Clone(good)
		b[at] ^= 4
		check(fmt.Sprintf("byte %d changed", at), b)
	}
	for n := 0; n < len(good); n += 7 {
		check(fmt.Sprintf("cut to %d bytes", n), good[:n])
	}
	check("one byte more", append(bytes.Clone(good), 0))
	check("too long", make([]byte, 2<<20))
	write(t, path, good)
	reopen(t, path)
}

// TestForgedFile gives changed files a right checksum: authentication refuses them, and no forged number of iterations
// makes Open work for hours or seal weakly.
func TestForgedFile(t *testing.T) {
	path, _ := newToken(t)
	good := read(t, path)
	forge := func(change func(body []byte)) {
		b := bytes.Clone(good[:len(good)-sha256.Size])
		change(b)
		sum := sha256.Sum256(b)
		write(t, path, append(b, sum[:]...))
	}
	open := func() error {
		_, err := soft.Open(soft.Options{Path: path, PIN: pin})
		return err
	}
	forge(func(b []byte) { b[len(b)-1] ^= 1 })
	if err := open(); !errors.Is(err, soft.ErrPIN) {
		t.Errorf("changed content: %v", err)
	}
	forge(func(b []byte) { b[8+3]++ }) // one iteration more: the header is authenticated
	if err := open(); !errors.Is(err, soft.ErrPIN) {
		t.Errorf("changed header: %v", err)
	}
	for _, n := range []uint32{0, 1, 599_999, 10_000_001, 1<<32 - 1} {
		forge(func(b []byte) { binary.BigEndian.PutUint32(b[8:], n) })
		if err := open(); !errors.Is(err, soft.ErrCorrupt) {
			t.Errorf("%d iterations: %v", n, err)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	if _, err := soft.Open(soft.Options{Path: path, PIN: pin}); !errors.Is(err, soft.ErrNoToken) {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused Open made the file: %v", err)
	}
	for name, opts := range map[string]soft.Options{
		"short PIN":         {Path: path, PIN: []byte("1234567"), Create: true},
		"no PIN":            {Path: path, Create: true},
		"long PIN":          {Path: path, PIN: make([]byte, soft.MaxPIN+1), Create: true},
		"no path":           {PIN: pin, Create: true},
		"in memory, path":   {InMemory: true, Path: path},
		"in memory, PIN":    {InMemory: true, PIN: pin},
		"long label":        {InMemory: true, Label: strings.Repeat("l", 65)},
		"missing directory": {Path: filepath.Join(dir, "none", "token"), PIN: pin, Create: true},
		"a directory":       {Path: dir, PIN: pin, Create: true},
	} {
		if m, err := soft.Open(opts); err == nil || m != nil {
			t.Errorf("%s: opened", name)
		}
	}
	path, _ = newToken(t)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := soft.Open(soft.Options{Path: path, PIN: pin}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file open to the group: %v", err)
	}
}

const lockEnv = "SOFT_TEST_LOCKED_TOKEN"

// TestLocked opens a token that another process has open, and this one.
func TestLocked(t *testing.T) {
	if path := os.Getenv(lockEnv); path != "" {
		_, err := soft.Open(soft.Options{Path: path, PIN: pin})
		if !errors.Is(err, soft.ErrLocked) {
			t.Fatalf("in another process: %v", err)
		}
		return
	}
	path, _ := newToken(t)
	m := reopen(t, path)
	if _, err := soft.Open(soft.Options{Path: path, PIN: pin}); !errors.Is(err, soft.ErrLocked) {
		t.Errorf("in the same process: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLocked$")
	cmd.Env = append(os.Environ(), lockEnv+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	reopen(t, path)
}

// TestInterruptedChange: what a crash left of a change is removed, the token is the old one.
func TestInterruptedChange(t *testing.T) {
	path, mat := newToken(t)
	write(t, path+".tmp", read(t, path)[:100])
	m := reopen(t, path)
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the remains are there: %v", err)
	}
	if _, err := m.Load(t.Context(), mat); err != nil {
		t.Error(err)
	}
}

// TestFailedWrite: a change that cannot be written did not happen, and happens when it is repeated.
func TestFailedWrite(t *testing.T) {
	path, mat := newToken(t)
	m := reopen(t, path)
	before := read(t, path)
	blocker := filepath.Join(path+".tmp", "full") // a directory in the place of the new file
	if err := os.MkdirAll(blocker, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"CreateDomain":  func() error { return m.CreateDomain(t.Context(), "e") },
		"DestroyDomain": func() error { return m.DestroyDomain(t.Context(), "d") },
		"Transport":     func() error { _, err := m.Transport(t.Context()); return err },
	} {
		if err := change(); !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if has, err := m.HasDomain(t.Context(), "e"); has || err != nil {
		t.Errorf("a domain key that was not written is there: %v, %v", has, err)
	}
	if _, err := m.Load(t.Context(), mat); err != nil {
		t.Errorf("a domain key whose removal was not written is gone: %v", err)
	}
	if !bytes.Equal(read(t, path), before) {
		t.Error("the file changed")
	}
	if err := os.RemoveAll(path + ".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := m.CreateDomain(t.Context(), "e"); err != nil {
		t.Errorf("repeated: %v", err)
	}
}

// TestChangePIN: the new PIN opens the token, the old one does not, and a refused one changes nothing.
func TestChangePIN(t *testing.T) {
	path, mat := newToken(t)
	m := reopen(t, path)
	if err := m.ChangePIN(t.Context(), []byte("short")); !errors.Is(err, hsm.ErrInvalidInput) {
		t.Errorf("short PIN: %v", err)
	}
	if err := m.ChangePIN(t.Context(), []byte("another PIN")); err != nil {
		t.Fatal(err)
	}
	if err := m.CreateDomain(t.Context(), "e"); err != nil { // written under the new PIN too
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := soft.Open(soft.Options{Path: path, PIN: pin}); !errors.Is(err, soft.ErrPIN) {
		t.Errorf("the old PIN: %v", err)
	}
	m, err := soft.Open(soft.Options{Path: path, PIN: []byte("another PIN")})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Load(t.Context(), mat); err != nil {
		t.Error(err)
	}
	memory, err := soft.Open(soft.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if err := memory.ChangePIN(t.Context(), pin); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("in memory: %v", err)
	}
}

// TestHealthSeesTheFile: somebody removes or replaces the file under a running node.
func TestHealthSeesTheFile(t *testing.T) {
	path, _ := newToken(t)
	m := reopen(t, path)
	healthy := func(want bool, when string) {
		t.Helper()
		if err := m.Health(t.Context()); (err == nil) != want || err != nil && !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("Health %s: %v", when, err)
		}
	}
	healthy(true, "at first")
	if err := m.CreateDomain(t.Context(), "e"); err != nil {
		t.Fatal(err)
	}
	healthy(true, "after a change of ours")
	content := read(t, path)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	healthy(false, "without the file")
	write(t, path, content)
	healthy(false, "with another file")
	if err := m.DestroyDomain(t.Context(), "e"); err != nil {
		t.Fatal(err)
	}
	healthy(true, "after the next change")
}

// TestNoSecretOnDisk looks for the domain key, as another module gets it, in the files.
func TestNoSecretOnDisk(t *testing.T) {
	path, mat := newToken(t)
	m := reopen(t, path)
	if _, err := m.Transport(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := soft.DomainSecret(m, mat.Domain)
	if len(secret) != 64 {
		t.Fatalf("domain key of %d bytes", len(secret))
	}
	for _, file := range []string{path, path + ".lock"} {
		content := read(t, file)
		for i := range 5 {
			if bytes.Contains(content, secret[i*8:i*8+8]) {
				t.Errorf("%s holds part of a domain key", file)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		if out := fmt.Sprintf(verb, m); out != fmt.Sprintf("embedded HSM %s %q", m.Info().Serial, "node 1") {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}
