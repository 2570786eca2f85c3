package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region"
)

// joinKeyFile holds the node's key while it joins, so that a request whose answer was lost can be repeated. It is removed once
// the key is sealed under the region's domain key.
const joinKeyFile = "cluster-join.key"

func joinCommand() *cobra.Command {
	var path, token, tokenFile, via string
	var mixed, ifNew bool
	cmd := &cobra.Command{
		Use:   "join",
		Short: "Make this node a node of an existing region",
		Long: "Make this node a node of an existing region. It needs a token of 'trent operator join-token create' and the cluster\n" +
			"address of any node of the region, or of a TCP load balancer before them. Start the node with 'trent server' afterwards:\n" +
			"it catches up and gets its vote by itself.",
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
			t, err := readToken(token, tokenFile, cmd.InOrStdin())
			if err != nil {
				return usageError{err}
			}
			if err := protectProcess(); err != nil {
				return err
			}
			if err := joinRegion(cmd.Context(), cfg, t, via, mixed); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "This node belongs to region %s now. Start it with 'trent server --config %s'.\n", cfg.Region, path)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "config", "trent.hcl", "configuration file")
	f.StringVar(&token, "token", "", "the join token; others can see it in the list of processes, so prefer --token-file")
	f.StringVar(&tokenFile, "token-file", "", "file with the join token, - for standard input")
	f.StringVar(&via, "via", "", "cluster address of a node of the region, host:port")
	f.BoolVar(&ifNew, "if-new", false, "do nothing if the data directory holds a node")
	f.BoolVar(&mixed, "allow-mixed-hsm", false, "join although the HSM is of another kind than those of the region (a migration)")
	_ = cmd.MarkFlagRequired("via") // fails for unknown flags only
	return cmd
}

func readToken(token, file string, stdin io.Reader) (t transport.JoinToken, err error) {
	if (token == "") == (file == "") {
		return t, errors.New("give the join token with exactly one of --token and --token-file")
	}
	b := []byte(token)
	switch {
	case file == "-":
		b, err = io.ReadAll(io.LimitReader(stdin, 4096))
	case file != "":
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return t, fmt.Errorf("read the join token: %w", err)
	}
	defer clear(b)
	return transport.ParseJoinToken(string(bytes.TrimSpace(b)))
}

// joinRegion joins a region and prepares the data directory for trent server. It can be repeated after a failure.
func joinRegion(ctx context.Context, cfg *config.File, token transport.JoinToken, via string, mixed bool) error {
	if cfg.Cluster == nil {
		return usageError{errors.New("the configuration has no cluster block; a node of several needs one")}
	}
	raftDir := filepath.Join(cfg.DataDir, "raft")
	exists, err := cluster.HasNode(raftDir)
	if err != nil {
		return err
	}
	if exists {
		return usageError{fmt.Errorf("%s holds a node already; to join another region, use an empty data directory", cfg.DataDir)}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	module, err := openHSM(cfg, true, newLogger(cfg.Log))
	if err != nil {
		return err
	}
	defer func() { _ = module.Close() }()
	return joinRegionWith(ctx, cfg, module, token, via, mixed)
}

// joinRegionWith is joinRegion with an HSM that is open, in a data directory that is there and holds no node.
func joinRegionWith(ctx context.Context, cfg *config.File, module hsm.Module, token transport.JoinToken, via string, mixed bool) error {
	raftDir := filepath.Join(cfg.DataDir, "raft")
	id, err := nodeID(cfg.DataDir)
	if err != nil {
		return err
	}
	key, err := joinKey(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("the node's key: %w", err)
	}
	joined, err := region.JoinRegion(ctx, region.Joining{
		Token: token, Via: via, NodeID: id, Address: clusterAddress(cfg), Region: cfg.Region, HSM: module, Key: key, AllowMixed: mixed,
	})
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := saveCertificate(ctx, cfg.DataDir, module, joined.Domain, joined.Credentials, key); err != nil {
		return err
	}
	if err := cluster.Create(raftDir, cluster.Identity{NodeID: id, ClusterID: joined.ClusterID}); err != nil {
		return err
	}
	return os.Remove(filepath.Join(cfg.DataDir, joinKeyFile))
}

// clusterAddress is where other nodes reach the node.
func clusterAddress(cfg *config.File) string {
	if cfg.Cluster.Advertise != "" {
		return cfg.Cluster.Advertise
	}
	return cfg.Cluster.Address
}

// joinKey makes the node's key, or reads that of an attempt before.
func joinKey(dataDir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dataDir, joinKeyFile)
	der, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := transport.NewKey()
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		defer clear(der)
		return key, writeDurably(path, der)
	}
	if err != nil {
		return nil, err
	}
	defer clear(der)
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it and join with a new token", path, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds another kind of key; remove it and join with a new token", path)
	}
	return key, nil
}
