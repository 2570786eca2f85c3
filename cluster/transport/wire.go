package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// Methods of trent-rpc/1. The numbers are never reused.
const (
	methodLastIndex byte = 1
	methodPropose   byte = 2
	methodCall      byte = 3
	methodHold      byte = 4
	methodProposeOn byte = 5
	methodUnfit     byte = 6
)

// Statuses of answers. The numbers are never reused.
const (
	statusOK      byte = 0
	statusFault   byte = 1 // a failure of another kind; the payload is its text
	statusUnknown byte = 2
)

// faults are the errors of package cluster that keep their meaning on the wire, by status.
func faults() map[byte]error {
	return map[byte]error{
		10: cluster.ErrNotLeader, 11: cluster.ErrNoLeader, 12: cluster.ErrTooBusy, 13: cluster.ErrDiskFull, 14: cluster.ErrClockOff,
		15: cluster.ErrCanceled, 16: cluster.ErrClosed, 17: cluster.ErrOldNodes, 18: fsm.ErrInvalid, 19: cluster.ErrIdentity,
		20: cluster.ErrNoQuorum, 21: cluster.ErrRemoved, 22: cluster.ErrQuorum, 23: cluster.ErrNoSuchMember, 24: cluster.ErrBehind,
		25: cluster.ErrMember, statusUnknown: cluster.ErrUnknown,
	}
}

// maxFault bounds the text of an error on the wire.
const maxFault = 4 << 10

// encodeFault is the status and text of an error.
func encodeFault(err error) (status byte, text []byte) {
	status = statusFault
	for code, known := range faults() {
		// An unknown outcome may wrap what caused it; it must stay unknown.
		if errors.Is(err, known) && (status == statusFault || known == cluster.ErrUnknown) {
			status = code
		}
	}
	text = []byte(err.Error())
	return status, text[:min(len(text), maxFault)]
}

// decodeFault is the error of an answer from a node.
func decodeFault(status byte, text []byte, node string) error {
	said := string(text[:min(len(text), maxFault)])
	if known, ok := faults()[status]; ok {
		if known == cluster.ErrClosed {
			// That node stops; this one does not, and another may lead soon.
			known = cluster.ErrNoLeader
		}
		if detail, ok := strings.CutPrefix(said, known.Error()); ok { // what the error says need not be said twice
			return fmt.Errorf("%w%s (node %s)", known, detail, node)
		}
		return fmt.Errorf("%w (node %s: %s)", known, node, said)
	}
	return &RemoteError{Node: node, Text: said}
}

// RemoteError is a failure that another node reports.
type RemoteError struct{ Node, Text string }

// Error is what the node said.
func (e *RemoteError) Error() string { return e.Text }

// wireResult is fsm.Result on the wire.
type wireResult struct {
	Code    uint16   `cbor:"1,keyasint"`
	Index   uint64   `cbor:"2,keyasint"`
	Objects []string `cbor:"3,keyasint,omitempty"`
	Repeat  bool     `cbor:"4,keyasint,omitempty"`
	Detail  string   `cbor:"5,keyasint,omitempty"`
}

func encodeResult(r fsm.Result) ([]byte, error) {
	return cbor.Marshal(wireResult{uint16(r.Code), r.Index, r.Objects, r.Repeat, r.Detail})
}

func decodeResult(b []byte) (fsm.Result, error) {
	var w wireResult
	if err := cbor.Unmarshal(b, &w); err != nil {
		return fsm.Result{}, fmt.Errorf("transport: result: %w", err)
	}
	return fsm.Result{Code: fsm.Code(w.Code), Index: w.Index, Objects: w.Objects, Repeat: w.Repeat, Detail: w.Detail}, nil
}

// wireHold asks the leader for a hold, or without keys ends it.
type wireHold struct {
	ID   cluster.HoldID `cbor:"1,keyasint"`
	Keys []string       `cbor:"2,keyasint,omitempty"`
}

// wireProposal is a proposal with its gate.
type wireProposal struct {
	wireHold
	Command []byte `cbor:"3,keyasint"`
}

// encodeTwo puts two short texts one after the other, the first with its length in a byte.
func encodeTwo(a, b string) []byte {
	return append(append([]byte{byte(len(a))}, a...), b...)
}

func decodeTwo(p []byte) (a, b string, err error) {
	if len(p) == 0 || len(p) < 1+int(p[0]) {
		return "", "", errors.New("transport: malformed request")
	}
	n := int(p[0])
	return string(p[1 : 1+n]), string(p[1+n:]), nil
}

const answerSize = 24

func encodeAnswer(a cluster.Answer) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, answerSize), a.LastIndex)
	b = binary.BigEndian.AppendUint64(b, a.Applied)
	return binary.BigEndian.AppendUint64(b, uint64(a.Clock))
}

// decodeAnswer reads a voter's answer. Who answers is known from the connection: it ends at the node that was asked for.
func decodeAnswer(p []byte, node, clusterID string) (cluster.Answer, error) {
	if len(p) != answerSize {
		return cluster.Answer{}, errors.New("transport: malformed answer")
	}
	return cluster.Answer{
		NodeID: node, ClusterID: clusterID, LastIndex: binary.BigEndian.Uint64(p), Applied: binary.BigEndian.Uint64(p[8:]),
		Clock: int64(binary.BigEndian.Uint64(p[16:])),
	}, nil
}
