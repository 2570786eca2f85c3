package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// VerifyOptions say what [Verify] may rely on.
type VerifyOptions struct {
	// Heads are those committed to Raft for this node, closed and checkpoints, in any order. They are trusted. Without
	// them nobody can see that the end of the log, or all of its heads, were removed.
	Heads []Head
	// VerifyHead checks signatures; nil leaves them unchecked. With it an unsigned head file is a finding.
	VerifyHead VerifyFunc
	// PrunedThrough is the last segment that was archived elsewhere and is not expected; 0 if all are.
	PrunedThrough uint64
	// MaxFindings ends the collection (not the reading). Default 1000.
	MaxFindings int
}

// Verify reads the log in dir, of a running node or a copy, and compares it with its hash chain, its heads and the
// committed ones. It needs nothing but the files. What it found stands in the report; the error says that the log could
// not be read to its end, or that ctx ended.
func Verify(ctx context.Context, dir string, opts VerifyOptions) (Report, error) {
	names, err := dirFS{dir}.names()
	if err != nil {
		return Report{}, fmt.Errorf("audit: listing the log: %w", err)
	}
	if opts.MaxFindings <= 0 {
		opts.MaxFindings = 1000
	}
	v := &verifier{ctx: ctx, dir: dir, opts: opts, committed: make(map[uint64][]Head), good: make(map[uint64]bool)}
	v.found.max = opts.MaxFindings
	v.chain = chainCheck{report: &v.found, hash: newHasher()}
	listed := list(names)
	v.report.TornFiles = listed.torn
	slots := v.expect(listed.slots)
	err = v.slots(slots)
	v.chain.finish()
	v.late()
	v.report.Truncated = v.found.truncated
	for _, f := range v.found.list {
		v.report.Findings = append(v.report.Findings, *f)
	}
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Line, b.Line))
	})
	return v.report, err
}

// verifier is a verification under way.
type verifier struct {
	ctx       context.Context
	dir       string
	opts      VerifyOptions
	committed map[uint64][]Head // by segment, in the order of LastSeq
	found     findings
	chain     chainCheck
	report    Report
	good      map[uint64]bool // segments whose head file has a good signature
	headless  bool            // the segment being read is closed, but has no head file
	pending   []pendingHead
}

// expect sorts the committed heads and adds the segments that only they know.
func (v *verifier) expect(slots []slot) []slot {
	for _, h := range v.opts.Heads {
		if v.report.Node == "" {
			v.report.Node = h.Node
		}
		if err := h.valid(); err != nil || h.Node != v.report.Node {
			v.found.add(Finding{Kind: BadHead, Segment: h.Segment, Detail: "a committed head is invalid or of another node"})
			continue
		}
		if h.Segment <= v.opts.PrunedThrough {
			continue
		}
		if h.Signed() {
			v.signature(h, "the committed head")
		}
		v.committed[h.Segment] = append(v.committed[h.Segment], h)
		if !slices.ContainsFunc(slots, func(s slot) bool { return s.number == h.Segment }) {
			slots = append(slots, slot{number: h.Segment})
		}
	}
	for _, heads := range v.committed {
		slices.SortFunc(heads, func(a, b Head) int { return cmp.Compare(a.LastSeq, b.LastSeq) })
	}
	slots = slices.DeleteFunc(slots, func(s slot) bool { return s.number <= v.opts.PrunedThrough })
	slices.SortFunc(slots, func(a, b slot) int { return cmp.Compare(a.number, b.number) })
	return slots
}

func (v *verifier) slots(slots []slot) error {
	next := v.opts.PrunedThrough + 1
	for i, s := range slots {
		if s.number > next {
			v.found.add(Finding{Kind: MissingSegment, Segment: next, Detail: fmt.Sprintf("segments %d to %d are not there, nor are their heads", next, s.number-1)})
			v.chain.jump(nil)
		}
		if err := v.slot(s, i == len(slots)-1); err != nil {
			return err
		}
		next = s.number + 1
	}
	return nil
}

