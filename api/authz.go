package api

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// authorizer is the one decision point: it makes region.Decisions, and operations need one for each of their targets.
type authorizer struct {
	service  *region.Service
	policies policyCache
	bound    boundCache
	grants   facts.Grants
	first    planted.Memory[*fsm.Key] // empty but where planted.StalePolicy is planted
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
	d := a.verdict(t, req)
	if !d.Allowed() {
		if d.EndpointOnly {
			x.refusedByEndpoint(req.Action, t.ARN)
		}
		if t.FromCiphertext {
			return region.Decision{}, fault.Denied("%s", policy.HiddenCiphertextMessage)
		}
		return region.Decision{}, fault.Denied("%s", d.Message(c.Caller.ARN, req.Action, t.ARN))
	}
	var reads []fsm.Read
	if len(c.Decisions) == 0 {
		reads = x.room.reads[:0]
	}
	made := region.Decision{Policy: d.PolicyType.String(), Reads: decisionReads(reads, t, &d)}
	if d.Grant != nil {
		made.Grant = d.Grant.ID
		read := fsm.Read{Doc: fsm.DocGrant, Name: d.Grant.ID}
		read.Version = c.State.Version(read)
		made.Reads = append(made.Reads, read)
	}
	return made, nil
}

// request is the question as the policy engine takes it. It is good until the next one.
func (a *authorizer) request(x *exchange, t *region.Target) (*policy.Request, error) {
	who, err := facts.SubjectOf(x.call.Caller)
	if err != nil {
		return nil, err
	}
	x.room.context = facts.Conditions{Service: a.service, Call: &x.call, Target: t, Connection: (*connection)(x), From: x.from}
	x.room.request = policy.Request{
		Principal: &who.Principal, Action: a.action(t.Permission), Resource: a.resource(x, t), Context: &x.room.context,
		EncryptionContext: (*facts.ContextPairs)(&t.Conditions.EncryptionContext),
		Identity:          who.Identity, Boundary: who.Boundary, Session: who.Session, Endpoint: x.via.policy.Load(),
	}
	req := &x.room.request
	if t.Key == nil {
		return a.onIdentity(req, t)
	}
	doc, err := a.keyPolicy(t.Key)
	if err != nil {
		return nil, fault.Internal(fmt.Errorf("the stored policy of %s does not compile: %w", t.ARN, err))
	}
	req.ResourcePolicy = doc
	a.grants.Add(req, a.service.Partition(), x.call.State, t)
	return req, nil
}

func (a *authorizer) action(permission string) string {
	if v, ok := a.actions.Load(permission); ok {
		return v.(string)
	}
	full := permission
	if strings.IndexByte(full, ':') < 0 {
		full = "kms:" + full
	}
	v, _ := a.actions.LoadOrStore(permission, full)
	return v.(string)
}

// resource names the target for the engine.
func (a *authorizer) resource(x *exchange, t *region.Target) policy.Resource {
	r := policy.Resource{Type: policy.ResourceKey, ARN: t.ARN, Account: t.Account}
	switch {
	case t.Assumed:
		r.Type = policy.ResourceRole
	case strings.IndexByte(t.Permission, ':') >= 0: // of IAM or STS
		r = policy.Resource{Type: policy.ResourceOther, ARN: t.ARN, Account: t.Account}
		if t.Account == "" {
			r = policy.Resource{Type: policy.ResourceNone}
		}
	case t.Principal:
		r.Type = policy.ResourceGrantee
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
	if key.PolicyPrincipals, err = a.bindings(x.call.State, doc); err != nil {
		return policyFault(err)
	}
	if bypass {
		return nil
	}
	// The key as the conditions see it; its policy is the new one, which nothing may remember under the old one's version.
	asked := *key
	asked.PolicyPrincipals = nil
	t := x.call.Targets[0]
	t.Key, t.Account, t.ARN = &asked, key.Account, a.service.KeyARN(key)
	req, err := a.request(x, &t)
	if err != nil {
		return err
	}
	return policyFault(policy.CheckLockout(req, facts.Bind(doc, key.PolicyPrincipals)))
}

// policyFault says a refused document in the client's words.
func policyFault(err error) error {
	if err == nil {
		return nil
	}
	refused, _ := errors.AsType[policy.Refusal](err)
	switch e := refused.(type) {
	case *policy.MalformedError:
		return fault.New(fault.MalformedPolicyDocumentException, "%s", e.Message)
	case *policy.InvalidARNError:
		return fault.New(fault.InvalidArnException, "%s", e.Error())
	case *policy.TooLargeError:
		return fault.PolicyTooLarge(e.Limit)
	case *policy.CharactersError:
		return fault.New(fault.ValidationException, "%s", e.Error())
	}
	return fault.Internal(err)
}

// policyCache compiles each document once. It is bounded by the bytes of the documents, of which a compiled policy takes a
// multiple: when it is full it starts anew, which costs a compilation per policy in use.
type policyCache struct {
	// recent holds the last document of each length, to be found without hashing some hundred bytes; comparing it costs nothing as
	// long as keys share the text.
	recent [recentPolicies]atomic.Pointer[parsed]
	m      sync.Map // document -> *parsed
	size   atomic.Int64
}

// parsed is a document with what it was compiled to.
type parsed struct {
	document string
	policy   *policy.Policy
}

const recentPolicies = 64

// maxPolicyBytes is a few thousand policies of usual size.
const maxPolicyBytes = 8 << 20

func (p *policyCache) get(document string) (*policy.Policy, error) {
	slot := &p.recent[len(document)%recentPolicies]
	if c := slot.Load(); c != nil && c.document == document {
		return c.policy, nil
	}
	if v, ok := p.m.Load(document); ok {
		c := v.(*parsed)
		slot.Store(c)
		return c.policy, nil
	}
	doc, err := policy.ParseStored(strings.Clone(document), policy.KeyPolicy)
	if err != nil {
		return nil, err
	}
	if p.size.Add(int64(len(document))) > maxPolicyBytes {
		p.m.Clear()
		p.size.Store(int64(len(document)))
	}
	c := &parsed{document, doc}
	p.m.Store(document, c)
	slot.Store(c)
	return doc, nil
}
