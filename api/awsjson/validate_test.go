package awsjson_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"github.com/trentkms/trent/api/awsjson"
)

const enumKeySpec = "[RSA_2048, ECC_NIST_P384, ECC_NIST_P256, ECC_NIST_P521, HMAC_384, RSA_3072, ECC_SECG_P256K1, RSA_4096, SYMMETRIC_DEFAULT, HMAC_256, HMAC_224, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87, ECC_NIST_EDWARDS25519]"

const one = "1 validation error detected: "

func zeros(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// TestValidation holds the texts of spec 10 PROTO-33 to PROTO-38, character by character.
func TestValidation(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		shape      *awsjson.Shape
		body       string
	}{
		{"empty key id", "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$",
			encryptShape, `{"KeyId":"","Plaintext":"AA=="}`},
		{"missing key id", one + "Value null at 'keyId' failed to satisfy constraint: Member must not be null",
			encryptShape, `{"Plaintext":"AA=="}`},
		{"null key id", one + "Value null at 'keyId' failed to satisfy constraint: Member must not be null",
			encryptShape, `{"KeyId":null,"Plaintext":"AA=="}`},
		{"key id not ASCII", one + "Value 'alias/ü' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$",
			encryptShape, `{"KeyId":"alias/ü","Plaintext":"AA=="}`},
		{"key id of 2048 characters", "", encryptShape, `{"KeyId":"` + strings.Repeat("k", 2048) + `","Plaintext":"AA=="}`},
		{"key id of 2049 characters", one + "Value '" + strings.Repeat("k", 2049) + "' at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048",
			encryptShape, `{"KeyId":"` + strings.Repeat("k", 2049) + `","Plaintext":"AA=="}`},
		{"missing sensitive blob", one + "Value at 'plaintext' failed to satisfy constraint: Member must not be null",
			encryptShape, `{"KeyId":"k"}`},
		{"missing other blob", one + "Value null at 'signature' failed to satisfy constraint: Member must not be null",
			verifyShape, `{"KeyId":"k","Message":"AA==","SigningAlgorithm":"ECDSA_SHA_256"}`},
		{"empty sensitive blob", one + "Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
			encryptShape, `{"KeyId":"k","Plaintext":""}`},
		{"4096 bytes", "", encryptShape, `{"KeyId":"k","Plaintext":"` + zeros(4096) + `"}`},
		{"4097 bytes", one + "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
			encryptShape, `{"KeyId":"k","Plaintext":"` + zeros(4097) + `"}`},
		{"blob without its value", one + "Value at 'signature' failed to satisfy constraint: Member must have length less than or equal to 6144",
			verifyShape, `{"KeyId":"k","Message":"AA==","SigningAlgorithm":"ECDSA_SHA_256","Signature":"` + zeros(6145) + `"}`},
		{"enum", one + "Value 'symmetric_default' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]",
			encryptShape, `{"KeyId":"k","Plaintext":"AA==","EncryptionAlgorithm":"symmetric_default"}`},
		{"optional enum", one + "Value 'RSA_1' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: " + enumKeySpec,
			createKeyShape, `{"KeySpec":"RSA_1"}`},
		{"empty enum", one + "Value '' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value set: [ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, KEY_AGREEMENT]",
			createKeyShape, `{"KeyUsage":""}`},
		{"enum that lists another", one + "Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87]",
			dataKeyShape, `{"KeyId":"k","KeySpec":"AES_512"}`},
		{"and does not allow it", one + "Value 'RSA_2048' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, ECC_NIST_EDWARDS25519, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, ML_DSA_87]",
			dataKeyShape, `{"KeyId":"k","KeySpec":"RSA_2048"}`},
		{"integer too small", one + "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1",
			dataKeyShape, `{"KeyId":"k","NumberOfBytes":0}`},
		{"negative integer", one + "Value '-5' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1",
			dataKeyShape, `{"KeyId":"k","NumberOfBytes":-5}`},
		{"integer too large", one + "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024",
			dataKeyShape, `{"KeyId":"k","NumberOfBytes":1025}`},
		{"integer at the bounds", "", dataKeyShape, `{"KeyId":"k","NumberOfBytes":1024}`},
		{"list of enums", one + "Value '[Decrypt, Destroy]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, DeriveSharedSecret]]",
			createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":["Decrypt","Destroy"]}`},
		{"missing list", one + "Value null at 'operations' failed to satisfy constraint: Member must not be null",
			createGrantShape, `{"KeyId":"k","GranteePrincipal":"p"}`},
		{"too many grant tokens, hidden", one + "Value at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10",
			encryptShape, `{"KeyId":"k","Plaintext":"AA==","GrantTokens":["1","2","3","4","5","6","7","8","9","10","11"]}`},
		{"empty grant token, hidden", one + "Value at 'grantTokens' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 8192, Member must have length greater than or equal to 1]",
			encryptShape, `{"KeyId":"k","Plaintext":"AA==","GrantTokens":["a",""]}`},
		{"structures in a list", "3 validation errors detected: Value null at 'tags.1.member.tagValue' failed to satisfy constraint: Member must not be null; Value '' at 'tags.3.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '" + strings.Repeat("ü", 257) + "' at 'tags.3.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256",
			createKeyShape, `{"Tags":[{"TagKey":"a"},{"TagKey":"b","TagValue":""},{"TagValue":"` + strings.Repeat("ü", 257) + `","TagKey":""}]}`},
		{"characters, not bytes", "", createKeyShape, `{"Tags":[{"TagKey":"` + strings.Repeat("🔑", 128) + `","TagValue":"` + strings.Repeat("ü", 256) + `"}]}`},
		{"order of the model", "3 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value 'a b' at 'granteePrincipal' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\\w+=,.@:/-]+$; Value 'x y' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
			createGrantShape, `{"Name":"x y","Operations":[],"GranteePrincipal":"a b"}`},
		{"sensitive text", one + "Value at 'keyStorePassword' failed to satisfy constraint: Member must have length greater than or equal to 7",
			createStoreShape, `{"CustomKeyStoreName":"s","KeyStorePassword":"hunter"}`},
		{"sensitive text inside", "3 validation errors detected: Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 20; Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[A-Z2-7]+$; Value at 'xksProxyAuthenticationCredential.rawSecretAccessKey' failed to satisfy constraint: Member must not be null",
			createStoreShape, `{"CustomKeyStoreName":"s","XksProxyAuthenticationCredential":{"AccessKeyId":"abc"}}`},
		{"pattern without anchors holds for all of it", one + "Value 'xcluster-abcdefghijklm' at 'cloudHsmClusterId' failed to satisfy constraint: Member must satisfy regular expression pattern: cluster-[2-7a-zA-Z]{11,16}",
			createStoreShape, `{"CustomKeyStoreName":"s","CloudHsmClusterId":"xcluster-abcdefghijklm"}`},
		{"policy with a control character", one + "Value '{\x01}' at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
			createKeyShape, `{"Policy":"{\u0001}"}`},
		{"policy with line ends", "", createKeyShape, `{"Policy":"{\r\n\t}"}`},
		{"unknown member of constraints", one + "Value at 'constraints.sourceArn' failed to satisfy constraint: Member must be null, because this service does not support it",
			createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":[],"Constraints":{"SourceArn":"arn:x","EncryptionContextEquals":{}}}`},
		{"unknown null member of constraints", "", createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":[],"Constraints":{"SourceArn":null}}`},
		{"refused member", one + "Value at 'granteeServicePrincipal' failed to satisfy constraint: Member must be null, because this service does not support it",
			createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":[],"GranteeServicePrincipal":"s.amazonaws.com"}`},
		{"unknown member", "", createGrantShape, `{"KeyId":"k","GranteePrincipal":"p","Operations":[],"New":[{"x":1.5e3},null,true]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := reflect.New(tt.shape.Type()).Interface()
			invalid, err := tt.shape.Decode([]byte(tt.body), in)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if invalid != nil {
				got = invalid.Message
			}
			if got != tt.want {
				t.Errorf("body %.100s\ngot  %q\nwant %q", tt.body, got, tt.want)
			}
		})
	}
}

// TestValidateValue: what Decode says of a body, Validate says of the value, except that a plain scalar is always there.
func TestValidateValue(t *testing.T) {
	in := createKeyInput{Tags: []tag{{TagKey: "", TagValue: "x"}}}
	got := createKeyShape.Validate(&in)
	want := one + "Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1"
	// Origin is plain: its zero value is a value, and none of the enum's.
	if got == nil || got.Count != 2 || !strings.HasSuffix(got.Message, want[len(one):]) {
		t.Errorf("got %v, want two violations, the last %q", got, want)
	}
	in.Origin, in.Tags[0].TagKey = "EXTERNAL", "k"
	if got := createKeyShape.Validate(&in); got != nil {
		t.Errorf("valid value refused: %v", got)
	}
	grant := createGrantInput{KeyId: "k", GranteePrincipal: "p"}
	if got := createGrantShape.Validate(&grant); got == nil || !strings.Contains(got.Message, "null at 'operations'") {
		t.Errorf("nil list: got %v", got)
	}
}

// TestHostileMessage: the message stays small, however large and wrong the request is.
func TestHostileMessage(t *testing.T) {
	item := `{"TagKey":"` + strings.Repeat("x", 200) + `","TagValue":"` + strings.Repeat("y", 300) + `"},`
	body := `{"Policy":"` + strings.Repeat(`\u0001`, 50_000) + `","Tags":[` + strings.TrimSuffix(strings.Repeat(item, 1500), ",") + `]}`
	var in createKeyInput
	invalid, err := createKeyShape.Decode([]byte(body), &in)
	if err != nil || invalid == nil {
		t.Fatal(invalid, err)
	}
	if invalid.Count != 3001 || !strings.HasPrefix(invalid.Message, "3001 validation errors detected: ") {
		t.Errorf("got %d violations: %.60s", invalid.Count, invalid.Message)
	}
	if len(invalid.Message) > 80*1024 {
		t.Errorf("message of %d bytes", len(invalid.Message))
	}
}
