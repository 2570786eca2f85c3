//go:build chaos

package planted

import (
	"sync"
	"sync/atomic"
)

// Enabled tells whether faults can be planted in this build.
const Enabled = true

type set struct {
	names map[string]bool
	salt  string
}

var active atomic.Pointer[set]

// Plant makes the named faults the planted ones; salt differs between nodes.
func Plant(names []string, salt string) {
	s := &set{names: make(map[string]bool), salt: salt}
	for _, n := range names {
		s.names[n] = true
	}
	active.Store(s)
}

// Bug reports whether a fault is planted.
func Bug(name string) bool {
	s := active.Load()
	return s != nil && s.names[name]
}

// Salt differs between nodes where ApplyDiffers is planted.
func Salt() string {
	if s := active.Load(); s != nil {
		return s.salt
	}
	return ""
}

// Memory keeps the first value of each name.
type Memory[T any] struct{ m sync.Map }

// First returns the value that the name was first given.
func (m *Memory[T]) First(name string, v T) T {
	old, _ := m.m.LoadOrStore(name, v)
	return old.(T)
}
