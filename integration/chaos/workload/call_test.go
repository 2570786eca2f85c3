package workload

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/chaos/history"
)

// TestOutcomes holds what a client may conclude from answers, lost answers and retries: the checkers are only as good as this.
func TestOutcomes(t *testing.T) {
	type answers []func(w http.ResponseWriter)
	answer := func(status int, code string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("X-Amzn-Requestid", code)
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			if code != "" {
				_, _ = w.Write([]byte(`{"__type":"` + code + `"}`))
			}
		}
	}
	ok := answer(http.StatusOK, "")
	refused, throttled := answer(http.StatusBadRequest, "DisabledException"), answer(http.StatusBadRequest, "ThrottlingException")
	down := answer(http.StatusServiceUnavailable, "ServiceUnavailable")
	cut := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("{"))
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name        string
		answers     answers
		read, write history.Outcome
		code        string
		attempts    string
	}{
		{"done", answers{ok}, history.OK, history.OK, "", "1"},
		{"refused", answers{refused}, history.Refused, history.Refused, "DisabledException", "1"},
		{"done at the second attempt", answers{down, ok}, history.OK, history.OK, "", "2"},
		{"refused after an attempt that may take effect", answers{down, refused}, history.Refused, history.Unknown, "DisabledException", "2"},
		{"throttled", answers{throttled, throttled}, history.Failed, history.Failed, "ThrottlingException", "2"},
		{"down", answers{down, down}, history.Failed, history.Unknown, "ServiceUnavailable", "2"},
		{"cut off", answers{cut, cut}, history.Failed, history.Unknown, "connection lost", "2"},
		{"cut off in the answer", answers{half, half}, history.Failed, history.Unknown, "", ""},
		{"cut off, then refused", answers{cut, refused}, history.Refused, history.Unknown, "DisabledException", "2"},
	} {
		for _, write := range []bool{false, true} {
			want := tt.read
			if write {
				want = tt.write
			}
			var n atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.UserAgent(), "chaos/test-") {
					t.Errorf("%s: the user agent is %q", tt.name, r.UserAgent())
				}
				tt.answers[min(int(n.Add(1))-1, len(tt.answers)-1)](w)
			}))
			server.Config.ErrorLog = nil
			op := callOnce(t, server.URL, write, time.Minute)
			server.Close()
			if op.Outcome != want || tt.code != "" && op.Error != tt.code || tt.attempts != "" && op.In["attempts"] != tt.attempts {
				t.Errorf("%s, write %v: got outcome %d, %q after %s attempts; want %d, %q after %s", tt.name, write, op.Outcome, op.Error, op.In["attempts"], want, tt.code, tt.attempts)
			}
			if (op.Return == math.MaxInt64) != (op.Outcome == history.Unknown) {
				t.Errorf("%s: outcome %d returns at %d", tt.name, op.Outcome, op.Return)
			}
			if op.Outcome == history.Refused && op.Out["request"] != op.Error {
				t.Errorf("%s: the last request is %q", tt.name, op.Out["request"])
			}
		}
	}
}

// TestNobodyListens: what was never sent did not happen.
func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	_ = ln.Close()
	if op := callOnce(t, url, true, time.Minute); op.Outcome != history.Failed || op.Error != "not connected" || op.In["attempts"] != "0" {
		t.Errorf("got %+v", op)
	}
}

// TestHanging: a call without an answer ends, and a change may have happened.
func TestHanging(t *testing.T) {
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer server.Close()
	defer close(end)
	if op := callOnce(t, server.URL, true, 200*time.Millisecond); op.Outcome != history.Unknown {
		t.Errorf("got %+v", op)
	}
}

func callOnce(t *testing.T, url string, write bool, timeout time.Duration) (op history.Op) {
	t.Helper()
	target := &Target{Clock: history.NewClock(), Regions: []Region{{Name: "r1", Nodes: []Node{{Name: "n1", URL: url}}}}, Timeout: timeout, Attempts: 2}
	defer target.Close()
	var book notebook
	s := target.setup("test", &book)
	d, key := s.here(), "k"
	op = s.do(d, history.Op{Kind: "DisableKey", Key: key}, write, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).DisableKey(ctx, &kms.DisableKeyInput{KeyId: &key})
		return err
	})
	if len(book.ops) != 1 {
		t.Errorf("%d operations are recorded", len(book.ops))
	}
	return op
}

// TestLostAnswer holds that an answer is lost once, that the next attempt asks the next node with what was signed for the first, and that
// the client learns its answer.
func TestLostAnswer(t *testing.T) {
	var hosts []string
	serve := func(w http.ResponseWriter, r *http.Request) { hosts = append(hosts, r.Host) }
	first, second := httptest.NewServer(http.HandlerFunc(serve)), httptest.NewServer(http.HandlerFunc(serve))
	defer first.Close()
	defer second.Close()
	target := &Target{Clock: history.NewClock()}
	defer target.Close()
	tr := &trace{id: "test-1", doors: []Node{{Name: "n1", URL: first.URL}, {Name: "n2", URL: second.URL}}, lose: true}
	key := "k"
	_, err := target.KMS("r1", first.URL, Credentials{AccessKeyID: "id", Secret: "secret"}).DisableKey(context.WithValue(t.Context(), traceKey{}, tr), &kms.DisableKeyInput{KeyId: &key})
	sent, ambiguous, _ := tr.seen()
	if err != nil || sent != 2 || ambiguous != 2 || tr.last() != "n2" {
		t.Errorf("%v after %d attempts, %d of them ambiguous, the last at %s", err, sent, ambiguous, tr.last())
	}
	if want := strings.TrimPrefix(first.URL, "http://"); len(hosts) != 2 || hosts[0] != want || hosts[1] != want {
		t.Errorf("the hosts are %q, want %q twice", hosts, want)
	}
}

// TestStoredHistory holds that a history can be judged without a cluster.
func TestStoredHistory(t *testing.T) {
	for _, w := range All() {
		if all := w.Check(t.Context(), &Target{Clock: history.NewClock()}, nil); len(all) > 0 {
			t.Errorf("%s finds %v in no history", w.Name(), all)
		}
	}
}
