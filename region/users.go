package region

import (
	"context"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// User is an IAM user as answers show it.
type User struct {
	Path                string            `wire:"Path"`
	UserName            string            `wire:"UserName"`
	UserID              string            `wire:"UserId"`
	ARN                 string            `wire:"Arn"`
	CreateDate          time.Time         `wire:"CreateDate"`
	PermissionsBoundary *AttachedBoundary `wire:"PermissionsBoundary"`
	Tags                []IAMTag          `wire:"Tags"`
}

// user shows an identity; lists leave boundary and tags out.
func (s *Service) user(i *fsm.Identity) User {
	return User{Path: i.Path, UserName: i.Name, UserID: i.ID, ARN: s.IdentityARN(i), CreateDate: instant(i.CreatedAt)}
}

func (s *Service) wholeUser(st *fsm.State, i *fsm.Identity) *User {
	u := s.user(i)
	u.PermissionsBoundary, u.Tags = s.boundary(st, i), showTags(i.Tags)
	return &u
}

// CreateUserInput asks for a new user.
type CreateUserInput struct {
	Path                string            `wire:"Path" len:"1..512" pattern:"(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)" default:"/"`
	UserName            string            `wire:"UserName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
	PermissionsBoundary shape.Opt[string] `wire:"PermissionsBoundary" len:"20..2048"`
	Tags                []IAMTag          `wire:"Tags"`
}

// Resolve implements Input.
func (in *CreateUserInput) Resolve(r *Resolver) error {
	return r.newIdentity(fsm.IdentityUser, in.Path, in.UserName, in.PermissionsBoundary, in.Tags)
}

// newIdentity adds the targets of an operation that makes a user or role: making it and, with tags, tagging it.
func (r *Resolver) newIdentity(of fsm.IdentityType, path, name string, boundary shape.Opt[string], tags []IAMTag) error {
	cond := Conditions{RequestTags: requestTags(tags), IAM: &IAMConditions{PermissionsBoundary: boundary.Value}}
	resource := identityKinds[of].resource + path + name
	if err := r.iam(resource, cond); err != nil || len(tags) == 0 {
		return err
	}
	me := r.Call.Caller.Account
	r.Call.Targets = append(r.Call.Targets, Target{
		Permission: "iam:Tag" + identityKinds[of].title, Account: me, ARN: r.svc.iamARN(me, resource), Conditions: cond,
	})
	return nil
}

// UserOutput holds one user.
type UserOutput struct {
	User *User `wire:"User"`
}

// CreateUser makes a user without credentials and permissions.
func (s *Service) CreateUser(ctx context.Context, c *Call, in *CreateUserInput) (*UserOutput, error) {
	i := fsm.Identity{Account: c.Caller.Account, Type: fsm.IdentityUser, Name: in.UserName, Path: in.Path, CreatedAt: c.Millis()}
	if err := s.fillIdentity(ctx, c, &i, in.PermissionsBoundary, in.Tags); err != nil {
		return nil, err
	}
	out := &UserOutput{User: s.wholeUser(c.State, &i)}
	repeat, err := s.putIdentity(ctx, c, nil, i, out)
	if err != nil {
		return nil, err
	}
	if repeat {
		return s.CreateUserAgain(ctx, c, in)
	}
	return out, nil
}

// fillIdentity gives a new identity its id, boundary and tags, after the checks.
func (s *Service) fillIdentity(ctx context.Context, c *Call, i *fsm.Identity, boundary shape.Opt[string], tags []IAMTag) (err error) {
	if err := nameFree(c, i.Type, i.Name, nil); err != nil {
		return err
	}
	if i.Tags, err = iamTags(tags); err != nil {
		return err
	}
	if boundary.Set {
		if i.Boundary, err = s.attachable(c, boundary.Value); err != nil {
			return err
		}
	}
	i.ID, err = s.newUniqueID(ctx, identityKinds[i.Type].prefix, uniqueIDLength)
	return err
}

// CreateUserAgain answers a repeated CreateUser.
func (s *Service) CreateUserAgain(_ context.Context, c *Call, _ *CreateUserInput) (*UserOutput, error) {
	i, err := s.madeIdentity(c)
	if err != nil {
		return nil, err
	}
	return &UserOutput{User: s.wholeUser(s.cfg.Cluster.State(), i)}, nil
}

// GetUserInput names a user; without a name it is the caller.
type GetUserInput struct {
	UserName shape.Opt[string] `wire:"UserName" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *GetUserInput) Resolve(r *Resolver) error { return r.userOrSelf(in.UserName) }

// userOrSelf adds the named user, or the caller itself: a user or the root user.
func (r *Resolver) userOrSelf(name shape.Opt[string]) error {
	caller := r.Call.Caller
	switch {
	case name.Set:
		return r.subject(fsm.IdentityUser, name.Value, Conditions{})
	case caller.Kind == PrincipalUser:
		return r.subject(fsm.IdentityUser, caller.UserName, Conditions{})
	case caller.Kind == PrincipalRoot:
		return r.iam("root", Conditions{})
	}
	return iamfault.ValidationError("Must specify userName when calling with non-User credentials")
}

// self is the user that an operation with an optional name is about, nil for the root user.
func self(c *Call, name shape.Opt[string]) (*fsm.Identity, error) {
	if !name.Set && c.Caller.Kind == PrincipalRoot {
		return nil, nil
	}
	return identityOf(c, fsm.IdentityUser, name.Or(c.Caller.UserName))
}

// GetUser describes a user. The root user has no name.
func (s *Service) GetUser(_ context.Context, c *Call, in *GetUserInput) (*UserOutput, error) {
	i, err := self(c, in.UserName)
	if err != nil {
		return nil, err
	}
	if i != nil {
		return &UserOutput{User: s.wholeUser(c.State, i)}, nil
	}
	root := &User{UserID: c.Caller.Account, ARN: arn.Root(s.cfg.Partition, c.Caller.Account)}
	if a := c.State.Account(c.Caller.Account); a != nil {
		root.CreateDate = instant(a.CreatedAt)
	}
	return &UserOutput{User: root}, nil
}

// ListUsersInput asks for a page of users.
type ListUsersInput struct {
	PathPrefix string            `wire:"PathPrefix" len:"1..512" pattern:"\\u002F[\\u0021-\\u007F]*" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListUsersInput) Resolve(r *Resolver) error {
	return r.iam("user"+in.PathPrefix, Conditions{})
}

// ListUsersOutput is a page of users.
type ListUsersOutput struct {
	Users       []User            `wire:"Users"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListUsers lists the account's users by name.
func (s *Service) ListUsers(_ context.Context, c *Call, in *ListUsersInput) (*ListUsersOutput, error) {
	out := &ListUsersOutput{Users: []User{}}
	var err error
	out.Marker, out.IsTruncated, err = listIdentities(c, fsm.IdentityUser, in.PathPrefix, page{in.Marker, in.MaxItems}, func(i *fsm.Identity) {
		out.Users = append(out.Users, s.user(i))
	})
	return out, err
}

// listIdentities passes on a page of the account's identities of a type under a path.
func listIdentities(c *Call, of fsm.IdentityType, prefix string, p page, add func(*fsm.Identity)) (shape.Opt[string], bool, error) {
	scope := pageScope{c.Operation, c.Caller.Account, prefix}
	after, err := scope.open(p.marker)
	if err != nil {
		return shape.Opt[string]{}, false, err
	}
	next, more := fill(scope, under(c.State.Identities(c.Caller.Account, of, after), prefix), p.limit(), func(i *fsm.Identity) string {
		add(i)
		return i.Name
	})
	return next, more, nil
}

// under leaves out identities of other paths.
func under(rows func(func(*fsm.Identity) bool), prefix string) func(func(*fsm.Identity) bool) {
	return func(yield func(*fsm.Identity) bool) {
		rows(func(i *fsm.Identity) bool { return !strings.HasPrefix(i.Path, prefix) || yield(i) })
	}
}

// UpdateUserInput renames or moves a user.
type UpdateUserInput struct {
	UserName    string            `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	NewPath     shape.Opt[string] `wire:"NewPath" len:"1..512" pattern:"(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"`
	NewUserName shape.Opt[string] `wire:"NewUserName" len:"1..64" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *UpdateUserInput) Resolve(r *Resolver) error {
	return r.renamed(fsm.IdentityUser, in.UserName, in.NewPath, in.NewUserName)
}

// renamed adds an identity under its old and its new name: whoever renames needs the permission on both.
func (r *Resolver) renamed(of fsm.IdentityType, name string, path, next shape.Opt[string]) error {
	if err := r.subject(of, name, Conditions{}); err != nil {
		return err
	}
	if i := r.Call.Targets[0].Identity; i != nil && (path.Set || next.Set) {
		return r.iam(identityKinds[of].resource+path.Or(i.Path)+next.Or(i.Name), Conditions{})
	}
	return nil
}

// UpdateUser renames or moves a user; it stays the same principal.
func (s *Service) UpdateUser(ctx context.Context, c *Call, in *UpdateUserInput) (*None, error) {
	return s.rename(ctx, c, fsm.IdentityUser, in.UserName, in.NewPath, in.NewUserName)
}

func (s *Service) rename(ctx context.Context, c *Call, of fsm.IdentityType, name string, path, next shape.Opt[string]) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	if err := nameFree(c, of, next.Or(i.Name), i); err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Name, n.Path = next.Or(n.Name), path.Or(n.Path) })
}

