package api

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/region/shape"
)

// Names of request quotas that operations share. A quota of one operation is called "<operation> request rate", one of data key
// pairs "GenerateDataKeyPair (<spec>) request rate".
const (
	quotaSymmetric = "Cryptographic operations (symmetric) request rate"
	quotaRSA       = "Cryptographic operations (RSA) request rate"
	quotaECC       = "Cryptographic operations (ECC and SM2) request rate"
	quotaMLDSA     = "Cryptographic operations (ML-DSA) request rate"
	quotaHotKey    = "State changes of one KMS key request rate"
)

const rateSuffix = " request rate"

// QuotaProfile holds request quotas by their names. A quota that it does not have is no limit.
type QuotaProfile map[string]throttle.Limit

// quotaRates are the documented rates of single operations, in requests per second (spec 03 B2).
var quotaRates = []struct {
	rate       float64
	operations []string
}{
	{0.25, []string{"GetParametersForImport"}},
	{5, []string{"CancelKeyDeletion", "ConnectCustomKeyStore", "CreateAlias", "CreateCustomKeyStore", "CreateKey", "DeleteCustomKeyStore",
		"DeleteImportedKeyMaterial", "DescribeCustomKeyStores", "DisableKey", "DisableKeyRotation", "DisconnectCustomKeyStore", "EnableKey",
		"ImportKeyMaterial", "ReplicateKey", "RotateKeyOnDemand", "UntagResource", "UpdateAlias", "UpdateCustomKeyStore",
		"UpdateKeyDescription", "UpdatePrimaryRegion"}},
	{10, []string{"TagResource"}},
	{15, []string{"DeleteAlias", "EnableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion"}},
	{30, []string{"RetireGrant", "RevokeGrant"}},
	{50, []string{"CreateGrant"}},
	{100, []string{"GetKeyLastUsage", "ListGrants", "ListKeyPolicies", "ListKeyRotations", "ListRetirableGrants"}},
	{500, []string{"ListAliases", "ListKeys"}},
	{1000, []string{"GetKeyPolicy", "GetKeyRotationStatus"}},
	{2000, []string{"DescribeKey", "GetPublicKey", "ListResourceTags"}},
}

// pairRates are the rates of data key pairs by key pair spec.
var pairRates = map[shape.DataKeyPairSpec]float64{
	"ECC_NIST_P256": 100, "ECC_NIST_P384": 100, "ECC_NIST_P521": 100, "ECC_SECG_P256K1": 100, "ECC_NIST_EDWARDS25519": 100,
	"RSA_2048": 1, "RSA_3072": 0.5, "RSA_4096": 0.1, "SM2": 25,
}

// symmetricRates are the regions whose shared quota for symmetric keys is not the usual 5,500.
var symmetricRates = map[string]float64{
	"us-east-2": 10_000, "ap-southeast-1": 10_000, "ap-southeast-2": 10_000, "ap-northeast-1": 10_000, "eu-central-1": 10_000, "eu-west-2": 10_000,
	"us-east-1": 50_000, "us-west-2": 50_000, "eu-west-1": 50_000,
}

// AWSQuotas are the documented request quotas of a region.
func AWSQuotas(region string) QuotaProfile {
	p := make(QuotaProfile)
	set := func(name string, rate float64) {
		l, err := throttle.PerSecond(rate)
		if err != nil {
			panic(fmt.Sprintf("api: quota %q: %v", name, err))
		}
		p[name] = l
	}
	for _, r := range quotaRates {
		for _, op := range r.operations {
			set(op+rateSuffix, r.rate)
		}
	}
	for spec, rate := range pairRates {
		set(pairQuota(string(spec)), rate)
	}
	symmetric, ok := symmetricRates[region]
	if !ok {
		symmetric = 5500
	}
	set(quotaSymmetric, symmetric)
	for _, name := range []string{quotaRSA, quotaECC, quotaMLDSA} {
		set(name, 1000)
	}
	// Three a second, in bursts of five (spec 03 THR-03).
	p[quotaHotKey] = throttle.Limit{Count: 5, Interval: 5 * time.Second / 3}
	return p
}

