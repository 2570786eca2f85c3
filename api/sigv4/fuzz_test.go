package sigv4_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/trentkms/trent/api/sigv4"
)

// FuzzParse: nothing that arrives makes the verifier panic, and nothing verifies without the key.
func FuzzParse(f *testing.F) {
	for _, q := range odd {
		f.Add(q.sign(f))
		f.Add(q.presign(f))
	}
	f.Add([]byte("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: " + goodAuth + "\r\nX-Amz-Date: " + goodDate + "\r\n\r\n"))
	f.Add([]byte("POST /?" + presigned + " HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: \r\nAuthorization: AWS4-\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, hash, err := read(raw)
		if err != nil {
			return
		}
		q, err := sigv4.Parse(r)
		if err != nil {
			errorOf(t, err)
			return
		}
		if len(r.Header["Authorization"]) > 1 || len(r.Header["Authorization"]) == 1 && q.Presigned {
			t.Fatal("two credentials accepted")
		}
		if q.Check(q.Time, q.Scope().Region, q.Scope().Service) != nil {
			return
		}
		other, err := sigv4.DeriveKey([]byte("another secret access key"), q.Scope())
		if err != nil {
			t.Fatal(err)
		}
		if q.Verify(other, hash) == nil {
			t.Fatal("verified with a key that nobody signed with")
		}
	})
}

// FuzzSDK: a request that the SDK for Go signs always verifies, in the header and presigned, whatever its path, query, header
// and body are; and it no longer does if one byte of the body changes.
func FuzzSDK(f *testing.F) {
	f.Add("/", "", "", "", "{}")
	f.Add("/a b/%2F//..", "b=2&a=1&a=%7E", "a   b", "IQoJ//==", `{"KeyId":"k"}`)
	f.Add("/ü", "é=1&a=+", " x\u00a0", "", "")
	f.Fuzz(func(t *testing.T, path, query, header, token, body string) {
		u := &url.URL{Scheme: "https", Host: "localhost:8443", Path: "/" + strings.TrimPrefix(path, "/"), RawQuery: query}
		if strings.ContainsFunc(header+token+u.RawQuery, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.TrimSpace(token) != token {
			return // net/http would not send it
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return // the SDK drops what it cannot parse
		}
		for name := range values {
			if strings.HasPrefix(name, "X-Amz-") {
				return // would be a second credential
			}
		}
		if _, err := url.ParseRequestURI(u.RequestURI()); err != nil {
			return
		}
		q := request{url: u.String(), body: body, token: token, headers: [][2]string{{"X-Custom", header}}}
		if _, err := http.NewRequest("POST", q.url, nil); err != nil {
			return
		}
		for _, raw := range [][]byte{q.sign(t), q.presign(t)} {
			r, hash, err := read(raw)
			if err != nil {
				return
			}
			if err := verify(t, r, hash, signedAt, "kms"); err != nil {
				t.Fatalf("%q: %v", raw, err)
			}
			if verify(t, r, sha256.Sum256([]byte(body+"x")), signedAt, "kms") == nil {
				t.Fatalf("%q verifies with another body", raw)
			}
		}
	})
}

// FuzzSigner: the same for our own signer.
func FuzzSigner(f *testing.F) {
	f.Add("/", "", "", "{}")
	f.Add("/a b/%2F//..", "b=2&a=1&a=%7E&c;d", "a   b", "x")
	s := signer(f, "")
	f.Fuzz(func(t *testing.T, path, query, header, body string) {
		if plain, err := url.QueryUnescape(query); err != nil || strings.Contains(plain, "X-Amz-") {
			return // refused, or a credential of its own
		}
		r := &http.Request{Method: "POST", Host: "h", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{"X-Amz-Meta": {header}, "Content-Type": {"a"}}, ContentLength: int64(len(body))}
		hash := sha256.Sum256([]byte(body))
		if err := s.Sign(r, hash, signedAt); err != nil {
			t.Fatal(err)
		}
		if err := verify(t, r, hash, signedAt, "kms"); err != nil {
			t.Fatal(err)
		}
		r.Header.Del("Authorization")
		if err := s.Presign(r, hash, signedAt, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := verify(t, r, hash, signedAt, "kms"); err != nil {
			t.Fatal(err)
		}
	})
}
