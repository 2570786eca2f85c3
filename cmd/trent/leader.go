package main

import (
	"context"
	"fmt"
	"time"
)

// waitForLeadership waits until this node leads: a new region is made by the one node that there is.
func (n *node) waitForLeadership(ctx context.Context) error {
	for {
		if _, ok := n.cluster.Leading(); ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("this node did not become the leader: %w", ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}
