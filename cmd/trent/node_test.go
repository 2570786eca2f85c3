package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cmd/trent/config"
)

// testConfig is the configuration of an embedded node in a directory of the test's.
func testConfig(t *testing.T) *config.File {
	t.Helper()
	dir := t.TempDir()
	f := &config.File{
		Region: "us-east-1", Account: "111122223333", DataDir: dir,
		HSM:       config.HSM{Kind: "embedded", PINFile: filepath.Join(dir, "pin")},
		Listeners: []config.Listener{{Name: "api", Address: "127.0.0.1:0", PlainHTTP: true}},
		Audit:     &config.Audit{SegmentSize: 1 << 20},
	}
	if err := f.Complete(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.HSM.PINFile, []byte("a test PIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestOpenNodeReportsFailures holds that a part that cannot be opened is an error that names it, at every depth: what was opened
// before is closed, and soon, although nobody can sign the audit's heads.
func TestOpenNodeReportsFailures(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		spoil      func(*testing.T, *config.File)
	}{
		{"HSM: no PIN", "read the HSM's PIN", func(t *testing.T, f *config.File) { remove(t, f.HSM.PINFile) }},
		{"audit: a file where its folder should be", "audit", func(t *testing.T, f *config.File) {
			if err := os.WriteFile(f.Audit.Dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"cluster: a file where its folder should be", "raft", func(t *testing.T, f *config.File) {
			if err := os.WriteFile(filepath.Join(f.DataDir, "raft"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := testConfig(t)
			tt.spoil(t, f)
			began := time.Now()
			n, err := openNode(f, slog.New(slog.DiscardHandler), true)
			if n != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got node %v and error %v, want an error with %q", n != nil, err, tt.want)
			}
			if took := time.Since(began); took > 25*time.Second { // signing a head is given up after 30 s
				t.Errorf("it took %v to give up", took)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// TestReadyRefusesAnotherRegion holds that a node serves its data directory's region and no other: under another name all its keys
// would have other ARNs.
func TestReadyRefusesAnotherRegion(t *testing.T) {
	if testing.Short() {
		t.Skip("opens tokens again and again, which takes long under the race detector and has no concurrency of its own")
	}
	f := testConfig(t)
	n := openTestNode(t, f, true)
	o := devOptions{region: f.Region, account: f.Account}
	if _, _, err := o.initialize(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := n.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.close(t.Context())

	f.Region = "eu-west-1"
	n = openTestNode(t, f, false)
	defer n.close(t.Context())
	if err := n.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "holds region us-east-1") {
		t.Errorf("got %v, want an error that names the region of the data", err)
	}
}

// TestReadyRefusesAnEmptyRegion holds that a node whose initialization was cut off says what to do.
func TestReadyRefusesAnEmptyRegion(t *testing.T) {
	if testing.Short() {
		t.Skip("opens tokens again and again, which takes long under the race detector and has no concurrency of its own")
	}
	n := openTestNode(t, testConfig(t), true)
	defer n.close(t.Context())
	if err := n.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "operator init") {
		t.Errorf("got %v, want an error that names 'trent operator init'", err)
	}
}

func openTestNode(t *testing.T, f *config.File, bootstrap bool) *node {
	t.Helper()
	n, err := openNode(f, slog.New(slog.DiscardHandler), bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCutOffAuditLog holds that a log that ends before its committed head is reported at the start, and is found by an auditor who has
// the head: nothing in the log itself tells of an end that was removed.
func TestCutOffAuditLog(t *testing.T) {
	if testing.Short() {
		t.Skip("opens tokens again and again, which takes long under the race detector and has no concurrency of its own")
	}
	f := testConfig(t)
	n := openTestNode(t, f, true)
	o := devOptions{region: f.Region, account: f.Account}
	if _, _, err := o.initialize(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	chain := strings.Repeat("ab", 32)
	head := audit.Head{
		Version: 1, Node: n.cluster.Identity().NodeID, Segment: 7, File: "audit-000000000007-20260101T000000Z.jsonl", PrevChain: chain,
		FirstSeq: 90, LastSeq: 100, Records: 11, Bytes: 1000, Chain: chain,
	}
	id, sig, err := headSigner{n}.Sign(t.Context(), head.Digest())
	if err != nil {
		t.Fatal(err)
	}
	head.KeyID, head.Signature = id, base64.StdEncoding.EncodeToString(sig)
	if err := n.commitHead(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	n.close(t.Context())

	var logged strings.Builder
	n, err = openNode(f, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError})), false)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close(t.Context())
	if err := n.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "committedRecord=100") {
		t.Errorf("the start did not report the missing records:\n%s", &logged)
	}
	cmd := root()
	cmd.SetArgs([]string{"audit", "verify", f.Audit.Dir})
	cmd.SetOut(io.Discard)
	if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, errFindings) {
		t.Errorf("verify returned %v, want findings", err)
	}
}

// TestHeadSignerWaitsForTheNode holds that a signature asked for while the node opens waits, and ends with its context.
func TestHeadSignerWaitsForTheNode(t *testing.T) {
	n := &node{opened: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := (headSigner{n}).Sign(ctx, make([]byte, 32)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
