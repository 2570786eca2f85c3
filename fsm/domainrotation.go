package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
)

// LevelDomainRotation is the feature level that introduced the rotation of the domain key, recovery keys and records of what
// operators do.
const LevelDomainRotation = 2

// Kinds of commands about the life of the domain key.
const (
	KindBeginRotation     Kind = 70
	KindAdvanceRotation   Kind = 71
	KindRewrap            Kind = 72
	KindConfirmDestroyed  Kind = 73
	KindPutRecoveryKey    Kind = 74
	KindRemoveRecoveryKey Kind = 75
	KindOperatorEvent     Kind = 76
)

// RotationPhase is how far a rotation of the domain key has come. It only goes forward.
type RotationPhase uint8

// Phases of a rotation. The numbers are stored and never reused.
const (
	// RotationSpreading: the new version is wrapped for every node, and they take it into their HSMs.
	RotationSpreading RotationPhase = 1
	// RotationRewrapping: the new version is active, nothing new is wrapped under older ones, and what is there is wrapped anew.
	RotationRewrapping RotationPhase = 2
	// RotationDestroying: nothing is wrapped under older versions any more, the state has dropped them, and the nodes destroy
	// them together with their transport keys.
	RotationDestroying RotationPhase = 3
	// RotationDone: nothing is left to do. The row stays until the next rotation, for whoever asks.
	RotationDone RotationPhase = 4
)

