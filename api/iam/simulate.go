package iam

import (
	"context"
	"maps"
	"slices"
	"strconv"
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

// subject is whom a simulation is about: the principal, its policies and where they come from.
type subject struct {
	principal policy.Principal
	identity  []*policy.Policy
	names     []string
	boundary  *policy.Policy
	tags      []fsm.Tag
	user      string
	id        string
}

func simulatePrincipal(s service, _ context.Context, c *region.Call, in *SimulatePrincipalPolicyInput) (*SimulateOutput, error) {
	i := c.Targets[0].Identity
	if i == nil {
		return nil, iamfault.NoSuchEntity("The principal %s cannot be found.", in.PolicySourceARN)
	}
	d := s.Standing(c.State, i, nil)
	who := &subject{principal: policy.Principal{
		Kind: policy.User, ARN: d.IdentityARN, Account: i.Account, IdentityARN: d.IdentityARN, IdentityID: i.ID,
	}, tags: i.Tags, id: i.ID, user: i.Name}
	if i.Type == fsm.IdentityRole {
		who.principal.Kind, who.principal.ARN, who.user = policy.RoleSession, s.SessionARN(i, "simulation"), ""
		who.id += ":simulation"
	}
	for _, p := range d.Policies {
		if err := who.add(p.Name, p.Document); err != nil {
			return nil, err
		}
	}
	if d.Boundary != nil {
		doc, err := policy.ParseStored(d.Boundary.Document, policy.Boundary)
		if err != nil {
			return nil, err
		}
		who.boundary = doc
	}
	return simulate(s, c, who, &simulation{
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
	who := &subject{principal: policy.Principal{Kind: policy.User, ARN: me, Account: account, IdentityARN: me}}
	return simulate(s, c, who, &simulation{
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList, in.ActionNames, in.ResourceARNs, in.ResourcePolicy.Value,
		in.ResourceOwner.Value, in.ContextEntries,
	})
}

// add compiles a policy of the principal. One that is not there any more has no document and allows nothing.
func (w *subject) add(name, document string) error {
	if document == "" {
		return nil
	}
	doc, err := policy.ParseStored(document, policy.IdentityPolicy)
	if err != nil {
		return iamfault.InvalidInput("The policy %s cannot be read: %s", name, err.Error())
	}
	w.identity, w.names = append(w.identity, doc), append(w.names, name)
	return nil
}

// simulate decides every action on every resource by the code that decides real requests.
func simulate(s service, c *region.Call, who *subject, in *simulation) (*SimulateOutput, error) {
	for _, document := range in.policies {
		if err := who.add("PolicyInputList", document); err != nil {
			return nil, err
		}
	}
	for _, document := range in.boundary {
		doc, err := policy.Parse(document, policy.Boundary)
		if err != nil {
			return nil, iamfault.InvalidInput("The boundary cannot be read: %s", err.Error())
		}
		who.boundary = doc
	}
	var given *policy.Policy
	if in.resourcePolicy != "" {
		var err error
		if given, err = policy.Parse(in.resourcePolicy, policy.KeyPolicy); err != nil {
			return nil, iamfault.InvalidInput("The ResourcePolicy cannot be read: %s", err.Error())
		}
	}
	resources := in.resources
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	assumed := who.context(s, c, in.context)
	out := &SimulateOutput{EvaluationResults: []EvaluationResult{}}
	for _, action := range in.actions {
		for _, resource := range resources {
			req := who.request(s, c, action, resource, in.owner, given)
			req.Context = policy.NewMapContext(assumed)
			if key := keyOf(c, resource); key != nil {
				who.onKey(s, c, req, key, assumed)
			}
			out.EvaluationResults = append(out.EvaluationResults, who.result(req, resource))
		}
	}
	return out, nil
}

// context are the condition keys of a simulation: those that every direct call of the principal here has at this time, and what the
// request assumes.
func (w *subject) context(s service, c *region.Call, entries []ContextEntry) map[string][]string {
	kind := "User"
	if w.principal.Kind == policy.RoleSession {
		kind = "AssumedRole"
	}
	no := []string{"false"}
	m := map[string][]string{
		"aws:PrincipalArn": {w.principal.IdentityARN}, "aws:PrincipalAccount": {w.principal.Account}, "aws:PrincipalType": {kind},
		"kms:CallerAccount": {w.principal.Account}, "aws:CurrentTime": {c.Now.UTC().Format("2006-01-02T15:04:05Z")},
		"aws:EpochTime": {strconv.FormatInt(c.Now.Unix(), 10)}, "aws:RequestedRegion": {s.Region()},
		"aws:PrincipalIsAWSService": no, "aws:ViaAWSService": no, "kms:GrantIsForAWSResource": no,
	}
	if w.id != "" {
		m["aws:userid"] = []string{w.id}
	}
	if w.user != "" {
		m["aws:username"] = []string{w.user}
	}
	for _, t := range w.tags {
		m["aws:PrincipalTag/"+t.Key] = []string{t.Value}
	}
	for _, e := range entries {
		for name := range m {
			if strings.EqualFold(name, e.ContextKeyName) {
				delete(m, name)
			}
		}
		m[e.ContextKeyName] = e.ContextKeyValues
	}
	return m
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

// onKey adds what the state knows of a key: its properties, tags and aliases as conditions see them, and the grants for the
// principal. What the simulation assumes goes before.
func (w *subject) onKey(s service, c *region.Call, req *policy.Request, key *fsm.Key, assumed map[string][]string) {
	m := map[string][]string{
		"kms:KeySpec": {key.Spec}, "kms:KeyUsage": {key.Usage}, "kms:KeyOrigin": {key.Origin}, "kms:MultiRegion": {strconv.FormatBool(key.MultiRegion)},
		"aws:ResourceAccount": {key.Account}, "kms:TrailingDaysWithoutKeyUsage": {strconv.FormatInt(s.TrailingDays(c.State, key, c.Now), 10)},
	}
	for _, t := range key.Tags {
		m["aws:ResourceTag/"+t.Key] = []string{t.Value}
	}
	for a := range c.State.AliasesOf(key.Account, key.ID, "") {
		m["kms:ResourceAliases"] = append(m["kms:ResourceAliases"], a.Name)
	}
	for given := range assumed {
		for name := range m {
			if strings.EqualFold(name, given) {
				delete(m, name)
			}
		}
	}
	maps.Copy(m, assumed)
	req.Context = policy.NewMapContext(m)
	pairs := make(map[string]string)
	for name, values := range assumed {
		if pair, ok := cutFold(name, "kms:EncryptionContext:"); ok && len(values) == 1 {
			pairs[pair] = values[0]
		}
	}
	req.EncryptionContext = policy.MapPairs(pairs)
	op := region.GrantOp(strings.TrimPrefix(req.Action, "kms:"))
	if op == 0 || op == fsm.GrantRetireGrant || key.GrantCount == 0 {
		return
	}
	var context fsm.Pairs = req.EncryptionContext
	if op == fsm.GrantDescribeKey || len(pairs) == 0 {
		context = nil
	}
	req.Grants = func(yield func(*policy.Grant) bool) {
		for _, grantee := range facts.Grantees(s.Partition(), req.Principal) {
			for g := range c.State.GrantsTo(fsm.KeyRef{Account: key.Account, ID: key.ID}, grantee, op, context) {
				if compiled := facts.Grant(g, s.KeyARN(key)); compiled != nil && !yield(compiled) {
					return
				}
			}
		}
	}
}

// cutFold is strings.CutPrefix without regard to the case of the prefix.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// request is the question as the engine takes it. The policy of a key that exists is asked, if the simulation brings none.
func (w *subject) request(s service, c *region.Call, action, resource, owner string, given *policy.Policy) *policy.Request {
	req := &policy.Request{
		Principal: &w.principal, Action: action, Identity: w.identity, Boundary: w.boundary,
		Resource: policy.Resource{Type: policy.ResourceOther, ARN: resource, Account: w.principal.Account}, ResourcePolicy: given,
	}
	a, ok := arn.Parse(resource)
	switch {
	case resource == "*" || !ok:
		req.Resource = policy.Resource{Type: policy.ResourceNone}
		return req
	case arn.ValidAccount(a.Account):
		req.Resource.Account = a.Account
	}
	if p, ok := arn.Parse(owner); ok && arn.ValidAccount(p.Account) {
		req.Resource.Account = p.Account
	}
	id, isKey := strings.CutPrefix(a.Resource, "key/")
	switch {
	case a.Service != "kms":
	case isKey:
		req.Resource.Type = policy.ResourceKey
		if k := c.State.Key(a.Account, id); given == nil && k != nil && k.Account == c.Caller.Account {
			if doc, err := policy.ParseStored(k.Policy, policy.KeyPolicy); err == nil {
				req.ResourcePolicy = bind(doc, k.PolicyPrincipals)
			}
		}
	case strings.HasPrefix(a.Resource, "alias/"):
		req.Resource.Type = policy.ResourceAlias
	}
	return req
}

func bind(doc *policy.Policy, principals []fsm.PolicyPrincipal) *policy.Policy {
	return doc.Bind(func(ref policy.PrincipalRef) string {
		i := slices.IndexFunc(principals, func(p fsm.PolicyPrincipal) bool { return p.ARN == ref.ARN })
		if i < 0 {
			return ""
		}
		return principals[i].ID
	})
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
	if w.boundary != nil {
		r.Boundary = &BoundaryDetail{bounded}
	}
	for _, step := range x.Steps {
		r.Steps = append(r.Steps, Step{step.Question, step.Holds})
	}
	return r
}
