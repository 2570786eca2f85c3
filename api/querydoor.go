package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/iamfault"
)

// formType is the content type of requests to IAM and STS.
const formType = "application/x-www-form-urlencoded"

// globalRegion is what clients sign for where a service has one endpoint for all regions.
const globalRegion = "us-east-1"

// maxForm bounds the body of a request to IAM or STS, in bytes.
const maxForm = 512 << 10

// queryExchange is one request to IAM or STS on its way through the pipeline. It shares with the exchange of KMS what is not a matter
// of the protocol.
type queryExchange struct {
	exchange
	api   *query.API
	op    *query.Operation
	query error // what to answer instead of performing the operation, told after authentication
	bad   *iamfault.Error
	// relayed is the home's answer to a request about identities that live in another region.
	relayed *forwardedAnswer
}

// isForm accepts the content type of a form with any parameters.
func isForm(v string) bool {
	media, _, _ := strings.Cut(v, ";")
	return strings.EqualFold(strings.TrimSpace(media), formType)
}

// serveQuery answers one call of IAM or STS.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, via *Endpoint) {
	x := &queryExchange{exchange: exchange{srv: s, via: via, r: r, start: time.Now(), id: newID()}, api: s.doors[0]}
	defer x.wipe()
	x.pass(w, x)
}

// wipe overwrites what the request and the answer held.
func (x *queryExchange) wipe() {
	if x.op != nil && x.in != nil {
		x.op.Wipe(x.in)
	}
	wipeCredentials(x.out)
	x.exchange.wipe()
}

// wipeCredentials overwrites the secret of new credentials.
func wipeCredentials(out any) {
	switch o := out.(type) {
	case *region.CreateAccessKeyOutput:
		o.AccessKey.SecretAccessKey.Wipe()
	case *region.AssumeRoleOutput:
		o.Credentials.SecretAccessKey.Wipe()
	case *region.AssumeRoleWithWebIdentityOutput:
		o.Credentials.SecretAccessKey.Wipe()
	case *region.SessionTokenOutput:
		o.Credentials.SecretAccessKey.Wipe()
	}
}

// run takes the request from top to bottom.
func (x *queryExchange) run(ctx context.Context) error {
	if len(x.body) > maxForm {
		return fault.New(fault.RequestEntityTooLargeException, "The request body exceeds %d bytes.", maxForm)
	}
	form, err := query.ParseForm(x.body)
	if err != nil {
		return iamfault.ValidationError("%s", err.Error())
	}
	x.decode(form)
	if x.from != "" && (x.op == nil || !x.op.Write) {
		return fault.New(fault.UnsupportedOperationException, "The operation is not decided for other Regions.")
	}
	x.bodyHash = sha256.Sum256(x.body)
	if _, bearer := x.in.(region.Bearer); bearer {
		if x.query != nil {
			return x.query // there is no caller to wait for
		}
	} else if x.sig, err = sigv4.Parse(x.r); err != nil {
		return signatureFault(err)
	}
	return x.retry(ctx, x.attempt)
}

// decode finds the operation and decodes the form. What is wrong with either is told once the caller is known.
func (x *queryExchange) decode(form *query.Form) {
	for _, api := range x.srv.doors {
		if api.Version == form.Get("Version") {
			x.api = api
		}
	}
	action := form.Get("Action")
	x.op = x.api.Operations[action]
	if x.op == nil || form.Get("Version") != x.api.Version {
		x.op, x.query = nil, &iamfault.Error{
			Name: "InvalidAction", Status: http.StatusBadRequest,
			Message: fmt.Sprintf("Could not find operation %.128s for version %.32s", action, form.Get("Version")),
		}
		return
	}
	x.target = action
	var invalid *awsjson.ValidationError
	if x.in, invalid, x.query = x.op.Decode(form); x.query != nil {
		x.query = iamfault.ValidationError("%s", x.query.Error())
	} else if invalid != nil {
		x.query = iamfault.ValidationError("%s", invalid.Message)
	}
}

// attempt decides and performs the operation on one state.
func (x *queryExchange) attempt(ctx context.Context) error {
	if err := x.begin(ctx, &queryEdge{(*edge)(&x.exchange), x}); err != nil {
		return err
	}
	if err := x.authenticate(ctx); err != nil {
		return err
	}
	if err := x.admit(ctx); err != nil {
		return err
	}
	caller := x.call.Caller
	if caller.Kind == region.PrincipalService {
		// Services call KMS alone: what they are shown of others must not become credentials.
		return fault.Denied("User: %s is not authorized to perform: %s:%s", caller.ARN, x.api.Service, x.target)
	}
	switch {
	case x.query != nil:
		return x.query
	case caller.Session != nil && caller.Kind != region.PrincipalRoleSession && x.api.Service == "iam":
		// Credentials of GetSessionToken without a second factor are not for IAM.
		return signatureFault(sigv4.UnrecognizedClient())
	}
	if home := x.call.State.Home(); home != nil && x.op.Write {
		if x.from != "" {
			return fault.Unavailable(errors.New("the region is not the home of identities any more"))
		}
		return x.forward(ctx, home)
	}
	if x.op.Write && x.remembered() {
		var err error
		x.out, err = x.op.Again(ctx, x.srv.service, &x.call, x.in)
		return err
	}
	return x.decideAndDo(ctx)
}

