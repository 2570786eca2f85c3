package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// policyName is the one name that a key policy has (spec 04 KP-01).
const policyName = "default"

// GetKeyPolicyInput names a key policy.
type GetKeyPolicyInput struct {
	KeyID      string `wire:"KeyId,required" is:"KeyIdType"`
	PolicyName string `wire:"PolicyName" is:"PolicyNameType" default:"default"`
}

// Resolve implements Input.
func (in *GetKeyPolicyInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// GetKeyPolicyOutput is a key policy.
type GetKeyPolicyOutput struct {
	Policy     string `wire:"Policy"`
	PolicyName string `wire:"PolicyName"`
}

// GetKeyPolicy returns the key policy as it was put, but for principals that are gone or renamed (spec 10 GKY, spec 04 KP-11).
func (s *Service) GetKeyPolicy(_ context.Context, c *Call, in *GetKeyPolicyInput) (*GetKeyPolicyOutput, error) {
	if in.PolicyName != policyName {
		return nil, fault.NoSuchPolicy()
	}
	k := c.Key()
	return &GetKeyPolicyOutput{Policy: c.Edge.ShowPolicy(c.State, k.Policy, k.PolicyPrincipals), PolicyName: policyName}, nil
}

// PutKeyPolicyInput replaces a key policy.
type PutKeyPolicyInput struct {
	KeyID                          string          `wire:"KeyId,required" is:"KeyIdType"`
	PolicyName                     string          `wire:"PolicyName" is:"PolicyNameType" default:"default"`
	Policy                         string          `wire:"Policy,required" is:"PolicyType"`
	BypassPolicyLockoutSafetyCheck shape.Opt[bool] `wire:"BypassPolicyLockoutSafetyCheck"`
}

// Resolve implements Input.
func (in *PutKeyPolicyInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{BypassLockout: in.BypassPolicyLockoutSafetyCheck})
}

// PutKeyPolicy replaces the whole key policy, after the checks of spec 04 KP and LCK.
func (s *Service) PutKeyPolicy(ctx context.Context, c *Call, in *PutKeyPolicyInput) (*None, error) {
	if in.PolicyName != policyName {
		return nil, fault.Unsupported()
	}
	next := *c.Key()
	next.Policy = in.Policy
	if err := c.Edge.CheckKeyPolicy(ctx, c, &next, in.Policy, in.BypassPolicyLockoutSafetyCheck.Or(false)); err != nil {
		return nil, err
	}
	return s.change(ctx, c, &fsm.PutKeyPolicy{Key: keyRef(c.Key()), Policy: in.Policy, Principals: next.PolicyPrincipals})
}

// ListKeyPoliciesInput asks for the names of a key's policies.
type ListKeyPoliciesInput struct {
	KeyID  string            `wire:"KeyId,required" is:"KeyIdType"`
	Limit  shape.Opt[int32]  `wire:"Limit" is:"LimitType"`
	Marker shape.Opt[string] `wire:"Marker" is:"MarkerType"`
}

// Resolve implements Input.
func (in *ListKeyPoliciesInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// ListKeyPoliciesOutput holds the one name there is.
type ListKeyPoliciesOutput struct {
	PolicyNames []string          `wire:"PolicyNames"`
	NextMarker  shape.Opt[string] `wire:"NextMarker"`
	Truncated   bool              `wire:"Truncated"`
}

// ListKeyPolicies always answers the one policy name (spec 10 LKP). No marker was ever given out, so none is valid.
func (s *Service) ListKeyPolicies(_ context.Context, _ *Call, in *ListKeyPoliciesInput) (*ListKeyPoliciesOutput, error) {
	if in.Marker.Set {
		return nil, fault.InvalidMarker()
	}
	return &ListKeyPoliciesOutput{PolicyNames: []string{policyName}}, nil
}

// Recorded is the input with the effective default that the audit record shows (spec 03 AUD-26).
func (in *PutKeyPolicyInput) Recorded() Input {
	full := *in
	full.BypassPolicyLockoutSafetyCheck = shape.Some(in.BypassPolicyLockoutSafetyCheck.Or(false))
	return &full
}

// DefaultKeyPolicy is the key policy of keys that are created without one: it lets the account's root user and, through it,
// identity policies decide (spec 01 CRE-07, spec 04 KPD-01).
func DefaultKeyPolicy(partition, account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + arn.Root(partition, account) + `"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}
