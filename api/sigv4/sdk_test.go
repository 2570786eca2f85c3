package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/trentkms/trent/api/sigv4"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	region    = "eu-central-1"
)

var signedAt = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// request is a client's request before signing.
type request struct {
	method, url, body, service, token string
	headers                           [][2]string
}

func (q request) build(t testing.TB) *http.Request {
	t.Helper()
	if q.method == "" {
		q.method = http.MethodPost
	}
	if q.url == "" {
		q.url = "https://kms.eu-central-1.example.com/"
	}
	r, err := http.NewRequest(q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range q.headers {
		r.Header.Add(h[0], h[1])
	}
	return r
}

func (q request) serviceOr() string {
	if q.service == "" {
		return "kms"
	}
	return q.service
}

func hashOf(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

// sign signs with the SDK for Go and returns the request as it goes over the wire.
func (q request) sign(t testing.TB) []byte {
	t.Helper()
	r := q.build(t)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: q.token}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hashOf(q.body), q.serviceOr(), region, signedAt); err != nil {
		t.Fatal(err)
	}
	return wire(t, r)
}

// presign does the same for a presigned URL.
func (q request) presign(t testing.TB) []byte {
	t.Helper()
	r := q.build(t)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: q.token}
	uri, headers, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hashOf(q.body), q.serviceOr(), region, signedAt)
	if err != nil {
		t.Fatal(err)
	}
	p, err := http.NewRequest(r.Method, uri, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	p.Header = headers.Clone()
	p.Header.Del("Host")
	return wire(t, p)
}

func wire(t testing.TB, r *http.Request) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// received is what a server makes of the bytes: net/http has moved some headers by then.
func received(t testing.TB, raw []byte) (*http.Request, [sha256.Size]byte) {
	t.Helper()
	r, hash, err := read(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r, hash
}

func read(raw []byte) (*http.Request, [sha256.Size]byte, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, [sha256.Size]byte{}, err
	}
	body, err := io.ReadAll(r.Body)
	return r, sha256.Sum256(body), err
}

