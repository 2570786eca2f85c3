package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
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
	w.Header().Set("X-Amzn-Requestid", x.id)
	x.pass(w, x)
}

// answer refuses the request, or hands it to the operator API, whose own bounds hold from here on, since some requests take longer than a
// client's may.
func (x *operatorExchange) answer(w http.ResponseWriter) {
	if x.fault != nil {
		x.refuse(w)
		return
	}
	q := x.r.Clone(region.WithAsker(x.r.Context(), region.Asker{By: x.call.Caller.ARN, AccessKeyID: x.call.Caller.AccessKeyID, RequestID: x.id}))
	q.URL.Path, q.URL.RawPath = x.path, ""
	q.Body, q.ContentLength = http.NoBody, int64(len(x.body))
	if len(x.body) > 0 {
		q.Body = readCloser{bytes.NewReader(x.body)}
	}
	a := &operatorAnswer{ResponseWriter: w, x: x}
	x.api.Handler.ServeHTTP(a, q)
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	x.tally(a.status)
}

// readCloser is a reader with nothing to close.
type readCloser struct{ *bytes.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }

// run finds out who asks, and whether they may; the answer then performs what they ask.
func (x *operatorExchange) run(ctx context.Context) (err error) {
	if x.sig, err = sigv4.Parse(x.r); err != nil {
		return signatureFault(err)
	}
	x.bodyHash = sha256.Sum256(x.body)
	q := *x.r
	u := *x.r.URL
	u.Path, u.RawPath = x.path, ""
	q.URL = &u
	x.target, x.readOnly = x.api.Action(&q)
	if err := x.begin(ctx, (*edge)(&x.exchange)); err != nil {
		return err
	}
	s := x.srv.service
	if err := x.authenticate(ctx, scope{s.Region(), operatorService}); err != nil {
		return err
	}
	caller := x.call.Caller
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
	account := s.OperatorAccount(x.call.State)
	if account == "" { // an action on nobody's resource would be allowed to administrators of every account
		return fault.Unavailable(errors.New("the region has no operator's account"))
	}
	t := region.Target{Permission: operatorService + ":" + x.target, Account: account, ARN: s.OperatorARN(account)}
	x.call.Targets = append(x.call.Targets, t)
	return x.authorize()
}

// audits tells whether a record is due before the answer begins: for a refusal. The answer itself has the record of what was performed.
func (x *operatorExchange) audits() bool { return x.fault != nil && x.exchange.audits() }

// writeRecord writes the record of a refusal.
func (x *operatorExchange) writeRecord(ctx context.Context) error {
	return x.record(ctx, x.fault.Code.AuditCode(), x.fault.Message)
}

// record writes the record of a call, with its error if there is one.
func (x *operatorExchange) record(ctx context.Context, code, message string) error {
	r := x.common()
	r.EventSource, r.ReadOnly, r.ErrorCode, r.ErrorMessage = operatorSource, x.readOnly, code, message
	r.RequestParameters = append(append(audit.AppendString([]byte(`{"method":`), x.r.Method), `,"path":`...), append(audit.AppendString(nil, x.path), '}')...)
	return x.srv.audit.Append(ctx, r.AppendJSON(nil))
}

// refuse answers what is not performed, and counts it.
func (x *operatorExchange) refuse(w http.ResponseWriter) {
	f := x.fault
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
	if err := a.x.record(context.Background(), code, ""); err != nil {
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
