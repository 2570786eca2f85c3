package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cmd/trent/config"
)

// startTimeout bounds the time until a node can read its state and use its HSM.
const startTimeout = 60 * time.Second

func serverCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node of a region from a configuration file",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return usageError{err}
			}
			return runServer(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&path, "config", "trent.hcl", "configuration file")
	return cmd
}

func runServer(ctx context.Context, cfg *config.File) error {
	if err := protectProcess(); err != nil {
		return err
	}
	exists, err := cluster.HasNode(filepath.Join(cfg.DataDir, "raft"))
	if err != nil {
		return err
	}
	if !exists {
		return usageError{fmt.Errorf("%s holds no node; run 'trent operator init --config FILE' to make a region, or 'trent operator join' to join one", cfg.DataDir)}
	}
	n, err := openNode(cfg, newLogger(cfg.Log), false)
	if err != nil {
		return err
	}
	n.keepMembership()
	if err := n.serveAdmin(); err != nil {
		n.close(context.Background())
		return err
	}
	listeners, err := n.listen(ctx)
	if err != nil {
		// A node that was not ready may have nobody who signs the audit heads that wait; the next start does.
		limit, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n.close(limit)
		return err
	}
	n.work()
	n.log.Info("serving", "region", cfg.Region, "node", n.cluster.Identity().NodeID, "version", version)
	return n.run(ctx, listeners...)
}

// listen waits until the node is ready and opens its listeners.
func (n *node) listen(ctx context.Context) (opened []*listener, err error) {
	if err := n.awaitReady(ctx); err != nil {
		return nil, err
	}
	for i := range n.cfg.Listeners {
		o, err := n.openListener(&n.cfg.Listeners[i])
		if err != nil {
			for _, o := range opened {
				_ = o.Close()
			}
			return nil, err
		}
		opened = append(opened, o)
	}
	return opened, nil
}

// openListener opens one listener with what it serves.
func (n *node) openListener(l *config.Listener) (*listener, error) {
	if l.Serves == config.ServesOps {
		return open(*l, n.opsHandler(), n.log)
	}
	via, err := newEndpoint(n.life, l, n.log)
	if err != nil {
		return nil, err
	}
	return open(*l, n.disturb.handler(n.parting(n.server.HandlerVia(via))), n.log)
}

// awaitReady waits until the node is ready. One of several waits for as long as it takes: the others may be down, and it
// is needed when they come back.
func (n *node) awaitReady(ctx context.Context) error {
	if n.wire == nil {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		return n.ready(ctx)
	}
	for {
		limit, cancel := context.WithTimeout(ctx, startTimeout)
		err := n.ready(limit)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if removed := n.membership(); removed != nil {
			return removed
		}
		n.log.Warn("the node is not ready yet", "error", err)
		select {
		case err := <-n.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