func signingKey(t testing.TB, q *sigv4.Request) *sigv4.SigningKey {
	t.Helper()
	key, err := sigv4.DeriveKey([]byte(secretKey), q.Scope())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verify runs all steps.
func verify(t testing.TB, r *http.Request, hash [sha256.Size]byte, now time.Time, service string) error {
	t.Helper()
	q, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := q.Check(now, region, service); err != nil {
		return err
	}
	return q.Verify(signingKey(t, q), hash)
}

// typical is what an SDK sends to KMS.
var typical = request{
	body: `{"KeyId":"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","EncryptionContext":{"Purpose":"unit-of-work"}}`,
	headers: [][2]string{
		{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", "TrentService.Encrypt"},
		{"Amz-Sdk-Invocation-Id", "9f3c1f5e-6d6c-4c43-a1a1-0b9a5f5ef0c4"}, {"Amz-Sdk-Request", "attempt=1; max=3"},
		{"User-Agent", "aws-sdk-go-v2/1.47.7"},
	},
}

// odd are requests that are legal and unusual.
var odd = map[string]request{
	"typical":            typical,
	"no body":            {method: "GET", headers: [][2]string{{"X-Amz-Target", "TrentService.ListKeys"}}},
	"session token":      {body: "{}", token: "IQoJb3JpZ2luX2VjE//+=="},
	"port":               {url: "https://localhost:8443/", body: "{}"},
	"default port":       {url: "https://localhost:443/", body: "{}"},
	"default HTTP port":  {url: "http://localhost:80/", body: "{}"},
	"IPv6":               {url: "https://[::1]:8443/", body: "{}"},
	"no path":            {url: "https://localhost", body: "{}"},
	"path":               {url: "https://localhost/kms/xks/v1/keys/a-b_c.d~e/encrypt", body: "{}"},
	"path with escapes":  {url: "https://localhost/a%20b/%2F/%7E/%C3%BC/+/:@&=$,;!*'()", body: "{}"},
	"path with dots":     {url: "https://localhost/a//b/../c/./d", body: "{}"},
	"path not ASCII":     {url: "https://localhost/schlüssel", body: "{}"},
	"query":              {url: "https://localhost/?b=2&a=1&a=0&c&=x&d=a%20b+c%2Bd%2F~%C3%BC", body: "{}"},
	"query order":        {url: "https://localhost/?aZ=1&a%7B=2&k=a%2Fb&k=a-b&%C3%A9=1", body: "{}"},
	"repeated headers":   {body: "{}", headers: [][2]string{{"X-Custom", "b"}, {"X-Custom", "a"}, {"X-Custom", ""}}},
	"spaces in headers":  {body: "{}", headers: [][2]string{{"X-Custom", "  a   b  \"c   d\"  "}}},
	"empty header":       {body: "{}", headers: [][2]string{{"X-Custom", ""}}},
	"header not ASCII":   {body: "{}", headers: [][2]string{{"X-Custom", "schlüssel \u00a0"}}},
	"odd header names":   {body: "{}", headers: [][2]string{{"x_custom", "1"}, {"X--Y", "2"}, {"9", "3"}, {"A.b!c", "4"}}},
	"long header name":   {body: "{}", headers: [][2]string{{"X-" + strings.Repeat("long-", 20) + "name", "1"}}},
	"content hash":       {body: "{}", headers: [][2]string{{"X-Amz-Content-Sha256", hashOf("{}")}}},
	"hop-by-hop headers": {body: "{}", headers: [][2]string{{"Connection", "keep-alive"}, {"Accept-Encoding", "identity"}}},
	"other service":      {body: "Action=ListUsers&Version=2010-05-08", service: "iam", headers: [][2]string{{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}}},
}

// TestSDKHeader: whatever the SDK for Go signs in the header is accepted.
func TestSDKHeader(t *testing.T) {
	for name, q := range odd {
		t.Run(name, func(t *testing.T) {
			r, hash := received(t, q.sign(t))
			if err := verify(t, r, hash, signedAt, q.serviceOr()); err != nil {
				t.Fatal(err)
			}
			p, err := sigv4.Parse(r)
			if err != nil || p.AccessKeyID != accessKey || p.SessionToken != q.token || !p.Time.Equal(signedAt) || p.Presigned {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

// TestSDKPresigned: and whatever it signs in the query.
func TestSDKPresigned(t *testing.T) {
	for name, q := range odd {
		if !strings.Contains(q.url, "?") {
			q.url = strings.TrimSuffix(q.build(t).URL.String(), "#") + "?X-Amz-Expires=3600"
		}
		t.Run(name, func(t *testing.T) {
			r, hash := received(t, q.presign(t))
			if err := verify(t, r, hash, signedAt.Add(4*time.Minute), q.serviceOr()); err != nil {
				t.Fatal(err)
			}
			p, err := sigv4.Parse(r)
			if err != nil || p.AccessKeyID != accessKey || p.SessionToken != q.token || !p.Presigned {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

// TestAnyChangeIsNoticed flips every bit of a signed request, one at a time. What still verifies must be a change that the
// signature does not cover by design: the case of header names, white space around values, the unsigned User-Agent, or the
// spelling of the HTTP version.
func TestAnyChangeIsNoticed(t *testing.T) {
	for _, q := range []request{typical, odd["session token"], odd["query"], odd["spaces in headers"]} {
		for _, raw := range [][]byte{q.sign(t), q.presign(t)} {
			want := canonicalView(t, raw)
			for i := range raw {
				for bit := range 8 {
					changed := bytes.Clone(raw)
					changed[i] ^= 1 << bit
					r, hash, err := read(changed)
					if err != nil {
						continue
					}
					if err := verify(t, r, hash, signedAt, q.serviceOr()); err == nil && canonicalView(t, changed) != want {
						t.Errorf("bit %d of byte %d: %q verifies", bit, i, changed)
					}
				}
			}
		}
	}
}

// canonicalView is what a service can learn of a request from its signed parts, so that two requests that mean the same compare
// equal. It is deliberately not made with the package under test.
func canonicalView(t testing.TB, raw []byte) string {
	r, hash := received(t, raw)
	var b strings.Builder
	b.WriteString(r.Method + " " + r.URL.EscapedPath() + " " + r.URL.Query().Encode() + " " + r.Host + " " + hex.EncodeToString(hash[:]))
	for _, name := range []string{"Content-Type", "X-Amz-Target", "X-Amz-Date", "X-Amz-Security-Token", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Custom"} {
		b.WriteString("\n" + name + ": " + strings.Join(strings.Fields(strings.Join(r.Header[name], ",")), " "))
	}
	return b.String()
}

func TestUnknownKeyCostsAndSaysTheSame(t *testing.T) {
	r, hash := received(t, typical.sign(t))
	q, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Check(signedAt, region, "kms"); err != nil {
		t.Fatal(err)
	}
	var e *sigv4.Error
	if err := q.VerifyUnknown(hash); !errors.As(err, &e) || e.Name != "UnrecognizedClientException" || e.Message != "The security token included in the request is invalid." {
		t.Errorf("got %v", err)
	}
}

func TestExternalHost(t *testing.T) {
	raw := bytes.Replace(typical.sign(t), []byte("Host: kms.eu-central-1.example.com"), []byte("Host: backend:8080"), 1)
	r, hash := received(t, raw)
	r.Header.Set("X-Forwarded-Host", "kms.eu-central-1.example.com")
	q, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Check(signedAt, region, "kms"); err != nil {
		t.Fatal(err)
	}
	if err := q.Verify(signingKey(t, q), hash); err == nil {
		t.Error("the forwarded host was believed")
	}
	if err := q.Verify(signingKey(t, q), hash, "other.example.com", "kms.eu-central-1.example.com"); err != nil {
		t.Errorf("a configured host was refused: %v", err)
	}
}

func TestVerifyNeedsCheck(t *testing.T) {
	r, hash := received(t, typical.sign(t))
	q, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Verify(signingKey(t, q), hash); err == nil {
		t.Error("verified without a check of time and scope")
	}
	if q.Check(signedAt.Add(time.Hour), region, "kms") == nil || q.Verify(signingKey(t, q), hash) == nil {
		t.Error("verified after a check that failed")
	}
}

func BenchmarkVerify(b *testing.B) {
	r, _ := received(b, typical.sign(b))
	keys := sigv4.NewKeyCache[uint64](100)
	secret := func() ([]byte, error) { return []byte(secretKey), nil }
	body := []byte(typical.body)
	b.ReportAllocs()
	for b.Loop() {
		q, err := sigv4.Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Check(signedAt, region, "kms"); err != nil {
			b.Fatal(err)
		}
		key, err := keys.Get(q.Scope(), 1, secret)
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Verify(key, sha256.Sum256(body)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	r, _ := received(b, typical.sign(b))
	keys := sigv4.NewKeyCache[uint64](100)
	secret := func() ([]byte, error) { return []byte(secretKey), nil }
	hash := sha256.Sum256([]byte(typical.body))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q, _ := sigv4.Parse(r)
			if q.Check(signedAt, region, "kms") != nil {
				b.Error("refused")
				return
			}
			key, _ := keys.Get(q.Scope(), 1, secret)
			if q.Verify(key, hash) != nil {
				b.Error("refused")
				return
			}
		}
	})
}

func BenchmarkDeriveKey(b *testing.B) {
	s := sigv4.Scope{AccessKeyID: accessKey, Date: "20260203", Region: region, Service: "kms"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sigv4.DeriveKey([]byte(secretKey), s); err != nil {
			b.Fatal(err)
		}
	}
}
