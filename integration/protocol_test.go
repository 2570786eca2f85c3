package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/integration/trenttest"
)

const listKeysBody = `{"Limit":1}`

// name is the exception of an answer.
func name(a *trenttest.Answer) string {
	n, _, _ := strings.Cut(a.Text(), ":")
	return n
}

// TestHTTP: what is no call of the API never reaches one (spec 10 section 2.2).
func TestHTTP(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	const unknown = "<UnknownOperationException/>\n"
	for _, tc := range []struct{ what, method, path, contentType string }{
		{"GET", http.MethodGet, "/", contentTypeJSON}, {"PUT", http.MethodPut, "/", contentTypeJSON}, {"DELETE", http.MethodDelete, "/", contentTypeJSON},
		{"OPTIONS", http.MethodOptions, "/", contentTypeJSON}, {"PATCH", http.MethodPatch, "/", contentTypeJSON},
		{"another path", http.MethodPost, "/kms", contentTypeJSON}, {"two slashes", http.MethodPost, "//", contentTypeJSON},
		{"dots", http.MethodPost, "/../", contentTypeJSON}, {"an escaped slash", http.MethodPost, "/%2F", contentTypeJSON},
		{"another version", http.MethodPost, "/", "application/x-amz-json-1.0"}, {"plain JSON", http.MethodPost, "/", "application/json"},
		{"no type", http.MethodPost, "/", ""},
		{"nearly", http.MethodPost, "/", "application/x-amz-json-1.1x"},
	} {
		r := do(s.Build(t.Context(), trenttest.Request{Operation: "ListKeys", Body: []byte(listKeysBody)})).ok(t)
		r.Method, r.URL.Path, r.URL.RawPath = tc.method, tc.path, ""
		r.URL.Opaque = "//" + s.Address() + tc.path
		if r.Header.Del("Content-Type"); tc.contentType != "" {
			r.Header.Set("Content-Type", tc.contentType)
		}
		a := do(s.Send(r)).ok(t)
		if a.Status != http.StatusNotFound || string(a.Body) != unknown || a.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: HTTP %d %q %v", tc.what, a.Status, a.Body, a.Header)
		}
	}
	for _, tc := range []string{contentTypeJSON, contentTypeJSON + "; charset=utf-8", "Application/X-Amz-Json-1.1"} {
		a := do(s.Do(t.Context(), trenttest.Request{Operation: "ListKeys", Body: []byte(listKeysBody), Header: http.Header{"Content-Type": {tc}}})).ok(t)
		if a.Status != http.StatusOK {
			t.Errorf("content type %q: HTTP %d %s", tc, a.Status, a.Text())
		}
	}
}

const contentTypeJSON = "application/x-amz-json-1.1"

func TestTargets(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	for _, target := range [][]string{
		nil, {""}, {"ListKeys"}, {"TrentService."}, {"TrentService.listKeys"}, {"TrentService.NoSuch"}, {"AWSKMS.ListKeys"},
		{"TrentService.ListKeys", "TrentService.ListKeys"}, {"TrentService.TrentService.ListKeys"}, {"TrentService_20141101.ListKeys"},
	} {
		a := do(s.Do(t.Context(), trenttest.Request{Body: []byte(`{}`), Header: http.Header{"X-Amz-Target": target}})).ok(t)
		if a.Text() != "UnknownOperationException" || a.Status != http.StatusBadRequest {
			t.Errorf("target %q: HTTP %d %s", target, a.Status, a.Text())
		}
	}
	// A body that is no JSON object is told first (PROTO-30).
	a := do(s.Do(t.Context(), trenttest.Request{Operation: "NoSuch", Body: []byte(`nonsense`)})).ok(t)
	if name(a) != "SerializationException" {
		t.Errorf("no JSON for an unknown operation: %s", a.Text())
	}
}

