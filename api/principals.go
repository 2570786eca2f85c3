package api

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/iamfault"
)

// identity returns the user or role that a principal of a policy or grant names, for a role session its role; nil if there is none.
func (a *authorizer) identity(st *fsm.State, p policy.PrincipalRef) *fsm.Identity {
	switch p.Type {
	case policy.UniqueIDPrincipal:
		if i := st.Identity(p.Value); i != nil && i.Type != fsm.IdentityGroup {
			return i
		}
	case policy.UserPrincipal, policy.RolePrincipal, policy.SessionPrincipal:
		return a.service.FindIdentity(st, p.ARN)
	}
	return nil
}

// exists tells whether a policy may name a principal (spec 04 KP-10): accounts, users, roles and their sessions that the region
// knows, and the service principals of the integrated services.
func (a *authorizer) exists(st *fsm.State, p policy.PrincipalRef) bool {
	switch p.Type {
	case policy.AccountPrincipal:
		return st.Account(p.Account) != nil && (p.ARN == arn.Root(a.service.Partition(), p.Account) || p.Value == p.Account)
	case policy.ServicePrincipal:
		return a.services[p.Value] || a.service.Registered(st, p.Value)
	case policy.ProviderPrincipal:
		return true // as in IAM: tokens of a provider that is not there are refused
	}
	return a.identity(st, p) != nil
}

// bindings are the unique ids of the users and roles that a document names, sorted by ARN (spec 04 KP-11). The document is refused
// if it names anybody who does not exist.
func (a *authorizer) bindings(st *fsm.State, doc *policy.Policy) ([]fsm.PolicyPrincipal, error) {
	var list []fsm.PolicyPrincipal
	for _, p := range doc.Principals() {
		if !a.exists(st, p) {
			return nil, policy.ErrInvalidPrincipal
		}
		if i := a.identity(st, p); i != nil && p.ARN != "" {
			list = append(list, fsm.PolicyPrincipal{ARN: p.ARN, ID: i.ID})
		}
	}
	slices.SortFunc(list, func(a, b fsm.PolicyPrincipal) int { return strings.Compare(a.ARN, b.ARN) })
	return slices.Compact(list), nil
}

// keyPolicy is the compiled policy of a key. Most name no user or role and are the same document as others.
func (a *authorizer) keyPolicy(key *fsm.Key) (*policy.Policy, error) {
	if planted.Bug(planted.StalePolicy) {
		key = a.first.First(key.ID, key)
	}
	if len(key.PolicyPrincipals) == 0 {
		return a.policies.get(key.Policy)
	}
	return a.bound.get(owned{key.Account, key.ID}, key.PolicyVersion, key.Policy, key.PolicyPrincipals, policy.KeyPolicy)
}

// onIdentity adds what decides on a resource of IAM: of a role that is to be assumed, its trust policy.
func (a *authorizer) onIdentity(req *policy.Request, t *region.Target) (*policy.Request, error) {
	if role := t.Identity; t.Assumed && role != nil {
		doc, err := a.bound.get(owned{role.Account, role.ID}, role.Version, role.Trust, role.TrustPrincipals, policy.TrustPolicy)
		if err != nil {
			return nil, fault.Internal(err)
		}
		req.ResourcePolicy = doc
	}
	return req, nil
}

// owned names the key or role that a document belongs to.
type owned struct{ account, id string }

// boundCache compiles documents with bindings, one for each key or role. It is bounded as policyCache is.
type boundCache struct {
	m    sync.Map // owned -> *boundPolicy
	size atomic.Int64
}

type boundPolicy struct {
	version  uint64
	document string
	doc      *policy.Policy
}

func (c *boundCache) get(of owned, version uint64, document string, principals []fsm.PolicyPrincipal, kind policy.Kind) (*policy.Policy, error) {
	if v, ok := c.m.Load(of); ok {
		if b := v.(*boundPolicy); b.version == version && b.document == document {
			return b.doc, nil
		}
	}
	doc, err := policy.ParseStored(document, kind)
	if err != nil {
		return nil, err
	}
	doc = facts.Bind(doc, principals)
	if c.size.Add(int64(len(document))) > maxPolicyBytes {
		c.m.Clear()
		c.size.Store(int64(len(document)))
	}
	c.m.Store(of, &boundPolicy{version, document, doc})
	return doc, nil
}

// ShowPolicy implements region.Edge.
func (e *edge) ShowPolicy(st *fsm.State, document string, principals []fsm.PolicyPrincipal) string {
	if len(principals) == 0 {
		return document
	}
	shown, err := policy.Rewrite(document, func(ref policy.PrincipalRef) string {
		at := slices.IndexFunc(principals, func(p fsm.PolicyPrincipal) bool { return p.ARN == ref.Value })
		if at < 0 || ref.Type == policy.SessionPrincipal {
			return ref.Value
		}
		i := st.Identity(principals[at].ID)
		if i == nil {
			return principals[at].ID
		}
		return e.srv.service.IdentityARN(i)
	})
	if err != nil { // it was parsed when it was put
		return document
	}
	return shown
}

// documentKinds are the policy engine's kinds of the documents that IAM and STS take.
var documentKinds = map[region.PolicyKind]policy.Kind{
	region.InlinePolicy: policy.IdentityPolicy, region.ManagedPolicy: policy.Boundary, region.TrustPolicy: policy.TrustPolicy,
	region.SessionPolicy: policy.SessionPolicy,
}

// CheckPolicy implements region.Edge.
func (e *edge) CheckPolicy(c *region.Call, kind region.PolicyKind, document string) ([]fsm.PolicyPrincipal, error) {
	doc, err := policy.Parse(document, documentKinds[kind])
	if err != nil {
		return nil, identityPolicyFault(err)
	}
	if kind != region.TrustPolicy {
		return nil, nil
	}
	principals, err := e.srv.authz.bindings(c.State, doc)
	if err != nil {
		return nil, iamfault.MalformedPolicyDocument("Invalid principal in policy: every principal must exist.")
	}
	return principals, nil
}

// identityPolicyFault says a refused document in the words of IAM.
func identityPolicyFault(err error) error {
	refused, _ := errors.AsType[policy.Refusal](err)
	switch e := refused.(type) {
	case *policy.MalformedError:
		return iamfault.MalformedPolicyDocument("%s", e.Message)
	case *policy.InvalidARNError:
		return iamfault.MalformedPolicyDocument("Invalid principal in policy: %q", e.ARN)
	case *policy.TooLargeError:
		if e.Kind == policy.SessionPolicy {
			return iamfault.PackedPolicyTooLarge("The session policy has %d characters, at most %d are allowed.", e.Size, e.Limit)
		}
		return iamfault.LimitExceeded("Cannot exceed quota for PolicySize: %d", e.Limit)
	case *policy.CharactersError:
		return iamfault.ValidationError("%s", e.Error())
	}
	return fault.Internal(err)
}
