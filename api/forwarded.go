package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// Requests that change identities, in a region that is not their home. The node that received one has authenticated it on its own region's
// state and hands it to the home as it came. The home verifies the signature itself and decides, performs and records it like one of its own.

// forwardedRequest is a request on its way to the home of the identities.
type forwardedRequest struct {
	RequestID string      `json:"requestId"`
	Method    string      `json:"method"`
	URI       string      `json:"uri"`
	Host      string      `json:"host"`
	Header    http.Header `json:"header"`
	// Length and Encoding are what net/http takes out of the headers.
	Length   int64    `json:"length"`
	Encoding []string `json:"encoding,omitempty"`
	Body     []byte   `json:"body"`
	// Remote is the client's address, TLS its connection's; nil without.
	Remote string              `json:"remote"`
	TLS    *forwardedTLS       `json:"tls,omitempty"`
	Via    forwardedDoor       `json:"via"`
	Act    *region.IdentityAct `json:"act,omitempty"` // of an operator, instead of all else
}

type forwardedTLS struct {
	Version uint16      `json:"version"`
	Suite   uint16      `json:"suite"`
	Curve   tls.CurveID `json:"curve"`
}

// forwardedDoor is the endpoint over which a request came. Its policy was asked before the request went on.
type forwardedDoor struct {
	VpceID string `json:"vpceId,omitempty"`
	VpcID  string `json:"vpcId,omitempty"`
	Secure bool   `json:"secure,omitempty"`
}

