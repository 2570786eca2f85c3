package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
)

// openAudit opens the node's audit log. Heads are signed in the HSM and committed to the replicated state.
func (n *node) openAudit(nodeID string) (*audit.Log, error) {
	return audit.Open(audit.Config{
		Dir: n.cfg.Audit.Dir, NodeID: nodeID, Fsync: audit.FsyncMode(n.cfg.Audit.Fsync), Interval: n.cfg.Audit.SyncInterval,
		SegmentSize: n.cfg.Audit.SegmentSize, SegmentAge: n.cfg.Audit.MaxAge, Signer: headSigner{n}, OnHead: n.commitHead, Fatal: n.fatal, Logger: n.log,
	})
}

var errStopping = errors.New("the node is stopping")

// headSigner signs audit heads with the region's key, once the state that names the key can be read.
type headSigner struct{ n *node }

// Sign implements audit.Signer.
func (s headSigner) Sign(ctx context.Context, digest []byte) (string, []byte, error) {
	if err := s.n.awaitState(ctx); err != nil {
		return "", nil, err
	}
	return s.n.service.SignAudit(ctx, digest)
}

// awaitState waits until the node is open and its state can be read. A node that is stopping has the state that it has.
func (n *node) awaitState(ctx context.Context) error {
	select {
	case <-n.opened:
	case <-ctx.Done():
		return fmt.Errorf("the node has not started: %w", ctx.Err())
	}
	if n.stopping.Load() {
		return nil
	}
	return n.readable(ctx)
}

// commitHead commits a signed head, so that a cut-off audit log is found even if the whole directory is replaced. A node that
// is stopping commits nothing more: its next start announces the newest head once again.
func (n *node) commitHead(ctx context.Context, h audit.Head) error {
	if n.stopping.Load() {
		return nil
	}
	if err := n.awaitState(ctx); err != nil {
		return err
	}
	chain, err := hex.DecodeString(h.Chain)
	if err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(h.Signature)
	if err != nil {
		return err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := n.service.PutAuditHead(ctx, fsm.AuditHead{
		NodeID: h.Node, Segment: h.Segment, LastSeq: h.LastSeq, Chain: chain, KeyID: h.KeyID, Sig: sig,
		At: n.service.Now().UnixMilli(), Closed: !h.Open, Head: text,
	}); err != nil {
		return err
	}
	return n.writeAuditHead(n.cluster.State())
}

// writeAuditHead writes the newest head that this node has committed into the data directory, for 'trent audit verify': only it
// knows of records that were cut off together with their heads.
func (n *node) writeAuditHead(st *fsm.State) error {
	h := n.committedHead(st)
	if h == nil {
		return nil
	}
	return writeDurably(filepath.Join(n.cfg.DataDir, auditHeadFile), append(bytes.Clone(h.Head), '\n'))
}

func (n *node) committedHead(st *fsm.State) *fsm.AuditHead {
	for h := range st.AuditHeads() {
		if h.NodeID == n.cluster.Identity().NodeID {
			return h
		}
	}
	return nil
}

// checkAuditEnd tells the operator if the log ends before the newest committed head. The node goes on: the records are gone either
// way, and a refusal would let whoever removed them stop the region too.
func (n *node) checkAuditEnd(st *fsm.State) {
	end := n.audit.Status().LastSeq
	if h := n.committedHead(st); h != nil && h.LastSeq > end {
		n.log.Error("the audit log was cut off or replaced: it ends before the head that this node has committed; run 'trent audit verify'",
			"lastRecord", end, "committedRecord", h.LastSeq, "segment", h.Segment)
	}
}
