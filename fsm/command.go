package fsm

// Kind names a kind of command. The numbers are in every log and are never reused.
type Kind uint16

// Command kinds.
const (
	KindTermStart        Kind = 1 // first entry of every leader's term; moves region time
	KindInitRegion       Kind = 2
	KindSetQuotas        Kind = 3
	KindPutAccount       Kind = 4
	KindPutAccessKey     Kind = 5
	KindDeleteAccessKey  Kind = 6
	KindPutDomainKey     Kind = 7
	KindAuditHead        Kind = 8
	KindCreateKey        Kind = 20
	KindSetDescription   Kind = 21
	KindSetEnabled       Kind = 22
	KindScheduleDeletion Kind = 23
	KindCancelDeletion   Kind = 24
	KindDeleteKey        Kind = 25
	KindPutKeyPolicy     Kind = 26
	KindTagKey           Kind = 27
	KindUntagKey         Kind = 28
	KindCreateAlias      Kind = 30
	KindUpdateAlias      Kind = 31
	KindDeleteAlias      Kind = 32
	KindSetRotation      Kind = 40
	KindRotateKey        Kind = 41
	KindImportMaterial   Kind = 42
	KindDeleteMaterial   Kind = 43
	KindExpireMaterial   Kind = 44
	KindRewrapMaterial   Kind = 45
	KindLastUsage        Kind = 46
	KindCreateGrant      Kind = 50
	KindDeleteGrant      Kind = 51
	KindPurgeGrants      Kind = 52

	KindPutIdentity         Kind = 60
	KindDeleteIdentity      Kind = 61
	KindPutManagedPolicy    Kind = 62
	KindDeleteManagedPolicy Kind = 63
	KindSetAccessKeyStatus  Kind = 64
	KindPutOIDCProvider     Kind = 65
	KindDeleteOIDCProvider  Kind = 66
)

// CommandID makes a retry harmless: the same call proposed again has the same id.
type CommandID [16]byte

// Command is one change as it is proposed. Everything an outcome depends on is in it or in the state.
type Command struct {
	ID CommandID
	// Attempt is the SDK's attempt number (amz-sdk-request), 1 if it is not known.
	Attempt int
	// Settles has this command, if it takes effect, stand for its whole call: an earlier attempt that is applied later, since it was
	// held up on its way, is a repeat and not a call of its own. It is set for attempts after the first, from LevelSettles on.
	Settles bool
	// Signature is a digest of the request's signature: the very same request again is a repeat at any attempt.
	Signature [16]byte
	// Time is the proposer's region time, milliseconds. Region time in the state never runs backwards.
	Time int64
	// Reads are the documents the decision was based on; a changed one refuses the command (Stale).
	Reads []Read
	// Body is one of the command bodies of this package.
	Body Body
	// Audit is the change's audit record, worded for success, handed to the sink if the command takes effect.
	Audit []byte
}

// Body is the kind-specific part of a command.
type Body interface{ Kind() Kind }

// Doc is a kind of document that a decision can be based on.
type Doc uint8

// Documents with versions of their own.
const (
	DocKeyPolicy Doc = 1 // Account, Name = key id
	DocKeyTags   Doc = 2
	DocKeyAlias  Doc = 3 // the set of aliases of a key
	DocAlias     Doc = 4 // Account, Name = alias name
	DocAccessKey Doc = 5 // Name = access key id
	DocAccount   Doc = 6 // Account (identity part, not its counters)
	DocKey       Doc = 7 // the whole row
	DocGrant     Doc = 8 // Name = grant id
	DocIdentity  Doc = 9 // Name = unique id of a user, group or role: all that is attached to it
	// DocManagedPolicy is a customer managed policy; Name = unique id.
	DocManagedPolicy Doc = 10
	// DocOIDCProvider is an OpenID Connect provider; Account, Name = URL.
	DocOIDCProvider Doc = 11
)

// Read is one document of a read set with the version it had, 0 if it was absent.
type Read struct {
	Doc     Doc    `cbor:"1,keyasint"`
	Account string `cbor:"2,keyasint,omitempty"`
	Name    string `cbor:"3,keyasint,omitempty"`
	Version uint64 `cbor:"4,keyasint"`
}

// Code is what apply says to a command. The numbers travel between nodes and are never reused.
type Code uint16

// Result codes.
const (
	OK Code = 0
	// Stale: a document of the read set has changed, or a condition at apply no longer holds (name taken, state
	// changed, count reached). The proposer waits for the result's index and decides again.
	Stale Code = 1
	// Conflict: like Stale, for a condition on the object itself; Detail says which, for logs.
	Conflict Code = 2
	// NotReady: the region is not initialized, or already is (InitRegion).
	NotReady Code = 3
)

