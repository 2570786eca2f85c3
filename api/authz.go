package api

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
)

// authorizer is the one decision point: it makes region.Decisions, and operations need one for each of their targets.
type authorizer struct {
	service  *region.Service
	policies policyCache
	// services are the service principals that a policy may name.
	services map[string]bool
	// actions holds the permissions with their prefix, so that no request has to build them.
	actions sync.Map
}

func newAuthorizer(s *region.Service) *authorizer {
	return &authorizer{service: s, services: servicePrincipals(s.Region())}
}

// otherServices are integrated services whose principals policies name although kms:ViaService does not know them.
var otherServices = []string{"cloudtrail", "cloudwatch", "config", "delivery.logs", "elasticloadbalancing", "logs"}

// servicePrincipals are the names that a policy may have under Principal.Service: of every integrated service, plain and with
// the region (spec 04 KP-09).
func servicePrincipals(regionName string) map[string]bool {
	names := make(map[string]bool)
	for _, s := range append(policy.KnownServices(), otherServices...) {
		names[s+".amazonaws.com"] = true
		names[s+"."+regionName+".amazonaws.com"] = true
	}
	return names
}

// decide decides one target of a call.
func (a *authorizer) decide(x *exchange, t *region.Target) (region.Decision, error) {
	c := &x.call
	req, err := a.request(x, t)
	if err != nil {
		return region.Decision{}, err
	}
	d := policy.Decide(req)
	if !d.Allowed() {
		if t.FromCiphertext {
			return region.Decision{}, fault.Denied("%s", policy.HiddenCiphertextMessage)
		}
		return region.Decision{}, fault.Denied("%s", d.Message(c.Caller.ARN, req.Action, t.ARN))
	}
	var reads []fsm.Read
	if len(c.Decisions) == 0 {
		reads = x.room.reads[:0]
	}
	return region.Decision{Policy: d.PolicyType.String(), Reads: decisionReads(reads, t, &d)}, nil
}

// request is the question as the policy engine takes it. It is good until the next one.
func (a *authorizer) request(x *exchange, t *region.Target) (*policy.Request, error) {
	x.room.context = conditionContext{x: x, t: t}
	x.room.request = policy.Request{
		Principal: principalOf(x.call.Caller), Action: a.action(t.Permission), Resource: a.resource(x, t), Context: &x.room.context,
		EncryptionContext: (*contextPairs)(&t.Conditions.EncryptionContext),
	}
	req := &x.room.request
	if t.Key == nil {
		return req, nil
	}
	doc, err := a.policies.get(t.Key.Policy)
	if err != nil {
		return nil, fault.Internal(fmt.Errorf("the stored policy of %s does not compile: %w", t.ARN, err))
	}
	req.ResourcePolicy = doc
	return req, nil
}

func (a *authorizer) action(permission string) string {
	if v, ok := a.actions.Load(permission); ok {
		return v.(string)
	}
	v, _ := a.actions.LoadOrStore(permission, "kms:"+permission)
	return v.(string)
}

// resource names the target for the engine.
func (a *authorizer) resource(x *exchange, t *region.Target) policy.Resource {
	r := policy.Resource{Type: policy.ResourceKey, ARN: t.ARN, Account: t.Account}
	switch {
	case t.Account == "":
		s := a.service
		r = policy.Resource{Type: policy.ResourceNone, ARN: "arn:" + s.Partition() + ":kms:" + s.Region() + ":" + x.call.Caller.Account + ":*"}
	case t.Key != nil:
	case t.NewKey:
		r.Type = policy.ResourceNewKey
	case t.Alias:
		r.Type = policy.ResourceAlias
	}
	return r
}

// decisionReads are the documents that an allowing decision was based on, each with a version of its own, so that busy keys
// do not conflict needlessly. They are appended to reads.
func decisionReads(reads []fsm.Read, t *region.Target, d *policy.Decision) []fsm.Read {
	if t.Key == nil {
		return nil
	}
	reads = append(reads, fsm.Read{Doc: fsm.DocKeyPolicy, Account: t.Key.Account, Name: t.Key.ID, Version: t.Key.PolicyVersion})
	if d.ReadTags {
		reads = append(reads, fsm.Read{Doc: fsm.DocKeyTags, Account: t.Key.Account, Name: t.Key.ID, Version: t.Key.TagsVersion})
	}
	if d.ReadAliases {
		reads = append(reads, fsm.Read{Doc: fsm.DocKeyAlias, Account: t.Key.Account, Name: t.Key.ID, Version: t.Key.AliasVersion})
	}
	return reads
}

