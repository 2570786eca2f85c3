package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// group is a region of several nodes, each a process of its own as trent server runs it.
type group struct {
	b        *bench
	dir      string
	roots    *x509.CertPool
	signer   *sigv4.Signer
	members  []*member
	program  string
	certFile string
}

// member is one node of a group.
type member struct {
	*server
	group                  *group
	dir, config            string
	address, ops, internal string
}

// startGroup makes a region of n nodes.
func (b *bench) startGroup(ctx context.Context, n int) (_ *group, err error) {
	g := &group{b: b, program: b.trent, roots: x509.NewCertPool()}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.dir, err = b.fresh("region"); err != nil {
		return nil, err
	}
	if err := g.certificate(); err != nil {
		return nil, err
	}
	for i := range n {
		m, err := g.add(i)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			err = g.initialize(ctx, m)
		} else {
			err = g.join(ctx, m)
		}
		if err == nil {
			err = m.start(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	return g, g.awaitVoters(ctx, n)
}

func (g *group) close() {
	for _, m := range g.members {
		if m.server != nil {
			_ = m.cmd.Process.Kill()
			<-m.ended
		}
	}
}

func (g *group) certificate() error {
	cert, text, err := newCertificate()
	if err != nil {
		return err
	}
	g.roots.AppendCertsFromPEM(text)
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	g.certFile = filepath.Join(g.dir, "cert.pem")
	return os.WriteFile(g.certFile, append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), 0o600)
}

// add makes the directory and the configuration of one more node.
func (g *group) add(i int) (*member, error) {
	m := &member{group: g, dir: filepath.Join(g.dir, fmt.Sprint("n", i+1))}
	m.config = filepath.Join(m.dir, "node.hcl")
	g.members = append(g.members, m)
	for _, to := range []*string{&m.address, &m.ops, &m.internal} {
		var err error
		if *to, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(`region = %q
account = "111122223333"
data_dir = "data"
hsm "embedded" {
  pin_file = "pin"
}
listener "api" {
  address       = %q
  tls_cert_file = %q
  tls_key_file  = %[3]q
}
listener "ops" {
  address = %[4]q
}
cluster {
  address     = %[5]q
  drain_delay = "0s"
  election_timeout = %[6]q
}
log {
  level = "error"
}
`, regionName, m.address, g.certFile, m.ops, m.internal, g.b.election)
	return m, errors.Join(os.WriteFile(m.config, []byte(text), 0o600), os.WriteFile(filepath.Join(m.dir, "pin"), []byte("bench bench bench\n"), 0o600))
}

// operator runs trent operator.
func (g *group) operator(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, g.program, append([]string{"operator"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("trent operator %s: %w: %s", args[0], err, exit.Stderr)
	}
	return out, err
}

func (g *group) initialize(ctx context.Context, m *member) error {
	out, err := g.operator(ctx, "init", "--format", "json", "--config", m.config)
	if err != nil {
		return err
	}
	var made struct{ AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal(out, &made); err != nil {
		return err
	}
	g.signer, err = sigv4.NewSigner(sigv4.Credentials{AccessKeyID: made.AccessKeyID, SecretAccessKey: []byte(made.SecretAccessKey)}, regionName, "kms")
	return err
}

func (g *group) join(ctx context.Context, m *member) error {
	token, err := g.operator(ctx, "join-token", "create", "--config", g.members[0].config)
	if err != nil {
		return err
	}
	file := filepath.Join(m.dir, "token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		return err
	}
	_, err = g.operator(ctx, "join", "--config", m.config, "--token-file", file, "--via", g.members[0].internal)
	return err
}

// start runs the node's process and waits until it is ready.
func (m *member) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(m.group.program, "server", "--config", m.config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, ended: make(chan struct{}), url: "http://" + m.ops, client: &http.Client{Timeout: answerTimeout}}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	cfg := &tls.Config{RootCAs: m.group.roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	m.server = &server{p, &endpoint{m.address, cfg, m.group.signer}, filepath.Base(m.dir)}
	return m.awaitReady(ctx)
}

func (m *member) awaitReady(ctx context.Context) error {
	return await(ctx, m.name+" is not ready", func() (bool, error) {
		select {
		case <-m.ended:
			return false, fmt.Errorf("%s ended: %w", m.name, m.err)
		default:
		}
		res, err := m.client.Get(m.url + "/readyz")
		if err != nil {
			return false, nil
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK, nil
	})
}

// await polls until ok, at most startTimeout.
func await(ctx context.Context, otherwise string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, ctx.Err())
		}
	}
}

func (g *group) awaitVoters(ctx context.Context, n int) error {
	return await(ctx, "not every node got its vote", func() (bool, error) {
		out, err := g.operator(ctx, "members", "--format", "json", "--config", g.members[0].config)
		if err != nil {
			return false, nil
		}
		var all []struct{ Voter bool }
		if err := json.Unmarshal(out, &all); err != nil {
			return false, err
		}
		voters := 0
		for _, m := range all {
			if m.Voter {
				voters++
			}
		}
		return voters == n, nil
	})
}

// leader is the node that leads, with the others.
func (g *group) leader(ctx context.Context) (leader *member, others []*member, err error) {
	err = await(ctx, "there is no leader", func() (bool, error) {
		leader, others = nil, nil
		for _, m := range g.members {
			if v, err := m.metrics(); err == nil && v["trent_raft_is_leader"] == 1 {
				leader = m
			} else {
				others = append(others, m)
			}
		}
		return leader != nil && len(others) == len(g.members)-1, nil
	})
	return leader, others, err
}
