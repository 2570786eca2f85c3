package hsmtest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
)

// planted are modules with one bug each, and the test of the suite that must find it.
var planted = map[string]struct {
	test   string
	breaks func(hsm.Module) hsm.Module
}{
	"none":               {"", func(m hsm.Module) hsm.Module { return m }},
	"binding ignored":    {"Integrity", func(m hsm.Module) hsm.Module { return &unbound{m} }},
	"usage not claimed":  {"Unclaimed", func(m hsm.Module) hsm.Module { return &boastful{m} }},
	"salt of any length": {"VerifyForeign", func(m hsm.Module) hsm.Module { return &lax{m} }},
	"told padding":       {"Encrypt", func(m hsm.Module) hsm.Module { return &oracle{m} }},
	"context ignored":    {"Context", func(m hsm.Module) hsm.Module { return &patient{m} }},
	"any transport key":  {"ExportRefusals", func(m hsm.Module) hsm.Module { return &generous{m} }},
	"second creation":    {"Domains", func(m hsm.Module) hsm.Module { return &forgetful{m} }},
	"reserved label":     {"DomainPRF", func(m hsm.Module) hsm.Module { return &open{m} }},
}

const plantedEnv = "HSMTEST_PLANTED_BUG"

// TestPlantedBug is what TestSuiteFindsBugs runs in a process of its own.
func TestPlantedBug(t *testing.T) {
	name := os.Getenv(plantedEnv)
	if name == "" {
		t.Skip("runs as part of TestSuiteFindsBugs")
	}
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module {
		m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		return planted[name].breaks(m)
	}, hsmtest.Options{Slow: true}, os.Getenv(plantedEnv+"_TEST"))
}

// TestSuiteFindsBugs runs the suite on modules with a planted bug: it must fail in the test named, and pass there
// without the bug.
func TestSuiteFindsBugs(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	run := func(bug, test string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlantedBug$", "-test.v")
		cmd.Env = append(os.Environ(), plantedEnv+"="+bug, plantedEnv+"_TEST="+test)
		return cmd.CombinedOutput()
	}
	for bug, p := range planted {
		if bug == "none" {
			continue
		}
		t.Run(bug, func(t *testing.T) {
			if out, err := run("none", p.test); err != nil {
				t.Fatalf("%s fails on a sound module:\n%s", p.test, out)
			}
			out, err := run(bug, p.test)
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestPlantedBug/"+p.test)) || bytes.Contains(out, []byte("panic:")) {
				t.Errorf("%s does not find the bug: %v\n%s", p.test, err, out)
			}
		})
	}
}

type unbound struct{ hsm.Module }

func (m *unbound) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, _ []byte) (hsm.Wrapped, error) {
	return m.Module.Generate(ctx, id, t, u, nil)
}

func (m *unbound) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	mat.Binding = nil
	return m.Module.Load(ctx, mat)
}

func (m *unbound) Rewrap(ctx context.Context, mat hsm.Material, to hsm.DomainID) (hsm.Wrapped, error) {
	mat.Binding = nil
	return m.Module.Rewrap(ctx, mat, to)
}

type boastful struct{ hsm.Module }

func (m *boastful) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, b []byte) (hsm.Wrapped, error) {
	if t == hsm.Secp256k1 {
		u = hsm.UseSign
	}
	return m.Module.Generate(ctx, id, t, u, b)
}

// wrapKey is a module whose keys are wrapped.
func wrapKey(k hsm.Key, err error, wrap func(hsm.Key) hsm.Key) (hsm.Key, error) {
	if err != nil {
		return nil, err
	}
	return wrap(k), nil
}

type lax struct{ hsm.Module }

func (m *lax) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	k, err := m.Module.Load(ctx, mat)
	return wrapKey(k, err, func(k hsm.Key) hsm.Key { return &laxKey{k} })
}

type laxKey struct{ hsm.Key }

func (k *laxKey) Verify(ctx context.Context, alg hsm.Algorithm, in, sig []byte) (bool, error) {
	ok, err := k.Key.Verify(ctx, alg, in, sig)
	return ok || alg == hsm.RSAPSSSHA512 && len(sig) == 256, err
}

type oracle struct{ hsm.Module }

func (m *oracle) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	k, err := m.Module.Load(ctx, mat)
	return wrapKey(k, err, func(k hsm.Key) hsm.Key { return &oracleKey{k} })
}

type oracleKey struct{ hsm.Key }

func (k *oracleKey) Decrypt(ctx context.Context, alg hsm.Algorithm, c []byte) ([]byte, error) {
	if len(c)%128 != 0 {
		return nil, hsm.ErrInvalidInput // a text of its own for wrong lengths
	}
	return k.Key.Decrypt(ctx, alg, c)
}

type patient struct{ hsm.Module }

func (m *patient) Random(ctx context.Context, b []byte) error {
	return m.Module.Random(context.WithoutCancel(ctx), b)
}

type generous struct{ hsm.Module }

func (m *generous) ExportDomain(ctx context.Context, id hsm.DomainID, to hsm.TransportKey) ([]byte, error) {
	to.Mechanism = hsm.WrapOAEPSHA256
	return m.Module.ExportDomain(ctx, id, to)
}

type forgetful struct{ hsm.Module }

func (m *forgetful) CreateDomain(ctx context.Context, id hsm.DomainID) error {
	if has, err := m.HasDomain(ctx, id); has || err != nil {
		return err
	}
	return m.Module.CreateDomain(ctx, id)
}

type open struct{ hsm.Module }

func (m *open) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) ([32]byte, error) {
	if label == hsm.LabelWrapped {
		label = "harmless"
	}
	return m.Module.DomainPRF(ctx, id, label, input)
}
