package arn

import "strings"

// PrincipalKind is a kind of principal (spec 04 AUTH-02).
type PrincipalKind uint8

// Kinds of principals. A group is no principal, but policies name groups by mistake and are told so (spec 04 KP-10).
const (
	AccountRoot PrincipalKind = iota + 1
	User
	Role
	AssumedRole   // a role session
	FederatedUser // a session of a federated user
	Group
)

// Principal is an IAM or STS principal ARN, in parts of the input.
type Principal struct {
	Kind      PrincipalKind
	Partition string
	Account   string // 12 digits
	// Path is "/" or "/a/b/", of users, roles and groups.
	Path string
	// Name is that of the user, role, group or federated user; of a role session, the role's. Empty for the account root.
	Name string
	// Session is the session name of an AssumedRole.
	Session string
}

// ParsePrincipal reads the ARN of an account root, user, role, group, role session or federated user. It checks form and
// characters ([\w+=,.@-], paths printable ASCII), not whether the principal exists.
func ParsePrincipal(s string) (Principal, bool) {
	a, ok := Parse(s)
	if !ok || a.Region != "" || !ValidAccount(a.Account) {
		return Principal{}, false
	}
	p := Principal{Partition: a.Partition, Account: a.Account}
	switch a.Service {
	case "iam":
		return p.iam(a.Resource)
	case "sts":
		return p.sts(a.Resource)
	}
	return Principal{}, false
}

func (p Principal) iam(resource string) (Principal, bool) {
	if resource == "root" {
		p.Kind = AccountRoot
		return p, true
	}
	kind, _, ok := strings.Cut(resource, "/")
	switch {
	case !ok:
		return Principal{}, false
	case kind == "user":
		p.Kind = User
	case kind == "role":
		p.Kind = Role
	case kind == "group":
		p.Kind = Group
	default:
		return Principal{}, false
	}
	// The path is what lies between the slash after the kind and the one before the name, both included.
	slash := len(kind)
	last := strings.LastIndexByte(resource, '/')
	p.Path, p.Name = resource[slash:last+1], resource[last+1:]
	return p, validPath(p.Path) && validName(p.Name)
}

func (p Principal) sts(resource string) (Principal, bool) {
	kind, rest, _ := strings.Cut(resource, "/")
	switch kind {
	case "assumed-role":
		p.Kind = AssumedRole
		p.Name, p.Session, _ = strings.Cut(rest, "/")
		return p, validName(p.Name) && validName(p.Session)
	case "federated-user":
		p.Kind, p.Name = FederatedUser, rest
		return p, validName(p.Name)
	}
	return Principal{}, false
}

// String prints the ARN.
func (p Principal) String() string {
	iam, sts := Prefix+p.Partition+":iam::"+p.Account+":", Prefix+p.Partition+":sts::"+p.Account+":"
	switch p.Kind {
	case AccountRoot:
		return iam + "root"
	case User:
		return iam + "user" + p.Path + p.Name
	case Role:
		return iam + "role" + p.Path + p.Name
	case Group:
		return iam + "group" + p.Path + p.Name
	case AssumedRole:
		return sts + "assumed-role/" + p.Name + "/" + p.Session
	case FederatedUser:
		return sts + "federated-user/" + p.Name
	}
	return ""
}

// Root prints the ARN of an account's root (spec 04 KP-07).
func Root(partition, account string) string {
	return Principal{Kind: AccountRoot, Partition: partition, Account: account}.String()
}

// maxName bounds the names of principals, in characters; the longest real one is a role session's (64).
const maxName = 128

func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_+=,.@-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// maxPath bounds a path, in characters (IAM).
const maxPath = 512

func validPath(s string) bool {
	return len(s) <= maxPath && all(s, '!', '~')
}
