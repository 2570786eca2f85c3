package region

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// PolicyFacts are what answers show of a managed policy.
type PolicyFacts struct {
	PolicyName                    string            `wire:"PolicyName"`
	PolicyID                      string            `wire:"PolicyId"`
	ARN                           string            `wire:"Arn"`
	Path                          string            `wire:"Path"`
	DefaultVersionID              string            `wire:"DefaultVersionId"`
	AttachmentCount               int32             `wire:"AttachmentCount"`
	PermissionsBoundaryUsageCount int32             `wire:"PermissionsBoundaryUsageCount"`
	IsAttachable                  bool              `wire:"IsAttachable"`
	Description                   shape.Opt[string] `wire:"Description"`
	CreateDate                    time.Time         `wire:"CreateDate"`
	UpdateDate                    time.Time         `wire:"UpdateDate"`
}

// Policy is a managed policy with its tags.
type Policy struct {
	PolicyFacts `wire:",inline"`
	Tags        []IAMTag `wire:"Tags"`
}

// PolicyVersion is a version of a managed policy as answers show it. Lists leave the document out.
type PolicyVersion struct {
	Document         shape.Opt[Document] `wire:"Document"`
	VersionID        string              `wire:"VersionId"`
	IsDefaultVersion bool                `wire:"IsDefaultVersion"`
	CreateDate       time.Time           `wire:"CreateDate"`
}

// managed is a customer managed policy or a built-in one, which is nobody's.
type managed struct {
	row     *fsm.ManagedPolicy
	builtIn *BuiltInPolicy
}

// findPolicy returns the policy of an ARN of the account or of a built-in one.
func (s *Service) findPolicy(st *fsm.State, account, arn string) (managed, bool) {
	for i := range s.cfg.BuiltIn {
		if b := &s.cfg.BuiltIn[i]; b.ARN == arn {
			return managed{builtIn: b}, true
		}
	}
	rest, ok := strings.CutPrefix(arn, s.iamARN(account, "policy/"))
	if !ok {
		return managed{}, false
	}
	p := st.ManagedPolicyNamed(account, rest[strings.LastIndexByte(rest, '/')+1:])
	if p == nil || s.PolicyARN(p) != arn {
		return managed{}, false
	}
	return managed{row: p}, true
}

// attachable returns how identities refer to the policy of an ARN.
func (s *Service) attachable(c *Call, arn string) (string, error) {
	m, ok := s.findPolicy(c.State, c.Caller.Account, arn)
	switch {
	case !ok:
		return "", iamfault.NoSuchEntity("Policy %s does not exist or is not attachable.", arn)
	case m.row != nil:
		return m.row.ID, nil
	case m.builtIn.ServiceRole:
		return "", iamfault.PolicyNotAttachable("Cannot attach a Service Role Policy to a Customer Role.")
	}
	return m.builtIn.ARN, nil
}

// readPolicy is the policy of an ARN, with a built-in one in the form of a customer's: with one version.
func (s *Service) readPolicy(c *Call, arn string) (*fsm.ManagedPolicy, error) {
	m, ok := s.findPolicy(c.State, c.Caller.Account, arn)
	if !ok {
		return nil, noPolicy(arn)
	}
	return m.asRow(c.State), nil
}

// asRow is the policy as a row of the state, which a built-in one is not.
func (m managed) asRow(st *fsm.State) *fsm.ManagedPolicy {
	b := m.builtIn
	if b == nil {
		return m.row
	}
	v := fsm.PolicyVersion{Number: 1, Document: b.Document}
	if r := st.Region(); r != nil {
		v.CreatedAt = r.CreatedAt
	}
	return &fsm.ManagedPolicy{ID: b.ID, Name: b.Name, Path: b.Path, Versions: []fsm.PolicyVersion{v}, Default: 1, Last: 1}
}

func noPolicy(arn string) error {
	return iamfault.NoSuchEntity("Policy %s was not found.", arn)
}

