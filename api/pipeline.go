package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/keystate"
	"github.com/trentkms/trent/region/shape"
)

// exchange is one request on its way through the pipeline. It belongs to one goroutine.
type exchange struct {
	srv   *Server
	via   *Endpoint
	r     *http.Request
	start time.Time
	id    string // x-amzn-RequestId, the same as requestID in the audit record
	// from is the region that has received a request which this one decides as the home of the identities, "" for its own.
	from string

	body     []byte  // in buf; wiped at the end, since it carries plaintext
	buf      *[]byte // pooled
	bodyHash [sha256.Size]byte
	reserved int64 // bytes of Server.bodyMemory

	target string     // the operation's name as the client sent it
	op     *Operation // nil for operations that this service does not perform
	in     region.Input
	// invalid is the ValidationException that decoding found; it is answered after authentication (spec 10 PROTO-30).
	invalid error
	sig     *sigv4.Request
	call    region.Call
	out     any
	fault   *fault.Error
	gate    cluster.Gate  // what is held for a change that was refused twice
	waits   bool          // counts among those that wait to be authenticated
	place   *atomic.Int64 // the account's requests in flight, this one among them; nil before it is admitted
	charged bool          // against the quotas of its keys
	// unrecorded refusals are left out of the audit log (spec 03 AUD-06, AUD-10); the operator's log and the metrics have them.
	unrecorded bool

	room room
}

// exchanges keeps exchanges between requests: they are 2 KiB each.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func newExchange(s *Server, via *Endpoint, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.srv, x.via, x.r, x.start, x.id = s, via, r, time.Now(), newID()
	return x
}

// release forgets the request. Nobody holds the exchange any more, or what has its room in it: an operation's goroutines outlive
// the request with a context and rows of the state alone.
func (x *exchange) release() {
	*x = exchange{}
	exchanges.Put(x)
}

// run takes the request from top to bottom. What it returns is what the client is told; nil is success with x.out.
func (x *exchange) run(ctx context.Context) error {
	if err := x.decode(); err != nil {
		return err
	}
	sig, err := sigv4.Parse(x.r)
	if err != nil {
		return signatureFault(err)
	}
	x.sig = sig
	x.bodyHash = sha256.Sum256(x.body)
	return x.retry(ctx, x.attempt)
}

// attempt decides and performs the operation on one state.
func (x *exchange) attempt(ctx context.Context) error {
	if err := x.begin(ctx, (*edge)(x)); err != nil {
		return err
	}
	if err := x.authenticate(ctx, scope{x.srv.service.Region(), signedService}); err != nil {
		return err
	}
	if x.call.Caller.Kind == region.PrincipalService {
		if err := x.serviceCall(ctx, x.call.State, x.call.Now); err != nil {
			return err
		}
	}
	if err := x.admit(ctx); err != nil {
		return err
	}
	switch {
	case x.op == nil:
		return fault.New(fault.UnsupportedOperationException, "%s is not supported in this Region.", x.target)
	case x.invalid != nil:
		return x.invalid
	}
	if x.op.Class == Write && !x.op.isDryRun(x.in) && x.remembered() {
		var err error
		x.out, err = x.op.again(x.srv.service, ctx, &x.call, x.in)
		return err
	}
	return x.decideAndDo(ctx)
}

// decideAndDo is the part of an attempt behind authentication.
func (x *exchange) decideAndDo(ctx context.Context) (err error) {
	c, op := &x.call, x.op
	c.DryRun = op.isDryRun(x.in)
	if in, ok := x.in.(region.Checker); ok {
		if err := in.Check(); err != nil {
			return err
		}
	}
	if in, ok := x.in.(region.Tokened); ok {
		if c.TokenGrants, err = x.srv.service.OpenGrantTokens(ctx, c.State, in.Tokens()); err != nil {
			return err
		}
	}
	x.room.resolver = x.srv.service.NewResolver(c, op.Name, op.Aliases, op.CrossAccount)
	if err := x.resolve(ctx); err != nil {
		return err
	}
	if err := x.authorize(); err != nil {
		return err
	}
	if err := x.charge(ctx); err != nil {
		return err
	}
	if err := x.checkKeys(); err != nil {
		return err
	}
	if x.out, err = op.do(x.srv.service, ctx, c, x.in); err != nil {
		return err
	}
	if c.DryRun {
		x.wipeOutput()
		return fault.DryRun()
	}
	return nil
}

// resolve finds what the request is about. An AWS managed key that is not there yet is made, once.
func (x *exchange) resolve(ctx context.Context) error {
	err := x.in.Resolve(&x.room.resolver)
	var missing *region.ManagedKeyError
	if !errors.As(err, &missing) {
		return err
	}
	if err := x.srv.service.MakeManagedKey(ctx, missing); err != nil {
		return err
	}
	c := &x.call
	if c.State, err = x.srv.service.View(ctx); err != nil {
		return err
	}
	c.Targets, c.Resources = c.Targets[:0], c.Resources[:0]
	if err = x.in.Resolve(&x.room.resolver); errors.As(err, &missing) {
		return fault.Unavailable(err) // another change came between: a retry finds it made
	}
	return err
}

// checkKeys checks usage, then state, of the keys (spec 10 PROTO-30 steps 10 and 11).
func (x *exchange) checkKeys() error {
	c, op := &x.call, x.op
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.Key == nil {
			continue
		}
		if err := keyspec.CheckUsage(op.Name, t.ARN, shape.KeyUsageType(t.Key.Usage)); err != nil {
			return err
		}
	}
	for i := range c.Targets {
		t := &c.Targets[i]
		if t.Key == nil {
			continue
		}
		facts := region.Facts(t.Key, c.Now)
		if planted.Bug(planted.StaleKeyState) {
			facts = x.srv.first.First(t.ARN, facts)
		}
		if err := keystate.Check(op.Name, facts, t.ARN); err != nil {
			return err
		}
		if op.StateOfFirst {
			break
		}
	}
	return nil
}

func (x *exchange) wipeOutput() {
	if x.out != nil {
		x.op.output.Wipe(x.out)
		x.out = nil
	}
}
