package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestExitCodes holds what scripts rely on: a mistake in the command line or the configuration is told from a failure.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		args string
		want int
		text string
	}{
		{"bogus", exitUsage, "bogus"},
		{"audit bogus", exitUsage, "bogus"},
		{"operator bogus", exitUsage, "bogus"},
		{"dev extra", exitUsage, "extra"},
		{"dev --nope", exitUsage, "nope"},
		{"dev --listen nowhere --data " + dir, exitUsage, "host:port"},
		{"server --config " + filepath.Join(dir, "none.hcl"), exitUsage, "configuration"},
		{"audit verify", exitUsage, "1 arg"},
		{"operator regions extra", exitUsage, "extra"},
		{"operator federate confirm", exitUsage, "1 arg"},
		{"operator federate token us-east-1 --life 0s", exitUsage, "--life"},
		{"operator join-token create --life -1m", exitUsage, "--life"},
		{"operator region forget", exitUsage, "1 arg"},
		{"audit verify --format xml " + dir, exitUsage, "text or json"},
		{"audit search --limit 0 " + dir, exitUsage, "at least 1"},
		{"audit verify " + filepath.Join(dir, "none"), exitFailed, "no such file"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := root()
			cmd.SetArgs(strings.Fields(tt.args))
			cmd.SetOut(io.Discard)
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v, want an error with %q", err, tt.text)
			}
			if got := exitCode(err); got != tt.want {
				t.Errorf("exit code %d for %v, want %d", got, err, tt.want)
			}
		})
	}
}
