package shape

// Opt is an optional scalar member: absent, or present with a value that may be zero or empty ("" as a Description is
// something else than no Description). The zero Opt is absent. Opts of comparable types compare with ==.
type Opt[T any] struct {
	Value T    // zero if !Set
	Set   bool // the member is present
}

// Some returns a present member.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Get returns the value and whether it is present.
func (o Opt[T]) Get() (T, bool) { return o.Value, o.Set }

// Or returns the value, or def if the member is absent.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}
