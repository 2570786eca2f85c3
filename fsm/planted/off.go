//go:build !chaos

package planted

// Enabled tells whether faults can be planted in this build.
const Enabled = false

// Bug reports whether a fault is planted: never, in this build.
func Bug(string) bool { return false }

// Salt differs between nodes where ApplyDiffers is planted.
func Salt() string { return "" }

// Memory keeps, for the faults that answer from memory, the first value of each name; here it keeps nothing.
type Memory[T any] struct{}

// First returns v.
func (*Memory[T]) First(_ string, v T) T { return v }
