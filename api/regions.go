package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keystate"
	"github.com/trentkms/trent/region/shape"
)

// AnswerRegion answers another region's question (region.Question): whether its caller may make a replica, or a replica the primary,
// here. The caller is authenticated by the other region and authorized on this region's own state. Refusals are verdicts; an error
// means that the question could not be decided. A refusal is recorded here, a success by the change that follows.
func (s *Server) AnswerRegion(ctx context.Context, _ string, question []byte) ([]byte, error) {
	var q region.Question
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, errors.New("unreadable question")
	}
	if _, err := netip.ParseAddr(q.Caller.SourceIP); err != nil || !region.ValidRequestID(q.RequestID) {
		return nil, errors.New("unreadable question") // they become values of condition keys and parts of records
	}
	st, err := s.service.View(ctx)
	if err != nil {
		return nil, errors.New("the region cannot read its state now")
	}
	v, err := s.decideFor(ctx, st, &q)
	if err != nil {
		f := fault.From(err)
		if f.Code == fault.InternalFailure || f.Code == fault.ServiceUnavailable {
			s.log.Error("a question of another region could not be decided", "error", f)
			return nil, errors.New("the question could not be decided")
		}
		v = &region.Verdict{Fault: f.Code.Name(), Message: f.Message}
	}
	return json.Marshal(v)
}

func (s *Server) decideFor(ctx context.Context, st *fsm.State, q *region.Question) (*region.Verdict, error) {
	x, err := s.foreignExchange(st, q)
	if err != nil {
		return nil, err
	}
	defer x.release()
	var v *region.Verdict
	switch q.Operation {
	case "CreateKey":
		v, err = x.decideReplica(ctx, q)
	case "UpdatePrimaryRegion":
		v, err = x.decidePrimary(ctx, q)
	default:
		return nil, fault.New(fault.UnsupportedOperationException, "%s is not supported in this Region.", q.Operation)
	}
	if err != nil && !x.unrecorded {
		x.fault = fault.From(err)
		if err := x.writeRecord(ctx); err != nil {
			return nil, recordFault(err)
		}
	}
	return v, err
}

// replicaCharge is how often a replica counts as CreateKey in its region: the original tries it first (spec 03 QUO-18).
const replicaCharge = 2

// chargeForeign counts an operation of another region against the caller's quota here (spec 03 QUO-18, QUO-19).
func (x *exchange) chargeForeign(ctx context.Context, times int) error {
	if x.srv.meter == nil {
		return nil
	}
	for range times {
		if err := x.count(ctx, throttle.Key{Scope: x.call.Caller.Account, Quota: chargings[x.target].own}); err != nil {
			return err
		}
	}
	return nil
}

// foreignExchange is an exchange for a request that another region has received. Address and client are those of the caller.
func (s *Server) foreignExchange(st *fsm.State, q *region.Question) (*exchange, error) {
	if q.Account != q.Caller.Account {
		return nil, fault.New(fault.UnsupportedOperationException, "Related multi-Region keys are of one account.")
	}
	caller, err := s.authn.claimed(st, &q.Caller, s.service.Now())
	if err != nil {
		return nil, err
	}
	r := &http.Request{RemoteAddr: q.Caller.SourceIP, Header: http.Header{"User-Agent": {q.Caller.UserAgent}}}
	x := newExchange(s, new(Endpoint), r)
	x.id, x.target, x.op = q.RequestID, q.Operation, s.ops[q.Operation]
	x.call = region.Call{
		State: st, Now: s.service.Now(), RequestID: q.RequestID, EventID: newID(), Operation: q.Operation, Edge: (*edge)(x), Caller: caller,
		Targets: x.room.targets[:0], Decisions: x.room.decisions[:0], Resources: x.room.resources[:0],
	}
	return x, nil
}

// claimed is the principal that another region has authenticated, as it stands in this region's state.
func (a *authenticator) claimed(st *fsm.State, c *region.Claim, now time.Time) (*region.Caller, error) {
	denied := fault.New(fault.AccessDeniedException, "The caller is not known in Region %s.", a.service.Region())
	if err := a.service.FreshIdentities(st); err != nil {
		return nil, err
	}
	if st.Account(c.Account) == nil {
		return nil, denied
	}
	if s := c.Session; s != nil {
		if s.Account != c.Account || s.Principal != c.Principal || !now.Before(s.Expires) {
			return nil, denied
		}
		if row := st.Identity(s.Principal); s.Principal != region.RootPrincipal && (row == nil || row.Account != c.Account) {
			return nil, denied
		}
		return a.sessionCaller(st, &opened{session: s}, c.AccessKeyID)
	}
	if row := st.Identity(c.Principal); c.Principal != region.RootPrincipal && (row == nil || row.Account != c.Account) {
		return nil, denied
	}
	caller, err := a.principal(st, c.Account, c.Principal, nil, nil)
	if err == nil {
		caller.AccessKeyID = c.AccessKeyID
	}
	return caller, err
}

