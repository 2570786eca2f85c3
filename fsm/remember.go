package fsm

import (
	"encoding/binary"
	"iter"
	"slices"
	"sync"
)

// RememberedCommands is how many command ids are remembered, first in, first out by log order.
const RememberedCommands = 262_144

// maxObjects bounds the object ids of one command, in bytes.
const maxObjects = 128

// maxRememberedSize bounds them in a segment, with a byte of length for each.
const maxRememberedSize = 2 * maxObjects

// Remembered is what is kept of a command that took effect, for the answer to its repetition.
type Remembered struct {
	Signature [16]byte
	Index     uint64
	Objects   []string
	Settles   bool // it stands for all attempts of its call
}

// repeatedBy is the hit rule. A signature of zeros is none: it equals nothing.
func (r *Remembered) repeatedBy(attempt int, signature [16]byte) bool {
	return attempt >= 2 || r.Settles || (signature != [16]byte{} && signature == r.Signature)
}

// remembered is an immutable view of the remembered commands: the entries first <= n < next of a growing sequence that
// lies in segments. Adding an entry returns a new view and leaves old ones valid, since segments only grow at their
// end and a view looks at its own range. Only the newest view may be added to.
type remembered struct {
	segments    []*segment // oldest first; shared between views, never changed in place
	first, next uint64
	limit       uint64 // entries that are kept
	size        int    // entries of one segment
}

func newRemembered(limit uint64, size int) remembered {
	return remembered{limit: limit, size: size}
}

// segment holds consecutive entries. Readers take the lock since apply may be appending to the last one; nobody holds
// it for longer than a few entries take.
type segment struct {
	base uint64 // number of the first entry

	mu      sync.RWMutex
	entries []rememberedEntry
	objects []byte            // object ids of all entries, each behind its length in one byte
	newest  map[uint64]uint32 // position of the latest entry for the first half of an id; looked up, never ranged over
}

type rememberedEntry struct {
	id        CommandID
	signature [16]byte
	index     uint64
	end       uint32 // of its object ids in segment.objects
	settles   bool
	previous  uint32 // position of the entry before it with the same first half of the id
}

const noEntry = ^uint32(0)

func half(id CommandID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// add returns a view that also has the command. The caller keeps objects within maxObjects.
func (v remembered) add(id CommandID, r Remembered) remembered {
	if n := len(v.segments); n == 0 || v.next == v.segments[n-1].base+uint64(v.size) {
		fresh := &segment{base: v.next, newest: make(map[uint64]uint32)}
		v.segments = append(slices.Clip(v.segments), fresh)
	}
	v.segments[len(v.segments)-1].append(id, r)
	v.next++
	if v.next-v.first > v.limit {
		v.first = v.next - v.limit
	}
	if v.segments[0].base+uint64(v.size) <= v.first {
		v.segments = slices.Clone(v.segments[1:])
	}
	return v
}

func (s *segment) append(id CommandID, r Remembered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range r.Objects {
		s.objects = append(s.objects, byte(len(object)))
		s.objects = append(s.objects, object...)
	}
	previous, ok := s.newest[half(id)]
	if !ok {
		previous = noEntry
	}
	s.newest[half(id)] = uint32(len(s.entries))
	s.entries = append(s.entries, rememberedEntry{id, r.Signature, r.Index, uint32(len(s.objects)), r.Settles, previous})
}

// latest returns the newest entry with the id.
func (v *remembered) latest(id CommandID) (Remembered, bool) {
	return v.find(id, func(*Remembered) bool { return true })
}

// repeat returns the newest entry that a command with this id, attempt and signature repeats.
func (v *remembered) repeat(id CommandID, attempt int, signature [16]byte) (Remembered, bool) {
	return v.find(id, func(r *Remembered) bool { return r.repeatedBy(attempt, signature) })
}

// find returns the newest entry with the id that is wanted. The id of zeros is nobody's.
func (v *remembered) find(id CommandID, wanted func(*Remembered) bool) (Remembered, bool) {
	if id == (CommandID{}) {
		return Remembered{}, false
	}
	for _, s := range slices.Backward(v.segments) {
		if r, ok := s.find(id, v.first, v.next, wanted); ok {
			return r, true
		}
	}
	return Remembered{}, false
}

func (s *segment) find(id CommandID, first, next uint64, wanted func(*Remembered) bool) (Remembered, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	position, ok := s.newest[half(id)]
	for ; ok && position != noEntry; position = s.entries[position].previous {
		number := s.base + uint64(position)
		if number < first {
			break
		}
		e := &s.entries[position]
		if number >= next || e.id != id {
			continue
		}
		r := Remembered{Signature: e.signature, Index: e.index, Settles: e.settles}
		if wanted(&r) {
			r.Objects = s.objectsOf(position)
			return r, true
		}
	}
	return Remembered{}, false
}

// objectsOf copies the object ids of an entry. The lock is held.
func (s *segment) objectsOf(position uint32) []string {
	start := uint32(0)
	if position > 0 {
		start = s.entries[position-1].end
	}
	var objects []string
	for rest := s.objects[start:s.entries[position].end]; len(rest) > 0; rest = rest[1+rest[0]:] {
		objects = append(objects, string(rest[1:1+rest[0]]))
	}
	return objects
}

// all yields the entries of the view, oldest first. It holds no lock while it yields.
func (v *remembered) all() iter.Seq2[CommandID, Remembered] {
	return func(yield func(CommandID, Remembered) bool) {
		for _, s := range v.segments {
			last := min(v.next, s.base+uint64(v.size))
			for number := max(v.first, s.base); number < last; number++ {
				id, r := s.at(uint32(number - s.base))
				if !yield(id, r) {
					return
				}
			}
		}
	}
}

func (s *segment) at(position uint32) (CommandID, Remembered) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := &s.entries[position]
	return e.id, Remembered{Signature: e.signature, Index: e.index, Objects: s.objectsOf(position), Settles: e.settles}
}