// forwardedAnswer is what the client is to be told.
type forwardedAnswer struct {
	Status int `json:"status"`
	// Code is the name of an error, "" for success.
	Code string `json:"code,omitempty"`
	Body []byte `json:"body,omitempty"`
	// Key and Sealed take the place of Body where it holds a secret.
	Key    []byte `json:"key,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
}

// forward has the home decide a request.
func (x *queryExchange) forward(ctx context.Context, home *fsm.HomeRegion) error {
	if err := x.throughEndpoint(); err != nil {
		return err
	}
	f := forwardedRequest{
		RequestID: x.id, Method: x.r.Method, URI: x.r.URL.RequestURI(), Host: x.r.Host, Header: x.r.Header, Length: x.r.ContentLength,
		Encoding: x.r.TransferEncoding, Body: x.body, Remote: x.r.RemoteAddr, Via: forwardedDoor{x.via.VpceID, x.via.VpcID, x.via.Secure},
	}
	if t := x.r.TLS; t != nil {
		f.TLS = &forwardedTLS{t.Version, t.CipherSuite, t.CurveID}
	}
	b, err := json.Marshal(&f)
	if err != nil {
		return fault.Internal(err)
	}
	reply, err := x.srv.service.DecideAtHome(ctx, home.Name, b)
	if err != nil {
		return err
	}
	a, err := x.srv.openForwarded(ctx, x.id, home.Name, reply)
	if err != nil {
		return err
	}
	x.relayed, x.unrecorded = a, true // the home has recorded it
	return nil
}

// openForwarded reads the home's answer.
func (s *Server) openForwarded(ctx context.Context, id, home string, reply []byte) (*forwardedAnswer, error) {
	var a forwardedAnswer
	if err := json.Unmarshal(reply, &a); err != nil {
		return nil, region.HomeFault(home, fmt.Errorf("unreadable answer: %w", err))
	}
	if len(a.Sealed) == 0 {
		return &a, nil
	}
	st, err := s.service.View(ctx)
	if err != nil {
		return nil, err
	}
	if a.Body, err = s.service.OpenAnswer(ctx, st, []byte(id), a.Key, a.Sealed); err != nil {
		return nil, region.HomeFault(home, err)
	}
	return &a, nil
}

// throughEndpoint holds the request to the policy of the endpoint over which it came, which the home does not know.
func (x *queryExchange) throughEndpoint() error {
	if x.via.policy.Load() == nil {
		return nil
	}
	c := &x.call
	r := x.srv.service.NewResolver(c, x.op.Permission(), false, false)
	if err := x.in.Resolve(&r); err != nil {
		return err
	}
	if len(c.Targets) == 0 {
		return x.srv.authz.throughEndpoint(&x.exchange, x.op.Permission())
	}
	for i := range c.Targets {
		req, err := x.srv.authz.request(&x.exchange, &c.Targets[i])
		if err != nil {
			return err
		}
		if d := policy.DecideEndpoint(req); !d.Allowed() {
			x.refusedByEndpoint(req.Action, c.Targets[i].ARN)
			return fault.Denied("%s", d.Message(c.Caller.ARN, req.Action, c.Targets[i].ARN))
		}
	}
	return nil
}

// DecideForwarded decides about identities in the place of a region that follows this one, and returns what that is to answer; of a message that
// arrives twice the same. An error means that nothing was decided.
func (s *Server) DecideForwarded(ctx context.Context, from string, request []byte) ([]byte, error) {
	reply, err := s.decisions.once(ctx, from, request, func() ([]byte, error) { return s.decideForwarded(ctx, from, request) })
	if broken, ok := errors.AsType[*panicError](err); ok {
		s.log.Error("a decision for another region failed", "region", from, "error", string(broken.stack))
	}
	return reply, err
}

func (s *Server) decideForwarded(ctx context.Context, from string, request []byte) ([]byte, error) {
	var f forwardedRequest
	if err := json.Unmarshal(request, &f); err != nil {
		return nil, errors.New("unreadable request")
	}
	if f.Act != nil {
		return s.service.PerformAct(ctx, from, f.RequestID, f.Act)
	}
	uri, err := url.ParseRequestURI(f.URI)
	if err != nil || !f.valid() {
		return nil, errors.New("unreadable request")
	}
	r := &http.Request{
		Method: f.Method, URL: uri, Host: f.Host, Header: f.Header, ContentLength: f.Length, TransferEncoding: f.Encoding, RemoteAddr: f.Remote,
		RequestURI: f.URI,
	}
	if f.TLS != nil {
		r.TLS = &tls.ConnectionState{Version: f.TLS.Version, CipherSuite: f.TLS.Suite, CurveID: f.TLS.Curve}
	}
	via := &Endpoint{VpceID: f.Via.VpceID, VpcID: f.Via.VpcID, Secure: f.Via.Secure}
	x := &queryExchange{
		exchange: exchange{srv: s, via: via, r: r, start: time.Now(), id: f.RequestID, body: f.Body, from: from}, api: s.doors[0],
	}
	defer x.wipe()
	defer x.leave()
	if !x.arrive() {
		return nil, errors.New("too many requests in flight")
	}
	x.settle(ctx, x)
	return x.reply(ctx)
}

// maxForwardedHead bounds what a forwarded request has beside its body, in bytes; listeners take less.
const maxForwardedHead = 128 << 10

// maxZone is more than the name of a network interface takes, in bytes.
const maxZone = 64

// vpceID and vpcID are what endpoints are called (package config).
var (
	vpceID = regexp.MustCompile(`^vpce-[0-9a-f]{17}$`)
	vpcID  = regexp.MustCompile(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
)

// valid holds what another region says of a request to what a node sees of one: it becomes values of condition keys and parts of records.
func (f *forwardedRequest) valid() bool {
	head := len(f.URI) + len(f.Host)
	for name, values := range f.Header {
		for _, v := range values {
			head += len(name) + len(v)
		}
		head += len(name)
	}
	remote, err := netip.ParseAddrPort(f.Remote)
	switch {
	case !region.ValidRequestID(f.RequestID), f.Method != http.MethodPost, head > maxForwardedHead, len(f.Body) > maxForm:
		return false
	case f.Length != -1 && f.Length != int64(len(f.Body)), len(f.Encoding) > 1 || len(f.Encoding) == 1 && f.Encoding[0] != "chunked":
		return false
	case err != nil, len(remote.Addr().Zone()) > maxZone, strings.ContainsFunc(f.Remote, func(r rune) bool { return r <= ' ' || r > '~' }):
		return false
	case f.TLS != nil && f.TLS.Version != tls.VersionTLS12 && f.TLS.Version != tls.VersionTLS13:
		return false
	}
	return (f.Via.VpceID == "" || vpceID.MatchString(f.Via.VpceID)) && (f.Via.VpcID == "" || f.Via.VpceID != "" && vpcID.MatchString(f.Via.VpcID))
}

// reply is what the region that asks is to tell its client.
func (x *queryExchange) reply(ctx context.Context) ([]byte, error) {
	status, body := x.render()
	defer clear(body)
	x.end(status)
	a := forwardedAnswer{Status: status, Body: body}
	if x.bad != nil {
		a.Code = x.bad.Name
	} else if hasSecret(x.out) {
		st, err := x.srv.service.View(ctx)
		if err != nil {
			return nil, errors.New("the region cannot read its state now")
		}
		a.Body = nil
		if a.Key, a.Sealed, err = x.srv.service.SealAnswer(ctx, st, x.from, []byte(x.id), body); err != nil {
			x.srv.log.Error("an answer with a secret cannot be handed to the region that asked; what it is about was made", "region", x.from, "error", err)
			return nil, errors.New("the answer cannot be sealed now")
		}
	}
	return json.Marshal(&a)
}

// hasSecret tells whether an answer must not cross to another region as it is.
func hasSecret(out any) bool {
	_, is := out.(*region.CreateAccessKeyOutput)
	return is
}

// SynchronizedIdentitiesRecord renders the record of taking over identities from their home.
func SynchronizedIdentitiesRecord(regionName string, now func() time.Time) func(c *fsm.SyncIdentities, rows int) []byte {
	return func(c *fsm.SyncIdentities, rows int) []byte {
		told := fmt.Appendf(audit.AppendString([]byte(`{"homeRegion":`), c.Home), `,"position":%d,"changes":%d,"followers":[`, c.Position, rows)
		for i, f := range c.Followers {
			if i > 0 {
				told = append(told, ',')
			}
			told = audit.AppendString(told, f.Name)
		}
		r := audit.Record{
			UserIdentity: audit.InternalIdentity(c.Operator), EventTime: now(), EventSource: operatorSource, EventName: "SynchronizeIdentities", AWSRegion: regionName,
			SourceIPAddress: audit.InternalCaller, UserAgent: audit.InternalCaller, RequestID: newID(), EventID: newID(), RecipientAccountID: c.Operator,
			ResponseElements: append(told, "]}"...),
		}
		return r.AppendJSON(nil)
	}
}
