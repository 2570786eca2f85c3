package federation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"unicode"
)

// Protocols by their ALPN names.
const (
	protoPacket   = "trent-gossip-packet/1"
	protoStream   = "trent-gossip-stream/1"
	protoLink     = "trent-link/1"
	protoFederate = "trent-federate/1"
	protoMeet     = "trent-meet/1"
)

// Limits of what travels.
const (
	// maxPacket bounds a gossip packet. memberlist keeps most below gossipPacket; its replies may be longer.
	maxPacket    = 32 << 10
	gossipPacket = 8 << 10
	// MaxMessage bounds a request and its answer on a link, with its header.
	MaxMessage = 4<<20 + 64
	// maxExchange bounds a request to federate and its answer.
	maxExchange = 256 << 10
	// MaxAddress bounds an address, host:port.
	MaxAddress = 255
)

// Codes of requests on a link. The numbers are never reused.
const (
	codeCall    byte = 1
	codeDigest  byte = 2
	codeControl byte = 3
)

// Statuses of answers on a link. The numbers are never reused.
const (
	statusOK       byte = 0
	statusFault    byte = 1 // a failure; the payload is its text
	statusRedirect byte = 2 // the node does not lead; the payload is a redirect
	statusBusy     byte = 3
)

// maxFault bounds the text of a failure.
const maxFault = 4 << 10

// RemoteError is a failure that a node of another region reports.
type RemoteError struct{ Region, Text string }

// Error is what the node said, and where.
func (e *RemoteError) Error() string { return "region " + e.Region + ": " + e.Text }

// faultText is what another node says, as operators may be shown it on a terminal: whoever is at an address of a region says that.
func faultText(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(string(b[:min(len(b), maxFault)]), "?"))
}

// readPacket reads a packet: its length in two bytes, then that much.
func readPacket(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n == 0 || n > maxPacket {
		return nil, fmt.Errorf("federation: a packet of %d bytes, 1 to %d are allowed", n, maxPacket)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// appendPacket puts a packet behind b.
func appendPacket(b, packet []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(packet))), packet...)
}

// readExchange reads a length of four bytes and that much, growing with what arrives.
func readExchange(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n == 0 || n > maxExchange {
		return nil, fmt.Errorf("federation: a message of %d bytes, 1 to %d are allowed", n, maxExchange)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		return nil, fmt.Errorf("federation: a message ended early: %w", err)
	}
	return b.Bytes(), nil
}

func writeExchange(w io.Writer, b []byte) error {
	if len(b) > maxExchange {
		return fmt.Errorf("federation: a message of %d bytes is too long, at most %d", len(b), maxExchange)
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// metadata is what a node tells of itself through the pool. It is a hint: other members pass it on, and nobody signs it.
type metadata struct {
	address string
	// term is the Raft term in which the node leads its region, 0 if it does not.
	term uint64
}

const metadataVersion = 1

// encode gives at most 9 + MaxAddress bytes, which memberlist's 512 hold.
func (m metadata) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{metadataVersion}, m.term)
	return append(b, m.address[:min(len(m.address), MaxAddress)]...)
}

var errMetadata = errors.New("federation: malformed metadata")

func decodeMetadata(b []byte) (m metadata, err error) {
	if len(b) < 10 || len(b) > 9+MaxAddress || b[0] != metadataVersion {
		return m, errMetadata
	}
	m = metadata{term: binary.BigEndian.Uint64(b[1:]), address: string(b[9:])}
	if !ValidAddress(m.address) {
		return metadata{}, errMetadata
	}
	return m, nil
}

// ValidAddress reports whether nodes of other regions could be told an address: host:port, in characters that ASCII prints.
func ValidAddress(a string) bool {
	host, port, err := net.SplitHostPort(a)
	return err == nil && host != "" && port != "" && len(a) <= MaxAddress && !strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r > '~' })
}

// redirect names the node that leads; its address is empty if the sender does not know it.
type redirect struct{ node, address string }

func (r redirect) encode() []byte {
	node := r.node[:min(len(r.node), 255)]
	return append(append([]byte{byte(len(node))}, node...), r.address...)
}

func decodeRedirect(b []byte) (r redirect, err error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) || len(b) > 256+MaxAddress {
		return r, errors.New("federation: malformed redirect")
	}
	r = redirect{node: string(b[1 : 1+int(b[0])]), address: string(b[1+int(b[0]):])}
	if r.address != "" && !ValidAddress(r.address) {
		return redirect{}, errors.New("federation: malformed redirect")
	}
	return r, nil
}

// memberName is a node's name in the pool: region and node id. Neither holds a dot.
func memberName(region, node string) string { return region + "." + node }

func splitMember(name string) (region, node string, ok bool) {
	region, node, ok = strings.Cut(name, ".")
	return region, node, ok && region != "" && node != "" && !strings.Contains(node, ".")
}

// placePort is the port of all places.
const placePort = 1

// place is the address by which the pool knows a member or a seed: one that stands for the name. What the name's real address is
// may change without the pool's taking notice, and it may be a host name, or one and the same for several nodes.
func place(kind, name string) net.IP {
	sum := sha256.Sum256([]byte(kind + "\x00" + name))
	return append(net.IP{0xfd}, sum[:15]...) // a unique local address (RFC 4193)
}
