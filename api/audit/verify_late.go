package audit

import "time"

// On a running node the head of a segment that was just closed may not be there yet, or not yet be signed. Verify waits
// for it this long before it speaks of tampering; a copy, or the directory of a node that is down, is judged at once.
const lateHeadWait = 3 * time.Second

// pendingHead is a head to be looked at once more when all segments are read.
type pendingHead struct {
	at       lineAt
	read     *segmentRead // what its segment holds, if the head was missing
	unsigned *Head        // the head, if it was there without a signature
}

// late looks at the pending heads again.
func (v *verifier) late() {
	deadline := time.Now().Add(lateHeadWait)
	if len(v.pending) == 0 || !(dirFS{v.dir}).inUse() {
		deadline = time.Time{}
	}
	for _, p := range v.pending {
		h := v.lateHead(p)
		for !v.settled(h) && time.Now().Before(deadline) && v.ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			h = v.lateHead(p)
		}
		switch {
		case h == nil:
			v.missingHead(p.at)
		case p.unsigned != nil && string(h.Digest()) != string(p.unsigned.Digest()):
			v.found.add(Finding{Kind: BadHead, Segment: p.at.segment, File: headName(p.at.file), Detail: "the head changed while it was being verified"})
		default:
			if v.opts.VerifyHead != nil {
				v.good[p.at.segment] = v.signature(*h, headName(p.at.file))
			}
			if p.read != nil {
				v.compareHead(p.at, h, p.read)
			}
		}
	}
}

func (v *verifier) settled(h *Head) bool {
	return h != nil && (v.opts.VerifyHead == nil || h.Signed())
}

// lateHead reads a pending head again; nil if it is not there or not readable.
func (v *verifier) lateHead(p pendingHead) *Head {
	data, err := dirFS{v.dir}.read(headName(p.at.file), maxHead+1)
	if err != nil {
		return nil
	}
	h, err := ParseHead(data)
	if err != nil || h.Segment != p.at.segment || h.File != p.at.file || h.Node != v.report.Node || h.Open {
		return nil
	}
	return &h
}

func (v *verifier) missingHead(at lineAt) {
	v.found.add(Finding{Kind: BadHead, Segment: at.segment, File: headName(at.file), Detail: "the closed segment has no head file"})
}
