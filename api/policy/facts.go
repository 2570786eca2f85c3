package policy

import "time"

// IdentityFacts are about the caller's identity and session.
type IdentityFacts struct {
	UserID   string // aws:userid: unique id, for a role session followed by ":" and the session's name
	Username string // IAM users only
	Tags     Pairs  // of principal and session
	OrgID    string
	OrgPaths []string
	// Session facts, for temporary credentials.
	TokenIssued       time.Time
	SourceIdentity    string
	FederatedProvider string
	// MFA tells that the session has multi-factor data: MFAPresent then is its answer, MFAAge the time since.
	MFA        bool
	MFAPresent bool
	MFAAge     time.Duration
}

// ServiceFacts are set by Trent alone, for calls of registered service integrations; no client can claim them (spec 04
// AUTH-08, AUTH-09; spec 05 VIA-01, VIA-02).
type ServiceFacts struct {
	// Via is the service that calls on behalf of the caller, as <service>.<Region>.amazonaws.com.
	Via string
	// CalledVia are the services of the chain, the first first.
	CalledVia []string
	// SourceARN and SourceAccount are the resource for which a service principal calls.
	SourceARN, SourceAccount, SourceOrgID string
	SourceOrgPaths                        []string
}

// HopFacts are about the connection that the request came over; for a call through a service, of the service's hop (GLB-03).
type HopFacts struct {
	// Address is the peer's IP address.
	Address string
	// VpceID and VpcID name the endpoint; empty for a public listener. They decide whether Address is aws:SourceIp or
	// aws:VpcSourceIp (spec 04 VE-05).
	VpceID, VpcID string
	TLS           bool
	UserAgent     string
	Referer       string
	Region        string
	Now           time.Time
}

// ResourceFacts are about the key or alias.
type ResourceFacts struct {
	Account  string
	OrgID    string
	OrgPaths []string
	// The key's properties; empty for other resources.
	KeySpec, KeyUsage, KeyOrigin string
	MultiRegion                  bool
	MultiRegionKeyType           string // PRIMARY, REPLICA, empty for single-Region keys
	Tags                         Pairs
	// Aliases returns the key's alias names ("alias/…"). TooManyAliases voids them: the key has more than its quota (KCK-13).
	Aliases        func() []string
	TooManyAliases bool
}
