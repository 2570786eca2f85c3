package cluster_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestDomainKeyAndRecovery goes through what happens to a region's domain key, its majority and its root credentials in a long
// life, as an operator does it.
func TestDomainKeyAndRecovery(t *testing.T) {
	r := newRegion(t)
	t.Run("rotation and destruction under traffic, with a leader killed", r.destroyDomainKey)
	t.Run("debug bundle", r.debugBundle)
	t.Run("lost majority", r.lostMajority)
	t.Run("lost root credentials", r.lostRoot)
}

// rotated is what operator rotate-domain-key prints.
type rotated struct {
	To    uint32
	Phase string
	Done  uint64
}

func (r *regionOf) destroyDomainKey(t *testing.T) {
	defer r.in(t)()
	made, err := r.client(r.nodes[0], 1).CreateKey(ctx(t), &kms.CreateKeyInput{Description: aws.String("described")})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	old := filepath.Join(r.dir, "old.snapshot")
	r.must("operator", "snapshot", "save", old, "--config", r.nodes[0].config)
	run, cancel := context.WithCancel(t.Context())
	var (
		mu      sync.Mutex
		all     []sealed
		clients sync.WaitGroup
	)
	for i, p := range r.nodes {
		c := r.client(p, 1)
		clients.Go(func() {
			for n := 0; run.Err() == nil; n++ {
				plaintext := []byte{byte(i), byte(n), byte(n >> 8), 'x'}
				out, err := c.Encrypt(run, &kms.EncryptInput{KeyId: id, Plaintext: plaintext})
				if err != nil {
					if refusal(err) {
						t.Errorf("refused: %v", err)
					}
					continue
				}
				mu.Lock()
				all = append(all, sealed{plaintext, out.CiphertextBlob})
				mu.Unlock()
				r.opens(run, t, c, sealed{plaintext, out.CiphertextBlob})
			}
		})
	}
	if code, text := r.exitCode("operator", "rotate-domain-key", "--destroy-old", "--config", r.nodes[0].config); code != 3 || !strings.Contains(text, "is dead") {
		t.Errorf("without --yes: exit code %d, %s", code, text)
	}
	r.must("operator", "rotate-domain-key", "--no-wait", "--config", r.nodes[0].config)
	leader := r.leader()
	leader.kill()
	leader.start()
	leader.await()
	r.eventually("the rotation is done", func() bool {
		var st struct{ Rotation struct{ Phase string } }
		out, err := r.run("operator", "status", "--format", "json", "--config", r.nodes[0].config)
		return err == nil && json.Unmarshal(out, &st) == nil && st.Rotation.Phase == "done"
	})
	r.awaitVoters(3)
	var st rotated
	out := r.must("operator", "rotate-domain-key", "--destroy-old", "--yes", "--format", "json", "--config", r.nodes[1].config)
	if err := json.Unmarshal(out, &st); err != nil || st.To != 3 || st.Phase != "done" || st.Done < 3 {
		t.Errorf("%s, %v", out, err)
	}
	cancel()
	clients.Wait()
	if len(all) < 100 {
		t.Errorf("%d ciphertexts: too little traffic to prove anything", len(all))
	}
	for i, p := range r.nodes {
		c := r.client(p, 3)
		for n := i; n < len(all); n += 1 + len(all)/100 {
			r.opens(ctx(t), t, c, all[n])
		}
	}
	if code, _ := r.exitCode("operator", "snapshot", "verify", old, "--config", r.nodes[0].config); code != 1 {
		t.Errorf("a snapshot of before opens after its domain key was destroyed: exit code %d", code)
	}
	r.must("operator", "snapshot", "verify", old, "--digest-only")
	// Every node starts again with what it keeps sealed on its disk.
	for _, p := range r.nodes {
		p.kill()
		p.start()
		p.await()
	}
	r.awaitVoters(3)
	t.Logf("%d ciphertexts", len(all))
}

