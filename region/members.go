package region

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
)

// Members looks after the nodes of a region: who belongs to it, their certificates, and the domain keys wrapped for their
// HSMs. The leader decides; every other node passes on what it is asked. It is safe for concurrent use.
type Members struct {
	service *Service
	node    *cluster.Node
	wire    *transport.Server
	log     *slog.Logger
	one     sync.Mutex // one change of the region's nodes at a time
	ready   atomic.Bool
	methods peerMethods
	wake    chan struct{} // tells Keep that there may be something to do

	rotationWake chan struct{}          // tells Rotate that a rotation has begun
	waiting      atomic.Pointer[string] // what the rotation waits for
	destroying   sync.Mutex             // one destruction of domain keys at a time
	certificates sync.Mutex             // one change of this node's certificate at a time
	save         saveFunc               // under certificates; nil until Keep runs
}

// saveFunc makes a node's certificate and its key durable, the key sealed under the active domain key version.
type saveFunc func(ctx context.Context, c *transport.Credentials, key crypto.Signer) error

// NewMembers makes the membership of a node with a port.
func NewMembers(s *Service, node *cluster.Node, wire *transport.Server) *Members {
	m := &Members{
		service: s, node: node, wire: wire, log: s.log, wake: make(chan struct{}, 1), rotationWake: make(chan struct{}, 1),
		methods: peerMethods{leader: make(map[string]PeerHandler), node: make(map[string]PeerHandler)},
	}
	fetch := m.fetchDomain
	s.late.fetch.Store(&fetch)
	return m
}

// Member says why a node may not propose or call: it does not belong to the configuration that this node has applied. The
// leader's is never behind.
func (m *Members) Member(id string) error {
	_, cfg := m.node.State().Config()
	for _, s := range cfg.Servers {
		if string(s.ID) == id {
			return nil
		}
	}
	return fmt.Errorf("%w (%s)", cluster.ErrNoSuchMember, id)
}

// Refused says why connections of a node are refused: its id was removed. A node that this one does not know is not
// refused, since certificates are given to members only: it has joined and this node has not heard of it yet. Refusing it
// would cut a node that comes back off from a leader that joined while it was away.
func Refused(st *fsm.State, id string) error {
	if st.Removed(id) {
		return fmt.Errorf("%w (%s)", cluster.ErrRemoved, id)
	}
	return nil
}

// MemberInfo is a node of the region.
type MemberInfo struct {
	cluster.Member
	FeatureLevel int       `json:"featureLevel,omitempty"`
	JoinedAt     time.Time `json:"joinedAt,omitzero"`
	// Pending tells that the node was admitted and is not in the Raft configuration yet.
	Pending bool `json:"pending,omitempty"`
}

// List lists the nodes of the region as the leader sees them.
func (m *Members) List(ctx context.Context) (all []MemberInfo, err error) {
	return all, m.atLeader(ctx, methodMembers, struct{}{}, &all)
}

func (m *Members) members(ctx context.Context) ([]MemberInfo, error) {
	st := m.node.State()
	var all []MemberInfo
	seen := map[string]bool{}
	for _, member := range m.node.Members(ctx) {
		info := MemberInfo{Member: member}
		if row := st.Node(member.ID); row != nil {
			info.FeatureLevel, info.JoinedAt = row.FeatureLevel, time.UnixMilli(row.JoinedAt).UTC()
		}
		seen[member.ID] = true
		all = append(all, info)
	}
	for row := range st.Nodes() {
		if !seen[row.ID] {
			all = append(all, MemberInfo{Member: cluster.Member{ID: row.ID, Address: row.Address}, FeatureLevel: row.FeatureLevel,
				JoinedAt: time.UnixMilli(row.JoinedAt).UTC(), Pending: true})
		}
	}
	return all, nil
}

// Remove takes a node out of the region for good. If it is the leader, it gives leadership away first. Since the node's HSM
// still holds the domain key, the caller should see to a rotation of it.
func (m *Members) Remove(ctx context.Context, id string) error {
	return m.atLeader(ctx, methodRemove, id, nil)
}

// MayRemove tells whether Remove would be refused now, and changes nothing.
func (m *Members) MayRemove(ctx context.Context, id string) error {
	return m.atLeader(ctx, methodMayGo, id, nil)
}

func (m *Members) mayRemove(ctx context.Context, id string) error {
	st, err := m.service.View(ctx)
	if err != nil || st.Removed(id) {
		return err
	}
	err = m.node.MayRemove(ctx, id)
	if errors.Is(err, cluster.ErrNoSuchMember) && st.Node(id) != nil {
		return nil // admitted only
	}
	return err
}

func (m *Members) remove(ctx context.Context, id string) error {
	m.one.Lock()
	defer m.one.Unlock()
	st, err := m.service.View(ctx)
	if err != nil {
		return err
	}
	if st.Removed(id) {
		return nil
	}
	if id == m.node.Identity().NodeID {
		if err := m.mayLeave(ctx, id); err != nil {
			return err
		}
		if err := m.node.StepDown(ctx); err != nil {
			return fmt.Errorf("give leadership away before the removal: %w", err)
		}
		return cluster.ErrNotLeader // the next leader removes it
	}
	err = m.node.Remove(ctx, id)
	if errors.Is(err, cluster.ErrNoSuchMember) && st.Node(id) != nil {
		return m.service.proposeSetup(ctx, &fsm.ForgetNode{ID: id})
	}
	return err
}

// mayLeave refuses the removal of a leader that nobody can succeed, before it steps down.
func (m *Members) mayLeave(ctx context.Context, id string) error {
	up, voters := 0, 0
	for _, member := range m.node.Members(ctx) {
		if member.Voter && member.ID != id {
			voters++
			if member.Reachable {
				up++
			}
		}
	}
	if up < voters/2+1 {
		return fmt.Errorf("%w (%d of the %d voters that would stay answer)", cluster.ErrQuorum, up, voters)
	}
	return nil
}

// StepDown has the leader give leadership to the voter that is furthest.
func (m *Members) StepDown(ctx context.Context) error {
	return m.atLeader(ctx, methodStepDown, struct{}{}, nil)
}

// server is this node as the configuration that it has applied names it.
func (m *Members) server() (raft.Server, bool) {
	_, cfg := m.node.State().Config()
	for _, s := range cfg.Servers {
		if string(s.ID) == m.node.Identity().NodeID {
			return s, true
		}
	}
	return raft.Server{}, false
}
