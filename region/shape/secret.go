package shape

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every printer and encoder shows in place of a Secret. It tells neither the value nor its length.
const Redacted = "[secret]"

var errSecretInput = errors.New("shape: a secret is read by the wire codec only; decode it with package awsjson")

// Secret is a sensitive member: plaintext, a data key, a password. Copies share their bytes, so that wiping one wipes all;
// they cannot be compared with ==. The zero Secret is an absent member. A Secret may be read from many goroutines; Wipe must not
// run beside readers.
type Secret struct {
	_ [0]func() // not comparable: == would leak through timing
	b []byte    // nil: absent
}

// NewSecret returns a Secret over b, which it owns from now on: the caller neither changes nor keeps b. A nil b is an absent
// member, an empty one is present.
func NewSecret(b []byte) Secret { return Secret{b: b} }

// Bytes returns the value itself, not a copy; it is valid until Wipe. Nil means absent.
func (s Secret) Bytes() []byte { return s.b }

// Len returns the number of bytes.
func (s Secret) Len() int { return len(s.b) }

// IsSet tells a present Secret, even an empty one, from an absent one.
func (s Secret) IsSet() bool { return s.b != nil }

// Equal compares in a time that depends on the lengths alone. An absent Secret equals only an absent one.
func (s Secret) Equal(o Secret) bool {
	return s.IsSet() == o.IsSet() && subtle.ConstantTimeCompare(s.b, o.b) == 1
}

// Wipe overwrites the bytes of this Secret and of every copy with zeros.
func (s Secret) Wipe() { clear(s.b) }

// String implements fmt.Stringer without the value.
func (Secret) String() string { return Redacted }

// GoString implements fmt.GoStringer without the value.
func (Secret) GoString() string { return Redacted }

// Format implements fmt.Formatter: every verb and flag prints Redacted.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue implements slog.LogValuer without the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements encoding.TextMarshaler without the value; XML, YAML and map keys come through here.
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler without the value.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// UnmarshalJSON always fails: what is read back would be the redaction.
func (*Secret) UnmarshalJSON([]byte) error { return errSecretInput }

// UnmarshalText always fails, like UnmarshalJSON.
func (*Secret) UnmarshalText([]byte) error { return errSecretInput }

// GobEncode always fails: a binary form has no place for a redaction, and must not carry the value.
func (Secret) GobEncode() ([]byte, error) {
	return nil, errors.New("shape: a secret is never encoded with gob; hand it over wrapped")
}

// GobDecode always fails, like UnmarshalJSON.
func (*Secret) GobDecode([]byte) error { return errSecretInput }

// Blob is a binary member that is not sensitive: a ciphertext, a signature, a public key. Nil means absent; it is base64 on
// the wire (spec 10 PROTO-05).
type Blob []byte
