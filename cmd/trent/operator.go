package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

func operatorCommand() *cobra.Command {
	return group("operator", "Set up and look after a node", initCommand(), accountCommand(), joinCommand(), joinTokenCommand(), membersCommand(), removeCommand(), stepDownCommand(), statusCommand(),
		snapshotCommand(), hsmCommand(), quotasCommand(), rotateCommand(), recoveryKeyCommand(), recoverCommand(), debugCommand(),
		federateCommand(), unfederateCommand(), regionsCommand(), regionCommand())
}

// initResult is what operator init prints. The secret is shown once and stored sealed.
type initResult struct {
	ClusterID       string `json:"clusterId"`
	NodeID          string `json:"nodeId"`
	Region          string `json:"region"`
	Account         string `json:"account"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
}

func initCommand() *cobra.Command {
	var (
		path, credentials string
		form              format
		ifNew             bool
	)
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new region on this node: domain key, first account, root credentials",
		Long: "Make a new region on this node. It makes the region's domain key inside the HSM and the root credentials of\n" +
			"the first account, which are printed once. The server must not be running.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return usageError{err}
			}
			if ifNew {
				if exists, err := cluster.HasNode(filepath.Join(cfg.DataDir, "raft")); err != nil || exists {
					return err
				}
			}
			if credentials != "" {
				return initInto(cmd.Context(), cfg, credentials)
			}
			return runInit(cmd.Context(), cfg, cmd.OutOrStdout(), form)
		},
	}
	cmd.Flags().StringVar(&path, "config", "trent.hcl", "configuration file")
	cmd.Flags().BoolVar(&ifNew, "if-new", false, "do nothing if the data directory holds a node")
	cmd.Flags().StringVar(&credentials, "credentials-file", "", "write the result to this file as JSON, readable by its owner only, instead of printing it")
	formatFlag(cmd, &form)
	return cmd
}

// initInto makes the region and leaves what init prints in a file, so that where standard output is kept no secret is in it.
func initInto(ctx context.Context, cfg *config.File, file string) error {
	var out bytes.Buffer
	defer func() { clear(out.Bytes()) }()
	if err := runInit(ctx, cfg, &out, formatJSON); err != nil {
		return err
	}
	return writeDurably(file, out.Bytes())
}

func runInit(ctx context.Context, cfg *config.File, out io.Writer, form format) error {
	if err := protectProcess(); err != nil {
		return err
	}
	exists, err := cluster.HasNode(filepath.Join(cfg.DataDir, "raft"))
	if err != nil {
		return err
	}
	if c, err := net.Dial("unix", cfg.AdminSocket); exists && err == nil {
		_ = c.Close()
		return heldError{fmt.Errorf("a node runs with %s, so region %s is made already: 'trent operator status' shows the node. Further nodes join the region: "+
			"'trent operator join-token create' on this one makes a token for 'trent operator join' on the other; another region wants an empty data directory",
			cfg.DataDir, cfg.Region)}
	}
	n, err := openNode(cfg, newLogger(cfg.Log), !exists)
	if err != nil {
		return err
	}
	defer n.close(context.Background())
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.readable(ctx); err != nil {
		return err
	}
	st, err := n.service.View(ctx)
	if err != nil {
		return err
	}
	if r := st.Region(); r != nil {
		return heldError{fmt.Errorf("%s already holds region %s (cluster %s): start it with 'trent server', or use an empty data directory for another region",
			cfg.DataDir, r.Name, r.ClusterID)}
	}
	if err := n.waitForLeadership(ctx); err != nil {
		return err
	}
	id, secret := newCredentials()
	defer clear(secret)
	ids := n.cluster.Identity()
	if err := n.service.Initialize(ctx, region.InitConfig{
		ClusterID: ids.ClusterID, Account: cfg.Account, AccessKeyID: id, Secret: shape.NewSecret(secret),
	}); err != nil {
		return err
	}
	return printInit(out, form, initResult{ids.ClusterID, ids.NodeID, cfg.Region, cfg.Account, id, string(secret)})
}

func printInit(out io.Writer, form format, r initResult) error {
	if form == formatJSON {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := fmt.Fprintf(out, `Region %s is made. This node is %s of cluster %s.

Root credentials of account %s. They are shown once; keep them safe:

  AWS_ACCESS_KEY_ID=%s
  AWS_SECRET_ACCESS_KEY=%s

Start the node with 'trent server --config FILE'.
`, r.Region, r.NodeID, r.ClusterID, r.Account, r.AccessKeyID, r.SecretAccessKey)
	return err
}

func hsmCommand() *cobra.Command {
	var (
		path string
		form format
	)
	cmd := &cobra.Command{
		Use:   "hsm",
		Short: "Show what the node's HSM can do",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return usageError{err}
			}
			m, err := openHSM(cfg, false, newLogger(cfg.Log))
			if err != nil {
				return err
			}
			defer func() { _ = m.Close() }()
			return printHSM(cmd.OutOrStdout(), form, m)
		},
	}
	cmd.Flags().StringVar(&path, "config", "trent.hcl", "configuration file")
	formatFlag(cmd, &form)
	return cmd
}

// hsmReport is what operator hsm prints.
type hsmReport struct {
	hsm.Info
	Keys    []string `json:"keys"`
	Missing []string `json:"missing"`
}

func printHSM(out io.Writer, form format, m hsm.Module) error {
	caps := m.Capabilities()
	r := hsmReport{Info: m.Info(), Missing: caps.Missing}
	for use, algorithms := range caps.Keys {
		names := make([]string, len(algorithms))
		for i, a := range algorithms {
			names[i] = a.String()
		}
		r.Keys = append(r.Keys, fmt.Sprintf("%s %s: %s", use.Type, use.Usage, strings.Join(names, ", ")))
	}
	slices.Sort(r.Keys)
	if form == formatJSON {
		return json.NewEncoder(out).Encode(r)
	}
	_, err := fmt.Fprintf(out, "%s HSM %s %s, firmware %s, serial %s, token %q, FIPS %s\n\nkeys:\n  %s\n",
		r.Kind, r.Manufacturer, r.Model, r.Firmware, r.Serial, r.Label, r.FIPS, strings.Join(r.Keys, "\n  "))
	if len(r.Missing) > 0 {
		_, e := fmt.Fprintf(out, "\nnot available (such operations answer UnsupportedOperationException):\n  %s\n", strings.Join(r.Missing, "\n  "))
		err = errors.Join(err, e)
	}
	return err
}
