package workload

import (
	"context"
	"errors"
	"math"
	"math/rand"
	"net"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/trentkms/trent/integration/chaos/history"
)

// trace is what became of the attempts of one call, noted by the transport.
type trace struct {
	ambiguous atomic.Int32 // attempts that may take effect although the call fails
}

type traceKey struct{}

// attempts is the transport of all clients: it notes the attempts that may have taken effect.
type attempts struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(r)
	if tr, _ := r.Context().Value(traceKey{}).(*trace); tr != nil {
		refused := err == nil && resp.StatusCode >= 400 && resp.StatusCode < 500
		if !refused && !notConnected(err) {
			tr.ambiguous.Add(1)
		}
	}
	return resp, err
}

// notConnected tells the error of a request that was not sent, since there was no connection to send it on.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// throttled are refusals that say nothing about the state.
var throttled = []string{"ThrottlingException", "Throttling", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"}

// outcome judges a call. write tells that an unanswered call may have changed something. A refusal of a write after an attempt that
// may still take effect says less than its words: the outcome is unknown.
func outcome(err error, tr *trace, write bool) (o history.Outcome, code string) {
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
	case write && tr.ambiguous.Load() > 0:
		return history.Unknown, code
	case status >= 400 && status < 500 && !slices.Contains(throttled, code):
		return history.Refused, code
	}
	return history.Failed, code
}

// caller is one client at one node.
type caller struct {
	t        *Target
	workload string
	client   int
	region   string
	node     Node
	rec      func(history.Op)
}

func (c *caller) kms(as Credentials) *kms.Client { return c.t.KMS(c.region, c.node.URL, as) }
func (c *caller) iam(as Credentials) *iam.Client { return c.t.IAM(c.region, c.node.URL, as) }

// pick chooses a door of a region: mostly the client's own node, sometimes any.
func (t *Target) pick(region int, client int, rng *rand.Rand) Node {
	doors := t.Regions[region].doors()
	if rng.Intn(4) > 0 {
		return doors[client%len(doors)]
	}
	return doors[rng.Intn(len(doors))]
}

// do runs one operation and records it. f fills out on success. The operation is not cut short by the end of the run, so that the
// history has few unknown outcomes.
func (c *caller) do(op history.Op, write bool, f func(ctx context.Context, out map[string]string) error) history.Op {
	tr := &trace{}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), traceKey{}, tr), 2*c.t.timeout())
	defer cancel()
	op.Workload, op.Client, op.Node, op.Region = c.workload, c.client, c.node.Name, c.region
	op.Out = make(map[string]string)
	op.Call = c.t.Clock.Now()
	err := f(ctx, op.Out)
	op.Return = c.t.Clock.Now()
	if op.Outcome, op.Error = outcome(err, tr, write); op.Outcome == history.Unknown {
		op.Return = math.MaxInt64
	}
	c.rec(op)
	return op
}