// String is the phase's name.
func (p RotationPhase) String() string {
	switch p {
	case RotationSpreading:
		return "spreading"
	case RotationRewrapping:
		return "re-wrapping"
	case RotationDestroying:
		return "destroying"
	case RotationDone:
		return "done"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// DomainRotation is the latest rotation of the domain key. There is one row.
type DomainRotation struct {
	// To is the version that takes over from all older ones.
	To        uint32        `cbor:"1,keyasint"`
	StartedAt int64         `cbor:"2,keyasint"`
	Phase     RotationPhase `cbor:"3,keyasint"`
	// Destroy tells that the older versions are to be destroyed.
	Destroy bool `cbor:"4,keyasint,omitempty"`
	// Total is how much was wrapped under older versions when the rotation began, Done how much was wrapped anew since.
	Total uint64 `cbor:"5,keyasint,omitempty"`
	Done  uint64 `cbor:"6,keyasint,omitempty"`
	// Old are the versions that the nodes destroy, Pending those that have not done so yet, ordered by id.
	Old        []OldDomain   `cbor:"7,keyasint,omitempty"`
	Pending    []PendingNode `cbor:"8,keyasint,omitempty"`
	FinishedAt int64         `cbor:"9,keyasint,omitempty"`
}

// OldDomain is a domain key version that the state has dropped.
type OldDomain struct {
	Version uint32 `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"` // hsm.DomainID
}

// PendingNode is a node whose HSM may still hold the old versions.
type PendingNode struct {
	NodeID string `cbor:"1,keyasint"`
	// Transport is the SHA-256 of the transport key that the old versions were wrapped for, nil if the node had none.
	Transport []byte `cbor:"2,keyasint,omitempty"`
}

// Active reports whether the rotation goes on.
func (r *DomainRotation) Active() bool { return r != nil && r.Phase != RotationDone }

// BeginRotation starts a rotation, if none is under way, with the next version of the domain key. RecoveryKey, if there is one,
// is registered with it and takes the place of those that are there: the new version alone is wrapped for it.
type BeginRotation struct {
	DomainKey   DomainKey    `cbor:"1,keyasint"`
	Destroy     bool         `cbor:"2,keyasint,omitempty"`
	Total       uint64       `cbor:"3,keyasint,omitempty"`
	RecoveryKey *RecoveryKey `cbor:"4,keyasint,omitempty"`
}

// AdvanceRotation takes the rotation to version To from the phase before Phase to Phase, if what the phase needs is there.
type AdvanceRotation struct {
	To    uint32        `cbor:"1,keyasint"`
	Phase RotationPhase `cbor:"2,keyasint"`
}

// RewrapKind says what a RewrapItem is about.
type RewrapKind uint8

// What is wrapped or sealed under the domain key. The numbers are stored and never reused.
const (
	RewrapKeyMaterial RewrapKind = 1 // Account, ID = key id, Material
	RewrapAccessKey   RewrapKind = 2 // ID = access key id, Was = version of the row
	RewrapAuditKey    RewrapKind = 3 // Material
	RewrapAuthority   RewrapKind = 4 // Was = version of the authority

	RewrapRegionTransport RewrapKind = 5 // the region's transport key towards other regions; Material = its public key's SHA-256
	RewrapRegionSigning   RewrapKind = 6 // the region's signing key, likewise

	RewrapSessionKey RewrapKind = 7 // Material = id of the session key; ID = the region that it is of, "" for this one
)

// RewrapItem replaces one wrapped or sealed blob.
type RewrapItem struct {
	Kind     RewrapKind `cbor:"1,keyasint"`
	Account  string     `cbor:"2,keyasint,omitempty"`
	ID       string     `cbor:"3,keyasint,omitempty"`
	Material []byte     `cbor:"4,keyasint,omitempty"`
	Was      uint64     `cbor:"5,keyasint,omitempty"`
	From     uint32     `cbor:"6,keyasint"` // domain key version of the blob that is replaced
	Blob     []byte     `cbor:"7,keyasint"`
}

// MaxRewrap is how many items one Rewrap can have.
const MaxRewrap = 256

// Rewrap replaces blobs by others under version To of the rotation under way. Items whose object is gone or has changed since
// are left out.
type Rewrap struct {
	To    uint32       `cbor:"1,keyasint"`
	Items []RewrapItem `cbor:"2,keyasint"`
}

// ConfirmDestroyed tells that a node's HSM holds the old versions no more, nor the transport key that they were wrapped for.
type ConfirmDestroyed struct {
	NodeID string `cbor:"1,keyasint"`
}

// OperatorEvent changes nothing. It carries the audit record of what an operator did.
type OperatorEvent struct {
	Name string `cbor:"1,keyasint"`
}

// Kind implements Body.
func (BeginRotation) Kind() Kind    { return KindBeginRotation }
func (AdvanceRotation) Kind() Kind  { return KindAdvanceRotation }
func (Rewrap) Kind() Kind           { return KindRewrap }
func (ConfirmDestroyed) Kind() Kind { return KindConfirmDestroyed }
func (OperatorEvent) Kind() Kind    { return KindOperatorEvent }

const tableRotations = "domain-rotations"

func (r *DomainRotation) primary() []byte { return []byte{1} }

func (v *view) rotation() (row *DomainRotation) {
	for r := range from[DomainRotation](v, tableRotations, indexID, nil) {
		row = r
	}
	return row
}

// DomainRotation is the latest rotation of the domain key, nil if there was none.
func (s *State) DomainRotation() *DomainRotation { return s.rotation() }

func (c *BeginRotation) check() error {
	if c.DomainKey.Active {
		return errors.New("a new domain key version becomes active once it is spread")
	}
	if c.RecoveryKey != nil {
		if err := c.RecoveryKey.check(); err != nil {
			return err
		}
	}
	return c.DomainKey.check()
}

func (c *AdvanceRotation) check() error {
	if c.To == 0 || c.Phase < RotationRewrapping || c.Phase > RotationDone {
		return fmt.Errorf("no rotation to version %d comes to %v", c.To, c.Phase)
	}
	return nil
}

func (c *Rewrap) check() error {
	if len(c.Items) == 0 || len(c.Items) > MaxRewrap {
		return fmt.Errorf("%d items to wrap anew, 1 to %d are allowed", len(c.Items), MaxRewrap)
	}
	for i := range c.Items {
		if err := c.Items[i].check(c.To); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

func (i *RewrapItem) check(to uint32) error {
	if i.From >= to || i.From == 0 {
		return fmt.Errorf("wrapping from version %d to %d", i.From, to)
	}
	err := checkBytes("wrapped blob", i.Blob, 1, maxBlob)
	switch i.Kind {
	case RewrapKeyMaterial:
		ref := KeyRef{i.Account, i.ID}
		return errors.Join(err, ref.check(), checkMaterialID(i.Material))
	case RewrapAccessKey:
		return errors.Join(err, checkName("access key id", i.ID, maxID), checkBytes("sealed secret", i.Blob, 1, maxSecret))
	case RewrapAuditKey, RewrapRegionTransport, RewrapRegionSigning:
		return errors.Join(err, checkMaterialID(i.Material))
	case RewrapSessionKey:
		return errors.Join(err, checkBytes("id of the session key", i.Material, SessionKeySize, SessionKeySize), checkLength("length of the region's name", len(i.ID), maxID))
	case RewrapAuthority:
		return errors.Join(err, checkBytes("sealed key", i.Blob, 1, maxSecret))
	}
	return fmt.Errorf("unknown kind %d", i.Kind)
}

func (c *ConfirmDestroyed) check() error { return checkName("node id", c.NodeID, maxID) }
func (c *OperatorEvent) check() error    { return checkName("event", c.Name, maxEnum) }

func applyOperatorEvent(*tx, *OperatorEvent) outcome { return done() }

// noDomain refuses what is wrapped under a version that may not wrap (any more).
const noDomain = "the domain key version does not exist, or another one has taken over"

// wraps reports whether new material may come wrapped under a domain key version: it exists, and no rotation has left it
// behind. A proposer that is refused decides again, and wraps under the active version.
func (t *tx) wraps(version uint32) bool {
	if t.domainKey(version) == nil {
		return false
	}
	r := t.rotation()
	return r == nil || r.Phase < RotationRewrapping || version >= r.To
}

func applyBeginRotation(t *tx, c *BeginRotation) outcome {
	if t.rotation().Active() {
		return conflict("a rotation of the domain key is under way")
	}
	last := uint32(0)
	for d := range from[DomainKey](&t.view, tableDomainKeys, indexID, nil) {
		last = d.Version
		if d.ID == c.DomainKey.ID {
			return conflict("a domain key of this name exists")
		}
	}
	if r := t.rotation(); r != nil {
		last = max(last, r.To)
	}
	if c.DomainKey.Version != last+1 {
		return stale("the domain key version is not the next one")
	}
	if c.RecoveryKey != nil {
		if out := t.putRecoveryKey(c.RecoveryKey, c.DomainKey.Version); !out.ok() {
			return out
		}
	}
	d := c.DomainKey
	d.Wrapped = sortWrapped(d.Wrapped)
	t.put(tableDomainKeys, &d)
	t.put(tableRotations, &DomainRotation{To: d.Version, StartedAt: t.now, Phase: RotationSpreading, Destroy: c.Destroy, Total: c.Total})
	return done()
}

func applyAdvanceRotation(t *tx, c *AdvanceRotation) outcome {
	old := t.rotation()
	switch {
	case old == nil || old.To != c.To:
		return conflict("there is no such rotation of the domain key")
	case old.Phase >= c.Phase:
		return done() // an answer was lost
	}
	r := *old
	var out outcome
	switch {
	case r.Phase == RotationSpreading && c.Phase == RotationRewrapping:
		out = t.activate(&r)
	case r.Phase == RotationRewrapping && c.Phase == RotationDestroying && r.Destroy:
		out = t.dropOld(&r)
	case r.Phase == RotationRewrapping && c.Phase == RotationDone && !r.Destroy:
		out = t.nothingUnderOld(&r)
	case r.Phase == RotationDestroying && c.Phase == RotationDone:
		if len(r.Pending) > 0 {
			out = conflict("a node has not destroyed the old versions: " + r.Pending[0].NodeID)
		}
	default:
		out = conflict(fmt.Sprintf("the rotation is %v", r.Phase))
	}
	if !out.ok() {
		return out
	}
	r.Phase = c.Phase
	if r.Phase == RotationDone {
		r.FinishedAt, r.Old = t.now, nil
	}
	t.put(tableRotations, &r)
	return done()
}

// activate makes the new version the one that wraps, if every node of the region and every recovery key can have it.
func (t *tx) activate(r *DomainRotation) outcome {
	d := t.domainKey(r.To)
	if d == nil {
		return conflict("the new version does not exist")
	}
	has := func(name string) bool {
		return slices.ContainsFunc(d.Wrapped, func(w WrappedDomain) bool { return w.NodeID == name })
	}
	for n := range from[Node](&t.view, tableNodes, indexID, nil) {
		if len(n.Transport) > 0 && !has(n.ID) {
			return conflict("the new version is not wrapped for node " + n.ID)
		}
	}
	for k := range from[RecoveryKey](&t.view, tableRecoveryKeys, indexID, nil) {
		if !has(k.Name) && !(r.Destroy && k.From < r.To) { // those go with the old versions
			return conflict("the new version is not wrapped for recovery key " + k.Name)
		}
	}
	if old := t.activeDomainKey(); old != nil && old.Version != d.Version {
		retired := *old
		retired.Active = false
		t.put(tableDomainKeys, &retired)
	}
	active := *d
	active.Active = true
	t.put(tableDomainKeys, &active)
	return done()
}

// nothingUnderOld looks at everything that is wrapped. It takes long, once in a rotation: what is left behind when a version is
// destroyed is lost.
func (t *tx) nothingUnderOld(r *DomainRotation) outcome {
	if d := t.domainKey(r.To); d == nil || !d.Active {
		return conflict("the new version is not the active one")
	}
	for what := range t.under(t.d.region, r.To, KeyRef{}) {
		return conflict(fmt.Sprintf("something is still wrapped under version %d", what.From))
	}
	return done()
}

// dropOld drops the older versions, with the recovery keys that they are wrapped for.
func (t *tx) dropOld(r *DomainRotation) outcome {
	if out := t.nothingUnderOld(r); !out.ok() {
		return out
	}
	for d := range from[DomainKey](&t.view, tableDomainKeys, indexID, nil) {
		if d.Version < r.To {
			r.Old = append(r.Old, OldDomain{d.Version, d.ID})
			t.remove(tableDomainKeys, d)
		}
	}
	current := *t.domainKey(r.To)
	for k := range from[RecoveryKey](&t.view, tableRecoveryKeys, indexID, nil) {
		if k.From < r.To {
			t.remove(tableRecoveryKeys, k)
			current.Wrapped = withoutWrapped(current.Wrapped, k.Name)
		}
	}
	t.put(tableDomainKeys, &current)
	r.Pending = t.everyNode()
	return done()
}

// everyNode lists the nodes of the region and of the Raft configuration, ordered by id, with their transport keys.
func (t *tx) everyNode() (all []PendingNode) {
	for n := range from[Node](&t.view, tableNodes, indexID, nil) {
		all = append(all, PendingNode{n.ID, transportDigest(n)})
	}
	for _, s := range t.d.cfg.Servers {
		if t.node(string(s.ID)) == nil {
			all = append(all, PendingNode{NodeID: string(s.ID)})
		}
	}
	slices.SortFunc(all, func(a, b PendingNode) int { return bytes.Compare([]byte(a.NodeID), []byte(b.NodeID)) })
	return all
}

func transportDigest(n *Node) []byte {
	if len(n.Transport) == 0 {
		return nil
	}
	sum := sha256.Sum256(n.Transport)
	return sum[:]
}

// applyConfirmDestroyed takes a node's word for its HSM, but not while the region knows it by the old transport key.
func applyConfirmDestroyed(t *tx, c *ConfirmDestroyed) outcome {
	old := t.rotation()
	if old == nil || old.Phase != RotationDestroying {
		return conflict("no domain key version is being destroyed")
	}
	i := slices.IndexFunc(old.Pending, func(p PendingNode) bool { return p.NodeID == c.NodeID })
	if i < 0 {
		return done()
	}
	if p := &old.Pending[i]; p.Transport != nil {
		if n := t.node(c.NodeID); n != nil && bytes.Equal(transportDigest(n), p.Transport) {
			return conflict("the node still has the transport key that the old versions were wrapped for")
		}
	}
	t.put(tableRotations, withoutPending(old, c.NodeID))
	return done()
}

// withoutPending is a copy of a rotation that waits for one node less.
func withoutPending(r *DomainRotation, node string) *DomainRotation {
	changed := *r
	changed.Pending = slices.DeleteFunc(slices.Clone(r.Pending), func(p PendingNode) bool { return p.NodeID == node })
	return &changed
}
