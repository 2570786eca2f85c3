package integration_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestGrants takes a grant through its life, over a restart of the node.
func TestGrants(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c, ctx := s.Client(), t.Context()
	key := newKey(t, c)
	in := &kms.CreateGrantInput{
		KeyId: key.KeyId, GranteePrincipal: aws.String(rootARN), RetiringPrincipal: aws.String(rootARN), Name: aws.String("volume"),
		Operations:  []types.GrantOperation{types.GrantOperationDecrypt, types.GrantOperationEncrypt},
		Constraints: &types.GrantConstraints{EncryptionContextEquals: map[string]string{"aws:ebs:id": "vol-1"}},
	}
	first := do(c.CreateGrant(ctx, in)).ok(t)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	again := do(c.CreateGrant(ctx, in)).ok(t)
	if *again.GrantId != *first.GrantId || *again.GrantToken == *first.GrantToken {
		t.Errorf("first %+v, again %+v", first, again)
	}
	for _, list := range [][]types.GrantListEntry{
		do(c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: key.Arn})).ok(t).Grants,
		do(c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootARN)})).ok(t).Grants,
	} {
		if len(list) != 1 {
			t.Fatalf("%d grants", len(list))
		}
		same(t, "Grant", list[0], types.GrantListEntry{
			KeyId: key.Arn, GrantId: first.GrantId, Name: in.Name, CreationDate: list[0].CreationDate, GranteePrincipal: in.GranteePrincipal,
			RetiringPrincipal: in.RetiringPrincipal, IssuingAccount: aws.String(rootARN), Operations: in.Operations, Constraints: in.Constraints,
		})
	}
	do(c.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("hi"), GrantTokens: []string{*first.GrantToken, *again.GrantToken}})).ok(t)
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: first.GrantToken})).ok(t)
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: again.GrantToken})).refused(t, "NotFoundException: Grant ID "+*first.GrantId+" is not found.")
	second := do(c.CreateGrant(ctx, in)).ok(t)
	do(c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key.KeyId, GrantId: second.GrantId})).ok(t)
}

