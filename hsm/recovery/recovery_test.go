package recovery

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

func newModule(t *testing.T) hsm.Module {
	t.Helper()
	m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, Path: filepath.Join(t.TempDir(), "token"), PIN: []byte("12345678"), Create: true, Label: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// From one HSM by way of the file into another one.
func TestCeremony(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	key, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	passphrase := []byte("correct horse battery")
	if _, err := key.Seal([]byte("short")); err == nil {
		t.Error("a short passphrase")
	}
	file, err := key.Seal(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(file, []byte("correct horse batterx")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if key, err = Parse(file, passphrase); err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	spki, err := ParsePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := newModule(t), newModule(t)
	const id = "trent-test-domain-1"
	if err := old.CreateDomain(ctx, id); err != nil {
		t.Fatal(err)
	}
	export, err := old.ExportDomain(ctx, id, hsm.TransportKey{SPKI: spki, Mechanism: hsm.WrapOAEPSHA256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Open("another", export); !errors.Is(err, hsm.ErrIntegrity) {
		t.Errorf("under another name: %v", err)
	}
	other, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(id, export); !errors.Is(err, ErrForeign) {
		t.Errorf("another key: %v", err)
	}
	d, err := key.Open(id, export)
	if err != nil {
		t.Fatal(err)
	}
	want, err := old.DomainPRF(ctx, id, "label", []byte("input"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.PRF(ctx, "label", []byte("input")); err != nil || got != want {
		t.Errorf("PRF: %v", err)
	}
	tk, err := fresh.Transport(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if export, err = d.ExportTo(tk); err != nil {
		t.Fatal(err)
	}
	if err := fresh.ImportDomain(ctx, id, export); err != nil {
		t.Fatal(err)
	}
	if got, err := fresh.DomainPRF(ctx, id, "label", []byte("input")); err != nil || got != want {
		t.Errorf("in the new HSM: %v", err)
	}
	d.Wipe()
	if !bytes.Equal(d.auth, make([]byte, 32)) {
		t.Error("not wiped")
	}
	opensslReads(t, file, passphrase)
}

// opensslReads shows that the file does not need this program.
func opensslReads(t *testing.T, file, passphrase []byte) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(openssl, "pkey", "-in", path, "-passin", "pass:"+string(passphrase), "-noout", "-check").CombinedOutput()
	if err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	key, err := Generate()
	if err != nil {
		f.Fatal(err)
	}
	file, err := key.Seal([]byte("correct horse battery"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Fuzz(func(t *testing.T, file []byte) {
		_, iv, data, n, err := parseFile(file)
		if err == nil && (len(iv) != 16 || len(data)%16 != 0 || n > maxIterations) {
			t.Errorf("iv %d, data %d, %d iterations", len(iv), len(data), n)
		}
	})
}
