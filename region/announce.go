package region

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// announcement is what a node tells the leader of itself.
type announcement struct {
	Address      string `json:"address"`
	Transport    []byte `json:"transport,omitempty"`
	Mechanism    uint8  `json:"mechanism,omitempty"`
	FeatureLevel int    `json:"featureLevel"`
	// Ready tells that the node's HSM holds the domain keys: it may have a vote.
	Ready bool `json:"ready"`
}

// announced brings what the region knows of a node up to date, and gives it its vote when it is ready and has caught up.
func (m *Members) announced(ctx context.Context, id string, a announcement) error {
	m.one.Lock()
	defer m.one.Unlock()
	row := fsm.Node{ID: id, Address: a.Address, Transport: a.Transport, Mechanism: a.Mechanism, FeatureLevel: a.FeatureLevel}
	old := m.node.State().Node(id)
	if old != nil && !bytes.Equal(old.Transport, row.Transport) {
		// Before the row says so: if this is cut off, it is begun again.
		if err := m.wrapFor(ctx, &row, true); err != nil {
			return err
		}
	}
	if old == nil || !sameNode(old, &row) {
		if err := m.service.proposeSetup(ctx, &fsm.PutNode{Node: row}); err != nil {
			return err
		}
	}
	if err := m.node.SetAddress(ctx, id, a.Address); err != nil {
		return err
	}
	if err := m.wrapFor(ctx, &row, false); err != nil {
		return err
	}
	if !a.Ready {
		return nil
	}
	return m.node.Promote(ctx, id)
}

func sameNode(a, b *fsm.Node) bool {
	return a.Address == b.Address && bytes.Equal(a.Transport, b.Transport) && a.Mechanism == b.Mechanism && a.FeatureLevel == b.FeatureLevel
}

// wrapFor wraps every domain key version that is not wrapped for the node yet. Nodes without a transport key share a
// partition and find the versions there. With again what is there is for an older transport key and is wrapped anew.
func (m *Members) wrapFor(ctx context.Context, row *fsm.Node, again bool) error {
	if len(row.Transport) == 0 {
		return nil
	}
	to := hsm.TransportKey{SPKI: row.Transport, Mechanism: hsm.WrapMechanism(row.Mechanism)}
	for d := range m.node.State().DomainKeys() {
		if wrappedFor(d, row.ID) != nil && !again {
			continue
		}
		blob, err := m.service.cfg.HSM.ExportDomain(ctx, hsm.DomainID(d.ID), to)
		if err != nil {
			return fmt.Errorf("wrap domain key version %d for node %s: %w", d.Version, row.ID, err)
		}
		body := &fsm.WrapDomainKey{Version: d.Version, Wrapped: fsm.WrappedDomain{NodeID: row.ID, Blob: blob}}
		if err := m.service.proposeSetup(ctx, body); err != nil {
			return err
		}
	}
	return nil
}

func wrappedFor(d *fsm.DomainKey, node string) []byte {
	for _, w := range d.Wrapped {
		if w.NodeID == node {
			return w.Blob
		}
	}
	return nil
}

// ImportDomains brings the domain key versions that this node's HSM lacks into it, from what the state holds wrapped for
// the node.
func (m *Members) ImportDomains(ctx context.Context) error {
	st, err := m.service.View(ctx)
	if err != nil {
		return err
	}
	module, self := m.service.cfg.HSM, m.node.Identity().NodeID
	for d := range st.DomainKeys() {
		has, err := module.HasDomain(ctx, hsm.DomainID(d.ID))
		if err != nil {
			return fmt.Errorf("look for domain key %s in the HSM: %w", d.ID, err)
		}
		if has {
			continue
		}
		blob := wrappedFor(d, self)
		if blob == nil {
			return fmt.Errorf("the HSM does not hold domain key %s, and the region holds none wrapped for this node; if the nodes share a partition, check that this token is on it", d.ID)
		}
		if err := module.ImportDomain(ctx, hsm.DomainID(d.ID), blob); err != nil {
			return fmt.Errorf("import domain key %s: %w", d.ID, err)
		}
		m.log.Info("domain key imported into the HSM", "version", d.Version)
	}
	return nil
}

// transportKey is the HSM's transport key; it is empty where the module has none and the nodes share a partition.
func transportKey(ctx context.Context, module hsm.Module) (hsm.TransportKey, error) {
	key, err := module.Transport(ctx)
	if errors.Is(err, hsm.ErrUnsupported) {
		return hsm.TransportKey{}, nil
	}
	return key, err
}