// DeleteUserInput names a user.
type DeleteUserInput struct {
	UserName string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *DeleteUserInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityUser, in.UserName, Conditions{})
}

// DeleteUser removes a user that has nothing left.
func (s *Service) DeleteUser(ctx context.Context, c *Call, in *DeleteUserInput) (*None, error) {
	return s.deleteIdentity(ctx, c, fsm.IdentityUser, in.UserName)
}

func (s *Service) deleteIdentity(ctx context.Context, c *Call, of fsm.IdentityType, name string) (*None, error) {
	i, err := identityOf(c, of, name)
	if err != nil {
		return nil, err
	}
	if err := deletable(c.State, i); err != nil {
		return nil, err
	}
	return s.change(ctx, c, &fsm.DeleteIdentity{ID: i.ID, Was: i.Version})
}

// deletable names what holds an identity.
func deletable(st *fsm.State, i *fsm.Identity) error {
	for range st.AccessKeysOf(i.Account, i.ID) {
		return iamfault.DeleteConflict("Cannot delete entity, must delete access keys first.")
	}
	switch {
	case i.Members > 0:
		return iamfault.DeleteConflict("Cannot delete entity, must remove users from group first.")
	case len(i.Groups) > 0:
		return iamfault.DeleteConflict("Cannot delete entity, must remove user from groups first.")
	case len(i.Attached) > 0:
		return iamfault.DeleteConflict("Cannot delete entity, must detach all policies first.")
	case len(i.Inline) > 0:
		return iamfault.DeleteConflict("Cannot delete entity, must delete policies first.")
	}
	return nil
}