// TestGrantErrors: every error that the operations on grants declare.
func TestGrantErrors(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c, ctx := s.Client(), t.Context()
	key, off, going := newKey(t, c), newKey(t, c), newKey(t, c)
	do(c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: off.KeyId})).ok(t)
	do(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: going.KeyId})).ok(t)
	grant := do(c.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: key.KeyId, GranteePrincipal: aws.String(rootARN), Operations: []types.GrantOperation{"DescribeKey"}})).ok(t)
	const (
		noAlias   = "InvalidArnException: Key Aliases are not supported for this operation."
		noKeyText = "NotFoundException: Key '{arn}key/{none}' does not exist"
		noGrant   = "NotFoundException: Grant ID {other} is not found."
		badGrant  = "InvalidGrantIdException: Grant ID x is not valid: a grant ID has 64 hexadecimal digits."
		badToken  = "InvalidGrantTokenException: The grant token is not valid in this Region."
	)
	refuse(t, s, []row{
		{"CreateGrant", `{"KeyId":"{none}","GranteePrincipal":"{root}","Operations":["Encrypt"]}`, noKeyText},
		{"CreateGrant", `{"KeyId":"alias/a","GranteePrincipal":"{root}","Operations":["Encrypt"]}`, noAlias},
		{"CreateGrant", `{"KeyId":"{off}","GranteePrincipal":"{root}","Operations":["Encrypt"]}`, "DisabledException: {arn}key/{off} is disabled."},
		{"CreateGrant", `{"KeyId":"{going}","GranteePrincipal":"{root}","Operations":["Encrypt"]}`, "KMSInvalidStateException: {arn}key/{going} is pending deletion."},
		{"CreateGrant", `{"KeyId":"{key}","GranteePrincipal":"{root}","Operations":["Encrypt"],"DryRun":true}`, wouldSucceed},
		{"CreateGrant", `{"KeyId":"{key}","GranteePrincipal":"{root}","Operations":["Encrypt"],"GrantTokens":["x"]}`, badToken},
		{"CreateGrant", `{"KeyId":"{key}","GranteePrincipal":"{root}","Operations":["Encrypt"],"Constraints":{"SourceArn":"arn:aws:s3:::b"}}`,
			invalid(violation("", "constraints.sourceArn", "be null, because this service does not support it"))},
		{"CreateGrant", `{"KeyId":"{key}"}`, invalid(violation("null", "granteePrincipal", "not be null"), violation("null", "operations", "not be null"))},
		{"ListGrants", `{"KeyId":"{none}"}`, noKeyText},
		{"ListGrants", `{"KeyId":"alias/a"}`, noAlias},
		{"ListGrants", `{"KeyId":"{key}","Marker":"x"}`, "InvalidMarkerException"},
		{"ListGrants", `{"KeyId":"{key}","GrantId":"x"}`, badGrant},
		{"ListGrants", `{"KeyId":"{key}","GrantId":"{other}"}`, ""},
		{"ListRetirableGrants", `{"RetiringPrincipal":"{root}","Marker":"x"}`, "InvalidMarkerException"},
		{"ListRetirableGrants", `{"RetiringPrincipal":"x"}`, "InvalidArnException: ARN does not refer to a valid principal: x"},
		{"RetireGrant", `{"KeyId":"{key}","GrantId":"{other}"}`, noGrant},
		{"RetireGrant", `{"KeyId":"alias/a","GrantId":"{other}"}`, noAlias},
		{"RetireGrant", `{"KeyId":"{key}","GrantId":"x"}`, badGrant},
		{"RetireGrant", `{"GrantToken":"x"}`, badToken},
		{"RetireGrant", `{"GrantToken":"{token}","DryRun":true}`, wouldSucceed},
		{"RevokeGrant", `{"KeyId":"{key}","GrantId":"{other}"}`, noGrant},
		{"RevokeGrant", `{"KeyId":"alias/a","GrantId":"{other}"}`, noAlias},
		{"RevokeGrant", `{"KeyId":"{key}","GrantId":"x"}`, badGrant},
		{"RevokeGrant", `{"KeyId":"{key}","GrantId":"{grant}","DryRun":true}`, wouldSucceed},
		// A forged token is refused wherever tokens are taken, before the key is looked up.
		{"Decrypt", `{"CiphertextBlob":"AAAA","GrantTokens":["x"]}`, badToken},
		{"DeriveSharedSecret", `{"KeyId":"{none}","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAAA","GrantTokens":["x"]}`, badToken},
		{"DescribeKey", `{"KeyId":"{none}","GrantTokens":["x"]}`, "ValidationException: The grant token is not valid in this Region."},
		{"Encrypt", `{"KeyId":"{none}","Plaintext":"aGk=","GrantTokens":["x"]}`, badToken},
		{"GenerateDataKey", `{"KeyId":"{none}","KeySpec":"AES_256","GrantTokens":["x"]}`, badToken},
		{"GenerateDataKeyWithoutPlaintext", `{"KeyId":"{none}","KeySpec":"AES_256","GrantTokens":["x"]}`, badToken},
		{"GenerateDataKeyPair", `{"KeyId":"{none}","KeyPairSpec":"ECC_NIST_P256","GrantTokens":["x"]}`, badToken},
		{"GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"{none}","KeyPairSpec":"ECC_NIST_P256","GrantTokens":["x"]}`, badToken},
		{"GenerateMac", `{"KeyId":"{none}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","GrantTokens":["x"]}`, badToken},
		{"GetPublicKey", `{"KeyId":"{none}","GrantTokens":["x"]}`, badToken},
		{"ReEncrypt", `{"CiphertextBlob":"AAAA","DestinationKeyId":"{none}","GrantTokens":["x"]}`, badToken},
		{"Sign", `{"KeyId":"{none}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","GrantTokens":["x"]}`, badToken},
		{"Verify", `{"KeyId":"{none}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":"AAAA","GrantTokens":["x"]}`, badToken},
		{"VerifyMac", `{"KeyId":"{none}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA","GrantTokens":["x"]}`, badToken},
	}, "{key}", *key.KeyId, "{off}", *off.KeyId, "{going}", *going.KeyId, "{none}", noKey, "{arn}", arnHead, "{root}", rootARN,
		"{grant}", *grant.GrantId, "{token}", *grant.GrantToken, "{other}", strings.Repeat("0", 64))
	// Nothing of that has touched the grant.
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: key.Arn, GrantId: grant.GrantId})).ok(t)
	another := do(c.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: key.KeyId, GranteePrincipal: aws.String(rootARN), RetiringPrincipal: aws.String(rootARN), Operations: []types.GrantOperation{"DescribeKey"}})).ok(t)
	retirable := do(c.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootARN), Limit: aws.Int32(100)})).ok(t).Grants
	if !slices.ContainsFunc(retirable, func(g types.GrantListEntry) bool { return *g.GrantId == *another.GrantId }) {
		t.Error("the grant is not among the retirable ones")
	}
	do(c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key.KeyId, GrantId: another.GrantId})).ok(t)
}
