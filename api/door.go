package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// door is what one kind of request does of its own in the steps that are the same for all: requests to KMS, to IAM and STS, and to the
// operator API.
type door interface {
	// run takes the request from top to bottom. What it returns is what the client is told; nil is success.
	run(ctx context.Context) error
	// fail notes what the client is told in the place of any output; nil is success.
	fail(err error)
	// audits tells whether the door writes a record before the answer, writeRecord writes it.
	audits() bool
	writeRecord(ctx context.Context) error
	// answer writes the answer and ends the event.
	answer(w http.ResponseWriter)
}

// pass takes a request through its door.
func (x *exchange) pass(w http.ResponseWriter, d door) {
	defer x.leave()
	// The body comes first: a request counts as in flight once it is here, so that clients that send slowly hold no place.
	err := x.readBody(w)
	if err == nil && !x.arrive() {
		err = fault.Unavailable(errors.New("too many requests in flight"))
	}
	if err != nil {
		d.fail(err)
		d.answer(w)
		return
	}
	ctx := withDeadline(x.r.Context(), time.Now().Add(x.srv.timeout))
	defer ctx.cancel()
	x.settle(ctx, d)
	d.answer(w)
}

// settle works on the request and writes its record: without a record there is no answer.
func (x *exchange) settle(ctx context.Context, d door) {
	d.fail(protected(ctx, d))
	if d.audits() {
		// The client's going away does not undo what was done: the record is written all the same.
		if err := d.writeRecord(context.Background()); err != nil {
			d.fail(recordFault(err))
		}
	}
}

// protected turns a panic into InternalFailure, so that one request cannot take the node down; the operator gets the stack.
func protected(ctx context.Context, d door) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Panicked(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return d.run(ctx)
}

// attempts is how often a change is decided in all: the last time with other changes of the key held back (design: nobody is
// starved).
const attempts = 3

// retry performs the operation, and decides again on a newer state when a change met another one.
func (x *exchange) retry(ctx context.Context, attempt func(context.Context) error) (err error) {
	release := func() {}
	defer func() { release() }()
	for n := 1; ; n++ {
		err = attempt(ctx)
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

// begin reads the state that an attempt is decided on; all attempts are one event.
func (x *exchange) begin(ctx context.Context, e region.Edge) error {
	st, err := x.srv.service.View(ctx)
	if err != nil {
		return err
	}
	event := x.call.EventID
	if event == "" {
		event = newID()
	}
	x.call = region.Call{
		State: st, Now: x.srv.service.Now(), RequestID: x.id, EventID: event, Operation: x.target, Edge: e, Gate: x.gate,
		Targets: x.room.targets[:0], Decisions: x.room.decisions[:0], Resources: x.room.resources[:0],
	}
	return nil
}

// authenticate finds out who has signed the request, for a service in a region.
func (x *exchange) authenticate(ctx context.Context, want scope) error {
	c := &x.call
	caller, err := x.srv.authn.authenticate(ctx, c.State, x.sig, x.bodyHash, c.Now, want)
	if err != nil {
		return err
	}
	c.Caller = caller
	return nil
}

// remembered tells whether a change has taken effect before, at the first attempt of the same call.
func (x *exchange) remembered() bool {
	c := &x.call
	x.identify()
	first, ok := c.State.Repeat(c.CommandID, c.Attempt, c.Signature)
	if !ok || planted.Bug(planted.IgnoreRetryIDs) {
		return false
	}
	c.Objects = first.Objects
	return true
}

// authorize decides every target of the call. After a refusal there are decisions on those before the refused one.
func (x *exchange) authorize() error {
	c := &x.call
	for i := range c.Targets {
		d, err := x.srv.authz.decide(x, &c.Targets[i])
		if err != nil {
			return err
		}
		c.Decisions = append(c.Decisions, d)
	}
	return nil
}

// common is what the records of all doors have in common.
func (x *exchange) common() audit.Record {
	c := &x.call
	return audit.Record{
		UserIdentity: identityOf(c.Caller), EventTime: c.Now, EventName: x.target, AWSRegion: x.srv.service.Region(),
		SourceIPAddress: clientIP(x.r.RemoteAddr), UserAgent: x.r.UserAgent(), RequestID: c.RequestID, EventID: c.EventID,
		RecipientAccountID: c.Caller.Account, TLSDetails: x.tlsDetails(), VPCEndpointID: x.via.VpceID,
	}
}
