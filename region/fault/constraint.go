package fault

import (
	"strconv"
	"strings"
)

// Violation is one broken constraint of the model (spec 10 PROTO-34). Path is the member in the answer's spelling: first letter
// lower-case, list items 1-based ("tags.1.member.tagValue", PROTO-35).
type Violation struct {
	Path       string
	Constraint string // "Member must not be null" and the like

	value string // "Value '...' at", "Value null at", "Value at"
}

// Value is a violation by a string or number, which the text shows.
func Value(value, path, constraint string) Violation {
	return Violation{Path: path, Constraint: constraint, value: "Value '" + value + "' at"}
}

// Null is a violation by a missing member.
func Null(path, constraint string) Violation {
	return Violation{Path: path, Constraint: constraint, value: "Value null at"}
}

// Hidden is a violation by a blob or a sensitive member, whose value the text never shows.
func Hidden(path, constraint string) Violation {
	return Violation{Path: path, Constraint: constraint, value: "Value at"}
}

// String is the violation's part of the message.
func (v Violation) String() string {
	return v.value + " '" + v.Path + "' failed to satisfy constraint: " + v.Constraint
}

// Invalid is the ValidationException that lists all violations of a request (spec 10 PROTO-33). There must be at least one.
func Invalid(violations ...Violation) *Error {
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(violations)))
	b.WriteString(" validation error")
	if len(violations) != 1 {
		b.WriteByte('s')
	}
	b.WriteString(" detected: ")
	for i, v := range violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.String())
	}
	return &Error{Code: ValidationException, Message: b.String()}
}

// NotNull is the constraint on a required member (spec 10 PROTO-36, as are the others).
const NotNull = "Member must not be null"

// MinLength is the constraint on the least length in characters, or bytes of a blob.
func MinLength(n int) string {
	return "Member must have length greater than or equal to " + strconv.Itoa(n)
}

// MaxLength is the constraint on the greatest length in characters, or bytes of a blob.
func MaxLength(n int) string {
	return "Member must have length less than or equal to " + strconv.Itoa(n)
}

// MinValue is the constraint on the least number.
func MinValue(n int64) string {
	return "Member must have value greater than or equal to " + strconv.FormatInt(n, 10)
}

// MaxValue is the constraint on the greatest number.
func MaxValue(n int64) string {
	return "Member must have value less than or equal to " + strconv.FormatInt(n, 10)
}

// Pattern is the constraint on the characters of a string.
func Pattern(p string) string { return "Member must satisfy regular expression pattern: " + p }

// Enum is the constraint on the values of an enum, in the service's own order (spec 10 PROTO-38).
func Enum[E ~string](values []E) string {
	return "Member must satisfy enum value set: " + bracket(values)
}

// EnumList is the constraint on a list of enum values.
func EnumList[E ~string](values []E) string {
	return "Member must satisfy constraint: [" + Enum(values) + "]"
}

func bracket[E ~string](values []E) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	b.WriteByte(']')
	return b.String()
}
