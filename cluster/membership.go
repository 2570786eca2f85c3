package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Errors of membership changes.
var (
	// ErrRemoved: the id was taken out of the group before. It must not come back: whoever has it now has forgotten what
	// the old node promised.
	ErrRemoved = errors.New("cluster: a node of this id was removed from the group; empty its data directory and join as a new node")
	// ErrMember: the id belongs to the group already, under another address.
	ErrMember = errors.New("cluster: a node of this id belongs to the group already")
	// ErrQuorum: the change would leave a group without a reachable majority.
	ErrQuorum = errors.New("cluster: the change would leave the group without a majority of reachable voters; bring the other nodes back first")
	// ErrNoSuchMember: the id is not in the configuration.
	ErrNoSuchMember = errors.New("cluster: no node of this id is in the group")
	// ErrBehind: the node has not caught up with the log.
	ErrBehind = errors.New("cluster: the node has not caught up with the log yet")
)

// Member is a node of the configuration, as this node sees it.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Leader  bool   `json:"leader"`
	// Reachable tells that it answered just now; the fields below are its answer.
	Reachable bool `json:"reachable"`
	// LastIndex is the end of its log, Applied what its state machine has applied, RoundTrip how long the answer took.
	LastIndex uint64        `json:"lastIndex"`
	Applied   uint64        `json:"appliedIndex"`
	RoundTrip time.Duration `json:"roundTripNanoseconds"`
	// LastContact is when it last answered a question of this node's, zero if it never did.
	LastContact time.Time `json:"lastContact"`
}

// memberTimeout bounds the question to one member.
const memberTimeout = time.Second

// Members asks every node of the configuration that this node has applied how it is. It takes at most a second.
func (n *Node) Members(ctx context.Context) []Member {
	_, cfg := n.fsm.State().Config()
	_, leader := n.raft.LeaderWithID()
	all := make([]Member, len(cfg.Servers))
	var asking sync.WaitGroup
	for i, s := range cfg.Servers {
		all[i] = Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Leader: s.ID == leader}
		asking.Go(func() { n.askMember(ctx, s, &all[i]) })
	}
	asking.Wait()
	return all
}

func (n *Node) askMember(ctx context.Context, s raft.Server, m *Member) {
	start := time.Now()
	a, err := n.question(ctx, s)
	if err == nil {
		m.Reachable, m.LastIndex, m.Applied, m.RoundTrip, m.LastContact = true, a.LastIndex, a.Applied, time.Since(start), time.Now()
		return
	}
	m.LastContact = n.clocks.heard(s.ID)
}

// question asks one node of the group, this one included.
func (n *Node) question(ctx context.Context, s raft.Server) (Answer, error) {
	if s.ID == n.server {
		return n.Answer(n.id.NodeID, n.id.ClusterID)
	}
	if n.cfg.Peers == nil {
		return Answer{}, errors.New("cluster: no way to ask other nodes is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	a, err := n.cfg.Peers.LastIndex(ctx, s, n.id.ClusterID)
	if err == nil && (a.NodeID != string(s.ID) || a.ClusterID != n.id.ClusterID) {
		err = ErrIdentity
	}
	return a, err
}

// member finds a node in the library's latest configuration. On a leader that is the one to change; it may not be
// committed yet, but no other change begins before it is.
func (n *Node) member(id string) (raft.Server, raft.Configuration, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return raft.Server{}, raft.Configuration{}, fmt.Errorf("cluster: %w", err)
	}
	cfg := f.Configuration()
	for _, s := range cfg.Servers {
		if string(s.ID) == id {
			return s, cfg, nil
		}
	}
	return raft.Server{}, cfg, fmt.Errorf("%w (%s)", ErrNoSuchMember, id)
}

// change runs one change of the configuration on the leader and waits until this node has applied it.
func (n *Node) change(ctx context.Context, what string, start func() raft.IndexFuture) error {
	if n.lead.Load() == nil {
		return ErrNotLeader
	}
	f := start()
	if err := n.await(ctx, f); err != nil {
		if isAny(err, raft.ErrNotLeader, raft.ErrLeadershipTransferInProgress) {
			return ErrNotLeader
		}
		return fmt.Errorf("cluster: %s: %w", what, err)
	}
	if _, err := n.Wait(ctx, f.Index()); err != nil {
		return fmt.Errorf("cluster: %s: committed, not yet applied here: %w", what, err)
	}
	return nil
}

// timeLeft is how long the library may wait until it takes a change in.
func timeLeft(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return max(time.Until(d), time.Millisecond)
	}
	return 10 * time.Second
}

