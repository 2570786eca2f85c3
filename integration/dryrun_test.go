package integration_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

const wouldSucceed = "DryRunOperationException: The request would have succeeded, but the DryRun option is set."

// TestDryRun: a dry run says what the call would, and nothing else comes of it (spec 09 section 5).
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	agree := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeKeyAgreement))
	off := newKey(t, c)
	ctx := t.Context()
	blob := do(c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("hi")})).ok(t).CiphertextBlob
	tag := do(c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac.KeyId, Message: []byte("hi"), MacAlgorithm: "HMAC_SHA_256"})).ok(t).Mac
	sig := do(c.Sign(ctx, &kms.SignInput{KeyId: signer.KeyId, Message: []byte("hi"), SigningAlgorithm: "ECDSA_SHA_256"})).ok(t).Signature
	peer := do(c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: agree.KeyId})).ok(t).PublicKey
	do(c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: off.KeyId})).ok(t)
	const disabled = "DisabledException: {arn}key/{off} is disabled."
	rows := []row{
		{"Encrypt", `{"KeyId":"{md}","Plaintext":"aGk="`, wouldSucceed},
		{"Encrypt", `{"KeyId":"{off}","Plaintext":"aGk="`, disabled},
		{"Encrypt", `{"KeyId":"{md}","Plaintext":""`, invalid(violation("", "plaintext", "have length greater than or equal to 1"))},
		{"Decrypt", `{"CiphertextBlob":"{blob}"`, wouldSucceed},
		{"Decrypt", `{"CiphertextBlob":"{blob}","EncryptionContext":{"a":"b"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"AAAA"`, "InvalidCiphertextException"},
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","DestinationKeyId":"{md}"`, wouldSucceed},
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","DestinationKeyId":"{off}"`, disabled},
		{"GenerateDataKey", `{"KeyId":"{md}","KeySpec":"AES_256"`, wouldSucceed},
		{"GenerateDataKeyWithoutPlaintext", `{"KeyId":"{md}","KeySpec":"AES_256"`, wouldSucceed},
		{"GenerateDataKeyPair", `{"KeyId":"{md}","KeyPairSpec":"ECC_NIST_P256"`, wouldSucceed},
		{"GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"{md}","KeyPairSpec":"ECC_NIST_P256"`, wouldSucceed},
		{"GenerateDataKeyPair", `{"KeyId":"{off}","KeyPairSpec":"ECC_NIST_P256"`, disabled},
		{"Sign", `{"KeyId":"{signer}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"`, wouldSucceed},
		{"Sign", `{"KeyId":"{signer}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_384"`, "InvalidKeyUsageException: Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."},
		{"Verify", `{"KeyId":"{signer}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":"{sig}"`, wouldSucceed},
		{"Verify", `{"KeyId":"{signer}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":"AAAA"`, "KMSInvalidSignatureException"},
		{"GenerateMac", `{"KeyId":"{mac}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256"`, wouldSucceed},
		{"VerifyMac", `{"KeyId":"{mac}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"{tag}"`, wouldSucceed},
		{"VerifyMac", `{"KeyId":"{mac}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA"`, "KMSInvalidMacException"},
		{"DeriveSharedSecret", `{"KeyId":"{agree}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{peer}"`, wouldSucceed},
	}
	for i := range rows {
		rows[i].body += `,"DryRun":true}`
	}
	names := []string{"{md}", *md.KeyId, "{off}", *off.KeyId, "{mac}", *mac.KeyId, "{signer}", *signer.KeyId, "{agree}", *agree.KeyId, "{arn}", arnHead,
		"{blob}", b64(blob), "{tag}", b64(tag), "{sig}", b64(sig), "{peer}", b64(peer)}
	refuse(t, s, rows, names...)
	for i := range rows { // false is no dry run
		rows[i].body = strings.Replace(rows[i].body, `"DryRun":true`, `"DryRun":false`, 1)
		if rows[i].want == wouldSucceed {
			rows[i].want = ""
		}
	}
	refuse(t, s, rows, names...)
	// Permission alone (DRY-08): the ciphertext may be absent or nonsense, the key has to be named.
	const ignore = `,"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`
	refuse(t, s, []row{
		{"Decrypt", `{"KeyId":"{md}"` + ignore, wouldSucceed},
		{"Decrypt", `{"KeyId":"{md}","CiphertextBlob":"AAAA"` + ignore, wouldSucceed},
		{"Decrypt", `{"CiphertextBlob":"{blob}"` + ignore, "ValidationException: KeyId is required when the ciphertext does not name its KMS key."},
		{"Decrypt", `{"KeyId":"{off}"` + ignore, disabled},
		{"Decrypt", `{"KeyId":"` + noKey + `"` + ignore, "NotFoundException: Key '{arn}key/" + noKey + "' does not exist"},
		{"Decrypt", `{"KeyId":"{md}","DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, invalid(violation("null", "ciphertextBlob", "not be null"))},
		{"Decrypt", `{"KeyId":"{md}","DryRun":true,"DryRunModifiers":["OTHER"]}`,
			"ValidationException: 1 validation error detected: Value '[OTHER]' at 'dryRunModifiers' failed to satisfy constraint: " +
				"Member must satisfy constraint: [Member must satisfy enum value set: [IGNORE_CIPHERTEXT]]"},
		{"ReEncrypt", `{"SourceKeyId":"{md}","DestinationKeyId":"{md}"` + ignore, wouldSucceed},
		{"ReEncrypt", `{"DestinationKeyId":"{md}"` + ignore, "ValidationException: SourceKeyId is required when the ciphertext does not name its KMS key."},
	}, names...)
}

// TestDryRunIsNoUse: it leaves no trace in GetKeyLastUsage (DRY-04).
func TestDryRunIsNoUse(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	refuse(t, s, []row{{"Encrypt", `{"KeyId":"` + *md.KeyId + `","Plaintext":"aGk=","DryRun":true}`, wouldSucceed}})
	out := do(c.GetKeyLastUsage(t.Context(), &kms.GetKeyLastUsageInput{KeyId: md.KeyId})).ok(t)
	if out.KeyLastUsage == nil || out.KeyLastUsage.Timestamp != nil {
		t.Errorf("a dry run counts as a use: %+v", out.KeyLastUsage)
	}
}
