package fsm

import (
	"bytes"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Decode limits. Encode holds itself to them, so that nothing is proposed that a node could not read back.
const (
	maxArray   = 8192 // elements of one array
	maxMembers = 64   // fields of one row or body
	maxNesting = 8
)

// modes is the CBOR profile of commands and snapshots: RFC 8949 section 4.2 deterministic encoding, nil and empty
// slices alike, no tags. Text is not checked for UTF-8: a command is decoded after it was committed, and by then a
// byte that a client slipped in must not stop the region.
type modes struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
}

// cborModes is a constant in all but syntax: building it cannot fail for the options below, and it is never changed.
var cborModes = sync.OnceValue(func() modes {
	encoding := cbor.CoreDetEncOptions()
	encoding.NilContainers = cbor.NilContainerAsEmpty
	encoding.TagsMd = cbor.TagsForbidden
	enc, err := encoding.UserBufferEncMode()
	if err != nil {
		panic("fsm: CBOR encoding options: " + err.Error())
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxNesting,
		MaxArrayElements:  maxArray,
		MaxMapPairs:       maxMembers,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic("fsm: CBOR decoding options: " + err.Error())
	}
	return modes{enc, dec}
})

// marshalTo appends the encoding of v to buf.
func marshalTo(buf *bytes.Buffer, v any) error { return cborModes().enc.MarshalToBuffer(v, buf) }

// unmarshal decodes exactly one item. The result shares no memory with data.
func unmarshal(data []byte, v any) error { return cborModes().dec.Unmarshal(data, v) }

// wellFormed reports whether data is one item within the decode limits.
func wellFormed(data []byte) error { return cborModes().dec.Wellformed(data) }
