package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// errEnough ends a reading at its budget.
var errEnough = errors.New("audit: enough")

// After returns the records from a position on that f selects, oldest first, and the position behind them, without waiting for more. It
// stops once the records make up budget bytes. Limit, Cursor and Budget of the filter do not count. The zero Position is the oldest
// record there, [End] the end. Like [Tail] it verifies nothing.
func After(ctx context.Context, dir string, from Position, f Filter, budget int64) ([]Entry, Position, error) {
	var found []Entry
	m := newMatcher(f)
	t := &tail{ctx: ctx, dir: dir, at: from}
	t.deliver = func(e Entry) error {
		if match, ok := m.match(e.Line); ok {
			match.Segment, match.Cursor, match.Next = e.Segment, e.Cursor, e.Next
			match.Line = append([]byte(nil), e.Line...)
			found = append(found, match)
			if budget -= int64(len(match.Line)); budget <= 0 {
				return errEnough
			}
		}
		return nil
	}
	for {
		more, err := t.rest()
		if errors.Is(err, errEnough) {
			err, more = nil, false
		}
		if err != nil || !more {
			return found, t.at, err
		}
	}
}

// rest delivers what the segment at t.at has now; more tells that there is a next one, to which t.at has moved.
func (t *tail) rest() (more bool, err error) {
	name, next, err := t.find()
	if err != nil || name == "" {
		return false, err
	}
	f, err := os.Open(filepath.Join(t.dir, name))
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() < t.at.Offset {
		t.at.Offset = info.Size() // a recovery took lines back
	}
	if _, err := t.drain(newLineReader(f, t.at.Offset)); err != nil || next == 0 {
		return false, err
	}
	t.at = Position{Segment: next}
	return true, nil
}

// Trim shortens a page to records of at most limit bytes in all, but never to nothing; its Next then goes on behind them.
func (p *Page) Trim(limit int) {
	for i := range p.Entries {
		if limit -= len(p.Entries[i].Line); limit < 0 && i > 0 {
			p.Next = cursorAfter(*p, i)
			p.Entries = p.Entries[:i]
			return
		}
	}
}
