package integration_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// Enums in their recorded order (spec 10 PROTO-38, spec 00).
const (
	encryptionAlgorithms = "[RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]"
	macAlgorithms        = "[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]"
	messageTypes         = "[RAW, DIGEST, EXTERNAL_MU]"
	signingAlgorithms    = "[RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, RSASSA_PSS_SHA_512, RSASSA_PKCS1_V1_5_SHA_256, RSASSA_PKCS1_V1_5_SHA_384, " +
		"RSASSA_PKCS1_V1_5_SHA_512, ECDSA_SHA_256, ECDSA_SHA_384, ECDSA_SHA_512, ED25519_SHA_512, ED25519_PH_SHA_512, SM2DSA, ML_DSA_SHAKE_256]"
	dataKeySpecs = "[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, " +
		"SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87]"
	keySpecs = "[RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, RSA_4096, SYMMETRIC_DEFAULT, " +
		"HMAC_256, HMAC_224, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87, ECC_NIST_EDWARDS25519]"
	keyUsages = "[ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, KEY_AGREEMENT]"
)

func enum(value, path, values string) string {
	return violation("'"+value+"'", path, "satisfy enum value set: "+values)
}

// TestEnumMessages: a wrong value is answered with the list of right ones, and case counts.
func TestEnumMessages(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	id := *newKey(t, s.Client()).KeyId
	refuse(t, s, []row{
		{"Encrypt", `{"KeyId":"{id}","Plaintext":"aGk=","EncryptionAlgorithm":"symmetric_default"}`, invalid(enum("symmetric_default", "encryptionAlgorithm", encryptionAlgorithms))},
		{"Decrypt", `{"CiphertextBlob":"AAAA","EncryptionAlgorithm":""}`, invalid(enum("", "encryptionAlgorithm", encryptionAlgorithms))},
		{"ReEncrypt", `{"CiphertextBlob":"AAAA","DestinationKeyId":"{id}","SourceEncryptionAlgorithm":"A","DestinationEncryptionAlgorithm":"B"}`, invalid(
			enum("A", "sourceEncryptionAlgorithm", encryptionAlgorithms), enum("B", "destinationEncryptionAlgorithm", encryptionAlgorithms))},
		{"GenerateMac", `{"KeyId":"{id}","Message":"aGk=","MacAlgorithm":"HMAC"}`, invalid(enum("HMAC", "macAlgorithm", macAlgorithms))},
		{"VerifyMac", `{"KeyId":"{id}","Message":"aGk=","MacAlgorithm":"HMAC","Mac":"AAAA"}`, invalid(enum("HMAC", "macAlgorithm", macAlgorithms))},
		{"Sign", `{"KeyId":"{id}","Message":"aGk=","MessageType":"Raw","SigningAlgorithm":"RSA"}`, invalid(
			enum("Raw", "messageType", messageTypes), enum("RSA", "signingAlgorithm", signingAlgorithms))},
		{"GenerateDataKey", `{"KeyId":"{id}","KeySpec":"AES_192"}`, invalid(enum("AES_192", "keySpec", dataKeySpecs))},
		{"GenerateDataKey", `{"KeyId":"{id}","KeySpec":"RSA_2048"}`, invalid(enum("RSA_2048", "keySpec", dataKeySpecs))},
		{"GenerateDataKeyWithoutPlaintext", `{"KeyId":"{id}","KeySpec":"AES"}`, invalid(enum("AES", "keySpec", dataKeySpecs))},
		{"CreateKey", `{"KeySpec":"AES_256"}`, invalid(enum("AES_256", "keySpec", keySpecs))},
		{"CreateKey", `{"KeyUsage":"SIGN"}`, invalid(enum("SIGN", "keyUsage", keyUsages))},
		{"CreateKey", `{"Origin":"HSM"}`, invalid(enum("HSM", "origin", "[AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]"))},
		{"GetParametersForImport", `{"KeyId":"{id}","WrappingAlgorithm":"OAEP","WrappingKeySpec":"RSA"}`, invalid(
			enum("OAEP", "wrappingAlgorithm", "[RSAES_PKCS1_V1_5, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, RSA_AES_KEY_WRAP_SHA_1, RSA_AES_KEY_WRAP_SHA_256, SM2PKE]"),
			enum("RSA", "wrappingKeySpec", "[RSA_2048, RSA_3072, RSA_4096, SM2]"))},
		{"ImportKeyMaterial", `{"KeyId":"{id}","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","ExpirationModel":"NEVER","ImportType":"OLD"}`, invalid(
			enum("NEVER", "expirationModel", "[KEY_MATERIAL_EXPIRES, KEY_MATERIAL_DOES_NOT_EXPIRE]"),
			enum("OLD", "importType", "[NEW_KEY_MATERIAL, EXISTING_KEY_MATERIAL]"))},
		{"ListKeyRotations", `{"KeyId":"{id}","IncludeKeyMaterial":"ALL"}`, invalid(enum("ALL", "includeKeyMaterial", "[ALL_KEY_MATERIAL, ROTATIONS_ONLY]"))},
	}, "{id}", id)
}

