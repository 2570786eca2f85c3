package region

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
	"github.com/trentkms/trent/region/shape"
)

// Group is an IAM group as answers show it.
type Group struct {
	Path       string    `wire:"Path"`
	GroupName  string    `wire:"GroupName"`
	GroupID    string    `wire:"GroupId"`
	ARN        string    `wire:"Arn"`
	CreateDate time.Time `wire:"CreateDate"`
}

func (s *Service) group(i *fsm.Identity) Group {
	return Group{Path: i.Path, GroupName: i.Name, GroupID: i.ID, ARN: s.IdentityARN(i), CreateDate: instant(i.CreatedAt)}
}

// CreateGroupInput asks for a new group.
type CreateGroupInput struct {
	Path      string `wire:"Path" len:"1..512" pattern:"(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)" default:"/"`
	GroupName string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *CreateGroupInput) Resolve(r *Resolver) error {
	return r.iam("group"+in.Path+in.GroupName, Conditions{})
}

// GroupOutput holds one group.
type GroupOutput struct {
	Group *Group `wire:"Group"`
}

// CreateGroup makes a group without members and permissions.
func (s *Service) CreateGroup(ctx context.Context, c *Call, in *CreateGroupInput) (*GroupOutput, error) {
	i := fsm.Identity{Account: c.Caller.Account, Type: fsm.IdentityGroup, Name: in.GroupName, Path: in.Path, CreatedAt: c.Millis()}
	if err := s.fillIdentity(ctx, c, &i, shape.Opt[string]{}, nil); err != nil {
		return nil, err
	}
	g := s.group(&i)
	out := &GroupOutput{Group: &g}
	repeat, err := s.putIdentity(ctx, c, nil, i, out)
	if err != nil {
		return nil, err
	}
	if repeat {
		return s.CreateGroupAgain(ctx, c, in)
	}
	return out, nil
}

// CreateGroupAgain answers a repeated CreateGroup.
func (s *Service) CreateGroupAgain(_ context.Context, c *Call, _ *CreateGroupInput) (*GroupOutput, error) {
	i, err := s.madeIdentity(c)
	if err != nil {
		return nil, err
	}
	g := s.group(i)
	return &GroupOutput{Group: &g}, nil
}

