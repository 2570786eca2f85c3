package facts

import (
	"fmt"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/fault"
)

// Subject is a caller as the policy engine sees it: its principal and its compiled policies. It is immutable.
type Subject struct {
	Principal policy.Principal
	// Identity has the policies of the caller's standing, in their order.
	Identity []*policy.Policy
	Boundary *policy.Policy
	Session  []*policy.Policy
}

// SubjectOf compiles what decides about a caller, once per caller.
func SubjectOf(c *region.Caller) (*Subject, error) {
	if s, ok := c.Engine.Load().(*Subject); ok {
		return s, nil
	}
	s := &Subject{Principal: policy.Principal{ARN: c.ARN, Account: c.Account}}
	p := &s.Principal
	switch c.Kind {
	case region.PrincipalRoot:
		p.Kind = policy.Root
	case region.PrincipalUser:
		p.Kind = policy.User
	case region.PrincipalRoleSession:
		p.Kind = policy.RoleSession
	case region.PrincipalFederatedUser:
		p.Kind = policy.FederatedUser
	case region.PrincipalService:
		p.Kind, p.Account, p.ServiceNames = policy.Service, "", c.ServiceNames
	case region.PrincipalWebIdentity:
		p.Kind, p.Account = policy.WebIdentity, ""
	}
	if c.Standing != nil {
		if err := s.stand(c); err != nil {
			return nil, fault.Internal(err)
		}
	}
	c.Engine.Store(s)
	return s, nil
}

// stand adds the policies of a user or role and its session.
func (s *Subject) stand(c *region.Caller) (err error) {
	d := c.Standing
	s.Principal.IdentityID, s.Principal.IdentityARN = d.Identity.ID, d.IdentityARN
	for i := range d.Policies {
		if s.Identity, err = compiled(s.Identity, &d.Policies[i], policy.IdentityPolicy); err != nil {
			return err
		}
	}
	if d.Boundary != nil {
		one, err := compiled(nil, d.Boundary, policy.Boundary)
		if err != nil {
			return err
		}
		s.Boundary = one[0]
	}
	for i := range d.Session {
		if s.Session, err = compiled(s.Session, &d.Session[i], policy.SessionPolicy); err != nil {
			return err
		}
	}
	return nil
}

// nothing is a policy that allows nothing, in the place of one that is not there: a boundary that is gone must not mean none.
const nothing = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"none:None","Resource":"*"}}`

func compiled(list []*policy.Policy, p *region.StandingPolicy, kind policy.Kind) ([]*policy.Policy, error) {
	document := p.Document
	if document == "" {
		document = nothing
	}
	doc, err := policy.ParseStored(document, kind)
	if err != nil {
		return nil, fmt.Errorf("the stored policy %s does not compile: %w", p.Name, err)
	}
	return append(list, doc), nil
}
