package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/backup"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/recovery"
	"github.com/trentkms/trent/region"
)

// restoring is one restore.
type restoring struct {
	config, file             string
	recoveryFile, passphrase string
	trails                   []string
	acceptRevival, replace   bool
	dryRun                   bool
	format                   format
}

// restoreReport is what a restore says.
type restoreReport struct {
	Snapshot *snapshotReport `json:"snapshot"`
	// ClusterID is the new cluster's; empty in a dry run.
	ClusterID string `json:"clusterId,omitempty"`
	NodeID    string `json:"nodeId,omitempty"`
	// NotRevived are keys and materials that were deleted since the snapshot and stay so.
	NotRevived []string `json:"notRevived"`
	// Reapply was taken away since and is back: do it again. Lost is what else happened since.
	Reapply []trailChange `json:"reapply"`
	Lost    []trailChange `json:"lost"`
	Gaps    []string      `json:"gaps,omitempty"`
	Kept    string        `json:"kept,omitempty"` // where the state that was replaced is
	DryRun  bool          `json:"dryRun,omitempty"`
}

func snapshotRestoreCommand() *cobra.Command {
	var r restoring
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Begin a new cluster of the region with the state of a snapshot", Args: arguments(cobra.ExactArgs(1)),
		Long: "Begin a new cluster of the region with the state of a snapshot, on this node. No node of the old cluster may run on; further\n" +
			"nodes join as new ones. The server must not be running.\n\n" +
			"The HSM must hold the domain key, or take it in by way of a recovery key. Give the audit logs written since the snapshot\n" +
			"(--audit-trail, once for each node's): keys and material that were deleted since are not revived, and what was revoked or\n" +
			"changed since is listed, to be done again. Without a trail that is complete the restore needs --accept-revival.\n\n" +
			"Until the new state is complete the old one is not touched; what --replace replaces is kept beside it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.file = args[0]
			return r.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.config, "config", "trent.hcl", "configuration file")
	flags.StringArrayVar(&r.trails, "audit-trail", nil, "directory with the audit log of a node since the snapshot; can be given more than once")
	flags.BoolVar(&r.acceptRevival, "accept-revival", false, "restore although deleted keys and revoked rights may come back; it is audited")
	flags.BoolVar(&r.replace, "replace", false, "replace the state that the data directory holds")
	flags.BoolVar(&r.dryRun, "dry-run", false, "check everything, say what would be done and do nothing")
	flags.StringVar(&r.recoveryFile, "recovery-key", "", "recovery key by which the HSM takes the domain key in")
	passphraseFlag(cmd, &r.passphrase)
	formatFlag(cmd, &r.format)
	return cmd
}

func (r *restoring) run(cmd *cobra.Command) error {
	cfg, err := config.Load(r.config)
	if err != nil {
		return usageError{err}
	}
	if err := protectProcess(); err != nil {
		return err
	}
	exists, err := cluster.HasNode(filepath.Join(cfg.DataDir, "raft"))
	if err != nil {
		return err
	}
	if exists && !r.replace {
		return heldError{fmt.Errorf("%s holds a node already; --replace puts the snapshot in its place and keeps what is there", cfg.DataDir)}
	}
	key, err := readRecoveryKey(r.recoveryFile, r.passphrase, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if _, err := checkDigest(r.file); err != nil { // before anything in it is believed
		return err
	}
	ctx := cmd.Context()
	h, st, err := r.read(ctx, cfg, key)
	if err != nil {
		return err
	}
	report, rein, err := r.judge(ctx, cfg, h, st)
	if err != nil {
		return err
	}
	if r.dryRun {
		report.DryRun = true
		return r.print(cmd.OutOrStdout(), report)
	}
	if len(report.Gaps) > 0 && !r.acceptRevival {
		return errors.Join(r.print(cmd.ErrOrStderr(), report),
			heldError{fmt.Errorf("keys that were deleted and rights that were revoked since the snapshot could come back: %s. Give a complete --audit-trail, or accept that with --accept-revival", strings.Join(report.Gaps, "; "))})
	}
	ev := region.OperatorEvent{Name: "RestoreSnapshot", Details: []region.Note{
		{Name: "snapshotIndex", Value: fmt.Sprint(h.Index)}, {Name: "snapshotTime", Value: report.Snapshot.RegionTime.Format(time.RFC3339)},
		{Name: "snapshotDigest", Value: report.Snapshot.Digest}, {Name: "oldCluster", Value: h.ClusterID},
		{Name: "acceptRevival", Value: fmt.Sprint(r.acceptRevival)}, {Name: "notRevived", Value: fmt.Sprint(len(report.NotRevived))},
	}}
	b := &birth{cfg: cfg, state: st, rein: *rein, event: ev}
	if err := b.run(ctx); err != nil {
		return fmt.Errorf("restore: %w (what was there before is untouched)", err)
	}
	report.ClusterID, report.NodeID, report.Kept = b.rein.ClusterID, string(b.rein.Server.ID), b.kept
	return r.print(cmd.OutOrStdout(), report)
}

// read opens the snapshot, and brings the domain key into the HSM unless nothing is to be changed.
func (r *restoring) read(ctx context.Context, cfg *config.File, key *recovery.Key) (h *backup.Header, st *fsm.State, err error) {
	if !r.dryRun {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return nil, nil, fmt.Errorf("data directory: %w", err)
		}
	}
	module, err := openHSM(cfg, !r.dryRun, newLogger(cfg.Log))
	if err != nil {
		if r.dryRun && key != nil {
			return readSnapshot(r.file, func(f *backup.File) ([]byte, error) { return region.OpenBackupOffline(ctx, f, key) })
		}
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, module.Close()) }()
	return readSnapshot(r.file, func(f *backup.File) ([]byte, error) {
		if f.Header.Region != cfg.Region || f.Header.Partition != cfg.Partition {
			return nil, usageError{fmt.Errorf("the snapshot is of region %s of partition %s, the configuration says %s of %s: keys would have other ARNs",
				f.Header.Region, f.Header.Partition, cfg.Region, cfg.Partition)}
		}
		if key != nil && r.dryRun {
			return region.OpenBackupOffline(ctx, f, key)
		}
		if err := region.TakeDomains(ctx, module, &f.Header, key); err != nil {
			return nil, err
		}
		in, err := sealedKeyOf(f)
		if err != nil {
			return nil, err
		}
		return region.OpenBackupKey(ctx, module, in.Domain, in.Binding, in.Sealed)
	})
}

