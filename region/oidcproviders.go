package region

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// Bounds of an OpenID Connect provider, IAM's.
const (
	maxClientIDs   = 100
	maxThumbprints = 5
	providerPrefix = "oidc-provider/"
)

// ProviderARN is the ARN of an OpenID Connect provider.
func (s *Service) ProviderARN(p *fsm.OIDCProvider) string {
	return s.iamARN(p.Account, providerPrefix+p.URL)
}

// provider adds an OpenID Connect provider of the caller's account by its ARN.
func (r *Resolver) provider(arn string, cond Conditions) error {
	me := r.Call.Caller.Account
	url, ok := strings.CutPrefix(arn, r.svc.iamARN(me, providerPrefix))
	if !ok || url == "" {
		return iamfault.ValidationError("Invalid ARN: %s is no OpenID Connect provider of this account.", arn)
	}
	r.Call.Targets = append(r.Call.Targets, Target{
		Permission: r.Permission, Account: me, ARN: arn, Provider: r.Call.State.OIDCProvider(me, url), Conditions: cond,
	})
	return nil
}

// providerOf is the provider of the call's first target, or the error that it does not exist.
func providerOf(c *Call) (*fsm.OIDCProvider, error) {
	t := &c.Targets[0]
	if t.Provider == nil {
		return nil, iamfault.NoSuchEntity("OpenIDConnect Provider not found for arn %s", t.ARN)
	}
	return t.Provider, nil
}

// putProvider proposes a provider's row in the place of the one that the call saw, nil for a new one.
func (s *Service) putProvider(ctx context.Context, c *Call, was *fsm.OIDCProvider, next fsm.OIDCProvider, out any) error {
	body := &fsm.PutOIDCProvider{Provider: next}
	if was != nil {
		body.Was = was.Version
	}
	_, err := s.propose(ctx, c, body, out)
	return err
}

// changeProvider proposes a changed copy of the provider that the call is about.
func (s *Service) changeProvider(ctx context.Context, c *Call, change func(*fsm.OIDCProvider) error) (*None, error) {
	p, err := providerOf(c)
	if err != nil {
		return nil, err
	}
	next := *p
	if err := change(&next); err != nil {
		return nil, err
	}
	return &None{}, s.putProvider(ctx, c, p, next, nil)
}

// CreateProviderInput registers an OpenID Connect provider.
type CreateProviderInput struct {
	URL            string   `wire:"Url,required" len:"1..255"`
	ClientIDList   []string `wire:"ClientIDList" len:"1..255" pattern:"[\\u0021-\\u007E]+"`
	ThumbprintList []string `wire:"ThumbprintList" len:"40..40" pattern:"[0-9A-Fa-f]+"`
	Tags           []IAMTag `wire:"Tags" size:"0..50"`
}

// Resolve implements Input.
func (in *CreateProviderInput) Resolve(r *Resolver) error {
	return r.iam(providerPrefix+strings.TrimPrefix(in.URL, "https://"), Conditions{RequestTags: requestTags(in.Tags)})
}

// CreateProviderOutput names the new provider.
type CreateProviderOutput struct {
	ARN  string   `wire:"OpenIDConnectProviderArn"`
	Tags []IAMTag `wire:"Tags"`
}

// CreateProvider registers an issuer of tokens whose bearers may assume roles of the account, as far as the roles' trust policies
// say so. The issuer is not asked for anything yet.
func (s *Service) CreateProvider(ctx context.Context, c *Call, in *CreateProviderInput) (*CreateProviderOutput, error) {
	if err := c.Edge.CheckIssuer(in.URL); err != nil {
		return nil, iamfault.ValidationError("Invalid Open ID Connect Provider URL: %s.", err.Error())
	}
	p := fsm.OIDCProvider{Account: c.Caller.Account, URL: strings.TrimPrefix(in.URL, "https://"), CreatedAt: c.Millis()}
	if c.State.OIDCProvider(p.Account, p.URL) != nil {
		return nil, iamfault.EntityAlreadyExists("Provider with url %s already exists.", in.URL)
	}
	if n := len(slices.Collect(c.State.OIDCProviders(p.Account))); n >= fsm.MaxOIDCProviders {
		return nil, iamfault.LimitExceeded("Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", fsm.MaxOIDCProviders)
	}
	var err error
	if p.ClientIDs, err = clientIDs(in.ClientIDList); err != nil {
		return nil, err
	}
	if p.Thumbprints, err = thumbprints(in.ThumbprintList); err != nil {
		return nil, err
	}
	if p.Tags, err = iamTags(in.Tags); err != nil {
		return nil, err
	}
	if p.ID, err = s.newUniqueID(ctx, "OIDC", uniqueIDLength); err != nil {
		return nil, err
	}
	out := &CreateProviderOutput{ARN: s.ProviderARN(&p), Tags: showTags(p.Tags)}
	return out, s.putProvider(ctx, c, nil, p, out)
}

