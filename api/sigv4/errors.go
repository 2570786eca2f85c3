package sigv4

import (
	"errors"
	"unicode/utf8"
)

// The names of the errors (spec 10, section 2.1). All are answered with HTTP status 400.
const (
	NameMissingToken        = "MissingAuthenticationTokenException"
	NameIncomplete          = "IncompleteSignatureException"
	NameInvalidSignature    = "InvalidSignatureException"
	NameUnrecognizedClient  = "UnrecognizedClientException"
	NameExpiredToken        = "ExpiredTokenException"
	NameRequestExpired      = "RequestExpired"
	textMissingToken        = "Request is missing Authentication Token"
	textMismatch            = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	textUnrecognizedClient  = "The security token included in the request is invalid."
	textExpiredToken        = "The security token included in the request is expired"
	textOneMechanism        = "Only one auth mechanism allowed: send a single Authorization header, or query parameters, not both. "
	textContentHashMismatch = "The provided 'x-amz-content-sha256' header does not match what was computed."
)

// Error is a refusal that the client is told: the name of the exception and its text.
type Error struct{ Name, Message string }

// Error implements error.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

// UnrecognizedClient returns the error for an unknown or deactivated access key and for a session token that is not valid.
func UnrecognizedClient() *Error { return &Error{NameUnrecognizedClient, textUnrecognizedClient} }

// ExpiredToken returns the error for a session that has ended.
func ExpiredToken() *Error { return &Error{NameExpiredToken, textExpiredToken} }

// ErrShortSecret says that a secret access key is too short for HMAC under FIPS 140-3 (SP 800-131A: 112 bits with the prefix
// "AWS4"). Secrets that are made here are far longer; one that is imported must be replaced.
var ErrShortSecret = errors.New("sigv4: the secret access key is shorter than 10 bytes; replace it with a longer one")

func incomplete(text string) *Error { return &Error{NameIncomplete, text} }

func invalid(text string) *Error { return &Error{NameInvalidSignature, text} }

// maxEcho bounds what a message repeats of the request.
const maxEcho = 1024

func echo(s string) string {
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
