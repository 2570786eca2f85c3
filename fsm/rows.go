package fsm

// Rows of the replicated state. A row that was read from a State is shared by all readers and must not be changed;
// apply copies a row before it changes it. Times are region time in milliseconds since the Unix epoch, 0 = none.
// Field numbers (cbor keyasint) are never reused; absent fields mean the old behaviour.

// Key is a KMS key: its metadata, key policy, tags and wrapped material (spec 01 GEN-01).
type Key struct {
	Account     string `cbor:"1,keyasint"` // owner, 12 digits
	ID          string `cbor:"2,keyasint"` // UUID, or mrk- and 32 hex digits
	Spec        string `cbor:"3,keyasint"` // KeySpec of the API
	Usage       string `cbor:"4,keyasint"` // KeyUsage of the API
	Origin      string `cbor:"5,keyasint"` // Origin of the API
	Manager     string `cbor:"6,keyasint"` // CUSTOMER or AWS
	MultiRegion bool   `cbor:"7,keyasint,omitempty"`
	Description string `cbor:"8,keyasint,omitempty"`
	CreatedAt   int64  `cbor:"9,keyasint"`
	// Enabled is the customer's wish; the key state follows from it and the facts below (spec 01 KST-05).
	Enabled bool `cbor:"10,keyasint,omitempty"`
	// DeletionAt is when the key may be deleted, 0 unless a deletion is scheduled.
	DeletionAt int64 `cbor:"11,keyasint,omitempty"`
	// PendingWindowDays is the waiting period that was asked for, in days.
	PendingWindowDays int `cbor:"12,keyasint,omitempty"`
	// Policy is the key policy, byte for byte as it was put.
	Policy string `cbor:"13,keyasint"`
	// Tags are sorted by key (spec 00: lists come back in key order).
	Tags []Tag `cbor:"14,keyasint,omitempty"`
	// Materials are in the order in which they were added; the first is the key's first material.
	Materials []Material `cbor:"15,keyasint,omitempty"`
	// Current is the position in Materials of the one that encrypts, -1 before the first import.
	Current int `cbor:"16,keyasint"`
	// Rotation is the automatic rotation's setting, nil while it was never enabled.
	Rotation *Rotation `cbor:"17,keyasint,omitempty"`
	// OnDemandRotations counts the on-demand rotations so far (quota of spec 02).
	OnDemandRotations int `cbor:"18,keyasint,omitempty"`

	// Versions of the documents that authorization reads, each the Raft index of its last change. They are apart, so
	// that a change of a tag does not refuse a write that read only the policy.
	PolicyVersion uint64 `cbor:"30,keyasint"`
	TagsVersion   uint64 `cbor:"31,keyasint,omitempty"`
	AliasVersion  uint64 `cbor:"32,keyasint,omitempty"` // the set of aliases of this key
	// Version is the index of the last change of anything in this row.
	Version uint64 `cbor:"33,keyasint"`
	// AliasCount is the number of aliases of this key (quota of spec 01 ALI-06).
	AliasCount int `cbor:"34,keyasint,omitempty"`
	// GrantCount is the number of grants on this key (quota of spec 04 GR-09). It is not part of what Version stands for.
	GrantCount int `cbor:"35,keyasint,omitempty"`
	// PolicyPrincipals are the unique ids of the users and roles that the key policy names, sorted by ARN.
	PolicyPrincipals []PolicyPrincipal `cbor:"36,keyasint,omitempty"`
	// Set is the set of related multi-Region keys; nil for others and for a primary that was never replicated.
	Set *KeySet `cbor:"40,keyasint,omitempty"`
}

// Ending tells that a deletion is pending: its waiting period runs, or begins once the last replica is gone.
func (k *Key) Ending() bool { return k.DeletionAt != 0 || k.PendingWindowDays != 0 }

// Tag is a key-value pair of a key (spec 01 TAG).
type Tag struct {
	Key   string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint"`
}