// TestBodies: what is no JSON object of the right form is refused before anybody is asked who he is.
func TestBodies(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	id := *newKey(t, s.Client()).KeyId
	deep := strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_000)
	for _, body := range []string{
		``, ` `, `null`, `[]`, `"x"`, `17`, `true`, `{`, `}`, `{"KeyId":}`, `{"KeyId":"x",}`, `{KeyId:"x"}`, `{'KeyId':'x'}`, `{"KeyId":"x"} {}`, `{"KeyId":"x"}x`,
		`{"KeyId":17}`, `{"KeyId":true}`, `{"KeyId":{}}`, `{"KeyId":["x"]}`, `{"KeyId":"x","Plaintext":17}`, `{"KeyId":"x","Plaintext":"a"}`,
		`{"KeyId":"x","Plaintext":"aGk"}`, `{"KeyId":"x","Plaintext":"aGk=="}`, `{"KeyId":"x","Plaintext":"a-_="}`, `{"KeyId":"x","Plaintext":"aG k="}`,
		`{"KeyId":"x","DryRun":"true"}`, `{"KeyId":"x","DryRun":1}`, `{"KeyId":"x","GrantTokens":"x"}`, `{"KeyId":"x","GrantTokens":[1]}`,
		`{"KeyId":"x","KeyId":"y"}`, `{"KeyId":"x","EncryptionContext":"x"}`, "{\"KeyId\":\"\xff\"}", `{"KeyId":"\ud800"}`,
		"\ufeff{}", `{"KeyId":"` + "\n" + `"}`, deep, `{"Unknown":` + deep + `}`,
	} {
		a := do(s.Call(t.Context(), "Encrypt", body)).ok(t)
		if name(a) != "SerializationException" {
			t.Errorf("%.60q: %.200s", body, a.Text())
		}
	}
	for op, body := range map[string]string{
		"GenerateRandom":       `{"NumberOfBytes":"8"}`,
		"ScheduleKeyDeletion":  `{"KeyId":"x","PendingWindowInDays":7.5}`,
		"ListKeys":             `{"Limit":99999999999999999999}`,
		"ImportKeyMaterial":    `{"ValidTo":"tomorrow"}`,
		"TagResource":          `{"Tags":{"a":"b"}}`,
		"UntagResource":        `{"TagKeys":[null,{}]}`,
		"EnableKeyRotation":    `{"RotationPeriodInDays":true}`,
		"UpdateKeyDescription": `{"Description":{}}`,
	} {
		a := do(s.Call(t.Context(), op, body)).ok(t)
		if name(a) != "SerializationException" {
			t.Errorf("%s %s: %s", op, body, a.Text())
		}
	}
	// Members that are null count as absent, unknown ones are ignored (PROTO-06), white space is free.
	a := do(s.Call(t.Context(), "Encrypt", " {\t\"KeyId\" : \""+id+"\",\n\"Plaintext\":\"aGk=\" , \"DryRun\":null,\"Unknown\":{\"a\":[1,2,{}]},\"keyId\":\"x\"}\r\n")).ok(t)
	if a.Status != http.StatusOK {
		t.Errorf("null and unknown members: %s", a.Text())
	}
}

