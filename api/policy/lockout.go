package policy

// CheckLockout tells whether the caller could still change the key policy once the new one is in force (spec 04 LCK-02): nil,
// or [ErrLockout]. The request is that of the running call on the key (CreateKey and ReplicateKey: on the key to be, with
// Resource.Type ResourceKey): its principal, identity policies, boundary, session policies, endpoint and context are used as
// they are; action and resource policy are replaced, and kms:BypassPolicyLockoutSafetyCheck is absent. No grant conveys
// kms:PutKeyPolicy. Whoever sends the bypass does not call this.
func CheckLockout(req *Request, newPolicy *Policy) error {
	check := *req
	check.Action = "kms:PutKeyPolicy"
	check.Resource.Type = ResourceKey
	check.ResourcePolicy = newPolicy
	if req.Context != nil {
		check.Context = withoutBypass{req.Context}
	}
	if d := Decide(&check); d.Allowed() {
		return nil
	}
	return ErrLockout
}

// withoutBypass hides the parameter that the later PutKeyPolicy will not send.
type withoutBypass struct{ Context }

// Lookup hides the bypass and passes on everything else.
func (w withoutBypass) Lookup(k *Key) Values {
	if k.ID == KeyBypassPolicyLockoutSafetyCheck {
		return Absent()
	}
	return w.Context.Lookup(k)
}