// Material is one version of a key's material. Blob and Public are nil while imported material is absent (deleted or
// expired); ID and the fingerprint outlive it.
type Material struct {
	// ID is the KeyMaterialId: 32 bytes, random for generated material, the fingerprint of imported material.
	ID []byte `cbor:"1,keyasint"`
	// Domain is the version of the domain key that wraps Blob.
	Domain uint32 `cbor:"2,keyasint,omitempty"`
	// Blob is the wrapped material (package hsm), nil if absent.
	Blob []byte `cbor:"3,keyasint,omitempty"`
	// Public is the DER SubjectPublicKeyInfo of asymmetric keys.
	Public []byte        `cbor:"4,keyasint,omitempty"`
	State  MaterialState `cbor:"5,keyasint"`
	// AddedAt is when the material was generated or first imported.
	AddedAt int64 `cbor:"6,keyasint"`
	// RotatedAt is when the material became current by a rotation, 0 for the first.
	RotatedAt int64 `cbor:"7,keyasint,omitempty"`
	// RotationType is AUTOMATIC or ON_DEMAND, empty for the first material and one pending rotation.
	RotationType string `cbor:"8,keyasint,omitempty"`
	// Expires tells whether the imported material has an expiry, ExpiresAt when.
	Expires     bool   `cbor:"9,keyasint,omitempty"`
	ExpiresAt   int64  `cbor:"10,keyasint,omitempty"`
	Description string `cbor:"11,keyasint,omitempty"` // KeyMaterialDescription
}

// Present reports whether the material is there to be used.
func (m *Material) Present() bool { return len(m.Blob) > 0 }

// MaterialState is the state of one material of a key (KeyMaterialState of the API).
type MaterialState uint8

// Material states. The numbers are stored and never reused.
const (
	MaterialCurrent         MaterialState = 1
	MaterialNonCurrent      MaterialState = 2
	MaterialPendingRotation MaterialState = 3
	// MaterialSpreading is new material of a multi-Region key on its way to every region of the set: it opens what was encrypted
	// with it and encrypts nothing until all have it.
	MaterialSpreading MaterialState = 4
)

// Rotation is a key's automatic rotation (spec 02).
type Rotation struct {
	Enabled    bool `cbor:"1,keyasint,omitempty"`
	PeriodDays int  `cbor:"2,keyasint"`
	// NextAt is when the next automatic rotation is due.
	NextAt int64 `cbor:"3,keyasint"`
}

// Alias is a second name of a key in one account (spec 01 ALI).
type Alias struct {
	Account   string `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint"` // with the prefix alias/
	KeyID     string `cbor:"3,keyasint"`
	CreatedAt int64  `cbor:"4,keyasint"`
	UpdatedAt int64  `cbor:"5,keyasint"`
	Version   uint64 `cbor:"6,keyasint"`
}

// Account is an account of the region.
type Account struct {
	ID        string `cbor:"1,keyasint"`
	CreatedAt int64  `cbor:"2,keyasint"`
	// KeyCount is the number of customer managed keys in any state (quota of spec 01 CRE-11).
	KeyCount int    `cbor:"3,keyasint,omitempty"`
	Version  uint64 `cbor:"4,keyasint"`
	// Users, Groups, Roles and Policies count the account's identities and customer managed policies.
	Users    int `cbor:"5,keyasint,omitempty"`
	Groups   int `cbor:"6,keyasint,omitempty"`
	Roles    int `cbor:"7,keyasint,omitempty"`
	Policies int `cbor:"8,keyasint,omitempty"`
	// Local tells that the home of the identities does not have the account: it is there for its keys alone.
	Local bool `cbor:"30,keyasint,omitempty"`
}

// AccessKey is a long-term credential. The secret is sealed under the domain key (package envelope).
type AccessKey struct {
	ID        string `cbor:"1,keyasint"`
	Account   string `cbor:"2,keyasint"`
	Principal string `cbor:"3,keyasint"` // "root", or a unique id
	Domain    uint32 `cbor:"4,keyasint"`
	Secret    []byte `cbor:"5,keyasint"` // sealed
	Active    bool   `cbor:"6,keyasint"`
	CreatedAt int64  `cbor:"7,keyasint"`
	Version   uint64 `cbor:"8,keyasint"`
}

