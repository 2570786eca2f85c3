package audit

import "time"

// Types of a [UserIdentity] (spec 03 A3).
const (
	TypeIAMUser       = "IAMUser"
	TypeAssumedRole   = "AssumedRole"
	TypeRoot          = "Root"
	TypeFederatedUser = "FederatedUser"
	TypeAWSAccount    = "AWSAccount"
	TypeAWSService    = "AWSService"
	// TypeWebIdentityUser is the bearer of an identity provider's token.
	TypeWebIdentityUser = "WebIdentityUser"
)

// InternalCaller is what internal events name as caller, address and user agent (spec 03 AUD-43).
const InternalCaller = "AWS Internal"

// UserIdentity says who acted (spec 03 AUD-17). Empty fields are left out, except that accessKeyId stands, empty if
// need be, on the four types that sign with an access key (AUD-18). It has no field for a secret.
type UserIdentity struct {
	Type        string
	PrincipalID string
	ARN         string
	AccountID   string
	AccessKeyID string
	UserName    string
	// Session is set for temporary credentials.
	Session *SessionContext
	// InvokedBy is the service that acted for the caller, or [InternalCaller].
	InvokedBy string
	// IdentityProvider is the provider whose token the caller brings.
	IdentityProvider string
}

// SessionContext describes temporary credentials. Issuer is nil unless a role was assumed.
type SessionContext struct {
	MFAAuthenticated bool
	CreationDate     time.Time
	Issuer           *SessionIssuer
	// FederatedProvider is the provider whose token the session was made for, "" for others.
	FederatedProvider string
}

// SessionIssuer is the role behind a session.
type SessionIssuer struct {
	Type        string // "Role"
	PrincipalID string
	ARN         string
	AccountID   string
	UserName    string // the role's name
}

// InternalIdentity is the identity of the events that Trent causes itself (spec 03 AUD-43).
func InternalIdentity(account string) UserIdentity {
	return UserIdentity{AccountID: account, InvokedBy: InternalCaller}
}

// ServiceIdentity is the identity of a service that acts for itself.
func ServiceIdentity(service string) UserIdentity {
	return UserIdentity{Type: TypeAWSService, InvokedBy: service}
}

// ForeignIdentity is how u appears in the log of another account, the key owner's: the owner learns the caller's
// account and unique id, not its name, its access key or its session (spec 03 A3, AUD-05). A service is the same to everybody.
func (u UserIdentity) ForeignIdentity() UserIdentity {
	if u.Type == TypeAWSService {
		return u
	}
	return UserIdentity{Type: TypeAWSAccount, PrincipalID: u.PrincipalID, AccountID: u.AccountID, InvokedBy: u.InvokedBy}
}

// signs reports whether callers of this type always carry an access key.
func (u *UserIdentity) signs() bool {
	switch u.Type {
	case TypeIAMUser, TypeAssumedRole, TypeRoot, TypeFederatedUser:
		return true
	}
	return false
}

func (e *encoder) identity(u *UserIdentity) {
	e.open("userIdentity")
	e.optional("type", u.Type)
	e.optional("principalId", u.PrincipalID)
	e.optional("arn", u.ARN)
	e.optional("accountId", u.AccountID)
	if u.AccessKeyID != "" || u.signs() {
		e.text("accessKeyId", u.AccessKeyID)
	}
	e.optional("userName", u.UserName)
	if u.Session != nil {
		e.session(u.Session)
	}
	e.optional("invokedBy", u.InvokedBy)
	e.optional("identityProvider", u.IdentityProvider)
	e.close()
}

func (e *encoder) session(s *SessionContext) {
	e.open("sessionContext")
	e.open("attributes")
	// A string, not a boolean: spec 03 AUD-15.
	if s.MFAAuthenticated {
		e.text("mfaAuthenticated", "true")
	} else {
		e.text("mfaAuthenticated", "false")
	}
	e.time("creationDate", s.CreationDate)
	e.close()
	if i := s.Issuer; i != nil {
		e.open("sessionIssuer")
		e.optional("type", i.Type)
		e.optional("principalId", i.PrincipalID)
		e.optional("arn", i.ARN)
		e.optional("accountId", i.AccountID)
		e.optional("userName", i.UserName)
		e.close()
	}
	if s.FederatedProvider != "" {
		e.open("webIdFederationData")
		e.text("federatedProvider", s.FederatedProvider)
		e.close()
	}
	e.close()
}