// checkKeyPolicy validates a key policy that is about to be put, and unless bypass the lockout rule (spec 04 KP, LCK).
func (a *authorizer) checkKeyPolicy(x *exchange, key *fsm.Key, document string, bypass bool) error {
	if quota := x.call.State.Quotas().PolicyBytes; len(document) > quota {
		return fault.PolicyTooLarge(quota)
	}
	doc, err := policy.Parse(document, policy.KeyPolicy)
	if err != nil {
		return policyFault(err)
	}
	for _, p := range doc.Principals() {
		if !a.exists(x.call.State, p) {
			return policyFault(policy.ErrInvalidPrincipal)
		}
	}
	if bypass {
		return nil
	}
	t := x.call.Targets[0]
	t.Key, t.Account, t.ARN = key, key.Account, a.service.KeyARN(key)
	req, err := a.request(x, &t)
	if err != nil {
		return err
	}
	return policyFault(policy.CheckLockout(req, doc))
}

// exists tells whether a policy may name a principal (spec 04 KP-10): accounts that the region knows, and the service
// principals of the integrated services. There are no users and roles to be found.
func (a *authorizer) exists(st *fsm.State, p policy.PrincipalRef) bool {
	switch p.Type {
	case policy.AccountPrincipal:
		return st.Account(p.Account) != nil && (p.ARN == arn.Root(a.service.Partition(), p.Account) || p.Value == p.Account)
	case policy.ServicePrincipal:
		return a.services[p.Value]
	}
	return false
}

// policyFault says a refused document in the client's words.
func policyFault(err error) error {
	var (
		malformed  *policy.MalformedError
		badARN     *policy.InvalidARNError
		large      *policy.TooLargeError
		characters *policy.CharactersError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &malformed):
		return fault.New(fault.MalformedPolicyDocumentException, "%s", malformed.Message)
	case errors.As(err, &badARN):
		return fault.New(fault.InvalidArnException, "%s", badARN.Error())
	case errors.As(err, &large):
		return fault.PolicyTooLarge(large.Limit)
	case errors.As(err, &characters):
		return fault.New(fault.ValidationException, "%s", characters.Error())
	}
	return fault.Internal(err)
}

// principalOf is the caller as the policy engine sees it; it is made once per caller.
func principalOf(c *region.Caller) *policy.Principal {
	if p, ok := c.Engine.Load().(*policy.Principal); ok {
		return p
	}
	p := &policy.Principal{ARN: c.ARN, Account: c.Account}
	switch c.Kind {
	case region.PrincipalRoot:
		p.Kind = policy.Root
	case region.PrincipalUser:
		p.Kind = policy.User
	case region.PrincipalRoleSession:
		p.Kind = policy.RoleSession
	case region.PrincipalFederatedUser:
		p.Kind = policy.FederatedUser
	case region.PrincipalService:
		p.Kind, p.Account = policy.Service, ""
	}
	c.Engine.Store(p)
	return p
}

// policyCache compiles each document once. It is bounded: when it is full it starts anew, which costs a compilation per policy
// in use and happens at most once per maxPolicies new documents.
type policyCache struct {
	m     sync.Map // document -> *policy.Policy
	count atomic.Int64
}

const maxPolicies = 50_000

func (p *policyCache) get(document string) (*policy.Policy, error) {
	if v, ok := p.m.Load(document); ok {
		return v.(*policy.Policy), nil
	}
	doc, err := policy.ParseStored(strings.Clone(document), policy.KeyPolicy)
	if err != nil {
		return nil, err
	}
	if p.count.Add(1) > maxPolicies {
		p.m.Clear()
		p.count.Store(1)
	}
	p.m.Store(document, doc)
	return doc, nil
}
