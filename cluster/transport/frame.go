package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A frame of trent-rpc/1. Integers are big-endian.
//
//	4  length of what follows
//	8  number of the request, chosen by who asks; the answer has the same
//	1  method, or in an answer the status
//	4  requests: milliseconds that the asker waits
//	   payload
const (
	frameHeader = 4 + 8 + 1 + 4
	// maxFrame bounds a frame's length: the largest command (fsm.MaxCommandSize) fits with room to spare.
	maxFrame = 1 << 20
	// maxJoin bounds a join request and its answer.
	maxJoin = 64 << 10
)

// frameFarewell is the number of a frame that answers no request: the other end says why it closes the connection. Requests are
// numbered from 1.
const frameFarewell = 0

type frame struct {
	id      uint64
	code    byte // method or status
	millis  uint32
	payload []byte
}

// encode returns the frame's bytes in one piece, so that it is one write. most bounds its length.
func (f *frame) encode(most int) ([]byte, error) {
	n := frameHeader - 4 + len(f.payload)
	if n > most {
		return nil, fmt.Errorf("transport: a message of %d bytes is too long, at most %d", n, most)
	}
	b := make([]byte, 0, 4+n)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint64(b, f.id)
	b = append(b, f.code)
	b = binary.BigEndian.AppendUint32(b, f.millis)
	return append(b, f.payload...), nil
}

// readFrame reads one frame of at most most bytes. io.EOF means that the stream ended between two frames.
func readFrame(r io.Reader, most int) (f frame, err error) {
	b, err := readBlock(r, frameHeader-4, most)
	if err != nil {
		return frame{}, err
	}
	return frame{
		id: binary.BigEndian.Uint64(b), code: b[8], millis: binary.BigEndian.Uint32(b[9:]), payload: b[13:],
	}, nil
}

// firstRead is what a block may allocate before it has arrived.
const firstRead = 16 << 10

// readBlock reads a length of four bytes and that much, growing with what arrives.
func readBlock(r io.Reader, least, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n < int64(least) || n > int64(most) {
		return nil, fmt.Errorf("transport: a block of %d bytes, %d to %d are allowed", n, least, most)
	}
	var b bytes.Buffer
	b.Grow(int(min(n, firstRead)))
	if got, err := io.CopyN(&b, r, n); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("transport: a block ended after %d of %d bytes: %w", got, n, err)
	}
	return b.Bytes(), nil
}

// writeBlock writes a length of four bytes and the block.
func writeBlock(w io.Writer, block []byte, most int) error {
	if len(block) > most {
		return fmt.Errorf("transport: a block of %d bytes is too long, at most %d", len(block), most)
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(block))), block...))
	return err
}