// TestLargeBodies: 1 MiB is the limit, however the body comes.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	const limit = 1 << 20
	padded := func(n int) []byte {
		return append([]byte(listKeysBody), bytes.Repeat([]byte(" "), n-len(listKeysBody))...)
	}
	send := func(body []byte, chunked bool) *trenttest.Answer {
		t.Helper()
		r := do(s.Build(t.Context(), trenttest.Request{Operation: "ListKeys", Body: body})).ok(t)
		if chunked {
			// Signed without Content-Length, as a chunked request has none.
			r = do(http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", io.MultiReader(bytes.NewReader(body)))).ok(t)
			r.Header.Set("Content-Type", contentTypeJSON)
			r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
			signer := do(sigv4.NewSigner(sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: []byte(s.Secret)}, s.Region, "kms")).ok(t)
			if err := signer.Sign(r, sha256.Sum256(body), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		return do(s.Send(r)).ok(t)
	}
	for _, chunked := range []bool{false, true} {
		if a := send(padded(limit), chunked); a.Status != http.StatusOK {
			t.Errorf("1 MiB, chunked %v: HTTP %d %s", chunked, a.Status, a.Text())
		}
		if a := send(padded(limit+1), chunked); a.Status != http.StatusRequestEntityTooLarge || name(a) != "RequestEntityTooLargeException" {
			t.Errorf("above 1 MiB, chunked %v: HTTP %d %s", chunked, a.Status, a.Text())
		}
		if a := send([]byte(listKeysBody), chunked); a.Status != http.StatusOK {
			t.Errorf("small, chunked %v: HTTP %d %s", chunked, a.Status, a.Text())
		}
	}
}

// TestSignatures: the errors of authentication with their texts, in their order (spec 10 section 2.1).
func TestSignatures(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	const (
		mismatch = "InvalidSignatureException: The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
		unknownKey = "UnrecognizedClientException: The security token included in the request is invalid."
	)
	good := func() *http.Request {
		return do(s.Build(t.Context(), trenttest.Request{Operation: "ListKeys", Body: []byte(listKeysBody)})).ok(t)
	}
	with := func(q trenttest.Request) *http.Request {
		q.Operation, q.Body = "ListKeys", []byte(listKeysBody)
		return do(s.Build(t.Context(), q)).ok(t)
	}
	bend := func(f func(*http.Request)) *http.Request {
		r := good()
		f(r)
		return r
	}
	body := func(b string) func(*http.Request) {
		return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(b)), int64(len(b)) }
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, tc := range []struct {
		what string
		r    *http.Request
		want string // a prefix
	}{
		{"good", good(), ""},
		{"unsigned", bend(func(r *http.Request) { r.Header.Del("Authorization") }), "MissingAuthenticationTokenException: Request is missing Authentication Token"},
		{"basic authentication", bend(func(r *http.Request) { r.SetBasicAuth("a", "b") }), "MissingAuthenticationTokenException: Request is missing Authentication Token"},
		{"nothing but the algorithm", bend(func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256") }),
			"IncompleteSignatureException: Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. "},
		{"no date", bend(func(r *http.Request) { r.Header.Del("X-Amz-Date") }),
			"IncompleteSignatureException: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "},
		{"bad date", bend(func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }),
			"IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"another algorithm", bend(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1))
		}), "IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). "},
		{"short credential", bend(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/kms/aws4_request", "", 1))
		}), "IncompleteSignatureException: Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"},
		{"expired", with(trenttest.Request{Time: now.Add(-5*time.Minute - 3*time.Second)}), "InvalidSignatureException: Signature expired: "},
		{"not yet current", with(trenttest.Request{Time: now.Add(5*time.Minute + 10*time.Second)}), "InvalidSignatureException: Signature not yet current: "},
		{"nearly expired", with(trenttest.Request{Time: now.Add(-4*time.Minute - 45*time.Second)}), ""},
		{"nearly too early", with(trenttest.Request{Time: now.Add(4*time.Minute + 45*time.Second)}), ""},
		{"another region", with(trenttest.Request{Region: "eu-west-1"}), "InvalidSignatureException: Credential should be scoped to a valid region. "},
		{"another service", with(trenttest.Request{Service: "s3"}), "InvalidSignatureException: Credential should be scoped to correct service: 'kms'. "},
		{"wrong secret", with(trenttest.Request{Credentials: &sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: []byte("not the secret access key")}}), mismatch},
		{"unknown key", with(trenttest.Request{Credentials: &sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: []byte(s.Secret)}}), unknownKey},
		{"session token", with(trenttest.Request{Credentials: &sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: []byte(s.Secret), SessionToken: "FwoGZXIvYXdzEXAMPLE"}}), unknownKey},
		{"another body", bend(body(`{"Limit":2}`)), mismatch},
		{"another target", bend(func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.ListAliases") }), mismatch},
		{"a signed header changed", bend(func(r *http.Request) { r.Header.Set("Content-Type", contentTypeJSON+";x") }), mismatch},
		{"a query added", bend(func(r *http.Request) { r.URL.RawQuery = "x=1" }), mismatch},
		{"another host", bend(func(r *http.Request) { r.Host = "kms.us-east-1.amazonaws.com" }), mismatch},
		{"a signature bent", bend(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			last := "0"
			if strings.HasSuffix(a, "0") {
				last = "1"
			}
			r.Header.Set("Authorization", a[:len(a)-1]+last)
		}), mismatch},
		{"an unsigned header added", bend(func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }), ""},
	} {
		a := do(s.Send(tc.r)).ok(t)
		if got := a.Text(); (tc.want == "") != (got == "") || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.what, got, tc.want)
		}
	}
	// What must be signed, and may come once only.
	for what, r := range map[string]*http.Request{
		"two Authorization headers": bend(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }),
		"two dates":                 bend(func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }),
		"a hash of another body":    bend(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) }),
		"unsigned payload":          bend(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }),
		"an unsigned session token": bend(func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }),
	} {
		if a := do(s.Send(r)).ok(t); a.Status != http.StatusBadRequest {
			t.Errorf("%s: HTTP %d %s", what, a.Status, a.Text())
		}
	}
	if a := do(s.Call(t.Context(), "ListKeys", listKeysBody)).ok(t); a.Status != http.StatusOK {
		t.Errorf("afterwards: %s", a.Text())
	}
}

