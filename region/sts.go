package region

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// SessionCredentials are temporary credentials; they are in no answer but the one that made them.
type SessionCredentials struct {
	AccessKeyID     string       `wire:"AccessKeyId"`
	SecretAccessKey shape.Secret `wire:"SecretAccessKey,text"`
	SessionToken    string       `wire:"SessionToken,hidden"`
	Expiration      time.Time    `wire:"Expiration"`
}

// CredentialsRecord is what audit records show of temporary credentials.
type CredentialsRecord struct {
	AccessKeyID string    `wire:"AccessKeyId"`
	Expiration  time.Time `wire:"Expiration"`
}

// GetCallerIdentityInput has no members.
type GetCallerIdentityInput struct{}

// Resolve implements Input: no permission is needed.
func (in *GetCallerIdentityInput) Resolve(*Resolver) error { return nil }

// CallerIdentity says who signed the request.
type CallerIdentity struct {
	UserID  string `wire:"UserId"`
	Account string `wire:"Account"`
	ARN     string `wire:"Arn"`
}

// GetCallerIdentity says who the caller is; no policy can deny it.
func (s *Service) GetCallerIdentity(_ context.Context, c *Call, _ *GetCallerIdentityInput) (*CallerIdentity, error) {
	return &CallerIdentity{c.Caller.PrincipalID, c.Caller.Account, c.Caller.ARN}, nil
}

// AccessKeyInfoInput names an access key of whatever account.
type AccessKeyInfoInput struct {
	AccessKeyID string `wire:"AccessKeyId,required" len:"16..128" pattern:"[\\w]*"`
}

