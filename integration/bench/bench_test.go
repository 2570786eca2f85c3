package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		s    samples
		text string
	}{
		{nil, "–"},
		{samples{3}, "3.00 (3.00–3.00)"},
		{samples{30, 10, 20}, "20.0 (10.0–30.0)"},
		{samples{4, 1, 3, 2}, "2.50 (1.00–4.00)"},
		{samples{1000, 2000}, "1500 (1000–2000)"},
		{samples{0.05, 0.06, 0.07}, "0.060 (0.050–0.070)"},
	} {
		if got := c.s.String(); got != c.text {
			t.Errorf("%v: got %q, want %q", []float64(c.s), got, c.text)
		}
	}
	if got := ratios(samples{10, 30}, samples{5, 10}); got.median() != 2.5 {
		t.Errorf("ratios: got %v, want the median of 2 and 3", got)
	}
	sorted := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if p50, p99 := percentile(sorted, 0.5), percentile(sorted, 0.99); p50 != 6 || p99 != 10 {
		t.Errorf("percentiles: got %d and %d, want 6 and 10", p50, p99)
	}
}

func TestTable(t *testing.T) {
	tab := &table{title: "Numbers", head: []string{"name", "µs"}}
	tab.add("one", "1.5 (1–2)")
	tab.note("The %s.", "note")
	if got, want := tab.text(), "\nNumbers\n\n  name         µs\n  one   1.5 (1–2)\n\n  The note.\n"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	if got, want := tab.asMarkdown(), "\n### Numbers\n\n| name | µs |\n|---|---:|\n| one | 1.5 (1–2) |\n\nThe note.\n"; got != want {
		t.Errorf("markdown: got %q, want %q", got, want)
	}
}

// startTestCeiling serves the ceiling in this process.
func startTestCeiling(t *testing.T) *endpoint {
	t.Helper()
	c := &ceiling{}
	if err := c.setKeys(time.Now()); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(c)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: []byte(secretKey)}, regionName, "kms")
	if err != nil {
		t.Fatal(err)
	}
	return &endpoint{s.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "example.com"}, signer}
}

// TestCeiling: what the ceiling encrypts it decrypts, for signed requests of the load generator and for nobody else.
func TestCeiling(t *testing.T) {
	e := startTestCeiling(t)
	do := func(operation string, in fields) (out message, err error) {
		q, err := newCall(operation, in)
		if err != nil {
			t.Fatal(err)
		}
		body, err := call(t.Context(), e, q)
		if err == nil {
			err = json.Unmarshal(body, &out)
		}
		return out, err
	}
	pairs := map[string]string{"a": "b"}
	for _, op := range []string{"Encrypt", "GenerateDataKey"} {
		made, err := do(op, fields{"KeyId": "k", "Plaintext": []byte("secret"), "NumberOfBytes": 32, "EncryptionContext": pairs})
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		want := "secret"
		if op == "GenerateDataKey" {
			want = string(made.Plaintext)
		}
		opened, err := do("Decrypt", fields{"KeyId": "k", "CiphertextBlob": made.CiphertextBlob, "EncryptionContext": pairs})
		if err != nil || string(opened.Plaintext) != want {
			t.Errorf("Decrypt after %s: got %q, %v", op, opened.Plaintext, err)
		}
		if _, err := do("Decrypt", fields{"KeyId": "k", "CiphertextBlob": made.CiphertextBlob}); err == nil {
			t.Errorf("Decrypt after %s succeeded without the context", op)
		}
	}
	other, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: []byte("another secret of some length")}, regionName, "kms")
	if err != nil {
		t.Fatal(err)
	}
	e.signer = other
	if _, err := do("Encrypt", fields{"Plaintext": []byte("x")}); err == nil {
		t.Error("a request with a wrong signature was answered")
	}
}

// TestLoad: a load sends as many requests as it may and no more, and ends at the first failure or with its context.
func TestLoad(t *testing.T) {
	e := startTestCeiling(t)
	l, err := newLoad(t.Context(), e, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	good, err := newCall("Encrypt", fields{"Plaintext": []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.run(t.Context(), good, time.Minute, 50)
	if err != nil || r.requests != 50 || len(r.sorted) != 50 {
		t.Fatalf("got %d requests, %v; want 50", r.requests, err)
	}
	bad, err := newCall("Sleep", fields{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.run(t.Context(), bad, time.Minute, 0); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("an unknown operation: got %v, want its status", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.run(ended, good, time.Minute, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: got %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"-parts", "none"}, {"-rounds", "0"}, {"-duration", "1ms"}, {"extra"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
	o, err := parseFlags([]string{"-quick", "-parts", "crypto,create"})
	if err != nil || o.rounds != 3 || o.duration > 6*time.Second {
		t.Errorf("-quick: got %+v, %v", o, err)
	}
	b := &bench{options: &options{conns: "1,x"}, report: &report{out: io.Discard}}
	if _, err := b.connections(8); err == nil {
		t.Error("-conns 1,x: accepted")
	}
}
