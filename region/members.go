package region

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
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
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
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

// authorityBinding is what the authority's sealed key is bound to.
func authorityBinding(version uint32) []byte {
	return fmt.Appendf(nil, "cluster-authority\x00%d", version)
}

// ensureAuthority makes the region's certificate authority if it has none. The key exists outside the seal only while it is
// made or signs.
func (m *Members) ensureAuthority(ctx context.Context) (*fsm.State, error) {
	st, err := m.service.View(ctx)
	if err != nil || st.Authority() != nil {
		return st, err
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, errors.New("the region is not initialized")
	}
	now := m.service.Now()
	cert, key, err := transport.NewAuthority(m.node.Identity().ClusterID, now)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	defer clear(key)
	const version = 1
	sealed, err := envelope.SealSecret(ctx, m.service.domainPRF(d), authorityBinding(version), key)
	if err != nil {
		return nil, fmt.Errorf("seal the key of the certificate authority: %w", err)
	}
	body := &fsm.PutAuthority{Authority: fsm.Authority{Version: version, Cert: cert, Domain: d.Version, Key: sealed, CreatedAt: now.UnixMilli()}}
	if err := m.service.proposeSetup(ctx, body); err != nil {
		return nil, err
	}
	return m.service.View(ctx)
}

// certificates are what a node gets: its own certificate and the authorities, DER, newest last.
type certificates struct {
	Cert        []byte   `json:"cert"`
	Authorities [][]byte `json:"authorities"`
}

// issue makes a certificate for a node of the region.
func (m *Members) issue(ctx context.Context, id string, request []byte) (c certificates, err error) {
	st, err := m.ensureAuthority(ctx)
	if err != nil {
		return c, err
	}
	a := st.Authority()
	key, err := m.openAuthority(ctx, st, a)
	if err != nil {
		return c, err
	}
	defer clear(key)
	if c.Cert, err = transport.Issue(a.Cert, key, request, id, m.node.Identity().ClusterID, m.service.Now()); err != nil {
		return c, err
	}
	for a := range st.Authorities() {
		c.Authorities = append(c.Authorities, a.Cert)
	}
	return c, nil
}

// openAuthority opens the authority's key, PKCS #8. The caller wipes it.
func (m *Members) openAuthority(ctx context.Context, st *fsm.State, a *fsm.Authority) ([]byte, error) {
	d := st.DomainKey(a.Domain)
	if d == nil {
		return nil, fmt.Errorf("the certificate authority is sealed under domain key version %d, which the region has not", a.Domain)
	}
	key, err := envelope.OpenSecret(ctx, m.service.domainPRF(d), authorityBinding(a.Version), a.Key)
	if err != nil {
		return nil, fmt.Errorf("open the key of the certificate authority: %w", err)
	}
	return key, nil
}

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
