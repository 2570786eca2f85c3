//go:build trent_upcoming

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// upcoming uses the kind of command that only this build knows for as long as this node leads, and says what came of it.
func (n *node) upcoming() {
	n.cluster.WhileLeader("upcoming", func(ctx context.Context, _ uint64) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			cmd := fsm.Command{Attempt: 1, Body: fsm.Upcoming{}}
			_, _ = rand.Read(cmd.ID[:]) // never fails
			res, err := n.cluster.Propose(ctx, cmd)
			switch {
			case errors.Is(err, cluster.ErrOldNodes):
				n.log.Info("upcoming: refused, there are older nodes")
			case err == nil:
				n.log.Info("upcoming: committed", "index", res.Index)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}