// show describes a managed policy; lists leave description and tags out. How often a built-in policy is attached is counted.
func (s *Service) show(st *fsm.State, account string, m managed, whole bool) Policy {
	if b := m.builtIn; b != nil {
		p := Policy{PolicyFacts: PolicyFacts{
			PolicyName: b.Name, PolicyID: b.ID, ARN: b.ARN, Path: b.Path, DefaultVersionID: "v1", IsAttachable: !b.ServiceRole,
		}}
		if r := st.Region(); r != nil {
			p.CreateDate, p.UpdateDate = instant(r.CreatedAt), instant(r.CreatedAt)
		}
		for i := range everyIdentity(st, account) {
			if _, found := slices.BinarySearch(i.Attached, b.ARN); found {
				p.AttachmentCount++
			}
			if i.Boundary == b.ARN {
				p.PermissionsBoundaryUsageCount++
			}
		}
		if whole {
			p.Description = shape.Some(b.Description)
		}
		return p
	}
	r := m.row
	p := Policy{PolicyFacts: PolicyFacts{
		PolicyName: r.Name, PolicyID: r.ID, ARN: s.PolicyARN(r), Path: r.Path, DefaultVersionID: versionID(r.Default),
		AttachmentCount: int32(r.Attachments), PermissionsBoundaryUsageCount: int32(r.Boundaries), IsAttachable: true,
		CreateDate: instant(r.CreatedAt), UpdateDate: instant(r.UpdatedAt),
	}}
	if whole {
		if r.Description != "" {
			p.Description = shape.Some(r.Description)
		}
		p.Tags = showTags(r.Tags)
	}
	return p
}

// everyIdentity yields the users, groups and roles of an account.
func everyIdentity(st *fsm.State, account string) iter.Seq[*fsm.Identity] {
	return func(yield func(*fsm.Identity) bool) {
		for of := fsm.IdentityUser; of <= fsm.IdentityRole; of++ {
			for i := range st.Identities(account, of, "") {
				if !yield(i) {
					return
				}
			}
		}
	}
}

func versionID(n int) string { return "v" + strconv.Itoa(n) }

// CreatePolicyInput asks for a new managed policy.
type CreatePolicyInput struct {
	PolicyName     string            `wire:"PolicyName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Path           string            `wire:"Path" len:"1..512" pattern:"((/[A-Za-z0-9\\.,\\+@=_-]+)*)/" default:"/"`
	PolicyDocument string            `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	Description    shape.Opt[string] `wire:"Description" len:"0..1000"`
	Tags           []IAMTag          `wire:"Tags"`
}

// Resolve implements Input.
func (in *CreatePolicyInput) Resolve(r *Resolver) error {
	cond := Conditions{RequestTags: requestTags(in.Tags)}
	resource := "policy" + in.Path + in.PolicyName
	if err := r.iam(resource, cond); err != nil || len(in.Tags) == 0 {
		return err
	}
	me := r.Call.Caller.Account
	r.Call.Targets = append(r.Call.Targets, Target{Permission: "iam:TagPolicy", Account: me, ARN: r.svc.iamARN(me, resource), Conditions: cond})
	return nil
}

// PolicyOutput holds one managed policy.
type PolicyOutput struct {
	Policy *Policy `wire:"Policy"`
}

// CreatePolicy makes a managed policy with its first version.
func (s *Service) CreatePolicy(ctx context.Context, c *Call, in *CreatePolicyInput) (*PolicyOutput, error) {
	account := c.Caller.Account
	if c.State.ManagedPolicyNamed(account, in.PolicyName) != nil {
		return nil, iamfault.EntityAlreadyExists("A policy called %s already exists. Duplicate names are not allowed.", in.PolicyName)
	}
	if err := s.checkVersion(c, in.PolicyDocument); err != nil {
		return nil, err
	}
	p := fsm.ManagedPolicy{
		Account: account, Name: in.PolicyName, Path: in.Path, Description: in.Description.Value, CreatedAt: c.Millis(), UpdatedAt: c.Millis(),
		Versions: []fsm.PolicyVersion{{Number: 1, Document: in.PolicyDocument, CreatedAt: c.Millis()}}, Default: 1, Last: 1,
	}
	var err error
	if p.Tags, err = iamTags(in.Tags); err != nil {
		return nil, err
	}
	if p.ID, err = s.newUniqueID(ctx, "ANPA", uniqueIDLength); err != nil {
		return nil, err
	}
	shown := s.show(c.State, account, managed{row: &p}, true)
	out := &PolicyOutput{Policy: &shown}
	repeat, err := s.putPolicy(ctx, c, nil, p, out)
	if err != nil {
		return nil, err
	}
	if repeat {
		return s.CreatePolicyAgain(ctx, c, in)
	}
	return out, nil
}

