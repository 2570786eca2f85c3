package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// ceilingCA is the file with the certificate of the ceiling, in its working directory.
const ceilingCA = "ca.pem"

// ceiling is the least that a KMS in Go can be: net/http with TLS, the check of a signature under a derived key that is kept,
// encoding/json, one AES-256-GCM operation under one key that is set up once. It has no state, policies, audit, key derivation,
// limits or deadlines.
type ceiling struct {
	signing *sigv4.SigningKey
	day     string // that signing is good for
	aead    cipher.AEAD
}

// serveCeiling serves until it is told to end.
func serveCeiling(ctx context.Context, out io.Writer) error {
	c := &ceiling{}
	if err := c.setKeys(time.Now()); err != nil {
		return err
	}
	cert, err := ceilingCertificate()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", ceilingMetrics)
	mux.Handle("POST /", c)
	s := &http.Server{Handler: mux, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}}
	if _, err := fmt.Fprintf(out, "https://%s\n", l.Addr()); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeTLS(l, "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return s.Close()
	}
}

func (c *ceiling) setKeys(now time.Time) error {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	if c.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return err
	}
	c.day = now.UTC().Format("20060102")
	c.signing, err = sigv4.DeriveKey([]byte(secretKey), sigv4.Scope{AccessKeyID: accessKey, Date: c.day, Region: regionName, Service: "kms"})
	return err
}

// ceilingCertificate makes the ceiling's certificate and writes it for clients.
func ceilingCertificate() (tls.Certificate, error) {
	cert, text, err := newCertificate()
	if err != nil {
		return tls.Certificate{}, err
	}
	return cert, os.WriteFile(ceilingCA, text, 0o600)
}

// newCertificate makes a P-256 key and its certificate for the loopback address, as trent dev has them, and its PEM form.
func newCertificate() (cert tls.Certificate, text []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// ServeHTTP answers one call.
func (c *ceiling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = c.verify(r, sha256.Sum256(body))
	}
	var out *message
	if err == nil {
		out, err = c.perform(strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."), body)
	}
	var answer []byte
	if err == nil {
		answer, err = json.Marshal(out)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(answer)
}

func (c *ceiling) verify(r *http.Request, hash [sha256.Size]byte) error {
	q, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := q.Check(time.Now(), regionName, "kms"); err != nil {
		return err
	}
	if s := q.Scope(); s.AccessKeyID != accessKey || s.Date != c.day {
		return fmt.Errorf("no key for %s on %s", s.AccessKeyID, s.Date)
	}
	return q.Verify(c.signing, hash)
}

// message holds the members of the three operations' inputs and outputs.
type message struct {
	KeyID               string            `json:"KeyId,omitempty"`
	Plaintext           []byte            `json:",omitempty"`
	CiphertextBlob      []byte            `json:",omitempty"`
	EncryptionContext   map[string]string `json:",omitempty"`
	EncryptionAlgorithm string            `json:",omitempty"`
	NumberOfBytes       int               `json:",omitempty"`
}

func (c *ceiling) perform(operation string, body []byte) (*message, error) {
	var in message
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	aad := flatten(in.EncryptionContext)
	switch operation {
	case "Encrypt":
		return &message{KeyID: in.KeyID, CiphertextBlob: c.aead.Seal(nil, nil, in.Plaintext, aad), EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, nil
	case "Decrypt":
		plain, err := c.aead.Open(nil, nil, in.CiphertextBlob, aad)
		return &message{KeyID: in.KeyID, Plaintext: plain, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, err
	case "GenerateDataKey":
		key := make([]byte, min(max(in.NumberOfBytes, 1), 1024))
		_, _ = rand.Read(key) // never fails
		return &message{KeyID: in.KeyID, Plaintext: key, CiphertextBlob: c.aead.Seal(nil, nil, key, aad)}, nil
	}
	return nil, fmt.Errorf("unknown operation %q", operation)
}

// flatten makes associated data of an encryption context.
func flatten(pairs map[string]string) []byte {
	names := make([]string, 0, len(pairs))
	for name := range pairs {
		names = append(names, name)
	}
	sort.Strings(names)
	var b []byte
	for _, name := range names {
		b = append(append(append(append(b, name...), 0), pairs[name]...), 0)
	}
	return b
}

// ceilingMetrics tells what was allocated.
func ceilingMetrics(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprintf(w, "go_memstats_mallocs_total %d\ngo_memstats_alloc_bytes_total %d\n", m.Mallocs, m.TotalAlloc)
}
