package cluster_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trentkms/trent/integration/trenttest"
)

// A region behind HAProxy, both set up as docs/operations.md says: the same ports on every node, one address for each, TLS passed
// through. Only addresses and times are this test's own.

// balanced is a region with HAProxy before it.
type balanced struct {
	*regionOf
	front string // URL that clients use
	log   *trenttest.Buffer
}

// drainDelay is long enough for two checks of the load balancer.
const drainDelay = 1500 * time.Millisecond

func newBalanced(t testing.TB) *balanced {
	t.Helper()
	pair, roots := selfSigned(t)
	port, ops, nodes := commonPort(t), commonPort(t), commonPort(t)
	shape := func(p *process) string {
		host := "127.0.0." + strings.TrimPrefix(p.name, "n")
		p.api, p.ops, p.clusterA = net.JoinHostPort(host, port), net.JoinHostPort(host, ops), net.JoinHostPort(host, nodes)
		return fmt.Sprintf(`
listener "api" {
  address       = %q
  tls_cert_file = %q
  tls_key_file  = %[2]q
}
listener "ops" {
  address = %[3]q
}
cluster {
  address     = %[4]q
  drain_delay = %[5]q
}
audit {
  segment_size = 1048576
}
`, p.api, pair, p.ops, p.clusterA, drainDelay)
	}
	b := &balanced{regionOf: newRegionOf(t, shape, roots), log: &trenttest.Buffer{}}
	b.startHAProxy(t, port, ops)
	return b
}

// haproxy is the program; Debian keeps it where not every user looks.
func haproxy(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("haproxy is not installed: run make tools")
	return ""
}

// documented finds HAProxy's configuration in the documentation.
var documented = regexp.MustCompile("(?s)```\n(defaults\n  mode tcp.*?)```")

func (b *balanced) startHAProxy(t testing.TB, port, ops string) {
	t.Helper()
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := documented.FindSubmatch(page)
	if found == nil {
		t.Fatal("docs/operations.md shows no HAProxy configuration")
	}
	front := free(t)
	text := string(found[1])
	for _, change := range [][2]string{
		{"bind :443", "bind " + front}, {"check port 7601 inter 1s", "check port " + ops + " inter 300ms"},
		{"10.0.0.1:7600", b.nodes[0].api}, {"10.0.0.2:7600", b.nodes[1].api}, {"10.0.0.3:7600", b.nodes[2].api},
	} {
		if strings.Count(text, change[0]) != 1 {
			t.Fatalf("the documented configuration has not %q once", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	file := filepath.Join(b.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(haproxy(t), "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("HAProxy:\n%s", b.log)
		}
	})
	b.front = "https://" + front
	b.eventually("HAProxy listens", func() bool {
		c, err := net.Dial("tcp", front)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// commonPort is a port that is free on the addresses of three nodes.
func commonPort(t testing.TB) string {
	t.Helper()
	for range 100 {
		_, port, _ := net.SplitHostPort(free(t))
		ok := true
		for i := range 3 {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%s", i+1, port))
			if ok = ok && err == nil; err == nil {
				ln.Close()
			}
		}
		if ok {
			return port
		}
	}
	t.Fatal("no port is free on 127.0.0.1, 127.0.0.2 and 127.0.0.3")
	return ""
}

// selfSigned makes a certificate for the loopback addresses. The file holds it with its key.
func selfSigned(t testing.TB) (file string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kms"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for i := range 3 {
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 0, 0, byte(i+1)))
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	file = filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file, roots
}

// readyz asks a node as the load balancer does.
func (p *process) readyz() (status int, text string) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + p.ops + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	var b strings.Builder
	_, _ = fmt.Fprint(&b, res.Status, " ")
	buf := make([]byte, 4096)
	n, _ := res.Body.Read(buf)
	b.Write(buf[:n])
	return res.StatusCode, b.String()
}

// client is what every client of the region has: the load balancer's address and the nodes' authority.
func (b *balanced) transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.roots}, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true}
}

// restart has a node drain and end, and starts it again, as the operator's page says.
func (b *balanced) restart(t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	red, served := false, 0
	b.eventually(p.name+" ends", func() bool {
		if !p.running() {
			return true
		}
		if status, text := p.readyz(); status == http.StatusServiceUnavailable && strings.Contains(text, "stopping") {
			red = true
			if c, err := tls.Dial("tcp", p.api, &tls.Config{RootCAs: b.roots}); err == nil {
				served++
				c.Close()
			}
		}
		return false
	})
	if !red || served == 0 {
		t.Errorf("%s drained: /readyz red %v, connections taken meanwhile %d", p.name, red, served)
	}
	if !p.cmd.ProcessState.Success() {
		t.Errorf("%s ended with %v", p.name, p.cmd.ProcessState)
	}
	if strings.Contains(p.log.String(), "requests were cut off") {
		t.Errorf("%s cut requests off", p.name)
	}
	p.start()
	b.awaitReady(p)
}

func (b *balanced) awaitReady(p *process) {
	b.t.Helper()
	b.eventually(p.name+" is ready", func() bool {
		if !p.running() {
			b.t.Fatalf("%s ended: %s", p.name, p.log)
		}
		status, _ := p.readyz()
		return status == http.StatusOK
	})
}
