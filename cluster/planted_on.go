//go:build chaos

package cluster

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
)

// plant sets the mutations that are planted. A test's own mutation stays.
func plant(m *mutation) {
	m.joinRunning = m.joinRunning || planted.Bug(planted.JoinRunningRound)
	m.nonvoters = m.nonvoters || planted.Bug(planted.CountNonvoters)
	m.anyLevel = m.anyLevel || planted.Bug(planted.IgnoreLevels)
	switch {
	case m.read != nil:
	case planted.Bug(planted.VerifyLeader):
		m.read = readVerified
	case planted.Bug(planted.LocalReads):
		m.read = readLocally
	}
}

// readVerified reads on a leader as many do: note the commit index, have VerifyLeader confirm the leadership, wait. It takes
// the precautions that there are, and is wrong (round.go says why).
func readVerified(ctx context.Context, n *Node) (*fsm.State, error) {
	if n.raft.State() != raft.Leader {
		return n.batches.view(ctx)
	}
	term, commit := n.raft.CurrentTerm(), n.raft.CommitIndex()
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ProposeTimeout)
	defer cancel()
	if err := n.await(ctx, futureFunc(func() error { return n.raft.VerifyLeader().Error() })); err != nil {
		return nil, ErrNoQuorum
	}
	if n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
		return nil, ErrNoQuorum
	}
	return n.fsm.Wait(ctx, commit)
}

// readLocally reads on a follower without asking anybody.
func readLocally(ctx context.Context, n *Node) (*fsm.State, error) {
	if n.raft.State() == raft.Leader {
		return n.batches.view(ctx)
	}
	return n.fsm.State(), nil
}
