package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpuTime is the user and system time of this process in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// each calls f n times, with the numbers from 0, from several goroutines.
func each(callers, n int, f func(i int)) {
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// edSigner stands in for a key of the HSM.
type edSigner struct {
	key ed25519.PrivateKey

	mu   sync.Mutex
	fail error
	n    int
}

func newSigner() *edSigner {
	return &edSigner{key: ed25519.NewKeyFromSeed([]byte("a seed of just thirty-two bytes!"))}
}

func (s *edSigner) Sign(ctx context.Context, digest []byte) (string, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.fail != nil {
		return "", nil, s.fail
	}
	return "head-key-1", ed25519.Sign(s.key, digest), nil
}

func (s *edSigner) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *edSigner) verify(keyID string, digest, sig []byte) error {
	if keyID != "head-key-1" {
		return fmt.Errorf("unknown key %q", keyID)
	}
	if !ed25519.Verify(s.key.Public().(ed25519.PublicKey), digest, sig) {
		return errors.New("the signature does not match")
	}
	return nil
}

// heads collects what OnHead is told, as Raft would: a closed head stays, a checkpoint is replaced by a later one.
type heads struct {
	mu   sync.Mutex
	list map[uint64]Head
	fail error
}

func (h *heads) on(_ context.Context, head Head) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	if h.list == nil {
		h.list = make(map[uint64]Head)
	}
	if old, ok := h.list[head.Segment]; !ok || old.Open {
		h.list[head.Segment] = head
	}
	return nil
}

func (h *heads) all() []Head {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []Head
	for _, head := range h.list {
		list = append(list, head)
	}
	return list
}

// quickFS is a directory without real syncs, which are what makes tests slow. The tests of syncs count the calls.
type quickFS struct{ dirFS }

type quickFile struct{ file }

func (q quickFS) create(name string) (file, error) {
	f, err := q.dirFS.create(name)
	return quickFile{f}, err
}

func (q quickFS) open(name string) (file, error) {
	f, err := q.dirFS.open(name)
	return quickFile{f}, err
}

func (q quickFS) syncDir() error { return nil }

func (quickFile) sync() error { return nil }

// rig is a log under test with all that belongs to it.
type rig struct {
	t      *testing.T
	dir    string
	cfg    Config
	log    *Log
	signer *edSigner
	heads  *heads

	mu    sync.Mutex
	fatal []error
}

// newRig opens a log with small segments.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), signer: newSigner(), heads: &heads{}}
	r.cfg = Config{
		Dir: r.dir, NodeID: "node-1", LogID: "log-1", SegmentSize: 64 << 10, Reserve: 16 << 10, small: true,
		Interval: 5 * time.Millisecond, MinFreeAmber: 1, MinFreeRed: 1,
		Signer: r.signer, OnHead: r.heads.on,
		Fatal: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.fatal = append(r.fatal, err)
		},
	}
	if change != nil {
		change(&r.cfg)
	}
	if r.cfg.fs == nil && r.cfg.Dir == r.dir {
		r.cfg.fs = quickFS{dirFS{r.dir}}
	}
	r.open()
	return r
}

// realFS is a change for newRig: real syncs.
func realFS(c *Config) { c.fs = dirFS{c.Dir} }

func (r *rig) open() {
	r.t.Helper()
	l, err := Open(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.log = l
	r.t.Cleanup(func() { l.Close(context.Background()) })
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.log.Close(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// crash lets go of the log as the end of the process would: nothing is finished, nothing is synced.
func (r *rig) crash() {
	r.t.Helper()
	l := r.log
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.drainers.Wait()
	l.stop()
	l.tasks.Wait()
	l.settling.Wait()
	l.cancel()
	l.signing.Wait()
	l.space.close()
	if l.seg != nil {
		l.seg.f.close()
	}
	l.held.Close()
}

func (r *rig) append(recs ...[]byte) {
	r.t.Helper()
	if err := r.log.Append(context.Background(), recs...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) commit(index uint64, recs ...[]byte) {
	r.t.Helper()
	if err := r.log.AppendCommitted(index, recs...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rotate() Head {
	r.t.Helper()
	h, err := r.log.Rotate(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// verify verifies with all heads and signatures.
func (r *rig) verify() Report {
	r.t.Helper()
	return r.verifyWith(VerifyOptions{Heads: r.heads.all(), VerifyHead: r.signer.verify})
}

func (r *rig) verifyWith(opts VerifyOptions) Report {
	r.t.Helper()
	rep, err := Verify(context.Background(), r.dir, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	return rep
}

// sound fails the test unless the log verifies and has so many records.
func (r *rig) sound(records int) Report {
	r.t.Helper()
	rep := r.verify()
	for _, f := range rep.Findings {
		r.t.Errorf("finding: %s", f)
	}
	if rep.Records != uint64(records) {
		r.t.Errorf("the log has %d records, want %d", rep.Records, records)
	}
	return rep
}

// segments returns the paths of the segments, oldest first.
func (r *rig) segments() []string {
	r.t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "audit-*.jsonl"))
	if err != nil {
		r.t.Fatal(err)
	}
	return paths
}

// lines returns all lines of the log.
func (r *rig) lines() []string {
	r.t.Helper()
	var lines []string
	for _, path := range r.segments() {
		lines = append(lines, splitLines(r.t, path)...)
	}
	return lines
}

func splitLines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func joinLines(t *testing.T, path string, lines []string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

var testTime = time.Date(2022, 11, 24, 0, 26, 58, 0, time.UTC)

const (
	testKeyID  = "1234abcd-12ab-34cd-56ef-1234567890ab"
	testKeyARN = "arn:aws:kms:us-west-2:111122223333:key/" + testKeyID
)

func decryptRecord() *Record {
	return &Record{
		UserIdentity: UserIdentity{
			Type: TypeIAMUser, PrincipalID: "EX_PRINCIPAL_ID", ARN: "arn:aws:iam::111122223333:user/Alice",
			AccountID: "111122223333", AccessKeyID: "EXAMPLE_KEY_ID", UserName: "Alice",
		},
		EventTime: testTime, EventName: "Decrypt", AWSRegion: "us-west-2", SourceIPAddress: "192.0.2.0",
		UserAgent:         "aws-cli/2.15",
		RequestParameters: []byte(`{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"alias/a","encryptionContext":{"k":"v"}}`),
		RequestID:         "b4a65126-30d5-4b28-98b9-9153da559963", EventID: "0e5f6d2c-2c36-4b7b-8c5e-4b0a3f4f9f11", ReadOnly: true,
		Resources:          []Resource{{AccountID: "111122223333", ARN: testKeyARN}},
		RecipientAccountID: "111122223333",
		TLSDetails:         &TLSDetails{TLSVersion: "TLSv1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", ClientProvidedHostHeader: "kms.example.test"},
	}
}

// numbered is a record that can be told from others by its eventID.
func numbered(i int) []byte {
	r := decryptRecord()
	r.EventID = fmt.Sprintf("event-%06d", i)
	r.EventTime = testTime.Add(time.Duration(i) * time.Second)
	return r.AppendJSON(nil)
}
