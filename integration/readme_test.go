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

// TestREADME runs every command of the README, in order, in one shell, as a reader would, against a fresh node.
func TestREADME(t *testing.T) {
	t.Parallel()
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := commandBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no ```sh blocks: the quick start is not tested any more")
	}
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
}

// toolbox makes the programs that the commands need: bin/trent where the build puts it, and an aws that passes the endpoint by
// itself where the installed one is too old to take it from the environment. Commands that fetch or build the program itself
// have been done already.
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
	script("aws", fmt.Sprintf(`exec %q --endpoint-url %q "$@"`, aws, s.Endpoint))
	script("trent", fmt.Sprintf(`[ "$1" = dev ] && exit 0; exec %q "$@"`, binary))
	for _, done := range []string{"git", "make", "go"} {
		script(done, "exit 0")
	}
	return tools
}