// TestConstraintMessages: every violated constraint is named, in the order of the members, blobs and secrets without value.
func TestConstraintMessages(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	id := *newKey(t, c).KeyId
	mac := *newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac)).KeyId
	const (
		null     = "not be null"
		atLeast1 = "have length greater than or equal to 1"
	)
	big := b64(make([]byte, 4097))
	refuse(t, s, []row{
		{"Encrypt", `{}`, invalid(violation("null", "keyId", null), violation("", "plaintext", null))},
		{"Encrypt", `{"KeyId":"{id}","Plaintext":""}`, invalid(violation("", "plaintext", atLeast1))},
		{"Encrypt", `{"KeyId":"{id}","Plaintext":"` + big + `"}`, invalid(violation("", "plaintext", "have length less than or equal to 4096"))},
		{"Encrypt", `{"KeyId":"","Plaintext":"","EncryptionAlgorithm":"X"}`, invalid(violation("''", "keyId", atLeast1),
			violation("''", "keyId", `satisfy regular expression pattern: ^\p{ASCII}+$`), violation("", "plaintext", atLeast1), enum("X", "encryptionAlgorithm", encryptionAlgorithms))},
		{"Decrypt", `{"CiphertextBlob":""}`, invalid(violation("", "ciphertextBlob", atLeast1))},
		{"Decrypt", `{"CiphertextBlob":"` + b64(make([]byte, 6145)) + `"}`, invalid(violation("", "ciphertextBlob", "have length less than or equal to 6144"))},
		{"Sign", `{}`, invalid(violation("null", "keyId", null), violation("", "message", null), violation("null", "signingAlgorithm", null))},
		{"Verify", `{"KeyId":"{id}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`, invalid(violation("null", "signature", null))},
		{"Verify", `{"KeyId":"{id}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":""}`, invalid(violation("", "signature", atLeast1))},
		{"VerifyMac", `{"KeyId":"{mac}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256"}`, invalid(violation("null", "mac", null))},
		{"GenerateMac", `{"KeyId":"{mac}","MacAlgorithm":"HMAC_SHA_256"}`, invalid(violation("", "message", null))},
		{"DeriveSharedSecret", `{"KeyId":"{id}","KeyAgreementAlgorithm":"ECDH"}`, invalid(violation("null", "publicKey", null))},
		{"ImportKeyMaterial", `{"KeyId":"{id}"}`, invalid(violation("null", "importToken", null), violation("null", "encryptedKeyMaterial", null))},
		{"ImportKeyMaterial", `{"KeyId":"{id}","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","KeyMaterialId":"XYZ"}`, invalid(
			violation("'XYZ'", "keyMaterialId", "have length greater than or equal to 64"), violation("'XYZ'", "keyMaterialId", "satisfy regular expression pattern: ^[a-f0-9]+$"))},
		{"ImportKeyMaterial", `{"KeyId":"{id}","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","KeyMaterialDescription":"a!"}`, invalid(
			violation("'a!'", "keyMaterialDescription", `satisfy regular expression pattern: ^[a-zA-Z0-9:/_\s.-]+$`))},
		{"ScheduleKeyDeletion", `{"KeyId":"{id}","PendingWindowInDays":6}`, invalid(violation("'6'", "pendingWindowInDays", "have value greater than or equal to 7"))},
		{"ScheduleKeyDeletion", `{"KeyId":"{id}","PendingWindowInDays":31}`, invalid(violation("'31'", "pendingWindowInDays", "have value less than or equal to 30"))},
		{"UpdateKeyDescription", `{"KeyId":"{id}"}`, invalid(violation("null", "description", null))},
		{"CreateKey", `{"XksKeyId":"a b","CustomKeyStoreId":""}`, invalid(violation("''", "customKeyStoreId", atLeast1),
			violation("'a b'", "xksKeyId", "satisfy regular expression pattern: ^[a-zA-Z0-9-_.]+$"))},
		{"GenerateDataKeyPair", `{}`, invalid(violation("null", "keyId", null), violation("null", "keyPairSpec", null))},
	}, "{id}", id, "{mac}", mac)
	a := do(s.Call(t.Context(), "UpdateKeyDescription", `{"KeyId":"`+id+`","Description":"`+strings.Repeat("d", 8193)+`"}`)).ok(t)
	if !strings.HasSuffix(a.Text(), "at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192") {
		t.Errorf("%.300s", a.Text()) // a value of this length is not quoted whole
	}
	// Grant tokens are bounded, and never shown.
	tokens := strings.TrimSuffix(strings.Repeat(`"tok",`, 11), ",")
	a = do(s.Call(t.Context(), "DescribeKey", `{"KeyId":"`+id+`","GrantTokens":[`+tokens+`]}`)).ok(t)
	if want := invalid(violation("", "grantTokens", "have length less than or equal to 10")); a.Text() != want {
		t.Errorf("got  %s\nwant %s", a.Text(), want)
	}
	// Exactly at the bounds.
	refuse(t, s, []row{
		{"UpdateKeyDescription", `{"KeyId":"{id}","Description":"{8192}"}`, ""},
		{"Encrypt", `{"KeyId":"{id}","Plaintext":"` + b64(make([]byte, 4096)) + `"}`, ""},
		{"GenerateMac", `{"KeyId":"{mac}","Message":"` + b64(make([]byte, 4096)) + `","MacAlgorithm":"HMAC_SHA_256"}`, ""},
	}, "{id}", id, "{mac}", mac, "{8192}", strings.Repeat("ä", 8192))
}
