package region

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// RotationRequest asks for a new version of the domain key.
type RotationRequest struct {
	// DestroyOld has the older versions destroyed, with every transport key that they were wrapped for.
	DestroyOld bool `json:"destroyOld,omitempty"`
	// RecoveryKey is the SubjectPublicKeyInfo of a recovery key that is registered with the new version. Where the old
	// versions are destroyed it takes the place of those that are registered.
	RecoveryKey []byte `json:"recoveryKey,omitempty"`
	// DryRun tells what would be done and does nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// RotationPlan is what a rotation does.
type RotationPlan struct {
	To      uint32   `json:"to"`
	Older   []uint32 `json:"older"`
	Objects uint64   `json:"objects"` // to be wrapped anew
	Nodes   []string `json:"nodes"`
	// Absent are the nodes that do not answer. They take the new version in when they are back.
	Absent []string `json:"absent,omitempty"`
	// RecoveryKeys are those that the older versions are wrapped for, and that go with them if they are destroyed.
	RecoveryKeys []string `json:"recoveryKeys,omitempty"`
	DestroyOld   bool     `json:"destroyOld,omitempty"`
	// Blocked says why the rotation cannot begin.
	Blocked []string `json:"blocked,omitempty"`
	Started bool     `json:"started"`
}

// RotationStatus is how far the latest rotation has come, as the leader knows it.
type RotationStatus struct {
	To         uint32    `json:"to"`
	Phase      string    `json:"phase"`
	DestroyOld bool      `json:"destroyOld,omitempty"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Done       uint64    `json:"done"`  // objects wrapped anew
	Total      uint64    `json:"total"` // objects under older versions at the start; some may be deleted meanwhile
	// Pending are the nodes that have not destroyed the older versions yet.
	Pending []string `json:"pending,omitempty"`
	// Waiting says what the rotation waits for, in words.
	Waiting string `json:"waiting,omitempty"`
}

// RotateDomainKey has the leader begin a rotation, which goes on by itself, over changes of the leader. A rotation that cannot
// begin is a plan with Blocked, not an error.
func (m *Members) RotateDomainKey(ctx context.Context, in RotationRequest) (plan RotationPlan, err error) {
	return plan, m.atLeader(ctx, methodRotate, in, &plan)
}

// Rotation is the latest rotation of the domain key, nil if there was none.
func (m *Members) Rotation(ctx context.Context) (st *RotationStatus, err error) {
	return st, m.atLeader(ctx, methodRotation, struct{}{}, &st)
}

func (m *Members) rotation(context.Context, struct{}) (*RotationStatus, error) {
	return m.RotationHere(), nil
}

// RotationHere is the latest rotation as this node knows it, nil if there was none. Only the leader knows what it waits for.
func (m *Members) RotationHere() *RotationStatus {
	r := m.node.State().DomainRotation()
	if r == nil {
		return nil
	}
	st := &RotationStatus{To: r.To, Phase: r.Phase.String(), DestroyOld: r.Destroy, StartedAt: millis(r.StartedAt), Done: r.Done, Total: r.Total}
	if r.FinishedAt != 0 {
		st.FinishedAt = millis(r.FinishedAt)
	}
	for _, p := range r.Pending {
		st.Pending = append(st.Pending, p.NodeID)
	}
	if w := m.waiting.Load(); w != nil && r.Active() {
		st.Waiting = *w
	}
	return st
}

// rotate plans a rotation and begins it.
func (m *Members) rotate(ctx context.Context, in RotationRequest) (plan RotationPlan, err error) {
	m.one.Lock()
	defer m.one.Unlock()
	st, err := m.service.View(ctx)
	if err != nil {
		return plan, err
	}
	if st.Region() == nil {
		return plan, errors.New("the region is not initialized")
	}
	var added *fsm.RecoveryKey
	if in.RecoveryKey != nil {
		if added, err = newRecoveryKey(in.RecoveryKey); err != nil {
			return plan, err
		}
	}
	if added != nil {
		m.chooseMechanism(ctx, st, added)
	}
	plan = m.planRotation(ctx, st, &in, added)
	if len(plan.Blocked) > 0 || in.DryRun {
		return plan, nil
	}
	if err := m.beginRotation(ctx, st, &plan, added); err != nil {
		return plan, err
	}
	plan.Started = true
	m.wakeRotation()
	return plan, nil
}

func (m *Members) planRotation(ctx context.Context, st *fsm.State, in *RotationRequest, added *fsm.RecoveryKey) RotationPlan {
	plan := RotationPlan{DestroyOld: in.DestroyOld}
	for d := range st.DomainKeys() {
		plan.Older, plan.To = append(plan.Older, d.Version), d.Version+1
	}
	if r := st.DomainRotation(); r != nil {
		plan.To = max(plan.To, r.To+1)
	}
	for range st.UnderOlder(plan.To, fsm.KeyRef{}) {
		plan.Objects++
	}
	for _, member := range m.node.Members(ctx) {
		plan.Nodes = append(plan.Nodes, member.ID)
		if !member.Reachable {
			plan.Absent = append(plan.Absent, member.ID)
		}
	}
	for k := range st.RecoveryKeys() {
		plan.RecoveryKeys = append(plan.RecoveryKeys, k.Name)
	}
	block := func(format string, args ...any) { plan.Blocked = append(plan.Blocked, fmt.Sprintf(format, args...)) }
	if fsm.Level(fsm.KindBeginRotation) > st.FeatureLevel() {
		block("a node of the region runs a version that does not know rotations: upgrade all nodes first")
	}
	if r := st.DomainRotation(); r.Active() {
		block("a rotation to version %d is under way (%s)", r.To, r.Phase)
	}
	if added != nil && st.RecoveryKey(added.Name) != nil {
		block("recovery key %s is registered already", added.Name)
	}
	if !in.DestroyOld {
		return plan
	}
	if len(plan.Absent) > 0 {
		block("these nodes do not answer, and their HSMs hold the old versions: bring them back, or remove them: %s", strings.Join(plan.Absent, ", "))
	}
	if len(plan.RecoveryKeys) > 0 && added == nil {
		block("the old versions are wrapped for recovery keys that have to be destroyed with them (%s): give a new recovery key that takes their place", strings.Join(plan.RecoveryKeys, ", "))
	}
	return plan
}

// beginRotation makes the new version in this node's HSM and proposes it, wrapped for everybody. The version has a random part
// in its name, so that one that was made in vain, by a leader that did not stay, is not taken for another one.
func (m *Members) beginRotation(ctx context.Context, st *fsm.State, plan *RotationPlan, added *fsm.RecoveryKey) error {
	var random [4]byte
	if err := m.service.cfg.HSM.Random(ctx, random[:]); err != nil {
		return err
	}
	now := m.service.Now()
	d := fsm.DomainKey{Version: plan.To, ID: domainID(st.Region().ClusterID, plan.To) + "-" + hex.EncodeToString(random[:]), CreatedAt: now.UnixMilli()}
	module := m.service.cfg.HSM
	if err := module.CreateDomain(ctx, hsm.DomainID(d.ID)); err != nil {
		return fmt.Errorf("create the new domain key version in the HSM: %w", err)
	}
	body := &fsm.BeginRotation{DomainKey: d, Destroy: plan.DestroyOld, Total: plan.Objects, RecoveryKey: added}
	err := m.wrapNew(ctx, st, body)
	if err == nil {
		err = m.service.proposeOperator(ctx, st, body, OperatorEvent{Name: "RotateDomainKey", At: now, Details: []Note{
			{"version", fmt.Sprint(d.Version)}, {"destroyOld", fmt.Sprint(plan.DestroyOld)},
		}})
	}
	if err != nil && !errors.Is(err, cluster.ErrUnknown) {
		return errors.Join(err, module.DestroyDomain(context.WithoutCancel(ctx), hsm.DomainID(d.ID)))
	}
	return err
}

// wrapNew wraps a new version for every node and every recovery key that stays.
func (m *Members) wrapNew(ctx context.Context, st *fsm.State, body *fsm.BeginRotation) (err error) {
	d := &body.DomainKey
	if d.Probe, err = m.service.probe(ctx, d); err != nil {
		return err
	}
	export := func(name string, to hsm.TransportKey) error {
		blob, err := m.service.cfg.HSM.ExportDomain(ctx, hsm.DomainID(d.ID), to)
		if err != nil {
			return fmt.Errorf("wrap the new domain key version for %s: %w", name, err)
		}
		d.Wrapped = append(d.Wrapped, fsm.WrappedDomain{NodeID: name, Blob: blob})
		return nil
	}
	for n := range st.Nodes() {
		if len(n.Transport) > 0 {
			if err := export(n.ID, hsm.TransportKey{SPKI: n.Transport, Mechanism: hsm.WrapMechanism(n.Mechanism)}); err != nil {
				return err
			}
		}
	}
	for k := range st.RecoveryKeys() {
		if !body.Destroy {
			if err := export(k.Name, recoveryTransport(k)); err != nil {
				return err
			}
		}
	}
	if body.RecoveryKey != nil {
		return export(body.RecoveryKey.Name, recoveryTransport(body.RecoveryKey))
	}
	return nil
}

// holdDomains has this node's HSM take in the versions that it lacks, and makes sure that it can use them.
func (m *Members) holdDomains(ctx context.Context) error {
	if err := m.ImportDomains(ctx); err != nil {
		return err
	}
	return m.service.Unlock(ctx)
}

// fetchDomain takes in one version that the state holds wrapped for this node.
func (m *Members) fetchDomain(ctx context.Context, id hsm.DomainID) error {
	for d := range m.node.State().DomainKeys() {
		if d.ID != string(id) {
			continue
		}
		blob := wrappedFor(d, m.node.Identity().NodeID)
		if blob == nil {
			break
		}
		if err := m.service.cfg.HSM.ImportDomain(ctx, id, blob); err != nil {
			m.log.Error("a domain key version cannot be imported", "version", d.Version, "error", err)
			return err
		}
		m.log.Info("domain key imported into the HSM", "version", d.Version)
		return nil
	}
	return hsm.ErrNoDomain
}

// destroyOld destroys what the state says is to be destroyed on this node: the older versions and the transport key that they
// were wrapped for. Before, it seals anew what it keeps on its own disk; afterwards it tells the region its new transport key.
// It can be repeated at any point.
func (m *Members) destroyOld(ctx context.Context) error {
	st, err := m.service.View(ctx)
	if err != nil {
		return err
	}
	r := st.DomainRotation()
	if r == nil || r.Phase != fsm.RotationDestroying {
		return errors.New("no domain key version is to be destroyed")
	}
	var mine *fsm.PendingNode
	for i := range r.Pending {
		if r.Pending[i].NodeID == m.node.Identity().NodeID {
			mine = &r.Pending[i]
		}
	}
	if mine == nil {
		return nil
	}
	if err := m.resealCertificate(ctx); err != nil {
		return fmt.Errorf("seal the node's key under the new domain key version: %w", err)
	}
	module := m.service.cfg.HSM
	for _, old := range r.Old {
		if st.DomainKey(old.Version) != nil {
			return fmt.Errorf("domain key version %d is still in use", old.Version)
		}
		if err := module.DestroyDomain(ctx, hsm.DomainID(old.ID)); err != nil {
			return fmt.Errorf("destroy domain key version %d: %w", old.Version, err)
		}
		m.service.grantTokenKeys.m.Delete(old.ID)
		m.log.Warn("domain key version destroyed in the HSM", "version", old.Version)
	}
	if err := m.replaceTransport(ctx, mine); err != nil {
		return fmt.Errorf("replace the transport key: %w", err)
	}
	if m.wire == nil {
		return nil
	}
	_, err = m.keepPlace(ctx)
	return err
}

// replaceTransport destroys the transport key that old versions were wrapped for. Nodes that share a token meet a new one there.
func (m *Members) replaceTransport(ctx context.Context, mine *fsm.PendingNode) error {
	module := m.service.cfg.HSM
	tk, err := transportKey(ctx, module)
	if err != nil || len(tk.SPKI) == 0 {
		return err
	}
	if digest := sha256.Sum256(tk.SPKI); mine.Transport != nil && !bytes.Equal(digest[:], mine.Transport) {
		return nil
	}
	_, err = module.ReplaceTransport(ctx)
	return err
}
