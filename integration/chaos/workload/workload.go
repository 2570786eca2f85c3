// Package workload holds what clients do to a cluster under test, each workload with the promise that it tests.
//
// A workload draws what it does from the random source that it is given, and from nothing else: the same seed gives each client the
// same choices, as far as the answers are the same.
package workload

import (
	"context"
	"math/rand"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// Workload is a kind of traffic and the promise that it tests.
type Workload interface {
	// Name is the workload's name, such as "lifecycle".
	Name() string
	// Setup makes what the clients work on. The cluster is whole.
	Setup(ctx context.Context, t *Target) error
	// Run is one client: it works until the context ends, and records each operation. Clients are numbered from 0; Run is called
	// at once for all of them, so that rec is called concurrently.
	Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op))
	// Check judges the history of this workload after the run. The cluster is healed and every node serves; Check may ask it. It
	// is given the operations of all workloads, in no order, and looks at those that it needs. With a target that has no regions it
	// judges a stored history, as far as a history alone can tell.
	Check(ctx context.Context, t *Target, ops []history.Op) []check.Anomaly
}

// Settler is a workload that waits, when the clients have stopped, for regions to agree. It is called before the checks, at once with those of
// other workloads, and returns what took too long.
type Settler interface {
	Settle(ctx context.Context, t *Target) []check.Anomaly
}

// All returns the workloads in the order in which their checks are to run: Audit reads what the checks of the others have asked, and
// comes last. Each is used for one run. Regions and Identities do nothing where there is one region only.
func All() []Workload {
	return []Workload{
		Lifecycle(), Rights(), Aliases(), Rotation(), Imports(), Ledger(), Storm(), Regions(), Identities(), Secrets(), Quotas(), Digests(), Audit(),
	}
}

// ByName returns the workload of a name, nil if there is none.
func ByName(name string) Workload {
	for _, w := range All() {
		if w.Name() == name {
			return w
		}
	}
	return nil
}
