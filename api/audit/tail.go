package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// tailEvery is the time between looks for new records.
const tailEvery = 200 * time.Millisecond

// Tail calls deliver for every record from a position on, oldest first, then follows the log until ctx ends or deliver
// returns an error, which it returns. The zero Position is the oldest record there; [End] is the end. Only complete lines
// are delivered, changed ones too as long as their trailer can be read: Tail verifies nothing. Entry.Next is where to
// continue after a restart. What a crash of the node took back may be delivered once more with the same numbers.
//
// The entry's Line is valid until deliver returns.
func Tail(ctx context.Context, dir string, from Position, deliver func(Entry) error) error {
	t := &tail{ctx: ctx, dir: dir, at: from, deliver: deliver}
	for {
		moved, err := t.segment()
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		if err := t.pause(); err != nil {
			return err
		}
	}
}

// End returns the position after the newest complete record in dir.
func End(dir string) (Position, error) {
	names, err := dirFS{dir}.names()
	if err != nil {
		return Position{}, fmt.Errorf("audit: listing the log: %w", err)
	}
	slots := list(names).slots
	for i := len(slots) - 1; i >= 0; i-- {
		if slots[i].segment() == "" {
			continue
		}
		f, err := os.Open(filepath.Join(dir, slots[i].segment()))
		if err != nil {
			return Position{}, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return Position{}, err
		}
		end, err := lastBreak(f, info.Size())
		return Position{slots[i].number, end}, err
	}
	return Position{}, nil
}

type tail struct {
	ctx     context.Context
	dir     string
	at      Position
	deliver func(Entry) error
}

func (t *tail) pause() error {
	wait := time.NewTimer(tailEvery)
	defer wait.Stop()
	select {
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-wait.C:
		return nil
	}
}

// segment delivers what the segment at t.at still has and follows it while it is the newest. It returns true when t.at
// moved on to the next segment, false when there is nothing to read yet.
func (t *tail) segment() (moved bool, err error) {
	name, _, err := t.find()
	if err != nil || name == "" {
		return false, err
	}
	f, err := os.Open(filepath.Join(t.dir, name))
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := newLineReader(f, t.at.Offset)
	for {
		// Whether a newer segment exists is asked before the last read: the older one grew no more after that.
		_, newer, err := t.find()
		if err != nil {
			return false, err
		}
		read, err := t.drain(r)
		if err != nil {
			return false, err
		}
		if newer > 0 {
			t.at = Position{Segment: newer}
			return true, nil
		}
		if read {
			continue
		}
		if err := t.pause(); err != nil {
			return false, err
		}
		if cut, err := t.cut(f, name); cut || err != nil {
			return cut, err
		}
	}
}

// find returns the segment at t.at, or the oldest one after it, and the number of the one that follows it.
func (t *tail) find() (name string, next uint64, err error) {
	names, err := dirFS{t.dir}.names()
	if err != nil {
		return "", 0, fmt.Errorf("audit: listing the log: %w", err)
	}
	for _, s := range list(names).slots {
		switch {
		case s.segment() == "" || s.number < t.at.Segment:
		case name == "":
			name = s.segment()
			if s.number != t.at.Segment {
				t.at = Position{Segment: s.number}
			}
		default:
			return name, s.number, nil
		}
	}
	return name, 0, nil
}

// drain delivers all complete lines.
func (t *tail) drain(r *lineReader) (read bool, err error) {
	for {
		line, err := r.read()
		if errors.Is(err, io.EOF) {
			// A line that is not yet complete is read again: a recovery may cut it and write another.
			r.again()
			return read, nil
		}
		if err == nil {
			err = t.ctx.Err()
		}
		if err != nil {
			return read, err
		}
		read = true
		t.at.Offset = line.end
		if line.long {
			continue
		}
		if err := t.hand(line); err != nil {
			return read, err
		}
	}
}

// hand delivers one line if it is a record.
func (t *tail) hand(line oneLine) error {
	parsed, ok := parseLine(line.text)
	if !ok {
		return nil
	}
	var v view
	// A record that is not JSON any more is delivered with its line alone.
	_ = json.Unmarshal(line.text, &v)
	e := newEntry(line.text, &parsed, &v)
	e.Segment, e.Next = t.at.Segment, t.at
	e.Cursor = Position{t.at.Segment, line.offset}.String()
	return t.deliver(e)
}

// cut notices that a recovery took lines back, or that the file is another one, and starts again behind what is left.
func (t *tail) cut(f *os.File, name string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(filepath.Join(t.dir, name))
	if err != nil {
		return true, nil // deleted: find decides
	}
	if os.SameFile(held, named) && named.Size() >= t.at.Offset {
		return false, nil
	}
	t.at.Offset = min(t.at.Offset, named.Size())
	return true, nil
}