// slot verifies one segment with its heads.
func (v *verifier) slot(s slot, last bool) error {
	side := v.sideHead(s)
	if v.report.Node == "" && side != nil {
		v.report.Node = side.Node
	}
	final := v.final(s, side, last)
	name := v.choose(s, final)
	at := lineAt{segment: s.number, file: name}
	if name == "" {
		f := Finding{Kind: MissingSegment, Segment: s.number, Detail: "the segment is not there"}
		known := v.committed[s.number]
		if final == nil && len(known) > 0 {
			final = &known[len(known)-1]
		}
		if final != nil {
			f.File, f.FirstSeq, f.LastSeq = final.File, final.FirstSeq, final.LastSeq
		}
		v.found.add(f)
		v.chain.jump(final)
		return nil
	}
	before := v.found.odd
	stop := v.endOf(s.number, final)
	if stop != nil && !v.chain.known && v.chain.last == 0 {
		// What comes before is archived or missing; the head knows how it ended.
		v.chain.start(stop.FirstSeq-1, stop.PrevChain)
	}
	read, err := v.segment(at, final != nil, stop)
	if err != nil {
		return fmt.Errorf("audit: reading %s: %w", name, err)
	}
	at.line, at.offset = read.lines, read.place.off
	v.chain.end(at, stop, v.report.SealedSeq)
	if final != nil && v.found.odd == before {
		v.compareHead(at, final, &read)
	}
	if v.headless && v.found.odd == before {
		v.pending = append(v.pending, pendingHead{at: at, read: &read})
	} else if v.headless {
		v.missingHead(at)
	}
	v.report.Segments++
	return nil
}

// endOf returns the head that states up to where the segment reaches at least: the final one, or the last checkpoint.
func (v *verifier) endOf(number uint64, final *Head) *Head {
	if final != nil {
		return final
	}
	if heads := v.committed[number]; len(heads) > 0 {
		return &heads[len(heads)-1]
	}
	return nil
}

// sideHead reads the head file of a segment; nil if it is missing or unusable.
func (v *verifier) sideHead(s slot) *Head {
	name := s.head()
	if name == "" {
		return nil
	}
	bad := func(why string) *Head {
		v.found.add(Finding{Kind: BadHead, Segment: s.number, File: name, Detail: why})
		return nil
	}
	if len(s.heads) > 1 {
		return bad("the segment has more than one head file")
	}
	data, err := dirFS{v.dir}.read(name, maxHead+1)
	if err != nil {
		return bad(fmt.Sprintf("the head cannot be read: %v", err))
	}
	h, err := ParseHead(data)
	switch {
	case err != nil:
		return bad(err.Error())
	case h.Segment != s.number || headName(h.File) != name:
		return bad(fmt.Sprintf("the head is the one of segment %d, %s", h.Segment, h.File))
	case h.Open:
		return bad("the head of a closed segment is only a checkpoint")
	case v.report.Node != "" && h.Node != v.report.Node:
		return bad(fmt.Sprintf("the head is of node %s, the log of node %s", h.Node, v.report.Node))
	}
	if v.opts.VerifyHead != nil && !h.Signed() {
		v.pending = append(v.pending, pendingHead{at: lineAt{segment: s.number, file: h.File}, unsigned: &h})
	} else {
		v.good[s.number] = v.signature(h, name)
	}
	return &h
}

// signature checks a head's signature, if that can be done, and tells whether it is good.
func (v *verifier) signature(h Head, name string) bool {
	if v.opts.VerifyHead == nil {
		return false
	}
	if err := h.Check(v.opts.VerifyHead); err != nil {
		v.found.add(Finding{Kind: BadSignature, Segment: h.Segment, File: name, FirstSeq: h.FirstSeq, LastSeq: h.LastSeq, Detail: err.Error()})
		return false
	}
	v.report.SignaturesChecked++
	return true
}

// final returns the head that closes the segment: the committed one, else the file's; nil for the open segment.
func (v *verifier) final(s slot, side *Head, last bool) *Head {
	var committed *Head
	for i, h := range v.committed[s.number] {
		if !h.Open {
			committed = &v.committed[s.number][i]
		}
	}
	v.headless = s.head() == "" && s.segment() != "" && (!last || committed != nil)
	if committed == nil {
		return side
	}
	if side != nil && !slices.Equal(side.Digest(), committed.Digest()) {
		v.found.add(Finding{Kind: BadHead, Segment: s.number, File: s.head(), Detail: "the head differs from the committed one"})
	}
	return committed
}

