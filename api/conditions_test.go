package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// conditionCase is a condition key as a call shows it: the condition with the right value lets the call through, the one with the
// wrong value does not, and in a Deny it is the other way round.
type conditionCase struct {
	operator, key string
	right, wrong  string
	call          func(*login) error
}

// TestConditionKeys takes every condition key that this service fills (spec 05 sections 5 and 6) through the door: an Allow and a Deny
// of each, as the policy of a user, decided on real calls. That a call is authorized shows in that it is not refused for want of a
// permission; what it does then is not asked.
func TestConditionKeys(t *testing.T) {
	l := newGrantLab(t)
	l.newUser(owner, "other", "")
	u := l.newUser(owner, "cara", "")
	must(l.root(owner).iam.TagUser(t.Context(), &iam.TagUserInput{UserName: aws.String("cara"), Tags: tag("team", "red")}))(t)
	l.check(u, l.conditionsOfCallers())
	l.check(u, l.conditionsOfKeys())
	l.check(u, l.conditionsOfRequests())
	l.check(u, l.conditionsOfGrants())
}

// check puts each condition into the user's policy and calls.
func (l *grantLab) check(u *login, cases []conditionCase) {
	l.t.Helper()
	policy := func(effect, value string, c *conditionCase) string {
		condition := `"Condition":{"` + c.operator + `":{"` + c.key + `":"` + value + `"}}`
		doc := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"*","Resource":"*",` + condition + `}`
		if effect == "Deny" {
			doc += `,{"Effect":"Allow","Action":"*","Resource":"*"}`
		}
		return doc + "]}"
	}
	for _, c := range cases {
		for _, s := range []struct {
			effect, value string
			allowed       bool
		}{{"Allow", c.right, true}, {"Allow", c.wrong, false}, {"Deny", c.right, false}, {"Deny", c.wrong, true}} {
			l.putUserPolicy(owner, "cara", policy(s.effect, s.value, &c))
			err := c.call(u)
			if denied := strings.HasPrefix(failure(err), "AccessDeniedException"); denied == s.allowed {
				l.t.Errorf("%s if %s %s is %s: %v", s.effect, c.operator, c.key, s.value, err)
			}
		}
	}
}

// conditionsOfCallers are the keys about who calls, when and from where.
func (l *grantLab) conditionsOfCallers() []conditionCase {
	list := func(u *login) error { return second(u.kms.ListKeys(l.t.Context(), nil)) }
	with := func(name, value string) func(*login) error {
		return func(u *login) error {
			return second(u.kms.ListKeys(l.t.Context(), nil, kms.WithAPIOptions(smithyhttp.AddHeaderValue(name, value))))
		}
	}
	id := *must(l.root(owner).iam.GetUser(l.t.Context(), &iam.GetUserInput{UserName: aws.String("cara")}))(l.t).User.UserId
	role := l.newRole(owner, "conditions", rootOf(owner), allKMS)
	tomorrow, yesterday := time.Now().Add(24*time.Hour).UTC(), time.Now().Add(-24*time.Hour).UTC()
	return []conditionCase{
		{"ArnEquals", "aws:PrincipalArn", userARN("cara"), userARN("other"), list},
		{"StringEquals", "aws:PrincipalAccount", owner, partner, list},
		{"StringEquals", "aws:PrincipalType", "User", "AssumedRole", list},
		{"StringEquals", "aws:userid", id, "AIDAOTHER", list},
		{"StringEquals", "aws:username", "cara", "other", list},
		{"StringEquals", "aws:PrincipalTag/team", "red", "blue", list},
		{"Bool", "aws:PrincipalIsAWSService", "false", "true", list},
		{"IpAddress", "aws:SourceIp", "127.0.0.0/8", "192.0.2.0/24", list},
		{"DateLessThan", "aws:CurrentTime", tomorrow.Format(time.RFC3339), yesterday.Format(time.RFC3339), list},
		{"DateGreaterThan", "aws:EpochTime", yesterday.Format(time.RFC3339), tomorrow.Format(time.RFC3339), list},
		{"NumericGreaterThan", "aws:EpochTime", "1700000000", "99999999999", list},
		{"StringEquals", "aws:RequestedRegion", "us-east-1", "us-west-2", list},
		{"Bool", "aws:SecureTransport", "false", "true", list},
		{"Bool", "aws:ViaAWSService", "false", "true", list},
		{"StringLike", "aws:UserAgent", "aws-sdk-go*", "curl*", list},
		{"StringEquals", "aws:Referer", "https://a.example", "https://b.example", with("Referer", "https://a.example")},
		{"Null", "aws:TokenIssueTime", "true", "false", list},
		{"Null", "aws:MultiFactorAuthPresent", "true", "false", list},
		{"Null", "aws:SourceVpce", "true", "false", list},
		{"Null", "aws:SourceArn", "true", "false", list},
		{"Null", "kms:ViaService", "true", "false", l.describe(l.key())},
		{"StringEquals", "sts:RoleSessionName", "s1", "s2", l.assumes(role)},
	}
}

// assumes calls AssumeRole, which names its refusals otherwise.
func (l *grantLab) assumes(role string) func(*login) error {
	return func(u *login) error {
		_, err := u.sts.AssumeRole(l.t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s1")})
		if err != nil && strings.HasPrefix(failure(err), "AccessDenied:") {
			return errOf("AccessDeniedException")
		}
		return err
	}
}

func (l *grantLab) describe(key *string) func(*login) error {
	return func(u *login) error {
		return second(u.kms.DescribeKey(l.t.Context(), &kms.DescribeKeyInput{KeyId: key}))
	}
}

// conditionsOfKeys are the keys about the KMS key.
func (l *grantLab) conditionsOfKeys() []conditionCase {
	root, ctx := l.as(owner), l.t.Context()
	key := l.key(func(in *kms.CreateKeyInput) {
		in.Tags = []types.Tag{{TagKey: aws.String("team"), TagValue: aws.String("red")}}
	})
	multi := l.key(func(in *kms.CreateKeyInput) { in.MultiRegion = aws.Bool(true) })
	must(root.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: key}))(l.t)
	use := l.describe(key)
	byAlias := l.describe(aws.String("alias/app"))
	return []conditionCase{
		{"StringEquals", "kms:CallerAccount", owner, partner, use},
		{"StringEquals", "aws:ResourceAccount", owner, partner, use},
		{"StringEquals", "kms:KeySpec", "SYMMETRIC_DEFAULT", "RSA_2048", use},
		{"StringEquals", "kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT", "RSA_2048", use},
		{"StringEquals", "kms:KeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY", use},
		{"StringEquals", "kms:CustomerMasterKeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY", use},
		{"StringEquals", "kms:KeyOrigin", "AWS_KMS", "EXTERNAL", use},
		{"Bool", "kms:MultiRegion", "false", "true", use},
		{"Bool", "kms:MultiRegion", "true", "false", l.describe(multi)},
		{"StringEquals", "kms:MultiRegionKeyType", "PRIMARY", "REPLICA", l.describe(multi)},
		{"Null", "kms:MultiRegionKeyType", "true", "false", use},
		{"StringEquals", "kms:RequestAlias", "alias/app", "alias/other", byAlias},
		{"Null", "kms:RequestAlias", "true", "false", use},
		{"ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/app", "alias/other", use},
		{"StringEquals", "aws:ResourceTag/team", "red", "blue", use},
		{"NumericLessThan", "kms:TrailingDaysWithoutKeyUsage", "1", "0", func(u *login) error {
			return second(u.kms.DisableKey(l.t.Context(), &kms.DisableKeyInput{KeyId: multi}))
		}},
	}
}

// conditionsOfRequests are the keys whose values are parameters.
func (l *grantLab) conditionsOfRequests() []conditionCase {
	ctx := l.t.Context()
	made := func(spec types.KeySpec, usage types.KeyUsageType) *string {
		return l.key(func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = spec, usage })
	}
	key, other := l.key(), l.key()
	external := l.key(func(in *kms.CreateKeyInput) { in.Origin = types.OriginTypeExternal })
	ec, mac := made(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify), made(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	agree := made(types.KeySpecEccNistP256, types.KeyUsageTypeKeyAgreement)
	pairs := map[string]string{"tenant": "acme"}
	encrypt := func(u *login) error {
		return second(u.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x"), EncryptionContext: pairs}))
	}
	sealed := must(l.as(owner).Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")}))(l.t).CiphertextBlob
	reencrypt := func(to *string) func(*login) error {
		return func(u *login) error {
			return second(u.kms.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed, DestinationKeyId: to}))
		}
	}
	sign := func(u *login) error {
		return second(u.kms.Sign(ctx, &kms.SignInput{KeyId: ec, Message: []byte("x"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256}))
	}
	parameters := func(u *login) error {
		return second(u.kms.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: external, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa3072}))
	}
	until := time.Now().Add(48 * time.Hour)
	imports := func(u *login) error {
		return second(u.kms.ImportKeyMaterial(ctx, &kms.ImportKeyMaterialInput{
			KeyId: external, ImportToken: []byte("x"), EncryptedKeyMaterial: []byte("x"), ExpirationModel: types.ExpirationModelTypeKeyMaterialExpires, ValidTo: &until,
		}))
	}
	rotate := func(u *login) error {
		return second(u.kms.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: key, RotationPeriodInDays: aws.Int32(180)}))
	}
	policy := keyPolicy(rootStatement)
	put := func(bypass bool) func(*login) error {
		return func(u *login) error {
			return second(u.kms.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: other, Policy: &policy, BypassPolicyLockoutSafetyCheck: bypass}))
		}
	}
	create := func(u *login) error {
		return second(u.kms.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpecHmac384, KeyUsage: types.KeyUsageTypeGenerateVerifyMac}))
	}
	tagKey := func(u *login) error {
		return second(u.kms.TagResource(ctx, &kms.TagResourceInput{KeyId: other, Tags: []types.Tag{{TagKey: aws.String("cost"), TagValue: aws.String("7")}}}))
	}
	untag := func(u *login) error {
		return second(u.kms.UntagResource(ctx, &kms.UntagResourceInput{KeyId: other, TagKeys: []string{"stage"}}))
	}
	return []conditionCase{
		{"StringEquals", "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256", encrypt},
		{"StringEquals", "kms:EncryptionContext:Tenant", "acme", "other", encrypt},
		{"ForAllValues:StringEquals", "kms:EncryptionContextKeys", "tenant", "Tenant", encrypt},
		{"ForAnyValue:StringEquals", "kms:EncryptionContextKeys", "tenant", "x", encrypt},
		{"Bool", "kms:ReEncryptOnSameKey", "true", "false", reencrypt(key)},
		{"Bool", "kms:ReEncryptOnSameKey", "false", "true", reencrypt(other)},
		{"StringEquals", "kms:SigningAlgorithm", "ECDSA_SHA_256", "ECDSA_SHA_384", sign},
		{"StringEquals", "kms:MessageType", "RAW", "DIGEST", sign},
		{"StringEquals", "kms:MacAlgorithm", "HMAC_SHA_256", "HMAC_SHA_512", func(u *login) error {
			return second(u.kms.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("x")}))
		}},
		{"StringEquals", "kms:KeyAgreementAlgorithm", "ECDH", "X", func(u *login) error {
			return second(u.kms.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: agree, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh, PublicKey: []byte("x")}))
		}},
		{"StringEquals", "kms:DataKeyPairSpec", "ECC_NIST_P256", "RSA_2048", func(u *login) error {
			return second(u.kms.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: key, KeyPairSpec: types.DataKeyPairSpecEccNistP256}))
		}},
		{"StringEquals", "kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1", parameters},
		{"StringEquals", "kms:WrappingKeySpec", "RSA_3072", "RSA_2048", parameters},
		{"StringEquals", "kms:ExpirationModel", "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE", imports},
		{"DateLessThan", "kms:ValidTo", until.Add(time.Hour).UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339), imports},
		{"NumericGreaterThan", "kms:ValidTo", "1700000000", "99999999999", imports},
		{"NumericLessThanEquals", "kms:RotationPeriodInDays", "180", "90", rotate},
		{"NumericEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", "30", "7", func(u *login) error {
			return second(u.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: external}))
		}},
		{"Bool", "kms:BypassPolicyLockoutSafetyCheck", "true", "false", put(true)},
		{"Null", "kms:BypassPolicyLockoutSafetyCheck", "true", "false", put(false)},
		{"StringEquals", "kms:KeySpec", "HMAC_384", "HMAC_256", create},
		{"StringEquals", "kms:KeyUsage", "GENERATE_VERIFY_MAC", "SIGN_VERIFY", create},
		{"StringEquals", "kms:KeyOrigin", "AWS_KMS", "EXTERNAL", create},
		{"Bool", "kms:MultiRegion", "false", "true", create},
		{"StringEquals", "aws:RequestTag/cost", "7", "8", tagKey},
		{"ForAllValues:StringEquals", "aws:TagKeys", "cost", "team", tagKey},
		{"ForAnyValue:StringEquals", "aws:TagKeys", "stage", "cost", untag},
	}
}

// conditionsOfGrants are the keys about a grant that is to be made.
func (l *grantLab) conditionsOfGrants() []conditionCase {
	key := l.key()
	create := func(u *login) error {
		return second(u.kms.CreateGrant(l.t.Context(), &kms.CreateGrantInput{
			KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), RetiringPrincipal: aws.String(rootOf(owner)), Operations: []types.GrantOperation{types.GrantOperationEncrypt},
			Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"tenant": "acme"}}, Name: aws.String("one"),
		}))
	}
	list := func(u *login) error {
		return second(u.kms.ListGrants(l.t.Context(), &kms.ListGrantsInput{KeyId: key}))
	}
	return []conditionCase{
		{"StringEquals", "kms:GrantConstraintType", "EncryptionContextSubset", "EncryptionContextEquals", create},
		{"ForAllValues:StringEquals", "kms:GrantOperations", "Encrypt", "Decrypt", create},
		{"StringEquals", "kms:GranteePrincipal", rootOf(partner), rootOf(owner), create},
		{"StringEquals", "kms:RetiringPrincipal", rootOf(owner), rootOf(partner), create},
		{"StringEquals", "kms:EncryptionContext:tenant", "acme", "other", create},
		{"Bool", "kms:GrantIsForAWSResource", "false", "true", create},
		{"Bool", "kms:GrantIsForAWSResource", "false", "true", list},
	}
}
