package policy

import (
	"strconv"
	"time"
)

// CallContext is the context of an API call: it answers the global condition keys (spec 05 GLB-01) and the properties of the
// key from the facts in its fields, and leaves what reads a request parameter to Params. One value serves one authorization
// check; the zero value of a field is an absent fact.
type CallContext struct {
	Caller   *Principal
	Identity IdentityFacts
	Service  ServiceFacts
	Hop      HopFacts
	Resource ResourceFacts
	// EncryptionContext is that of the call, of its own side for ReEncrypt, or the pairs of the requested constraint for
	// CreateGrant (spec 05 KCK-04, KCK-09).
	EncryptionContext Pairs
	// RequestTags are the tags that the request sets; for UntagResource the key's own tags of the keys it names (GLB-06).
	RequestTags Pairs
	// TagKeys are the request's tag keys where they are not those of RequestTags.
	TagKeys []string
	// Params answers every other key: the request parameters of spec 05 section 6 with their defaults, and the claims of
	// an identity provider. Nil has none.
	Params Context
}

// source says which facts of a CallContext answer a key.
type source uint8

const (
	fromParams source = iota
	fromPrincipal
	fromSession
	fromService
	fromHop
	fromResource
	fromRequest
)

// sources has every key that a CallContext answers itself; the others are Params'.
var sources = [...]source{
	KeyCallerAccount: fromPrincipal, KeyPrincipalAccount: fromPrincipal, KeyPrincipalArn: fromPrincipal,
	KeyPrincipalType: fromPrincipal, KeyPrincipalIsAWSService: fromPrincipal, KeyPrincipalServiceName: fromPrincipal,
	KeyPrincipalServiceNamesList: fromPrincipal, KeyPrincipalOrgID: fromPrincipal, KeyPrincipalOrgPaths: fromPrincipal,
	KeyPrincipalTag: fromPrincipal, KeyUserID: fromPrincipal, KeyUsername: fromPrincipal,
	KeyTokenIssueTime: fromSession, KeySourceIdentity: fromSession, KeyFederatedProvider: fromSession,
	KeyMultiFactorAuthPresent: fromSession, KeyMultiFactorAuthAge: fromSession,
	KeyViaService: fromService, KeyViaAWSService: fromService, KeyGrantIsForAWSResource: fromService,
	KeyCalledVia: fromService, KeyCalledViaFirst: fromService, KeyCalledViaLast: fromService, KeySourceArn: fromService,
	KeySourceAccount: fromService, KeySourceOrgID: fromService, KeySourceOrgPaths: fromService,
	KeySourceIP: fromHop, KeyVpcSourceIP: fromHop, KeySourceVpce: fromHop, KeySourceVpc: fromHop,
	KeySecureTransport: fromHop, KeyUserAgent: fromHop, KeyReferer: fromHop, KeyRequestedRegion: fromHop,
	KeyCurrentTime: fromHop, KeyEpochTime: fromHop,
	KeyResourceAccount: fromResource, KeyResourceOrgID: fromResource, KeyResourceOrgPaths: fromResource,
	KeyKeySpec: fromResource, KeyKeyUsage: fromResource, KeyKeyOrigin: fromResource, KeyMultiRegion: fromResource,
	KeyMultiRegionKeyType: fromResource, KeyResourceTag: fromResource, KeyResourceAliases: fromResource,
	KeyEncryptionContext: fromRequest, KeyEncryptionContextKeys: fromRequest, KeyRequestTag: fromRequest,
	KeyTagKeys: fromRequest,
}

// Lookup answers a condition key.
func (c *CallContext) Lookup(k *Key) Values {
	from := fromParams
	if int(k.ID) < len(sources) {
		from = sources[k.ID]
	}
	switch from {
	case fromPrincipal:
		return c.principal(k)
	case fromSession:
		return c.session(k)
	case fromService:
		return c.service(k)
	case fromHop:
		return c.hop(k)
	case fromResource:
		return c.resource(k)
	case fromRequest:
		return c.request(k)
	}
	if c.Params == nil {
		return Absent()
	}
	return c.Params.Lookup(k)
}

func (c *CallContext) principal(k *Key) Values {
	p := c.Caller
	if p == nil {
		p = &Principal{}
	}
	switch k.ID {
	case KeyCallerAccount, KeyPrincipalAccount:
		return NonEmpty(p.Account)
	case KeyPrincipalArn:
		return NonEmpty(p.principalARN())
	case KeyPrincipalType:
		return NonEmpty(p.principalType())
	case KeyPrincipalIsAWSService:
		return Flag(p.Kind == Service)
	case KeyPrincipalServiceName:
		if p.Kind != Service {
			return Absent()
		}
		return NonEmpty(p.ARN)
	case KeyPrincipalServiceNamesList:
		return Many(p.ServiceNames)
	case KeyPrincipalOrgID:
		return NonEmpty(c.Identity.OrgID)
	case KeyPrincipalOrgPaths:
		return Many(c.Identity.OrgPaths)
	case KeyPrincipalTag:
		return Lookup(c.Identity.Tags, k.Variable)
	case KeyUserID:
		return NonEmpty(c.Identity.UserID)
	case KeyUsername:
		return NonEmpty(c.Identity.Username)
	}
	return Absent()
}

