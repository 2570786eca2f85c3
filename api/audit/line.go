package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math"
)

// chainSum is a link of the hash chain.
type chainSum [sha256.Size]byte

func (c chainSum) String() string { return hex.EncodeToString(c[:]) }

// Parts of a line (see the package comment). A quote inside a JSON text is always escaped, so the last occurrence of
// trailerStart in a line is the log's own, whatever a caller put into the record.
const (
	trailerStart = `,"trent":{"node":"`
	seqStart     = `","seq":`
	prevStart    = `,"prev":"`
	indexStart   = `,"index":`
	logStart     = `,"log":"`
	moreMark     = `,"more":true`
	chainStart   = `,"chain":"`
	lineEnd      = `"}}`
)

// trailerMax bounds what a line adds to its record, line break included, for names of at most maxName bytes.
const (
	maxName    = 128
	trailerMax = len(trailerStart) + maxName + len(seqStart) + 20 + len(prevStart) + 2*sha256.Size + 1 + len(indexStart) + 20 + len(logStart) + maxName + 1 +
		len(moreMark) + len(chainStart) + 2*sha256.Size + len(lineEnd) + 1
	// maxLine bounds a line without its line break; a longer one is none of ours.
	maxLine = MaxRecord + trailerMax
)

// trailer is what the log adds to a record.
type trailer struct {
	node  []byte // points into the line
	seq   uint64 // from 1, one more per record over all segments
	index uint64 // Raft index of a committed record, 0 for others
	log   []byte // which Raft log the index belongs to; may be empty; points into the line
	more  bool   // the next line belongs to the same index
	chain chainSum

	// The first line of a segment carries the chain before it, so that a segment can be read without the one before.
	first bool
	prev  chainSum // if first

	record int // bytes of the line before the trailer: the record without its closing brace
	head   int // bytes of the line that the chain covers
}

// links reports whether a line stands in the chain right after prev.
func (t *trailer) links(h *hasher, prev chainSum, line []byte) bool {
	return h.next(prev, line[:t.head]) == t.chain
}

// hasher computes links of the chain without allocating.
type hasher struct {
	h   hash.Hash
	sum chainSum
}

func newHasher() *hasher { return &hasher{h: sha256.New()} }

// next returns SHA-256(prev || head).
func (c *hasher) next(prev chainSum, head []byte) chainSum {
	c.sum = prev
	c.h.Reset()
	c.h.Write(c.sum[:])
	c.h.Write(head)
	c.h.Sum(c.sum[:0])
	return c.sum
}

// genesis is the chain before a node's first record.
func genesis(node string) chainSum {
	return sha256.Sum256([]byte("trent audit chain v1\n" + node))
}

// appendLine appends rec with its trailer and line break to b and returns the new end of the chain.
func (c *hasher) appendLine(b, rec []byte, t trailer, prev chainSum) ([]byte, chainSum) {
	start := len(b)
	b = append(b, rec[:len(rec)-1]...)
	b = append(b, trailerStart...)
	b = append(b, t.node...)
	b = append(b, seqStart...)
	b = appendUint(b, t.seq)
	if t.first {
		b = append(b, prevStart...)
		b = hex.AppendEncode(b, prev[:])
		b = append(b, '"')
	}
	if t.index > 0 {
		b = append(b, indexStart...)
		b = appendUint(b, t.index)
		if len(t.log) > 0 {
			b = append(b, logStart...)
			b = append(b, t.log...)
			b = append(b, '"')
		}
		if t.more {
			b = append(b, moreMark...)
		}
	}
	sum := c.next(prev, b[start:])
	b = append(b, chainStart...)
	b = hex.AppendEncode(b, sum[:])
	b = append(b, lineEnd...)
	return append(b, '\n'), sum
}

// parseLine reads the trailer of a line without its line break. It accepts exactly what appendLine writes, so that no
// two spellings of one line pass for the same.
func parseLine(line []byte) (t trailer, ok bool) {
	const tail = len(chainStart) + 2*sha256.Size + len(lineEnd)
	if len(line) < tail || len(line) > maxLine || line[0] != '{' {
		return t, false
	}
	t.head = len(line) - tail
	end := line[t.head:]
	if string(end[:len(chainStart)]) != chainStart || string(end[tail-len(lineEnd):]) != lineEnd {
		return t, false
	}
	if !decodeLowerHex(t.chain[:], end[len(chainStart):tail-len(lineEnd)]) {
		return t, false
	}
	t.record = bytes.LastIndex(line[:t.head], []byte(trailerStart))
	if t.record < 1 {
		return t, false
	}
	return t, t.parseFields(line[t.record+len(trailerStart) : t.head])
}

// parseFields reads what stands between the start of the trailer and the chain.
func (t *trailer) parseFields(p []byte) bool {
	var ok bool
	if t.node, p, ok = bytes.Cut(p, []byte(seqStart)); !ok || !isName(t.node) {
		return false
	}
	if t.seq, p, ok = cutUint(p); !ok {
		return false
	}
	if rest, found := bytes.CutPrefix(p, []byte(prevStart)); found {
		if len(rest) <= 2*len(t.prev) || rest[2*len(t.prev)] != '"' || !decodeLowerHex(t.prev[:], rest) {
			return false
		}
		t.first, p = true, rest[2*len(t.prev)+1:]
	}
	if len(p) == 0 {
		return true
	}
	if p, ok = bytes.CutPrefix(p, []byte(indexStart)); !ok {
		return false
	}
	if t.index, p, ok = cutUint(p); !ok {
		return false
	}
	if rest, found := bytes.CutPrefix(p, []byte(logStart)); found {
		if t.log, p, ok = bytes.Cut(rest, []byte{'"'}); !ok || !isName(t.log) {
			return false
		}
	}
	p, t.more = bytes.CutPrefix(p, []byte(moreMark))
	return len(p) == 0
}

// cutUint reads a positive decimal number without leading zeros.
func cutUint(p []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(p) && p[i] >= '0' && p[i] <= '9'; i++ {
		d := uint64(p[i] - '0')
		if i == 0 && d == 0 || n > (math.MaxUint64-d)/10 {
			return 0, p, false
		}
		n = n*10 + d
	}
	return n, p[i:], i > 0
}

func decodeLowerHex(dst, src []byte) bool {
	for i := range dst {
		hi, lo := lowerHexDigit(src[2*i]), lowerHexDigit(src[2*i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func lowerHexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// isName tells whether s can name a node or a Raft log: 1 to 128 characters that JSON never escapes.
func isName[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == ':', c == '/':
		default:
			return false
		}
	}
	return true
}

// eventTimeOf returns the eventTime of an encoded record, or "". The first occurrence is the envelope's: before it
// stands only userIdentity, whose texts cannot hold unescaped quotes.
func eventTimeOf(rec []byte) []byte {
	const key = `"eventTime":"`
	i := bytes.Index(rec, []byte(key))
	if i < 0 || len(rec) < i+len(key)+len(eventTimeLayout)+1 {
		return nil
	}
	text := rec[i+len(key) : i+len(key)+len(eventTimeLayout)]
	if text[len(text)-1] != 'Z' || rec[i+len(key)+len(text)] != '"' {
		return nil
	}
	for j, c := range []byte(eventTimeLayout) {
		digit := c >= '0' && c <= '9'
		if digit != (text[j] >= '0' && text[j] <= '9') || !digit && text[j] != c {
			return nil
		}
	}
	return text
}
