package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/api/iam"
	"github.com/trentkms/trent/api/oidc"
	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/api/sts"
	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keystate"
)

// Limits of a request (spec 10 section 2.2 and design: overload degrades into 503, not into collapse).
const (
	maxBody            = 1 << 20 // bytes
	defaultMaxInFlight = 1024
	defaultTimeout     = 30 * time.Second
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// Config is what a Server is made of.
type Config struct {
	Service *region.Service
	Audit   AuditLog
	Logger  *slog.Logger
	Metrics *Metrics
	// MaxInFlight bounds the requests worked on at one time, those that wait to be authenticated apart; more are answered 503 at
	// once. Each account's part of it is bounded too. 1,024 if 0.
	MaxInFlight int
	// Timeout bounds the work on one request. 30 s if 0.
	Timeout time.Duration
	// Quotas are the request quotas, nil for none; Lessor leases their tokens from the region's leader and is needed with them.
	Quotas *Quotas
	Lessor throttle.Lessor
	// Operator is served below OperatorPrefix; nil for none.
	Operator *OperatorAPI
}

// Server answers the KMS API. It is safe for concurrent use.
type Server struct {
	service *region.Service
	audit   AuditLog
	log     *slog.Logger
	metrics *Metrics
	ops     table
	// unsupported are the operations of the model that are answered with UnsupportedOperationException.
	unsupported map[string]bool
	// doors are the APIs of the Query protocol: IAM, then STS.
	doors       []*query.API
	decisions   decisions // for other regions
	authn       *authenticator
	authz       *authorizer
	waiting     atomic.Int64 // requests before authentication
	bearers     *bearers
	bodyMemory  atomic.Int64 // bytes
	maxInFlight int64
	admission   *admission
	quotas      *Quotas
	operator    *OperatorAPI
	meter       *throttle.Meter // nil without quotas
	throttled   throttle.Sampler
	timeout     time.Duration
	unknown     lineLimit                      // of the log's lines about requests that were refused for overload or before the caller was known
	first       planted.Memory[keystate.Facts] // empty but where planted.StaleKeyState is planted
}

// NewServer makes the server of a node.
func NewServer(cfg Config) *Server {
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	s := &Server{
		service: cfg.Service, audit: cfg.Audit, log: cfg.Logger, metrics: cfg.Metrics,
		ops: newTable(Operations()), unsupported: make(map[string]bool),
		doors: []*query.API{iam.API(), sts.API()},
		authn: newAuthenticator(cfg.Service), authz: newAuthorizer(cfg.Service),
		maxInFlight: int64(cfg.MaxInFlight), admission: newAdmission(int64(cfg.MaxInFlight)), quotas: cfg.Quotas, operator: cfg.Operator, timeout: cfg.Timeout,
	}
	if cfg.Quotas != nil {
		s.meter = throttle.NewMeter(cfg.Lessor)
	}
	s.bearers = &bearers{service: cfg.Service, log: cfg.Logger, source: oidc.NewSource(nil)}
	for _, name := range Unsupported() {
		s.unsupported[name] = true
	}
	return s
}

// Handler routes the API of a public listener. Paths are taken as they are sent (a cleaned path would answer 301 and lose the POST), and refusals of
// the router are the protocol's (spec 10 section 2.2).
func (s *Server) Handler() http.Handler { return s.HandlerVia(&Endpoint{}) }

// HandlerVia routes the API as a listener serves it.
func (s *Server) HandlerVia(via *Endpoint) http.Handler {
	r := mux.NewRouter().SkipClean(true)
	d := direct{s, via, r}
	r.Path("/").Methods(http.MethodPost).Handler(d)
	if s.operator != nil {
		r.PathPrefix(OperatorPrefix + "/").Handler(operatorDoor{s, via, s.operator})
	}
	r.NotFoundHandler = http.HandlerFunc(unknownPath)
	r.MethodNotAllowedHandler = http.HandlerFunc(unknownPath)
	return d
}

// direct takes what the router would give to serve past the router, whose context and copy of the http.Request are a good part of
// the cost of a request. The router decides about everything else.
type direct struct {
	server *Server
	via    *Endpoint
	router *mux.Router
}

// ServeHTTP implements http.Handler.
func (d direct) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == "/" {
		d.server.serve(w, r, d.via)
		return
	}
	d.router.ServeHTTP(w, r)
}

// Forget drops what was derived from an access key that a change has replaced or removed: no correctness depends on it, it
// shortens the time that the key of a deleted secret stays in memory. It must be told every event of the state machine.
func (s *Server) Forget(ev fsm.Event) {
	if ev.Kind == fsm.EventAccessKeyChanged {
		s.authn.forget(ev.ID)
	}
}

// unknownPath answers what is no call of this API.
func unknownPath(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
	h := w.Header()
	h.Set("X-Amzn-Requestid", newID())
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "<UnknownOperationException/>\n")
}

// serve answers one call.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, via *Endpoint) {
	if media := contentTypeOf(r.Header); !isJSON11(media) {
		if isForm(media) {
			s.serveQuery(w, r, via)
			return
		}
		unknownPath(w, r)
		return
	}
	x := newExchange(s, via, r)
	defer x.release()
	defer x.wipe()
	x.target = strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	x.pass(w, x)
}

// fail notes what the client is told.
func (x *exchange) fail(err error) {
	if err == nil {
		return
	}
	x.wipeOutput()
	x.fault = fault.From(err)
	if x.op != nil { // operations that are not performed declare nothing that would say so
		x.fault = x.fault.ForOperation(x.target)
	}
}

