package region

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// WebIdentity is the bearer of a verified token of an OpenID Connect provider. It is immutable.
type WebIdentity struct {
	Provider *fsm.OIDCProvider
	// ProviderARN is the provider's ARN.
	ProviderARN string
	Subject     string
	// Audience are the registered audiences of the token, at least one.
	Audience []string
	// Claims are the token's claims by name, as far as conditions can ask for them.
	Claims map[string][]string
	// SourceIdentity, Tags and Transitive are what the issuer wants the session to have.
	SourceIdentity string
	Tags           []IAMTag
	Transitive     []string
}

// Federation says which provider's token a session began with. With the provider the session ends.
type Federation struct {
	Account string `cbor:"1,keyasint"`
	URL     string `cbor:"2,keyasint"`
	ID      string `cbor:"3,keyasint"` // the provider's unique id
	// Subject and Audience are the token's; empty in a session that another one of the chain made.
	Subject  string `cbor:"4,keyasint,omitempty"`
	Audience string `cbor:"5,keyasint,omitempty"`
}

// Bearer is an Input that comes with a token in the place of a signature.
type Bearer interface {
	// Bearer returns the account whose provider's token it is, "" if the request names none, and the token.
	Bearer() (account string, token shape.Secret)
}

// AssumeRoleWithWebIdentityInput asks for a session of a role with a provider's token.
type AssumeRoleWithWebIdentityInput struct {
	_                struct{}           `refuse:"ProviderId"`
	RoleARN          string             `wire:"RoleArn,required" len:"20..2048"`
	RoleSessionName  string             `wire:"RoleSessionName,required" len:"2..64" pattern:"[\\w+=,.@-]*"`
	WebIdentityToken shape.Secret       `wire:"WebIdentityToken,required,text" len:"4..20000"`
	PolicyARNs       []PolicyDescriptor `wire:"PolicyArns" size:"0..10"`
	Policy           shape.Opt[string]  `wire:"Policy" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	DurationSeconds  shape.Opt[int32]   `wire:"DurationSeconds" range:"900..43200"`
}

// Bearer implements Bearer: the provider is one of the role's account.
func (in *AssumeRoleWithWebIdentityInput) Bearer() (account string, token shape.Secret) {
	p, ok := arn.ParsePrincipal(in.RoleARN)
	if !ok || p.Kind != arn.Role {
		return "", in.WebIdentityToken
	}
	return p.Account, in.WebIdentityToken
}

// Resolve needs sts:AssumeRoleWithWebIdentity on the role and, for tags and a source identity, permissions of their own; its trust
// policy decides on each.
func (in *AssumeRoleWithWebIdentityInput) Resolve(r *Resolver) error {
	w := r.Call.Caller.Web
	return r.assumed("sts:AssumeRoleWithWebIdentity", in.RoleARN, Conditions{
		RequestTags: requestTags(w.Tags),
		IAM:         &IAMConditions{RoleSessionName: in.RoleSessionName, SourceIdentity: w.SourceIdentity, TransitiveTagKeys: w.Transitive},
	})
}

// AssumeRoleWithWebIdentityOutput holds the credentials of a role session.
type AssumeRoleWithWebIdentityOutput struct {
	Credentials      *SessionCredentials `wire:"Credentials"`
	Subject          string              `wire:"SubjectFromWebIdentityToken"`
	AssumedRoleUser  *AssumedRoleUser    `wire:"AssumedRoleUser"`
	PackedPolicySize shape.Opt[int32]    `wire:"PackedPolicySize"`
	Provider         string              `wire:"Provider"`
	Audience         string              `wire:"Audience"`
	SourceIdentity   shape.Opt[string]   `wire:"SourceIdentity"`
}

// Longest values of a session's tags and source identity, which a token may exceed.
const (
	maxSessionTags    = 50
	maxSourceIdentity = 64
)

// AssumeRoleWithWebIdentity makes a session of a role for the bearer of a token.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, c *Call, in *AssumeRoleWithWebIdentityInput) (*AssumeRoleWithWebIdentityOutput, error) {
	w := c.Caller.Web
	session := &Session{Name: in.RoleSessionName, SourceIdentity: w.SourceIdentity, Transitive: w.Transitive, Federation: &Federation{
		Account: w.Provider.Account, URL: w.Provider.URL, ID: w.Provider.ID, Subject: w.Subject, Audience: strings.Join(w.Audience, " "),
	}}
	if err := w.check(); err != nil {
		return nil, err
	}
	var err error
	if session.Tags, err = iamTags(w.Tags); err != nil {
		return nil, err
	}
	out, err := s.assume(ctx, c, session, in.PolicyARNs, in.Policy, in.DurationSeconds, 0)
	if err != nil {
		return nil, err
	}
	return &AssumeRoleWithWebIdentityOutput{
		Credentials: out.Credentials, Subject: w.Subject, AssumedRoleUser: out.AssumedRoleUser, PackedPolicySize: out.PackedPolicySize,
		Provider: w.ProviderARN, Audience: session.Federation.Audience, SourceIdentity: out.SourceIdentity,
	}, nil
}

// check holds what a token says of the session to the rules of the parameters of AssumeRole.
func (w *WebIdentity) check() error {
	tooLong := func(t IAMTag) bool { return t.Key == "" || len(t.Key) > 128*4 || len(t.Value) > 256*4 }
	switch {
	case len(w.Tags) > maxSessionTags || len(w.Transitive) > maxSessionTags || slices.ContainsFunc(w.Tags, tooLong):
		return iamfault.InvalidIdentityToken("The session tags of the token are too many or too long.")
	case w.SourceIdentity != "" && (len(w.SourceIdentity) < 2 || len(w.SourceIdentity) > maxSourceIdentity):
		return iamfault.InvalidIdentityToken("The source identity of the token must have 2 to %d characters.", maxSourceIdentity)
	}
	return nil
}

// origin is the document that a session stands and falls with: the access key or the provider that it began with.
func (s *Session) origin() fsm.Read {
	if f := s.Federation; f != nil {
		return fsm.Read{Doc: fsm.DocOIDCProvider, Account: f.Account, Name: f.URL}
	}
	return fsm.Read{Doc: fsm.DocAccessKey, Name: s.Parent}
}

// Origin is the document that the session began with, at its version in the state.
func (s *Session) Origin(st *fsm.State) fsm.Read {
	r := s.origin()
	r.Version = st.Version(r)
	return r
}

// originGone tells whether the access key or the provider that the session began with is not there any more, or inactive, or
// not one that such a session begins with.
func (s *Session) originGone(st *fsm.State) bool {
	if f := s.Federation; f != nil {
		p := st.OIDCProvider(f.Account, f.URL)
		return p == nil || p.ID != f.ID
	}
	if planted.Bug(planted.ImmortalSession) {
		return false
	}
	k := st.AccessKey(s.Parent)
	switch {
	case k == nil || !k.Active:
		return true
	case s.Kind == PrincipalRoleSession: // of a user, of whichever account
		return k.Principal == RootPrincipal || ServiceOf(k) != ""
	}
	return k.Account != s.Account || k.Principal != s.Principal
}

// FederatedBy is the provider of a session that a token of it began, nil for others and for sessions further down the chain.
func (s *Session) FederatedBy() *Federation {
	if s == nil || s.Federation == nil || s.Federation.Subject == "" {
		return nil
	}
	return s.Federation
}

// chained is the federation of the next session of a chain: bound to the same provider, but not made by its token.
func (f *Federation) chained() *Federation {
	if f == nil {
		return nil
	}
	return &Federation{Account: f.Account, URL: f.URL, ID: f.ID}
}

// FederationARN is the ARN of a session's provider.
func (s *Service) FederationARN(f *Federation) string {
	return s.ProviderARN(&fsm.OIDCProvider{Account: f.Account, URL: f.URL})
}
