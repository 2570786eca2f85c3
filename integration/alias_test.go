package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

func createAlias(t testing.TB, c *kms.Client, name string, md *types.KeyMetadata) {
	t.Helper()
	do(c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: md.KeyId})).ok(t)
}

func aliasesOf(t testing.TB, c *kms.Client, md *types.KeyMetadata) []types.AliasListEntry {
	t.Helper()
	out := do(c.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: md.KeyId})).ok(t)
	if out.Truncated || out.NextMarker != nil {
		t.Errorf("truncated: %v, %v", out.Truncated, out.NextMarker)
	}
	return out.Aliases
}

func TestAliasLifecycle(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	first, second := newKey(t, c), newKey(t, c)
	name := "alias/life/" + *first.KeyId
	createAlias(t, c, name, first)
	created := aliasesOf(t, c, first)
	if len(created) != 1 {
		t.Fatalf("%d aliases", len(created))
	}
	near(t, "CreationDate", created[0].CreationDate, time.Now())
	same(t, "created", created[0], types.AliasListEntry{
		AliasName: &name, AliasArn: aws.String(arnHead + name), TargetKeyId: first.KeyId,
		CreationDate: created[0].CreationDate, LastUpdatedDate: created[0].CreationDate,
	})
	do(c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: first.KeyId})).refused(t,
		"AlreadyExistsException: An alias with the name "+arnHead+name+" already exists")

	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: second.Arn})).ok(t)
	if left := aliasesOf(t, c, first); len(left) != 0 {
		t.Errorf("the old key keeps %d aliases", len(left))
	}
	moved := aliasesOf(t, c, second)
	same(t, "moved", moved[0], types.AliasListEntry{
		AliasName: &name, AliasArn: aws.String(arnHead + name), TargetKeyId: second.KeyId,
		CreationDate: created[0].CreationDate, LastUpdatedDate: moved[0].LastUpdatedDate,
	})
	if moved[0].LastUpdatedDate.Before(*created[0].CreationDate) {
		t.Errorf("updated at %v, created at %v", moved[0].LastUpdatedDate, created[0].CreationDate)
	}
	if got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &name})).ok(t).KeyMetadata; *got.KeyId != *second.KeyId {
		t.Error("the alias names the old key")
	}
	do(c.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &name})).ok(t)
	do(c.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &name})).refused(t, "NotFoundException: Alias "+arnHead+name+" is not found.")
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	createAlias(t, c, name, mac) // free again, for any kind of key
	for _, odd := range []string{"alias/alias/x", "alias/x/", "alias/-", "alias/_", "alias/AWS/x", "alias/awsx", "alias/" + strings.Repeat("x", 250)} {
		createAlias(t, c, odd, mac)
		do(c.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &odd})).ok(t)
	}
}

func TestAliasRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, mac := newKey(t, c), newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	rsaEncrypts, rsaSigns := newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeEncryptDecrypt)), newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeSignVerify))
	ecSigns := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	name, signer := "alias/refused/"+*md.KeyId, "alias/signer/"+*md.KeyId
	createAlias(t, c, name, md)
	createAlias(t, c, signer, rsaSigns)
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &signer, TargetKeyId: ecSigns.KeyId})).ok(t) // another family, the same usage
	const (
		prefix  = `ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`
		pattern = "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
	)
	var rows []row
	for _, op := range []string{"CreateAlias", "UpdateAlias", "DeleteAlias"} {
		body := func(name string) string { return `{"AliasName":"` + name + `","TargetKeyId":"{id}"}` }
		rows = append(rows,
			row{op, body("nonsense"), prefix}, row{op, body("Alias/x"), prefix}, row{op, body("bad name!"), prefix},
			row{op, body("alias/aws/s3"), "NotAuthorizedException"}, row{op, body("alias/aws/a:b"), "NotAuthorizedException"},
			row{op, body("alias/a:b"), "ValidationException: alias/a:b contains invalid characters for an alias"},
			row{op, body("alias/a b"), invalid(violation("'alias/a b'", "aliasName", pattern))},
			row{op, body("alias/ä"), invalid(violation("'alias/ä'", "aliasName", pattern))},
			row{op, body("alias/" + strings.Repeat("x", 251)), invalid(violation("'alias/"+strings.Repeat("x", 251)+"'", "aliasName", "have length less than or equal to 256"))},
			row{op, `{"TargetKeyId":"{id}"}`, invalid(violation("null", "aliasName", "not be null"))},
		)
	}
	for _, op := range []string{"CreateAlias", "UpdateAlias"} {
		body := func(target string) string { return `{"AliasName":"{name}","TargetKeyId":"` + target + `"}` }
		rows = append(rows,
			row{op, body("alias/none"), "ValidationException: Aliases must refer to keys. Not aliases"},
			row{op, body("{arn}alias/none"), "ValidationException: Aliases must refer to keys. Not aliases"},
			row{op, body("{none}"), "NotFoundException: Key '{arn}key/{none}' does not exist"},
			row{op, body("nonsense"), "NotFoundException: Invalid keyId 'nonsense'"},
			row{op, `{"AliasName":"{name}"}`, invalid(violation("null", "targetKeyId", "not be null"))},
		)
	}
	refuse(t, s, append(rows,
		row{"CreateAlias", `{"AliasName":"alias/","TargetKeyId":"{id}"}`, "InvalidAliasNameException: alias/ is not a valid alias name: at least one character must follow the prefix."},
		row{"UpdateAlias", `{"AliasName":"alias/none","TargetKeyId":"{id}"}`, "NotFoundException: Alias {arn}alias/none is not found."},
		row{"DeleteAlias", `{"AliasName":"alias/none"}`, "NotFoundException: Alias {arn}alias/none is not found."},
		row{"UpdateAlias", `{"AliasName":"{name}","TargetKeyId":"{mac}"}`, "ValidationException: Alias {name} cannot be changed from a CMK with key usage ENCRYPT_DECRYPT " +
			"to a CMK with key usage GENERATE_VERIFY_MAC. The key usage of the current CMK and the new CMK must be the same."},
		row{"UpdateAlias", `{"AliasName":"{name}","TargetKeyId":"{rsa}"}`, "ValidationException: Alias {name} cannot be changed to a CMK of another type. " +
			"The current CMK and the new CMK must both be symmetric, both asymmetric, or both HMAC."},
	), "{id}", *md.KeyId, "{name}", name, "{none}", noKey, "{arn}", arnHead, "{mac}", *mac.KeyId, "{rsa}", *rsaEncrypts.KeyId)
	if got := aliasesOf(t, c, md); len(got) != 1 {
		t.Errorf("%d aliases after refusals", len(got))
	}
}

func TestAliasQuota(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	full, other := newKey(t, c), newKey(t, c)
	name := func(i int) string { return fmt.Sprintf("alias/quota/%02d/%s", i, *full.KeyId) }
	const quota = 50
	for i := range quota {
		createAlias(t, c, name(i), full)
	}
	refusal := fmt.Sprintf("LimitExceededException: Aliases per key quota for this account in this region is %d, current usage is %d.", quota, quota)
	do(c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(name(quota)), TargetKeyId: full.KeyId})).refused(t, refusal)
	createAlias(t, c, name(quota), other)
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String(name(quota)), TargetKeyId: full.KeyId})).refused(t, refusal)
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String(name(3)), TargetKeyId: full.KeyId})).ok(t) // to the key that it names
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String(name(3)), TargetKeyId: other.KeyId})).ok(t)
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String(name(quota)), TargetKeyId: full.KeyId})).ok(t)
	if n := len(aliasesOf(t, c, full)); n != quota {
		t.Errorf("%d aliases", n)
	}
}

// TestAliasOfKeyPendingDeletion: an alias can be moved away from such a key, not to it (spec 01 ALI-13).
func TestAliasOfKeyPendingDeletion(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	doomed, fresh := newKey(t, c), newKey(t, c)
	name := "alias/doomed/" + *doomed.KeyId
	createAlias(t, c, name, doomed)
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: doomed.KeyId})).ok(t)
	if got := aliasesOf(t, c, doomed); len(got) != 1 {
		t.Errorf("%d aliases of a key pending deletion", len(got))
	}
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: fresh.KeyId})).ok(t)
	do(c.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: doomed.KeyId})).refused(t,
		"KMSInvalidStateException: "+*doomed.Arn+" is pending deletion.")
}
