package workload

import (
	"context"
	"errors"
	"net"
	"net/http"
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
	id string // of the call: it is in the user agent, and so in the audit records

	mu        sync.Mutex
	sent      int    // attempts that may have reached the service
	ambiguous int    // attempts that may take effect although the call fails
	request   string // the service's id of the last answer
}

type traceKey struct{}

// attempts is the transport of all clients: it notes the attempts that may have taken effect.
type attempts struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	tr, _ := r.Context().Value(traceKey{}).(*trace)
	if tr == nil {
		return a.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", check.AgentPrefix+tr.id)
	resp, err := a.next.RoundTrip(r)
	tr.note(resp, err)
	return resp, err
}

func (tr *trace) note(resp *http.Response, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if notConnected(err) {
		return
	}
	tr.sent++
	if err != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 {
		tr.ambiguous++
	}
	if err == nil {
		tr.request = resp.Header.Get("X-Amzn-Requestid")
	}
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