// decideReplica decides whether a replica may be made here: kms:CreateKey, kms:TagResource, the key policy, the quotas (spec 07 REP-09).
func (x *exchange) decideReplica(ctx context.Context, q *region.Question) (*region.Verdict, error) {
	c, s := &x.call, x.srv.service
	in := region.ReplicaInput(q)
	x.in = in
	if err := x.chargeForeign(ctx, replicaCharge); err != nil {
		return nil, err
	}
	r := s.NewResolver(c, "CreateKey", false, false)
	if err := in.Resolve(&r); err != nil {
		return nil, err
	}
	if err := x.authorize(); err != nil {
		return nil, err
	}
	k, out, err := s.PlanReplica(c, q)
	if err != nil {
		return nil, err
	}
	if q.Policy != nil {
		if err := x.srv.authz.checkKeyPolicy(x, k, k.Policy, q.Bypass); err != nil {
			return nil, err
		}
	}
	c.Resources = append(c.Resources, region.Resource{Account: k.Account, ARN: s.KeyARN(k)})
	return &region.Verdict{Policy: k.Policy, Principals: k.PolicyPrincipals, Record: c.Edge.Record(c, out)}, nil
}

// decidePrimary decides whether the replica here may be made the primary (spec 07 PRI-03, PRI-10).
func (x *exchange) decidePrimary(ctx context.Context, q *region.Question) (*region.Verdict, error) {
	c, s := &x.call, x.srv.service
	in := &region.UpdatePrimaryRegionInput{KeyID: q.KeyID, PrimaryRegion: q.PrimaryRegion}
	x.in = in
	if err := x.chargeForeign(ctx, 1); err != nil {
		return nil, err
	}
	r := s.NewResolver(c, "UpdatePrimaryRegion", false, false)
	if err := in.Resolve(&r); err != nil {
		return nil, err
	}
	in.KeyID = c.Targets[0].ARN // the record names the replica (spec 07 PRI-12)
	if err := x.authorize(); err != nil {
		return nil, err
	}
	k := c.Key()
	if q.PrimaryRegion != s.Region() || !k.Replica() {
		return nil, fault.NotMultiRegionPrimary(c.Targets[0].ARN)
	}
	facts := region.Facts(k, c.Now)
	facts.Replica = false // the question is of its state, and it is a replica by right
	if err := keystate.Check("UpdatePrimaryRegion", facts, c.Targets[0].ARN); err != nil {
		return nil, err
	}
	if keystate.Compute(facts) != shape.KeyStateEnabled {
		return nil, fault.Updating(c.Targets[0].ARN)
	}
	return &region.Verdict{Record: x.recordFor(serviceName)}, nil
}

// serviceName is who acts for the caller in the second region (spec 07 PRI-12).
const serviceName = "kms.amazonaws.com"

// recordFor renders the record of a success that the service acts in for the caller.
func (x *exchange) recordFor(service string) []byte {
	r := x.record()
	r.UserIdentity.InvokedBy = service
	r.ResponseElements = x.responseElements(nil)
	return r.AppendJSON(nil)
}

// Claim implements region.Edge.
func (e *edge) Claim(c *region.Call) region.Claim {
	x := (*exchange)(e)
	m := region.Claim{
		Account: c.Caller.Account, Principal: region.RootPrincipal, AccessKeyID: c.Caller.AccessKeyID, Session: c.Caller.Session,
		SourceIP: clientIP(x.r.RemoteAddr), UserAgent: x.r.UserAgent(),
	}
	if c.Caller.Standing != nil {
		m.Principal = c.Caller.Standing.Identity.ID
	}
	return m
}

// SynchronizedRecord renders the record of one synchronization of a multi-Region key (spec 07 SYN-03, spec 03 A10): it names the
// primary's key only.
func SynchronizedRecord(partition, regionName string, now func() time.Time) func(account, keyID, primary string) []byte {
	return func(account, keyID, primary string) []byte {
		key := fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", partition, primary, account, keyID)
		return syncRecord(regionName, account, key, now())
	}
}
