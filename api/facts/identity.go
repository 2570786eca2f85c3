package facts

import (
	"strings"
	"time"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
)

// ofIdentity are the keys about the caller's identity and session, and those of IAM and STS requests (spec 05 GLB-01).
func (c *Conditions) ofIdentity(k *policy.Key) (policy.Values, bool) {
	caller := c.Call.Caller
	if v, ok := c.ofProvider(k); ok {
		return v, true
	}
	switch k.ID {
	case policy.KeyPrincipalArn:
		switch {
		case caller.Kind == region.PrincipalService || caller.Web != nil:
			return policy.Absent(), true
		case caller.Kind == region.PrincipalRoleSession:
			return policy.One(caller.Standing.IdentityARN), true
		}
		return policy.One(caller.ARN), true
	case policy.KeyPrincipalTag:
		return policy.Lookup(tagPairs(principalTags(caller)), k.Variable), true
	case policy.KeyResourceTag:
		if c.Target.Key == nil {
			return policy.Lookup(c.resourceTags(), k.Variable), true
		}
	case policy.KeyTokenIssueTime, policy.KeySourceIdentity, policy.KeyMultiFactorAuthPresent:
		return ofSession(k, caller.Session), true
	}
	if c.Target.Conditions.IAM == nil {
		return policy.Values{}, false
	}
	return c.ofIAM(k, c.Target.Conditions.IAM)
}

// ofIAM are the keys whose values are members of an IAM or STS request.
func (c *Conditions) ofIAM(k *policy.Key, in *region.IAMConditions) (policy.Values, bool) {
	switch k.ID {
	case policy.KeySTSExternalID:
		return policy.NonEmpty(in.ExternalID), true
	case policy.KeySTSRoleSessionName:
		return policy.NonEmpty(in.RoleSessionName), true
	case policy.KeySTSTransitiveTagKeys:
		return policy.Many(in.TransitiveTagKeys), true
	case policy.KeyUnknown:
	default:
		return policy.Values{}, false
	}
	switch k.Name {
	case "iam:policyarn":
		return policy.NonEmpty(in.PolicyARN), true
	case "iam:permissionsboundary":
		return policy.NonEmpty(in.PermissionsBoundary), true
	case "sts:sourceidentity":
		return policy.NonEmpty(in.SourceIdentity), true
	}
	if tag, ok := strings.CutPrefix(k.Name, "iam:resourcetag/"); ok {
		return policy.Lookup(c.resourceTags(), tag), true
	}
	return policy.Values{}, false
}

// resourceTags are the tags of the user, role or managed policy that the call is about.
func (c *Conditions) resourceTags() tagPairs {
	switch {
	case c.Target.Identity != nil:
		return tagPairs(c.Target.Identity.Tags)
	case c.Target.Policy != nil:
		return tagPairs(c.Target.Policy.Tags)
	case c.Target.Provider != nil:
		return tagPairs(c.Target.Provider.Tags)
	}
	return nil
}

func ofSession(k *policy.Key, s *region.Session) policy.Values {
	switch {
	case s == nil:
		return policy.Absent()
	case k.ID == policy.KeyTokenIssueTime:
		return policy.One(s.Issued.UTC().Format(time.RFC3339))
	case k.ID == policy.KeySourceIdentity:
		return policy.NonEmpty(s.SourceIdentity)
	}
	return policy.Flag(false) // aws:MultiFactorAuthPresent: no session here has a second factor
}

// principalTags are the tags of the caller's user or role, with its session's over them.
func principalTags(c *region.Caller) []fsm.Tag {
	if c.Standing == nil {
		return c.Session.PrincipalTags(nil)
	}
	return c.Session.PrincipalTags(c.Standing.Identity)
}
