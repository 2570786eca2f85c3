package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
)

// MaxCommandSize is the largest encoded command, in bytes: what raft recommends as the largest entry.
const MaxCommandSize = 512 << 10

// Bounds of an envelope's parts.
const (
	maxReads = 256
	maxAudit = 256 << 10 // design: records are cut at 256 KiB
)

// The envelope of a command. Integers are big-endian.
//
//	 0  3  magic "TRC"
//	 3  1  version of the envelope: 1, or 2 for a command that settles its call; the layout is the same
//	 4  2  kind
//	 6  2  attempt
//	 8 16  command id
//	24 16  signature
//	40  8  time, milliseconds
//	48  4  length of the read set (0 = none)
//	52  4  length of the body
//	56  4  length of the audit record (0 = none)
//	60     read set (CBOR array of Read), body (CBOR map), audit record
//	end 4  CRC-32C of everything before
const (
	magic            = "TRC"
	envelopeVersion  = 1
	settlingEnvelope = 2
	offKind          = 4
	offAttempt       = 6
	offID            = 8
	offSignature     = 24
	offTime          = 40
	offLengths       = 48
	headerSize       = 60
	trailerSize      = 4
)

// Errors of Encode and Decode.
var (
	// ErrUnreadable reports an encoded command that this version cannot read: damaged, of an unknown envelope
	// version, kind or document, or with an unknown field. A committed one stops the FSM.
	ErrUnreadable = errors.New("fsm: unreadable command: if this node runs an older version than the others, upgrade it; otherwise restore it from a healthy node")
	// ErrInvalid reports a command that no node would apply or that is too large to be proposed. Nothing was proposed.
	ErrInvalid = errors.New("fsm: invalid command")
)

// Encode returns the log entry of a command, at most MaxCommandSize bytes, or an ErrInvalid. Whatever it returns, Decode
// reads back. Attempt is brought into 1..65535. It is safe for concurrent use and keeps no reference to c.
func Encode(c Command) ([]byte, error) {
	row, body, err := checkCommand(&c)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	buf.Grow(headerSize + trailerSize + len(c.Audit) + 96*len(c.Reads) + row.sizeOf(body))
	buf.Write(make([]byte, headerSize))
	var reads, bodySize int
	if len(c.Reads) > 0 {
		if err := marshalTo(&buf, c.Reads); err != nil {
			return nil, fmt.Errorf("%w: read set: %v", ErrInvalid, err)
		}
		reads = buf.Len() - headerSize
	}
	if err := marshalTo(&buf, body); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, row.name, err)
	}
	bodySize = buf.Len() - headerSize - reads
	if err := wellFormed(buf.Bytes()[headerSize+reads:]); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, row.name, err)
	}
	buf.Write(c.Audit)
	putHeader(buf.Bytes(), &c, row.kind, reads, bodySize)
	if buf.Len()+trailerSize > MaxCommandSize {
		return nil, fmt.Errorf("%w: %s takes %d bytes, at most %d fit into the log: propose less at once",
			ErrInvalid, row.name, buf.Len()+trailerSize, MaxCommandSize)
	}
	return binary.BigEndian.AppendUint32(buf.Bytes(), crc32.Checksum(buf.Bytes(), castagnoli())), nil
}

// checkCommand finds the row of a command that is about to be proposed and checks what does not depend on the state.
func checkCommand(c *Command) (*commandRow, Body, error) {
	if c.Body == nil {
		return nil, nil, fmt.Errorf("%w: no body", ErrInvalid)
	}
	if v := reflect.ValueOf(c.Body); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, nil, fmt.Errorf("%w: nil body", ErrInvalid)
	}
	row := rowOf(c.Body.Kind())
	if row == nil {
		return nil, nil, fmt.Errorf("%w: unknown kind %d", ErrInvalid, c.Body.Kind())
	}
	body, ok := row.pointer(c.Body)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %T is not the body of kind %d", ErrInvalid, c.Body, row.kind)
	}
	if err := row.check(body); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %v", ErrInvalid, row.name, err)
	}
	switch {
	case c.Time < 0:
		return nil, nil, fmt.Errorf("%w: negative time", ErrInvalid)
	case len(c.Audit) > maxAudit:
		return nil, nil, fmt.Errorf("%w: audit record of %d bytes, at most %d", ErrInvalid, len(c.Audit), maxAudit)
	}
	if err := checkReads(c.Reads); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	return row, body, nil
}

