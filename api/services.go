package api

import (
	"context"
	"errors"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

// Headers by which a registered service says for whom it calls. They count only on requests that a service signed, and only if the
// signature covers them.
const (
	// headerOnBehalf has the access key id of the credentials with which somebody called the service, headerOnBehalfToken their session
	// token if they are temporary: what that request showed the service. The call is then decided as theirs.
	headerOnBehalf      = "X-Trent-On-Behalf-Of"
	headerOnBehalfToken = "X-Trent-On-Behalf-Of-Token"
	// headerSourceARN and headerSourceAccount name the resource for which a service calls for itself.
	headerSourceARN     = "X-Trent-Source-Arn"
	headerSourceAccount = "X-Trent-Source-Account"
)

// servicePrincipal makes the caller of an access key that is a service's.
func (a *authenticator) servicePrincipal(row *fsm.AccessKey, name string, reads []fsm.Read) *region.Caller {
	return &region.Caller{
		Kind: region.PrincipalService, Account: row.Account, ARN: region.ServicePrincipal(name), PrincipalID: region.ServicePrincipal(name),
		UserName: name, ServiceNames: []string{region.ServicePrincipal(name), a.service.ServiceName(name)}, Reads: reads,
	}
}

// serviceCall finds out for whom a service calls: for itself, or on behalf of somebody, who then is the caller.
func (x *exchange) serviceCall(ctx context.Context, st *fsm.State, now time.Time) error {
	service := x.call.Caller
	var said [4]string
	for i, name := range [...]string{headerOnBehalf, headerOnBehalfToken, headerSourceARN, headerSourceAccount} {
		var ok bool
		if said[i], ok = x.sig.SignedHeader(name); !ok {
			return fault.New(fault.IncompleteSignatureException, "The header %s must be signed, once.", name)
		}
	}
	id, token, source, account := said[0], said[1], said[2], said[3]
	facts := &region.ServiceFacts{Name: service.UserName, Reads: service.Reads}
	x.call.Service = facts
	if id == "" {
		if token != "" {
			return fault.New(fault.ValidationException, "%s needs %s.", headerOnBehalfToken, headerOnBehalf)
		}
		if _, ok := arn.Parse(source); source != "" && !ok || account != "" && !arn.ValidAccount(account) {
			return fault.New(fault.ValidationException, "%s is an ARN and %s an account.", headerSourceARN, headerSourceAccount)
		}
		facts.SourceARN, facts.SourceAccount = source, account
		return nil
	}
	caller, err := x.srv.authn.onBehalf(ctx, st, id, token, now)
	if err != nil {
		return err
	}
	facts.Via = x.srv.service.ServiceName(facts.Name)
	x.call.Caller = caller
	return nil
}

// onBehalf returns the principal of credentials that a service was shown. They must be good, but the service need not know their
// secret.
func (a *authenticator) onBehalf(ctx context.Context, st *fsm.State, id, token string, now time.Time) (*region.Caller, error) {
	unknown := signatureFault(sigv4.UnrecognizedClient())
	if token == "" {
		row := st.AccessKey(id)
		if row == nil || !row.Active || region.ServiceOf(row) != "" {
			return nil, unknown
		}
		return a.caller(st, row)
	}
	o, err := a.open(ctx, st, id, token)
	switch {
	case errors.Is(err, region.ErrSessionToken):
		return nil, unknown
	case err != nil:
		return nil, fault.From(err)
	case !now.Before(o.session.Expires):
		return nil, signatureFault(sigv4.ExpiredToken())
	case o.session.Ended(st):
		return nil, unknown
	}
	return a.sessionCaller(st, o, id)
}

// showService words a record of a call that a service signed (spec 03 AUD-47, spec 09 SVC-06).
func (x *exchange) showService(r *audit.Record) {
	s := x.call.Service
	if s == nil {
		return
	}
	name := x.srv.service.ServiceName(s.Name)
	r.SourceIPAddress, r.UserAgent = name, name
	if s.Via == "" {
		r.UserIdentity = audit.ServiceIdentity(name)
		return
	}
	r.UserIdentity.InvokedBy = name
}
