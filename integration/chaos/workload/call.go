package workload

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// trace is what became of the attempts of one call, noted by the transport. A call that timed out may leave an attempt behind, so it
// is locked.
type trace struct {
	id    string // of the call: it is in the user agent, and so in the audit records
	doors []Node // whom the attempts ask in turn
	lose  bool   // the first success is kept from the client, as by a connection that broke too soon

	mu        sync.Mutex
	tried     int    // attempts
	sent      int    // attempts that may have reached the service
	ambiguous int    // attempts that may take effect although the call fails
	request   string // the service's id of the last answer
}

type traceKey struct{}

// attempts is the transport of all clients: it notes the attempts that may have taken effect, sends each to the next node in turn, as a
// load balancer might, and loses answers on purpose.
type attempts struct{ next http.RoundTripper }

// errLost is the error of an answer that was lost on purpose.
var errLost = errors.New("the answer is lost on purpose")

// RoundTrip implements http.RoundTripper.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	tr, _ := r.Context().Value(traceKey{}).(*trace)
	if tr == nil {
		return a.next.RoundTrip(r)
	}
	r, err := tr.direct(r)
	if err != nil {
		return nil, err
	}
	resp, err := a.next.RoundTrip(r)
	if tr.note(resp, err) {
		return nil, errors.Join(errLost, resp.Body.Close())
	}
	return resp, err
}

// direct makes the request of the next attempt. The host that was signed stays.
func (tr *trace) direct(r *http.Request) (*http.Request, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	to, err := url.Parse(tr.doors[tr.tried%len(tr.doors)].URL)
	if err != nil {
		return nil, err
	}
	tr.tried++
	r = r.Clone(r.Context())
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Host = to.Host
	r.Header.Set("User-Agent", check.AgentPrefix+tr.id)
	return r, nil
}

// note notes what became of an attempt, and tells whether its answer is to be lost.
func (tr *trace) note(resp *http.Response, err error) (lose bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if notConnected(err) {
		return false
	}
	tr.sent++
	if err != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 {
		tr.ambiguous++
	}
	if err != nil {
		return false
	}
	tr.request = resp.Header.Get("X-Amzn-Requestid")
	lose = tr.lose && resp.StatusCode < 400
	tr.lose = tr.lose && !lose
	return lose
}

// last is whom the last attempt asked.
func (tr *trace) last() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.doors[max(tr.tried-1, 0)%len(tr.doors)].Name
}

// seen reads the trace.
func (tr *trace) seen() (sent, ambiguous int, request string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.sent, tr.ambiguous, tr.request
}

// notConnected tells the error of a request that was not sent, since there was no connection to send it on.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// stateless are refusals that say nothing about the state.
var stateless = []string{"ThrottlingException", "Throttling", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"}

// outcome judges a call. ambiguous is how many of its attempts may take effect; write tells that it would change something. A
// refusal of a write after an attempt that may still take effect says less than its words: the outcome is unknown.
func outcome(err error, ambiguous int, write bool) (o history.Outcome, code string) {
	if err == nil {
		return history.OK, ""
	}
	var (
		answer   smithy.APIError
		response *smithyhttp.ResponseError
		status   int
	)
	switch {
	case errors.As(err, &answer):
		code = answer.ErrorCode()
	case errors.Is(err, errLost):
		code = "answer lost"
	case notConnected(err):
		code = "not connected"
	case errors.Is(err, context.DeadlineExceeded):
		code = "timeout"
	default:
		code = "connection lost"
	}
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case write && ambiguous > 0:
		return history.Unknown, code
	case status >= 400 && status < 500 && !slices.Contains(stateless, code):
		return history.Refused, code
	}
	return history.Failed, code
}
