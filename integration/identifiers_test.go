package integration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/integration/trenttest"
	"github.com/trentkms/trent/region/fault"
)

// keyCalls are requests that are valid but for the key that they name, {key}. Operations that take a key and nothing else are not
// listed.
var keyCalls = map[string]string{
	"Decrypt":                             `{"KeyId":"{key}","CiphertextBlob":"AAAA","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
	"DeriveSharedSecret":                  `{"KeyId":"{key}","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAAA"}`,
	"Encrypt":                             `{"KeyId":"{key}","Plaintext":"AAAA"}`,
	"GenerateDataKey":                     `{"KeyId":"{key}","KeySpec":"AES_256"}`,
	"GenerateDataKeyPair":                 `{"KeyId":"{key}","KeyPairSpec":"ECC_NIST_P256"}`,
	"GenerateDataKeyPairWithoutPlaintext": `{"KeyId":"{key}","KeyPairSpec":"ECC_NIST_P256"}`,
	"GenerateDataKeyWithoutPlaintext":     `{"KeyId":"{key}","KeySpec":"AES_256"}`,
	"GenerateMac":                         `{"KeyId":"{key}","Message":"AAAA","MacAlgorithm":"HMAC_SHA_256"}`,
	"GetParametersForImport":              `{"KeyId":"{key}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`,
	"ImportKeyMaterial":                   `{"KeyId":"{key}","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`,
	"PutKeyPolicy":                        `{"KeyId":"{key}","Policy":"{}"}`,
	"ReEncrypt":                           `{"SourceKeyId":"{key}","DestinationKeyId":"{key}","CiphertextBlob":"AAAA","SourceEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
	"Sign":                                `{"KeyId":"{key}","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}`,
	"TagResource":                         `{"KeyId":"{key}","Tags":[{"TagKey":"a","TagValue":"b"}]}`,
	"UntagResource":                       `{"KeyId":"{key}","TagKeys":["a"]}`,
	"UpdateKeyDescription":                `{"KeyId":"{key}","Description":""}`,
	"Verify":                              `{"KeyId":"{key}","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256","Signature":"AAAA"}`,
	"VerifyMac":                           `{"KeyId":"{key}","Message":"AAAA","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA"}`,
}

// keyOperations are the operations that name a key, with a valid request.
func keyOperations() map[string]string {
	calls := make(map[string]string)
	for _, op := range api.Operations() {
		switch op.Name {
		case "CreateKey", "GenerateRandom", "ListKeys", "CreateAlias", "UpdateAlias", "DeleteAlias":
		case "CreateGrant", "ListGrants", "ListRetirableGrants", "RetireGrant", "RevokeGrant", "ReplicateKey", "UpdatePrimaryRegion":
		default:
			calls[op.Name] = `{"KeyId":"{key}"}`
			if body, ok := keyCalls[op.Name]; ok {
				calls[op.Name] = body
			}
		}
	}
	return calls
}

// byAlias are the operations that let a key be named by an alias (spec 01 KID-03).
var byAlias = []string{
	"Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "VerifyMac", "Sign", "Verify", "DeriveSharedSecret", "DescribeKey", "GetPublicKey",
}

// TestUnknownKeys: every operation tells in the same words that a key is not there.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	for op, body := range keyOperations() {
		malformed := "NotFoundException" // where the other is not declared
		for _, code := range fault.DeclaredBy(op) {
			if code == fault.InvalidArnException {
				malformed = "InvalidArnException"
			}
		}
		alias := "InvalidArnException: Key Aliases are not supported for this operation."
		if slices.Contains(byAlias, op) {
			alias = "NotFoundException: Alias {arn}alias/none is not found."
		}
		foreign := denied(op)
		if op == "ReEncrypt" {
			foreign = denied("ReEncryptFrom")
		}
		if op == "ListAliases" { // its permission is not about the key
			foreign = "NotFoundException: Key 'arn:aws:kms:us-east-1:444455556666:key/{none}' does not exist"
		}
		for id, want := range map[string]string{
			"{none}":                               "NotFoundException: Key '{arn}key/{none}' does not exist",
			"{arn}key/{none}":                      "NotFoundException: Key '{arn}key/{none}' does not exist",
			"mrk-0123456789abcdef0123456789abcdef": "NotFoundException: Key '{arn}key/mrk-0123456789abcdef0123456789abcdef' does not exist",
			"nonsense":                             "NotFoundException: Invalid keyId 'nonsense'",
			"{arn}key/nonsense":                    "NotFoundException: Invalid keyId nonsense",
			"arn:aws:kms:eu-west-1:" + account + ":key/{none}": "NotFoundException: Invalid arn eu-west-1",
			"arn:nonsense":    malformed + ": Invalid arn arn:nonsense",
			"alias/none":      alias,
			"{arn}alias/none": alias,
			"arn:aws:kms:us-east-1:444455556666:key/{none}": foreign,
		} {
			refuse(t, s, []row{{op, body, want}}, "{key}", id, "{none}", noKey, "{arn}", arnHead)
		}
	}
}

