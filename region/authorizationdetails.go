package region

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// AuthorizationDetailsInput asks for everything about an account's identities.
type AuthorizationDetailsInput struct {
	Filter   []string          `wire:"Filter" pattern:"User|Role|Group|LocalManagedPolicy|AWSManagedPolicy"`
	MaxItems shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
	Marker   shape.Opt[string] `wire:"Marker" len:"1..1024"`
}

// Resolve implements Input.
func (in *AuthorizationDetailsInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// PolicyDetail is an inline policy with its document.
type PolicyDetail struct {
	PolicyName     string   `wire:"PolicyName"`
	PolicyDocument Document `wire:"PolicyDocument"`
}

// UserDetail is a user with everything that is attached to it.
type UserDetail struct {
	User                    `wire:",inline"`
	UserPolicyList          []PolicyDetail   `wire:"UserPolicyList"`
	GroupList               []string         `wire:"GroupList"`
	AttachedManagedPolicies []AttachedPolicy `wire:"AttachedManagedPolicies"`
}

// GroupDetail is a group with everything that is attached to it.
type GroupDetail struct {
	Group                   `wire:",inline"`
	GroupPolicyList         []PolicyDetail   `wire:"GroupPolicyList"`
	AttachedManagedPolicies []AttachedPolicy `wire:"AttachedManagedPolicies"`
}

// RoleDetail is a role with everything that is attached to it.
type RoleDetail struct {
	Path                     string            `wire:"Path"`
	RoleName                 string            `wire:"RoleName"`
	RoleID                   string            `wire:"RoleId"`
	ARN                      string            `wire:"Arn"`
	CreateDate               time.Time         `wire:"CreateDate"`
	AssumeRolePolicyDocument Document          `wire:"AssumeRolePolicyDocument"`
	InstanceProfileList      []Empty           `wire:"InstanceProfileList"`
	RolePolicyList           []PolicyDetail    `wire:"RolePolicyList"`
	AttachedManagedPolicies  []AttachedPolicy  `wire:"AttachedManagedPolicies"`
	PermissionsBoundary      *AttachedBoundary `wire:"PermissionsBoundary"`
	Tags                     []IAMTag          `wire:"Tags"`
}

// ManagedPolicyDetail is a managed policy with all its versions.
type ManagedPolicyDetail struct {
	PolicyFacts       `wire:",inline"`
	PolicyVersionList []PolicyVersion `wire:"PolicyVersionList"`
}

// AuthorizationDetails is a page of an account's identities.
type AuthorizationDetails struct {
	UserDetailList  []UserDetail          `wire:"UserDetailList"`
	GroupDetailList []GroupDetail         `wire:"GroupDetailList"`
	RoleDetailList  []RoleDetail          `wire:"RoleDetailList"`
	Policies        []ManagedPolicyDetail `wire:"Policies"`
	IsTruncated     bool                  `wire:"IsTruncated"`
	Marker          shape.Opt[string]     `wire:"Marker"`
}

// detail is one item of the list of everything; its mark orders it: users, groups, roles, the account's policies, built-in ones.
type detail struct {
	mark     string
	identity *fsm.Identity
	policy   managed
}

var detailTypes = map[string]string{"User": "1", "Group": "2", "Role": "3", "LocalManagedPolicy": "4", "AWSManagedPolicy": "5"}

// GetAccountAuthorizationDetails shows an account's identities and policies with everything attached to them.
func (s *Service) GetAccountAuthorizationDetails(_ context.Context, c *Call, in *AuthorizationDetailsInput) (*AuthorizationDetails, error) {
	scope := pageScope{c.Operation, c.Caller.Account, strings.Join(in.Filter, ",")}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	if after != "" && (len(after) < 2 || !strings.Contains("12345", after[:1])) {
		return nil, iamfault.ValidationError("Invalid Marker.")
	}
	out := &AuthorizationDetails{
		UserDetailList: []UserDetail{}, GroupDetailList: []GroupDetail{}, RoleDetailList: []RoleDetail{}, Policies: []ManagedPolicyDetail{},
	}
	out.Marker, out.IsTruncated = fill(scope, s.details(c, in.Filter, after), page{in.Marker, in.MaxItems}.limit(), func(d detail) string {
		s.addDetail(c, out, &d)
		return d.mark
	})
	return out, nil
}

// details yields what a filter asks for, after a mark.
func (s *Service) details(c *Call, filter []string, after string) func(func(detail) bool) {
	account := c.Caller.Account
	wants := func(mark string) bool {
		return mark > after && (len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return detailTypes[f] == mark[:1] }))
	}
	return func(yield func(detail) bool) {
		for i := range everyIdentity(c.State, account) {
			mark := strconv.Itoa(int(i.Type)) + strings.ToLower(i.Name)
			if wants(mark) && !yield(detail{mark: mark, identity: i}) {
				return
			}
		}
		for p := range c.State.ManagedPolicies(account, "") {
			mark := "4" + strings.ToLower(p.Name)
			if wants(mark) && !yield(detail{mark: mark, policy: managed{row: p}}) {
				return
			}
		}
		for i := range s.cfg.BuiltIn {
			mark := "5" + s.cfg.BuiltIn[i].ARN
			if wants(mark) && !yield(detail{mark: mark, policy: managed{builtIn: &s.cfg.BuiltIn[i]}}) {
				return
			}
		}
	}
}

func (s *Service) addDetail(c *Call, out *AuthorizationDetails, d *detail) {
	i := d.identity
	if i == nil {
		out.Policies = append(out.Policies, s.policyDetail(c, d.policy))
		return
	}
	inline, attached := []PolicyDetail{}, []AttachedPolicy{}
	for _, p := range i.Inline {
		inline = append(inline, PolicyDetail{p.Name, Document(p.Document)})
	}
	for _, ref := range i.Attached {
		name := s.policyName(c.State, ref)
		attached = append(attached, AttachedPolicy{name[strings.LastIndexByte(name, '/')+1:], name})
	}
	switch i.Type {
	case fsm.IdentityUser:
		groups := []string{}
		for _, id := range i.Groups {
			if g := c.State.Identity(id); g != nil {
				groups = append(groups, g.Name)
			}
		}
		out.UserDetailList = append(out.UserDetailList, UserDetail{*s.wholeUser(c.State, i), inline, groups, attached})
	case fsm.IdentityGroup:
		out.GroupDetailList = append(out.GroupDetailList, GroupDetail{s.group(i), inline, attached})
	case fsm.IdentityRole:
		trust := Document(c.Edge.ShowPolicy(c.State, i.Trust, i.TrustPrincipals))
		out.RoleDetailList = append(out.RoleDetailList, RoleDetail{i.Path, i.Name, i.ID, s.IdentityARN(i), instant(i.CreatedAt), trust, []Empty{}, inline, attached, s.boundary(c.State, i), showTags(i.Tags)})
	}
}

func (s *Service) policyDetail(c *Call, m managed) ManagedPolicyDetail {
	p := s.show(c.State, c.Caller.Account, m, true)
	row := m.asRow(c.State)
	versions := []PolicyVersion{}
	for i := range row.Versions {
		v := showVersion(row, &row.Versions[i])
		v.Document = shape.Some(Document(row.Versions[i].Document))
		versions = append(versions, v)
	}
	return ManagedPolicyDetail{p.PolicyFacts, versions}
}
