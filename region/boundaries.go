package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/iamfault"
)

// PutBoundaryInput caps a user or role.
type PutBoundaryInput[N Named[N]] struct {
	Of                  N      `wire:",inline"`
	PermissionsBoundary string `wire:"PermissionsBoundary,required" len:"20..2048"`
}

// Resolve implements Input.
func (in *PutBoundaryInput[N]) Resolve(r *Resolver) error {
	return r.of(in.Of, boundaryConditions(in.PermissionsBoundary))
}

// PutBoundary caps a user or role by a managed policy (spec 04 IDP-10).
func PutBoundary[N Named[N]](s *Service, ctx context.Context, c *Call, in *PutBoundaryInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	ref, err := s.attachable(c, in.PermissionsBoundary)
	if err != nil {
		return nil, err
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Boundary = ref })
}

// DeleteBoundaryInput names a user or role whose boundary is to end.
type DeleteBoundaryInput[N Named[N]] struct {
	Of N `wire:",inline"`
}

// Resolve implements Input: the boundary that is in force counts.
func (in *DeleteBoundaryInput[N]) Resolve(r *Resolver) error {
	of, name := in.Of.identity()
	cond := Conditions{}
	if i := r.Call.State.IdentityNamed(r.Call.Caller.Account, of, name); i != nil && i.Boundary != "" {
		cond = boundaryConditions(r.svc.policyName(r.Call.State, i.Boundary))
	}
	return r.of(in.Of, cond)
}

// DeleteBoundary ends the cap of a user or role.
func DeleteBoundary[N Named[N]](s *Service, ctx context.Context, c *Call, in *DeleteBoundaryInput[N]) (*None, error) {
	i, err := find(c, in.Of)
	if err != nil {
		return nil, err
	}
	if i.Boundary == "" {
		return nil, iamfault.NoSuchEntity("%s %s does not have a permissions boundary.", identityKinds[i.Type].title, i.Name)
	}
	return s.changeIdentity(ctx, c, i, func(n *fsm.Identity) { n.Boundary = "" })
}

// boundaryConditions are those of an operation that sets a boundary.
func boundaryConditions(policy string) Conditions {
	return Conditions{IAM: &IAMConditions{PermissionsBoundary: policy}}
}