// judge decides what does not come back.
func (r *restoring) judge(ctx context.Context, cfg *config.File, h *backup.Header, st *fsm.State) (*restoreReport, *fsm.Reincarnation, error) {
	report := &restoreReport{Snapshot: headerReport(h), NotRevived: []string{}}
	report.Snapshot.count(st)
	t := &trail{Gaps: []string{"no audit trail was given"}}
	if len(r.trails) > 0 {
		var err error
		if t, err = readTrail(ctx, r.trails, h.Index); err != nil {
			return nil, nil, fmt.Errorf("audit trail: %w", err)
		}
	}
	report.Reapply, report.Lost, report.Gaps = t.Revoked, t.Lost, t.Gaps
	rein := &fsm.Reincarnation{}
	for _, ref := range t.Keys {
		if st.Key(ref.Account, ref.ID) != nil {
			rein.Keys = append(rein.Keys, ref)
			report.NotRevived = append(report.NotRevived, "key "+ref.ID+" of account "+ref.Account)
		}
	}
	for _, m := range t.Materials {
		if k := st.Key(m.Key.Account, m.Key.ID); k != nil && slices.ContainsFunc(k.Materials, func(o fsm.Material) bool { return o.Present() && string(o.ID) == string(m.ID) }) {
			rein.Materials = append(rein.Materials, m)
			report.NotRevived = append(report.NotRevived, fmt.Sprintf("material %x of key %s of account %s", m.ID, m.Key.ID, m.Key.Account))
		}
	}
	return report, rein, nil
}