// Result is the outcome of one command. It is the same on every node.
type Result struct {
	Code Code
	// Index is the Raft index of the command.
	Index uint64
	// Objects are the ids of what the command made, for the answer to a repeat. At most 128 bytes in all.
	Objects []string
	// Repeat tells that the command had taken effect before; Index and Objects are those of the first time.
	Repeat bool
	// Detail names the refused condition, for the operator's log.
	Detail string
}

// Bodies. Each names the condition under which it takes effect; everything else refuses with Stale or Conflict.

// TermStart opens a leader's term. The scheduler proposes it as well when nothing else has carried region time on for an hour.
type TermStart struct {
	Node string `cbor:"1,keyasint"`
}

// InitRegion makes the region, its first account and domain key version. It takes effect once.
type InitRegion struct {
	Region    Region    `cbor:"1,keyasint"`
	Quotas    Quotas    `cbor:"2,keyasint"`
	Account   Account   `cbor:"3,keyasint"`
	AccessKey AccessKey `cbor:"4,keyasint"`
	DomainKey DomainKey `cbor:"5,keyasint"`
}

// SetQuotas replaces the quotas.
type SetQuotas struct {
	Quotas Quotas `cbor:"1,keyasint"`
}

// PutAccount adds an account or replaces its identity part.
type PutAccount struct {
	Account Account `cbor:"1,keyasint"`
}

// PutAccessKey adds or replaces an access key. The principal must exist, and a user has at most MaxAccessKeys.
type PutAccessKey struct {
	AccessKey AccessKey `cbor:"1,keyasint"`
}

// DeleteAccessKey removes an access key that exists.
type DeleteAccessKey struct {
	ID string `cbor:"1,keyasint"`
}

// PutDomainKey adds a domain key version, or changes who it is wrapped for. Active moves to it if set.
type PutDomainKey struct {
	DomainKey DomainKey `cbor:"1,keyasint"`
}

// PutAuditHead records a node's audit head; it never goes back.
type PutAuditHead struct {
	Head AuditHead `cbor:"1,keyasint"`
}

// CreateKey adds a key whose id must be new, within the account's quota.
type CreateKey struct {
	Key Key `cbor:"1,keyasint"`
}

// KeyRef names an existing key.
type KeyRef struct {
	Account string `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"`
}

// SetDescription changes a description; not while a deletion is pending.
type SetDescription struct {
	Key         KeyRef `cbor:"1,keyasint"`
	Description string `cbor:"2,keyasint"`
}

// SetEnabled enables or disables; not while a deletion is pending nor without material.
type SetEnabled struct {
	Key     KeyRef `cbor:"1,keyasint"`
	Enabled bool   `cbor:"2,keyasint"`
}

// ScheduleDeletion schedules a deletion if none is pending.
type ScheduleDeletion struct {
	Key        KeyRef `cbor:"1,keyasint"`
	DeletionAt int64  `cbor:"2,keyasint"`
	WindowDays int    `cbor:"3,keyasint"`
}

// CancelDeletion takes back a pending deletion; the key ends disabled (spec 01 DEL-10).
type CancelDeletion struct {
	Key KeyRef `cbor:"1,keyasint"`
}

// DeleteKey removes a key for good, with its aliases and grants, if its deletion is due: DeletionAt is the date the
// scheduler saw, and the command's time has reached it. Rows of grants beyond the first 500 are left to PurgeGrants.
type DeleteKey struct {
	Key        KeyRef `cbor:"1,keyasint"`
	DeletionAt int64  `cbor:"2,keyasint"`
}

// PutKeyPolicy replaces a key policy. Principals are the unique ids of the users and roles that it names.
type PutKeyPolicy struct {
	Key        KeyRef            `cbor:"1,keyasint"`
	Policy     string            `cbor:"2,keyasint"`
	Principals []PolicyPrincipal `cbor:"3,keyasint,omitempty"`
}

// TagKey adds or replaces tags, within the quota; not while a deletion is pending.
type TagKey struct {
	Key  KeyRef `cbor:"1,keyasint"`
	Tags []Tag  `cbor:"2,keyasint"`
}

// UntagKey removes tags; absent ones are no error. Not while a deletion is pending.
type UntagKey struct {
	Key  KeyRef   `cbor:"1,keyasint"`
	Keys []string `cbor:"2,keyasint"`
}

// CreateAlias adds an alias whose name is free, within the key's quota; not while the key's deletion is pending.
type CreateAlias struct {
	Account string `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	KeyID   string `cbor:"3,keyasint"`
}

// UpdateAlias re-points an alias from From, which it must point to, to another key.
type UpdateAlias struct {
	Account string `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	From    string `cbor:"3,keyasint"`
	KeyID   string `cbor:"4,keyasint"`
}

// DeleteAlias removes an alias that points to KeyID.
type DeleteAlias struct {
	Account string `cbor:"1,keyasint"`
	Name    string `cbor:"2,keyasint"`
	KeyID   string `cbor:"3,keyasint"`
}