// CreateProviderAgain answers a repeated CreateProvider.
func (s *Service) CreateProviderAgain(_ context.Context, c *Call, in *CreateProviderInput) (*CreateProviderOutput, error) {
	p := s.cfg.Cluster.State().OIDCProvider(c.Caller.Account, strings.TrimPrefix(in.URL, "https://"))
	if p == nil || !slices.Contains(c.Objects, p.ID) {
		return nil, iamfault.NoSuchEntity("OpenIDConnect Provider not found for url %s", in.URL)
	}
	return &CreateProviderOutput{ARN: s.ProviderARN(p), Tags: showTags(p.Tags)}, nil
}

// clientIDs sorts the audiences of a request.
func clientIDs(list []string) ([]string, error) {
	ids := slices.Compact(slices.Sorted(slices.Values(list)))
	if len(ids) > maxClientIDs {
		return nil, iamfault.LimitExceeded("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	return ids, nil
}

// thumbprints brings the thumbprints of a request into one form and order.
func thumbprints(list []string) ([]string, error) {
	all := make([]string, len(list))
	for i, t := range list {
		all[i] = strings.ToLower(t)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > maxThumbprints {
		return nil, iamfault.InvalidInput("Thumbprint list must contain fewer than %d entries.", maxThumbprints+1)
	}
	return all, nil
}

// ProviderInput names a provider.
type ProviderInput struct {
	ARN string `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *ProviderInput) Resolve(r *Resolver) error { return r.provider(in.ARN, Conditions{}) }

// ProviderOutput describes a provider.
type ProviderOutput struct {
	URL            string    `wire:"Url"`
	ClientIDList   []string  `wire:"ClientIDList"`
	ThumbprintList []string  `wire:"ThumbprintList"`
	CreateDate     time.Time `wire:"CreateDate"`
	Tags           []IAMTag  `wire:"Tags"`
	// OfflineKeySet is the key set that was put, absent if keys are fetched: an addition of this service.
	OfflineKeySet shape.Opt[string] `wire:"OfflineKeySet"`
}

// GetProvider describes a provider.
func (s *Service) GetProvider(_ context.Context, c *Call, _ *ProviderInput) (*ProviderOutput, error) {
	p, err := providerOf(c)
	if err != nil {
		return nil, err
	}
	out := &ProviderOutput{URL: p.URL, ClientIDList: p.ClientIDs, ThumbprintList: p.Thumbprints, CreateDate: instant(p.CreatedAt), Tags: showTags(p.Tags)}
	if p.Keys != "" {
		out.OfflineKeySet = shape.Some(p.Keys)
	}
	return out, nil
}

// DeleteProvider removes a provider; one that is not there is no error, as in IAM. The sessions that its tokens began end.
func (s *Service) DeleteProvider(ctx context.Context, c *Call, _ *ProviderInput) (*None, error) {
	p := c.Targets[0].Provider
	if p == nil {
		return &None{}, nil
	}
	_, err := s.propose(ctx, c, &fsm.DeleteOIDCProvider{Account: p.Account, URL: p.URL, Was: p.Version}, nil)
	return &None{}, err
}

// ListProvidersInput has no members.
type ListProvidersInput struct{}

// Resolve implements Input.
func (in *ListProvidersInput) Resolve(r *Resolver) error {
	return r.iam(providerPrefix+"*", Conditions{})
}

// ProviderEntry names a provider.
type ProviderEntry struct {
	ARN string `wire:"Arn"`
}

// ListProvidersOutput lists the account's providers.
type ListProvidersOutput struct {
	Providers []ProviderEntry `wire:"OpenIDConnectProviderList"`
}

// ListProviders lists the account's providers by URL.
func (s *Service) ListProviders(_ context.Context, c *Call, _ *ListProvidersInput) (*ListProvidersOutput, error) {
	out := &ListProvidersOutput{Providers: []ProviderEntry{}}
	for p := range c.State.OIDCProviders(c.Caller.Account) {
		out.Providers = append(out.Providers, ProviderEntry{s.ProviderARN(p)})
	}
	return out, nil
}

// UpdateThumbprintInput replaces the thumbprints.
type UpdateThumbprintInput struct {
	ARN            string   `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	ThumbprintList []string `wire:"ThumbprintList,required" len:"40..40" pattern:"[0-9A-Fa-f]+"`
}

// Resolve implements Input.
func (in *UpdateThumbprintInput) Resolve(r *Resolver) error { return r.provider(in.ARN, Conditions{}) }

// UpdateThumbprint replaces the thumbprints of the issuer's certificates.
func (s *Service) UpdateThumbprint(ctx context.Context, c *Call, in *UpdateThumbprintInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) (err error) {
		p.Thumbprints, err = thumbprints(in.ThumbprintList)
		return err
	})
}

// ClientIDInput names a provider and an audience.
type ClientIDInput struct {
	ARN      string `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	ClientID string `wire:"ClientID,required" len:"1..255" pattern:"[\\u0021-\\u007E]+"`
}

// Resolve implements Input.
func (in *ClientIDInput) Resolve(r *Resolver) error { return r.provider(in.ARN, Conditions{}) }

// AddClientID registers an audience; one that is registered stays so.
func (s *Service) AddClientID(ctx context.Context, c *Call, in *ClientIDInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) (err error) {
		p.ClientIDs, err = clientIDs(append(slices.Clone(p.ClientIDs), in.ClientID))
		return err
	})
}

// RemoveClientID takes an audience away; one that is not registered is no error.
func (s *Service) RemoveClientID(ctx context.Context, c *Call, in *ClientIDInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) error {
		p.ClientIDs = slices.DeleteFunc(slices.Clone(p.ClientIDs), func(id string) bool { return id == in.ClientID })
		return nil
	})
}

// ProviderKeysInput replaces the keys by which tokens are verified.
type ProviderKeysInput struct {
	ARN    string `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	KeySet string `wire:"KeySet,required" len:"0..65536"`
}

// Resolve implements Input.
func (in *ProviderKeysInput) Resolve(r *Resolver) error { return r.provider(in.ARN, Conditions{}) }

// PutProviderKeys gives a provider the issuer's key set (RFC 7517), for sites from which the issuer cannot be reached: nothing is
// fetched any more. An empty text takes it back. It is an addition of this service.
func (s *Service) PutProviderKeys(ctx context.Context, c *Call, in *ProviderKeysInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) error {
		if in.KeySet != "" {
			if err := c.Edge.CheckKeySet(in.KeySet); err != nil {
				return iamfault.InvalidInput("The KeySet cannot be used: %s", err.Error())
			}
		}
		p.Keys = in.KeySet
		return nil
	})
}

