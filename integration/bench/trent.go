package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// Credentials and region of every server that is measured.
const (
	accessKey  = "AKIABENCHBENCHBENCH0"
	secretKey  = "bench/bench/bench/bench/bench/bench/0000"
	regionName = "us-east-1"
)

// server is a running server with a way to call it.
type server struct {
	*process
	endpoint *endpoint
	name     string
}

// newServer connects a process that serves on a URL with a certificate of caFile's authority.
func newServer(name string, p *process, url, caFile string) (*server, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	// As Go's http.Client does by default, but for HTTP/2, which the AWS SDKs use for streams only.
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: []byte(secretKey)}, regionName, "kms")
	if err != nil {
		return nil, err
	}
	p.url = url
	p.client = &http.Client{Timeout: answerTimeout, Transport: &http.Transport{TLSClientConfig: cfg.Clone()}}
	return &server{p, &endpoint{strings.TrimPrefix(url, "https://"), cfg, signer}, name}, nil
}

// startTrent starts `trent dev --tls` on a data directory with the defaults that a user gets. more are further flags.
func (b *bench) startTrent(ctx context.Context, data string, env []string, more ...string) (*server, error) {
	args := append([]string{
		"dev", "--tls", "--listen", "127.0.0.1:0", "--data", data, "--region", regionName,
		"--access-key", accessKey, "--secret-key", secretKey,
	}, more...)
	cmd := exec.Command(b.trent, args...)
	cmd.Env = append(os.Environ(), env...)
	url := ""
	p, err := start(ctx, cmd, func(line string) bool {
		_, address, ok := strings.Cut(line, " on https://")
		url = "https://" + address
		return ok
	})
	if err != nil {
		return nil, err
	}
	return newServer("Trent", p, url, filepath.Join(data, "ca.pem"))
}

// freshTrent starts Trent on an empty directory.
func (b *bench) freshTrent(ctx context.Context, more ...string) (*server, error) {
	data, err := b.fresh("trent")
	if err != nil {
		return nil, err
	}
	return b.startTrent(ctx, data, nil, more...)
}

// startCeiling starts this program as the ceiling.
func (b *bench) startCeiling(ctx context.Context) (*server, error) {
	data, err := b.fresh("ceiling")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(b.self, "-ceiling")
	cmd.Dir = data
	url := ""
	p, err := start(ctx, cmd, func(line string) bool {
		url = line
		return strings.HasPrefix(line, "https://")
	})
	if err != nil {
		return nil, err
	}
	return newServer("ceiling", p, url, filepath.Join(data, ceilingCA))
}

// fields is a JSON object's members.
type fields map[string]any

// newCall makes a request with a JSON body.
func newCall(operation string, in fields) (*request, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return newRequest(operation, body), nil
}

// call sends one request and decodes its answer into out, which may be nil.
func (s *server) call(ctx context.Context, operation string, in fields, out any) error {
	q, err := newCall(operation, in)
	if err != nil {
		return err
	}
	body, err := call(ctx, s.endpoint, q)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(bytes.NewReader(body)).Decode(out)
}

// createKey makes a key and returns its id.
func (s *server) createKey(ctx context.Context, spec, use string) (string, error) {
	var out struct{ KeyMetadata struct{ KeyId string } }
	err := s.call(ctx, "CreateKey", fields{"KeySpec": spec, "KeyUsage": use}, &out)
	return out.KeyMetadata.KeyId, err
}

// freePort finds a port of the loopback address that is free now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// saveProfile takes a CPU profile of a Trent that was started with --pprof.
func saveProfile(ctx context.Context, address, file string, d time.Duration) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, max(1, int(d.Seconds())))
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := f.ReadFrom(res.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
