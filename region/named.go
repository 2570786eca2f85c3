package region

import (
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// Operations that users, groups and roles have alike are written once, for a type parameter that says whom they are about: what differs on
// the wire is the member with the name, and how long that may be.

// Named is the member of an input or output that names a user, group or role.
type Named[N any] interface {
	OfUser | OfGroup | OfRole
	naming
	// named is the member for another name.
	named(name string) N
}

// naming is a Named of whatever type.
type naming interface {
	identity() (of fsm.IdentityType, name string)
}

// OfUser names a user.
type OfUser struct {
	UserName string `wire:"UserName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

func (n OfUser) identity() (fsm.IdentityType, string) { return fsm.IdentityUser, n.UserName }
func (OfUser) named(name string) OfUser               { return OfUser{name} }

// OfGroup names a group.
type OfGroup struct {
	GroupName string `wire:"GroupName,required" len:"1..128" pattern:"[\\w+=,.@-]+"`
}

func (n OfGroup) identity() (fsm.IdentityType, string) { return fsm.IdentityGroup, n.GroupName }
func (OfGroup) named(name string) OfGroup              { return OfGroup{name} }

// OfRole names a role.
type OfRole struct {
	RoleName string `wire:"RoleName,required" len:"1..64" pattern:"[\\w+=,.@-]+"`
}

func (n OfRole) identity() (fsm.IdentityType, string) { return fsm.IdentityRole, n.RoleName }
func (OfRole) named(name string) OfRole               { return OfRole{name} }

// of adds the identity that an input names as a target, as subject does.
func (r *Resolver) of(n naming, cond Conditions) error {
	of, name := n.identity()
	return r.subject(of, name, cond)
}

// find is the identity that the call is about, or the error that it does not exist.
func find(c *Call, n naming) (*fsm.Identity, error) {
	of, name := n.identity()
	return identityOf(c, of, name)
}

// PageInput asks for a page of something of a user, group or role.
type PageInput[N Named[N]] struct {
	Of       N                 `wire:",inline"`
	Marker   shape.Opt[string] `wire:"Marker" len:"1..1024"`
	MaxItems shape.Opt[int32]  `wire:"MaxItems" range:"1..1000"`
}

// Resolve implements Input.
func (in *PageInput[N]) Resolve(r *Resolver) error { return r.of(in.Of, Conditions{}) }

func (in *PageInput[N]) page() page { return page{in.Marker, in.MaxItems} }