// choose returns the name of the segment's file and reports others with its number.
func (v *verifier) choose(s slot, final *Head) string {
	name := s.segment()
	if final != nil && slices.Contains(s.segments, final.File) {
		name = final.File
	}
	for _, other := range s.segments {
		if other != name {
			v.found.add(Finding{Kind: ExtraSegment, Segment: s.number, File: other, Detail: "segment " + name + " has the same number"})
		}
	}
	return name
}

// segmentRead is what was read of one segment.
type segmentRead struct {
	place place
	lines int
}

// segment reads one segment's lines.
func (v *verifier) segment(at lineAt, closed bool, stop *Head) (segmentRead, error) {
	f, err := os.Open(filepath.Join(v.dir, at.file))
	if err != nil {
		return segmentRead{}, err
	}
	defer f.Close()
	var read segmentRead
	marks := v.committed[at.segment]
	r := newLineReader(f, 0)
	for {
		line, err := r.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && line.number%1024 == 0 {
			err = v.ctx.Err()
		}
		if err != nil {
			return read, err
		}
		at.line, at.offset = line.number, line.offset
		if line.partial {
			v.found.add(finding(Inserted, at, "the segment ends in a line that is too long to be a record"))
			break
		}
		v.line(at, line, &read)
		marks = v.compareMarks(at, marks)
	}
	if rest := r.rest(); len(rest.text) > 0 {
		at.line, at.offset, at.seq = rest.number, rest.offset, 0
		if !closed {
			v.report.IncompleteTail = true
		} else if v.chain.last >= stop.LastSeq {
			v.found.add(finding(Inserted, at, "the segment ends in an incomplete line"))
		}
	}
	return read, nil
}

func (v *verifier) line(at lineAt, line oneLine, read *segmentRead) {
	text := line.text
	if line.long {
		text = nil
	}
	t, ok := parseLine(text)
	if ok && v.report.Node == "" {
		v.report.Node = string(t.node)
	}
	if ok && string(t.node) != v.report.Node {
		v.found.add(finding(Inserted, at, fmt.Sprintf("the record is of node %s, the log of node %s", t.node, v.report.Node)))
		return
	}
	if at.segment == 1 && line.number == 1 && v.report.Node != "" {
		v.chain.start(0, genesis(v.report.Node).String())
	}
	read.lines = line.number
	v.chain.read(at, text)
	read.place.off = line.end
	if !ok {
		return
	}
	if v.report.FirstSeq == 0 {
		v.report.FirstSeq = t.seq
	}
	v.report.Records++
	v.report.LastSeq = max(v.report.LastSeq, t.seq)
	v.report.LastIndex = max(v.report.LastIndex, t.index)
	if t.first {
		read.place.prevChain = t.prev
	}
	read.place.add(0, &t, "", eventTimeOf(text[:t.record]))
}

// compareMarks compares the chain with the checkpoints at this record. It returns those that are still to come.
func (v *verifier) compareMarks(at lineAt, marks []Head) []Head {
	for len(marks) > 0 && marks[0].LastSeq <= v.chain.last {
		h := marks[0]
		marks = marks[1:]
		if h.LastSeq < v.chain.last || !v.chain.known {
			continue // the record itself is missing or was passed over, which is a finding already
		}
		v.report.HeadsChecked++
		if v.chain.chain.String() == h.Chain {
			v.report.SealedSeq = max(v.report.SealedSeq, h.LastSeq)
			continue
		}
		f := finding(Changed, at, "the chain is not the one in the committed head: records were rewritten together with their chain")
		f.FirstSeq, f.LastSeq = max(h.FirstSeq, v.report.SealedSeq+1), h.LastSeq
		v.found.add(f)
		v.chain.contradicted(at.segment, h.Chain)
		return nil
	}
	return marks
}

// compareHead compares the rest of what a head states with a segment that is otherwise sound.
func (v *verifier) compareHead(at lineAt, h *Head, read *segmentRead) {
	got := read.place.head(h.Node, h.LogID, h.Segment, at.file, false)
	got.LastIndex, got.KeyID, got.Signature = h.LastIndex, h.KeyID, h.Signature
	if got != *h {
		v.found.add(finding(BadHead, lineAt{segment: at.segment, file: headName(h.File)}, "the head does not describe the segment's records"))
		return
	}
	if len(v.committed[at.segment]) == 0 {
		v.report.HeadsChecked++
	}
	if v.good[at.segment] {
		v.report.SealedSeq = max(v.report.SealedSeq, h.LastSeq)
	}
}