// With is the profile with other rates in requests per second; 0 takes a quota away.
func (p QuotaProfile) With(rates map[string]float64) (QuotaProfile, error) {
	known := AWSQuotas("")
	next := maps.Clone(p)
	if next == nil {
		next = make(QuotaProfile)
	}
	for name, rate := range rates {
		if _, ok := known[name]; !ok {
			return nil, fmt.Errorf("there is no quota %q; one is called %q, for example", name, "CreateKey"+rateSuffix)
		}
		l, err := throttle.PerSecond(rate)
		if err != nil {
			return nil, fmt.Errorf("quota %q: %w", name, err)
		}
		if delete(next, name); rate > 0 {
			next[name] = l
		}
	}
	return next, nil
}

// Quotas are the request quotas of a region's accounts. It is immutable.
type Quotas struct {
	// Default is for accounts without a profile of their own; nil has no limits.
	Default QuotaProfile
	// Accounts are the profiles by account.
	Accounts map[string]QuotaProfile
}

// Limit is the limit of what a key counts, as the leader wants to know it.
func (q *Quotas) Limit(k throttle.Key) throttle.Limit { return q.of(accountOfScope(k.Scope))[k.Quota] }

func (q *Quotas) of(account string) QuotaProfile {
	if p, ok := q.Accounts[account]; ok {
		return p
	}
	return q.Default
}

// accountOfScope is the account that a scope belongs to: an account itself, or the owner of a key.
func accountOfScope(scope string) string {
	if parts := strings.SplitN(scope, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return scope
}

func pairQuota(spec string) string { return "GenerateDataKeyPair (" + spec + ")" + rateSuffix }

// sharedQuota is the quota of a cryptographic operation on a key of a spec.
func sharedQuota(spec string) string {
	switch {
	case strings.HasPrefix(spec, "RSA_"):
		return quotaRSA
	case strings.HasPrefix(spec, "ECC_"), spec == "SM2":
		return quotaECC
	case strings.HasPrefix(spec, "ML_DSA_"):
		return quotaMLDSA
	}
	return quotaSymmetric
}

// charging says how an operation counts.
type charging struct {
	// own is the quota of the operation itself, charged right after authentication; "" if it has none.
	own string
	// byKey charges the shared quota of each key that the call uses, byPair that of the key pair spec. Both wait for the decision.
	byKey, byPair bool
	// changesKey charges the quota of changes of one key.
	changesKey bool
}

// chargings tells of every operation of the model how it counts (spec 03 B2, B3).
var chargings = func() map[string]charging {
	m := make(map[string]charging)
	for _, r := range quotaRates {
		for _, op := range r.operations {
			m[op] = charging{own: op + rateSuffix}
		}
	}
	for _, op := range []string{"Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateMac",
		"ReEncrypt", "Sign", "Verify", "VerifyMac"} {
		m[op] = charging{byKey: true}
	}
	m["GenerateRandom"] = charging{own: quotaSymmetric}
	m["GenerateDataKeyPair"] = charging{byPair: true}
	m["GenerateDataKeyPairWithoutPlaintext"] = charging{byPair: true}
	for _, op := range []string{"CancelKeyDeletion", "DeleteImportedKeyMaterial", "DisableKey", "DisableKeyRotation", "EnableKey",
		"EnableKeyRotation", "ImportKeyMaterial", "PutKeyPolicy", "RotateKeyOnDemand", "ScheduleKeyDeletion", "TagResource", "UntagResource",
		"UpdateKeyDescription", "UpdatePrimaryRegion"} {
		c := m[op]
		c.changesKey = true
		m[op] = c
	}
	return m
}()

// Charged tells whether calls of an operation count against some quota.
func Charged(operation string) bool {
	c, ok := chargings[operation]
	return ok && (c.own != "" || c.byKey || c.byPair)
}
