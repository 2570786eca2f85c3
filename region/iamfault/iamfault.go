// Package iamfault is the table of what clients of IAM and STS can be told when a request fails: the errors of the two API
// models, with their HTTP status.
//
// It guarantees, like package fault for KMS: the message of an [Error] is for the client and holds nothing of this side; the
// texts that tools match are written in one place, as constructors. Values are immutable.
package iamfault

import (
	"fmt"
	"net/http"
)

// Error is a failure in the client's words.
type Error struct {
	// Name is the code on the wire, such as NoSuchEntity.
	Name string
	// Status is the HTTP status.
	Status int
	// Message is for the client.
	Message string
}

// Error returns name and message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

// SenderFault tells whether the client is at fault.
func (e *Error) SenderFault() bool { return e.Status < http.StatusInternalServerError }

func newError(name string, status int, format string, args []any) *Error {
	return &Error{Name: name, Status: status, Message: fmt.Sprintf(format, args...)}
}

// NoSuchEntity is for what does not exist.
func NoSuchEntity(format string, args ...any) *Error {
	return newError("NoSuchEntity", http.StatusNotFound, format, args)
}

// EntityAlreadyExists is for a name that is taken.
func EntityAlreadyExists(format string, args ...any) *Error {
	return newError("EntityAlreadyExists", http.StatusConflict, format, args)
}

// DeleteConflict is for deleting what others depend on.
func DeleteConflict(format string, args ...any) *Error {
	return newError("DeleteConflict", http.StatusConflict, format, args)
}

// LimitExceeded is for a quota that is used up.
func LimitExceeded(format string, args ...any) *Error {
	return newError("LimitExceeded", http.StatusConflict, format, args)
}

// MalformedPolicyDocument is for a policy that cannot be accepted.
func MalformedPolicyDocument(format string, args ...any) *Error {
	return newError("MalformedPolicyDocument", http.StatusBadRequest, format, args)
}

// InvalidInput is for a parameter that does not fit the others.
func InvalidInput(format string, args ...any) *Error {
	return newError("InvalidInput", http.StatusBadRequest, format, args)
}

// ValidationError is for a parameter that breaks a rule of its own.
func ValidationError(format string, args ...any) *Error {
	return newError("ValidationError", http.StatusBadRequest, format, args)
}

// PolicyNotAttachable is for a built-in policy that belongs to a service-linked role.
func PolicyNotAttachable(format string, args ...any) *Error {
	return newError("PolicyNotAttachable", http.StatusBadRequest, format, args)
}

// AccessDenied is for what no policy allows.
func AccessDenied(format string, args ...any) *Error {
	return newError("AccessDenied", http.StatusForbidden, format, args)
}

// PackedPolicyTooLarge is for session policies and tags that do not fit into a session token.
func PackedPolicyTooLarge(format string, args ...any) *Error {
	return newError("PackedPolicyTooLarge", http.StatusBadRequest, format, args)
}

// InvalidIdentityToken is for a provider's token that cannot be accepted.
func InvalidIdentityToken(format string, args ...any) *Error {
	return newError("InvalidIdentityToken", http.StatusBadRequest, format, args)
}

// ExpiredToken is for a provider's token whose time is over.
func ExpiredToken(format string, args ...any) *Error {
	return newError("ExpiredTokenException", http.StatusBadRequest, format, args)
}

// IDPCommunicationError is for a provider whose keys cannot be had; clients try again.
func IDPCommunicationError(format string, args ...any) *Error {
	return newError("IDPCommunicationError", http.StatusBadRequest, format, args)
}
