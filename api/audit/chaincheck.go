package audit

import "fmt"

// chainCheck follows the lines of all segments and tells what was done to them. A line that does not follow is not the
// end: the chain value that it states is taken on trust for the next one, so that one change is one finding.
type chainCheck struct {
	report *findings
	hash   *hasher

	// The end of what was read: the next line has to be record last+1 and to follow from chain.
	last  uint64
	chain chainSum
	known bool // chain is trustworthy enough to check the next line

	prev     lineAt   // the line that was read last, if good or taken
	before   chainSum // chain before prev
	beforeOK bool
	rival    chainSum // chain of a second line with prev's number that follows just as well
	rivalAt  *Finding // its finding, which stands until the next line decides between the two

	sealed    *chainSum // what a head says where the lines say something else: the next line may follow from either
	rewritten uint64    // segment in which a head contradicted the chain

	unreadable []lineAt // lines without a trailer since the last readable one
	gaps       []gap    // records that were not seen where they belong
}

// lineAt names a line in findings.
type lineAt struct {
	segment uint64
	file    string
	line    int
	offset  int64
	seq     uint64
}

// gap is a range of missing records, noticed at a line.
type gap struct {
	from, to uint64
	at       lineAt
}

// read takes the next line.
func (c *chainCheck) read(at lineAt, text []byte) {
	t, ok := parseLine(text)
	if !ok {
		c.unreadable = append(c.unreadable, at)
		if len(c.unreadable) > c.report.room() {
			c.unreadable = c.unreadable[:len(c.unreadable)-1]
			c.report.truncated = true
		}
		return
	}
	at.seq = t.seq
	if !c.known && c.last == 0 {
		// The first record there is, with nothing to tell which number it should have.
		c.last = t.seq - 1 - min(uint64(len(c.unreadable)), t.seq-1)
	}
	if t.seq <= c.last {
		c.old(at, text, &t)
		return
	}
	c.skipped(at, t.seq)
	c.follow(at, text, &t)
}

// follow takes the line as the next one, whether it follows from the chain or not.
func (c *chainCheck) follow(at lineAt, text []byte, t *trailer) {
	if !c.known && t.first {
		c.chain, c.known = t.prev, true
	}
	ok := !c.known || t.links(c.hash, c.chain, text)
	before, beforeOK := c.chain, c.known
	if !ok && c.sealed != nil && t.links(c.hash, *c.sealed, text) {
		before, ok = *c.sealed, true
	}
	c.sealed = nil
	if c.known && !ok && c.rivalAt != nil && t.links(c.hash, c.rival, text) {
		// The chain goes on from the second of the two lines with one number: the first is the foreign one.
		*c.rivalAt = finding(Inserted, c.prev, "the line is not part of the chain")
		before, ok = c.rival, true
	}
	if ok && t.first && c.known && t.prev != before {
		ok = false
	}
	c.rivalAt = nil
	if !ok {
		c.report.add(finding(Changed, at, "the record does not follow from its predecessor by the hash chain: it was changed, or the one before it was"))
	}
	c.last, c.chain, c.known = t.seq, t.chain, true
	c.prev, c.before, c.beforeOK = at, before, beforeOK
}

// old takes a line whose number was passed already.
func (c *chainCheck) old(at lineAt, text []byte, t *trailer) {
	c.inserted()
	if c.fill(t.seq, at) {
		return
	}
	if t.seq != c.last || !c.beforeOK || !t.links(c.hash, c.before, text) {
		c.report.add(finding(Inserted, at, "the record with this number stands elsewhere"))
		return
	}
	// It fits where the last line stands. If that one was found changed, it was put in front of the true one.
	if f := c.report.last(); f != nil && f.Kind == Changed && f.File == c.prev.file && f.Line == c.prev.line {
		*f = finding(Inserted, c.prev, "the line is not part of the chain")
		c.chain, c.prev = t.chain, at
		return
	}
	c.rivalAt = c.report.add(finding(Inserted, at, "two lines have this number and follow from the same record"))
	c.rival = t.chain
}

// skipped accounts for the numbers between the last line and seq, and for the unreadable lines in between.
func (c *chainCheck) skipped(at lineAt, seq uint64) {
	missing := seq - c.last - 1
	if missing == 0 {
		c.inserted()
		return
	}
	for _, line := range c.unreadable {
		if missing == 0 {
			c.report.add(finding(Inserted, line, "the line is not a record of the log"))
			continue
		}
		c.last++
		missing--
		line.seq = c.last
		c.report.add(finding(Changed, line, "the line is not readable as a record of the log"))
	}
	c.unreadable = c.unreadable[:0]
	c.report.odd++
	if missing > 0 && c.report.room() > len(c.gaps) {
		c.gaps = append(c.gaps, gap{c.last + 1, seq - 1, at})
	} else if missing > 0 {
		c.report.truncated = true
	}
	c.known = false
}

