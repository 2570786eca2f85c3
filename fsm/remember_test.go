package fsm

import (
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// model is the plain way to remember: the last limit entries, newest match first.
type model struct {
	limit   int
	ids     []CommandID
	entries []Remembered
}

func (m *model) add(id CommandID, r Remembered) {
	m.ids, m.entries = append(m.ids, id), append(m.entries, r)
	if len(m.ids) > m.limit {
		m.ids, m.entries = m.ids[1:], m.entries[1:]
	}
}

func (m *model) repeat(id CommandID, attempt int, signature [16]byte) (Remembered, bool) {
	for i := len(m.ids) - 1; i >= 0; i-- {
		if m.ids[i] == id && m.entries[i].repeatedBy(attempt, signature) {
			return m.entries[i], true
		}
	}
	return Remembered{}, false
}

func TestRememberedAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, size := range []struct{ limit, segment int }{{8, 1}, {8, 4}, {10, 4}, {64, 8}} {
		v := newRemembered(uint64(size.limit), size.segment)
		m := &model{limit: size.limit}
		var old []struct {
			v remembered
			m model
		}
		id := func() (id CommandID) { // often the same, and often with the same first half
			id[0], id[15] = byte(rng.Intn(12)+1), byte(rng.Intn(3))
			return id
		}
		sig := func() (s [16]byte) {
			s[0] = byte(rng.Intn(4))
			return s
		}
		for n := range 500 {
			objects := []string{fmt.Sprint("object ", n), ""}[:rng.Intn(3)]
			if len(objects) == 0 {
				objects = nil
			}
			at, r := id(), Remembered{sig(), uint64(n), objects, rng.Intn(4) == 0}
			v = v.add(at, r)
			m.add(at, r)
			if n%97 == 0 {
				old = append(old, struct {
					v remembered
					m model
				}{v, model{m.limit, append([]CommandID(nil), m.ids...), append([]Remembered(nil), m.entries...)}})
			}
			compare(t, &v, m, id(), rng.Intn(2)+1, sig())
			compare(t, &v, m, at, 2, sig())
		}
		for i := range old { // views of earlier states have not changed
			for range 100 {
				compare(t, &old[i].v, &old[i].m, id(), rng.Intn(2)+1, sig())
			}
		}
	}
}

func compare(t *testing.T, v *remembered, m *model, id CommandID, attempt int, sig [16]byte) {
	t.Helper()
	got, ok := v.repeat(id, attempt, sig)
	want, wanted := m.repeat(id, attempt, sig)
	if ok != wanted || !reflect.DeepEqual(got, want) {
		t.Fatalf("%x: %+v %v, want %+v %v", id, got, ok, want, wanted)
	}
	n := 0
	for id, r := range v.all() {
		if n >= len(m.ids) || id != m.ids[n] || !reflect.DeepEqual(r, m.entries[n]) {
			t.Fatalf("entry %d: %x %+v", n, id, r)
		}
		n++
	}
	if n != len(m.ids) {
		t.Fatalf("%d entries, want %d", n, len(m.ids))
	}
}

// The design's numbers: 262,144 ids, of which the oldest goes first.
func TestRememberedCapacity(t *testing.T) {
	v := newRemembered(RememberedCommands, segmentSize)
	const extra = 1000
	for i := 1; i <= RememberedCommands+extra; i++ {
		v = v.add(commandID(i), Remembered{Index: uint64(i)})
	}
	if _, ok := v.latest(commandID(extra)); ok {
		t.Error("remembered longer than promised")
	}
	for _, i := range []int{extra + 1, RememberedCommands, RememberedCommands + extra} {
		if r, ok := v.latest(commandID(i)); !ok || r.Index != uint64(i) {
			t.Errorf("command %d is forgotten", i)
		}
	}
	if n := len(v.segments); n > 9 {
		t.Errorf("%d segments", n)
	}
}

// Object ids stay within their bound whatever a command makes.
func TestObjectsAreBounded(t *testing.T) {
	longest := 0
	for _, n := range []int{maxID, 2 * maxMaterialID} { // a key id as it is, a material id in hexadecimal
		longest = max(longest, n)
	}
	if longest > maxObjects {
		t.Errorf("object ids of %d bytes, at most %d are promised", longest, maxObjects)
	}
}

// The id of zeros stands for "no id": nothing is a repetition of it, whatever a snapshot holds.
func TestNoID(t *testing.T) {
	v := newRemembered(8, 4)
	v = v.add(CommandID{}, Remembered{Index: 1})
	if _, ok := v.repeat(CommandID{}, 2, [16]byte{}); ok {
		t.Error("a command without id repeats another one")
	}
}

func TestInterner(t *testing.T) {
	n := new(interner)
	for i := range 5000 {
		for _, s := range []string{fmt.Sprintf("short %d", i), fmt.Sprintf("%0100d", i), strings.Repeat("x", maxLarge) + fmt.Sprint(i), ""} {
			if got := n.string(s); got != s {
				t.Fatalf("%.20q came back as %.20q", s, got)
			}
		}
	}
	a, b := n.string(strings.Repeat("p", 500)), n.string(strings.Repeat("p", 500))
	if unsafe.StringData(a) != unsafe.StringData(b) {
		t.Error("equal policies are not shared")
	}
}
