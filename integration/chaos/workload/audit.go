package workload

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// auditLogs makes no traffic: what the other workloads did is compared with what the nodes recorded.
type auditLogs struct{}

// Audit is W9: every answered call has its record in the union of the nodes' audit logs, none is of what never happened, copies are
// alike, and every log verifies.
func Audit() Workload { return auditLogs{} }

func (auditLogs) Name() string { return check.AuditName }

func (auditLogs) Setup(context.Context, *Target) error { return nil }

func (auditLogs) Run(context.Context, int, *rand.Rand, *Target, func(history.Op)) {}

// Check reads the nodes' logs and joins them with the history of all workloads. Calls whose answer is still on its way to a disk were
// answered after they were recorded, so that nothing is waited for but the copies of changes that slower nodes still apply.
func (w auditLogs) Check(ctx context.Context, t *Target, ops []history.Op) []check.Anomaly {
	if len(t.Regions) == 0 {
		return nil // a stored history
	}
	var (
		records   []check.Record
		anomalies []check.Anomaly
	)
	lost := make(map[string]bool)
	for _, r := range t.Regions {
		for _, n := range r.Nodes {
			if n.LostDisk || t.PowerCut {
				lost[n.Name] = true
			}
			some, err := readAudit(n)
			if err != nil {
				anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("the audit log of %s: %v", n.Name, err)})
			}
			records = append(records, some...)
			if err := verifyAudit(ctx, t, n); err != nil && !n.LostDisk {
				anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("the audit log of %s does not verify: %v", n.Name, err)})
			}
		}
	}
	for node := range absent(t, ops) {
		lost[node] = true
	}
	return append(anomalies, check.Audit(ops, records, lost)...)
}

// absent are the nodes that answered and are no members any more: their logs went with them.
func absent(t *Target, ops []history.Op) map[string]bool {
	gone := make(map[string]bool)
	for i := range ops {
		gone[ops[i].Node] = true
	}
	for _, r := range t.Regions {
		for _, n := range r.doors() {
			delete(gone, n.Name)
		}
	}
	delete(gone, everyNode)
	return gone
}

func readAudit(n Node) (records []check.Record, err error) {
	files, err := filepath.Glob(filepath.Join(n.AuditDir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no segment in %s", n.AuditDir)
	}
	for _, file := range files {
		segment, err := os.ReadFile(file)
		if err != nil {
			return records, err
		}
		some, err := check.ParseLog(n.Name, segment)
		if err != nil {
			return records, fmt.Errorf("%s: %w", file, err)
		}
		records = append(records, some...)
	}
	return append(records, formerAudit(n)...), nil
}

// formerAudit reads what the predecessors of a replaced node have recorded, which an operator keeps: of what happened before all nodes
// were replaced nothing else tells. What a fault has damaged is left out, and missed if nobody else has it.
func formerAudit(n Node) (records []check.Record) {
	files, _ := filepath.Glob(filepath.Join(n.AuditDir+".*", "*.jsonl")) // the pattern is good
	for _, file := range files {
		segment, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// Another life of the node: after a restore it may record once more what it did before.
		if some, err := check.ParseLog(n.Name+" before, "+filepath.Base(filepath.Dir(file)), segment); err == nil {
			records = append(records, some...)
		}
	}
	return records
}

// verifyAudit runs the operator's verification. The node writes meanwhile, so that a segment may end or begin between two looks: a
// finding has to stay.
func verifyAudit(ctx context.Context, t *Target, n Node) (err error) {
	if t.Binary == "" {
		return nil
	}
	for range 3 {
		var out []byte
		if out, err = exec.CommandContext(ctx, t.Binary, "audit", "verify", n.AuditDir).CombinedOutput(); err == nil {
			return nil
		}
		err = fmt.Errorf("%w: %s", err, out)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
	return err
}
