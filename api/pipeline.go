package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
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
	return x.retry(ctx)
}

// attempts is how often a change is decided in all: the last time with other changes of the key held back (design: nobody is
// starved).
const attempts = 3

// retry performs the operation, and decides again on a newer state when a change met another one.
func (x *exchange) retry(ctx context.Context) (err error) {
	release := func() {}
	defer func() { release() }()
	for n := 1; ; n++ {
		err = x.attempt(ctx)
		var met *region.RetryError
		if !errors.As(err, &met) {
			return err
		}
		if n == attempts {
			return fault.Unavailable(fmt.Errorf("decided %d times, the last time undisturbed: %w", n, err))
		}
		if n == attempts-1 && len(x.call.Targets) > 0 {
			gate, through, err := x.srv.service.Hold(ctx, x.call.Targets[0].ARN)
			if err != nil {
				return fault.Unavailable(err)
			}
			x.gate, release = gate, through
		}
	}
}

// attempt decides and performs the operation on one state.
func (x *exchange) attempt(ctx context.Context) error {
	st, err := x.srv.service.View(ctx)
	if err != nil {
		return err
	}
	now := x.srv.service.Now()
	x.call = region.Call{
		State: st, Now: now, RequestID: x.id, EventID: x.call.EventID, Operation: x.target, Edge: (*edge)(x), Gate: x.gate,
		Targets: x.room.targets[:0], Decisions: x.room.decisions[:0], Resources: x.room.resources[:0],
	}
	caller, err := x.srv.authn.authenticate(ctx, st, x.sig, x.bodyHash, now, scope{x.srv.service.Region(), signedService})
	if err != nil {
		return err
	}
	x.call.Caller = caller
	if caller.Kind == region.PrincipalService {
		if err := x.serviceCall(ctx, st, now); err != nil {
			return err
		}
	}
	if x.call.EventID == "" {
		x.call.EventID = newID()
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
	if x.op.Class == Write && !x.op.isDryRun(x.in) {
		if done, err := x.repeat(ctx); done || err != nil {
			return err
		}
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
	for i := range c.Targets {
		d, err := x.srv.authz.decide(x, &c.Targets[i])
		if err != nil {
			return err
		}
		c.Decisions = append(c.Decisions, d)
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

// repeat answers a change that has taken effect before, at the first attempt of the same call.
func (x *exchange) repeat(ctx context.Context) (done bool, err error) {
	c := &x.call
	x.identify()
	first, ok := c.State.Repeat(c.CommandID, c.Attempt, c.Signature)
	if !ok || planted.Bug(planted.IgnoreRetryIDs) {
		return false, nil
	}
	c.Objects = first.Objects
	x.out, err = x.op.again(x.srv.service, ctx, c, x.in)
	return true, err
}

// protect turns a panic into InternalFailure, so that one request cannot take the node down; the operator gets the stack.
func (x *exchange) protect(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Panicked(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return x.run(ctx)
}

func (x *exchange) wipeOutput() {
	if x.out != nil {
		x.op.output.Wipe(x.out)
		x.out = nil
	}
}
