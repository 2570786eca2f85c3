package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/trenttest"
)

// commandBlock is a block of a page that a reader is meant to run: ```sh. What is shown with a prompt is ```console.
var commandBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// answers are what the commands of a page have to print.
var answers = map[string][]string{
	"identity.md": {
		"arn:aws:iam::111122223333:user/ann", "denied, as it should be", "not without a context", `"Enabled"`, "denied at once", "unknown at once",
		"An error occurred (AccessDeniedException) when calling the Encrypt operation: User: arn:aws:iam::111122223333:user/ann is not authorized to perform: kms:Encrypt",
		"An error occurred (InvalidClientTokenId) when calling the GetCallerIdentity operation: The security token included in the request is invalid.",
		"arn:aws:sts::111122223333:assumed-role/pods/api-1", "oidc-provider/kubernetes.example  sts.amazonaws.com  from a file",
		`statement: Allow "Tenant" in arn:aws:iam::111122223333:policy/acme`,
	},
}

// TestDocumentedCommands runs every command of the README and of the documentation, page by page: in order, in one shell, as a
// reader would, against a fresh node.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := filepath.Join(root, "README.md")
	for _, page := range append(pages, readme) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := commandBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			if page == readme {
				t.Error("the README has no ```sh blocks: the quick start is not tested any more")
			}
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			out := runBlocks(t, blocks)
			for _, want := range answers[filepath.Base(page)] {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %q", want)
				}
			}
		})
	}
}

// runBlocks runs the commands of a page and returns what they printed.
func runBlocks(t *testing.T, blocks [][]string) string {
	dir := t.TempDir()
	s := trenttest.Start(t, trenttest.Options{Dir: filepath.Join(dir, "trent-data")}) // make run does this
	var script strings.Builder
	script.WriteString("set -eu\n")
	for i, b := range blocks {
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
	t.Logf("%s", out)
	return string(out)
}

// toolbox makes the programs that the commands need: bin/trent where the build puts it, and an aws that passes the endpoint by
// itself, since an installed one may be too old to take it from the environment. One that is too old to know a command may pass
// it over. Commands that fetch or build the program itself have been done already.
func toolbox(t *testing.T, dir string, s *trenttest.Server) string {
	t.Helper()
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	bin, tools := filepath.Join(dir, "bin"), filepath.Join(dir, "tools")
	for _, d := range []string{bin, tools} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(binary, filepath.Join(bin, "trent")); err != nil {
		t.Fatal(err)
	}
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	aws, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS CLI is not installed; .ci/tools installs it")
	}
	// A home of its own: the CLI keeps the credentials of roles there, whatever server they are of.
	call := fmt.Sprintf(`HOME=%q %q --endpoint-url %q "$@"`, dir, aws, s.Endpoint)
	if oldCLI(t, aws) {
		call += ` 2>"$0.err" && exit 0
code=$?
cat "$0.err" >&2
grep -qE 'Invalid choice|Unknown options' "$0.err" && echo "this AWS CLI does not know: aws $*" >&2 && exit 0
exit $code`
	}
	script("aws", call)
	script("trent", fmt.Sprintf(`[ "$1" = dev ] && exit 0; exec %q "$@"`, binary))
	for _, done := range []string{"git", "make", "go"} {
		script(done, "exit 0")
	}
	return tools
}

// oldCLI tells whether an AWS CLI lacks operations of 2024 that the pages show.
func oldCLI(t *testing.T, aws string) bool {
	t.Helper()
	out, err := exec.Command(aws, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("aws --version: %v\n%s", err, out)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "aws-cli/%d.%d.", &major, &minor); err != nil {
		t.Fatalf("aws --version says %q: %v", out, err)
	}
	return major == 1 && minor < 33 || major == 2 && minor < 16
}
