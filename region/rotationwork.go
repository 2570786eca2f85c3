package region

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// rotationEvery is how often the leader looks for a rotation to go on with, and tries again what did not work.
const rotationEvery = 2 * time.Second

// nodeTimeout bounds what a node is asked to do in its HSM: making a key pair may take long.
const nodeTimeout = 60 * time.Second

// Rotate goes on with a rotation of the domain key until ctx ends. Only the leader runs it, under the context of its term. All
// that it needs to know is in the state, so that the next leader goes on where this one stopped.
func (m *Members) Rotate(ctx context.Context) {
	tick := time.NewTicker(rotationEvery)
	defer tick.Stop()
	said := ""
	for {
		err := m.rotationStep(ctx)
		for err == nil && m.node.State().DomainRotation().Active() && ctx.Err() == nil {
			err = m.rotationStep(ctx)
		}
		text := ""
		if err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && text != said {
			m.log.Warn("the rotation of the domain key waits", "cause", text)
		}
		said = text
		m.waiting.Store(&text)
		select {
		case <-ctx.Done():
			return
		case <-m.rotationWake:
		case <-tick.C:
		}
	}
}

func (m *Members) wakeRotation() {
	select {
	case m.rotationWake <- struct{}{}:
	default:
	}
}

// rotationStep takes the rotation one phase on; nil with no rotation under way.
func (m *Members) rotationStep(ctx context.Context) error {
	if !m.node.State().DomainRotation().Active() {
		return nil
	}
	st, err := m.service.View(ctx)
	if err != nil {
		return err
	}
	r := st.DomainRotation()
	if !r.Active() {
		return nil
	}
	next := fsm.RotationRewrapping
	switch r.Phase {
	case fsm.RotationSpreading:
		err = m.spread(ctx)
	case fsm.RotationRewrapping:
		if next = fsm.RotationDone; r.Destroy {
			next = fsm.RotationDestroying
		}
		err = m.service.rewrapAll(ctx, st.DomainKey(r.To))
	case fsm.RotationDestroying:
		next = fsm.RotationDone
		err = m.destroyEverywhere(ctx, r)
	}
	if err != nil {
		return err
	}
	return m.advance(ctx, st, r, next)
}

func (m *Members) advance(ctx context.Context, st *fsm.State, r *fsm.DomainRotation, to fsm.RotationPhase) error {
	body := &fsm.AdvanceRotation{To: r.To, Phase: to}
	name := map[fsm.RotationPhase]string{
		fsm.RotationRewrapping: "ActivateDomainKey", fsm.RotationDestroying: "DropDomainKeys", fsm.RotationDone: "FinishDomainKeyRotation",
	}[to]
	err := m.service.proposeOperator(ctx, st, body, OperatorEvent{Name: name, At: m.service.Now(), Details: []Note{{"version", fmt.Sprint(r.To)}}})
	if err == nil {
		m.log.Info("rotation of the domain key", "version", r.To, "phase", to.String())
	}
	return err
}

// spread wraps the new version for nodes that have joined since, and has every node that answers take it in. Those that do not
// answer do so when they are back, before they use it.
func (m *Members) spread(ctx context.Context) error {
	if err := m.wrapMissing(ctx); err != nil {
		return err
	}
	_, cfg := m.node.State().Config()
	reachable := map[string]bool{}
	for _, member := range m.node.Members(ctx) {
		reachable[member.ID] = member.Reachable
	}
	var failed []error
	for _, s := range cfg.Servers {
		if !reachable[string(s.ID)] {
			continue
		}
		if err := m.askNode(ctx, s, methodHold); err != nil {
			failed = append(failed, fmt.Errorf("node %s does not take the new version in: %w", s.ID, err))
		}
	}
	return errors.Join(failed...)
}

func (m *Members) wrapMissing(ctx context.Context) error {
	m.one.Lock()
	defer m.one.Unlock()
	for row := range m.node.State().Nodes() {
		if err := m.wrapFor(ctx, row, false); err != nil {
			return err
		}
	}
	return nil
}

// destroyEverywhere has every node that has not done so yet destroy the old versions.
func (m *Members) destroyEverywhere(ctx context.Context, r *fsm.DomainRotation) error {
	_, cfg := m.node.State().Config()
	servers := map[string]raft.Server{}
	for _, s := range cfg.Servers {
		servers[string(s.ID)] = s
	}
	var failed []error
	for _, p := range r.Pending {
		s, ok := servers[p.NodeID]
		if !ok {
			failed = append(failed, fmt.Errorf("node %s was admitted and never came: remove it", p.NodeID))
			continue
		}
		err := m.askNode(ctx, s, methodDestroy)
		if err == nil {
			err = m.service.proposeSetup(ctx, &fsm.ConfirmDestroyed{NodeID: p.NodeID})
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("node %s has not destroyed the old versions (bring it back, or remove it): %w", p.NodeID, err))
		}
	}
	return errors.Join(failed...)
}

// askNode has a node, this one or another, do something in its HSM that the state says is to be done.
func (m *Members) askNode(ctx context.Context, s raft.Server, method string) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	if string(s.ID) == m.node.Identity().NodeID {
		_, err := m.serveNode(ctx, method)
		return err
	}
	if m.wire == nil {
		return cluster.ErrNoSuchMember
	}
	_, err := m.wire.Call(ctx, s, method, []byte("{}"))
	return err
}

// serveNode does what any node may be asked for by the leader. Nothing in the request counts: what is done is what the state
// that this node has applied says.
func (m *Members) serveNode(ctx context.Context, method string) ([]byte, error) {
	var err error
	switch method {
	case methodHold:
		err = m.holdDomains(ctx)
	case methodDestroy:
		m.destroying.Lock()
		defer m.destroying.Unlock()
		err = m.destroyOld(ctx)
	}
	return []byte("{}"), err
}
