package policy

import "strings"

// PrincipalKind is how a caller authenticated (spec 04 AUTH-02).
type PrincipalKind uint8

// Principal kinds.
const (
	Root          PrincipalKind = iota + 1 // account root user
	User                                   // IAM user
	RoleSession                            // session of a role
	FederatedUser                          // session of GetFederationToken
	Service                                // a registered service integration, calling for itself
	WebIdentity                            // bearer of an identity provider's token, at AssumeRoleWithWebIdentity or …WithSAML
)

// Principal is the caller of a request. It is not changed and may be shared between requests.
type Principal struct {
	Kind PrincipalKind
	// ARN is the caller's own: arn:aws:iam::A:root, …:user/[path/]NAME, arn:aws:sts::A:assumed-role/ROLE/SESSION,
	// arn:aws:sts::A:federated-user/NAME; the service principal's name for a service, the provider's ARN or host name for
	// a web identity.
	ARN string
	// Account is the caller's account, 12 digits; empty for services and web identities.
	Account string
	// IdentityARN and IdentityID are the ARN and the unique id of the identity whose policies apply: the user, the session's
	// role, the user who made the federated session. Both are empty for a root user and for a federated session that a root
	// user made.
	IdentityARN, IdentityID string
	// ServiceNames are all names of a service principal, the Region-specific one included.
	ServiceNames []string
	// DisabledHere tells that the caller's account is not enabled in this region: keys of other accounts are then closed to
	// it (spec 04 XA-04).
	DisabledHere bool
}

// PrincipalType is what a principal in a document, or of a grant, names.
type PrincipalType uint8

// Types of principals.
const (
	AccountPrincipal       PrincipalType = iota + 1 // 111122223333 or arn:aws:iam::111122223333:root
	UserPrincipal                                   // a user's ARN
	RolePrincipal                                   // a role's ARN: all its sessions
	SessionPrincipal                                // one session of a role
	FederatedUserPrincipal                          // one federated user session
	ServicePrincipal                                // a service's name
	ProviderPrincipal                               // an identity provider (trust policies)
	UniqueIDPrincipal                               // AIDA… or AROA…
)

// String names the type in words.
func (t PrincipalType) String() string {
	names := [...]string{"unknown principal", "account", "user", "role", "role session", "federated user", "service", "identity provider", "unique id"}
	if int(t) >= len(names) {
		return names[0]
	}
	return names[t]
}

// PrincipalRef is a principal that a document names.
type PrincipalRef struct {
	Type PrincipalType
	// Value is the text in the document.
	Value string
	// ARN is the full ARN where the type has one; for an account written as digits it lacks nothing but the partition,
	// which is then "aws".
	ARN string
	// Account is the account of the principal, empty for services, providers and unique ids.
	Account string
}

// entry is a compiled principal of a document or grant.
type entry struct {
	PrincipalRef
	// id is the unique id that the principal is bound to; then the ARN of a user or role decides nothing any more.
	id string
}

// ParsePrincipal parses a principal as a document or grant names it: an account, an ARN of an account root, user, role,
// assumed-role session or federated user, or a unique id. It fails with *InvalidARNError for a bad ARN or a group's, with
// [ErrInvalidPrincipal] for anything else (spec 04 KP-07, KP-08, KP-10, GR-02).
func ParsePrincipal(s string) (PrincipalRef, error) {
	switch {
	case isAccount(s):
		return PrincipalRef{Type: AccountPrincipal, Value: s, ARN: "arn:aws:iam::" + s + ":root", Account: s}, nil
	case isUniqueID(s):
		return PrincipalRef{Type: UniqueIDPrincipal, Value: s}, nil
	case !strings.HasPrefix(s, "arn:"), strings.ContainsAny(s, "*?"):
		return PrincipalRef{}, ErrInvalidPrincipal
	}
	return parsePrincipalARN(s)
}

func parsePrincipalARN(s string) (PrincipalRef, error) {
	bad := &InvalidARNError{ARN: s}
	p, missing := splitARN(s)
	partition, service, region, account, resource := p[1], p[2], p[3], p[4], p[5]
	if missing > 0 || partition == "" || !within(partition, "-") || region != "" || !isAccount(account) {
		return PrincipalRef{}, bad
	}
	ref := PrincipalRef{Value: s, ARN: s, Account: account}
	kind, name, _ := strings.Cut(resource, "/")
	ok := false
	switch service + ":" + kind {
	case "iam:root":
		ref.Type, ok = AccountPrincipal, resource == "root"
	case "iam:user":
		ref.Type, ok = UserPrincipal, validPathName(name)
	case "iam:role":
		ref.Type, ok = RolePrincipal, validPathName(name)
	case "sts:assumed-role":
		role, session, _ := strings.Cut(name, "/")
		ref.Type, ok = SessionPrincipal, validName(role) && validName(session)
	case "sts:federated-user":
		ref.Type, ok = FederatedUserPrincipal, validName(name)
	}
	if !ok {
		return PrincipalRef{}, bad
	}
	return ref, nil
}

// isAccount tells a 12-digit account id.
func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isUniqueID tells the immutable id of a user or role (spec 04 AUTH-04).
func isUniqueID(s string) bool {
	if len(s) < 16 || len(s) > 128 || !strings.HasPrefix(s, "AIDA") && !strings.HasPrefix(s, "AROA") {
		return false
	}
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// validName checks the name of a user, role or session.
func validName(s string) bool { return s != "" && len(s) <= 64 && within(s, "_+=,.@-") }

// validPathName checks [path/]name.
func validPathName(s string) bool {
	path, name := "", s
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		path, name = s[:i], s[i+1:]
	}
	for i := range len(path) {
		if path[i] < 0x21 || path[i] > 0x7E {
			return false
		}
	}
	return len(path) <= 512 && validName(name)
}

// validService checks the form of a service principal's name; whether Trent knows it is the caller's to check.
func validService(s string) bool {
	return within(s, ".-") && strings.Contains(s, ".") && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".")
}

// validProvider checks the form of an identity provider: a host name with a path, or the ARN of a provider of an account.
func validProvider(s string) bool {
	if !strings.HasPrefix(s, "arn:") {
		return within(s, "./-_:") && strings.Contains(s, ".")
	}
	p, missing := splitARN(s)
	return missing == 0 && p[2] == "iam" && isAccount(p[4]) &&
		(strings.HasPrefix(p[5], "oidc-provider/") || strings.HasPrefix(p[5], "saml-provider/")) && !strings.ContainsAny(s, "*?")
}
