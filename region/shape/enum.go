package shape

// Enum is implemented by the string types whose values are a closed set.
type Enum interface {
	// Enum returns the allowed values in the order in which a ValidationException lists them (spec 10 PROTO-38): the recorded
	// order of the live service where there is one, else the model's. The slice is shared and must not be changed.
	Enum() []string
}

// EnumMessage is implemented besides Enum where the message lists other values than the allowed ones.
type EnumMessage interface {
	// EnumMessage returns what the message lists. The slice is shared and must not be changed.
	EnumMessage() []string
}

// ValidEnum reports whether v is one of its type's values. Values are case-sensitive (spec 10 PROTO-38).
func ValidEnum[E interface {
	~string
	Enum
}](v E) bool {
	for _, s := range v.Enum() {
		if s == string(v) {
			return true
		}
	}
	return false
}