func (s *Service) checkVersion(c *Call, document string) error {
	if err := checkDocumentSize(document, managedLimit, "PolicySize"); err != nil {
		return err
	}
	_, err := c.Edge.CheckPolicy(c, ManagedPolicy, document)
	return err
}

// putPolicy proposes a managed policy's row in the place of the one that the call saw, nil for a new one.
func (s *Service) putPolicy(ctx context.Context, c *Call, was *fsm.ManagedPolicy, next fsm.ManagedPolicy, out any) (repeat bool, err error) {
	body := &fsm.PutManagedPolicy{Policy: next}
	if was != nil {
		body.Was = was.Version
	}
	res, err := s.propose(ctx, c, body, out)
	c.Objects = res.Objects
	return res.Repeat, err
}

// changePolicy proposes a changed copy of the customer managed policy of an ARN.
func (s *Service) changePolicy(ctx context.Context, c *Call, arn string, change func(next *fsm.ManagedPolicy) error) (*None, error) {
	p, err := own(c, arn)
	if err != nil {
		return nil, err
	}
	next := *p
	if err := change(&next); err != nil {
		return nil, err
	}
	_, err = s.putPolicy(ctx, c, p, next, nil)
	return &None{}, err
}

// madePolicy is the managed policy of a repeated operation.
func (s *Service) madePolicy(c *Call) (*fsm.ManagedPolicy, error) {
	if len(c.Objects) != 1 {
		return nil, fault.Internal(fmt.Errorf("a remembered %s names %d objects", c.Operation, len(c.Objects)))
	}
	p := s.cfg.Cluster.State().ManagedPolicy(c.Objects[0])
	if p == nil {
		return nil, iamfault.NoSuchEntity("The policy with id %s was not found.", c.Objects[0])
	}
	return p, nil
}

// CreatePolicyAgain answers a repeated CreatePolicy.
func (s *Service) CreatePolicyAgain(_ context.Context, c *Call, _ *CreatePolicyInput) (*PolicyOutput, error) {
	p, err := s.madePolicy(c)
	if err != nil {
		return nil, err
	}
	shown := s.show(c.State, p.Account, managed{row: p}, true)
	return &PolicyOutput{Policy: &shown}, nil
}