// AddNonvoter adds a node that receives the log and has no vote. This node must lead. A node that is there under the same
// address stays as it is, voter or not; another address is ErrMember, a removed id ErrRemoved.
func (n *Node) AddNonvoter(ctx context.Context, id, address string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if n.fsm.State().Removed(id) {
		return fmt.Errorf("%w (%s)", ErrRemoved, id)
	}
	s, _, err := n.member(id)
	switch {
	case err == nil && string(s.Address) == address:
		return nil
	case err == nil:
		return fmt.Errorf("%w (%s at %s)", ErrMember, id, s.Address)
	case !errors.Is(err, ErrNoSuchMember):
		return err
	}
	return n.change(ctx, "add the node", func() raft.IndexFuture {
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, timeLeft(ctx))
	})
}

// promoteSlack is by how many entries a node may be behind when it gets its vote: what a busy log writes meanwhile.
const promoteSlack = 128

// Promote gives a node its vote, if it answers and has caught up; else ErrBehind. This node must lead.
func (n *Node) Promote(ctx context.Context, id string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	s, _, err := n.member(id)
	if err != nil || s.Suffrage == raft.Voter {
		return err
	}
	a, err := n.question(ctx, s)
	if err != nil {
		return fmt.Errorf("%w: it does not answer (%v)", ErrBehind, err)
	}
	if commit := n.raft.CommitIndex(); a.Applied+promoteSlack < commit {
		return fmt.Errorf("%w (%d of %d)", ErrBehind, a.Applied, commit)
	}
	return n.change(ctx, "promote the node", func() raft.IndexFuture {
		return n.raft.AddVoter(s.ID, s.Address, 0, timeLeft(ctx))
	})
}

// SetAddress changes the address by which the others reach a node; its vote stays as it is. This node must lead.
func (n *Node) SetAddress(ctx context.Context, id, address string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	s, _, err := n.member(id)
	if err != nil || string(s.Address) == address {
		return err
	}
	return n.change(ctx, "change the address", func() raft.IndexFuture {
		if s.Suffrage == raft.Voter {
			return n.raft.AddVoter(s.ID, raft.ServerAddress(address), 0, timeLeft(ctx))
		}
		return n.raft.AddNonvoter(s.ID, raft.ServerAddress(address), 0, timeLeft(ctx))
	})
}

// Remove takes another node out of the group for good; the state remembers its id. This node must lead; it cannot remove
// itself (StepDown first). It is refused with ErrQuorum unless a majority of the voters that stay answers now. A node that
// is not in the configuration is ErrNoSuchMember.
func (n *Node) Remove(ctx context.Context, id string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	s, cfg, err := n.member(id)
	if err != nil {
		return err
	}
	if s.ID == n.server {
		return errors.New("cluster: the leader cannot remove itself; give leadership away first")
	}
	if err := n.survives(ctx, cfg, s); err != nil {
		return err
	}
	return n.change(ctx, "remove the node", func() raft.IndexFuture {
		return n.raft.RemoveServer(s.ID, 0, timeLeft(ctx))
	})
}

// MayRemove tells whether Remove would be refused now, with the same errors. This node must lead; for itself it answers whether
// the others could do without it.
func (n *Node) MayRemove(ctx context.Context, id string) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	s, cfg, err := n.member(id)
	if err != nil {
		return err
	}
	return n.survives(ctx, cfg, s)
}

// survives tells whether the group works without a node, by asking those that stay.
func (n *Node) survives(ctx context.Context, cfg raft.Configuration, without raft.Server) error {
	stay := slices.DeleteFunc(raftVoters(cfg), func(s raft.Server) bool { return s.ID == without.ID })
	answers := make(chan bool, len(stay))
	for _, s := range stay {
		go func() {
			_, err := n.question(ctx, s)
			answers <- err == nil
		}()
	}
	up := 0
	for range stay {
		if <-answers {
			up++
		}
	}
	if up < len(stay)/2+1 {
		return fmt.Errorf("%w (%d of the %d voters that would stay answer)", ErrQuorum, up, len(stay))
	}
	return nil
}