// SetRotation sets the automatic rotation.
type SetRotation struct {
	Key      KeyRef   `cbor:"1,keyasint"`
	Rotation Rotation `cbor:"2,keyasint"`
}

// RotateKey makes another material current: Material is new, or, with nil Material.Blob, names by its id the imported
// material that is pending rotation. From is the id of the material that must be current. NextAt, when not 0, is the
// next automatic rotation.
type RotateKey struct {
	Key      KeyRef   `cbor:"1,keyasint"`
	From     []byte   `cbor:"2,keyasint"`
	Material Material `cbor:"3,keyasint"`
	Type     string   `cbor:"4,keyasint"` // AUTOMATIC or ON_DEMAND; ON_DEMAND counts against the quota
	NextAt   int64    `cbor:"5,keyasint,omitempty"`
}

// ImportMaterial puts imported material: a new one (first, or pending rotation), or one whose id the key knows.
type ImportMaterial struct {
	Key      KeyRef   `cbor:"1,keyasint"`
	Material Material `cbor:"2,keyasint"`
	// New tells that the id must be unknown to the key; otherwise it must be known.
	New bool `cbor:"3,keyasint,omitempty"`
}

// DeleteMaterial removes imported material; id and fingerprint stay, but nothing stays of material pending rotation.
type DeleteMaterial struct {
	Key        KeyRef `cbor:"1,keyasint"`
	MaterialID []byte `cbor:"2,keyasint"`
}

// ExpireMaterial removes imported material whose expiry is ExpiresAt and has come by the command's time.
type ExpireMaterial struct {
	Key        KeyRef `cbor:"1,keyasint"`
	MaterialID []byte `cbor:"2,keyasint"`
	ExpiresAt  int64  `cbor:"3,keyasint"`
}

// RewrapMaterial replaces a wrapped blob by one under another domain key version, if the old blob is still there.
type RewrapMaterial struct {
	Key        KeyRef `cbor:"1,keyasint"`
	MaterialID []byte `cbor:"2,keyasint"`
	From       uint32 `cbor:"3,keyasint"`
	Domain     uint32 `cbor:"4,keyasint"`
	Blob       []byte `cbor:"5,keyasint"`
}

// LastUsage merges what a node saw of keys' last use (spec 01 DEL-18); later times win. Keys that are gone are skipped.
type LastUsage struct {
	Uses []KeyUse `cbor:"1,keyasint"`
}

// CreateGrant adds a grant whose id must be new, within the key's quota, to a key that is enabled. A named grant that
// exists refuses another of the same key, name, principals, operations and constraint. CreatedAt and Version are set.
type CreateGrant struct {
	Grant Grant `cbor:"1,keyasint"`
}

// DeleteGrant removes a grant of a key.
type DeleteGrant struct {
	Key KeyRef   `cbor:"1,keyasint"`
	ID  string   `cbor:"2,keyasint"`
	End GrantEnd `cbor:"3,keyasint"`
}

// PurgeGrants removes up to 500 grants that a deleted key has left behind (State.Remains).
type PurgeGrants struct {
	Key KeyRef `cbor:"1,keyasint"`
}

// PutIdentity adds a user, group or role, or replaces the row whose version was Was (0 = it must be new). Its name must be
// free and its groups and managed policies must exist. CreatedAt of a row that exists, Version and Members are set.
type PutIdentity struct {
	Identity Identity `cbor:"1,keyasint"`
	Was      uint64   `cbor:"2,keyasint,omitempty"`
}

// DeleteIdentity removes a user, group or role whose version is Was, and that has no policies, groups, members or access
// keys.
type DeleteIdentity struct {
	ID  string `cbor:"1,keyasint"`
	Was uint64 `cbor:"2,keyasint"`
}

// PutManagedPolicy adds a customer managed policy, or replaces the row whose version was Was (0 = it must be new).
type PutManagedPolicy struct {
	Policy ManagedPolicy `cbor:"1,keyasint"`
	Was    uint64        `cbor:"2,keyasint,omitempty"`
}

// DeleteManagedPolicy removes a customer managed policy whose version is Was, that is not in use and has one version.
type DeleteManagedPolicy struct {
	ID  string `cbor:"1,keyasint"`
	Was uint64 `cbor:"2,keyasint"`
}

// SetAccessKeyStatus activates or deactivates an access key that exists.
type SetAccessKeyStatus struct {
	ID     string `cbor:"1,keyasint"`
	Active bool   `cbor:"2,keyasint"`
}

// KeyUse is the last successful cryptographic operation on a key.
type KeyUse struct {
	Account   string `cbor:"1,keyasint"`
	KeyID     string `cbor:"2,keyasint"`
	At        int64  `cbor:"3,keyasint"`
	Operation string `cbor:"4,keyasint"`
	EventID   string `cbor:"5,keyasint"`
	RequestID string `cbor:"6,keyasint"`
}
