package arn

import (
	"encoding/hex"
	"strings"
)

// MultiRegionPrefix marks exactly the multi-Region keys (spec 01 KID-02).
const MultiRegionPrefix = "mrk-"

const (
	uuidLen = 36 // 8-4-4-4-12
	mrkLen  = len(MultiRegionPrefix) + 32
)

// NewKeyID prints a fresh key ID over 16 random bytes: a version 4 UUID (RFC 9562), or for multi-Region keys mrk- and the same
// 32 digits without dashes (spec 01 KID-01). Six bits of random are overwritten by version and variant, which leaves 122.
func NewKeyID(random [16]byte, multiRegion bool) string {
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	return FormatKeyID(random, multiRegion)
}

// FormatKeyID prints the key ID of 16 bytes in lower-case hex; it is the inverse of [KeyIDBytes].
func FormatKeyID(id [16]byte, multiRegion bool) string {
	var b [uuidLen]byte
	return string(AppendKeyID(b[:0], id, multiRegion))
}

// AppendKeyID appends what [FormatKeyID] returns.
func AppendKeyID(b []byte, id [16]byte, multiRegion bool) []byte {
	if multiRegion {
		return hex.AppendEncode(append(b, MultiRegionPrefix...), id[:])
	}
	b = hex.AppendEncode(b, id[:4])
	for _, part := range [][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), part)
	}
	return b
}

// KeyIDBytes returns the 16 bytes of a key ID and whether it is a multi-Region key's. ok is false unless the key ID is exactly
// what [FormatKeyID] prints: in lower case, as keys are stored.
func KeyIDBytes(s string) (id [16]byte, multiRegion, ok bool) {
	digits := s
	if multiRegion = len(s) == mrkLen && strings.HasPrefix(s, MultiRegionPrefix); multiRegion {
		digits = s[len(MultiRegionPrefix):]
	} else if !uuidDashes(s) {
		return id, false, false
	}
	n := 0
	for i := range len(digits) {
		if digits[i] == '-' && !multiRegion {
			continue
		}
		v := lowerHex(digits[i])
		if v > 15 {
			return [16]byte{}, false, false
		}
		id[n/2] |= v << (4 * (1 - n%2))
		n++
	}
	if n != 32 { // a fifth dash stood in for a digit
		return [16]byte{}, false, false
	}
	return id, multiRegion, true
}

// WellFormedKeyID reports whether s looks like a key ID: a UUID in any case, or mrk- and 32 hex digits (spec 10 section 3,
// NotFound). Keys are stored in lower case, so that another spelling is well-formed but names no key.
func WellFormedKeyID(s string) bool {
	switch {
	case len(s) == mrkLen && strings.HasPrefix(s, MultiRegionPrefix):
		return allHex(s[len(MultiRegionPrefix):])
	case uuidDashes(s):
		return allHex(s[:8]) && allHex(s[9:13]) && allHex(s[14:18]) && allHex(s[19:23]) && allHex(s[24:])
	}
	return false
}

// IsMultiRegionKeyID reports whether a key ID is a multi-Region key's.
func IsMultiRegionKeyID(id string) bool { return strings.HasPrefix(id, MultiRegionPrefix) }

// uuidDashes reports whether s has a UUID's length and dashes. No mrk- ID does: its length is that of a UUID, but 32 digits
// follow the only dash.
func uuidDashes(s string) bool {
	return len(s) == uuidLen && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

func allHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'F' {
			c += 'a' - 'A'
		}
		if lowerHex(c) > 15 {
			return false
		}
	}
	return true
}

// lowerHex returns the value of a lower-case hex digit, 255 for anything else.
func lowerHex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
