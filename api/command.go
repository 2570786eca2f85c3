package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strconv"
	"strings"

	mathrand "math/rand/v2"
)

// invocationHeader carries the same id in every attempt of one SDK call.
const invocationHeader = "Amz-Sdk-Invocation-Id"

// identify gives a change the identity by which a retry of it is known: caller, operation, the SDK's invocation id and the
// body. Without that header the id is random, and only the same proposal is ever a repeat.
func (x *exchange) identify() {
	c := &x.call
	sig := sha256.Sum256([]byte(x.sig.Signature()))
	copy(c.Signature[:], sig[:])
	c.Attempt = attemptOf(x.r.Header.Get("Amz-Sdk-Request"))
	invocation := x.r.Header.Get(invocationHeader)
	if invocation == "" {
		if c.CommandID == [16]byte{} {
			_, _ = rand.Read(c.CommandID[:]) // never fails: crypto/rand ends the program instead
		}
		return
	}
	h := sha256.New()
	for _, part := range []string{"trent/command/1", c.Caller.ARN, c.Caller.PrincipalID, x.target, invocation} {
		_, _ = io.WriteString(h, part+"\x00")
	}
	h.Write(x.bodyHash[:])
	copy(c.CommandID[:], h.Sum(nil))
}

// attemptOf reads "attempt=2; max=3"; anything else is a first attempt.
func attemptOf(header string) int {
	for part := range strings.SplitSeq(header, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(part), "attempt="); ok {
			if n, err := strconv.Atoi(v); err == nil && n > 0 {
				return n
			}
		}
	}
	return 1
}

// newID makes a version 4 UUID for a request or an event. It need not be unguessable, only unique.
func newID() string {
	var b [16]byte
	for i := 0; i < 16; i += 8 {
		v := mathrand.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
