package fault

// PolicyType names the kind of policy that a denial is put down to, in the words of the recorded texts (spec 04 AE-01).
type PolicyType string

// Policy types of denials.
const (
	IdentityPolicy       PolicyType = "identity-based policy"
	ResourcePolicy       PolicyType = "resource-based policy"
	PermissionsBoundary  PolicyType = "permissions boundary"
	SessionPolicy        PolicyType = "session policy"
	ServiceControlPolicy PolicyType = "service control policy"
	EndpointPolicy       PolicyType = "VPC endpoint policy"
)

// Denial is what an AccessDeniedException tells: who, what, where. Action has its prefix ("kms:Encrypt").
type Denial struct {
	Caller string // ARN of the caller
	Action string
	// Resource is the ARN of the key or alias, "*" for operations without one, or empty: the text then has no
	// "on resource" part, as recorded for kms:TagResource at CreateKey (spec 04 IDP-07).
	Resource string
}

// Implicit is a denial because no policy of the type allows the action (spec 10 P-1, P-2).
func (d Denial) Implicit(t PolicyType) *Error {
	return denied("%s%s because no %s allows the %s action", d.who(), d.where(), string(t), d.Action)
}

// Explicit is a denial by a statement of a policy of the type (spec 10 P-3).
func (d Denial) Explicit(t PolicyType) *Error {
	return denied("%s%s with an explicit deny in %s %s", d.who(), d.where(), t.article(), string(t))
}

// Foreign is a denial at another account's key on that account's side. It is the same whether the key exists or not (spec 10
// PROTO-50).
func (d Denial) Foreign() *Error {
	return denied("%s on this resource because %s", d.who(), foreignReason)
}

// ForeignCaller is a denial at another account's key for want of an Allow on the caller's own side (spec 04 AE-01).
func (d Denial) ForeignCaller() *Error {
	return denied("%s on this resource because no %s allows the %s action", d.who(), string(IdentityPolicy), d.Action)
}

// Ciphertext is a denial at a key that only the ciphertext named: unknown here or forbidden, which must look the same, so that
// there is one text for both (spec 10 P-5, DEC-02).
func (d Denial) Ciphertext() *Error {
	return denied("%s on the resource associated with this ciphertext because %s", d.who(), foreignReason)
}

// Denied is AccessDeniedException in other words, for what no recorded text covers; the format is for the client.
func Denied(format string, args ...any) *Error { return denied(format, args...) }

const foreignReason = "the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"

func denied(format string, args ...any) *Error { return New(AccessDeniedException, format, args...) }

func (d Denial) who() string {
	return "User: " + d.Caller + " is not authorized to perform: " + d.Action
}

func (d Denial) where() string {
	if d.Resource == "" {
		return ""
	}
	return " on resource: " + d.Resource
}

func (t PolicyType) article() string {
	if t == IdentityPolicy {
		return "an"
	}
	return "a"
}
