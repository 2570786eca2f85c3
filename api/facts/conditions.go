package facts

import (
	"cmp"
	"strconv"
	"time"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// Conditions yields the condition keys of one target of a call (spec 05 sections 5 and 6), computed when a policy asks for them.
// Which keys exist for which operation is the permissions reference's business, not this type's.
type Conditions struct {
	Service *region.Service
	Call    *region.Call
	Target  *region.Target
	// Connection answers the keys about what the request came over; nil if it came over nothing, in a simulation.
	Connection policy.Context
	// From is the region that has received the request, if this one decides it as the home of identities; "" if that is this one.
	From string
}

// Lookup implements policy.Context.
func (c *Conditions) Lookup(k *policy.Key) policy.Values {
	if v, ok := c.ofRequest(k); ok {
		return v
	}
	if v, ok := c.ofIdentity(k); ok {
		return v
	}
	if v, ok := c.ofKey(k); ok {
		return v
	}
	return c.global(k)
}

// ofRequest are the keys whose values are members of the request.
func (c *Conditions) ofRequest(k *policy.Key) (policy.Values, bool) {
	cond := &c.Target.Conditions
	switch k.ID {
	case policy.KeyBypassPolicyLockoutSafetyCheck:
		return optionalFlag(cond.BypassLockout), true
	case policy.KeyDataKeyPairSpec:
		return policy.NonEmpty(cond.DataKeyPairSpec), true
	case policy.KeyEncryptionAlgorithm:
		return policy.NonEmpty(cond.EncryptionAlgorithm), true
	case policy.KeyEncryptionContext:
		return policy.Lookup((*ContextPairs)(&cond.EncryptionContext), k.Variable), true
	case policy.KeyEncryptionContextKeys:
		return policy.PairKeys((*ContextPairs)(&cond.EncryptionContext)), true
	case policy.KeyExpirationModel:
		return policy.NonEmpty(cond.ExpirationModel), true
	case policy.KeyGrantConstraintType, policy.KeyGrantOperations, policy.KeyGranteePrincipal, policy.KeyRetiringPrincipal:
		return ofGrant(k, c.Target.Grant), true
	case policy.KeyKeyAgreementAlgorithm:
		return policy.NonEmpty(cond.KeyAgreementAlgorithm), true
	case policy.KeyMacAlgorithm:
		return policy.NonEmpty(cond.MacAlgorithm), true
	case policy.KeyMessageType:
		return policy.NonEmpty(cond.MessageType), true
	case policy.KeyReEncryptOnSameKey:
		return optionalFlag(cond.ReEncryptOnSameKey), true
	case policy.KeyReplicaRegion:
		return policy.NonEmpty(cond.ReplicaRegion), true
	case policy.KeyPrimaryRegion:
		return policy.NonEmpty(cond.PrimaryRegion), true
	case policy.KeyRequestAlias:
		return policy.NonEmpty(c.Target.RequestAlias), true
	case policy.KeyRotationPeriodInDays:
		return number(int64(cond.RotationPeriodDays)), true
	case policy.KeyScheduleKeyDeletionPendingWindowInDays:
		return number(int64(cond.PendingWindowDays)), true
	case policy.KeySigningAlgorithm:
		return policy.NonEmpty(cond.SigningAlgorithm), true
	case policy.KeyValidTo:
		if cond.ValidTo.IsZero() {
			return policy.Absent(), true
		}
		return policy.One(strconv.FormatInt(cond.ValidTo.Unix(), 10)), true
	case policy.KeyWrappingAlgorithm:
		return policy.NonEmpty(cond.WrappingAlgorithm), true
	case policy.KeyWrappingKeySpec:
		return policy.NonEmpty(cond.WrappingKeySpec), true
	case policy.KeyRequestTag:
		return policy.Lookup(tagPairs(cond.RequestTags), k.Variable), true
	case policy.KeyTagKeys:
		if len(cond.TagKeys) > 0 {
			return policy.Many(cond.TagKeys), true
		}
		return policy.PairKeys(tagPairs(cond.RequestTags)), true
	}
	return policy.Values{}, false
}

// ofGrant are the keys whose values are properties of the grant that is about to be made, or to be retired (spec 05 KCK-08).
func ofGrant(k *policy.Key, g *fsm.Grant) policy.Values {
	switch {
	case g == nil:
	case k.ID == policy.KeyGrantOperations:
		return policy.Many(region.GrantOpNames[string](g.Operations))
	case k.ID == policy.KeyGranteePrincipal:
		return policy.One(g.Grantee.ARN)
	case k.ID == policy.KeyRetiringPrincipal && g.Retiring != nil:
		return policy.One(g.Retiring.ARN)
	case k.ID == policy.KeyGrantConstraintType && g.Constraint != nil:
		return policy.One(constraintName(g.Constraint.Type))
	}
	return policy.Absent()
}

// constraintName is a value of kms:GrantConstraintType.
func constraintName(t fsm.ConstraintType) string {
	if t == fsm.ConstraintEquals {
		return policy.EncryptionContextEquals.String()
	}
	return policy.EncryptionContextSubset.String()
}

// ofKey are the keys whose values are properties of the KMS key, or, for CreateKey, of the key that is asked for.
func (c *Conditions) ofKey(k *policy.Key) (policy.Values, bool) {
	spec, usage, origin, multi := c.Target.Conditions.KeySpec, c.Target.Conditions.KeyUsage, c.Target.Conditions.KeyOrigin, c.Target.Conditions.MultiRegion
	if key := c.Target.Key; key != nil {
		spec, usage, origin, multi = key.Spec, key.Usage, key.Origin, shape.Some(key.MultiRegion)
	}
	switch k.ID {
	case policy.KeyKeySpec:
		return policy.NonEmpty(spec), true
	case policy.KeyKeyUsage:
		return policy.NonEmpty(usage), true
	case policy.KeyKeyOrigin:
		return policy.NonEmpty(origin), true
	case policy.KeyMultiRegion:
		return optionalFlag(multi), true
	case policy.KeyMultiRegionKeyType:
		if c.Target.Key.Replica() {
			return policy.One(string(shape.MultiRegionKeyReplica)), true
		}
		if multi.Value {
			return policy.One(string(shape.MultiRegionKeyPrimary)), true
		}
		return policy.Absent(), true
	case policy.KeyResourceAliases:
		return c.aliases(), true
	case policy.KeyTrailingDaysWithoutKeyUsage:
		if c.Target.Key == nil {
			return policy.Absent(), true
		}
		days := c.Service.TrailingDays(c.Call.State, c.Target.Key, c.Call.Now)
		return policy.One(strconv.FormatInt(days, 10)), true
	case policy.KeyResourceTag:
		if c.Target.Key == nil {
			return policy.Absent(), true
		}
		return policy.Lookup(tagPairs(c.Target.Key.Tags), k.Variable), true
	}
	return policy.Values{}, false
}

// aliases are the names of all aliases of the key. Above the quota they prove nothing (spec 05 KCK-13).
func (c *Conditions) aliases() policy.Values {
	key := c.Target.Key
	if key == nil {
		return policy.Absent()
	}
	st := c.Call.State
	if key.AliasCount > st.Quotas().AliasesPerKey {
		return policy.Void()
	}
	names := make([]string, 0, key.AliasCount)
	for a := range st.AliasesOf(key.Account, key.ID, "") {
		names = append(names, a.Name)
	}
	return policy.Many(names)
}

// global are the keys of every request.
func (c *Conditions) global(k *policy.Key) policy.Values {
	caller := c.Call.Caller
	switch k.ID {
	case policy.KeyCallerAccount, policy.KeyPrincipalAccount, policy.KeyPrincipalType, policy.KeyUserID, policy.KeyUsername:
		return ofCaller(k, caller)
	case policy.KeyPrincipalIsAWSService, policy.KeyViaAWSService, policy.KeyGrantIsForAWSResource, policy.KeyViaService, policy.KeyCalledVia,
		policy.KeyCalledViaFirst, policy.KeyCalledViaLast, policy.KeySourceArn, policy.KeySourceAccount, policy.KeyPrincipalServiceName,
		policy.KeyPrincipalServiceNamesList:
		return c.ofService(k)
	case policy.KeyCurrentTime:
		return policy.One(c.Call.Now.UTC().Format(time.RFC3339))
	case policy.KeyEpochTime:
		return policy.One(strconv.FormatInt(c.Call.Now.Unix(), 10))
	case policy.KeyRequestedRegion:
		return policy.One(cmp.Or(c.From, c.Service.Region()))
	case policy.KeyResourceAccount:
		return policy.NonEmpty(c.Target.Account)
	}
	if c.Connection == nil {
		return policy.Absent()
	}
	return c.Connection.Lookup(k)
}

// ofCaller are the keys about who calls. The bearer of a provider's token is nobody of any account.
func ofCaller(k *policy.Key, caller *region.Caller) policy.Values {
	switch {
	case caller.Web != nil:
		return policy.Absent()
	case caller.Kind == region.PrincipalService && (k.ID == policy.KeyCallerAccount || k.ID == policy.KeyPrincipalAccount || k.ID == policy.KeyUsername):
		return policy.Absent()
	case k.ID == policy.KeyPrincipalType:
		return policy.One(principalType(caller.Kind))
	case k.ID == policy.KeyUserID:
		return policy.NonEmpty(caller.PrincipalID)
	case k.ID == policy.KeyUsername:
		return policy.NonEmpty(caller.UserName)
	}
	return policy.NonEmpty(caller.Account)
}

func principalType(k region.PrincipalKind) string {
	switch k {
	case region.PrincipalRoot:
		return "Account"
	case region.PrincipalUser:
		return "User"
	case region.PrincipalRoleSession:
		return "AssumedRole"
	case region.PrincipalFederatedUser:
		return "FederatedUser"
	}
	return "Service"
}

func optionalFlag(v shape.Opt[bool]) policy.Values {
	if !v.Set {
		return policy.Absent()
	}
	return policy.Flag(v.Value)
}

func number(n int64) policy.Values {
	if n == 0 {
		return policy.Absent()
	}
	return policy.One(strconv.FormatInt(n, 10))
}

// ContextPairs are an encryption context as the engine reads it.
type ContextPairs shape.EncryptionContext

// Len implements policy.Pairs.
func (p *ContextPairs) Len() int { return (*shape.EncryptionContext)(p).Len() }

// Pair implements policy.Pairs.
func (p *ContextPairs) Pair(i int) (string, string) {
	pair := (*shape.EncryptionContext)(p).At(i)
	return pair.Key, pair.Value
}

// tagPairs are tags as the engine reads them.
type tagPairs []fsm.Tag

// Len implements policy.Pairs.
func (p tagPairs) Len() int { return len(p) }

// Pair implements policy.Pairs.
func (p tagPairs) Pair(i int) (string, string) { return p[i].Key, p[i].Value }
