package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/chaos/history"
	"github.com/trentkms/trent/integration/ports"
	"github.com/trentkms/trent/integration/trenttest"
)

func TestMain(m *testing.M) { os.Exit(trenttest.Main(m)) }

const (
	testAccount = "111122223333"
	testRegion  = "eu-central-1"
	testPIN     = "a PIN that must be nowhere"
)

// startCluster starts three nodes. restart kills one of them and starts it again.
func startCluster(t *testing.T, timeout time.Duration) (target *Target, restart func(node int)) {
	t.Helper()
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "trent-") // not t.TempDir: the path of a Unix socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	target = &Target{Account: testAccount, Clock: history.NewClock(), Binary: binary, Timeout: timeout, Secrets: map[string]string{"the PIN": testPIN}, Regions: []Region{{Name: testRegion}}}
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("trent %v: %v", args, err)
		}
		return out
	}
	var (
		first, via string
		kill       []func()
		configs    []string
	)
	for i := range 3 {
		name := fmt.Sprint("n", i+1)
		home := filepath.Join(dir, name)
		config, api, peer := filepath.Join(home, "node.hcl"), freeAddress(t), freeAddress(t)
		write(t, config, fmt.Sprintf(nodeConfig, testRegion, testAccount, api, peer))
		write(t, filepath.Join(home, "pin"), testPIN+"\n")
		if i == 0 {
			var made struct{ AccessKeyID, SecretAccessKey string }
			if err := json.Unmarshal(run("operator", "init", "--format", "json", "--config", config), &made); err != nil {
				t.Fatal(err)
			}
			target.Root = Credentials{AccessKeyID: made.AccessKeyID, Secret: made.SecretAccessKey}
			first, via = config, peer
		} else {
			write(t, filepath.Join(home, "token"), string(run("operator", "join-token", "create", "--config", first)))
			run("operator", "join", "--config", config, "--token-file", filepath.Join(home, "token"), "--via", via)
		}
		n := Node{Name: name, URL: "http://" + api, DataDir: filepath.Join(home, "data"), AuditDir: filepath.Join(home, "data", "audit"), Logs: []string{filepath.Join(home, "log")}}
		n.AdminSocket = filepath.Join(n.DataDir, "admin.sock")
		kill, configs = append(kill, startNode(t, binary, config, n.Logs[0])), append(configs, config)
		target.Regions[0].Nodes = append(target.Regions[0].Nodes, n)
		awaitNode(t, target, n)
	}
	t.Cleanup(target.Close)
	return target, func(i int) {
		kill[i]()
		time.Sleep(500 * time.Millisecond)
		n := target.Regions[0].Nodes[i]
		kill[i] = startNode(t, binary, configs[i], n.Logs[0])
		awaitNode(t, target, n)
	}
}

const nodeConfig = `
region   = %q
account  = %q
data_dir = "data"
hsm "embedded" {
  pin_file = "pin"
}
listener "api" {
  address    = %q
  plain_http = true
}
cluster {
  address = %q
}
audit {
  segment_size = 1048576
}
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := ports.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func startNode(t *testing.T, binary, config, log string) (kill func()) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "server", "--config", config)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = f.Close()
	})
	t.Cleanup(func() {
		kill()
		if t.Failed() {
			if text, err := os.ReadFile(log); err == nil {
				t.Logf("%s:\n%s", log, text[max(0, len(text)-3000):])
			}
		}
	})
	return kill
}

func awaitNode(t *testing.T, target *Target, n Node) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := target.KMS(testRegion, n.URL, target.Root).ListKeys(ctx, &kms.ListKeysInput{})
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not serve: %v", n.Name, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
