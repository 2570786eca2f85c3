// Package cluster_test runs regions of several nodes as processes of their own, as an operator sets them up: operator init,
// join-token create, join, server. Nodes are killed with SIGKILL.
package cluster_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/ports"
	"github.com/trentkms/trent/integration/trenttest"
)

func TestMain(m *testing.M) { os.Exit(trenttest.Main(m)) }

const account = "111122223333"

// regionOf is a region and its nodes.
type regionOf struct {
	t           testing.TB
	dir, binary string
	nodes       []*process
	key, secret string
	// shape completes a node's addresses and returns the part of its configuration that follows the HSM.
	shape func(p *process) string
	// hsm is the HSM of a node's configuration; nil: an embedded one.
	hsm func(p *process) string
	// roots are the authorities of the nodes' certificates; nil if they serve without TLS.
	roots *x509.CertPool
}

// process is one node.
type process struct {
	region        *regionOf
	name, id      string
	dir, config   string
	api, clusterA string
	ops           string // address of health and metrics, "" for none
	binary        string
	cmd           *exec.Cmd
	log           *trenttest.Buffer
	ended         chan struct{}
}

// newRegion makes a region of three nodes; the second and third join through the one before them.
func newRegion(t testing.TB) *regionOf {
	t.Helper()
	return newRegionOf(t, plain, nil)
}

// newRegionOf is newRegion with another configuration.
func newRegionOf(t testing.TB, shape func(p *process) string, roots *x509.CertPool) *regionOf {
	t.Helper()
	r := emptyRegion(t)
	r.shape, r.roots = shape, roots
	r.build()
	return r
}

// build makes the three nodes of an empty region.
func (r *regionOf) build() {
	t := r.t
	t.Helper()
	first := r.configure()
	var made struct{ NodeID, AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal(r.must("operator", "init", "--format", "json", "--config", first.config), &made); err != nil {
		t.Fatal(err)
	}
	first.id, r.key, r.secret = made.NodeID, made.AccessKeyID, made.SecretAccessKey
	first.start()
	first.await()
	for range 2 {
		r.join(r.nodes[len(r.nodes)-1])
	}
	r.awaitVoters(3)
}

// emptyRegion is a region without nodes.
func emptyRegion(t testing.TB) *regionOf {
	t.Helper()
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: the path of a Unix socket is short.
	dir, err := os.MkdirTemp("", "trent-")
	if err != nil {
		t.Fatal(err)
	}
	r := &regionOf{t: t, dir: dir, binary: binary, shape: plain}
	t.Cleanup(r.end)
	return r
}

// end stops what runs and shows the nodes' logs if the test failed.
func (r *regionOf) end() {
	for _, p := range r.nodes {
		p.kill()
		if log := p.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic: ") {
			r.t.Errorf("%s has a data race or panicked", p.name)
		}
	}
	if r.t.Failed() {
		for _, p := range r.nodes {
			log := p.log.String()
			r.t.Logf("%s (%s):\n%s", p.name, p.id, log[max(0, len(log)-6000):])
		}
	}
	_ = os.RemoveAll(r.dir)
}

