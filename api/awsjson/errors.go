package awsjson

import "strconv"

// The names of the exceptions that this package's errors become (spec 10, section 2.2).
const (
	NameSerialization = "SerializationException"
	NameValidation    = "ValidationException"
	nameAccessDenied  = "AccessDeniedException"
)

// SerializationError says that a body is not a JSON object of the right form. It becomes a SerializationException. Message never
// quotes a value of the body.
type SerializationError struct {
	Message string
	Offset  int // in bytes from the start of the body, where reading stopped
}

// Error implements error.
func (e *SerializationError) Error() string {
	return e.Message + " (at byte " + strconv.Itoa(e.Offset) + ")"
}

// ValidationError holds every violated constraint of one request. It becomes a ValidationException.
type ValidationError struct {
	// Message is the whole text: "1 validation error detected: ..." (spec 10 PROTO-33).
	Message string
	// Count is the number of violations, which may exceed the number of those listed (see maxListed).
	Count int
}

// Error implements error.
func (e *ValidationError) Error() string { return e.Message }

// AppendError appends the body of an error answer (spec 10 PROTO-20): the bare name, and the message unless it is empty, for
// then the member is missing altogether (PROTO-21). AccessDeniedException spells it "Message" (PROTO-22).
func AppendError(b []byte, name, message string) []byte {
	b = append(b, `{"__type":`...)
	b = appendString(b, name)
	if message != "" {
		key := `,"message":`
		if name == nameAccessDenied {
			key = `,"Message":`
		}
		b = append(b, key...)
		b = appendString(b, message)
	}
	return append(b, '}')
}
