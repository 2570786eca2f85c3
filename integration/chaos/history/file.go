package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Writer appends operations to a file, one JSON object a line, so that a run that dies leaves what it knew. It also
// keeps them. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	f   *os.File
	buf *bufio.Writer
	ops []Op
	err error // the first failure to write
}

// Create makes the file of a run.
func Create(path string) (*Writer, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Writer{f: f, buf: bufio.NewWriterSize(f, 1<<16)}, nil
}

// Add appends one operation.
func (w *Writer) Add(op Op) {
	line, err := json.Marshal(op)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops = append(w.ops, op)
	if err == nil {
		_, err = w.buf.Write(append(line, '\n'))
	}
	if w.err == nil {
		w.err = err
	}
}

// Ops returns the operations so far; the slice is the caller's.
func (w *Writer) Ops() []Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Op(nil), w.ops...)
}

// Close completes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.buf.Flush(), w.f.Close())
}

// Read reads what a Writer wrote. A last line that a crash has cut short is left out.
func Read(path string) ([]Op, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var ops []Op
	for d := json.NewDecoder(bufio.NewReaderSize(f, 1<<16)); ; {
		var op Op
		switch err := d.Decode(&op); {
		case err == nil:
			ops = append(ops, op)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return ops, nil
		default:
			return nil, fmt.Errorf("%s: operation %d: %w", path, len(ops)+1, err)
		}
	}
}
