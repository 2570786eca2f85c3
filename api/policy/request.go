package policy

import "iter"

// Resource is what a permission is asked for.
type Resource struct {
	Type ResourceType
	// ARN is the resource's ARN. For ResourceNone it is the account-wide ARN "arn:PARTITION:kms:REGION:ACCOUNT:*" of the
	// caller, or empty, then only a Resource of "*" covers the operation. For ResourceGrantee it is the ARN of the retiring
	// principal that ListRetirableGrants names.
	ARN string
	// Account owns the resource; empty for ResourceNone and ResourceGrantee, which are always the caller's own.
	Account string
}

// Request is one authorization check: may this principal do this action to this resource? Decide reads it and changes
// nothing in it.
type Request struct {
	Principal *Principal
	// Action is the permission, written as in the permissions reference ("kms:ReEncryptFrom"), or the action of another
	// door ("iam:GetUser", "trent:Backup").
	Action   string
	Resource Resource
	// Context yields condition keys; nil has none.
	Context Context
	// EncryptionContext is the one that a grant's constraint tests: of the source for kms:ReEncryptFrom, of the destination
	// for kms:ReEncryptTo (spec 04 GR-12). Nil or empty if the call has none.
	EncryptionContext Pairs
	// NewGrant is the grant that kms:CreateGrant is about to make; only a caller who may do so by virtue of another grant
	// needs it (spec 04 GR-06). Its KeyARN must be set.
	NewGrant *Grant

	// ResourcePolicy is the key policy of a key or the trust policy of a role. Nil: the resource has none, or does not
	// exist; a foreign key that does not exist is then refused like a forbidden one (spec 04 AE-02).
	ResourcePolicy *Policy
	// Grants yields the grants on the key, or at least those that could be meant for the caller; nil has none. It is asked
	// only if no policy allows the call, and must be ready to be asked twice. Order decides which of several fitting grants
	// the decision names.
	Grants iter.Seq[*Grant]

	// Identity are the identity policies of the caller: a user's own and its groups', a role's for its sessions, the
	// user's for a federated session (spec 04 EV-04).
	Identity []*Policy
	// Boundary is the permissions boundary of the caller's user or role; nil is none.
	Boundary *Policy
	// Session are the session policies; empty is none, which is no limit for a role session and no permission at all for a
	// federated one.
	Session []*Policy
	// Endpoint is the policy of the named endpoint through which the request came; nil if through none.
	Endpoint *Policy
	// Guardrail is the guardrail of the caller's account; nil is none.
	Guardrail *Policy
}

// complete tells whether the request says who asks for what. A forgotten kind, account or type would otherwise turn the caller
// into nobody in particular, the key into something without a key policy, or a foreign resource into an own one.
func (r *Request) complete() bool {
	p := r.Principal
	if p == nil || p.Kind < Root || p.Kind > WebIdentity || r.Resource.Type < ResourceNone || r.Resource.Type > ResourceOther {
		return false
	}
	if r.Resource.hasOwner() && r.Resource.Account == "" {
		return false
	}
	return (p.Account == "") == (p.Kind == Service || p.Kind == WebIdentity)
}

// hasOwner tells the resources that belong to an account, always.
func (r *Resource) hasOwner() bool {
	switch r.Type {
	case ResourceKey, ResourceAlias, ResourceNewKey, ResourceRole:
		return true
	}
	return false
}

// hasPolicy tells the resources that have a policy of their own.
func (r *Resource) hasPolicy() bool { return r.Type == ResourceKey || r.Type == ResourceRole }
