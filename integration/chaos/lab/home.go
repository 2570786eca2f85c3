//go:build linux

package lab

import (
	"context"
	"fmt"
	"time"
)

// shareIdentities makes a region the home of the identities of all others, as their operators do it. From then on clients use its root
// credentials everywhere.
func (l *Lab) shareIdentities(ctx context.Context, home *Region) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, r := range l.Regions {
		if r == home {
			continue
		}
		if err := r.follow(ctx, home); err != nil {
			return fmt.Errorf("%s follows the identities of %s: %w", r.Name, home.Name, err)
		}
	}
	l.Home = home
	return nil
}

// follow has the region follow the identities of another one.
func (r *Region) follow(ctx context.Context, home *Region) error {
	giver, n := home.Nodes[0], r.Nodes[0]
	err := eventually(ctx, home.Name+" shares its identities", func() error {
		_, err := giver.trent(ctx, "operator", "region", "share", r.Name, "--config", giver.config)
		return err
	})
	if err != nil {
		return err
	}
	err = eventually(ctx, "it has taken over the identities", func() error {
		_, err := n.trent(ctx, "operator", "region", "home", home.Name, "--replace", "--config", n.config)
		return err
	})
	if err == nil {
		r.AccessKeyID, r.Secret = home.AccessKeyID, home.Secret
	}
	return err
}