func (r *restoring) print(out io.Writer, report *restoreReport) error {
	if r.format == formatJSON {
		return encode(out, report)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "snapshot of region %s, %s, index %d: %d accounts, %d keys, %d grants\n", report.Snapshot.Region,
		report.Snapshot.RegionTime.Format(time.RFC3339), report.Snapshot.Index, report.Snapshot.Accounts, report.Snapshot.Keys, report.Snapshot.Grants)
	for _, g := range report.Gaps {
		fmt.Fprintln(&b, "WARNING:", g)
	}
	fmt.Fprintf(&b, "%d deleted since and not revived\n", len(report.NotRevived))
	for _, what := range report.NotRevived {
		fmt.Fprintln(&b, "  ", what)
	}
	fmt.Fprintf(&b, "%d revoked or changed since and in force again as before: do this again\n", len(report.Reapply))
	printChanges(&b, report.Reapply)
	fmt.Fprintf(&b, "%d other changes since, which are lost\n", len(report.Lost))
	printChanges(&b, report.Lost)
	if slices.ContainsFunc(report.Lost, func(c trailChange) bool {
		return c.Event == "SynchronizeMultiRegionKey" || c.Event == "SynchronizeIdentities"
	}) {
		fmt.Fprintln(&b, "What had come from other regions they tell again, and what they know of this one's multi-Region keys, once the node runs.")
	}
	switch {
	case report.DryRun:
		fmt.Fprintln(&b, "nothing was done")
	case report.ClusterID != "":
		fmt.Fprintf(&b, "restored as cluster %s, node %s\n", report.ClusterID, report.NodeID)
		if report.Kept != "" {
			fmt.Fprintf(&b, "what was there before is in %s\n", report.Kept)
		}
		fmt.Fprintln(&b, "Start it with 'trent server', reapply what is listed, and join further nodes as new ones.")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func printChanges(b *strings.Builder, all []trailChange) {
	for _, c := range all {
		fmt.Fprintf(b, "  %s %s", c.Time.Format(time.RFC3339), c.Event)
		if c.Resource != "" {
			fmt.Fprintf(b, " %s", c.Resource)
		}
		if c.Principal != "" {
			fmt.Fprintf(b, " by %s", c.Principal)
		}
		if len(c.Request) > 0 && string(c.Request) != "null" {
			fmt.Fprintf(b, " %s", c.Request)
		}
		b.WriteByte('\n')
	}
}

// birth begins a new cluster with a state, beside the one in the data directory, and takes its place in the end.
type birth struct {
	cfg   *config.File
	state *fsm.State
	rein  fsm.Reincarnation // ClusterID and Server are filled in
	event region.OperatorEvent
	kept  string // where the state that was replaced is
}

func (b *birth) run(ctx context.Context) error {
	id, err := nodeID(b.cfg.DataDir)
	if err != nil {
		return err
	}
	b.rein.ClusterID = cluster.NewID()
	b.rein.Server = raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(id)}
	if b.cfg.Cluster != nil {
		b.rein.Server.Address = raft.ServerAddress(clusterAddress(b.cfg))
	}
	b.event.Details = append(b.event.Details, region.Note{Name: "newCluster", Value: b.rein.ClusterID})
	if b.rein.Above, err = lastRecorded(b.cfg, id); err != nil {
		return err
	}
	state, err := fsm.Reincarnate(b.state, b.rein)
	if err != nil {
		return err
	}
	staged := filepath.Join(b.cfg.DataDir, "raft.new")
	if err := os.RemoveAll(staged); err != nil { // of an attempt that was cut off
		return err
	}
	err = cluster.Seed(staged, cluster.Identity{NodeID: id, ClusterID: b.rein.ClusterID}, state)
	if err == nil {
		err = b.announce(ctx, staged)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(staged))
	}
	return b.takePlace(staged)
}

// announce starts the new cluster for a moment: the HSM has to hold its domain keys, and its first change is the record of how it
// came to be.
func (b *birth) announce(ctx context.Context, staged string) error {
	alone := *b.cfg
	alone.Cluster = nil // nobody else is to reach it yet
	n, err := openNodeAt(&alone, staged, newLogger(b.cfg.Log), false)
	if err != nil {
		return err
	}
	defer n.close(context.Background())
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.readable(ctx); err != nil {
		return err
	}
	if err := n.waitForLeadership(ctx); err != nil {
		return err
	}
	if err := n.service.Unlock(ctx); err != nil {
		return err
	}
	if err := n.service.RecordEvent(ctx, b.event); err != nil {
		return err
	}
	n.log.Warn("a new cluster has begun", "event", b.event.Name, "cluster", b.rein.ClusterID)
	return n.audit.Sync(ctx)
}

// takePlace moves the new state to where the node looks for it. The certificate is the old cluster's and goes with the old state.
func (b *birth) takePlace(staged string) error {
	place := filepath.Join(b.cfg.DataDir, "raft")
	if _, err := os.Stat(place); err == nil {
		b.kept = filepath.Join(b.cfg.DataDir, "raft.replaced-"+time.Now().UTC().Format("20060102T150405.000"))
		if err := os.Rename(place, b.kept); err != nil {
			return err
		}
	}
	if err := os.Rename(staged, place); err != nil {
		if b.kept != "" {
			err = errors.Join(err, os.Rename(b.kept, place))
		}
		return err
	}
	certificate := filepath.Join(b.cfg.DataDir, certificateFile)
	if _, err := os.Stat(certificate); err == nil && b.kept != "" {
		if err := os.Rename(certificate, filepath.Join(b.kept, certificateFile)); err != nil {
			return fmt.Errorf("remove the old cluster's certificate, %s: %w", certificate, err)
		}
	}
	return syncDir(b.cfg.DataDir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
