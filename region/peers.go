package region

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
)

// PeerHandler serves one method of calls between nodes; peer is the asking node.
type PeerHandler func(ctx context.Context, peer string, payload []byte) ([]byte, error)

// peerMethods are the methods of the layers above, by where they are served.
type peerMethods struct{ leader, node map[string]PeerHandler }

// ServeAtLeader adds a method that the leader serves, ServeAtNode one that every node does. They must be called before the port
// serves anybody.
func (m *Members) ServeAtLeader(method string, h PeerHandler) { m.methods.leader[method] = h }

// ServeAtNode is described with ServeAtLeader.
func (m *Members) ServeAtNode(method string, h PeerHandler) { m.methods.node[method] = h }

// AskLeader asks the leader once, which may be this node. It is cluster.ErrNoLeader if there is none.
func (m *Members) AskLeader(ctx context.Context, method string, payload []byte) ([]byte, error) {
	return m.ask(ctx, method, payload)
}

// AskNode asks one node, which may be this one.
func (m *Members) AskNode(ctx context.Context, id, method string, payload []byte) ([]byte, error) {
	if id == m.node.Identity().NodeID {
		return m.Call(ctx, id, method, payload)
	}
	for _, s := range m.servers() {
		if string(s.ID) == id && m.wire != nil {
			return m.wire.Call(ctx, s, method, payload)
		}
	}
	return nil, cluster.ErrNoSuchMember
}

// Nodes are the ids of the region's nodes, as this node has applied them.
func (m *Members) Nodes() []string {
	var ids []string
	for _, s := range m.servers() {
		ids = append(ids, string(s.ID))
	}
	return ids
}

// Size is how many nodes the region has, as this node has applied it; at least 1.
func (m *Members) Size() int { return max(len(m.servers()), 1) }

func (m *Members) servers() []raft.Server {
	_, cfg := m.node.State().Config()
	return cfg.Servers
}
