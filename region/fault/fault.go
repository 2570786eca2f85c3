// Package fault is the one table of what a client can be told when a request fails: every exception of the KMS API model and
// the common errors of the protocol, with HTTP status, retryability and audit name (spec 10 sections 2 and 3).
//
// The package guarantees:
//   - an [Error] has two audiences and keeps them apart: Message is for the client, the cause is for the operator and is in
//     neither Message nor the text of Error();
//   - [From] turns every other error into an internal error without detail, so that nothing unforeseen reaches a client;
//   - recorded texts are written in one place, as constructors, because client tools match them (spec 01 KID-08, 04 AE-03);
//   - a [Code] is a stable number: codes travel in replicated results and are never reused.
//
// Values are immutable once made and may be shared between goroutines.
package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Error is a failure in the client's words. Make it with [New], [Wrap] or one of the constructors.
type Error struct {
	// Code says which exception it is.
	Code Code
	// Message is what the client reads; empty means that the answer has no message member at all (spec 10 PROTO-21). It
	// must never hold a secret.
	Message string

	cause error
}

// New makes an error whose message is for the client. An empty format gives an error without message; without args the
// format is taken as it is.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: sprintf(format, args)}
}

// Wrap makes an error with a cause that only the operator sees. The format is for the client, as in [New].
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: sprintf(format, args), cause: cause}
}

func sprintf(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// Error returns name and message, never the cause: whoever prints an error by mistake shows a client nothing new.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code.Name()
	}
	return e.Code.Name() + ": " + e.Message
}

// Unwrap returns the cause, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.cause }

// Is lets errors.Is(err, fault.NotFoundException) ask for a code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// LogValue is the operator's view: name, message and cause (log/slog).
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("name", e.Code.Name())}
	if e.Message != "" {
		attrs = append(attrs, slog.String("message", e.Message))
	}
	if e.cause != nil {
		attrs = append(attrs, slog.String("cause", e.cause.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Texts of the errors that [From] makes. They say what the client can do and nothing about what happened.
const (
	internalText    = "An internal error occurred. The request can be retried."
	timeoutText     = "A part of the service did not answer in time. The request can be retried."
	unavailableText = "The service cannot complete the request now. The request can be retried."
)

// From finds the fault in an error chain, and makes one for errors that have none:
//
//   - nil stays nil;
//   - a chain with an *Error is that error, the whole chain kept as its cause;
//   - a bare [Code] is that error without message;
//   - a deadline or any error with Timeout() true is DependencyTimeoutException (spec 10 PROTO-40);
//   - a cancelled context is ServiceUnavailable: either the client has gone and reads nothing, or the node is draining;
//   - everything else is KMSInternalException without detail.
//
// The result is nil only for nil; do not assign it to a variable of type error without checking.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		if e == nil {
			return Internal(errTypedNil)
		}
		return e
	}
	var e *Error
	if errors.As(err, &e) && e != nil {
		return &Error{Code: e.Code, Message: e.Message, cause: err}
	}
	var code Code
	if errors.As(err, &code) && code.Valid() {
		return &Error{Code: code, cause: err}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Wrap(ServiceUnavailable, err, unavailableText)
	case timedOut(err):
		return Wrap(DependencyTimeoutException, err, timeoutText)
	}
	return Wrap(KMSInternalException, err, internalText)
}

// errTypedNil is a programming error elsewhere: a nil *Error was stored in a variable of type error.
var errTypedNil = errors.New("fault: a nil *fault.Error was returned as an error")

// timedOut covers context.DeadlineExceeded, net and os deadlines, which all answer Timeout.
func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// Internal is KMSInternalException without detail; the cause is for the operator.
func Internal(cause error) *Error { return Wrap(KMSInternalException, cause, internalText) }

// Panicked is InternalFailure for a request that died in a panic: an error outside the modeled ones.
func Panicked(cause error) *Error { return Wrap(InternalFailure, cause, internalText) }

// Unavailable is HTTP 503: the node cannot serve now (starting, draining, no quorum). Clients retry it elsewhere.
func Unavailable(cause error) *Error { return Wrap(ServiceUnavailable, cause, unavailableText) }

// Timeout is DependencyTimeoutException: a part of the service did not answer in time.
func Timeout(cause error) *Error {
	return Wrap(DependencyTimeoutException, cause, timeoutText)
}
