package policy

import "strings"

// PolicyType is the type of policy that decided a request (spec 04 EV-10).
type PolicyType uint8

// Policy types.
const (
	NoPolicy             PolicyType = iota
	IdentityBasedPolicy             // an identity policy of the caller
	ResourceBasedPolicy             // the key policy or trust policy
	PermissionsBoundary             // the caller's boundary
	SessionBasedPolicy              // a session policy
	ServiceControlPolicy            // the account's guardrail
	VPCEndpointPolicy               // the endpoint's policy
	GrantPolicy                     // a grant
	RootUser                        // the account root user needs no identity policy
)

// policyTypeNames are the words of the access-denied messages, with their article (spec 04 AE-01).
var policyTypeNames = [...]string{
	NoPolicy: "a policy", IdentityBasedPolicy: "an identity-based policy", ResourceBasedPolicy: "a resource-based policy",
	PermissionsBoundary: "a permissions boundary", SessionBasedPolicy: "a session policy",
	ServiceControlPolicy: "a service control policy", VPCEndpointPolicy: "a VPC endpoint policy", GrantPolicy: "a grant",
	RootUser: "the root user",
}

// String returns the type in the words of the messages, without article.
func (t PolicyType) String() string {
	_, name, _ := strings.Cut(t.withArticle(), " ")
	return name
}

func (t PolicyType) withArticle() string {
	return policyTypeNames[min(int(t), len(policyTypeNames)-1)]
}

// Outcome is the result of a decision; its String is IAM's EvalDecision (spec 05 DET-06).
type Outcome uint8

// Outcomes. The zero value denies.
const (
	ImplicitDeny Outcome = iota
	ExplicitDeny
	Allowed
)

// String returns "allowed", "explicitDeny" or "implicitDeny".
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case ExplicitDeny:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// Decision is the answer to a request. The zero Decision denies.
type Decision struct {
	Outcome Outcome
	// PolicyType is the type that decided; for an implicit deny, the type that should have allowed.
	PolicyType PolicyType
	// Policy is the position of the deciding policy among Request.Identity or Request.Session, else 0. Statement is the
	// position of the deciding statement in it and Sid its id; Statement is -1 if no statement decided.
	Policy    int
	Statement int
	Sid       string
	// Grant is the grant that allowed the request.
	Grant *Grant
	// EndpointOnly tells that the endpoint policy alone refused what would have been allowed: such a refusal stays out of
	// the account's audit log (spec 04 VE-08).
	EndpointOnly bool
	// ReadTags and ReadAliases tell that a condition read the key's tags or aliases, so that the decision holds only while
	// they are unchanged.
	ReadTags, ReadAliases bool

	shape messageShape
}

// messageShape is what the message may tell about the resource.
type messageShape uint8

const (
	shapeResource messageShape = iota // "on resource: R"
	shapeForeign                      // "on this resource": another account's, which is open to the caller's account
	shapeHidden                       // another account's: whether it exists must not show (spec 04 AE-02)
	shapeBare                         // nothing (spec 04 IDP-07)
)

// Allowed tells whether the request may go on.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// Message returns the text of the AccessDeniedException for a refusal (spec 04 AE-01), "" for an allowed request: caller is
// the caller's ARN, action the permission, resource the resource's ARN, or "*" for an operation without resource.
func (d Decision) Message(caller, action, resource string) string {
	if d.Outcome == Allowed {
		return ""
	}
	text := "User: " + caller + " is not authorized to perform: " + action
	if d.shape == shapeHidden {
		return text + " on this resource because the resource does not exist in this Region, no resource-based policies allow access, " +
			"or a resource-based policy explicitly denies access"
	}
	if d.Outcome == ExplicitDeny {
		if d.shape != shapeBare {
			text += " on resource: " + resource
		}
		return text + " with an explicit deny in " + d.PolicyType.withArticle()
	}
	switch d.shape {
	case shapeResource:
		text += " on resource: " + resource
	case shapeForeign:
		text += " on this resource"
	}
	return text + " because no " + d.PolicyType.String() + " allows the " + action + " action"
}