// TagProviderInput tags a provider.
type TagProviderInput struct {
	ARN  string   `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	Tags []IAMTag `wire:"Tags,required"`
}

// Resolve implements Input.
func (in *TagProviderInput) Resolve(r *Resolver) error {
	return r.provider(in.ARN, Conditions{RequestTags: requestTags(in.Tags)})
}

// TagProvider adds tags to a provider or replaces their values.
func (s *Service) TagProvider(ctx context.Context, c *Call, in *TagProviderInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) (err error) {
		p.Tags, err = merged(p.Tags, in.Tags)
		return err
	})
}

// UntagProviderInput removes tags of a provider.
type UntagProviderInput struct {
	ARN     string   `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	TagKeys []string `wire:"TagKeys,required" len:"1..128"`
}

// Resolve implements Input.
func (in *UntagProviderInput) Resolve(r *Resolver) error {
	return r.provider(in.ARN, Conditions{TagKeys: in.TagKeys})
}

// UntagProvider removes tags of a provider.
func (s *Service) UntagProvider(ctx context.Context, c *Call, in *UntagProviderInput) (*None, error) {
	return s.changeProvider(ctx, c, func(p *fsm.OIDCProvider) error {
		p.Tags = without(p.Tags, in.TagKeys)
		return nil
	})
}

// ProviderPageInput asks for a page of something of a provider.
type ProviderPageInput struct {
	ARN      string            `wire:"OpenIDConnectProviderArn,required" len:"20..2048"`
	Marker   shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ProviderPageInput) Resolve(r *Resolver) error { return r.provider(in.ARN, Conditions{}) }

// ListProviderTags lists the tags of a provider.
func (s *Service) ListProviderTags(_ context.Context, c *Call, in *ProviderPageInput) (*ListTagsOutput, error) {
	p, err := providerOf(c)
	if err != nil {
		return nil, err
	}
	return listTags(c, in.ARN, page{in.Marker, in.MaxItems}, p.Tags)
}
