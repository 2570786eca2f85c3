package fsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/hashicorp/raft"
)

// ErrSnapshot reports a snapshot stream that is damaged, cut off or of an unknown version. Nothing was taken over.
var ErrSnapshot = errors.New("fsm: unreadable snapshot: take it again from a healthy node")

// The stream of a snapshot, version 1. Integers are big-endian.
//
//	magic "TRENTSNAP", 1 byte version
//	4 bytes length, header (CBOR)
//	for each section, in ascending order of its number:
//	    1 byte number
//	    for each row, in ascending order of its primary key: 4 bytes length (not 0), row (CBOR)
//	    4 bytes 0, 8 bytes number of rows
//	1 byte 0
//	32 bytes SHA-256 of everything before
const (
	snapshotMagic   = "TRENTSNAP"
	snapshotVersion = 1
	endOfSections   = 0
	maxRow          = 64 << 20 // a key with MaxMaterials of the largest size takes less than half
)

// snapshotHeader is the first item of the stream.
type snapshotHeader struct {
	Index    uint64           `cbor:"1,keyasint"`
	CfgIndex uint64           `cbor:"2,keyasint"`
	Servers  []snapshotServer `cbor:"3,keyasint"`
	Now      int64            `cbor:"4,keyasint"`
}

// snapshotServer is raft.Server with numbers of our own.
type snapshotServer struct {
	Suffrage uint8  `cbor:"1,keyasint"`
	ID       string `cbor:"2,keyasint"`
	Address  string `cbor:"3,keyasint"`
}

func headerOf(s *State) snapshotHeader {
	h := snapshotHeader{Index: s.index, CfgIndex: s.cfgIndex, Now: s.now}
	for _, server := range s.cfg.Servers {
		h.Servers = append(h.Servers, snapshotServer{uint8(server.Suffrage), string(server.ID), string(server.Address)})
	}
	return h
}

func (h *snapshotHeader) configuration() (cfg raft.Configuration) {
	for _, s := range h.Servers {
		cfg.Servers = append(cfg.Servers, raft.Server{
			Suffrage: raft.ServerSuffrage(s.Suffrage), ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
	}
	return cfg
}

// WriteSnapshot writes the snapshot of a state. Equal states give equal bytes.
func WriteSnapshot(w io.Writer, s *State) error {
	digest := sha256.New()
	if err := writeSections(io.MultiWriter(w, digest), s); err != nil {
		return err
	}
	_, err := w.Write(digest.Sum(nil))
	return err
}

// writeSections writes everything before the digest.
func writeSections(w io.Writer, s *State) error {
	sw := &streamWriter{w: bufio.NewWriterSize(w, 64<<10)}
	sw.bytes([]byte(snapshotMagic))
	sw.bytes([]byte{snapshotVersion})
	header := headerOf(s)
	sw.item(&header)
	for _, section := range sections() {
		rows := uint64(0)
		if !section.later {
			sw.bytes([]byte{section.number})
		}
		section.rows(s, func(row any) bool {
			if rows++; section.later && rows == 1 {
				sw.bytes([]byte{section.number})
			}
			sw.item(row)
			return sw.err == nil
		})
		if rows > 0 || !section.later {
			sw.bytes(binary.BigEndian.AppendUint64(make([]byte, 4, 12), rows))
		}
	}
	sw.bytes([]byte{endOfSections})
	return sw.flush()
}

// streamWriter remembers the first error.
type streamWriter struct {
	w   *bufio.Writer
	buf bytes.Buffer
	err error
}

func (sw *streamWriter) bytes(b []byte) {
	if sw.err == nil {
		_, sw.err = sw.w.Write(b)
	}
}

// item writes a length and the CBOR encoding of v.
func (sw *streamWriter) item(v any) {
	if sw.err != nil {
		return
	}
	sw.buf.Reset()
	sw.buf.Write([]byte{0, 0, 0, 0})
	if sw.err = marshalTo(&sw.buf, v); sw.err != nil {
		return
	}
	n := sw.buf.Len() - 4
	if n > maxRow {
		sw.err = fmt.Errorf("fsm: row of %d bytes, at most %d are read back", n, maxRow)
		return
	}
	binary.BigEndian.PutUint32(sw.buf.Bytes(), uint32(n))
	sw.bytes(sw.buf.Bytes())
}

func (sw *streamWriter) flush() error {
	if sw.err != nil {
		return sw.err
	}
	return sw.w.Flush()
}

// streamReader reads the parts of a stream and digests what it reads.
type streamReader struct {
	r      *bufio.Reader
	digest hash.Hash
	buf    bytes.Buffer // the last item; reused
}

func newStreamReader(r io.Reader) *streamReader {
	return &streamReader{r: bufio.NewReaderSize(r, 64<<10), digest: sha256.New()}
}

// fixed fills b.
func (sr *streamReader) fixed(b []byte) error {
	if _, err := io.ReadFull(sr.r, b); err != nil {
		return cutOff(err)
	}
	sr.digest.Write(b)
	return nil
}

func (sr *streamReader) byte() (byte, error) {
	var b [1]byte
	err := sr.fixed(b[:])
	return b[0], err
}

// item returns the next item, valid until the next call, or nil at the end of a section. Memory grows with what is
// there, not with what the length promises.
func (sr *streamReader) item() ([]byte, error) {
	var length [4]byte
	if err := sr.fixed(length[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n == 0 {
		return nil, nil
	}
	if n > maxRow {
		return nil, fmt.Errorf("row of %d bytes", n)
	}
	sr.buf.Reset()
	if _, err := io.CopyN(&sr.buf, sr.r, n); err != nil {
		return nil, cutOff(err)
	}
	sr.digest.Write(sr.buf.Bytes())
	return sr.buf.Bytes(), nil
}

func (sr *streamReader) count() (uint64, error) {
	var b [8]byte
	err := sr.fixed(b[:])
	return binary.BigEndian.Uint64(b[:]), err
}

// end compares the digest and wants nothing behind it.
func (sr *streamReader) end() error {
	want := sr.digest.Sum(nil)
	var got [sha256.Size]byte
	if _, err := io.ReadFull(sr.r, got[:]); err != nil {
		return cutOff(err)
	}
	if !bytes.Equal(got[:], want) {
		return errors.New("digest does not match")
	}
	if _, err := sr.r.ReadByte(); err != io.EOF {
		return errors.New("data behind the digest")
	}
	return nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("cut off")
	}
	return err
}
