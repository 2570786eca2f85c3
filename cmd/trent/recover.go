package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

func recoverCommand() *cobra.Command {
	return group("recover", "Recover from a lost majority or lost root credentials, on the node's own machine", recoverQuorumCommand(), recoverRootCommand())
}

// quorumReport is what recover quorum says.
type quorumReport struct {
	Region     string `json:"region"`
	OldCluster string `json:"oldCluster"`
	ClusterID  string `json:"clusterId,omitempty"` // empty in a dry run
	NodeID     string `json:"nodeId"`
	LastIndex  uint64 `json:"lastIndex"`
	Term       uint64 `json:"term"`
	Accounts   int    `json:"accounts"`
	Keys       int    `json:"keys"`
	// Left are the nodes of the old cluster, which the new one does not have.
	Left   []string `json:"left"`
	Kept   string   `json:"kept,omitempty"` // where the old state is
	DryRun bool     `json:"dryRun,omitempty"`
}

func recoverQuorumCommand() *cobra.Command {
	var path string
	var form format
	var dryRun, yes bool
	cmd := &cobra.Command{
		Use: "quorum", Short: "Begin a new cluster with what this node has, when the majority is lost for good", Args: arguments(cobra.NoArgs),
		Long: "Begin a new cluster of the region with what this node has, when the majority of the nodes is lost for good. The server must not\n" +
			"be running, and no other node of the old cluster may ever run again: empty their data directories and join them as new nodes.\n\n" +
			"Run it with --dry-run on every node that is left and take the one with the highest term and, among those, last index. Changes\n" +
			"that only lost nodes had are lost, acknowledged or not; a change that this node had and that was never acknowledged counts.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return usageError{err}
			}
			if err := protectProcess(); err != nil {
				return err
			}
			r, err := recoverQuorum(cmd.Context(), cfg, dryRun, yes)
			if err != nil {
				return err
			}
			if form == formatJSON {
				return encode(cmd.OutOrStdout(), r)
			}
			return printQuorum(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().StringVar(&path, "config", "trent.hcl", "configuration file")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what this node has and do nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "confirm that the other nodes never run again")
	formatFlag(cmd, &form)
	return cmd
}

func printQuorum(out io.Writer, r *quorumReport) error {
	_, err := fmt.Fprintf(out, "region %s, cluster %s\nnode %s: term %d, last index %d; %d accounts, %d keys\nother nodes of the old cluster: %s\n",
		r.Region, r.OldCluster, r.NodeID, r.Term, r.LastIndex, r.Accounts, r.Keys, strings.Join(r.Left, ", "))
	if r.DryRun {
		_, e := fmt.Fprintln(out, "nothing was done")
		return errors.Join(err, e)
	}
	_, e := fmt.Fprintf(out, "This node is the one node of cluster %s now; the old state is in %s.\nStart it with 'trent server', and join further nodes as new ones.\n", r.ClusterID, r.Kept)
	return errors.Join(err, e)
}

func recoverQuorum(ctx context.Context, cfg *config.File, dryRun, yes bool) (*quorumReport, error) {
	st, on, err := loadStopped(cfg, dryRun || !yes)
	if err != nil {
		return nil, err
	}
	g := st.Region()
	if g == nil {
		return nil, errors.New("the node holds no region")
	}
	r := &quorumReport{Region: g.Name, OldCluster: on.Identity.ClusterID, NodeID: on.Identity.NodeID, LastIndex: on.LastIndex, Term: on.Term, Left: []string{}, DryRun: dryRun}
	for a := range st.Accounts("") {
		r.Accounts++
		for range st.Keys(a.ID, "") {
			r.Keys++
		}
	}
	_, servers := st.Config()
	for _, s := range servers.Servers {
		if string(s.ID) != r.NodeID {
			r.Left = append(r.Left, fmt.Sprintf("%s (%s)", s.ID, s.Address))
		}
	}
	switch {
	case dryRun:
		return r, nil
	case !yes:
		return nil, heldError{fmt.Errorf("a new cluster begins with what node %s has (term %d, last index %d), and these nodes must never run again: %s. Confirm with --yes",
			r.NodeID, r.Term, r.LastIndex, strings.Join(r.Left, ", "))}
	}
	b := &birth{cfg: cfg, state: st, event: region.OperatorEvent{Name: "RecoverQuorum", Details: []region.Note{
		{Name: "oldCluster", Value: r.OldCluster}, {Name: "lastIndex", Value: fmt.Sprint(r.LastIndex)}, {Name: "lost", Value: strings.Join(r.Left, ", ")},
	}}}
	if err := b.run(ctx); err != nil {
		return nil, fmt.Errorf("recover: %w (what was there before is untouched)", err)
	}
	r.ClusterID, r.Kept = b.rein.ClusterID, b.kept
	return r, nil
}