// authenticate finds out who has signed the request, or who brings a token in the place of a signature. What another region has received
// was signed for that one; the home has the signer's secret, or opens its session, and knows first when they end.
func (x *queryExchange) authenticate(ctx context.Context) error {
	c, signedIn := &x.call, x.srv.service.Region()
	if x.from != "" {
		signedIn = x.from
	} else if in, ok := x.in.(region.Bearer); ok && x.sig == nil {
		caller, err := x.srv.bearers.bearer(ctx, c.State, in, c.Now)
		if err != nil {
			return err
		}
		c.Caller = caller
		return nil
	}
	want := scope{signedIn, x.api.Service}
	if x.sig.Scope().Region == globalRegion {
		want.region = globalRegion
	}
	return x.exchange.authenticate(ctx, want)
}

func (x *queryExchange) decideAndDo(ctx context.Context) (err error) {
	c := &x.call
	if in, ok := x.in.(region.Checker); ok {
		if err := in.Check(); err != nil {
			return err
		}
	}
	r := x.srv.service.NewResolver(c, x.op.Permission(), false, false)
	if err := x.in.Resolve(&r); err != nil {
		return err
	}
	if len(c.Targets) == 0 {
		if err := x.srv.authz.throughEndpoint(&x.exchange, x.op.Permission()); err != nil {
			return err
		}
	}
	if err := x.authorize(); err != nil {
		return assumeFault(err, c.Caller, &c.Targets[len(c.Decisions)])
	}
	x.out, err = x.op.Do(ctx, x.srv.service, c, x.in)
	return err
}

// assumeFault words a refusal to assume a role: alike, whether the role exists or not.
func assumeFault(err error, caller *region.Caller, t *region.Target) error {
	if t.Assumed && caller.Web != nil && errors.Is(err, fault.AccessDeniedException) {
		return iamfault.AccessDenied("Not authorized to perform %s", t.Permission)
	}
	if t.Assumed && errors.Is(err, fault.AccessDeniedException) {
		return iamfault.AccessDenied("User: %s is not authorized to perform: %s on resource: %s", caller.ARN, t.Permission, t.ARN)
	}
	return err
}

// renamed are the errors that have another name in the Query protocol, with their status there.
var renamed = map[fault.Code]iamfault.Error{
	fault.AccessDeniedException:               {Name: "AccessDenied", Status: http.StatusForbidden},
	fault.ValidationException:                 {Name: "ValidationError", Status: http.StatusBadRequest},
	fault.InvalidMarkerException:              {Name: "ValidationError", Status: http.StatusBadRequest},
	fault.MissingAuthenticationTokenException: {Name: "MissingAuthenticationToken", Status: http.StatusForbidden},
	fault.IncompleteSignatureException:        {Name: "IncompleteSignature", Status: http.StatusBadRequest},
	fault.InvalidSignatureException:           {Name: "SignatureDoesNotMatch", Status: http.StatusForbidden},
	fault.UnrecognizedClientException:         {Name: "InvalidClientTokenId", Status: http.StatusForbidden},
	fault.ExpiredTokenException:               {Name: "ExpiredToken", Status: http.StatusForbidden},
	fault.ThrottlingException:                 {Name: "Throttling", Status: http.StatusBadRequest},
	fault.KMSInternalException:                {Name: "ServiceFailure", Status: http.StatusInternalServerError},
	fault.InternalFailure:                     {Name: "ServiceFailure", Status: http.StatusInternalServerError},
	fault.DependencyTimeoutException:          {Name: "ServiceUnavailable", Status: http.StatusServiceUnavailable},
}

// fail notes what the client is told: an error of IAM as it is, others in the Query protocol's words. nil is success.
func (x *queryExchange) fail(err error) {
	if err == nil {
		return
	}
	wipeCredentials(x.out)
	x.out = nil
	if errors.As(err, &x.bad) {
		return
	}
	x.fault = fault.From(err)
	e, ok := renamed[x.fault.Code]
	if !ok {
		e = iamfault.Error{Name: x.fault.Code.Name(), Status: x.fault.Code.HTTPStatus()}
	}
	e.Message = x.fault.Message
	x.bad = &e
}

// answer writes the answer and ends the event.
func (x *queryExchange) answer(w http.ResponseWriter) {
	status, b := x.render()
	defer clear(b)
	h := w.Header()
	h.Set("X-Amzn-Requestid", x.id)
	h.Set("Content-Type", query.ContentType)
	h["Cache-Control"] = noStoreHeader
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
	x.end(status)
}

// render is the answer in the protocol's words.
func (x *queryExchange) render() (status int, b []byte) {
	switch {
	case x.bad != nil:
		return x.bad.Status, query.AppendError(nil, x.api.Namespace, x.id, x.bad.Name, x.bad.Message, x.bad.SenderFault())
	case x.relayed != nil:
		return x.relayed.Status, x.relayed.Body
	}
	return http.StatusOK, query.AppendAnswer(nil, x.api.Namespace, x.target, x.id, x.out)
}

// end counts the call and tells the operator what went wrong on this side.
func (x *queryExchange) end(status int) {
	name, code := "unknown", "OK"
	if x.op != nil {
		name = x.op.Permission()
	}
	switch {
	case x.bad != nil:
		code = x.bad.Name
	case x.relayed != nil && x.relayed.Code != "":
		code = x.relayed.Code
	}
	x.srv.metrics.count(name, code, time.Since(x.start))
	if x.bad == nil {
		return
	}
	var why any = x.bad.Message
	if x.fault != nil { // an error that IAM and STS have for themselves is none
		why = x.fault
	}
	x.logFailure(status, "operation", name, "requestID", x.id, "code", code, "fault", why)
}
