package audit

import (
	"fmt"
	"slices"
)

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
