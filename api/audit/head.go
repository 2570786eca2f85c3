package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Head states what a segment holds: of a closed segment for good, of an open one (Open) as a checkpoint. A signed head,
// kept where the log's own machine cannot change it, is what makes cut-off and rewritten records visible.
type Head struct {
	Version   int    `json:"version"` // 1
	Node      string `json:"node"`
	Segment   uint64 `json:"segment"` // number of the segment, from 1
	File      string `json:"file"`    // name inside the directory
	PrevChain string `json:"prevChain"`
	FirstSeq  uint64 `json:"firstSeq"`
	LastSeq   uint64 `json:"lastSeq"`
	Records   uint64 `json:"records"`
	Bytes     int64  `json:"bytes"`
	Chain     string `json:"chain"`     // after LastSeq, hexadecimal
	FirstTime string `json:"firstTime"` // earliest eventTime in the segment, "" if none has one
	LastTime  string `json:"lastTime"`  // latest eventTime
	LastIndex uint64 `json:"lastIndex"` // highest Raft index that this node's log holds up to here, 0 for none
	LogID     string `json:"logID"`     // the Raft log that LastIndex belongs to
	Open      bool   `json:"open"`      // a checkpoint: records may follow
	KeyID     string `json:"keyId"`     // what signed, "" if unsigned
	Signature string `json:"signature"` // base64 of the signature over Digest
}

// Signer signs the digests (SHA-256, 32 bytes) of heads, in the product with a key of the HSM. It is called by one
// goroutine at a time, never with a lock held, again after a failure, and has to end with ctx.
type Signer interface {
	Sign(ctx context.Context, digest []byte) (keyID string, signature []byte, err error)
}

// VerifyFunc checks a signature that a [Signer] made.
type VerifyFunc func(keyID string, digest, signature []byte) error

// Digest returns what is signed: SHA-256 over the line "trent audit head v1" and the head's JSON without its KeyId and
// Signature.
func (h Head) Digest() []byte {
	h.KeyID, h.Signature = "", ""
	sum := sha256.Sum256(append([]byte("trent audit head v1\n"), h.encode()...))
	return sum[:]
}

// Signed tells whether the head carries a signature; whether that is a good one, only [Head.Check] knows.
func (h Head) Signed() bool { return h.Signature != "" }

// Check verifies the head's signature.
func (h Head) Check(verify VerifyFunc) error {
	if !h.Signed() {
		return errors.New("the head is not signed")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(h.Signature)
	if err != nil {
		return fmt.Errorf("the signature is not base64: %w", err)
	}
	return verify(h.KeyID, h.Digest(), sig)
}

func (h Head) signed(ctx context.Context, s Signer) (Head, error) {
	keyID, sig, err := s.Sign(ctx, h.Digest())
	if err != nil {
		return h, err
	}
	if len(sig) == 0 {
		return h, errors.New("the signer returned an empty signature")
	}
	h.KeyID, h.Signature = keyID, base64.StdEncoding.EncodeToString(sig)
	return h, nil
}

// encode returns the head as one line of JSON. Field order is the struct's, so the encoding is canonical.
func (h Head) encode() []byte {
	b, err := json.Marshal(h)
	if err != nil {
		// Strings, integers and booleans always encode.
		panic("audit: encoding a head: " + err.Error())
	}
	return append(b, '\n')
}

// maxHead bounds the size of a head file in bytes.
const maxHead = 16 << 10

// ParseHead reads a head as the log writes it into a .head file. Only the canonical spelling is accepted.
func ParseHead(data []byte) (Head, error) {
	var h Head
	if len(data) > maxHead {
		return h, fmt.Errorf("audit: a head of %d bytes, at most %d", len(data), maxHead)
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return Head{}, fmt.Errorf("audit: the head is not readable: %w", err)
	}
	if !bytes.Equal(h.encode(), data) {
		return Head{}, errors.New("audit: the head is not in its canonical form")
	}
	if err := h.valid(); err != nil {
		return Head{}, err
	}
	return h, nil
}

func (h *Head) valid() error {
	_, chainErr := parseChain(h.Chain)
	_, prevErr := parseChain(h.PrevChain)
	switch {
	case h.Version != 1:
		return fmt.Errorf("audit: head version %d is unknown; verify with the version of Trent that wrote it", h.Version)
	case chainErr != nil || prevErr != nil:
		return errors.New("audit: the head's chain is not a SHA-256 value in lower-case hexadecimal")
	case !isName(h.Node) || h.LogID != "" && !isName(h.LogID):
		return errors.New("audit: the head names no valid node or Raft log")
	case h.Segment == 0 || h.FirstSeq == 0 || h.Records == 0 || h.LastSeq < h.FirstSeq || h.LastSeq-h.FirstSeq != h.Records-1:
		return errors.New("audit: the head's counts contradict one another")
	}
	return nil
}

func parseChain(text string) (c chainSum, err error) {
	if len(text) != 2*len(c) || !decodeLowerHex(c[:], []byte(text)) {
		return c, errors.New("audit: not a chain value")
	}
	return c, nil
}
