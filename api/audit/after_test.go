package audit

import (
	"strings"
	"testing"
)

// TestAfter: readings that go on where the one before ended give every record once, over segments, within their budgets.
func TestAfter(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SegmentSize = 8 << 10 })
	var got []int
	var at Position
	read := func(budget int64) int {
		t.Helper()
		entries, next, err := After(t.Context(), r.dir, at, Filter{}, budget)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			got = append(got, eventNumber(string(e.Line)))
		}
		at = next
		return len(entries)
	}
	if n := read(1 << 20); n != 0 {
		t.Errorf("%d records of an empty log", n)
	}
	for i := range 60 {
		r.append(numbered(i))
		if i%20 == 19 {
			for read(700) > 0 {
			}
		}
	}
	for i, n := range got {
		if n != i {
			t.Fatalf("record %d is number %d: %v", i, n, got)
		}
	}
	if len(got) != 60 || at.Segment < 2 {
		t.Errorf("%d records, up to %v", len(got), at)
	}
	entries, _, err := After(t.Context(), r.dir, Position{}, Filter{EventID: "event-000006"}, 1<<20)
	if err != nil || len(entries) != 1 || !strings.Contains(string(entries[0].Record()), "event-000006") {
		t.Errorf("by event id: %v, %v", entries, err)
	}
	end, err := End(r.dir)
	if err != nil || end != at {
		t.Errorf("the end is %v, read up to %v, %v", end, at, err)
	}
}

func TestTrim(t *testing.T) {
	p := Page{Entries: []Entry{{Line: make([]byte, 600), Cursor: "a"}, {Line: make([]byte, 300), Cursor: "b"}, {Line: make([]byte, 300), Cursor: "c"}}, Next: "n"}
	for _, c := range []struct {
		limit, want int
		next        string
	}{{1200, 3, "n"}, {1000, 2, "b"}, {600, 1, "a"}, {1, 1, "a"}} {
		q := p
		q.Trim(c.limit)
		if len(q.Entries) != c.want || q.Next != c.next {
			t.Errorf("%d bytes: %d records, then %s", c.limit, len(q.Entries), q.Next)
		}
	}
}