// principalARN is aws:PrincipalArn: of a role session the role's ARN, of everybody else the own one.
func (p *Principal) principalARN() string {
	switch p.Kind {
	case RoleSession:
		return p.IdentityARN
	case Service, WebIdentity:
		return ""
	}
	return p.ARN
}

func (p *Principal) principalType() string {
	switch p.Kind {
	case Root:
		return "Account"
	case User:
		return "User"
	case RoleSession:
		return "AssumedRole"
	case FederatedUser:
		return "FederatedUser"
	case Service:
		return "Service"
	}
	return ""
}

func (c *CallContext) session(k *Key) Values {
	i := &c.Identity
	switch k.ID {
	case KeyTokenIssueTime:
		return timeValue(i.TokenIssued)
	case KeySourceIdentity:
		return NonEmpty(i.SourceIdentity)
	case KeyFederatedProvider:
		return NonEmpty(i.FederatedProvider)
	case KeyMultiFactorAuthPresent:
		if !i.MFA {
			return Absent()
		}
		return Flag(i.MFAPresent)
	case KeyMultiFactorAuthAge:
		if !i.MFA || !i.MFAPresent {
			return Absent()
		}
		return One(strconv.FormatInt(int64(i.MFAAge/time.Second), 10))
	}
	return Absent()
}

func (c *CallContext) service(k *Key) Values {
	s := &c.Service
	switch k.ID {
	case KeyViaService:
		return NonEmpty(s.Via)
	case KeyViaAWSService, KeyGrantIsForAWSResource:
		return Flag(s.Via != "")
	case KeyCalledVia:
		return Many(s.CalledVia)
	case KeyCalledViaFirst:
		if len(s.CalledVia) == 0 {
			return Absent()
		}
		return One(s.CalledVia[0])
	case KeyCalledViaLast:
		if len(s.CalledVia) == 0 {
			return Absent()
		}
		return One(s.CalledVia[len(s.CalledVia)-1])
	case KeySourceArn:
		return NonEmpty(s.SourceARN)
	case KeySourceAccount:
		return NonEmpty(s.SourceAccount)
	case KeySourceOrgID:
		return NonEmpty(s.SourceOrgID)
	case KeySourceOrgPaths:
		return Many(s.SourceOrgPaths)
	}
	return Absent()
}

func (c *CallContext) hop(k *Key) Values {
	h := &c.Hop
	switch k.ID {
	case KeySourceIP:
		if h.VpceID != "" {
			return Absent()
		}
		return NonEmpty(h.Address)
	case KeyVpcSourceIP:
		if h.VpceID == "" {
			return Absent()
		}
		return NonEmpty(h.Address)
	case KeySourceVpce:
		return NonEmpty(h.VpceID)
	case KeySourceVpc:
		return NonEmpty(h.VpcID)
	case KeySecureTransport:
		return Flag(h.TLS)
	case KeyUserAgent:
		return NonEmpty(h.UserAgent)
	case KeyReferer:
		return NonEmpty(h.Referer)
	case KeyRequestedRegion:
		return NonEmpty(h.Region)
	case KeyCurrentTime:
		return timeValue(h.Now)
	case KeyEpochTime:
		if h.Now.IsZero() {
			return Absent()
		}
		return One(strconv.FormatInt(h.Now.Unix(), 10))
	}
	return Absent()
}

func timeValue(t time.Time) Values {
	if t.IsZero() {
		return Absent()
	}
	return One(t.UTC().Format(time.RFC3339))
}

func (c *CallContext) resource(k *Key) Values {
	r := &c.Resource
	switch k.ID {
	case KeyResourceAccount:
		return NonEmpty(r.Account)
	case KeyResourceOrgID:
		return NonEmpty(r.OrgID)
	case KeyResourceOrgPaths:
		return Many(r.OrgPaths)
	case KeyKeySpec:
		return NonEmpty(r.KeySpec)
	case KeyKeyUsage:
		return NonEmpty(r.KeyUsage)
	case KeyKeyOrigin:
		return NonEmpty(r.KeyOrigin)
	case KeyMultiRegion:
		if r.KeySpec == "" {
			return Absent()
		}
		return Flag(r.MultiRegion)
	case KeyMultiRegionKeyType:
		return NonEmpty(r.MultiRegionKeyType)
	case KeyResourceTag:
		return Lookup(r.Tags, k.Variable)
	case KeyResourceAliases:
		return r.aliases()
	}
	return Absent()
}

func (r *ResourceFacts) aliases() Values {
	switch {
	case r.TooManyAliases:
		return Void()
	case r.Aliases == nil:
		return Absent()
	}
	return Many(r.Aliases())
}

func (c *CallContext) request(k *Key) Values {
	switch k.ID {
	case KeyEncryptionContext:
		return Lookup(c.EncryptionContext, k.Variable)
	case KeyEncryptionContextKeys:
		return PairKeys(c.EncryptionContext)
	case KeyRequestTag:
		return Lookup(c.RequestTags, k.Variable)
	case KeyTagKeys:
		if c.TagKeys != nil {
			return Many(c.TagKeys)
		}
		return PairKeys(c.RequestTags)
	}
	return Absent()
}