// GetGroupInput asks for a group and a page of its users.
type GetGroupInput struct {
	GroupName string            `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	Marker    shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems  shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *GetGroupInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

// GetGroupOutput is a group with a page of its users.
type GetGroupOutput struct {
	Group       *Group            `wire:"Group"`
	Users       []User            `wire:"Users"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// GetGroup describes a group and its users.
func (s *Service) GetGroup(_ context.Context, c *Call, in *GetGroupInput) (*GetGroupOutput, error) {
	g, err := identityOf(c, fsm.IdentityGroup, in.GroupName)
	if err != nil {
		return nil, err
	}
	shown := s.group(g)
	out := &GetGroupOutput{Group: &shown, Users: []User{}}
	scope := pageScope{c.Operation, c.Caller.Account, g.ID}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	members := func(yield func(*fsm.Identity) bool) {
		c.State.Identities(g.Account, fsm.IdentityUser, after)(func(u *fsm.Identity) bool {
			return !slices.Contains(u.Groups, g.ID) || yield(u)
		})
	}
	out.Marker, out.IsTruncated = fill(scope, members, page{in.Marker, in.MaxItems}.limit(), func(u *fsm.Identity) string {
		out.Users = append(out.Users, s.user(u))
		return u.Name
	})
	return out, nil
}

// ListGroupsInput asks for a page of groups.
type ListGroupsInput struct {
	PathPrefix string            `wire:"PathPrefix" len:"1..512" pattern:"\\u002F[\\u0021-\\u007F]*" default:"/"`
	Marker     shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems   shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *ListGroupsInput) Resolve(r *Resolver) error {
	return r.iam("group"+in.PathPrefix, Conditions{})
}

// ListGroupsOutput is a page of groups.
type ListGroupsOutput struct {
	Groups      []Group           `wire:"Groups"`
	IsTruncated bool              `wire:"IsTruncated"`
	Marker      shape.Opt[string] `wire:"Marker"`
}

// ListGroups lists the account's groups by name.
func (s *Service) ListGroups(_ context.Context, c *Call, in *ListGroupsInput) (*ListGroupsOutput, error) {
	out := &ListGroupsOutput{Groups: []Group{}}
	var err error
	out.Marker, out.IsTruncated, err = listIdentities(c, fsm.IdentityGroup, in.PathPrefix, page{in.Marker, in.MaxItems}, func(i *fsm.Identity) {
		out.Groups = append(out.Groups, s.group(i))
	})
	return out, err
}

// UpdateGroupInput renames or moves a group.
type UpdateGroupInput struct {
	GroupName    string            `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	NewPath      shape.Opt[string] `wire:"NewPath" len:"1..512" pattern:"(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)"`
	NewGroupName shape.Opt[string] `wire:"NewGroupName" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *UpdateGroupInput) Resolve(r *Resolver) error {
	return r.renamed(fsm.IdentityGroup, in.GroupName, in.NewPath, in.NewGroupName)
}

// UpdateGroup renames or moves a group.
func (s *Service) UpdateGroup(ctx context.Context, c *Call, in *UpdateGroupInput) (*None, error) {
	return s.rename(ctx, c, fsm.IdentityGroup, in.GroupName, in.NewPath, in.NewGroupName)
}

// DeleteGroupInput names a group.
type DeleteGroupInput struct {
	GroupName string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input.
func (in *DeleteGroupInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

// DeleteGroup removes a group without users and policies.
func (s *Service) DeleteGroup(ctx context.Context, c *Call, in *DeleteGroupInput) (*None, error) {
	return s.deleteIdentity(ctx, c, fsm.IdentityGroup, in.GroupName)
}

// GroupMemberInput names a group and a user.
type GroupMemberInput struct {
	GroupName string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
	UserName  string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

// Resolve implements Input. The permission is one on the group.
func (in *GroupMemberInput) Resolve(r *Resolver) error {
	return r.subject(fsm.IdentityGroup, in.GroupName, Conditions{})
}

func (in *GroupMemberInput) both(c *Call) (g, u *fsm.Identity, err error) {
	if g, err = identityOf(c, fsm.IdentityGroup, in.GroupName); err != nil {
		return nil, nil, err
	}
	if u = c.State.IdentityNamed(c.Caller.Account, fsm.IdentityUser, in.UserName); u == nil {
		return nil, nil, noIdentity(fsm.IdentityUser, in.UserName)
	}
	return g, u, nil
}

// AddUserToGroup makes a user a member; a member stays one.
func (s *Service) AddUserToGroup(ctx context.Context, c *Call, in *GroupMemberInput) (*None, error) {
	g, u, err := in.both(c)
	if err != nil {
		return nil, err
	}
	at, member := slices.BinarySearch(u.Groups, g.ID)
	switch {
	case member:
		return &None{}, nil
	case len(u.Groups) >= maxUserGroups:
		return nil, iamfault.LimitExceeded("Cannot exceed quota for GroupsPerUser: %d", maxUserGroups)
	}
	return s.changeIdentity(ctx, c, u, func(n *fsm.Identity) { n.Groups = slices.Insert(slices.Clone(n.Groups), at, g.ID) })
}

// RemoveUserFromGroup ends a membership; who is no member stays none.
func (s *Service) RemoveUserFromGroup(ctx context.Context, c *Call, in *GroupMemberInput) (*None, error) {
	g, u, err := in.both(c)
	if err != nil {
		return nil, err
	}
	at, member := slices.BinarySearch(u.Groups, g.ID)
	if !member {
		return &None{}, nil
	}
	return s.changeIdentity(ctx, c, u, func(n *fsm.Identity) { n.Groups = slices.Delete(slices.Clone(n.Groups), at, at+1) })
}

// ListGroupsForUser lists a user's groups: ten at most, so always on one page.
func (s *Service) ListGroupsForUser(_ context.Context, c *Call, in *PageInput[OfUser]) (*ListGroupsOutput, error) {
	u, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	var groups []Group
	for _, id := range u.Groups {
		if g := c.State.Identity(id); g != nil {
			groups = append(groups, s.group(g))
		}
	}
	out := &ListGroupsOutput{Groups: []Group{}}
	out.Marker, out.IsTruncated, err = slicePage(c, u.ID, in.page(), groups, func(g Group) string { return g.GroupID }, &out.Groups)
	return out, err
}

// slicePage cuts a page out of a short list: those that follow the item that the marker names.
func slicePage[T any](c *Call, filter string, p page, all []T, id func(T) string, to *[]T) (shape.Opt[string], bool, error) {
	scope := pageScope{c.Operation, c.Caller.Account, filter}
	after, err := scope.open(p.marker)
	if err != nil {
		return shape.Opt[string]{}, false, err
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(id(a), id(b)) })
	rest := all
	for len(rest) > 0 && after != "" && id(rest[0]) <= after {
		rest = rest[1:]
	}
	next, more := fill(scope, slices.Values(rest), p.limit(), func(item T) string {
		*to = append(*to, item)
		return id(item)
	})
	return next, more, nil
}
