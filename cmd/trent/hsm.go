package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs11"
	"github.com/trentkms/trent/hsm/soft"
)

// openHSM opens the node's module; create lets it make the embedded module's token file.
func openHSM(cfg *config.File, create bool, log *slog.Logger) (hsm.Module, error) {
	if cfg.HSM.Kind == "pkcs11" {
		return pkcs11.Open(pkcs11.Config{
			Module: cfg.HSM.Module, TokenLabel: cfg.HSM.Token, PIN: func() ([]byte, error) { return readPIN(cfg.HSM) },
			PoolSize: cfg.HSM.Sessions, AllowHostUnwrap: cfg.HSM.AllowHostUnwrap,
			AllowOAEPSHA1Transport: cfg.HSM.AllowOAEPSHA1Transport, Serial: cfg.HSM.Serial, Logger: log,
		})
	}
	pin, err := readPIN(cfg.HSM)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	dir := filepath.Join(cfg.DataDir, "hsm")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded HSM: %w", err)
	}
	if generateRSA != nil {
		log.Warn("embedded HSM: this build is for tests: its RSA keys are published ones that anybody can know")
	}
	return soft.Open(soft.Options{
		Path: filepath.Join(dir, "token"), PIN: pin, Create: create, Label: "trent",
		AllowSHA1Transport: cfg.HSM.AllowOAEPSHA1Transport, GenerateRSA: generateRSA,
	})
}

// readPIN reads the PIN from its source; the caller wipes it.
func readPIN(c config.HSM) ([]byte, error) {
	if c.PINEnv != "" {
		v := os.Getenv(c.PINEnv)
		if v == "" {
			return nil, usageError{fmt.Errorf("the environment variable %s, which should hold the HSM's PIN, is empty", c.PINEnv)}
		}
		return []byte(v), nil
	}
	b, err := os.ReadFile(c.PINFile)
	if err != nil {
		return nil, fmt.Errorf("read the HSM's PIN: %w", err)
	}
	pin := bytes.Clone(bytes.TrimSpace(b))
	clear(b)
	if len(pin) == 0 {
		return nil, usageError{fmt.Errorf("the PIN file %s is empty", c.PINFile)}
	}
	return pin, nil
}

// makePINFile writes a random PIN for an embedded HSM that has none yet. Without it the token is lost, and all keys with it, so it
// is on the disk before the token is.
func makePINFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return writeDurably(path, []byte(hex.EncodeToString(random[:])+"\n"))
}
