package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestIdentityPage runs every command of docs/identity.md, in order, in one shell, with the AWS CLI against a fresh node.
func TestIdentityPage(t *testing.T) {
	t.Parallel()
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "identity.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := trenttest.Start(t, trenttest.Options{Dir: filepath.Join(dir, "trent-data")})
	var script strings.Builder
	script.WriteString("set -eu\n")
	for i, b := range commandBlock.FindAllStringSubmatch(string(page), -1) {
		fmt.Fprintf(&script, "echo '== block %d' >&2\n%s\n", i+1, b[1])
	}
	trap := trenttest.StartTrap(t)
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(trenttest.Offline(os.Environ(), trap.URL), "PATH="+toolbox(t, dir, s)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n\nthe commands were:\n%s", err, out, script.String())
	}
	text := string(out)
	for _, want := range []string{
		"arn:aws:iam::111122223333:user/ann", "denied, as it should be", "not without a context", `"Enabled"`, "denied at once", "unknown at once",
		"An error occurred (AccessDeniedException) when calling the Encrypt operation: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:Encrypt",
		"An error occurred (InvalidClientTokenId) when calling the GetCallerIdentity operation: The security token included in the request is invalid.",
		"arn:aws:sts::111122223333:assumed-role/pods/api-1", "oidc-provider/kubernetes.example  sts.amazonaws.com  from a file",
		`statement: Allow "Tenant" in arn:aws:iam::111122223333:policy/acme`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
