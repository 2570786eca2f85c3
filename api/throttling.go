package api

import (
	"context"
	"errors"
	"strconv"

	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/region/fault"
)

// throttledText is what throttled clients are told (spec 03 THR-01).
const throttledText = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

var errCrowded = errors.New("too many requests of this account in flight")

// arrive counts a request as one that waits to be authenticated, unless too many do.
func (x *exchange) arrive() bool {
	x.waits = true
	return x.srv.waiting.Add(1) <= x.srv.maxInFlight
}

// admit is what stands between authentication and everything else, once for a request: a place among those in flight, and the
// quotas that do not depend on a key (spec 10 PROTO-30 step 5).
func (x *exchange) admit(ctx context.Context) error {
	if x.place != nil {
		return nil
	}
	account := x.call.Caller.Account
	if x.call.Caller.Web != nil {
		account = "" // whoever has a token of some provider: they share one part
	}
	if x.place = x.srv.admission.enter(account); x.place == nil {
		x.unrecorded = true // a flood must not fill the audit log; the metrics count it
		x.srv.metrics.crowded(account)
		return fault.Unavailable(errCrowded)
	}
	x.waits = false
	x.srv.waiting.Add(-1)
	if x.srv.meter == nil {
		return nil
	}
	if c := chargings[x.target]; c.own != "" {
		return x.count(ctx, throttle.Key{Scope: account, Quota: c.own})
	}
	return nil
}

// leave gives the place back.
func (x *exchange) leave() {
	if x.waits {
		x.srv.waiting.Add(-1)
		x.waits = false
	}
	if x.place != nil {
		x.srv.admission.leave(x.place)
		x.place = nil
	}
}

// charge counts the call against the quotas of the keys that it uses, once for a request and after it was allowed: who may not use
// a key does not learn its type.
func (x *exchange) charge(ctx context.Context) error {
	if x.srv.meter == nil || x.charged {
		return nil
	}
	x.charged = true
	c, how := &x.call, chargings[x.target]
	switch {
	case how.byPair:
		return x.count(ctx, throttle.Key{Scope: c.Caller.Account, Quota: pairQuota(c.Targets[0].Conditions.DataKeyPairSpec)})
	case how.changesKey:
		return x.count(ctx, throttle.Key{Scope: c.Targets[0].ARN, Quota: quotaHotKey})
	case !how.byKey:
		return nil
	}
	var counted [2]string // the quotas of ReEncrypt's keys, each once
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.Key == nil || i >= len(counted) {
			continue
		}
		name := sharedQuota(t.Key.Spec)
		if i > 0 && counted[0] == name {
			continue
		}
		counted[i] = name
		if err := x.count(ctx, throttle.Key{Scope: c.Caller.Account, Quota: name}); err != nil {
			return err
		}
	}
	return nil
}

// count takes one request of a quota, or refuses it. Of many refusals of an account and operation one a second is recorded (spec
// 03 AUD-10).
func (x *exchange) count(ctx context.Context, k throttle.Key) error {
	limit := x.srv.quotas.Limit(k)
	if limit.Count == 0 {
		return nil
	}
	account := accountOfScope(k.Scope)
	if x.srv.meter.Allow(ctx, k, limit) {
		x.srv.metrics.counted(account, k.Quota, limit, true)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fault.Timeout(err)
	}
	x.srv.metrics.counted(account, k.Quota, limit, false)
	told, left := x.srv.throttled.Tell(x.start, throttle.Key{Scope: x.call.Caller.Account, Quota: x.target})
	if x.unrecorded = !told; left > 0 {
		x.call.Note("throttledCallsLeftOut", strconv.Itoa(left))
	}
	return fault.New(fault.ThrottlingException, "%s", throttledText)
}
