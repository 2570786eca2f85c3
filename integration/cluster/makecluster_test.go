package cluster_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/ports"
	"github.com/trentkms/trent/integration/trenttest"
)

// TestMakeCluster runs what make cluster runs, twice on the same data: it serves behind HAProxy, a killed node does no harm, and an
// interrupt leaves nothing behind.
func TestMakeCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six nodes")
	}
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "trent-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	first, err := ports.Range(30)
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(first)
	id := ""
	for round := range 2 {
		log := &trenttest.Buffer{}
		cmd := exec.Command(filepath.Join(root, ".ci", "cluster"))
		cmd.Env = append(os.Environ(), "TRENT_BINARY="+binary, "TRENT_CLUSTER_PORT="+port, "TRENT_CLUSTER_DIR="+dir)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt reaches all of it, as Ctrl-C does
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		r := &regionOf{t: t}
		r.eventually("the region is there", func() bool {
			if syscall.Kill(cmd.Process.Pid, 0) != nil {
				t.Fatalf("ended:\n%s", log)
			}
			return strings.Contains(log.String(), "Ctrl-C stops all of it")
		})
		client := clientOf(t, filepath.Join(dir, "env.sh"))
		if round == 0 {
			made, err := client.CreateKey(ctx(t), &kms.CreateKeyInput{})
			if err != nil {
				t.Fatal(err)
			}
			id = *made.KeyMetadata.KeyId
		}
		if err := syscall.Kill(pidIn(t, filepath.Join(dir, "n1", "pid")), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := client.Encrypt(ctx(t), &kms.EncryptInput{KeyId: &id, Plaintext: []byte("x")}); err != nil {
				t.Errorf("after a node was killed: %v", err)
			}
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "stopped; the data is in") {
			t.Errorf("after an interrupt: %v\n%s", err, log)
		}
		for _, n := range []string{"n2", "n3"} {
			if syscall.Kill(pidIn(t, filepath.Join(dir, n, "pid")), 0) == nil {
				t.Errorf("%s still runs", n)
			}
		}
	}
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

var exported = regexp.MustCompile(`([A-Z_]+)='?([^' \n]*)'?`)

// clientOf is a client by an env.sh.
func clientOf(t *testing.T, file string) *kms.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range exported.FindAllStringSubmatch(string(text), -1) {
		env[m[1]] = m[2]
	}
	return kms.New(kms.Options{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL_KMS"]), HTTPClient: &http.Client{Timeout: 30 * time.Second},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"]}, nil
		}),
	})
}
