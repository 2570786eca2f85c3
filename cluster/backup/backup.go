// Package backup is the file format of a region's snapshots: a header in the clear that says what the file is and what it takes
// to open it, the encrypted state, and a digest by which anybody can tell that the file is whole.
//
//	magic "TRENTBAK", 1 byte version (1)
//	4 bytes length, header (CBOR)
//	2 bytes length, file key sealed under the domain key version that the header names
//	chunks: 4 bytes length; nonce (12), ciphertext, tag (16): AES-256-GCM under the file key, 64 KiB of plaintext but for the last
//	4 bytes 0
//	32 bytes SHA-256 of everything before
//
// Integers are big-endian. A chunk's additional data is the SHA-256 of everything before the sealed key, the chunk's number (8 bytes)
// and 1 for the last chunk, 0 otherwise (1 byte). The file key is bound to the same SHA-256. What the chunks hold is a snapshot of
// package fsm.
package backup

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/fxamacker/cbor/v2"
)

const (
	magic     = "TRENTBAK"
	version   = 1
	chunkSize = 64 << 10
	overhead  = 12 + 16
	maxHeader = 16 << 20
	maxSealed = 4 << 10
	// KeySize is the size of a file key, in bytes.
	KeySize = 32
)

// ErrFile reports a file that is none of this format, damaged or cut off.
var ErrFile = errors.New("backup: unreadable file")

// Header is what a file says of itself in the clear.
type Header struct {
	Region    string `cbor:"1,keyasint"`
	Partition string `cbor:"2,keyasint"`
	ClusterID string `cbor:"3,keyasint"`
	Index     uint64 `cbor:"4,keyasint"`
	// RegionTime is region time of the state, CreatedAt the time at which the file was written; milliseconds since the Unix epoch.
	RegionTime int64  `cbor:"5,keyasint"`
	CreatedAt  int64  `cbor:"6,keyasint"`
	Program    string `cbor:"7,keyasint"` // version of the program that wrote it
	// SealedUnder is the domain key version that the file key is sealed under.
	SealedUnder uint32      `cbor:"8,keyasint"`
	DomainKeys  []DomainKey `cbor:"9,keyasint"`
}

// DomainKey is one domain key version that the state needs.
type DomainKey struct {
	Version uint32    `cbor:"1,keyasint"`
	ID      string    `cbor:"2,keyasint"` // hsm.DomainID
	Probe   []byte    `cbor:"3,keyasint"`
	Wrapped []Wrapped `cbor:"4,keyasint,omitempty"`
}

// Wrapped is a domain key version wrapped for a node's HSM or a recovery key.
type Wrapped struct {
	Name   string `cbor:"1,keyasint"`
	Public []byte `cbor:"2,keyasint"` // SHA-256 of the SubjectPublicKeyInfo that it is wrapped for
	Blob   []byte `cbor:"3,keyasint"`
}

// SealFunc seals a file key under the domain key version SealedUnder, bound to binding; OpenFunc opens it again.
type (
	SealFunc func(binding, key []byte) ([]byte, error)
	OpenFunc func(h *Header, binding, sealed []byte) ([]byte, error)
)

