package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names inside a log's directory.
const (
	segmentPrefix = "audit-"
	segmentSuffix = ".jsonl"
	headSuffix    = ".head"
	tornSuffix    = ".torn"
	tmpSuffix     = ".tmp"
	spareName     = "audit.spare" // reserved space of the next segment
	lockName      = "audit.lock"

	nameTimeLayout = "20060102T150405Z"
)

// segmentName names a segment so that names sort as segments do.
func segmentName(number uint64, t time.Time) string {
	return fmt.Sprintf("%s%012d-%s%s", segmentPrefix, number, t.UTC().Format(nameTimeLayout), segmentSuffix)
}

func headName(segment string) string { return strings.TrimSuffix(segment, segmentSuffix) + headSuffix }

// parseName returns the number in the name of a segment or, with headSuffix, of a head. Only our spelling counts.
func parseName(name, suffix string) (number uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, segmentPrefix)
	if !ok {
		return 0, false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	if !ok {
		return 0, false
	}
	digits, stamp, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || number == 0 {
		return 0, false
	}
	t, err := time.Parse(nameTimeLayout, stamp)
	return number, err == nil && segmentName(number, t) == segmentPrefix+rest+segmentSuffix
}

// slot is what a directory holds under one segment number: normally one segment and, once that is closed, one head.
type slot struct {
	number   uint64
	segments []string
	heads    []string
}

// segment returns the name of the slot's segment, "" if it is not there (archived, or deleted).
func (s *slot) segment() string {
	if len(s.segments) == 0 {
		return ""
	}
	return s.segments[0]
}

// head returns the name of the slot's head, "" if there is none.
func (s *slot) head() string {
	if len(s.heads) == 0 {
		return ""
	}
	return s.heads[0]
}

// listing is what a log's directory holds.
type listing struct {
	slots []slot   // by number
	torn  []string // what recovery set aside
	tmp   []string // what a crash left of writeFile
}

func list(names []string) listing {
	slices.Sort(names)
	var l listing
	slots := make(map[uint64]*slot)
	at := func(n uint64) *slot {
		if slots[n] == nil {
			slots[n] = &slot{number: n}
		}
		return slots[n]
	}
	for _, name := range names {
		if n, ok := parseName(name, segmentSuffix); ok {
			at(n).segments = append(at(n).segments, name)
		} else if n, ok := parseName(name, headSuffix); ok {
			at(n).heads = append(at(n).heads, name)
		} else if strings.HasSuffix(name, tornSuffix) {
			l.torn = append(l.torn, name)
		} else if strings.HasSuffix(name, headSuffix+tmpSuffix) {
			l.tmp = append(l.tmp, name)
		}
	}
	for _, s := range slots {
		l.slots = append(l.slots, *s)
	}
	slices.SortFunc(l.slots, func(a, b slot) int { return cmp.Compare(a.number, b.number) })
	return l
}

// place is a point in the log: everything that a head says about the records before it. It is a value, so that the
// writer can go back to the last one that is surely in the file.
type place struct {
	off       int64  // end of the records in the segment's file
	records   uint64 // in the segment
	seq       uint64 // of the last record, over all segments
	chain     chainSum
	index     uint64 // highest Raft index
	first     stamp  // earliest eventTime in the segment
	last      stamp  // latest
	prevChain chainSum
}

// stamp is an eventTime; the zero stamp is none.
type stamp [len(eventTimeLayout)]byte

func (s stamp) String() string {
	if s == (stamp{}) {
		return ""
	}
	return string(s[:])
}

// next is the place at the start of the following segment.
func (p place) next() place {
	return place{seq: p.seq, chain: p.chain, index: p.index, prevChain: p.chain}
}

// add counts a line of size bytes, line break included.
func (p *place) add(size int, t *trailer, logID string, eventTime []byte) {
	p.off += int64(size)
	p.records++
	p.seq, p.chain = t.seq, t.chain
	if t.index > p.index && string(t.log) == logID {
		p.index = t.index
	}
	if len(eventTime) != len(stamp{}) {
		return
	}
	if s := stamp(eventTime); p.first == (stamp{}) || string(s[:]) < string(p.first[:]) {
		p.first = s
	}
	if s := stamp(eventTime); string(s[:]) > string(p.last[:]) {
		p.last = s
	}
}

// placeOf is the end of a closed segment.
func placeOf(h Head, logID string) place {
	p := place{off: h.Bytes, records: h.Records, seq: h.LastSeq}
	p.chain, _ = parseChain(h.Chain) // ParseHead has checked both
	p.prevChain, _ = parseChain(h.PrevChain)
	if h.LogID == logID {
		p.index = h.LastIndex
	}
	return p
}

// head describes a segment up to this place.
func (p *place) head(node, logID string, number uint64, name string, open bool) Head {
	return Head{
		Version: 1, Node: node, Segment: number, File: name, PrevChain: p.prevChain.String(),
		FirstSeq: p.seq - p.records + 1, LastSeq: p.seq, Records: p.records, Bytes: p.off, Chain: p.chain.String(),
		FirstTime: p.first.String(), LastTime: p.last.String(), LastIndex: p.index, LogID: logID, Open: open,
	}
}
