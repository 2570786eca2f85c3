package soft_test

import (
	"path/filepath"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

func TestConformance(t *testing.T) {
	hsmtest.Run(t, func(t *testing.T) hsm.Module {
		m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, hsmtest.Options{})
}

// TestOwnRSA runs the tests that make RSA keys with those of the cryptographic module; the others are given published ones.
func TestOwnRSA(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of computing without concurrency, under the race detector minutes")
	}
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module {
		m, err := soft.Open(soft.Options{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, hsmtest.Options{}, "Generate", "Transport")
}

// TestConformanceFile runs the durability tests on a token file.
func TestConformanceFile(t *testing.T) {
	paths := make(map[hsm.Module]string)
	open := func(t *testing.T, path string) hsm.Module {
		m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, Path: path, PIN: []byte("a good PIN"), Create: true})
		if err != nil {
			t.Fatal(err)
		}
		paths[m] = path
		return m
	}
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module {
		return open(t, filepath.Join(t.TempDir(), "token"))
	}, hsmtest.Options{Slow: true, Reopen: func(t *testing.T, m hsm.Module) hsm.Module {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return open(t, paths[m])
	}}, "DomainsDurable", "Transport", "Close", "Concurrency")
}