// TestPresigned: credentials in the query are good for exactly this request, until they expire.
func TestPresigned(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	signer := do(sigv4.NewSigner(sigv4.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: []byte(s.Secret)}, s.Region, "kms")).ok(t)
	presign := func(at time.Time, life time.Duration) *http.Request {
		t.Helper()
		r := do(http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", strings.NewReader(listKeysBody))).ok(t)
		r.Header.Set("Content-Type", contentTypeJSON)
		r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
		if err := signer.Presign(r, sha256.Sum256([]byte(listKeysBody)), at, life); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if a := do(s.Send(presign(time.Now(), time.Minute))).ok(t); a.Status != http.StatusOK {
		t.Errorf("presigned: %s", a.Text())
	}
	if a := do(s.Send(presign(time.Now().Add(-time.Hour), time.Minute))).ok(t); a.Status != http.StatusBadRequest {
		t.Errorf("expired: HTTP %d", a.Status)
	}
	r := presign(time.Now(), time.Minute)
	r.Header.Set("X-Amz-Target", "TrentService.ListAliases")
	if a := do(s.Send(r)).ok(t); name(a) != "InvalidSignatureException" {
		t.Errorf("another operation: %s", a.Text())
	}
}

// TestSlowClients: a client that never ends its headers, or never sends its body, is cut off; others do not notice.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	slow := do(s.Dial()).ok(t)
	defer func() { _ = slow.Close() }()
	if _, err := io.WriteString(slow, "POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := slow.SetReadDeadline(begin.Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	cut := make(chan time.Duration, 1)
	go func() {
		_, _ = io.Copy(io.Discard, slow)
		cut <- time.Since(begin)
	}()
	for range 20 {
		if a := do(s.Call(t.Context(), "ListKeys", listKeysBody)).ok(t); a.Status != http.StatusOK {
			t.Errorf("beside a slow client: %s", a.Text())
		}
	}
	if took := <-cut; took > 30*time.Second {
		t.Errorf("a client without end of headers was cut off after %v", took)
	}
	// Headers of unbounded size end early.
	endless := do(s.Dial()).ok(t)
	defer func() { _ = endless.Close() }()
	_ = endless.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(endless, "POST / HTTP/1.1\r\nHost: x\r\n")
	w := bufio.NewWriter(endless)
	for range 10_000 {
		if _, err := fmt.Fprintf(w, "X-Endless: %s\r\n", strings.Repeat("x", 100)); err != nil {
			break
		}
	}
	_ = w.Flush()
	line, _ := bufio.NewReader(endless).ReadString('\n')
	if line != "" && !strings.Contains(line, "431") {
		t.Errorf("endless headers are answered %q", line)
	}
}

// TestHangingBodies: clients that begin a body and never end it hold no place of others, and cannot fill the memory: above a
// bound large bodies are refused.
func TestHangingBodies(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{Faults: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var hanging sync.WaitGroup
	var refused atomic.Int64
	const clients, size = 1100, 600 << 10 // more than requests in flight and than memory for bodies
	filler := bytes.Repeat([]byte(" "), size)
	for range clients {
		reader, writer := io.Pipe()
		r := do(http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/", reader)).ok(t)
		r.Header.Set("Content-Type", contentTypeJSON)
		r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
		hanging.Go(func() {
			a, err := s.Send(r)
			_ = reader.CloseWithError(io.ErrClosedPipe)
			if err == nil && a.Status == http.StatusServiceUnavailable {
				refused.Add(1)
			} else if err == nil {
				t.Errorf("a hanging request: HTTP %d %s", a.Status, a.Text())
			}
		})
		// A transport whose request is cancelled waits for the body's end.
		context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Canceled) })
		go func() { _, _ = writer.Write(filler) }()
	}
	eventually(t, "large bodies are refused", func() bool { return refused.Load() > 0 })
	for range 20 {
		if a := do(s.Call(t.Context(), "ListKeys", listKeysBody)).ok(t); a.Status != http.StatusOK {
			t.Errorf("beside hanging clients: HTTP %d %s", a.Status, a.Text())
		}
	}
	cancel()
	hanging.Wait()
	eventually(t, "large bodies are taken again", func() bool {
		a, err := s.Do(t.Context(), trenttest.Request{Operation: "ListKeys", Body: append([]byte(listKeysBody), filler...)})
		return err == nil && a.Status == http.StatusOK
	})
}

