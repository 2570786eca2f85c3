package sigv4_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestOverTheWire: the same verdict behind real servers, since HTTP/1.1 and HTTP/2 carry host and length in different ways.
func TestOverTheWire(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(*httptest.Server)
		proto int
	}{
		{"HTTP/1.1", (*httptest.Server).Start, 1},
		{"HTTP/1.1 over TLS", (*httptest.Server).StartTLS, 1},
		{"HTTP/2", func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					err = verify(t, r, sha256.Sum256(body), signedAt, "kms")
				}
				if err != nil || r.ProtoMajor != tt.proto {
					http.Error(w, fmt.Sprint(r.Proto, ": ", err), http.StatusBadRequest)
				}
			}))
			tt.start(s)
			defer s.Close()
			for name, q := range odd {
				if q.url != "" || q.service != "" || name == "hop-by-hop headers" && tt.proto == 2 {
					continue
				}
				q.url = s.URL + "/"
				r := q.build(t)
				creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: q.token}
				if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hashOf(q.body), "kms", region, signedAt); err != nil {
					t.Fatal(err)
				}
				resp, err := s.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", name, strings.TrimSpace(string(text)))
				}
			}
		})
	}
}
