package region

import (
	"context"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// Document is a policy document in an answer of IAM, where it is percent-encoded (RFC 3986).
type Document string

// XMLText is the document as XML answers carry it.
func (d Document) XMLText() string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(d)+len(d)/2)
	for i := range len(d) {
		c := d[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// Role is an IAM role as answers show it.
type Role struct {
	Path                     string            `wire:"Path"`
	RoleName                 string            `wire:"RoleName"`
	RoleID                   string            `wire:"RoleId"`
	ARN                      string            `wire:"Arn"`
	CreateDate               time.Time         `wire:"CreateDate"`
	AssumeRolePolicyDocument Document          `wire:"AssumeRolePolicyDocument"`
	Description              string            `wire:"Description"`
	MaxSessionDuration       int32             `wire:"MaxSessionDuration"`
	PermissionsBoundary      *AttachedBoundary `wire:"PermissionsBoundary"`
	Tags                     []IAMTag          `wire:"Tags"`
}

func (s *Service) role(i *fsm.Identity) Role {
	return Role{
		Path: i.Path, RoleName: i.Name, RoleID: i.ID, ARN: s.IdentityARN(i), CreateDate: instant(i.CreatedAt),
		AssumeRolePolicyDocument: Document(i.Trust), Description: i.Description, MaxSessionDuration: int32(i.MaxSession),
	}
}

func (s *Service) wholeRole(c *Call, st *fsm.State, i *fsm.Identity) *Role {
	r := s.role(i)
	r.AssumeRolePolicyDocument = Document(c.Edge.ShowPolicy(st, i.Trust, i.TrustPrincipals))
	r.PermissionsBoundary, r.Tags = s.boundary(st, i), showTags(i.Tags)
	return &r
}

// CreateRoleInput asks for a new role.
type CreateRoleInput struct {
	Path                     string            `wire:"Path" len:"1..512" pattern:"(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)" default:"/"`
	RoleName                 string            `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	AssumeRolePolicyDocument string            `wire:"AssumeRolePolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	Description              string            `wire:"Description" len:"0..1000" default:""`
	MaxSessionDuration       int32             `wire:"MaxSessionDuration" range:"3600..43200" default:"3600"`
	PermissionsBoundary      shape.Opt[string] `wire:"PermissionsBoundary" len:"20..2048"`
	Tags                     []IAMTag          `wire:"Tags"`
}

// Resolve implements Input.
func (in *CreateRoleInput) Resolve(r *Resolver) error {
	return r.newIdentity(fsm.IdentityRole, in.Path, in.RoleName, in.PermissionsBoundary, in.Tags)
}

// RoleOutput holds one role.
type RoleOutput struct {
	Role *Role `wire:"Role"`
}

// CreateRole makes a role that those may assume whom its trust policy allows.
func (s *Service) CreateRole(ctx context.Context, c *Call, in *CreateRoleInput) (*RoleOutput, error) {
	i := fsm.Identity{
		Account: c.Caller.Account, Type: fsm.IdentityRole, Name: in.RoleName, Path: in.Path, CreatedAt: c.Millis(),
		Description: in.Description, MaxSession: int(in.MaxSessionDuration),
	}
	if err := s.trust(c, &i, in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if err := s.fillIdentity(ctx, c, &i, in.PermissionsBoundary, in.Tags); err != nil {
		return nil, err
	}
	out := &RoleOutput{Role: s.wholeRole(c, c.State, &i)}
	repeat, err := s.putIdentity(ctx, c, nil, i, out)
	if err != nil {
		return nil, err
	}
	if repeat {
		return s.CreateRoleAgain(ctx, c, in)
	}
	return out, nil
}

// trust checks a trust policy and gives it to a role.
func (s *Service) trust(c *Call, i *fsm.Identity, document string) error {
	if err := checkDocumentSize(document, trustPolicyLimit, "ACLSizePerRole"); err != nil {
		return err
	}
	principals, err := c.Edge.CheckPolicy(c, TrustPolicy, document)
	if err != nil {
		return err
	}
	i.Trust, i.TrustPrincipals = document, principals
	return nil
}

// CreateRoleAgain answers a repeated CreateRole.
func (s *Service) CreateRoleAgain(_ context.Context, c *Call, _ *CreateRoleInput) (*RoleOutput, error) {
	i, err := s.madeIdentity(c)
	if err != nil {
		return nil, err
	}
	return &RoleOutput{Role: s.wholeRole(c, s.cfg.Cluster.State(), i)}, nil
}

// RoleNameInput names a role.
type RoleNameInput struct {
	RoleName string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *RoleNameInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// GetRole describes a role.
func (s *Service) GetRole(_ context.Context, c *Call, in *RoleNameInput) (*RoleOutput, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	return &RoleOutput{Role: s.wholeRole(c, c.State, i)}, nil
}

// DeleteRole removes a role without policies; its sessions end with it.
func (s *Service) DeleteRole(ctx context.Context, c *Call, in *RoleNameInput) (*None, error) {
	return s.deleteIdentity(ctx, c, fsm.IdentityRole, in.RoleName)
}

// ListRolesInput asks for a page of roles.
type ListRolesInput struct {
	PathPrefix string            `wire:"PathPrefix" len:"1..512" pattern:"\\u002F[\\u0021-\\u007F]*" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListRolesInput) Resolve(r *Resolver) error {
	return r.iam("role"+in.PathPrefix, Conditions{})
}

// ListRolesOutput is a page of roles.
type ListRolesOutput struct {
	Roles       []Role            `wire:"Roles"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListRoles lists the account's roles by name.
func (s *Service) ListRoles(_ context.Context, c *Call, in *ListRolesInput) (*ListRolesOutput, error) {
	out := &ListRolesOutput{Roles: []Role{}}
	var err error
	out.Marker, out.IsTruncated, err = listIdentities(c, fsm.IdentityRole, in.PathPrefix, page{in.Marker, in.MaxItems}, func(i *fsm.Identity) {
		out.Roles = append(out.Roles, s.role(i))
	})
	return out, err
}

// UpdateRoleInput changes a role's description or session length.
type UpdateRoleInput struct {
	RoleName           string            `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	Description        shape.Opt[string] `wire:"Description" len:"0..1000"`
	MaxSessionDuration shape.Opt[int32]  `wire:"MaxSessionDuration" range:"3600..43200"`
}

// Resolve implements Input.
func (in *UpdateRoleInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// Empty is an answer that has a result without members.
type Empty struct{}

// UpdateRole changes what is given.
func (s *Service) UpdateRole(ctx context.Context, c *Call, in *UpdateRoleInput) (*Empty, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	_, err = s.changeIdentity(ctx, c, i, func(n *fsm.Identity) {
		n.Description = in.Description.Or(n.Description)
		n.MaxSession = int(in.MaxSessionDuration.Or(int32(n.MaxSession)))
	})
	return &Empty{}, err
}

// UpdateRoleAgain answers a repeated UpdateRole.
func (s *Service) UpdateRoleAgain(context.Context, *Call, *UpdateRoleInput) (*Empty, error) {
	return &Empty{}, nil
}

// UpdateRoleDescriptionInput changes a role's description.
type UpdateRoleDescriptionInput struct {
	RoleName    string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	Description string `wire:"Description,required" len:"0..1000"`
}

// Resolve implements Input.
func (in *UpdateRoleDescriptionInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// UpdateRoleDescription changes a role's description and shows the role.
func (s *Service) UpdateRoleDescription(ctx context.Context, c *Call, in *UpdateRoleDescriptionInput) (*RoleOutput, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	next := *i
	next.Description = in.Description
	out := &RoleOutput{Role: s.wholeRole(c, c.State, &next)}
	_, err = s.putIdentity(ctx, c, i, next, out)
	return out, err
}

// UpdateRoleDescriptionAgain answers a repeated UpdateRoleDescription.
func (s *Service) UpdateRoleDescriptionAgain(_ context.Context, c *Call, _ *UpdateRoleDescriptionInput) (*RoleOutput, error) {
	i, err := s.madeIdentity(c)
	if err != nil {
		return nil, err
	}
	return &RoleOutput{Role: s.wholeRole(c, s.cfg.Cluster.State(), i)}, nil
}

// UpdateAssumeRolePolicyInput replaces a trust policy.
type UpdateAssumeRolePolicyInput struct {
	RoleName       string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PolicyDocument string `wire:"PolicyDocument,required" len:"1..131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
}

// Resolve implements Input.
func (in *UpdateAssumeRolePolicyInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityRole, in.RoleName, Conditions{})
}

// UpdateAssumeRolePolicy replaces a trust policy; sessions that exist go on.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, c *Call, in *UpdateAssumeRolePolicyInput) (*None, error) {
	i, err := identityOf(c, fsm.IdentityRole, in.RoleName)
	if err != nil {
		return nil, err
	}
	next := *i
	if err := s.trust(c, &next, in.PolicyDocument); err != nil {
		return nil, err
	}
	_, err = s.putIdentity(ctx, c, i, next, nil)
	return &None{}, err
}

// InstanceProfilesOutput is the list of a role's instance profiles.
type InstanceProfilesOutput struct {
	InstanceProfiles []Empty           `wire:"InstanceProfiles"`
	IsTruncated      bool              `wire:"IsTruncated"`
	Marker           shape.Opt[string] `wire:"Marker"`
}

// ListInstanceProfilesForRole lists none: there are no instances here whose profiles a role could be in. Tools ask it before they
// delete a role.
func (s *Service) ListInstanceProfilesForRole(_ context.Context, c *Call, in *PageInput[OfRole]) (*InstanceProfilesOutput, error) {
	if _, err := find(c, in.Of); err != nil {
		return nil, err
	}
	if in.Marker.Set {
		return nil, iamfault.ValidationError("Invalid Marker.")
	}
	return &InstanceProfilesOutput{InstanceProfiles: []Empty{}}, nil
}