// TestAnswersOnTheWire compares bodies byte for byte.
func TestAnswersOnTheWire(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	id := *newKey(t, s.Client()).KeyId
	disable := do(s.Call(t.Context(), "DisableKey", `{"KeyId":"`+id+`"}`)).ok(t)
	if disable.Status != http.StatusOK || len(disable.Body) != 0 || disable.Header.Get("Content-Length") != "0" {
		t.Errorf("a void operation answers HTTP %d %q", disable.Status, disable.Body)
	}
	refused := do(s.Call(t.Context(), "Encrypt", `{"KeyId":"`+id+`","Plaintext":"aGk="}`)).ok(t)
	if want := `{"__type":"DisabledException","message":"` + arnHead + `key/` + id + ` is disabled."}`; string(refused.Body) != want {
		t.Errorf("got  %s\nwant %s", refused.Body, want)
	}
	silent := do(s.Call(t.Context(), "Decrypt", `{"CiphertextBlob":"AAAA"}`)).ok(t)
	if want := `{"__type":"InvalidCiphertextException"}`; string(silent.Body) != want {
		t.Errorf("got  %s\nwant %s", silent.Body, want)
	}
	foreign := do(s.Call(t.Context(), "DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:key/`+id+`"}`)).ok(t)
	if !strings.HasPrefix(string(foreign.Body), `{"__type":"AccessDeniedException","Message":"User: `) {
		t.Errorf("access denied: %s", foreign.Body)
	}
	var described struct {
		KeyMetadata map[string]json.RawMessage
	}
	a := do(s.Call(t.Context(), "DescribeKey", `{"KeyId":"`+id+`"}`)).ok(t)
	if err := json.Unmarshal(a.Body, &described); err != nil {
		t.Fatal(err)
	}
	if date := string(described.KeyMetadata["CreationDate"]); !strings.HasPrefix(date, fmt.Sprint(time.Now().Unix()/1000)) {
		t.Errorf("CreationDate is %s, want seconds since the epoch", date)
	}
}
