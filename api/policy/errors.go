package policy

import (
	"fmt"
	"strconv"
)

// Messages that clients see, verbatim (spec 04 KP-10, KP-13, LCK-01, AE-01; spec 05 SET-05).
const (
	invalidPrincipalMessage = "Policy contains a statement with one or more invalid principals."
	invalidARNMessage       = "An ARN in the specified key policy is invalid."
	lockoutMessage          = "The new key policy will not allow you to update the key policy in the future."
	looseContextMessage     = "OverlyPermissiveCondition:EncryptionContext: Using the ForAllValues set operator with a single-valued condition key " +
		"matches requests without the specified encryption context or with an unspecified encryption context. To fix, remove ForAllValues."
	looseTagMessage = "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key " +
		"matches requests without the specified tag or with an unspecified tag. To fix, remove ForAllValues."

	// HiddenCiphertextMessage answers a Decrypt without KeyId whose key is unknown or forbidden: it must not tell which
	// (spec 04 AE-01).
	HiddenCiphertextMessage = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
)

// Refusal is the error that refuses a document: a *MalformedError, *InvalidARNError, *TooLargeError or *CharactersError. Every API has words
// of its own for each.
type Refusal interface {
	error
	refusal()
}

func (*MalformedError) refusal()  {}
func (*InvalidARNError) refusal() {}
func (*TooLargeError) refusal()   {}
func (*CharactersError) refusal() {}

// MalformedError refuses a document: bad JSON, an unknown or missing element, a wrong type or value. Its text is the message
// of MalformedPolicyDocumentException (of MalformedPolicyDocument in IAM).
type MalformedError struct{ Message string }

// Error returns the message.
func (e *MalformedError) Error() string { return e.Message }

var (
	// ErrInvalidPrincipal refuses a document that names a principal which does not exist or cannot be one (spec 04 KP-10).
	// It is a *MalformedError. The parser answers it for what cannot be a principal, the caller for one it cannot find.
	ErrInvalidPrincipal error = &MalformedError{Message: invalidPrincipalMessage}

	// ErrLockout refuses a key policy that would lock its author out (spec 04 LCK-01). It is a *MalformedError.
	ErrLockout error = &MalformedError{Message: lockoutMessage}
)

// InvalidARNError refuses a principal that is written as an ARN and is none that a policy can name: bad syntax, or a group
// (spec 04 KP-10). Its text is the message of InvalidArnException.
type InvalidARNError struct{ ARN string }

// Error returns the message; the ARN is left out of it, as in the original.
func (e *InvalidARNError) Error() string { return invalidARNMessage }

// TooLargeError refuses a document over its kind's limit. The caller answers LimitExceededException.
type TooLargeError struct {
	Kind  Kind
	Size  int // as the kind counts: bytes for key policies, characters for the others
	Limit int
}

// Error says how large the document may be.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("The %s has a size of %d and may have %d. Shorten it.", e.Kind, e.Size, e.Limit)
}

// CharactersError refuses a document with a character outside [\u0009\u000A\u000D\u0020-\u00FF], written plainly or as an
// escape (spec 04 KP-03, spec 05 CND-05). The caller answers ValidationException.
type CharactersError struct {
	Line, Column int  // where, both from 1; the column counts characters
	Rune         rune // what; utf8.RuneError for bytes that are not UTF-8
}

// Error says which character and where.
func (e *CharactersError) Error() string {
	return fmt.Sprintf("The policy has the character %s at line %d, column %d. Use only tab, line feed, carriage return and U+0020 to U+00FF.",
		strconv.QuoteRuneToASCII(e.Rune), e.Line, e.Column)
}

func malformed(format string, args ...any) *MalformedError {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

// quote shows a piece of the document in a message, cut to a length that a log line bears.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.QuoteToASCII(s)
}
