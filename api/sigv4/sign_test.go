package sigv4_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

func signer(t testing.TB, token string) *sigv4.Signer {
	t.Helper()
	s, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: []byte(secretKey), SessionToken: token}, region, "kms")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSigner: what our signer signs verifies, and a request whose signed headers are those of the SDK gets the SDK's signature.
func TestSigner(t *testing.T) {
	for name, q := range odd {
		if q.service != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := signer(t, q.token)
			r := q.build(t)
			if err := s.Sign(r, sha256.Sum256([]byte(q.body)), signedAt); err != nil {
				t.Fatal(err)
			}
			got, hash := received(t, wire(t, r))
			if err := verify(t, got, hash, signedAt, "kms"); err != nil {
				t.Error(err)
			}
			sdk, _ := received(t, q.sign(t))
			if ours, theirs := r.Header.Get("Authorization"), sdk.Header.Get("Authorization"); signedHeaders(ours) == signedHeaders(theirs) && !strings.Contains(q.url, "?") && ours != theirs {
				t.Errorf("ours   %s\ntheirs %s", ours, theirs)
			}
			p := q.build(t)
			if err := s.Presign(p, sha256.Sum256([]byte(q.body)), signedAt, time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := s.Presign(p, hash, signedAt, time.Hour); err == nil {
				t.Error("presigned twice")
			}
			got, hash = received(t, wire(t, p))
			if err := verify(t, got, hash, signedAt.Add(59*time.Minute), "kms"); err != nil {
				t.Error(err)
			}
		})
	}
}

func signedHeaders(auth string) string {
	_, s, _ := strings.Cut(auth, "SignedHeaders=")
	s, _, _ = strings.Cut(s, ",")
	return s
}

// TestPublishedExample: the worked example of the AWS documentation (Signature Version 4, ListUsers).
func TestPublishedExample(t *testing.T) {
	raw := "GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\r\nHost: iam.amazonaws.com\r\n" +
		"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nX-Amz-Date: 20150830T123600Z\r\n" +
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, " +
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7\r\n\r\n"
	r, hash := received(t, []byte(raw))
	q, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Check(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), "us-east-1", "iam"); err != nil {
		t.Fatal(err)
	}
	if err := q.Verify(signingKey(t, q), hash); err != nil {
		t.Error(err)
	}
}

// TestSignAgain: a retried request replaces its signature.
func TestSignAgain(t *testing.T) {
	s := signer(t, "token")
	r := typical.build(t)
	hash := sha256.Sum256([]byte(typical.body))
	for i := range 2 {
		now := signedAt.Add(time.Duration(i) * time.Hour)
		if err := s.Sign(r, hash, now); err != nil {
			t.Fatal(err)
		}
		if err := verify(t, r, hash, now, "kms"); err != nil {
			t.Errorf("attempt %d: %v", i+1, err)
		}
	}
}

func TestSignerRefuses(t *testing.T) {
	if _, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: "a", SecretAccessKey: []byte("short")}, region, "kms"); !errors.Is(err, sigv4.ErrShortSecret) {
		t.Errorf("got %v", err)
	}
	r, _ := http.NewRequest("GET", "https://h/", nil)
	for _, d := range []time.Duration{0, time.Second - 1, sigv4.MaxExpires + time.Second} {
		if err := signer(t, "").Presign(r, [32]byte{}, signedAt, d); err == nil {
			t.Errorf("presigned for %v", d)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := signer(b, "")
	r := typical.build(b)
	hash := sha256.Sum256([]byte(typical.body))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Sign(r, hash, signedAt); err != nil {
			b.Fatal(err)
		}
	}
}
