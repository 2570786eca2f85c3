//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// federate joins the regions as their operators do: the first makes a token for each other one, which accepts it, and those that
// are federated already confirm the newcomer.
func (l *Lab) federate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	first := l.Regions[0]
	for i, r := range l.Regions[1:] {
		if err := r.accept(ctx, first); err != nil {
			return fmt.Errorf("federate %s with %s: %w", r.Name, first.Name, err)
		}
		for _, other := range l.Regions[1 : 1+i] {
			n := other.Nodes[0]
			err := eventually(ctx, other.Name+" confirms "+r.Name, func() error {
				_, err := n.trent(ctx, "operator", "federate", "confirm", r.Name, "--config", n.config)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return eventually(ctx, "all regions are federated", func() error {
		for _, r := range l.Regions {
			if err := r.federated(ctx, len(l.Regions)-1); err != nil {
				return err
			}
		}
		return nil
	})
}

// accept has the region use a token of another one.
func (r *Region) accept(ctx context.Context, from *Region) error {
	giver, n := from.Nodes[0], r.Nodes[0]
	token, err := giver.trent(ctx, "operator", "federate", "token", r.Name, "--config", giver.config)
	if err != nil {
		return err
	}
	file := filepath.Join(n.Dir, "region-token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		return err
	}
	_, err = n.trent(ctx, "operator", "federate", "accept", "--token-file", file, "--config", n.config)
	return err
}

// federated returns an error unless the region is federated with so many others and hears them.
func (r *Region) federated(ctx context.Context, others int) error {
	n := r.Nodes[0]
	out, err := n.trent(ctx, "operator", "regions", "--format", "json", "--config", n.config)
	if err != nil {
		return err
	}
	var all []struct {
		Region, State string
		Reachable     bool
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return err
	}
	for _, o := range all {
		if o.State == "federated" && o.Reachable {
			others--
		} else if o.State != "self" {
			return fmt.Errorf("%s is %s in %s, reachable: %t", o.Region, o.State, r.Name, o.Reachable)
		}
	}
	if others != 0 {
		return fmt.Errorf("%s knows too few regions: %d are missing", r.Name, others)
	}
	return nil
}
