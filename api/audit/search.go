package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Position is a place between two lines of a log.
type Position struct {
	Segment uint64
	Offset  int64 // in bytes
}

// String returns the position's text, "12.34567".
func (p Position) String() string { return fmt.Sprintf("%d.%d", p.Segment, p.Offset) }

// ParsePosition reads what [Position.String] prints.
func ParsePosition(s string) (Position, error) {
	segment, offset, _ := strings.Cut(s, ".")
	n, err1 := strconv.ParseUint(segment, 10, 64)
	off, err2 := strconv.ParseInt(offset, 10, 64)
	p := Position{n, off}
	if err1 != nil || err2 != nil || off < 0 || p.String() != s {
		return Position{}, fmt.Errorf("audit: %q is not a position in the log", s)
	}
	return p, nil
}

// CursorEnd is the cursor behind the oldest record: a search from there finds nothing.
const CursorEnd = "end"

// Page is one answer of [Search].
type Page struct {
	Entries []Entry
	// Next goes on where the page ends; "" if nothing is left.
	Next string
	// From is the cursor that the page began with, for Merge.
	From string
	// Read are the bytes of segments that were read.
	Read int64
}

// Search returns the records that f selects, newest first in the order of the log (which is not exactly that of their
// eventTime, spec 03 AUD-16), a record with an eventID that the page already has left out. Memory is bounded by the page
// and one line. It reads the directory of a running node or a copy, and verifies nothing.
func Search(ctx context.Context, dir string, f Filter) (Page, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	s := &searcher{ctx: ctx, dir: dir, f: f, m: newMatcher(f), seen: make(map[string]bool)}
	s.page.From = f.Cursor
	if f.Cursor == CursorEnd {
		return s.page, nil
	}
	from := Position{Segment: ^uint64(0)}
	if f.Cursor != "" {
		var err error
		if from, err = ParsePosition(f.Cursor); err != nil {
			return Page{}, err
		}
	}
	names, err := dirFS{dir}.names()
	if err != nil {
		return Page{}, fmt.Errorf("audit: listing the log: %w", err)
	}
	slots := list(names).slots
	for _, slot := range slices.Backward(slots) {
		if slot.number > from.Segment || slot.segment() == "" {
			continue
		}
		end := int64(-1)
		if slot.number == from.Segment {
			end = from.Offset
		}
		done, err := s.segment(slot, end)
		if err != nil {
			return Page{}, fmt.Errorf("audit: searching %s: %w", slot.segment(), err)
		}
		if done {
			return s.page, nil
		}
	}
	return s.page, nil
}

// searcher is a search under way.
type searcher struct {
	ctx  context.Context
	dir  string
	f    Filter
	m    *matcher
	seen map[string]bool // eventIDs in the page
	page Page
}

// segment searches one segment backwards from end (-1: its end). It returns true when the page is complete.
func (s *searcher) segment(slot slot, end int64) (bool, error) {
	if s.skips(slot) {
		return false, nil
	}
	f, err := os.Open(filepath.Join(s.dir, slot.segment()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // archived meanwhile
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if end < 0 || end > info.Size() {
		end = info.Size()
	}
	if end, err = lastBreak(f, end); err != nil {
		return false, err
	}
	r := newBackReader(f, end)
	for {
		line, err := r.read()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err == nil {
			err = s.ctx.Err()
		}
		if err != nil {
			return false, err
		}
		if s.line(slot.number, line) {
			return true, nil
		}
	}
}

// line takes one line and returns true when the page is complete.
func (s *searcher) line(number uint64, line oneLine) bool {
	at := Position{number, line.offset}
	s.page.Read += line.end - line.offset
	if !line.long {
		if e, ok := s.m.match(line.text); ok && !s.seen[e.EventID] {
			if e.EventID != "" {
				s.seen[e.EventID] = true
			}
			e.Segment, e.Cursor, e.Next = number, at.String(), Position{number, line.end}
			s.page.Entries = append(s.page.Entries, e)
		}
	}
	if len(s.page.Entries) >= s.f.Limit || s.f.Budget > 0 && s.page.Read >= s.f.Budget {
		s.page.Next = at.String()
		return true
	}
	return false
}

// skips tells from the head of a closed segment that no record in it can have the wanted time.
func (s *searcher) skips(slot slot) bool {
	if s.f.From.IsZero() && s.f.To.IsZero() || slot.head() == "" {
		return false
	}
	data, err := dirFS{s.dir}.read(slot.head(), maxHead+1)
	if err != nil {
		return false
	}
	h, err := ParseHead(data)
	if err != nil || h.Segment != slot.number {
		return false
	}
	if h.FirstTime == "" {
		return true
	}
	from, to := s.f.From.UTC().Format(eventTimeLayout), s.f.To.UTC().Format(eventTimeLayout)
	return !s.f.From.IsZero() && h.LastTime < from || !s.f.To.IsZero() && h.FirstTime > to
}

// Merge joins the pages of several nodes into one of at most limit records, newest eventTime first; copies of one record
// (one eventID) become one. next holds for each page the cursor with which to ask its node for what comes after.
// A copy may still come again on a later page where nodes wrote their records in another order; readers go by eventID.
func Merge(limit int, pages []Page) (entries []Entry, next []string) {
	taken := make([]int, len(pages))
	seen := make(map[string]bool)
	for len(entries) < limit {
		best := -1
		for i, p := range pages {
			if taken[i] < len(p.Entries) && (best < 0 || newer(&p.Entries[taken[i]], &pages[best].Entries[taken[best]])) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		e := pages[best].Entries[taken[best]]
		taken[best]++
		if e.EventID != "" && seen[e.EventID] {
			continue
		}
		seen[e.EventID] = true
		entries = append(entries, e)
	}
	for i, p := range pages {
		// Copies of what is in the page need not be asked for again.
		for taken[i] < len(p.Entries) && seen[p.Entries[taken[i]].EventID] {
			taken[i]++
		}
		next = append(next, cursorAfter(p, taken[i]))
	}
	return entries, next
}

func newer(a, b *Entry) bool {
	return cmp.Or(b.EventTime.Compare(a.EventTime), strings.Compare(a.EventID, b.EventID)) < 0
}

// cursorAfter is the cursor behind the first n entries of a page.
func cursorAfter(p Page, n int) string {
	switch {
	case n == len(p.Entries) && p.Next == "":
		return CursorEnd
	case n == len(p.Entries):
		return p.Next
	case n == 0:
		return p.From
	}
	return p.Entries[n-1].Cursor
}
