package pkcs11

import (
	"context"
	"crypto/fips140"
	"os"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
)

// softHSMTests are the suite's tests that SoftHSM2 is up to: all but BlobFormat, in whose stead there is
// TestSoftHSMBlobFormat.
var softHSMTests = []string{
	"Describe", "Capabilities", "Unclaimed", "Domains", "DomainsDurable", "DomainPRF", "ExportRefusals", "ExportImport",
	"Transport", "Generate", "Integrity", "Rewrap", "DeriveKey", "MAC", "Sign", "SignOpenSSL", "VerifyForeign", "Encrypt",
	"Agree", "Import", "ImportOpenSSL", "ImportRefusals", "Wycheproof", "WrongUsage", "Destroy", "Close", "Context",
	"Concurrency",
}

// thorough has everything tested, which takes a minute.
var thorough = os.Getenv("TRENT_TEST_THOROUGH") != ""

// TestConformance runs the suite of all modules against SoftHSM2, with unwrapping in this process, of which plain
// SoftHSM2 claims a part (TestSoftHSMCapabilities holds which); and against SoftHSM2 with what it lacks put in front of
// it, where nothing is unwrapped in this process.
func TestConformance(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("the suite needs SHA-1 for SoftHSM2's transport keys, and the tests for what they put in front of it")
	}
	t.Run("SoftHSM2", func(t *testing.T) {
		r := newRigOn(t, func(ck cryptoki) cryptoki { return quickRSA(t, ck) })
		conform(t, r, Config{AllowHostUnwrap: true, AllowOAEPSHA1Transport: true}, softHSMTests)
	})
	t.Run("BetterToken", func(t *testing.T) {
		r := newRigOn(t, func(ck cryptoki) cryptoki { return newBetter(quickRSA(t, ck)) })
		r.ownProfile = true
		conform(t, r, Config{}, nil)
	})
	if thorough {
		t.Run("InToken", func(t *testing.T) {
			conform(t, newRig(t), Config{AllowOAEPSHA1Transport: true}, softHSMTests)
		})
	}
}

func quickRSA(t *testing.T, ck cryptoki) cryptoki {
	if thorough {
		return ck
	}
	return newRSAPool(t, ck)
}

func conform(t *testing.T, r *rig, allow Config, tests []string) {
	pool := &tokenPool{r: r, allow: allow}
	reopen := func(t *testing.T, m hsm.Module) hsm.Module {
		cfg := m.(*Module).cfg
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return r.openFor(t, cfg)
	}
	hsmtest.RunOnly(t, pool.open, hsmtest.Options{Reopen: reopen, Slow: !thorough}, tests...)
}

// tokenPool hands out tokens that are empty but for a transport key, whose generation is what takes long.
type tokenPool struct {
	r     *rig
	allow Config
	free  []Config
}

func (p *tokenPool) open(t *testing.T) hsm.Module {
	t.Helper()
	var cfg Config
	if n := len(p.free); n > 0 {
		cfg, p.free = p.free[n-1], p.free[:n-1]
	} else {
		cfg = p.r.newToken()
		cfg.AllowHostUnwrap, cfg.AllowOAEPSHA1Transport = p.allow.AllowHostUnwrap, p.allow.AllowOAEPSHA1Transport
	}
	t.Cleanup(func() { // runs once the module is closed
		p.clean(t, cfg)
		p.free = append(p.free, cfg)
	})
	return p.r.openFor(t, cfg)
}

// clean destroys what the suite left on the token, but for transport keys.
func (p *tokenPool) clean(t *testing.T, cfg Config) {
	t.Helper()
	m := p.r.openFor(t, cfg)
	defer m.Close()
	_, err := do(context.Background(), m, func(l *lease) (struct{}, error) {
		found, err := l.find(attrs{}.with(pkcs11.CKA_TOKEN, true).with(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY))
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, l.destroyAll(found)
	})
	if err != nil {
		t.Error(err)
	}
}
