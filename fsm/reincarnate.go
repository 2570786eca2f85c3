package fsm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Reincarnation says what becomes of a state that a new cluster begins with, after a restore or the loss of a majority.
type Reincarnation struct {
	// ClusterID is that of the new cluster: nodes of the old one, whose promises are void, cannot mix in.
	ClusterID string
	// Server is the one node that the new cluster begins with, a voter.
	Server raft.Server
	// Keys were deleted since the state was saved, and Materials of other keys: they are left out.
	Keys      []KeyRef
	Materials []MaterialRef
	// Above is the highest index that is known from elsewhere, such as that of the last audit record on the node.
	Above uint64
}

// MaterialRef names one material of a key.
type MaterialRef struct {
	Key KeyRef
	ID  []byte
}

// incarnationBits is how many bits of an index count entries within one incarnation.
const incarnationBits = 32

// Reincarnate makes the state that a new cluster begins with. Keys, identities and all that clients see stay as they are, but
// for what was deleted since. The nodes of the old cluster are gone, with their join tokens and certificate authorities; domain
// keys stay wrapped for recovery keys only. Its index is above every index of the old cluster, known or not, since indexes of
// one incarnation share their upper bits: audit records and versions of rows are never taken for others.
// It takes the memory of a second state.
func Reincarnate(s *State, r Reincarnation) (*State, error) {
	if s.region == nil {
		return nil, errors.New("fsm: the state holds no region")
	}
	if err := errors.Join(checkName("cluster id", r.ClusterID, maxID), checkName("node id", string(r.Server.ID), maxID)); err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	l, err := copyOf(s)
	if err != nil {
		return nil, err
	}
	d := newDraft(l.db, l.interner, l.state)
	d.index = (max(s.index, r.Above)>>incarnationBits + 1) << incarnationBits
	old := d.cfg
	d.cfgIndex, d.cfg = d.index, raft.Configuration{Servers: []raft.Server{r.Server}}
	region := *s.region
	region.ClusterID = r.ClusterID
	if len(d.federated()) > 0 {
		// Other regions may know more than this state does. The number is not yet the new incarnation's: another restore of the same
		// state would have the same.
		region.Restored, region.Reborn = region.Incarnation()+1, true
	}
	d.region = &region
	if err := d.newCluster(old, string(r.Server.ID)); err != nil {
		return nil, err
	}
	for _, ref := range r.Keys {
		if err := d.stage(func(t *tx) {
			if k := t.key(ref.Account, ref.ID); k != nil {
				t.removeKey(k)
			}
		}); err != nil {
			return nil, err
		}
	}
	for _, m := range r.Materials {
		if err := d.stage(func(t *tx) {
			if k, i, out := t.materialOf(&m.Key, m.ID); out.ok() && k.Materials[i].Present() {
				t.dropMaterial(k, i)
			}
		}); err != nil {
			return nil, err
		}
	}
	return d.commit(), nil
}

// copyOf makes a state of its own out of another one, row by row.
func copyOf(s *State) (*loader, error) {
	db, err := newDB()
	if err != nil {
		return nil, err
	}
	l := &loader{db: db, interner: new(interner), state: emptyState(db)}
	l.view = view{txn: db.Txn(true), lookups: l.state.lookups}
	l.state.index, l.state.cfgIndex, l.state.cfg, l.state.now = s.index, s.cfgIndex, s.cfg, s.now
	var buf bytes.Buffer
	for _, section := range sections() {
		section.rows(s, func(row any) bool {
			buf.Reset()
			if err = marshalTo(&buf, row); err == nil {
				_, err = section.restore(l, buf.Bytes())
			}
			return err == nil
		})
		if err != nil {
			return nil, fmt.Errorf("fsm: copy of %s: %w", section.name, err)
		}
	}
	l.txn.Commit()
	l.state.txn = db.Txn(false)
	return l, nil
}

// stage applies a change that is in no log.
func (d *draft) stage(change func(*tx)) error {
	t := &tx{view: d.view, d: d, index: d.index, time: d.now, now: d.now}
	change(t)
	return t.flush()
}

// newCluster takes out what belongs to the nodes of the old cluster.
func (d *draft) newCluster(old raft.Configuration, self string) error {
	return d.stage(func(t *tx) {
		for _, s := range old.Servers {
			t.bury(string(s.ID), self)
		}
		for n := range from[Node](&t.view, tableNodes, indexID, nil) {
			t.remove(tableNodes, n)
			t.bury(n.ID, self)
		}
		if n := t.removedNode(self); n != nil {
			t.remove(tableRemovedNodes, n)
		}
		for j := range from[JoinToken](&t.view, tableJoinTokens, indexID, nil) {
			t.remove(tableJoinTokens, j)
		}
		for a := range from[Authority](&t.view, tableAuthorities, indexID, nil) {
			t.remove(tableAuthorities, a)
		}
		for k := range from[DomainKey](&t.view, tableDomainKeys, indexID, nil) {
			t.put(tableDomainKeys, t.forRecoveryOnly(k))
		}
		if r := t.rotation(); r.Active() {
			t.put(tableRotations, aloneIn(r, self))
		}
	})
}

// bury remembers a node of the old cluster, unless it is the one that goes on.
func (t *tx) bury(id, self string) {
	if id != self && t.removedNode(id) == nil {
		t.put(tableRemovedNodes, &RemovedNode{ID: id, Index: t.index})
	}
}

func (t *tx) forRecoveryOnly(d *DomainKey) *DomainKey {
	kept := *d
	kept.Wrapped = nil
	for _, w := range d.Wrapped {
		if t.recoveryKey(w.NodeID) != nil {
			kept.Wrapped = append(kept.Wrapped, w)
		}
	}
	return &kept
}

// aloneIn is a rotation that waits for one node only. Who has destroyed the old versions before does so again.
func aloneIn(r *DomainRotation, self string) *DomainRotation {
	changed := *r
	changed.Pending = nil
	if r.Phase == RotationDestroying {
		changed.Pending = []PendingNode{{NodeID: self}}
	}
	return &changed
}