// TestKeyIDConstraints: length and characters of every KeyId (spec 10 PROTO-37).
func TestKeyIDConstraints(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	const pattern = `satisfy regular expression pattern: ^\p{ASCII}+$`
	long := strings.Repeat("x", 2049)
	for op, body := range keyOperations() {
		if op == "ReEncrypt" {
			body = `{"DestinationKeyId":"{key}","CiphertextBlob":"AAAA"}`
		}
		member := "keyId"
		if op == "ReEncrypt" {
			member = "destinationKeyId"
		}
		for id, want := range map[string]string{
			"":        invalid(violation("''", member, "have length greater than or equal to 1"), violation("''", member, pattern)),
			long:      invalid(violation("'"+long+"'", member, "have length less than or equal to 2048")),
			"schlüss": invalid(violation("'schlüss'", member, pattern)),
		} {
			refuse(t, s, []row{{op, body, want}}, "{key}", id)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			t.Fatal(err)
		}
		name := strings.ToUpper(member[:1]) + member[1:]
		if delete(members, name); op == "Decrypt" || op == "ListAliases" {
			continue // optional there
		}
		without, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		refuse(t, s, []row{
			{op, string(without), invalid(violation("null", member, "not be null"))},
			{op, strings.Replace(body, `"{key}"`, `null`, 1), invalid(violation("null", member, "not be null"))},
		})
		a := do(s.Call(t.Context(), op, strings.Replace(body, `"{key}"`, `17`, 1))).ok(t)
		if got, _, _ := strings.Cut(a.Text(), ":"); got != "SerializationException" {
			t.Errorf("%s with a number for a key: %s", op, a.Text())
		}
	}
}

// TestUnsupportedOperations: what is not performed says so, after the caller is known.
func TestUnsupportedOperations(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	for _, op := range api.Unsupported() {
		refuse(t, s, []row{{op, `{}`, fmt.Sprintf("UnsupportedOperationException: %s is not supported in this Region.", op)}})
	}
}

// identified are the calls by which a key of a usage can be named in every way; the answer names it by its ARN.
var identified = map[string][]string{
	"symmetric": {"Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"},
	"sign":      {"Sign", "GetPublicKey"},
	"mac":       {"GenerateMac"},
	"agree":     {"DeriveSharedSecret"},
}

// TestEveryIdentifier: key id, key ARN, alias name and alias ARN name the same key (spec 01 KID-03, KID-07).
func TestEveryIdentifier(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	peer := newKey(t, c, usages["agree"])
	public := b64(do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: peer.KeyId})).ok(t).PublicKey)
	var named []string
	for usage, ops := range identified {
		md := newKey(t, c, usages[usage])
		for how, id := range identifiers(t, c, md) {
			for _, op := range append([]string{"DescribeKey"}, ops...) {
				body, ok := stateCalls[op]
				if !ok {
					body = `{"KeyId":"{id}"}`
				}
				body = strings.NewReplacer("{id}", id, "{peer}", public).Replace(body)
				a := do(s.Call(t.Context(), op, body)).ok(t)
				if a.Status != 200 || !strings.Contains(string(a.Body), `"`+*md.Arn+`"`) {
					t.Errorf("%s by %s: %s %s", op, how, a.Text(), a.Body)
				}
				named = append(named, op)
			}
		}
	}
	for _, op := range byAlias {
		if !slices.Contains(named, op) && !slices.Contains([]string{"Decrypt", "ReEncrypt", "Verify", "VerifyMac"}, op) {
			t.Errorf("%s is not tested", op)
		}
	}
}