// debugBundle plants a secret wherever one could be and looks for it.
func (r *regionOf) debugBundle(t *testing.T) {
	defer r.in(t)()
	p := r.nodes[0]
	const planted = "planted-secret-in-the-configuration"
	p.edit(t, func(text string) string { return text + "\n# " + planted + "\n" })
	c := r.client(p, 3)
	secret := []byte("planted-plaintext-of-a-client")
	made, err := c.CreateKey(ctx(t), &kms.CreateKeyInput{Description: aws.String("planted-description")})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decrypt(ctx(t), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(r.must("operator", "join-token", "create", "--config", p.config)))
	path := filepath.Join(r.dir, "debug.tar.gz")
	r.must("operator", "debug", "bundle", path, "--config", p.config)
	files := bundle(t, path)
	for _, name := range []string{"status.json", "members.json", "metrics.txt", "goroutines.txt", "version.txt", "config.hcl", "health.txt", "hsm.json"} {
		if len(files[name]) == 0 {
			t.Errorf("%s is missing", name)
		}
	}
	for name, data := range files {
		for _, bad := range []string{planted, string(secret), "planted-description", *made.KeyMetadata.KeyId, token, r.secret, r.key, "1234567890abcdef",
			base64.StdEncoding.EncodeToString(secret)} {
			if bytes.Contains(data, []byte(bad)) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
	}
	if !bytes.Contains(files["config.hcl"], []byte("pin_file = \"pin\"")) {
		t.Errorf("the configuration is of no use:\n%s", files["config.hcl"])
	}
}

func bundle(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[filepath.Base(h.Name)], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *regionOf) lostMajority(t *testing.T) {
	defer r.in(t)()
	last := r.nodes[2]
	c := r.client(last, 5)
	made, err := c.CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Encrypt(ctx(t), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if code, text := r.exitCode("operator", "recover", "quorum", "--dry-run", "--config", last.config); code != 1 || !strings.Contains(text, "in use") {
		t.Errorf("on a running node: exit code %d, %s", code, text)
	}
	for _, p := range r.nodes {
		p.kill()
	}
	var report struct {
		OldCluster, ClusterID, Kept string
		Left                        []string
		Keys                        int
	}
	if err := json.Unmarshal(r.must("operator", "recover", "quorum", "--dry-run", "--format", "json", "--config", last.config), &report); err != nil ||
		report.ClusterID != "" || len(report.Left) != 2 || report.Keys == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if code, _ := r.exitCode("operator", "recover", "quorum", "--config", last.config); code != 3 {
		t.Errorf("without --yes: exit code %d", code)
	}
	if err := json.Unmarshal(r.must("operator", "recover", "quorum", "--yes", "--format", "json", "--config", last.config), &report); err != nil || report.ClusterID == report.OldCluster {
		t.Errorf("%+v, %v", report, err)
	}
	last.start()
	last.await()
	r.opens(ctx(t), t, c, sealed{[]byte("kept"), out.CiphertextBlob})
	if _, err := c.CreateKey(ctx(t), &kms.CreateKeyInput{}); err != nil {
		t.Error(err)
	}
	r.audited(t, last, "RecoverQuorum")
	// A node of the old cluster that comes back finds nobody, and a new node joins.
	r.nodes[0].start()
	fresh := r.join(last)
	r.opens(ctx(t), t, r.client(fresh, 5), sealed{[]byte("kept"), out.CiphertextBlob})
	r.eventually("the new node has its vote", func() bool {
		all, err := r.members(last)
		return err == nil && len(all) == 2 && all[0].Voter && all[1].Voter
	})
	r.nodes[0].kill()
}

func (r *regionOf) lostRoot(t *testing.T) {
	defer r.in(t)()
	p := r.nodes[2]
	before := r.client(p, 1)
	var given struct{ AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal(r.must("operator", "recover", "root-credentials", "--revoke-old", "--format", "json", "--config", p.config), &given); err != nil {
		t.Fatal(err)
	}
	if _, err := before.ListKeys(ctx(t), &kms.ListKeysInput{}); err == nil || !strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("the old root credentials are good still: %v", err)
	}
	r.key, r.secret = given.AccessKeyID, given.SecretAccessKey
	if _, err := r.client(p, 1).ListKeys(ctx(t), &kms.ListKeysInput{}); err != nil {
		t.Errorf("the new root credentials: %v", err)
	}
	limit := time.Now().Add(10 * time.Second)
	for !bytes.Contains(r.must("audit", "search", filepath.Join(p.dir, "data", "audit"), "--event", "RecoverRootCredentials"), []byte("RecoverRoot")) {
		if time.Now().After(limit) {
			t.Fatal("no audit record")
		}
	}
	if bytes.Contains([]byte(p.log.String()), []byte(given.SecretAccessKey)) {
		t.Error("the secret is in the log")
	}
}