// inserted reports the unreadable lines as additions: no number is missing for them.
func (c *chainCheck) inserted() {
	for _, line := range c.unreadable {
		c.report.add(finding(Inserted, line, "the line is not a record of the log"))
	}
	c.unreadable = c.unreadable[:0]
}

// fill takes a late record out of the gaps.
func (c *chainCheck) fill(seq uint64, at lineAt) bool {
	for i, g := range c.gaps {
		if seq < g.from || seq > g.to {
			continue
		}
		c.report.add(finding(Reordered, at, fmt.Sprintf("the record belongs before line %d of %s", g.at.line, g.at.file)))
		c.gaps = append(c.gaps[:i], c.gaps[i+1:]...)
		if seq > g.from {
			c.gaps = append(c.gaps, gap{g.from, seq - 1, g.at})
		}
		if seq < g.to {
			c.gaps = append(c.gaps, gap{seq + 1, g.to, g.at})
		}
		return true
	}
	return false
}

// end compares the end of a segment with its head, and goes on from there. sealed is the last record that another head
// vouches for. Of an open segment h is the last checkpoint, or nil.
func (c *chainCheck) end(at lineAt, h *Head, sealed uint64) {
	if h == nil || h.Open && c.last >= h.LastSeq {
		return
	}
	for len(c.unreadable) > 0 && c.last < h.LastSeq {
		c.last++
		line := c.unreadable[0]
		line.seq, c.unreadable, c.known = c.last, c.unreadable[1:], false
		c.report.add(finding(Changed, line, "the line is not readable as a record of the log"))
	}
	c.inserted()
	chain, _ := parseChain(h.Chain)
	f := finding(Changed, at, "")
	switch {
	case c.last < h.LastSeq:
		f.Kind, f.FirstSeq, f.LastSeq = CutOff, c.last+1, h.LastSeq
		f.Detail = "the segment ends before the records that its head states"
	case c.last > h.LastSeq:
		f.Kind, f.FirstSeq, f.LastSeq = Inserted, h.LastSeq+1, c.last
		f.Detail = "the segment goes on after the last record that its head states"
	case c.known && c.chain != chain:
		f.Kind, f.FirstSeq, f.LastSeq = Changed, max(h.FirstSeq, sealed+1), h.LastSeq
		f.Detail = "the chain is not the one in the head: records were rewritten together with their chain"
	default:
		return
	}
	if f.Kind != Changed || c.rewritten != h.Segment {
		c.report.add(f)
	}
	c.last, c.chain, c.known = h.LastSeq, chain, true
	c.beforeOK, c.rivalAt, c.sealed = false, nil, nil
}

// contradicted goes on after a record at which a head states another chain.
func (c *chainCheck) contradicted(segment uint64, chain string) {
	sum, _ := parseChain(chain)
	c.sealed, c.rewritten = &sum, segment
}

// jump goes on after a segment that is not there, from its head if that is known.
func (c *chainCheck) jump(h *Head) {
	c.last, c.known = 0, false
	if h != nil {
		c.start(h.LastSeq, h.Chain)
	}
	c.beforeOK, c.rivalAt, c.sealed = false, nil, nil
}

// start tells what comes before the next line.
func (c *chainCheck) start(last uint64, chain string) {
	c.last = last
	c.chain, _ = parseChain(chain)
	c.known = true
}

// finish reports what stayed missing.
func (c *chainCheck) finish() {
	c.inserted()
	for _, g := range c.gaps {
		f := finding(Removed, g.at, "the records before this line are missing")
		f.FirstSeq, f.LastSeq = g.from, g.to
		c.report.add(f)
	}
	c.gaps = nil
}

func finding(kind Kind, at lineAt, detail string) Finding {
	return Finding{Kind: kind, Segment: at.segment, File: at.file, Line: at.line, Offset: at.offset, FirstSeq: at.seq, LastSeq: at.seq, Detail: detail}
}

// findings collects up to max findings.
type findings struct {
	list      []*Finding
	max       int
	truncated bool
	odd       int // grows with every finding, also with those that come later
}

func (f *findings) add(x Finding) *Finding {
	f.odd++
	if len(f.list) >= f.max {
		f.truncated = true
		return &x
	}
	f.list = append(f.list, &x)
	return &x
}

func (f *findings) room() int { return f.max - len(f.list) }

func (f *findings) last() *Finding {
	if len(f.list) == 0 {
		return nil
	}
	return f.list[len(f.list)-1]
}