// DomainKey is one version of the region's domain key.
type DomainKey struct {
	Version uint32 `cbor:"1,keyasint"`
	// ID is the name of the version inside every module (hsm.DomainID).
	ID        string `cbor:"2,keyasint"`
	CreatedAt int64  `cbor:"3,keyasint"`
	// Active is the version that wraps new material; exactly one is.
	Active bool `cbor:"4,keyasint,omitempty"`
	// Wrapped holds the version wrapped for each node's transport key, sorted by node id. Empty in single-module and
	// shared-partition regions, where every node finds the version by its id.
	Wrapped []WrappedDomain `cbor:"5,keyasint,omitempty"`
	// Probe is a tag under the version's authentication key by which a node tells that its module holds the right one.
	Probe []byte `cbor:"6,keyasint"`
}

// WrappedDomain is a domain key version wrapped for one node.
type WrappedDomain struct {
	NodeID string `cbor:"1,keyasint"`
	Blob   []byte `cbor:"2,keyasint"`
}

// AuditHead is the signed head of an audit segment of a node (design: cut-off records are found by it).
type AuditHead struct {
	NodeID  string `cbor:"1,keyasint"`
	Segment uint64 `cbor:"2,keyasint"`
	LastSeq uint64 `cbor:"3,keyasint"`
	Chain   []byte `cbor:"4,keyasint"`
	KeyID   string `cbor:"5,keyasint"`
	Sig     []byte `cbor:"6,keyasint"`
	At      int64  `cbor:"7,keyasint"`
	// Closed tells that the segment ended here.
	Closed bool `cbor:"8,keyasint,omitempty"`
	// Head is the whole signed head as the audit log encodes it, for whoever verifies the log against the state.
	Head []byte `cbor:"9,keyasint,omitempty"`
}

// Region is the one row about the region itself.
type Region struct {
	ClusterID string `cbor:"1,keyasint"` // random, new after a recovery
	Name      string `cbor:"2,keyasint"` // us-east-1
	Partition string `cbor:"3,keyasint"` // aws
	CreatedAt int64  `cbor:"4,keyasint"`
	// Audit names the key that signs audit heads: its public key (SPKI) and its wrapped private key.
	AuditKey *Material `cbor:"5,keyasint,omitempty"`
	// HoldUntil is until when nothing is destroyed: region time has jumped forward (holdAfter), 0 if it never did.
	HoldUntil int64 `cbor:"6,keyasint,omitempty"`
	// Restored is the region's incarnation once it was restored from an older state, 0 before (Incarnation).
	Restored uint64 `cbor:"20,keyasint,omitempty"`
	// Keys are the region's own key pairs towards other regions.
	Keys *RegionKeys `cbor:"21,keyasint,omitempty"`
	// Reborn tells that the state began a new cluster and has not begun its new incarnation yet (BeginIncarnation).
	Reborn bool `cbor:"22,keyasint,omitempty"`
	// Whole is Restored once everything was taken over from all regions after none of them accepted anything of an earlier life of
	// another any more: from then on the region knows what there is to know of what it has lost.
	Whole uint64 `cbor:"23,keyasint,omitempty"`
	// Home is the region in which the identities are decided, nil if that is this one.
	Home *HomeRegion `cbor:"30,keyasint,omitempty"`
	// Operator is the account whose identities look after the region, "" if it is the one that the region was made with.
	Operator string `cbor:"31,keyasint,omitempty"`
	// SharedFrom is the index since which removed identities are remembered for regions that follow this one, 0 without any.
	SharedFrom uint64 `cbor:"32,keyasint,omitempty"`
	// FollowersAt is the index of the last change of which regions follow this one, 0 if none ever did.
	FollowersAt uint64 `cbor:"33,keyasint,omitempty"`
}

// Quotas are the resource quotas of a region (spec 03 B1). They are part of the state, so that every node counts alike.
type Quotas struct {
	KeysPerAccount    int `cbor:"1,keyasint"` // 100,000
	AliasesPerKey     int `cbor:"2,keyasint"` // 50
	TagsPerKey        int `cbor:"3,keyasint"` // 50
	OnDemandRotations int `cbor:"4,keyasint"` // 25 per key
	GrantsPerKey      int `cbor:"5,keyasint"` // 50,000
	PolicyBytes       int `cbor:"6,keyasint"` // 32,768
}

// DefaultQuotas are the documented defaults.
func DefaultQuotas() Quotas {
	return Quotas{KeysPerAccount: 100_000, AliasesPerKey: 50, TagsPerKey: 50, OnDemandRotations: 25, GrantsPerKey: 50_000, PolicyBytes: 32_768}
}
