package api

import (
	"fmt"
	"sync/atomic"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// Endpoint is what a listener says of the requests that come over it (spec 04 VE). Its fields must not change once requests come; the
// zero Endpoint is a public listener. It is safe for concurrent use.
type Endpoint struct {
	// VpceID makes the listener a private endpoint: vpce- and 17 hex digits. VpcID is the network that it stands for, "" for none.
	VpceID, VpcID string
	// Secure tells that TLS ended before the listener, at a load balancer that is trusted.
	Secure bool

	policy atomic.Pointer[policy.Policy]
}

// SetPolicy sets the endpoint policy: a request succeeds only if it allows it too. It applies from the next decision on. Without one
// everything else decides alone.
func (e *Endpoint) SetPolicy(document string) error {
	p, err := policy.Parse(document, policy.EndpointPolicy)
	if err != nil {
		return fmt.Errorf("endpoint policy: %w", err)
	}
	e.policy.Store(p)
	return nil
}

// throughEndpoint holds an operation that needs no permission to the policy of the endpoint over which it came.
func (a *authorizer) throughEndpoint(x *exchange, permission string) error {
	t := region.Target{Permission: permission, ARN: "*"}
	req, err := a.request(x, &t)
	if err != nil {
		return err
	}
	d := policy.DecideEndpoint(req)
	if d.Allowed() {
		return nil
	}
	x.refusedByEndpoint(req.Action, t.ARN)
	return fault.Denied("%s", d.Message(x.call.Caller.ARN, req.Action, t.ARN))
}

// refusedByEndpoint notes that the endpoint policy alone refuses the call: that is not for the account's audit log but for the operator
// (spec 04 VE-08), once a second for each caller's account and action.
func (x *exchange) refusedByEndpoint(action, resource string) {
	x.unrecorded = true
	c := x.call.Caller
	if told, left := x.srv.throttled.Tell(x.start, throttle.Key{Scope: c.Account, Quota: "endpoint policy " + action}); told {
		x.srv.log.Warn("the endpoint policy refused a call", "endpoint", x.via.VpceID, "caller", c.ARN, "action", action, "resource", resource,
			"requestID", x.id, "notTold", left)
	}
}

// connection answers the condition keys about the way that a request came (spec 04 VE-05): but for the headers, the server alone
// sets them.
type connection exchange

// Lookup implements policy.Context.
func (c *connection) Lookup(k *policy.Key) policy.Values {
	e := c.via
	switch k.ID {
	case policy.KeySourceIP:
		if e.VpceID == "" {
			return policy.NonEmpty(clientIP(c.r.RemoteAddr))
		}
	case policy.KeyVpcSourceIP:
		if e.VpceID != "" {
			return policy.NonEmpty(clientIP(c.r.RemoteAddr))
		}
	case policy.KeySourceVpce:
		return policy.NonEmpty(e.VpceID)
	case policy.KeySourceVpc:
		return policy.NonEmpty(e.VpcID)
	case policy.KeySecureTransport:
		return policy.Flag(c.r.TLS != nil || e.Secure)
	case policy.KeyUserAgent:
		return policy.NonEmpty(c.r.UserAgent())
	case policy.KeyReferer:
		return policy.NonEmpty(c.r.Referer())
	}
	return policy.Absent()
}
