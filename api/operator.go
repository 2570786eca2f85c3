package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// OperatorPrefix begins the paths of the operator API on a listener; what follows is the path of OperatorAPI.Handler.
const OperatorPrefix = "/trent"

// operatorService is the service in the scope of signatures for the operator API, and the prefix of its actions.
const operatorService = "trent"

// operatorSource is the eventSource of its records.
const operatorSource = "trent.amazonaws.com"

// OperatorAPI is what looks after a node and its region.
type OperatorAPI struct {
	Handler http.Handler
	// Action is the action that a request needs, without "trent:", and whether it only reads; "" if there is nothing at its path.
	Action func(*http.Request) (action string, readOnly bool)
}

// operatorDoor lets those call the operator API who may: signed for the service trent, by a principal of the account that the region was
// made with, allowed by its identity policies, recorded.
type operatorDoor struct {
	server *Server
	via    *Endpoint
	api    *OperatorAPI
}

// operatorExchange is one request to the operator API.
type operatorExchange struct {
	exchange
	api      *OperatorAPI
	readOnly bool
	path     string // below OperatorPrefix
}

// ServeHTTP implements http.Handler.
func (d operatorDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &operatorExchange{
		exchange: exchange{srv: d.server, via: d.via, r: r, start: time.Now(), id: newID()}, api: d.api,
		path: strings.TrimPrefix(r.URL.Path, OperatorPrefix),
	}
	defer x.wipe()
	defer x.leave()
	w.Header().Set("X-Amzn-Requestid", x.id)
	if err := x.readBody(w); err != nil {
		x.refuse(w, err)
		return
	}
	if !x.arrive() {
		x.refuse(w, fault.Unavailable(errors.New("too many requests in flight")))
		return
	}
	ctx := withDeadline(r.Context(), time.Now().Add(d.server.timeout))
	defer ctx.cancel()
	if err := x.protect(ctx); err != nil {
		x.fault = fault.From(err)
		if x.audits() {
			if err := x.writeRecord(context.Background(), x.fault.Code.AuditCode(), x.fault.Message); err != nil {
				x.fault = recordFault(err)
			}
		}
		x.refuse(w, x.fault)
		return
	}
	// The operator's own bounds hold from here on, since some requests take longer than a client's may.
	q := r.Clone(r.Context())
	q.URL.Path, q.URL.RawPath = x.path, ""
	q.Body, q.ContentLength = http.NoBody, int64(len(x.body))
	if len(x.body) > 0 {
		q.Body = readCloser{bytes.NewReader(x.body)}
	}
	a := &operatorAnswer{ResponseWriter: w, x: x}
	d.api.Handler.ServeHTTP(a, q)
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	x.tally(a.status)
}

// readCloser is a reader with nothing to close.
type readCloser struct{ *bytes.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }

