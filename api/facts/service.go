package facts

import (
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/region"
)

// ofService are the condition keys that registered services alone have (spec 05 VIA-02, GLB-05).
func (c *Conditions) ofService(k *policy.Key) policy.Values {
	s := c.Call.Service
	direct := c.Call.Caller.Kind == region.PrincipalService
	switch k.ID {
	case policy.KeyPrincipalIsAWSService:
		return policy.Flag(direct)
	case policy.KeyViaAWSService, policy.KeyGrantIsForAWSResource:
		return policy.Flag(s != nil && s.Via != "")
	}
	if s == nil {
		return policy.Absent()
	}
	name := region.ServicePrincipal(s.Name)
	if direct {
		switch k.ID {
		case policy.KeySourceArn:
			return policy.NonEmpty(s.SourceARN)
		case policy.KeySourceAccount:
			return policy.NonEmpty(s.SourceAccount)
		case policy.KeyPrincipalServiceName:
			return policy.One(name)
		case policy.KeyPrincipalServiceNamesList:
			return policy.Many(c.Call.Caller.ServiceNames)
		}
		return policy.Absent()
	}
	switch k.ID {
	case policy.KeyViaService:
		return policy.One(s.Via)
	case policy.KeyCalledVia:
		return policy.Many([]string{name})
	case policy.KeyCalledViaFirst, policy.KeyCalledViaLast:
		return policy.One(name)
	}
	return policy.Absent()
}