func checkReads(reads []Read) error {
	if len(reads) > maxReads {
		return fmt.Errorf("%d documents in the read set, at most %d", len(reads), maxReads)
	}
	for i := range reads {
		if reads[i].Doc < DocKeyPolicy || reads[i].Doc > lastDoc {
			return fmt.Errorf("unknown document %d in the read set", reads[i].Doc)
		}
	}
	return nil
}

func putHeader(h []byte, c *Command, kind Kind, reads, body int) {
	copy(h, magic)
	h[len(magic)] = envelopeVersion
	if c.Settles {
		h[len(magic)] = settlingEnvelope
	}
	binary.BigEndian.PutUint16(h[offKind:], uint16(kind))
	binary.BigEndian.PutUint16(h[offAttempt:], uint16(min(max(c.Attempt, 1), 0xffff)))
	copy(h[offID:], c.ID[:])
	copy(h[offSignature:], c.Signature[:])
	binary.BigEndian.PutUint64(h[offTime:], uint64(c.Time))
	binary.BigEndian.PutUint32(h[offLengths:], uint32(reads))
	binary.BigEndian.PutUint32(h[offLengths+4:], uint32(body))
	binary.BigEndian.PutUint32(h[offLengths+8:], uint32(len(c.Audit)))
}

// Decode reads a log entry. Body comes back as a pointer to one of the bodies of this package. Audit shares memory with
// data, everything else is a copy. Every error is an ErrUnreadable; nothing is returned beside it.
func Decode(data []byte) (Command, error) {
	c, _, err := decode(data)
	return c, err
}

func decode(data []byte) (Command, *commandRow, error) {
	c, row, err := decodeEnvelope(data)
	if err != nil {
		return Command{}, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return c, row, nil
}

func decodeEnvelope(data []byte) (Command, *commandRow, error) {
	if len(data) < headerSize+trailerSize || len(data) > MaxCommandSize {
		return Command{}, nil, fmt.Errorf("%d bytes", len(data))
	}
	if string(data[:len(magic)]) != magic {
		return Command{}, nil, errors.New("bad magic")
	}
	version := data[len(magic)]
	if version != envelopeVersion && version != settlingEnvelope {
		return Command{}, nil, fmt.Errorf("unknown envelope version %d", version)
	}
	end := len(data) - trailerSize
	if crc32.Checksum(data[:end], castagnoli()) != binary.BigEndian.Uint32(data[end:]) {
		return Command{}, nil, errors.New("checksum does not match")
	}
	row := rowOf(Kind(binary.BigEndian.Uint16(data[offKind:])))
	if row == nil {
		return Command{}, nil, fmt.Errorf("unknown kind %d", binary.BigEndian.Uint16(data[offKind:]))
	}
	reads, body, audit, err := split(data[:end])
	if err != nil {
		return Command{}, nil, err
	}
	c := Command{
		ID:        CommandID(data[offID:offSignature]),
		Attempt:   int(binary.BigEndian.Uint16(data[offAttempt:])),
		Settles:   version == settlingEnvelope,
		Signature: [16]byte(data[offSignature:offTime]),
		Time:      int64(binary.BigEndian.Uint64(data[offTime:])),
		Audit:     audit,
	}
	if c.Time < 0 {
		return Command{}, nil, errors.New("negative time")
	}
	if len(reads) > 0 {
		if err := unmarshal(reads, &c.Reads); err != nil {
			return Command{}, nil, fmt.Errorf("read set: %w", err)
		}
		if err := checkReads(c.Reads); err != nil {
			return Command{}, nil, err
		}
	}
	if c.Body, err = row.decode(body); err != nil {
		return Command{}, nil, fmt.Errorf("%s: %w", row.name, err)
	}
	return c, row, nil
}

// split cuts what lies between header and trailer into its three parts.
func split(data []byte) (reads, body, audit []byte, err error) {
	nReads := uint64(binary.BigEndian.Uint32(data[offLengths:]))
	nBody := uint64(binary.BigEndian.Uint32(data[offLengths+4:]))
	nAudit := uint64(binary.BigEndian.Uint32(data[offLengths+8:]))
	rest := data[headerSize:]
	if nReads+nBody+nAudit != uint64(len(rest)) {
		return nil, nil, nil, errors.New("lengths do not add up")
	}
	reads, body, audit = rest[:nReads:nReads], rest[nReads:nReads+nBody], rest[nReads+nBody:]
	if len(audit) == 0 {
		audit = nil
	}
	return reads, body, audit, nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
