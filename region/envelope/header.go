package envelope

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/trentkms/trent/region/arn"
)

// The header's identity part, 58 bytes, the same for every message of a key's material:
//
//	offset  bytes
//	0       3      magic "TRN"
//	3       1      version, 1
//	4       1      flags: bit 0 set for multi-Region key IDs, the others zero
//	5       5      account: its 12 decimal digits as a number, big-endian, below 10^12
//	10      16     key ID: the hex digits of the UUID, or those after mrk-
//	26      32     key material ID
//
// then 16 bytes of nonce. Every field has exactly one encoding.
const (
	magic   = "TRN\x01"
	flagMRK = 1

	offFlags    = len(magic)
	offAccount  = offFlags + 1
	offKeyID    = offAccount + 5
	offMaterial = offKeyID + 16

	identitySize = offMaterial + MaterialIDSize

	maxAccount = 1_000_000_000_000
)

// MaterialIDSize is the length of a key material ID in bytes; the API prints it in hex (spec 02 ROT-02).
const MaterialIDSize = 32

// Header says which key and which of its materials a blob belongs to. Headers are comparable with ==; the zero Header is none.
type Header struct {
	raw [identitySize]byte
}

// NewHeader makes the header of a key's material. The account has 12 digits, the key ID is in lower case as keys are stored, the
// material ID has [MaterialIDSize] bytes; anything else is an error of the caller's records.
func NewHeader(account, keyID string, materialID []byte) (Header, error) {
	id, multiRegion, ok := arn.KeyIDBytes(keyID)
	if !ok {
		return Header{}, fmt.Errorf("envelope: %q is not a key ID", keyID)
	}
	if !arn.ValidAccount(account) {
		return Header{}, fmt.Errorf("envelope: %q is not an account", account)
	}
	if len(materialID) != MaterialIDSize {
		return Header{}, fmt.Errorf("envelope: key material ID of %d bytes, want %d", len(materialID), MaterialIDSize)
	}
	number, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		return Header{}, err
	}
	var h Header
	copy(h.raw[:], magic)
	if multiRegion {
		h.raw[offFlags] = flagMRK
	}
	putUint40(h.raw[offAccount:], number)
	copy(h.raw[offKeyID:], id[:])
	copy(h.raw[offMaterial:], materialID)
	return h, nil
}

// Parse reads the header of a blob and checks its form: magic, version, canonical fields, total length. It says nothing about
// whether the blob opens. The error is ErrInvalid.
func Parse(blob []byte) (Header, error) {
	if len(blob) <= Overhead || len(blob) > MaxBlob || string(blob[:len(magic)]) != magic {
		return Header{}, ErrInvalid
	}
	h := Header{raw: [identitySize]byte(blob)}
	if h.raw[offFlags]&^flagMRK != 0 || h.account() >= maxAccount {
		return Header{}, ErrInvalid
	}
	return h, nil
}

// Valid reports whether the header came from NewHeader or Parse.
func (h Header) Valid() bool { return h.raw[0] != 0 }

// Account is the key's owner, 12 digits.
func (h Header) Account() string {
	var b [24]byte
	return string(strconv.AppendUint(b[:0], maxAccount+h.account(), 10)[1:])
}

// KeyID is the key ID, in lower case.
func (h Header) KeyID() string {
	return arn.FormatKeyID([16]byte(h.raw[offKeyID:]), h.raw[offFlags]&flagMRK != 0)
}

// MaterialID is the ID of the key material, MaterialIDSize bytes, in a slice of its own.
func (h Header) MaterialID() []byte {
	return append([]byte(nil), h.raw[offMaterial:]...)
}

func (h *Header) account() uint64 {
	b := h.raw[offAccount:]
	return uint64(b[0])<<32 | uint64(binary.BigEndian.Uint32(b[1:]))
}

func putUint40(b []byte, v uint64) {
	b[0] = byte(v >> 32)
	binary.BigEndian.PutUint32(b[1:], uint32(v))
}