// contentTypeOf is the first Content-Type.
func contentTypeOf(h http.Header) string {
	if v := h["Content-Type"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// isJSON11 accepts the protocol's content type with any parameters.
func isJSON11(v string) bool {
	media, _, _ := strings.Cut(v, ";")
	return media == contentType || strings.EqualFold(strings.TrimSpace(media), contentType)
}

// readBody reads the body into a pooled buffer.
func (x *exchange) readBody(w http.ResponseWriter) error {
	if x.r.ContentLength > maxBody {
		return fault.New(fault.RequestEntityTooLargeException, "The request body exceeds %d bytes.", maxBody)
	}
	x.buf = bodyBuffers.get()
	from := x.r.Body
	if x.r.ContentLength < 0 { // else net/http ends it where the header says
		from = http.MaxBytesReader(w, from, maxBody)
	}
	body, err := readAll(from, *x.buf, x.reserve)
	x.body, *x.buf = body, body
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errBodyMemory):
		return fault.Unavailable(err)
	case errors.As(err, &tooLarge):
		return fault.New(fault.RequestEntityTooLargeException, "The request body exceeds %d bytes.", maxBody)
	case err != nil:
		return fault.Wrap(fault.RequestAbortedException, err, "The request body could not be read.")
	}
	return nil
}

// maxBodyMemory bounds the memory in bytes that bodies above the size of a pooled buffer take together.
const maxBodyMemory = 256 << 20

var errBodyMemory = errors.New("too many large request bodies at one time")

// reserve asks for room for n bytes more of the body.
func (x *exchange) reserve(n int) error {
	if x.srv.bodyMemory.Add(int64(n)) > maxBodyMemory {
		x.srv.bodyMemory.Add(-int64(n))
		return errBodyMemory
	}
	x.reserved += int64(n)
	return nil
}

// wipe ends the exchange: what the body and the decoded input held is overwritten.
func (x *exchange) wipe() {
	if x.reserved > 0 {
		x.srv.bodyMemory.Add(-x.reserved)
		x.reserved = 0
	}
	if x.buf != nil {
		bodyBuffers.wipe(x.buf)
		x.buf, x.body = nil, nil
	}
	if x.op != nil && x.in != nil {
		x.op.input.Wipe(x.in)
	}
}

// decode finds the operation and decodes the body. A body that is no JSON object is refused before the target is looked at
// (spec 10 PROTO-30); violated constraints wait until the caller is known.
func (x *exchange) decode() error {
	if t := x.r.Header["X-Amz-Target"]; len(t) != 1 || !strings.HasPrefix(t[0], targetPrefix) {
		x.target = ""
	}
	x.op = x.srv.ops[x.target]
	if x.op == nil {
		if err := awsjson.CheckSyntax(x.body); err != nil {
			return serializationFault(err)
		}
		if !x.srv.unsupported[x.target] {
			x.target = ""
			return fault.New(fault.UnknownOperationException, "")
		}
		return nil
	}
	x.in = x.op.newInput()
	invalid, err := x.op.input.Decode(x.body, x.in)
	if err != nil {
		return serializationFault(err)
	}
	if invalid != nil {
		x.invalid = fault.New(fault.ValidationException, "%s", invalid.Message)
	}
	return nil
}

// serializationFault is the answer to a body that is no JSON object of the right form.
func serializationFault(err error) error {
	var s *awsjson.SerializationError
	if errors.As(err, &s) {
		return fault.Wrap(fault.SerializationException, err, "%s", s.Message)
	}
	return fault.Wrap(fault.SerializationException, err, "")
}

// answer writes the answer and ends the event.
func (x *exchange) answer(w http.ResponseWriter) {
	buf := answerBuffers.get()
	defer answerBuffers.wipe(buf)
	b := *buf
	status := http.StatusOK
	h := w.Header()
	switch {
	case x.fault != nil:
		status = x.fault.Code.HTTPStatus()
		h.Set("X-Amzn-Errortype", x.fault.Code.Name())
		b = awsjson.AppendError(b, x.fault.Code.Name(), x.fault.Message)
	case x.op.void || x.out == nil:
	default:
		b = x.op.output.Append(b, x.out)
		x.op.output.Wipe(x.out)
	}
	x.room.id[0] = x.id
	h["X-Amzn-Requestid"] = x.room.id[:]
	h["Content-Type"] = contentTypeHeader
	h["Cache-Control"] = noStoreHeader
	if len(b) > measuredByHTTP {
		h["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
	*buf = b
	x.end(status)
}

// measuredByHTTP is the length in bytes up to which net/http itself sends the Content-Length of an answer, for less than a header
// costs; above its buffer (2 KiB) it would send chunks.
const measuredByHTTP = 1 << 10

var (
	contentTypeHeader = []string{contentType}
	noStoreHeader     = []string{"no-store"}
)

// end counts the call and tells the operator what went wrong on this side.
func (x *exchange) end(status int) {
	name := "unknown"
	if x.op != nil || x.srv.unsupported[x.target] {
		name = x.target
	}
	code := "OK"
	if x.fault != nil {
		code = x.fault.Code.Name()
	}
	x.srv.metrics.count(name, code, time.Since(x.start))
	if x.fault == nil {
		return
	}
	x.logFailure(status, "operation", name, "requestID", x.id, "fault", x.fault)
}

// logFailure tells the operator of a call that failed. Refusals for overload, and whatever happens before the caller is known,
// come one a second.
func (x *exchange) logFailure(status int, attrs ...any) {
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if !x.srv.log.Enabled(context.Background(), level) {
		return
	}
	if level == slog.LevelError && (x.unrecorded || x.call.Caller == nil) {
		more, ok := x.srv.unknown.next(time.Now())
		if !ok {
			return
		}
		attrs = append(attrs, "notShown", more)
	}
	x.srv.log.Log(context.Background(), level, "request failed", attrs...)
}
