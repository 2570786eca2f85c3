package pkcs8

import (
	"bytes"
	"errors"
)

// Limits of the BER reader. The longest key, RSA-4096 with attributes, stays far below.
const (
	maxInput = 16 << 10
	maxDepth = 12
	maxNodes = 512
)

// Identifier octets (X.690 section 8.1.2) of what a private key is made of.
const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagSequence    = 0x30
	constructed    = 0x20
	context0       = 0x80
	context1       = 0x81
	explicit0      = context0 | constructed
	explicit1      = context1 | constructed
)

var errBER = errors.New("not a BER encoding")

// node is one BER element. The content of a primitive one aliases the input.
type node struct {
	tag      byte
	content  []byte
	children []node
}

// reader parses BER of bounded size and depth: definite and indefinite lengths, constructed strings, single-byte tags.
type reader struct{ nodes int }

// parseBER reads exactly one element.
func parseBER(b []byte) (node, error) {
	if len(b) > maxInput {
		return node{}, errBER
	}
	r := new(reader)
	n, rest, err := r.element(b, 0)
	if err != nil || len(rest) != 0 {
		return node{}, errBER
	}
	return n, nil
}

func (r *reader) element(b []byte, depth int) (n node, rest []byte, err error) {
	r.nodes++
	if len(b) < 2 || depth > maxDepth || r.nodes > maxNodes || b[0]&0x1f == 0x1f {
		return node{}, nil, errBER
	}
	n.tag = b[0]
	if b[1] == 0x80 {
		return r.indefinite(n, b[2:], depth)
	}
	size, b, err := readLength(b[1:])
	if err != nil {
		return node{}, nil, err
	}
	body, rest := b[:size], b[size:]
	if n.tag&constructed == 0 {
		n.content = body
		return n, rest, nil
	}
	for len(body) > 0 {
		var child node
		if child, body, err = r.element(body, depth+1); err != nil {
			return node{}, nil, err
		}
		n.children = append(n.children, child)
	}
	return n, rest, nil
}

// indefinite reads children up to the end-of-contents octets (X.690 section 8.1.3.6).
func (r *reader) indefinite(n node, b []byte, depth int) (node, []byte, error) {
	if n.tag&constructed == 0 {
		return node{}, nil, errBER
	}
	for !bytes.HasPrefix(b, []byte{0, 0}) {
		child, rest, err := r.element(b, depth+1)
		if err != nil {
			return node{}, nil, err
		}
		n.children = append(n.children, child)
		b = rest
	}
	return n, b[2:], nil
}

// readLength reads a definite length that fits into what follows it.
func readLength(b []byte) (int, []byte, error) {
	size, b := int(b[0]), b[1:]
	if size&0x80 != 0 {
		width := size & 0x7f
		if width > 8 || width > len(b) {
			return 0, nil, errBER
		}
		size = 0
		for _, c := range b[:width] {
			if size = size<<8 | int(c); size > maxInput {
				return 0, nil, errBER
			}
		}
		b = b[width:]
	}
	if size > len(b) {
		return 0, nil, errBER
	}
	return size, b, nil
}

// is reports whether n has the tag; a constructed string counts as its primitive form.
func (n node) is(tag byte) bool {
	if tag == tagOctetString || tag == tagBitString || tag == context0 || tag == context1 {
		return n.tag&^constructed == tag
	}
	return n.tag == tag
}

// octets returns the content of an OCTET STRING, or of an implicitly tagged one, joining the parts of a constructed one.
func (n node) octets() ([]byte, error) {
	if n.tag&constructed == 0 {
		return n.content, nil
	}
	var joined []byte
	for _, part := range n.children {
		if !part.is(tagOctetString) {
			return nil, errBER
		}
		b, err := part.octets()
		if err != nil {
			return nil, err
		}
		joined = append(joined, b...)
	}
	return joined, nil
}

// bits returns the content of a BIT STRING that holds whole bytes.
func (n node) bits() ([]byte, error) {
	if n.tag&constructed == 0 {
		if len(n.content) == 0 || n.content[0] != 0 {
			return nil, errBER
		}
		return n.content[1:], nil
	}
	var joined []byte
	for _, part := range n.children {
		if !part.is(tagBitString) {
			return nil, errBER
		}
		b, err := part.bits()
		if err != nil {
			return nil, err
		}
		joined = append(joined, b...)
	}
	return joined, nil
}

// unsigned returns the big-endian bytes of a non-negative INTEGER without leading zeros.
func (n node) unsigned() ([]byte, error) {
	b := n.content
	switch {
	case n.tag != tagInteger || len(b) == 0 || b[0]&0x80 != 0:
		return nil, errBER
	case b[0] != 0:
		return b, nil
	case len(b) > 1 && b[1]&0x80 == 0:
		return nil, errBER // not minimal; BER asks for that too (X.690 section 8.3.2)
	}
	return b[1:], nil
}

// small returns an INTEGER below 256.
func (n node) small() (int, error) {
	b, err := n.unsigned()
	if err != nil || len(b) > 1 {
		return 0, errBER
	}
	if len(b) == 0 {
		return 0, nil
	}
	return int(b[0]), nil
}

// tlv returns a DER element around the parts.
func tlv(tag byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	out := make([]byte, 0, size+4)
	out = append(out, tag)
	switch {
	case size < 0x80:
		out = append(out, byte(size))
	case size < 0x100:
		out = append(out, 0x81, byte(size))
	default:
		out = append(out, 0x82, byte(size>>8), byte(size))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
