package fsm

import "errors"

func (c *PutAuditHead) check() error {
	h := &c.Head
	return errors.Join(
		checkName("node id", h.NodeID, maxID),
		checkBytes("chain value", h.Chain, 1, maxSecret),
		checkBytes("signature", h.Sig, 1, maxSecret),
		checkBytes("encoded head", h.Head, 0, maxBlob),
		checkName("audit key id", h.KeyID, maxPrincipal),
		checkTime("At", h.At),
		checkBytes("head", h.Head, 0, maxHead),
	)
}

// maxHead bounds an encoded audit head, in bytes.
const maxHead = 16 << 10

// applyPutAuditHead keeps one head for each node, the latest: the chain goes on from one segment to the next, so that
// the head vouches for all segments before it.
func applyPutAuditHead(t *tx, c *PutAuditHead) outcome {
	head := c.Head
	if old := t.auditHead(head.NodeID); old != nil && !head.after(old) {
		return conflict("the audit head is not ahead of the one recorded")
	}
	t.put(tableAuditHeads, &head)
	return done()
}

// after reports whether h is a later head of the same node than old.
func (h *AuditHead) after(old *AuditHead) bool {
	switch {
	case h.Segment != old.Segment:
		return h.Segment > old.Segment
	case old.Closed:
		return false
	case h.LastSeq != old.LastSeq:
		return h.LastSeq > old.LastSeq
	}
	return h.Closed
}
