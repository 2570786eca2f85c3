package cluster_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestHungHSM hangs the module of the leader of three nodes that share a token of SoftHSM2: the node says so and gives leadership
// away, the others serve all the time, and it serves again once its calls return.
func TestHungHSM(t *testing.T) {
	tokens := t.TempDir()
	conf := filepath.Join(tokens, "softhsm2.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	real := softHSMModule(t)
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "trent", "--pin", "1234567890abcdef", "--so-pin", "1234567890abcdef").CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	r := emptyRegion(t)
	r.shape = func(p *process) string {
		p.ops = free(t)
		return plain(p) + fmt.Sprintf("listener \"ops\" {\n  address = %q\n}\n", p.ops)
	}
	r.hsm = func(p *process) string {
		return fmt.Sprintf("hsm \"pkcs11\" {\n  module = %q\n  token = \"trent\"\n  pin_file = \"pin\"\n}\n", hangingModule(t, p, real))
	}
	r.build()
	leader := r.leader()
	others := slices.DeleteFunc(slices.Clone(r.nodes), func(p *process) bool { return p == leader })
	made, err := r.client(leader, 5).CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(p *process) error {
		_, err := r.client(p, 5).Encrypt(ctx(t), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")})
		return err
	}
	if err := os.WriteFile(hangFile(leader), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hung := time.Now()
	r.eventually("/readyz of the node names the HSM", func() bool {
		status, text := readyz(leader)
		return status == http.StatusServiceUnavailable && strings.Contains(text, "hsm: ")
	})
	red := time.Since(hung)
	r.eventually("another node leads", func() bool {
		if err := encrypt(others[0]); err != nil {
			t.Errorf("on another node: %v", err)
		}
		return r.leader() != leader
	})
	t.Logf("red after %v, another leader after %v", red.Round(time.Millisecond), time.Since(hung).Round(time.Millisecond))
	if log := leader.log.String(); !strings.Contains(log, "this node gives leadership away") || !strings.Contains(log, "the HSM has not answered for") {
		t.Error("the node does not say why it gave leadership away")
	}
	for _, p := range others {
		if _, err := r.client(p, 5).CreateKey(ctx(t), &kms.CreateKeyInput{}); err != nil {
			t.Errorf("CreateKey on %s: %v", p.name, err)
		}
		if err := encrypt(p); err != nil {
			t.Errorf("Encrypt on %s: %v", p.name, err)
		}
		if status, text := readyz(p); status != http.StatusOK {
			t.Errorf("%s is red: %s", p.name, text)
		}
	}
	if err := os.Remove(hangFile(leader)); err != nil {
		t.Fatal(err)
	}
	r.eventually("the node is ready again", func() bool { status, _ := readyz(leader); return status == http.StatusOK })
	if err := encrypt(leader); err != nil {
		t.Errorf("on the node that is back: %v", err)
	}
}

func readyz(p *process) (status int, text string) {
	res, err := (&http.Client{Timeout: 10 * time.Second}).Get("http://" + p.ops + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// hangFile is the file that has a node's module hang while it is there.
func hangFile(p *process) string { return filepath.Join(p.dir, "hang") }

// hangingModule builds a node's own module around the real one.
func hangingModule(t *testing.T, p *process, real string) string {
	t.Helper()
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.dir, "hang.so")
	out, err := exec.Command("cc", "-shared", "-fPIC", "-I", strings.TrimSpace(string(headers)),
		fmt.Sprintf("-DREAL=%q", real), fmt.Sprintf("-DHANG=%q", hangFile(p)), "-o", path, "testdata/hang.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v: %s", err, out)
	}
	return path
}
