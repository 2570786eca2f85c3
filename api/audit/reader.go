package audit

import (
	"bytes"
	"errors"
	"io"
)

// lineReader reads the lines of a segment from an offset on, with bounded memory.
type lineReader struct {
	src  io.ReaderAt
	next int64 // offset of the next read
	buf  []byte
	from int   // start of the unread bytes in buf
	pos  int64 // offset of buf[from]
	line int   // lines delivered
}

// oneLine is what lineReader and backReader deliver. text points into the reader and is valid until its next call.
type oneLine struct {
	text   []byte // without line break
	offset int64  // of its first byte
	end    int64  // after its line break
	number int    // from 1 at the reader's start; 0 from a backReader
	// long: longer than any line of ours; text is only its beginning.
	long bool
	// partial: without a line break at the end of the file.
	partial bool
}

const readChunk = 256 << 10

func newLineReader(src io.ReaderAt, offset int64) *lineReader {
	return &lineReader{src: src, next: offset, pos: offset, buf: make([]byte, 0, readChunk)}
}

// read returns the next line, io.EOF after the last. A later call tries again, so that a growing file can be followed.
func (r *lineReader) read() (oneLine, error) {
	searched := 0
	for {
		rest := r.buf[r.from:]
		if i := bytes.IndexByte(rest[searched:], '\n'); i >= 0 {
			return r.deliver(searched+i, 1), nil
		}
		if len(rest) > maxLine {
			return r.skip()
		}
		searched = len(rest)
		err := r.fill()
		if errors.Is(err, io.EOF) {
			return oneLine{}, io.EOF
		}
		if err != nil {
			return oneLine{}, err
		}
	}
}

// rest returns what stands after the last line break. Call it after io.EOF.
func (r *lineReader) rest() oneLine {
	text := r.buf[r.from:]
	return oneLine{text: text, offset: r.pos, end: r.pos + int64(len(text)), number: r.line + 1, partial: true}
}

// again forgets what was read of an incomplete line, so that the next read looks at the file.
func (r *lineReader) again() {
	r.buf, r.from, r.next = r.buf[:0], 0, r.pos
}

func (r *lineReader) deliver(n, skip int) oneLine {
	r.line++
	l := oneLine{text: r.buf[r.from : r.from+n], offset: r.pos, end: r.pos + int64(n+skip), number: r.line}
	r.from += n + skip
	r.pos = l.end
	return l
}

// skip passes over a line that is too long. What it returns as text is the beginning.
func (r *lineReader) skip() (oneLine, error) {
	r.line++
	l := oneLine{text: bytes.Clone(r.buf[r.from : r.from+maxLine]), offset: r.pos, number: r.line, long: true}
	for {
		rest := r.buf[r.from:]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			r.from += i + 1
			r.pos += int64(i + 1)
			l.end = r.pos
			return l, nil
		}
		r.pos += int64(len(rest))
		r.from = len(r.buf)
		if err := r.fill(); err != nil {
			l.end, l.partial = r.pos, true
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return l, err
		}
	}
}

// fill reads more behind the unread bytes.
func (r *lineReader) fill() error {
	rest := copy(r.buf[:cap(r.buf)], r.buf[r.from:])
	r.buf, r.from = r.buf[:rest], 0
	if cap(r.buf)-rest < readChunk/2 {
		grown := make([]byte, rest, 2*cap(r.buf))
		copy(grown, r.buf)
		r.buf = grown
	}
	n, err := r.src.ReadAt(r.buf[rest:cap(r.buf)], r.next)
	r.buf = r.buf[:rest+n]
	r.next += int64(n)
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// backReader reads the lines of a segment from an offset towards the start.
type backReader struct {
	src io.ReaderAt
	pos int64 // offset of buf[0]
	buf []byte
}

// newBackReader reads the lines that end at or before end, which has to follow a line break; see lastBreak.
func newBackReader(src io.ReaderAt, end int64) *backReader { return &backReader{src: src, pos: end} }

// read returns the line before the one it returned last, io.EOF before the first.
func (r *backReader) read() (oneLine, error) {
	for {
		if n := len(r.buf); n > 0 {
			// The last byte of buf is the line break that ends the line.
			if i := bytes.LastIndexByte(r.buf[:n-1], '\n'); i >= 0 || r.pos == 0 {
				l := oneLine{text: r.buf[i+1 : n-1], offset: r.pos + int64(i+1), end: r.pos + int64(n)}
				l.long = len(l.text) > maxLine
				r.buf = r.buf[:i+1]
				return l, nil
			}
			if n > maxLine+1 {
				return r.skip()
			}
		}
		if r.pos == 0 {
			return oneLine{}, io.EOF
		}
		if err := r.fill(); err != nil {
			return oneLine{}, err
		}
	}
}

// skip goes to the start of a line that is too long, keeping none of it.
func (r *backReader) skip() (oneLine, error) {
	l := oneLine{end: r.pos + int64(len(r.buf)), long: true}
	for {
		if i := bytes.LastIndexByte(r.buf[:max(0, len(r.buf)-1)], '\n'); i >= 0 {
			r.buf = r.buf[:i+1]
			l.offset = r.pos + int64(i+1)
			return l, nil
		}
		if r.pos == 0 {
			r.buf = nil
			return l, nil
		}
		r.buf = r.buf[:min(len(r.buf), 1)]
		if err := r.fill(); err != nil {
			return l, err
		}
	}
}

// fill reads more in front of what is there.
func (r *backReader) fill() error {
	n := min(readChunk, r.pos)
	grown := make([]byte, int(n)+len(r.buf))
	if _, err := r.src.ReadAt(grown[:n], r.pos-n); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	copy(grown[n:], r.buf)
	r.buf, r.pos = grown, r.pos-n
	return nil
}

// lastBreak returns the offset after the last line break before size, 0 if there is none. A line that is being written,
// or was torn, ends there.
func lastBreak(src io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for size > 0 {
		n := min(int64(len(buf)), size)
		if _, err := src.ReadAt(buf[:n], size-n); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return size - n + int64(i+1), nil
		}
		size -= n
	}
	return 0, nil
}