// PolicyARNInput names a managed policy.
type PolicyARNInput struct {
	PolicyARN string `wire:"PolicyArn,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *PolicyARNInput) Resolve(r *Resolver) error { return r.policy(in.PolicyARN, Conditions{}) }

// policy adds a managed policy by its ARN. Built-in ones count as the caller's own.
func (r *Resolver) policy(arn string, cond Conditions) error {
	me := r.Call.Caller.Account
	if !strings.HasPrefix(arn, r.svc.iamARN(me, "policy/")) && !strings.HasPrefix(arn, r.svc.iamARN("aws", "policy/")) {
		return iamfault.InvalidInput("ARN %s is not valid.", arn)
	}
	t := Target{Permission: r.Permission, Account: me, ARN: arn, Conditions: cond}
	if m, ok := r.svc.findPolicy(r.Call.State, me, arn); ok {
		t.Policy = m.row
	}
	r.Call.Targets = append(r.Call.Targets, t)
	return nil
}

// GetPolicy describes a managed policy.
func (s *Service) GetPolicy(_ context.Context, c *Call, in *PolicyARNInput) (*PolicyOutput, error) {
	m, ok := s.findPolicy(c.State, c.Caller.Account, in.PolicyARN)
	if !ok {
		return nil, noPolicy(in.PolicyARN)
	}
	shown := s.show(c.State, c.Caller.Account, m, true)
	return &PolicyOutput{Policy: &shown}, nil
}

// own is the customer managed policy that an operation is to change.
func own(c *Call, arn string) (*fsm.ManagedPolicy, error) {
	p := c.Targets[0].Policy
	switch {
	case p != nil:
		return p, nil
	case strings.Contains(arn, "::aws:policy/"):
		return nil, iamfault.AccessDenied("Policy is outside your own account.")
	}
	return nil, noPolicy(arn)
}

// DeletePolicy removes a managed policy that is not in use and has one version.
func (s *Service) DeletePolicy(ctx context.Context, c *Call, in *PolicyARNInput) (*None, error) {
	p, err := own(c, in.PolicyARN)
	switch {
	case err != nil:
		return nil, err
	case p.Attachments+p.Boundaries > 0:
		return nil, iamfault.DeleteConflict("Cannot delete a policy attached to entities.")
	case len(p.Versions) > 1:
		return nil, iamfault.DeleteConflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	return s.change(ctx, c, &fsm.DeleteManagedPolicy{ID: p.ID, Was: p.Version})
}

// ListPoliciesInput asks for a page of managed policies.
type ListPoliciesInput struct {
	Scope             string            `wire:"Scope" pattern:"All|AWS|Local" default:"All"`
	OnlyAttached      bool              `wire:"OnlyAttached" default:"false"`
	PathPrefix        string            `wire:"PathPrefix" len:"1..512" default:"/"`
	PolicyUsageFilter shape.Opt[string] `wire:"PolicyUsageFilter" pattern:"PermissionsPolicy|PermissionsBoundary"`
	Marker            shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems          shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListPoliciesInput) Resolve(r *Resolver) error {
	return r.iam("policy"+in.PathPrefix, Conditions{})
}

// ListPoliciesOutput is a page of managed policies.
type ListPoliciesOutput struct {
	Policies    []Policy          `wire:"Policies"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListPolicies lists managed policies: built-in ones, then the account's, by name.
func (s *Service) ListPolicies(_ context.Context, c *Call, in *ListPoliciesInput) (*ListPoliciesOutput, error) {
	scope := pageScope{c.Operation, c.Caller.Account, fmt.Sprint(in.Scope, in.OnlyAttached, in.PathPrefix, in.PolicyUsageFilter)}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &ListPoliciesOutput{Policies: []Policy{}}
	out.Marker, out.IsTruncated = fill(scope, s.policies(c, in, after), page{in.Marker, in.MaxItems}.limit(), func(p Policy) string {
		out.Policies = append(out.Policies, p)
		return p.ARN
	})
	return out, nil
}

// policies yields the managed policies that a list asks for, after the one with an ARN.
func (s *Service) policies(c *Call, in *ListPoliciesInput, after string) iter.Seq[Policy] {
	account := c.Caller.Account
	local := s.iamARN(account, "policy/")
	wanted := func(p Policy) bool {
		used := p.AttachmentCount + p.PermissionsBoundaryUsageCount
		switch in.PolicyUsageFilter.Value {
		case "PermissionsPolicy":
			used = p.AttachmentCount
		case "PermissionsBoundary":
			used = p.PermissionsBoundaryUsageCount
		}
		return strings.HasPrefix(p.Path, in.PathPrefix) && (used > 0 || !in.OnlyAttached && !in.PolicyUsageFilter.Set)
	}
	return func(yield func(Policy) bool) {
		if in.Scope != "Local" && !strings.HasPrefix(after, local) {
			for i := range s.cfg.BuiltIn {
				m := managed{builtIn: &s.cfg.BuiltIn[i]}
				if p := s.show(c.State, account, m, false); p.ARN > after && wanted(p) && !yield(p) {
					return
				}
			}
		}
		if in.Scope == "AWS" {
			return
		}
		name := ""
		if strings.HasPrefix(after, local) {
			name = after[strings.LastIndexByte(after, '/')+1:]
		}
		for row := range c.State.ManagedPolicies(account, name) {
			if p := s.show(c.State, account, managed{row: row}, false); wanted(p) && !yield(p) {
				return
			}
		}
	}
}
