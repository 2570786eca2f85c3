//go:build linux

package nemesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/trentkms/trent/integration/chaos/lab"
)

// upgradeName is the fault that takes a region one stage further on its way to the next feature level. It is made beside other
// faults, in every third step, until the region is through.
const upgradeName = "upgrade"

func upgradeFaults() []Fault {
	return []Fault{{Name: upgradeName, Group: "upgrade", Needs: []string{"failpoints", "upgrade"}, Least: 300 * time.Millisecond, Most: 2 * time.Second, inject: upgrade}}
}

// newUsed is what the next version writes when it leads and all nodes know the command that only it has: it tries it all the time.
var newUsed = []byte("upcoming: committed")

// stage is one node's change of version.
type stage struct {
	node int // among the members
	next bool
}

// stages is the way of a region with so many nodes: node after node, and the first goes back once, at a moment when every other
// node that was upgraded stays. While it is back all others are upgraded, so that a level that it announced before its way back
// would let the new commands in.
func stages(nodes int) []stage {
	all := []stage{{0, true}}
	if nodes == 1 {
		return all
	}
	all = append(all, stage{0, false})
	for n := 1; n < nodes; n++ {
		all = append(all, stage{n, true})
	}
	return append(all, stage{0, true})
}

// errUpgraded tells that a region is through.
var errUpgraded = errors.New("every node runs the next version")

// upgrade changes the version of one node, whatever else is broken. It ends as its operator would end it, or is killed.
func upgrade(_ context.Context, e *env) (*active, error) {
	members := e.region.Members()
	way := stages(len(members))
	if e.region.Upgrade >= len(way) {
		return nil, errUpgraded
	}
	s := way[e.region.Upgrade]
	n := members[s.node]
	if n.Paused() || e.rng.Intn(2) == 0 {
		n.Kill()
	} else if err := n.Stop(); err != nil {
		e.log("%v", err) // it was killed
	}
	n.UseNext(s.next)
	e.region.Upgrade++
	if err := n.Start(); err != nil {
		return nil, err
	}
	what := "the next version"
	if !s.next {
		what = "its version before"
	}
	text := fmt.Sprintf("%s runs %s, stage %d of %d", n.Name, what, e.region.Upgrade, len(way))
	return &active{effect: func(context.Context) string { return text }}, nil
}

// earlyUse tells whether a command of the next level was used although there are nodes that do not know it: they cannot read the
// log any more.
func earlyUse(r *lab.Region) bool {
	return r.Upgrade > 0 && slices.ContainsFunc(r.Members(), func(n *lab.Node) bool { return !n.Next() }) && written(r, newUsed)
}

// settleUpgrade waits until a region knows the levels that its nodes really have, and uses the commands of the next level if all
// nodes know them.
func settleUpgrade(ctx context.Context, r *lab.Region) error {
	all := true
	next := map[string]bool{}
	for _, n := range r.Members() {
		all = all && n.Next()
		next[n.ID] = n.Next()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := errors.New("nobody was asked")
	for ctx.Err() == nil {
		if err = levels(ctx, r, next); err == nil && all && !written(r, newUsed) {
			err = errors.New("every node knows the commands of the next level, and nobody uses them")
		}
		if err == nil {
			break
		}
		pause(ctx, 100*time.Millisecond)
	}
	return err
}

// levels compares what the region's list of nodes says of their levels with the versions that they run.
func levels(ctx context.Context, r *lab.Region, next map[string]bool) error {
	members, err := r.List(ctx)
	if err != nil {
		return err
	}
	known := map[bool]int{}
	for _, m := range members {
		n, ok := next[m.ID]
		if !ok {
			continue
		}
		if level := known[n]; level != 0 && level != m.FeatureLevel {
			return fmt.Errorf("nodes of one version announce level %d and %d", level, m.FeatureLevel)
		}
		known[n] = m.FeatureLevel
	}
	if known[true] != 0 && known[true] <= known[false] {
		return fmt.Errorf("the next version announces level %d, the one before %d", known[true], known[false])
	}
	return nil
}

// written tells whether a node of the region has written a text.
func written(r *lab.Region, text []byte) bool {
	for _, n := range r.Nodes {
		b, err := os.ReadFile(n.LogFile())
		if err == nil && bytes.Contains(b, text) {
			return true
		}
	}
	return false
}
