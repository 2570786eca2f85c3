package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/cluster"
)

// Methods of calls between nodes.
const (
	methodJoin     = "join"
	methodAnnounce = "announce"
	methodRenew    = "renew"
	methodToken    = "join-token"
	methodMembers  = "members"
	methodRemove   = "remove"
	methodMayGo    = "may-remove"
	methodStepDown = "step-down"

	methodRotate         = "rotate-domain-key"
	methodRotation       = "domain-key-rotation"
	methodAddRecovery    = "add-recovery-key"
	methodRemoveRecovery = "remove-recovery-key"
	// These are served by every node.
	methodHold    = "hold-domain-keys"
	methodDestroy = "destroy-domain-keys"
)

// hops bounds how often a request follows the leader while leadership moves.
const hops = 40

// hopPause is the wait for a new leader.
const hopPause = 100 * time.Millisecond

// atLeader has the leader serve a method: this node, or another over the wire. It follows a change of leadership until ctx
// ends.
func (m *Members) atLeader(ctx context.Context, method string, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return err
	}
	for range hops {
		var b []byte
		if b, err = m.ask(ctx, method, payload); err == nil {
			if out == nil {
				return nil
			}
			return json.Unmarshal(b, out)
		}
		if !errors.Is(err, cluster.ErrNotLeader) && !errors.Is(err, cluster.ErrNoLeader) {
			return err
		}
		select {
		case <-time.After(hopPause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
	return err
}

func (m *Members) ask(ctx context.Context, method string, payload []byte) ([]byte, error) {
	if _, ok := m.node.Leading(); ok {
		return m.serve(ctx, m.node.Identity().NodeID, method, payload)
	}
	leader, ok := m.node.Leader()
	if !ok || string(leader.ID) == m.node.Identity().NodeID {
		return nil, cluster.ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return m.wire.Call(ctx, leader, method, payload)
}

// Call serves another node's call (transport.Handlers.Call).
func (m *Members) Call(ctx context.Context, peer, method string, payload []byte) ([]byte, error) {
	if h := m.methods.node[method]; h != nil {
		return h(ctx, peer, payload)
	}
	if method == methodHold || method == methodDestroy {
		return m.serveNode(ctx, method)
	}
	if _, ok := m.node.Leading(); !ok {
		return nil, cluster.ErrNotLeader
	}
	return m.serve(ctx, peer, method, payload)
}

// serve runs a method on the leader.
func (m *Members) serve(ctx context.Context, peer, method string, payload []byte) ([]byte, error) {
	switch method {
	case methodJoin:
		return handle(ctx, payload, m.admit)
	case methodAnnounce:
		return handle(ctx, payload, func(ctx context.Context, a announcement) (struct{}, error) {
			return struct{}{}, m.announced(ctx, peer, a)
		})
	case methodRenew:
		return handle(ctx, payload, func(ctx context.Context, request []byte) (certificates, error) {
			return m.issue(ctx, peer, request)
		})
	case methodToken:
		return handle(ctx, payload, m.newToken)
	case methodMembers:
		return handle(ctx, payload, func(ctx context.Context, _ struct{}) ([]MemberInfo, error) { return m.members(ctx) })
	case methodRemove:
		return handle(ctx, payload, func(ctx context.Context, id string) (struct{}, error) { return struct{}{}, m.remove(ctx, id) })
	case methodMayGo:
		return handle(ctx, payload, func(ctx context.Context, id string) (struct{}, error) { return struct{}{}, m.mayRemove(ctx, id) })
	case methodStepDown:
		return handle(ctx, payload, func(ctx context.Context, _ struct{}) (struct{}, error) { return struct{}{}, m.node.StepDown(ctx) })
	case methodRotate:
		return handle(ctx, payload, m.rotate)
	case methodRotation:
		return handle(ctx, payload, m.rotation)
	case methodAddRecovery:
		return handle(ctx, payload, m.addRecovery)
	case methodRemoveRecovery:
		return handle(ctx, payload, m.removeRecovery)
	}
	if h := m.methods.leader[method]; h != nil {
		return h(ctx, peer, payload)
	}
	return nil, fmt.Errorf("the leader does not know the method %q; upgrade it", method)
}

func handle[In, Out any](ctx context.Context, payload []byte, f func(context.Context, In) (Out, error)) ([]byte, error) {
	var in In
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("malformed request: %w", err)
	}
	out, err := f(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