// protect turns a panic into an internal error.
func (x *operatorExchange) protect(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Panicked(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return x.decide(ctx)
}

// decide finds out who asks, and whether they may.
func (x *operatorExchange) decide(ctx context.Context) (err error) {
	if x.sig, err = sigv4.Parse(x.r); err != nil {
		return signatureFault(err)
	}
	x.bodyHash = sha256.Sum256(x.body)
	q := *x.r
	u := *x.r.URL
	u.Path, u.RawPath = x.path, ""
	q.URL = &u
	x.target, x.readOnly = x.api.Action(&q)
	s := x.srv.service
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	x.call = region.Call{State: st, Now: now, RequestID: x.id, EventID: newID(), Operation: x.target, Edge: (*edge)(&x.exchange)}
	caller, err := x.srv.authn.authenticate(ctx, st, x.sig, x.bodyHash, now, scope{s.Region(), operatorService})
	if err != nil {
		return err
	}
	x.call.Caller = caller
	switch {
	case caller.Kind == region.PrincipalService:
		return fault.Denied("User: %s is not authorized to perform: %s:%s", caller.ARN, operatorService, x.target)
	case x.target == "":
		x.unrecorded = true // it is no operation
		return fault.New(fault.UnknownOperationException, "There is nothing at %s %s.", x.r.Method, x.path)
	}
	if err := x.admit(ctx); err != nil {
		return err
	}
	account := s.OperatorAccount(st)
	if account == "" { // an action on nobody's resource would be allowed to administrators of every account
		return fault.Unavailable(errors.New("the region has no operator's account"))
	}
	t := region.Target{Permission: operatorService + ":" + x.target, Account: account, ARN: s.OperatorARN(account)}
	x.call.Targets = append(x.call.Targets, t)
	d, err := x.srv.authz.decide(&x.exchange, &x.call.Targets[0])
	if err != nil {
		return err
	}
	x.call.Decisions = append(x.call.Decisions, d)
	return nil
}

// writeRecord writes the record of a call, with its error if there is one.
func (x *operatorExchange) writeRecord(ctx context.Context, code, message string) error {
	c := &x.call
	r := audit.Record{
		UserIdentity: identityOf(c.Caller), EventTime: c.Now, EventSource: operatorSource, EventName: x.target,
		AWSRegion: x.srv.service.Region(), SourceIPAddress: clientIP(x.r.RemoteAddr), UserAgent: x.r.UserAgent(),
		RequestID: c.RequestID, EventID: c.EventID, RecipientAccountID: c.Caller.Account, TLSDetails: x.tlsDetails(),
		ReadOnly: x.readOnly, VPCEndpointID: x.via.VpceID, ErrorCode: code, ErrorMessage: message,
		RequestParameters: append(append(audit.AppendString([]byte(`{"method":`), x.r.Method), `,"path":`...), append(audit.AppendString(nil, x.path), '}')...),
	}
	return x.srv.audit.Append(ctx, r.AppendJSON(nil))
}

// refuse answers what is not performed, and counts it.
func (x *operatorExchange) refuse(w http.ResponseWriter, err error) {
	f := fault.From(err)
	x.fault = f
	status := f.Code.HTTPStatus()
	switch {
	case errors.Is(f, fault.UnknownOperationException):
		status = http.StatusNotFound
	case status < http.StatusInternalServerError:
		status = http.StatusForbidden
	}
	text := f.Code.Name()
	if f.Message != "" {
		text += ": " + f.Message
	}
	writeOperatorError(w, status, text)
	x.tally(status)
}

func writeOperatorError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}

func (x *operatorExchange) tally(status int) {
	name := "unknown"
	if x.call.Caller != nil && x.target != "" {
		name = operatorService + ":" + x.target
	}
	code := "OK"
	if status >= http.StatusBadRequest {
		code = strconv.Itoa(status)
	}
	x.srv.metrics.count(name, code, time.Since(x.start))
}

// operatorAnswer writes the call's record before the answer begins: without a record there is no answer.
type operatorAnswer struct {
	http.ResponseWriter
	x      *operatorExchange
	status int
	begun  bool
	mute   bool // the record could not be written
}

// WriteHeader implements http.ResponseWriter.
func (a *operatorAnswer) WriteHeader(status int) {
	if a.begun {
		return
	}
	a.begun, a.status = true, status
	code := ""
	if status >= http.StatusBadRequest {
		code = http.StatusText(status)
	}
	if err := a.x.writeRecord(context.Background(), code, ""); err != nil {
		a.mute, a.status = true, http.StatusServiceUnavailable
		writeOperatorError(a.ResponseWriter, a.status, "the audit log takes no record; the request was performed all the same")
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, which sets deadlines.
func (a *operatorAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Flush implements http.Flusher.
func (a *operatorAnswer) Flush() {
	a.WriteHeader(http.StatusOK)
	if f, ok := a.ResponseWriter.(http.Flusher); ok && !a.mute {
		f.Flush()
	}
}

// Write implements http.ResponseWriter.
func (a *operatorAnswer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.mute {
		return len(b), nil
	}
	return a.ResponseWriter.Write(b)
}
