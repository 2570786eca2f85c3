package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/fsm"
)

// openAudit opens the node's audit log. Heads are signed in the HSM and committed to the replicated state.
func (n *node) openAudit(nodeID string) (*audit.Log, error) {
	return audit.Open(audit.Config{
		Dir: n.cfg.Audit.Dir, NodeID: nodeID, Fsync: audit.FsyncMode(n.cfg.Audit.Fsync), Interval: n.cfg.Audit.SyncInterval,
		SegmentSize: n.cfg.Audit.SegmentSize, Signer: headSigner{n}, OnHead: n.commitHead, Fatal: n.fatal, Logger: n.log,
	})
}

// headSigner signs audit heads once the service is there.
type headSigner struct{ n *node }

// Sign implements audit.Signer.
func (s headSigner) Sign(ctx context.Context, digest []byte) (string, []byte, error) {
	if s.n.service == nil {
		return "", nil, errNotStarted
	}
	return s.n.service.SignAudit(ctx, digest)
}

// commitHead commits a signed head, so that a cut-off audit log is found even if the whole directory is replaced. A node that
// is stopping commits nothing more: its next start announces the newest head once again.
func (n *node) commitHead(ctx context.Context, h audit.Head) error {
	if n.stopping.Load() {
		return nil
	}
	if n.service == nil {
		return errNotStarted
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
	return n.service.PutAuditHead(ctx, fsm.AuditHead{
		NodeID: h.Node, Segment: h.Segment, LastSeq: h.LastSeq, Chain: chain, KeyID: h.KeyID, Sig: sig,
		At: n.service.Now().UnixMilli(), Closed: !h.Open, Head: text,
	})
}
