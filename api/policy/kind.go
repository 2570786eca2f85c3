package policy

// Kind is what a policy document is attached to; it decides which elements the document may have (spec 04 KP, IDP, VE).
type Kind uint8

// Kinds of documents.
const (
	KeyPolicy      Kind = iota + 1 // attached to a KMS key (spec 04 section 3)
	IdentityPolicy                 // inline or managed policy of a user, group or role (spec 04 section 7)
	TrustPolicy                    // a role's AssumeRolePolicyDocument: who may assume it
	SessionPolicy                  // passed when a session is made; only narrows it (spec 04 IDP-10)
	Boundary                       // permissions boundary of a user or role (spec 04 IDP-10)
	EndpointPolicy                 // attached to a named endpoint (spec 04 section 14)
	Guardrail                      // caps every principal of an account (spec 04 IDP-11)
)

// String names the kind in words, for messages.
func (k Kind) String() string {
	if int(k) < len(kinds) && k > 0 {
		return kinds[k].name
	}
	return "unknown policy"
}

// Size limits of new documents.
const (
	// KeyPolicyLimit is the size of a key policy in bytes of UTF-8, white space counted (spec 04 KP-02).
	KeyPolicyLimit = 32768
	// EndpointPolicyLimit is the size of an endpoint policy in characters, white space counted (spec 04 VE-03).
	EndpointPolicyLimit = 20480
	// ManagedPolicyLimit is the size of a managed policy in characters without white space (spec 04 IDP-02). A
	// permissions boundary is a managed policy.
	ManagedPolicyLimit = 6144
	// RoleInlineLimit, GroupInlineLimit and UserInlineLimit bound the inline policies of one identity together, in
	// characters without white space ([Size]; spec 04 IDP-02). One identity policy may have at most the largest of them.
	RoleInlineLimit  = 10240
	GroupInlineLimit = 5120
	UserInlineLimit  = 2048
	// SessionPolicyLimit bounds the session policies of one session together, in characters without white space.
	SessionPolicyLimit = 2048
	// TrustPolicyLimit is the size of a trust policy in characters without white space.
	TrustPolicyLimit = 2048
	// GuardrailLimit is the size of a guardrail in characters without white space.
	GuardrailLimit = 10240

	// outerLimit bounds the bytes of any document before anything else looks at it: the model's 131,072 characters
	// (spec 04 KP-02), each at most two bytes of UTF-8.
	outerLimit = 2 * 131072
)

// need says whether an element must, may or must not be there.
type need uint8

const (
	forbidden need = iota
	optional
	required
)

// measure is how a document's size is counted.
type measure uint8

const (
	countBytes measure = iota
	countCharacters
	countWithoutSpace
)

// kindRules is one row: the differences between kinds, so that the parser has no switch over them.
type kindRules struct {
	name    string
	limit   int
	measure measure
	// id: the Id element. principal: Principal or NotPrincipal. action, resource: whether a statement may lack them
	// (a key policy's statement then has no effect, spec 04 KP-06).
	id, principal, action, resource need
	// freeSid permits any text and duplicates as Sid (spec 04 KP-06, IDP-01).
	freeSid bool
	// anyResource permits a Resource that is neither "*" nor an ARN; it never matches anything.
	anyResource bool
	// federated permits identity providers as principals.
	federated bool
	// refuseLoose applies spec 04 KP-13 when the document is new.
	refuseLoose bool
	// bearers: as a principal, "*" means the bearers of providers' tokens too.
	bearers bool
	// keyPolicyKeys hides the condition keys that exist in IAM policies only (spec 05 CND-09).
	keyPolicyKeys bool
}

var kinds = [...]kindRules{
	KeyPolicy: {name: "key policy", limit: KeyPolicyLimit, measure: countBytes,
		id: optional, principal: required, action: optional, resource: optional,
		freeSid: true, anyResource: true, refuseLoose: true, keyPolicyKeys: true},
	IdentityPolicy: {name: "identity policy", limit: RoleInlineLimit, measure: countWithoutSpace,
		action: required, resource: required, refuseLoose: true},
	TrustPolicy: {name: "trust policy", limit: TrustPolicyLimit, measure: countWithoutSpace,
		id: optional, principal: required, action: required, resource: forbidden, federated: true},
	SessionPolicy: {name: "session policy", limit: SessionPolicyLimit, measure: countWithoutSpace,
		action: required, resource: required, refuseLoose: true},
	Boundary: {name: "permissions boundary", limit: ManagedPolicyLimit, measure: countWithoutSpace,
		action: required, resource: required, refuseLoose: true},
	EndpointPolicy: {name: "endpoint policy", limit: EndpointPolicyLimit, measure: countCharacters,
		id: optional, principal: required, action: required, resource: required,
		freeSid: true, anyResource: true, bearers: true},
	Guardrail: {name: "guardrail", limit: GuardrailLimit, measure: countWithoutSpace,
		action: required, resource: required},
}

// Size returns the size of a document as IAM counts it: characters, white space left out (spec 04 IDP-02).
func Size(document string) int {
	n := 0
	for _, r := range document {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			n++
		}
	}
	return n
}

// size counts a document as the kind asks.
func (k *kindRules) size(document string) int {
	switch k.measure {
	case countBytes:
		return len(document)
	case countCharacters:
		n := 0
		for range document {
			n++
		}
		return n
	default:
		return Size(document)
	}
}

// known tells whether k is one of the kinds above.
func (k Kind) known() bool { return k >= KeyPolicy && k <= Guardrail }