// Resolve implements Input.
func (in *AccessKeyInfoInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// AccessKeyInfo names the account of an access key.
type AccessKeyInfo struct {
	Account string `wire:"Account"`
}

// GetAccessKeyInfo names the account of a long-term access key. Those of sessions are stored nowhere.
func (s *Service) GetAccessKeyInfo(_ context.Context, c *Call, in *AccessKeyInfoInput) (*AccessKeyInfo, error) {
	k := c.State.AccessKey(in.AccessKeyID)
	if k == nil {
		return nil, iamfault.ValidationError("Invalid Access Key ID %s", in.AccessKeyID)
	}
	return &AccessKeyInfo{k.Account}, nil
}

// GetSessionTokenInput asks for temporary credentials of the caller itself.
type GetSessionTokenInput struct {
	_               struct{}         `refuse:"SerialNumber,TokenCode"`
	DurationSeconds shape.Opt[int32] `wire:"DurationSeconds" range:"900..129600"`
}

// Resolve implements Input: every user may, and nobody else.
func (in *GetSessionTokenInput) Resolve(r *Resolver) error {
	if r.Call.Caller.Session != nil {
		return iamfault.AccessDenied("Cannot call GetSessionToken with session credentials")
	}
	return nil
}

// SessionTokenOutput holds temporary credentials.
type SessionTokenOutput struct {
	Credentials *SessionCredentials `wire:"Credentials"`
}

// Longest and default sessions of GetSessionToken; the root user's are short.
const (
	userSession = 12 * time.Hour
	rootSession = time.Hour
)

// GetSessionToken makes temporary credentials with the caller's own permissions.
func (s *Service) GetSessionToken(ctx context.Context, c *Call, in *GetSessionTokenInput) (*SessionTokenOutput, error) {
	length := userSession
	session := &Session{Kind: c.Caller.Kind, Account: c.Caller.Account, Principal: RootPrincipal, Parent: c.Caller.AccessKeyID, Issued: c.Now}
	if c.Caller.Standing != nil {
		session.Principal = c.Caller.Standing.Identity.ID
	} else {
		length = rootSession
	}
	if in.DurationSeconds.Set {
		length = time.Duration(in.DurationSeconds.Value) * time.Second
		if c.Caller.Kind == PrincipalRoot {
			length = min(length, rootSession)
		}
	}
	session.Expires = c.Now.Add(length)
	cred, _, err := s.sealSession(ctx, c.State, session)
	return &SessionTokenOutput{cred}, err
}

// PolicyDescriptor names a managed policy that is to be a session policy.
type PolicyDescriptor struct {
	ARN string `wire:"Arn,required" len:"20..2048"`
}

// AssumeRoleInput asks for a session of a role.
type AssumeRoleInput struct {
	_                 struct{}           `refuse:"SerialNumber,TokenCode,ProvidedContexts"`
	RoleARN           string             `wire:"RoleArn,required" len:"20..2048"`
	RoleSessionName   string             `wire:"RoleSessionName,required" len:"2..64" pattern:"[\\w+=,.@-]*"`
	PolicyARNs        []PolicyDescriptor `wire:"PolicyArns" size:"0..10"`
	Policy            shape.Opt[string]  `wire:"Policy" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	DurationSeconds   shape.Opt[int32]   `wire:"DurationSeconds" range:"900..43200"`
	Tags              []IAMTag           `wire:"Tags" size:"0..50"`
	TransitiveTagKeys []string           `wire:"TransitiveTagKeys" len:"1..128"`
	ExternalID        shape.Opt[string]  `wire:"ExternalId" len:"2..1224" pattern:"[\\w+=,.@:\\/-]*"`
	SourceIdentity    shape.Opt[string]  `wire:"SourceIdentity" len:"2..64" pattern:"[\\w+=,.@-]*"`
}

// Resolve needs sts:AssumeRole on the role and, for tags and a source identity, permissions of their own; its trust policy
// decides on each.
func (in *AssumeRoleInput) Resolve(r *Resolver) error {
	return r.assumed("sts:AssumeRole", in.RoleARN, Conditions{
		RequestTags: requestTags(in.Tags),
		IAM: &IAMConditions{
			ExternalID: in.ExternalID.Value, RoleSessionName: in.RoleSessionName, SourceIdentity: in.SourceIdentity.Value,
			TransitiveTagKeys: in.TransitiveTagKeys,
		},
	})
}

// assumed adds a role that is to be assumed, of whatever account.
func (r *Resolver) assumed(permission, roleARN string, cond Conditions) error {
	p, ok := arn.ParsePrincipal(roleARN)
	if !ok || p.Kind != arn.Role {
		return iamfault.ValidationError("%s is invalid", roleARN)
	}
	t := Target{Permission: permission, Account: p.Account, ARN: roleARN, Assumed: true, Conditions: cond, Identity: r.svc.FindIdentity(r.Call.State, roleARN)}
	r.Call.Targets = append(r.Call.Targets, t)
	if len(cond.RequestTags) > 0 {
		t.Permission = "sts:TagSession"
		r.Call.Targets = append(r.Call.Targets, t)
	}
	if cond.IAM.SourceIdentity != "" {
		t.Permission = "sts:SetSourceIdentity"
		r.Call.Targets = append(r.Call.Targets, t)
	}
	return nil
}

// AssumedRoleUser names a role session.
type AssumedRoleUser struct {
	AssumedRoleID string `wire:"AssumedRoleId"`
	ARN           string `wire:"Arn"`
}

// AssumeRoleOutput holds the credentials of a role session.
type AssumeRoleOutput struct {
	Credentials      *SessionCredentials `wire:"Credentials"`
	AssumedRoleUser  *AssumedRoleUser    `wire:"AssumedRoleUser"`
	PackedPolicySize shape.Opt[int32]    `wire:"PackedPolicySize"`
	SourceIdentity   shape.Opt[string]   `wire:"SourceIdentity"`
}

// chainedSession is the longest session of a role that another role's session assumed.
const chainedSession = time.Hour

// AssumeRole makes a session of a role: it has the role's permissions, narrowed by the session policies.
func (s *Service) AssumeRole(ctx context.Context, c *Call, in *AssumeRoleInput) (*AssumeRoleOutput, error) {
	caller := c.Caller
	if caller.Kind == PrincipalRoot {
		return nil, iamfault.AccessDenied("Roles may not be assumed by root accounts.")
	}
	session := &Session{Name: in.RoleSessionName, Parent: caller.AccessKeyID, SourceIdentity: in.SourceIdentity.Value}
	tags, err := iamTags(in.Tags)
	if err != nil {
		return nil, err
	}
	session.Tags, session.Transitive = tags, in.TransitiveTagKeys
	if from := caller.Session; from != nil {
		if err := session.inherit(from); err != nil {
			return nil, err
		}
	}
	limit := chainedSession
	if caller.Kind != PrincipalRoleSession {
		limit = 0
	}
	return s.assume(ctx, c, session, in.PolicyARNs, in.Policy, in.DurationSeconds, limit)
}

// inherit takes over what goes from a session to the next: its beginning, its source identity, its transitive tags.
func (s *Session) inherit(from *Session) error {
	s.Parent, s.Federation = from.Parent, from.Federation.chained()
	if from.SourceIdentity != "" {
		if s.SourceIdentity != "" && s.SourceIdentity != from.SourceIdentity {
			return iamfault.AccessDenied("The source identity of a session cannot be changed.")
		}
		s.SourceIdentity = from.SourceIdentity
	}
	for _, key := range from.Transitive {
		for _, t := range from.Tags {
			if !strings.EqualFold(t.Key, key) {
				continue
			}
			if slices.ContainsFunc(s.Tags, func(o fsm.Tag) bool { return strings.EqualFold(o.Key, key) }) {
				return iamfault.InvalidInput("The tag %s is transitive in the calling session and cannot be set again.", key)
			}
			s.Tags = append(s.Tags, t)
			if !slices.Contains(s.Transitive, key) {
				s.Transitive = append(slices.Clone(s.Transitive), key)
			}
		}
	}
	slices.SortFunc(s.Tags, func(a, b fsm.Tag) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

// defaultSession is the length of a role session that asks for none.
const defaultSession = 3600

// assume seals the session of the role that the first target names. A limit of 0 is none.
func (s *Service) assume(ctx context.Context, c *Call, session *Session, arns []PolicyDescriptor, doc shape.Opt[string], seconds shape.Opt[int32], limit time.Duration) (*AssumeRoleOutput, error) {
	role := c.Targets[0].Identity // the trust policy has allowed, so it is there
	length := time.Duration(seconds.Or(defaultSession)) * time.Second
	switch {
	case length > time.Duration(role.MaxSession)*time.Second:
		return nil, iamfault.ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case limit > 0 && length > limit:
		return nil, iamfault.ValidationError("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	if err := s.sessionPolicies(c, session, role, arns, doc); err != nil {
		return nil, err
	}
	session.Kind, session.Account, session.Principal = PrincipalRoleSession, role.Account, role.ID
	session.Issued, session.Expires = c.Now, c.Now.Add(length)
	cred, packed, err := s.sealSession(ctx, c.State, session)
	if err != nil {
		return nil, err
	}
	out := &AssumeRoleOutput{
		Credentials:     cred,
		AssumedRoleUser: &AssumedRoleUser{role.ID + ":" + session.Name, s.SessionARN(role, session.Name)},
	}
	if len(session.Policies)+len(session.PolicyARNs)+len(session.Tags) > 0 {
		out.PackedPolicySize = shape.Some(packed)
	}
	if session.SourceIdentity != "" {
		out.SourceIdentity = shape.Some(session.SourceIdentity)
	}
	return out, nil
}

// sessionPolicies checks the session policies of a request. Managed ones are the role's account's, or built in.
func (s *Service) sessionPolicies(c *Call, session *Session, role *fsm.Identity, arns []PolicyDescriptor, doc shape.Opt[string]) error {
	if doc.Set {
		if _, err := c.Edge.CheckPolicy(c, SessionPolicy, doc.Value); err != nil {
			return err
		}
		session.Policies = []string{doc.Value}
	}
	for _, p := range arns {
		if _, ok := s.findPolicy(c.State, role.Account, p.ARN); !ok {
			return iamfault.MalformedPolicyDocument("The managed policy %s of the session was not found.", p.ARN)
		}
		session.PolicyARNs = append(session.PolicyARNs, p.ARN)
	}
	return nil
}
