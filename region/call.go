package region

import (
	"context"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// PrincipalKind is the kind of an authenticated caller (spec 04 AUTH-02).
type PrincipalKind uint8

// Principal kinds.
const (
	PrincipalRoot PrincipalKind = iota + 1
	PrincipalUser
	PrincipalRoleSession
	PrincipalFederatedUser
	PrincipalService
	// PrincipalWebIdentity is the bearer of a provider's token. It has no permissions of its own: it assumes a role.
	PrincipalWebIdentity
)

// Caller is an authenticated principal. It is made once per access key and shared between requests; it is never changed.
type Caller struct {
	Kind        PrincipalKind
	Account     string // 12 digits
	ARN         string // arn:aws:iam::<account>:root, …:user/<path><name>, arn:aws:sts::…:assumed-role/<role>/<session>
	PrincipalID string // the account id for root, else the unique id
	UserName    string // users only
	AccessKeyID string
	// ServiceNames are all names of a service principal.
	ServiceNames []string
	// Standing is what decides what a user or role session may do, nil for the root user.
	Standing *Standing
	// Session is set for temporary credentials.
	Session *Session
	// Web is set for PrincipalWebIdentity.
	Web *WebIdentity
	// Engine holds what the policy engine made of this caller; it is package facts'.
	Engine atomic.Value
	// Reads are the documents that this identity was read from, with their versions.
	Reads []fsm.Read
}

// Resource is an entry of an audit record's resources (spec 03 AUD-19).
type Resource struct {
	Account string
	ARN     string
}

// Conditions are the request's values of the kms: and aws: condition keys that depend on the operation (spec 05 section 6).
// Zero values are absent.
type Conditions struct {
	EncryptionContext     shape.EncryptionContext
	EncryptionAlgorithm   string
	SigningAlgorithm      string
	MacAlgorithm          string
	MessageType           string
	KeyAgreementAlgorithm string
	DataKeyPairSpec       string
	WrappingAlgorithm     string
	WrappingKeySpec       string
	ExpirationModel       string
	ValidTo               time.Time
	// KeySpec, KeyUsage, KeyOrigin, MultiRegion are CreateKey's; on an operation with a key they are the key's own.
	KeySpec, KeyUsage, KeyOrigin string
	MultiRegion                  shape.Opt[bool]
	RequestTags                  []fsm.Tag
	TagKeys                      []string
	PendingWindowDays            int32
	RotationPeriodDays           int32
	ReplicaRegion, PrimaryRegion string
	BypassLockout                shape.Opt[bool]
	ReEncryptOnSameKey           shape.Opt[bool]
	// IAM are those of IAM and STS operations, nil for others.
	IAM *IAMConditions
}

// Target is one permission on one resource that a call needs (spec 05 CND-08). All targets of a call must be allowed.
type Target struct {
	// Permission is the action: of KMS without the prefix kms:, of IAM and STS with theirs.
	Permission string
	// Key is the key, nil for aliases, for operations without a key, and for a foreign key that does not exist.
	Key *fsm.Key
	// Account owns the resource; "" for operations without one.
	Account string
	// ARN is the resource's ARN, or "*".
	ARN string
	// Alias tells that the resource is an alias, NewKey that it is the key that CreateKey is about to make.
	Alias, NewKey bool
	// RequestAlias is the alias name (alias/…) by which the request named the key, "" if it did not.
	RequestAlias string
	// FromCiphertext tells that the key was found in the ciphertext, not named by the caller: the refusal must not tell
	// whether it exists (spec 10 P-5).
	FromCiphertext bool
	// Grant is the grant that CreateGrant is about to make, as far as the request says, or that RetireGrant is to end: it,
	// and not the key policy, then decides (spec 04 GM-04). Nil for all other operations.
	Grant *fsm.Grant
	// Principal tells that the resource is a principal, which only ListRetirableGrants has (spec 04 IDP-05).
	Principal bool
	// Identity is the user, group or role, and Policy the customer managed policy, that an IAM or STS operation is about; nil
	// if there is none of that name.
	Identity *fsm.Identity
	Policy   *fsm.ManagedPolicy
	// Provider is the OpenID Connect provider that an IAM operation is about, nil if there is none.
	Provider *fsm.OIDCProvider
	// Assumed tells that Identity is the role that is to be assumed: its trust policy has a say.
	Assumed    bool
	Conditions Conditions
}

// Decision is one allowed target: who decided, and the documents the decision was based on. Package api's authorizer makes
// it; an operation cannot run without one for each of its targets.
type Decision struct {
	// Policy names the policy type that allowed ("key policy", "identity policy", "grant", "root").
	Policy string
	Reads  []fsm.Read
	// Grant is the id of the grant that allowed, "" if a policy did.
	Grant string
}

// Edge is what an operation asks of the layer above in the course of a call: the policy engine lives there.
type Edge interface {
	// CheckKeyPolicy validates a key policy that is about to be put (spec 04 KP) and, unless bypass, that the caller could
	// still change it afterwards (LCK). The error is a *fault.Error. key is the key as it will be, with the new policy in it;
	// it gets the policy's principals.
	CheckKeyPolicy(ctx context.Context, c *Call, key *fsm.Key, policy string, bypass bool) error
	// GrantPrincipal finds the principal of a grant that is about to be made (spec 04 GR-02, GR-15). It is an
	// InvalidArnException if there is none with this ARN.
	GrantPrincipal(c *Call, arn string) (fsm.GrantPrincipal, error)
	// PrincipalName is what lists of grants show for a principal: its ARN, or its unique id once it is gone.
	PrincipalName(c *Call, p *fsm.GrantPrincipal) string
	// ShowPolicy is how a document is shown whose principals were tied to unique ids: those that are gone by their ids (spec
	// 04 KP-11).
	ShowPolicy(st *fsm.State, document string, principals []fsm.PolicyPrincipal) string
	// CheckPolicy validates a policy of an identity or session that is about to be put (spec 04 IDP-01). Of a trust policy it
	// returns the unique ids of the users and roles that it names. The error is what the client is told.
	CheckPolicy(c *Call, kind PolicyKind, document string) ([]fsm.PolicyPrincipal, error)
	// Claim is the caller as another region is told of it.
	Claim(c *Call) Claim
	// CheckIssuer checks the URL of an issuer of tokens, CheckKeySet an issuer's key set. The errors' texts are for the client.
	CheckIssuer(url string) error
	CheckKeySet(text string) error
	// Record renders the audit record of a change that will have succeeded with output out (nil if the operation has none).
	Record(c *Call, out any) []byte
}

// Call is one authenticated and authorized request. It belongs to one goroutine.
type Call struct {
	Operation string
	State     *fsm.State
	Caller    *Caller
	// Now is region time at the start of the call.
	Now       time.Time
	RequestID string
	EventID   string
	DryRun    bool
	Targets   []Target
	Decisions []Decision
	Resources []Resource
	// Command identity of a change (design: retries are harmless).
	CommandID fsm.CommandID
	Attempt   int
	Signature [16]byte
	Edge      Edge
	// Also are events of the region's own that belong to the change and are recorded with it.
	Also []InternalEvent
	// Gate is under what a call that was refused twice proposes (Service.Hold), zero before.
	Gate cluster.Gate
	// Objects are the ids that the first attempt of a repeated change made.
	Objects []string
	// Service is set by the edge alone for calls that a registered service signed, nil for all others.
	Service *ServiceFacts
	// TokenGrants are the ids of the grants that the request's grant tokens were given out for.
	TokenGrants []string

	// notes are additionalEventData, in the order in which they were noted.
	notes []Note
	// proposed tells that the change's record is apply's business and not the edge's.
	proposed bool
	// repeat tells that the change had taken effect before; the edge records it.
	repeat bool
}

// Note is one member of additionalEventData.
type Note struct{ Name, Value string }

// Note adds a member to the record's additionalEventData (spec 03 A8).
func (c *Call) Note(name, value string) { c.notes = append(c.notes, Note{name, value}) }

// NoteMaterial adds the id of the material that was used, for symmetric encryption keys.
func (c *Call) NoteMaterial(name string, k *fsm.Key, m *fsm.Material) {
	if k.Spec == string(shape.KeySpecSymmetricDefault) {
		c.Note(name, hex.EncodeToString(m.ID))
	}
}

// Notes returns the members of additionalEventData.
func (c *Call) Notes() []Note { return c.notes }

// Proposed tells that a change was proposed and took effect or may have: its record comes from apply on every node, and the
// edge must not write another.
func (c *Call) Proposed() bool { return c.proposed && !c.repeat }

// Key is the key of the first target.
func (c *Call) Key() *fsm.Key { return c.Targets[0].Key }

// Millis is Now as the state holds times.
func (c *Call) Millis() int64 { return c.Now.UnixMilli() }

// reads returns the documents that all decisions of the call and the caller's identity were based on.
func (c *Call) reads() []fsm.Read {
	n := len(c.Caller.Reads)
	if c.Service != nil {
		n += len(c.Service.Reads)
	}
	for i := range c.Decisions {
		n += len(c.Decisions[i].Reads)
	}
	all := append(make([]fsm.Read, 0, n), c.Caller.Reads...)
	if c.Service != nil {
		all = append(all, c.Service.Reads...)
	}
	for i := range c.Decisions {
		all = append(all, c.Decisions[i].Reads...)
	}
	return all
}
