package soft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// The content of a token file is a sequence of records: kind (1 byte) || len(name) (1 byte) || name || len(value)
// (2 bytes, big-endian) || value. Serial comes first, domain keys in the order of their ids. Kinds are never reused.
const (
	recordSerial    = 1 // value: the serial number
	recordLabel     = 2 // value: the label
	recordDomain    = 3 // name: the id; value: wrapping key || authentication key
	recordTransport = 4 // value: PrivateKeyInfo of the transport pair
)

var errContent = errors.New("unreadable content")

// encode returns the content of the token file. The caller clears it.
func (s *state) encode() ([]byte, error) {
	var transport []byte
	if s.transport != nil {
		transport = (&pkcs8.Key{Type: transportType, RSA: s.transport}).DER()
		defer clear(transport)
	}
	// One allocation, so that no part of a secret stays behind in an outgrown buffer.
	b := make([]byte, 0, 256+len(s.domains)*(4+64+2*hsm.DomainKeySize)+len(transport))
	b = appendRecord(b, recordSerial, "", []byte(s.serial))
	b = appendRecord(b, recordLabel, "", []byte(s.label))
	for _, id := range slices.Sorted(maps.Keys(s.domains)) {
		b = appendRecord(b, recordDomain, string(id), s.domains[id].secret[:])
	}
	if transport != nil {
		b = appendRecord(b, recordTransport, "", transport)
	}
	return b, nil
}

func appendRecord(b []byte, kind byte, name string, value []byte) []byte {
	b = append(b, kind, byte(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

type record struct {
	kind        byte
	name, value []byte
}

// nextRecord takes a record off b; its parts alias b.
func nextRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < 2 {
		return record{}, nil, errContent
	}
	n := 2 + int(b[1])
	if len(b) < n+2 {
		return record{}, nil, errContent
	}
	end := n + 2 + int(binary.BigEndian.Uint16(b[n:]))
	if len(b) < end {
		return record{}, nil, errContent
	}
	return record{b[0], b[2:n], b[n+2 : end]}, b[end:], nil
}

// decodeState reads the content of a token file. It refuses what encode does not write.
func decodeState(b []byte) (*state, error) {
	s := &state{domains: make(map[hsm.DomainID]*domain)}
	for len(b) > 0 {
		r, rest, err := nextRecord(b)
		if err == nil {
			err = s.apply(r)
		}
		if err != nil {
			s.wipe()
			return nil, err
		}
		b = rest
	}
	if s.serial == "" {
		s.wipe()
		return nil, errContent
	}
	return s, nil
}

func (s *state) apply(r record) error {
	if r.kind != recordDomain && len(r.name) != 0 {
		return errContent
	}
	switch r.kind {
	case recordSerial:
		if s.serial != "" || len(r.value) == 0 {
			return errContent
		}
		s.serial = string(r.value)
	case recordLabel:
		if s.label != "" || len(r.value) > maxLabel {
			return errContent
		}
		s.label = string(r.value)
	case recordDomain:
		return s.applyDomain(hsm.DomainID(r.name), r.value)
	case recordTransport:
		return s.applyTransport(r.value)
	default:
		return fmt.Errorf("record of kind %d, from a later version", r.kind)
	}
	return nil
}

func (s *state) applyDomain(id hsm.DomainID, secret []byte) error {
	if id.Check() != nil || len(secret) != 2*hsm.DomainKeySize {
		return errContent
	}
	d, err := newDomain(secret[:hsm.DomainKeySize], secret[hsm.DomainKeySize:])
	if err != nil {
		return err
	}
	if s.add(id, d) != nil {
		return errContent
	}
	return nil
}

func (s *state) applyTransport(der []byte) error {
	if s.transport != nil {
		return errContent
	}
	k, err := pkcs8.Parse(transportType, der)
	if err != nil {
		return err
	}
	s.transport = k.RSA
	return nil
}
