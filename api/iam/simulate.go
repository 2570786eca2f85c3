package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// ContextEntry is a condition key with its values, as a simulation assumes it.
type ContextEntry struct {
	ContextKeyName   string   `wire:"ContextKeyName,required" len:"5..256"`
	ContextKeyValues []string `wire:"ContextKeyValues,required"`
	ContextKeyType   string   `wire:"ContextKeyType,required"`
}

// simulation is what both simulating operations ask.
type simulation struct {
	policies, boundary, actions, resources []string
	resourcePolicy, owner                  string
	context                                []ContextEntry
}

// SimulatePrincipalPolicyInput asks what a user, group or role may do.
type SimulatePrincipalPolicyInput struct {
	_                                  struct{}          `refuse:"PolicyExclusionList,OrderedOrganizationPolicyInputList"`
	PolicySourceARN                    string            `wire:"PolicySourceArn,required" len:"20..2048"`
	PolicyInputList                    []string          `wire:"PolicyInputList"`
	PermissionsBoundaryPolicyInputList []string          `wire:"PermissionsBoundaryPolicyInputList"`
	ActionNames                        []string          `wire:"ActionNames,required" len:"3..128" size:"1..100"`
	ResourceARNs                       []string          `wire:"ResourceArns" len:"1..2048" size:"0..100"`
	ResourcePolicy                     shape.Opt[string] `wire:"ResourcePolicy"`
	ResourceOwner                      shape.Opt[string] `wire:"ResourceOwner" len:"1..2048"`
	CallerARN                          shape.Opt[string] `wire:"CallerArn" len:"1..2048"`
	ContextEntries                     []ContextEntry    `wire:"ContextEntries"`
	Marker                             shape.Opt[string] `wire:"Marker"`
	MaxItems                           shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements region.Input: the permission is one on the identity.
func (in *SimulatePrincipalPolicyInput) Resolve(r *region.Resolver) error {
	return r.Principal(in.PolicySourceARN)
}

// SimulateCustomPolicyInput asks what documents allow.
type SimulateCustomPolicyInput struct {
	_                                  struct{}          `refuse:"PolicyExclusionList,OrderedOrganizationPolicyInputList"`
	PolicyInputList                    []string          `wire:"PolicyInputList,required"`
	PermissionsBoundaryPolicyInputList []string          `wire:"PermissionsBoundaryPolicyInputList"`
	ActionNames                        []string          `wire:"ActionNames,required" len:"3..128" size:"1..100"`
	ResourceARNs                       []string          `wire:"ResourceArns" len:"1..2048" size:"0..100"`
	ResourcePolicy                     shape.Opt[string] `wire:"ResourcePolicy"`
	ResourceOwner                      shape.Opt[string] `wire:"ResourceOwner" len:"1..2048"`
	CallerARN                          shape.Opt[string] `wire:"CallerArn" len:"1..2048"`
	ContextEntries                     []ContextEntry    `wire:"ContextEntries"`
	Marker                             shape.Opt[string] `wire:"Marker"`
	MaxItems                           shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements region.Input.
func (in *SimulateCustomPolicyInput) Resolve(r *region.Resolver) error {
	return r.None(region.Conditions{})
}

// SimulateOutput holds one result for each action and resource.
type SimulateOutput struct {
	EvaluationResults []EvaluationResult `wire:"EvaluationResults"`
	IsTruncated       bool               `wire:"IsTruncated"`
}

// EvaluationResult is the decision on one action and resource, with how it came about.
type EvaluationResult struct {
	EvalActionName       string             `wire:"EvalActionName"`
	EvalResourceName     string             `wire:"EvalResourceName"`
	EvalDecision         string             `wire:"EvalDecision"`
	MatchedStatements    []MatchedStatement `wire:"MatchedStatements"`
	MissingContextValues []string           `wire:"MissingContextValues"`
	Boundary             *BoundaryDetail    `wire:"PermissionsBoundaryDecisionDetail"`
	// Steps are the questions of the evaluation and their answers: an addition of this service.
	Steps []Step `wire:"EvalSteps"`
}

// MatchedStatement names a statement that applied.
type MatchedStatement struct {
	SourcePolicyID   string `wire:"SourcePolicyId"`
	SourcePolicyType string `wire:"SourcePolicyType"`
	Effect           string `wire:"Effect"`
	Sid              string `wire:"Sid"`
}

// BoundaryDetail tells whether the permissions boundary allows.
type BoundaryDetail struct {
	Allowed bool `wire:"AllowedByPermissionsBoundary"`
}

// Step is one question of the evaluation.
type Step struct {
	Question string `wire:"Question"`
	Holds    bool   `wire:"Holds"`
}

// subject is whom a simulation is about: the caller that a real call would have, with policies that are assumed beside its own.
type subject struct {
	caller *region.Caller
	facts.Subject
	names []string // of the policies in Identity
}

// newSubject compiles the caller's own policies.
func newSubject(caller *region.Caller) (*subject, error) {
	own, err := facts.SubjectOf(caller)
	if err != nil {
		return nil, err
	}
	w := &subject{caller: caller, Subject: *own}
	w.Identity = slices.Clone(own.Identity)
	for _, p := range caller.Standing.Policies {
		w.names = append(w.names, p.Name)
	}
	return w, nil
}

func simulatePrincipal(s service, _ context.Context, c *region.Call, in *SimulatePrincipalPolicyInput) (*SimulateOutput, error) {
	i := c.Targets[0].Identity
	if i == nil {
		return nil, iamfault.NoSuchEntity("The principal %s cannot be found.", in.PolicySourceARN)
	}
	d := s.Standing(c.State, i, nil)
	caller := &region.Caller{Kind: region.PrincipalUser, Account: i.Account, ARN: d.IdentityARN, PrincipalID: i.ID, UserName: i.Name, Standing: d}
	if i.Type == fsm.IdentityRole {
		caller.Kind, caller.ARN, caller.PrincipalID, caller.UserName = region.PrincipalRoleSession, s.SessionARN(i, "simulation"), i.ID+":simulation", ""
	}
	return simulate(s, c, caller, &simulation{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceARNs, in.ResourcePolicy.Value,
		in.ResourceOwner.Value, in.ContextEntries,
	})
}

func simulateCustom(s service, _ context.Context, c *region.Call, in *SimulateCustomPolicyInput) (*SimulateOutput, error) {
	account := c.Caller.Account
	me := "arn:" + s.Partition() + ":iam::" + account + ":user/simulation"
	if in.CallerARN.Set {
		p, ok := arn.ParsePrincipal(in.CallerARN.Value)
		if !ok || p.Kind != arn.User {
			return nil, iamfault.InvalidInput("CallerArn must be the ARN of a user.")
		}
		me, account = in.CallerARN.Value, p.Account
	}
	nobody := &region.Standing{Identity: &fsm.Identity{Account: account, Type: fsm.IdentityUser}, IdentityARN: me}
	caller := &region.Caller{Kind: region.PrincipalUser, Account: account, ARN: me, Standing: nobody}
	return simulate(s, c, caller, &simulation{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceARNs, in.ResourcePolicy.Value,
		in.ResourceOwner.Value, in.ContextEntries,
	})
}

// add adds the policies that the simulation brings. A boundary takes the place of the principal's own.
func (w *subject) add(in *simulation) error {
	for _, document := range in.policies {
		doc, err := policy.ParseStored(document, policy.IdentityPolicy)
		if err != nil {
			return iamfault.InvalidInput("The policy PolicyInputList cannot be read: %s", err.Error())
		}
		w.Identity, w.names = append(w.Identity, doc), append(w.names, "PolicyInputList")
	}
	for _, document := range in.boundary {
		doc, err := policy.Parse(document, policy.Boundary)
		if err != nil {
			return iamfault.InvalidInput("The boundary cannot be read: %s", err.Error())
		}
		w.Boundary = doc
	}
	return nil
}

// simulate decides every action on every resource by the code that decides real requests.
func simulate(s service, c *region.Call, caller *region.Caller, in *simulation) (*SimulateOutput, error) {
	who, err := newSubject(caller)
	if err != nil {
		return nil, err
	}
	if err := who.add(in); err != nil {
		return nil, err
	}
	var given *policy.Policy
	if in.resourcePolicy != "" {
		if given, err = policy.Parse(in.resourcePolicy, policy.KeyPolicy); err != nil {
			return nil, iamfault.InvalidInput("The ResourcePolicy cannot be read: %s", err.Error())
		}
	}
	resources := in.resources
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	a := assume(in.context)
	out := &SimulateOutput{EvaluationResults: []EvaluationResult{}}
	for _, action := range in.actions {
		for _, resource := range resources {
			out.EvaluationResults = append(out.EvaluationResults, who.result(who.request(s, c, a, action, resource, in.owner, given), resource))
		}
	}
	return out, nil
}

// assumed are the condition keys of a simulation that it brings itself.
type assumed struct {
	values  policy.MapContext
	context shape.EncryptionContext // the pairs among them
}

func assume(entries []ContextEntry) *assumed {
	values, pairs := make(map[string][]string), make(map[string]string)
	for _, e := range entries {
		values[strings.ToLower(e.ContextKeyName)] = e.ContextKeyValues // the last of several of a name
		if key, ok := cutFold(e.ContextKeyName, "kms:EncryptionContext:"); ok && len(e.ContextKeyValues) == 1 {
			pairs[key] = e.ContextKeyValues[0]
		}
	}
	a := &assumed{values: policy.NewMapContext(values)}
	if len(pairs) > 0 {
		a.context = shape.EncryptionContextOf(pairs)
	}
	return a
}

// cutFold is strings.CutPrefix without regard to the case of the prefix.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// conditions are the condition keys of a simulation: what it brings itself, and beside that what a direct call of the principal would
// have here and now.
type conditions struct {
	assumed policy.MapContext
	call    facts.Conditions
}

// Lookup implements policy.Context.
func (c *conditions) Lookup(k *policy.Key) policy.Values {
	if _, ok := c.assumed[k.Name]; ok {
		return c.assumed.Lookup(k)
	}
	return c.call.Lookup(k)
}

// keyOf is the KMS key that a resource names, nil if it is no key of the caller's account.
func keyOf(c *region.Call, resource string) *fsm.Key {
	a, ok := arn.Parse(resource)
	id, isKey := strings.CutPrefix(a.Resource, "key/")
	if !ok || !isKey || a.Service != "kms" || a.Account != c.Caller.Account {
		return nil
	}
	return c.State.Key(a.Account, id)
}

// request is the question as the engine takes it. Of a key that exists its properties, tags, aliases and grants count, and its policy if
// the simulation brings none.
func (w *subject) request(s service, c *region.Call, a *assumed, action, resource, owner string, given *policy.Policy) *policy.Request {
	t := &region.Target{Permission: strings.TrimPrefix(action, "kms:"), Key: keyOf(c, resource), ARN: resource}
	t.Conditions.EncryptionContext = a.context
	req := &policy.Request{
		Principal: &w.Principal, Action: action, Identity: w.Identity, Boundary: w.Boundary, Session: w.Session, ResourcePolicy: given,
		Resource: w.resource(resource, owner), EncryptionContext: (*facts.ContextPairs)(&t.Conditions.EncryptionContext),
	}
	t.Account = req.Resource.Account
	call := &region.Call{State: c.State, Now: c.Now, Caller: w.caller}
	req.Context = &conditions{a.values, facts.Conditions{Service: s, Call: call, Target: t}}
	if t.Key == nil {
		return req
	}
	t.ARN = s.KeyARN(t.Key)
	if given == nil {
		if doc, err := policy.ParseStored(t.Key.Policy, policy.KeyPolicy); err == nil {
			req.ResourcePolicy = facts.Bind(doc, t.Key.PolicyPrincipals)
		}
	}
	new(facts.Grants).Add(req, s.Partition(), c.State, t)
	return req
}

// resource names a resource for the engine. Its owner is whom the simulation names, or whom the ARN names.
func (w *subject) resource(name, owner string) policy.Resource {
	a, ok := arn.Parse(name)
	if name == "*" || !ok {
		return policy.Resource{Type: policy.ResourceNone}
	}
	r := policy.Resource{Type: policy.ResourceOther, ARN: name, Account: w.Principal.Account}
	if arn.ValidAccount(a.Account) {
		r.Account = a.Account
	}
	if p, ok := arn.Parse(owner); ok && arn.ValidAccount(p.Account) {
		r.Account = p.Account
	}
	switch {
	case a.Service != "kms":
	case strings.HasPrefix(a.Resource, "key/"):
		r.Type = policy.ResourceKey
	case strings.HasPrefix(a.Resource, "alias/"):
		r.Type = policy.ResourceAlias
	}
	return r
}

// result explains one decision.
func (w *subject) result(req *policy.Request, resource string) EvaluationResult {
	x := policy.Explain(req)
	r := EvaluationResult{
		EvalActionName: req.Action, EvalResourceName: resource, EvalDecision: x.Decision.Outcome.String(),
		MatchedStatements: []MatchedStatement{}, MissingContextValues: []string{}, Steps: []Step{},
	}
	bounded := false
	for _, st := range x.Statements {
		for _, cond := range st.Conditions {
			if cond.Absent && st.Action && st.Resource && !slices.Contains(r.MissingContextValues, cond.Key) {
				r.MissingContextValues = append(r.MissingContextValues, cond.Key)
			}
		}
		if !st.Matches {
			continue
		}
		bounded = bounded || st.PolicyType == policy.PermissionsBoundary && st.Effect == policy.Allow
		source := st.PolicyType.String()
		if st.PolicyType == policy.IdentityBasedPolicy {
			source = w.names[st.Policy]
		}
		r.MatchedStatements = append(r.MatchedStatements, MatchedStatement{source, "IAM Policy", st.Effect.String(), st.Sid})
	}
	for _, g := range x.Grants {
		if g.Allows {
			r.MatchedStatements = append(r.MatchedStatements, MatchedStatement{"grant " + g.GrantID, "Grant", policy.Allow.String(), ""})
		}
	}
	if w.Boundary != nil {
		r.Boundary = &BoundaryDetail{bounded}
	}
	for _, step := range x.Steps {
		r.Steps = append(r.Steps, Step{step.Question, step.Holds})
	}
	return r
}