// loadStopped reads the state of the node in the data directory. Records of changes that the node did not know to be committed go
// to its audit log, unless it only looks.
func loadStopped(cfg *config.File, look bool) (*fsm.State, cluster.Stopped, error) {
	o := fsm.Options{Fatal: func(error) {}}
	raftDir := filepath.Join(cfg.DataDir, "raft")
	if !look {
		id, err := nodeID(cfg.DataDir)
		if err != nil {
			return nil, cluster.Stopped{}, err
		}
		log, err := openStoppedAudit(cfg, id)
		if err != nil {
			return nil, cluster.Stopped{}, err
		}
		defer closeStoppedAudit(log)
		n := &node{audit: log}
		o.Sink = n.sink
	}
	machine, err := fsm.New(o)
	if err != nil {
		return nil, cluster.Stopped{}, err
	}
	on, err := cluster.Load(raftDir, machine)
	return machine.State(), on, err
}

// openStoppedAudit opens the audit log of a node that does not run.
func openStoppedAudit(cfg *config.File, id string) (*audit.Log, error) {
	return audit.Open(audit.Config{Dir: cfg.Audit.Dir, NodeID: id, SegmentSize: cfg.Audit.SegmentSize, Signer: stoppedSigner{}, Logger: slog.New(slog.DiscardHandler)})
}

// closeStoppedAudit closes it. Heads that could not be signed wait for the next start.
func closeStoppedAudit(log *audit.Log) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = log.Close(ctx)
}

// stoppedSigner signs nothing, so that heads wait for a node that runs.
type stoppedSigner struct{}

// Sign implements audit.Signer.
func (stoppedSigner) Sign(context.Context, []byte) (string, []byte, error) {
	return "", nil, errors.New("the node does not run")
}

// lastRecorded is the highest index among the records of the node's audit log.
func lastRecorded(cfg *config.File, id string) (uint64, error) {
	log, err := openStoppedAudit(cfg, id)
	if err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	defer closeStoppedAudit(log)
	return log.LastIndex(), nil
}

// rootWish is the body of POST /v1/root-credentials.
type rootWish struct {
	Account   string `json:"account,omitempty"`   // the configuration's if empty
	RevokeOld bool   `json:"revokeOld,omitempty"` // delete the root user's other access keys
}

// rootGiven is its answer. The secret is shown once.
type rootGiven struct {
	Account         string   `json:"account"`
	AccessKeyID     string   `json:"accessKeyId"`
	SecretAccessKey string   `json:"secretAccessKey"`
	Deleted         []string `json:"deleted,omitempty"`
}

func (n *node) adminRootCredentials(ctx context.Context, r *http.Request) (any, error) {
	var in rootWish
	if err := decodeAdmin(r, &in); err != nil {
		return nil, err
	}
	if in.Account == "" {
		in.Account = n.cfg.Account
	}
	id, secret := newCredentials()
	defer clear(secret)
	deleted, err := n.service.RecoverRoot(ctx, in.Account, id, shape.NewSecret(secret), in.RevokeOld)
	if err != nil {
		return nil, err
	}
	n.log.Warn("new root credentials were made over the admin socket", "account", in.Account, "accessKey", id, "deleted", deleted)
	return rootGiven{in.Account, id, string(secret), deleted}, nil
}

func recoverRootCommand() *cobra.Command {
	var f adminFlags
	var in rootWish
	var dryRun bool
	cmd := &cobra.Command{
		Use: "root-credentials", Short: "Make new root credentials of an account, over the node's own socket", Args: arguments(cobra.NoArgs),
		Long: "Make new root credentials of an account, over the socket of the node on this machine, which only its user and root can open.\n" +
			"It is audited. With --revoke-old the root user's other access keys are deleted.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dryRun {
				return f.print(cmd.OutOrStdout(), map[string]any{"account": in.Account, "revokeOld": in.RevokeOld, "dryRun": true}, func(w io.Writer) error {
					what := "would make an access key of the root user"
					if in.RevokeOld {
						what += " and delete all its other access keys"
					}
					_, err := fmt.Fprintln(w, what+"; nothing was done")
					return err
				})
			}
			var given rootGiven
			if err := f.call(cmd.Context(), http.MethodPost, "/v1/root-credentials", in, &given); err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), given, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Root credentials of account %s. They are shown once:\n\n  AWS_ACCESS_KEY_ID=%s\n  AWS_SECRET_ACCESS_KEY=%s\n", given.Account, given.AccessKeyID, given.SecretAccessKey)
				return err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.Account, "account", "", "account, that of the configuration if empty")
	cmd.Flags().BoolVar(&in.RevokeOld, "revoke-old", false, "delete the root user's other access keys")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "do nothing")
	return cmd
}
