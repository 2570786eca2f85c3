package trenttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/sigv4"
)

// notPerformed are the operations of the model that the service refuses as such.
var notPerformed = api.Unsupported()

// Client returns an SDK client with the node's root credentials. It does not retry, so that a test sees each answer.
func (s *Server) Client(change ...func(*kms.Options)) *kms.Client {
	o := kms.Options{
		Region: s.Region, BaseEndpoint: aws.String(s.Endpoint), HTTPClient: s.http, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.Secret}, nil
		}),
	}
	return kms.New(o, change...)
}

// HTTP is the client that all calls go through.
func (s *Server) HTTP() *http.Client { return s.http }

// Environ is the environment of a program that is a client of the node and cannot reach any other service: proxy is where every
// other request would go. base is the environment to start from.
func (s *Server) Environ(base []string, proxy string) ([]string, error) {
	env, err := readEnv(filepath.Join(s.Dir, "env.sh"))
	if err != nil {
		return nil, err
	}
	all := append(Offline(base, proxy), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all, nil
}

// Answer is a raw answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Text renders an error answer as a table of expectations writes it: "Name: message", "Name" without a message, "" for
// success. It is the body that decides, byte for byte but for the order of members.
func (a *Answer) Text() string {
	if a.Status == http.StatusOK {
		return ""
	}
	var e struct {
		Type    string `json:"__type"`
		Lower   *string
		Message *string
	}
	if err := json.Unmarshal(a.Body, &e); err != nil || e.Type == "" {
		return fmt.Sprintf("HTTP %d %q", a.Status, a.Body)
	}
	if e.Message == nil {
		return e.Type
	}
	return e.Type + ": " + *e.Message
}

// Request is a call that a test can bend before it is signed and sent.
type Request struct {
	Operation string
	Body      []byte
	Header    http.Header
	// Time is the time of signing, now if zero.
	Time time.Time
	// Credentials replace the node's.
	Credentials *sigv4.Credentials
	// Region and Service replace those of the scope.
	Region, Service string
}

// Build makes the signed HTTP request.
func (s *Server) Build(ctx context.Context, q Request) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/", bytes.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set(targetHeader, targetPrefix+q.Operation)
	for name, values := range q.Header {
		r.Header[name] = values
	}
	if q.Credentials == nil {
		q.Credentials = &sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: []byte(s.Secret)}
	}
	if q.Region == "" {
		q.Region = s.Region
	}
	if q.Service == "" {
		q.Service = "kms"
	}
	if q.Time.IsZero() {
		q.Time = time.Now()
	}
	signer, err := sigv4.NewSigner(*q.Credentials, q.Region, q.Service)
	if err != nil {
		return nil, err
	}
	return r, signer.Sign(r, sha256.Sum256(q.Body), q.Time)
}

// Send sends an HTTP request as it is.
func (s *Server) Send(r *http.Request) (*Answer, error) {
	resp, err := s.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return &Answer{resp.StatusCode, resp.Header, body}, nil
}

// Call sends a signed call with a JSON body as it is given.
func (s *Server) Call(ctx context.Context, operation, body string) (*Answer, error) {
	return s.Do(ctx, Request{Operation: operation, Body: []byte(body)})
}

// Do builds and sends a request.
func (s *Server) Do(ctx context.Context, q Request) (*Answer, error) {
	r, err := s.Build(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.Send(r)
}
