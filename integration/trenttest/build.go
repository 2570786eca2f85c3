package trenttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
)

// Environment variables that choose what is tested.
const (
	// EnvBinary names a trent binary to test instead of building one.
	EnvBinary = "TRENT_TEST_BINARY"
	// EnvRace, if set, builds the binary with the race detector; its reports fail the test of the node that made them.
	EnvRace = "TRENT_TEST_RACE"
)

// build is the binary of this test process.
var build struct {
	once sync.Once
	path string
	dir  string // to be removed, "" if nothing was built
	err  error
}

// Binary returns the path of the trent binary, which is built at the first call.
func Binary() (string, error) {
	build.once.Do(func() { build.path, build.err = makeBinary() })
	return build.path, build.err
}

func makeBinary() (string, error) {
	if path := os.Getenv(EnvBinary); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "trent-binary-")
	if err != nil {
		return "", err
	}
	build.dir = dir
	path := filepath.Join(dir, "trent")
	return path, BuildTo(path)
}

// BuildTo builds trent with further build tags, as it is released but for the RSA keys of embedded HSMs, which are published ones.
func BuildTo(path string, tags ...string) error {
	tags = append(slices.Clone(tags), publishedrsa.Tag)
	args := []string{"build", "-tags", strings.Join(tags, ","), "-ldflags", "-s -w", "-o", path}
	if os.Getenv(EnvRace) != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/trentkms/trent/cmd/trent")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build trent: %w\n%s", err, out)
	}
	return nil
}

func removeBinary() {
	if build.dir != "" {
		_ = os.RemoveAll(build.dir)
	}
}

// Root returns the directory of the module, found from the working directory of the test.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
