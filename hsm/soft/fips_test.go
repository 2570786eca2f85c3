package soft_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest"
	"github.com/trentkms/trent/hsm/soft"
)

// TestFIPSModes runs this package's tests that touch cryptography in processes with fips140=on and fips140=only: what
// is claimed there works, what would panic or fail is ErrUnsupported.
func TestFIPSModes(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("this process is in a FIPS mode itself")
	}
	if testing.Short() {
		t.Skip("two more runs of the suite")
	}
	for mode, tests := range map[string]string{
		"on":   "TestConformanceFIPS|TestTokenSurvives",
		"only": "TestConformanceFIPS|TestTokenSurvives|TestWrongPIN|TestPool.*|TestWycheproofVerify",
	} {
		t.Run(mode, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.short", "-test.run=^("+tests+")$")
			cmd.Env = append(os.Environ(), "GODEBUG=fips140="+mode)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestConformanceFIPS is the part of the suite that depends on the mode.
func TestConformanceFIPS(t *testing.T) {
	if !fips140.Enabled() {
		t.Skip("runs as part of TestFIPSModes")
	}
	want, tests := "on", []string{"Capabilities", "DeriveKey", "MAC", "Encrypt"}
	if fips140.Enforced() {
		want = "only"
		tests = append(tests, "Unclaimed", "Generate", "Sign", "Agree", "Import", "ExportUnder")
	}
	hsmtest.RunOnly(t, func(t *testing.T) hsm.Module {
		m, err := soft.Open(soft.Options{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		if m.Info().FIPS != want {
			t.Errorf("Info().FIPS is %q, want %q", m.Info().FIPS, want)
		}
		return m
	}, hsmtest.Options{Slow: true}, tests...)
}