// configure makes the directory and the configuration of a further node.
func (r *regionOf) configure() *process {
	r.t.Helper()
	p := &process{region: r, name: fmt.Sprint("n", len(r.nodes)+1), log: &trenttest.Buffer{}, binary: r.binary}
	p.dir = filepath.Join(r.dir, p.name)
	p.config = filepath.Join(p.dir, "node.hcl")
	p.api, p.clusterA = free(r.t), free(r.t)
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	module := "hsm \"embedded\" {\n  pin_file = \"pin\"\n}\n"
	if r.hsm != nil {
		module = r.hsm(p)
	}
	text := fmt.Sprintf("region = \"eu-central-1\"\naccount = %q\ndata_dir = \"data\"\n%s%s", account, module, r.shape(p))
	for name, content := range map[string]string{"node.hcl": text, "pin": "1234567890abcdef\n"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.nodes = append(r.nodes, p)
	return p
}

// plain is a node that serves its API without TLS and stops at once.
func plain(p *process) string {
	return fmt.Sprintf(`
listener "api" {
  address    = %q
  plain_http = true
}
cluster {
  address     = %q
  drain_delay = "0s"
}
audit {
  segment_size = 1048576
}
`, p.api, p.clusterA)
}

// free is an address that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	address, err := ports.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// run runs trent to its end.
func (r *regionOf) run(args ...string) (out []byte, err error) {
	cmd := exec.Command(r.binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("trent %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), nil
}

func (r *regionOf) must(args ...string) []byte {
	r.t.Helper()
	out, err := r.run(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// token makes a join token by way of a node and leaves it in a file.
func (r *regionOf) token(via *process, to *process) string {
	r.t.Helper()
	file := filepath.Join(to.dir, "token")
	if err := os.WriteFile(file, r.must("operator", "join-token", "create", "--config", via.config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return file
}

// join adds a node by way of another and waits until it serves.
func (r *regionOf) join(via *process) *process {
	r.t.Helper()
	p := r.configure()
	r.must("operator", "join", "--config", p.config, "--token-file", r.token(via, p), "--via", via.clusterA)
	id, err := os.ReadFile(filepath.Join(p.dir, "data", "node-id"))
	if err != nil {
		r.t.Fatal(err)
	}
	p.id = strings.TrimSpace(string(id))
	p.start()
	p.await()
	return p
}

// member is a row of operator members.
type member struct {
	ID        string
	Voter     bool
	Leader    bool
	Reachable bool
}

func (r *regionOf) members(via *process) (all []member, err error) {
	out, err := r.run("operator", "members", "--format", "json", "--config", via.config)
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	return all, err
}

func (r *regionOf) awaitVoters(n int) {
	r.t.Helper()
	r.eventually("every node has its vote", func() bool {
		all, err := r.members(r.nodes[0])
		voters := 0
		for _, m := range all {
			if m.Voter && m.Reachable {
				voters++
			}
		}
		return err == nil && voters == n
	})
}

// leader is the node that a running one believes to lead.
func (r *regionOf) leader() *process {
	r.t.Helper()
	var found *process
	r.eventually("there is a leader", func() bool {
		for _, via := range r.nodes {
			if !via.running() {
				continue
			}
			var st struct{ LeaderID string }
			out, err := r.run("operator", "status", "--format", "json", "--config", via.config)
			if err != nil || json.Unmarshal(out, &st) != nil {
				continue
			}
			for _, p := range r.nodes {
				if p.id == st.LeaderID && p.running() {
					found = p
					return true
				}
			}
		}
		return false
	})
	return found
}

func (r *regionOf) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in three minutes: %s", what)
		}
		<-tick.C
	}
}

// start runs the node's process.
func (p *process) start() {
	p.region.t.Helper()
	cmd := exec.Command(p.binary, "server", "--config", p.config)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.region.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// await waits until the API answers.
func (p *process) await() {
	p.region.t.Helper()
	client := p.region.client(p, 1)
	p.region.eventually(p.name+" serves", func() bool {
		if !p.running() {
			p.region.t.Fatalf("%s ended: %s", p.name, p.log.String())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := client.ListKeys(ctx, &kms.ListKeysInput{})
		return err == nil
	})
}

// client is an SDK client of one node that tries each call a number of times.
func (r *regionOf) client(p *process, attempts int) *kms.Client {
	scheme, transport := "http://", http.DefaultTransport
	if r.roots != nil {
		scheme, transport = "https://", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}, ForceAttemptHTTP2: true}
	}
	return kms.New(kms.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(scheme + p.api), HTTPClient: &http.Client{Timeout: 15 * time.Second, Transport: transport},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, 200*time.Millisecond }),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: r.key, SecretAccessKey: r.secret}, nil
		}),
	})
}
