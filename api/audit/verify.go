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
