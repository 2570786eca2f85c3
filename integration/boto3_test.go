package integration_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestBoto3 runs a Python client. It is skipped where boto3 is not installed or too old to take the endpoint from the environment:
// the AWS CLI is built on the same code.
func TestBoto3(t *testing.T) {
	t.Parallel()
	const usable = "import boto3; assert tuple(map(int, boto3.__version__.split('.')[:2])) >= (1, 29), boto3.__version__"
	if out, err := exec.Command("python3", "-c", usable).CombinedOutput(); err != nil {
		t.Skipf("python3 has no boto3 1.29 or later: %v %s", err, out)
	}
	s := trenttest.Start(t, trenttest.Options{})
	proxy := trenttest.StartTrap(t)
	env, err := s.Environ(os.Environ(), proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "-B", "testdata/smoke.py")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "ok") {
		t.Errorf("%v\n%s", err, out)
	}
}