// Write writes a file whose state is what body writes. key is a random file key; the caller wipes it.
func Write(w io.Writer, h *Header, key []byte, seal SealFunc, body func(io.Writer) error) error {
	text, err := cbor.Marshal(h)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if len(text) > maxHeader {
		return fmt.Errorf("backup: header of %d bytes", len(text))
	}
	head := append([]byte(magic), version)
	head = append(binary.BigEndian.AppendUint32(head, uint32(len(text))), text...)
	binding := sha256.Sum256(head)
	sealed, err := seal(binding[:], key)
	if err != nil {
		return fmt.Errorf("backup: seal the file key: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	digest := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest), chunkSize)
	_, _ = out.Write(head) // bufio keeps the error
	_, _ = out.Write(binary.BigEndian.AppendUint16(nil, uint16(len(sealed))))
	_, _ = out.Write(sealed)
	c := &chunkWriter{out: out, aead: aead, binding: binding[:]}
	if err := body(c); err != nil {
		return err
	}
	if err := c.flush(true); err != nil {
		return err
	}
	_, _ = out.Write(make([]byte, 4))
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = w.Write(digest.Sum(nil))
	return err
}

// newAEAD draws its nonces itself, as FIPS 140 wants it.
func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("backup: file key of %d bytes", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

type chunkWriter struct {
	out     io.Writer
	aead    cipher.AEAD
	binding []byte
	number  uint64
	buf     []byte
}

// Write implements io.Writer. A full chunk waits until it is known not to be the last one.
func (c *chunkWriter) Write(p []byte) (n int, err error) {
	n = len(p)
	for len(p) > 0 {
		if len(c.buf) == chunkSize {
			if err := c.flush(false); err != nil {
				return 0, err
			}
		}
		k := min(chunkSize-len(c.buf), len(p))
		c.buf, p = append(c.buf, p[:k]...), p[k:]
	}
	return n, nil
}

func (c *chunkWriter) flush(last bool) error {
	chunk := c.aead.Seal(make([]byte, 4, 4+overhead+len(c.buf)), nil, c.buf, chunkData(c.binding, c.number, last))
	binary.BigEndian.PutUint32(chunk, uint32(len(chunk)-4))
	c.number++
	clear(c.buf)
	c.buf = c.buf[:0]
	_, err := c.out.Write(chunk)
	return err
}

func chunkData(binding []byte, number uint64, last bool) []byte {
	b := binary.BigEndian.AppendUint64(bytes.Clone(binding), number)
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// File is a file whose header was read.
type File struct {
	Header  Header
	r       *bufio.Reader
	digest  hash.Hash
	binding [sha256.Size]byte
	sealed  []byte
}

// Open reads the parts in the clear. Errors are ErrFile. The header is authenticated once Read has opened the file key.
func Open(r io.Reader) (*File, error) {
	f := &File{r: bufio.NewReaderSize(r, chunkSize), digest: sha256.New()}
	if err := f.header(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return f, nil
}

// take reads n bytes; memory grows with what is there.
func (f *File) take(n int64) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f.r, n); err != nil {
		return nil, errors.New("cut off")
	}
	f.digest.Write(b.Bytes())
	return b.Bytes(), nil
}

func (f *File) header() error {
	start, err := f.take(int64(len(magic)) + 1 + 4)
	if err != nil {
		return err
	}
	if string(start[:len(magic)]) != magic {
		return errors.New("not a snapshot of a region")
	}
	if v := start[len(magic)]; v != version {
		return fmt.Errorf("unknown version %d", v)
	}
	n := binary.BigEndian.Uint32(start[len(magic)+1:])
	if n > maxHeader {
		return fmt.Errorf("header of %d bytes", n)
	}
	text, err := f.take(int64(n))
	if err != nil {
		return err
	}
	f.digest.Sum(f.binding[:0])
	if err := cbor.Unmarshal(text, &f.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	size, err := f.take(2)
	if err != nil {
		return err
	}
	if k := binary.BigEndian.Uint16(size); k > maxSealed {
		return fmt.Errorf("sealed key of %d bytes", k)
	} else if f.sealed, err = f.take(int64(k)); err != nil {
		return err
	}
	return nil
}

// SealedKey returns the sealed file key and what it is bound to.
func (f *File) SealedKey() (binding, sealed []byte) { return f.binding[:], f.sealed }

// Check reads the rest of the file and compares its digest. It needs no key, and tells damage, not forgery.
func (f *File) Check() error {
	for {
		chunk, err := f.chunk()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFile, err)
		}
		if chunk == nil {
			return nil
		}
	}
}

// chunk returns the next chunk, nil at the end, once the digest was compared.
func (f *File) chunk() ([]byte, error) {
	size, err := f.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	switch {
	case n == 0:
		return nil, f.end()
	case n < overhead || n > chunkSize+overhead:
		return nil, fmt.Errorf("chunk of %d bytes", n)
	}
	return f.take(int64(n))
}

func (f *File) end() error {
	want := f.digest.Sum(nil)
	got, err := f.take(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("the digest does not match")
	}
	if _, err := f.r.ReadByte(); err != io.EOF {
		return errors.New("data behind the digest")
	}
	return nil
}

// Body returns the decrypted state, of which nothing may be used before it was read to its end without an error: only then is it
// known to be whole. Errors of reading are ErrFile.
func (f *File) Body(key []byte) (io.Reader, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	next, err := f.chunk()
	if err == nil && next == nil {
		err = errors.New("no state")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return &chunkReader{f: f, aead: aead, next: next}, nil
}

type chunkReader struct {
	f      *File
	aead   cipher.AEAD
	number uint64
	next   []byte // the chunk after the one in buf; nil after the last
	buf    []byte
	err    error
}

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.buf) == 0 {
		if c.err == nil {
			c.err = c.advance()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.buf)
	clear(c.buf[:n])
	c.buf = c.buf[n:]
	return n, nil
}

func (c *chunkReader) advance() error {
	if c.next == nil {
		return io.EOF
	}
	chunk := c.next
	var err error
	if c.next, err = c.f.chunk(); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	c.buf, err = c.aead.Open(chunk[:0], nil, chunk, chunkData(c.f.binding[:], c.number, c.next == nil))
	c.number++
	if err != nil {
		return fmt.Errorf("%w: a chunk does not decrypt: forged, or another key", ErrFile)
	}
	return nil
}
