package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/integration/trenttest"
)

// auditRow is what the record of one operation shows (spec 03 A4, A6, A9): for a call that succeeds and one that fails, the
// request parameters as JSON; for the success the response elements too. resources are those of the success.
type auditRow struct {
	op                string
	body, params      string
	elements          string // "keyArn" for {"keyId": <key ARN>}
	resources         string // key, alias, other; separated by blanks
	readOnly          bool
	failing, badParam string
	failure           string // the error code
}

// auditRows use the placeholders of auditNames. A call may rely on those before it.
const noSuchKey = "NotFoundException"

func auditRows() []auditRow {
	ro := func(op, body, params, failing, badParam, failure string) auditRow {
		return auditRow{op, body, params, "null", "{key}", true, failing, badParam, failure}
	}
	rw := func(op, body, params, elements, failing, badParam, failure string) auditRow {
		return auditRow{op, body, params, elements, "{key}", false, failing, badParam, failure}
	}
	rows := []auditRow{
		{"CreateKey", `{"Description":"made for the audit","Tags":[{"TagKey":"a","TagValue":"b"}],"Policy":{policy}}`,
			`{"description":"made for the audit","keyUsage":"ENCRYPT_DECRYPT","keySpec":"SYMMETRIC_DEFAULT","customerMasterKeySpec":"SYMMETRIC_DEFAULT",` +
				`"origin":"AWS_KMS","bypassPolicyLockoutSafetyCheck":false,"multiRegion":false,"tags":[{"tagKey":"a","tagValue":"b"}],"policy":{policy}}`,
			"keyMetadata", "{made}", false,
			`{"KeySpec":"RSA_2048"}`, `{"description":"","keyUsage":"ENCRYPT_DECRYPT","keySpec":"RSA_2048","customerMasterKeySpec":"RSA_2048","origin":"AWS_KMS",` +
				`"bypassPolicyLockoutSafetyCheck":false,"multiRegion":false,"tags":[]}`, "ValidationException"},
		{"CreateAlias", `{"AliasName":"alias/audited","TargetKeyId":"{id}"}`, `{"aliasName":"alias/audited","targetKeyId":"{id}"}`, "keyArn", "{key} {alias}", false,
			`{"AliasName":"alias/audited","TargetKeyId":"{id}"}`, `{"aliasName":"alias/audited","targetKeyId":"{id}"}`, "AlreadyExistsException"},
		{"UpdateAlias", `{"AliasName":"alias/audited","TargetKeyId":"{id}"}`, `{"aliasName":"alias/audited","targetKeyId":"{id}"}`, "keyArn", "{alias} {key}", false,
			`{"AliasName":"alias/none","TargetKeyId":"{id}"}`, `{"aliasName":"alias/none","targetKeyId":"{id}"}`, noSuchKey},
		ro("Encrypt", `{"KeyId":"alias/audited","Plaintext":"{secret}","EncryptionContext":{"a":"b"},"GrantTokens":[]}`,
			`{"keyId":"alias/audited","encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"a":"b"}}`,
			`{"KeyId":"{none}","Plaintext":"{secret}"}`, `{"keyId":"{none}","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, noSuchKey),
		ro("Decrypt", `{"CiphertextBlob":"{blob}"}`, `{"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`,
			`{"CiphertextBlob":"{blob}","KeyId":"{id}","EncryptionContext":{"x":"y"}}`, `{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","keyId":"{id}","encryptionContext":{"x":"y"}}`,
			"InvalidCiphertextException"),
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","DestinationKeyId":"{other}","DestinationEncryptionContext":{"c":"d"}}`,
			`{"sourceEncryptionAlgorithm":"SYMMETRIC_DEFAULT","destinationKeyId":"{other}","destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT","destinationEncryptionContext":{"c":"d"}}`,
			"null", "{key} {arn}key/{other}", true,
			`{"CiphertextBlob":"{blob}","SourceKeyId":"{id}","DestinationKeyId":"{none}"}`,
			`{"sourceEncryptionAlgorithm":"SYMMETRIC_DEFAULT","sourceKeyId":"{id}","destinationKeyId":"{none}","destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, noSuchKey},
		ro("GenerateDataKey", `{"KeyId":"{id}","KeySpec":"AES_256","EncryptionContext":{"a":"b"}}`, `{"keyId":"{id}","keySpec":"AES_256","encryptionContext":{"a":"b"}}`,
			`{"KeyId":"{none}","NumberOfBytes":7}`, `{"keyId":"{none}","numberOfBytes":7}`, noSuchKey),
		ro("GenerateDataKeyWithoutPlaintext", `{"KeyId":"{id}","NumberOfBytes":64}`, `{"keyId":"{id}","numberOfBytes":64}`,
			`{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "ValidationException"),
		ro("GenerateDataKeyPair", `{"KeyId":"{id}","KeyPairSpec":"ECC_NIST_P256"}`, `{"keyId":"{id}","keyPairSpec":"ECC_NIST_P256"}`,
			`{"KeyId":"{id}","KeyPairSpec":"ECC_NIST_P256","DryRun":true}`, `{"keyId":"{id}","keyPairSpec":"ECC_NIST_P256","dryRun":true}`, "DryRunOperationException"),
		ro("GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"{id}","KeyPairSpec":"ECC_NIST_P256","EncryptionContext":{"a":"b"}}`,
			`{"keyId":"{id}","keyPairSpec":"ECC_NIST_P256","encryptionContext":{"a":"b"}}`,
			`{"KeyId":"{id}","KeyPairSpec":"SM2"}`, `{"keyId":"{id}","keyPairSpec":"SM2"}`, "UnsupportedOperationException"),
		{"GenerateRandom", `{"NumberOfBytes":32}`, "null", "null", "", true, `{}`, "null", "ValidationException"},
		ro("Sign", `{"KeyId":"{signer}","Message":"{secret}","SigningAlgorithm":"ECDSA_SHA_256"}`,
			`{"keyId":"{signer}","messageType":"RAW","signingAlgorithm":"ECDSA_SHA_256"}`,
			`{"KeyId":"{signer}","Message":"{secret}","SigningAlgorithm":"ECDSA_SHA_512"}`, `{"keyId":"{signer}","messageType":"RAW","signingAlgorithm":"ECDSA_SHA_512"}`, "InvalidKeyUsageException"),
		ro("Verify", `{"KeyId":"{signer}","Message":"{secret}","SigningAlgorithm":"ECDSA_SHA_256","Signature":"{sig}"}`,
			`{"keyId":"{signer}","messageType":"RAW","signingAlgorithm":"ECDSA_SHA_256"}`,
			`{"KeyId":"{signer}","Message":"{secret}","SigningAlgorithm":"ECDSA_SHA_256","Signature":"{tag}"}`,
			`{"keyId":"{signer}","messageType":"RAW","signingAlgorithm":"ECDSA_SHA_256"}`, "KMSInvalidSignatureException"),
		ro("GenerateMac", `{"KeyId":"{mac}","Message":"{secret}","MacAlgorithm":"HMAC_SHA_256"}`, `{"keyId":"{mac}","macAlgorithm":"HMAC_SHA_256"}`,
			`{"KeyId":"{mac}","Message":"{secret}","MacAlgorithm":"HMAC_SHA_512"}`, `{"keyId":"{mac}","macAlgorithm":"HMAC_SHA_512"}`, "InvalidKeyUsageException"),
		ro("VerifyMac", `{"KeyId":"{mac}","Message":"{secret}","MacAlgorithm":"HMAC_SHA_256","Mac":"{tag}"}`, `{"keyId":"{mac}","macAlgorithm":"HMAC_SHA_256"}`,
			`{"KeyId":"{mac}","Message":"{secret}","MacAlgorithm":"HMAC_SHA_256","Mac":"{sig}"}`, `{"keyId":"{mac}","macAlgorithm":"HMAC_SHA_256"}`, "KMSInvalidMacException"),
		ro("DeriveSharedSecret", `{"KeyId":"{agree}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{peer}"}`, `{"keyId":"{agree}","keyAgreementAlgorithm":"ECDH"}`,
			`{"KeyId":"{agree}","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAAA"}`, `{"keyId":"{agree}","keyAgreementAlgorithm":"ECDH"}`, "ValidationException"),
		ro("GetPublicKey", `{"KeyId":"{signer}"}`, `{"keyId":"{signer}"}`, `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "UnsupportedOperationException"),
		ro("DescribeKey", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		ro("GetKeyLastUsage", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		ro("GetKeyPolicy", `{"KeyId":"{id}"}`, `{"keyId":"{id}","policyName":"default"}`, `{"KeyId":"{id}","PolicyName":"x"}`, `{"keyId":"{id}","policyName":"x"}`, noSuchKey),
		ro("ListKeyPolicies", `{"KeyId":"{id}","Limit":3}`, `{"keyId":"{id}","limit":3}`, `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		ro("ListResourceTags", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, `{"KeyId":"{id}","Marker":"x"}`, `{"keyId":"{id}","marker":"x"}`, "InvalidMarkerException"),
		{"ListKeys", `{"Limit":2}`, `{"limit":2}`, "null", "", true, `{"Marker":"x"}`, `{"marker":"x"}`, "InvalidMarkerException"},
		{"ListAliases", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "null", "", true, `{"Marker":"x","Limit":1}`, `{"marker":"x","limit":1}`, "InvalidMarkerException"},
		rw("PutKeyPolicy", `{"KeyId":"{id}","Policy":{policy}}`, `{"keyId":"{id}","policyName":"default","policy":{policy},"bypassPolicyLockoutSafetyCheck":false}`, "null",
			`{"KeyId":"{id}","Policy":"{}","BypassPolicyLockoutSafetyCheck":true}`, `{"keyId":"{id}","policyName":"default","policy":"{}","bypassPolicyLockoutSafetyCheck":true}`,
			"MalformedPolicyDocumentException"),
		rw("TagResource", `{"KeyId":"{id}","Tags":[{"TagKey":"k","TagValue":""}]}`, `{"keyId":"{id}","tags":[{"tagKey":"k","tagValue":""}]}`, "keyArn",
			`{"KeyId":"{id}","Tags":[{"TagKey":"aws:k","TagValue":"v"}]}`, `{"keyId":"{id}","tags":[{"tagKey":"aws:k","tagValue":"v"}]}`, "TagException"),
		rw("UntagResource", `{"KeyId":"{id}","TagKeys":["k","l"]}`, `{"keyId":"{id}","tagKeys":["k","l"]}`, "keyArn",
			`{"KeyId":"{none}","TagKeys":["k"]}`, `{"keyId":"{none}","tagKeys":["k"]}`, noSuchKey),
		rw("UpdateKeyDescription", `{"KeyId":"{id}","Description":"d"}`, `{"keyId":"{id}","description":"d"}`, "null",
			`{"KeyId":"{none}","Description":""}`, `{"keyId":"{none}","description":""}`, noSuchKey),
		rw("EnableKeyRotation", `{"KeyId":"{id}","RotationPeriodInDays":90}`, `{"keyId":"{id}","rotationPeriodInDays":90}`, "keyArn",
			`{"KeyId":"{signer}"}`, `{"keyId":"{signer}"}`, "UnsupportedOperationException"),
		ro("GetKeyRotationStatus", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		rw("RotateKeyOnDemand", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "keyArn", `{"KeyId":"{mac}"}`, `{"keyId":"{mac}"}`, "UnsupportedOperationException"),
		ro("ListKeyRotations", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, `{"KeyId":"{mac}","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`, `{"keyId":"{mac}","includeKeyMaterial":"ALL_KEY_MATERIAL"}`,
			"UnsupportedOperationException"),
		rw("DisableKeyRotation", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "null", `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		ro("GetParametersForImport", `{"KeyId":"{waiting}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`,
			`{"keyId":"{waiting}","wrappingAlgorithm":"RSAES_OAEP_SHA_256","wrappingKeySpec":"RSA_2048"}`,
			`{"KeyId":"{id}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`, `{"keyId":"{id}","wrappingAlgorithm":"RSAES_OAEP_SHA_256","wrappingKeySpec":"RSA_2048"}`,
			"UnsupportedOperationException"),
		rw("ImportKeyMaterial", `{"KeyId":"{waiting}","ImportToken":"{token}","EncryptedKeyMaterial":"{sealed}","ExpirationModel":"KEY_MATERIAL_EXPIRES","ValidTo":{until},"KeyMaterialDescription":"d"}`,
			`{"keyId":"{waiting}","expirationModel":"KEY_MATERIAL_EXPIRES","validTo":"{until text}","keyMaterialDescription":"d"}`, "keyArnAndMaterial",
			`{"KeyId":"{waiting}","ImportToken":"{token}","EncryptedKeyMaterial":"{token}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`,
			`{"keyId":"{waiting}","expirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`, "ValidationException"),
		rw("DeleteImportedKeyMaterial", `{"KeyId":"{waiting}"}`, `{"keyId":"{waiting}"}`, "keyArnAndMaterial", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "UnsupportedOperationException"),
		{"DeleteAlias", `{"AliasName":"alias/audited"}`, `{"aliasName":"alias/audited"}`, "keyArn", "{alias} {key}", false,
			`{"AliasName":"alias/aws/s3"}`, `{"aliasName":"alias/aws/s3"}`, "NotAuthorizedException"},
		rw("CreateGrant", `{"KeyId":"{id}","GranteePrincipal":"{root}","Operations":["Encrypt","RetireGrant"],"Name":"n","Constraints":{"EncryptionContextEquals":{"a":"b"}}}`,
			`{"keyId":"{id}","granteePrincipal":"{root}","operations":["Encrypt","RetireGrant"],"name":"n","constraints":{"encryptionContextEquals":{"a":"b"}}}`, "keyArnAndGrant",
			`{"KeyId":"{id}","GranteePrincipal":"{root}","Operations":["CreateGrant"],"RetiringPrincipal":"{root}"}`,
			`{"keyId":"{id}","granteePrincipal":"{root}","operations":["CreateGrant"],"retiringPrincipal":"{root}"}`, "ValidationException"),
		ro("ListGrants", `{"KeyId":"{id}","Limit":3,"GranteePrincipal":"{root}"}`, `{"keyId":"{id}","limit":3,"granteePrincipal":"{root}"}`,
			`{"KeyId":"{id}","Marker":"x"}`, `{"keyId":"{id}","marker":"x"}`, "InvalidMarkerException"),
		{"ListRetirableGrants", `{"RetiringPrincipal":"{root}"}`, `{"retiringPrincipal":"{root}"}`, "null", "", true,
			`{"RetiringPrincipal":"{root}","Marker":"x"}`, `{"retiringPrincipal":"{root}","marker":"x"}`, "InvalidMarkerException"},
		rw("RetireGrant", `{"GrantToken":"{grant token}"}`, "null", "null", `{"KeyId":"{key}","GrantId":"x"}`, "null", "InvalidGrantIdException"),
		rw("RevokeGrant", `{"KeyId":"{id}","GrantId":"{grant}"}`, `{"keyId":"{id}","grantId":"{grant}"}`, "null",
			`{"KeyId":"{id}","GrantId":"{grant}"}`, `{"keyId":"{id}","grantId":"{grant}"}`, noSuchKey),
		rw("DisableKey", `{"KeyId":"{key}"}`, `{"keyId":"{key}"}`, "keyArn", `{"KeyId":"alias/x"}`, `{"keyId":"alias/x"}`, "InvalidArnException"),
		rw("EnableKey", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "keyArn", `{"KeyId":"{none}"}`, `{"keyId":"{none}"}`, noSuchKey),
		rw("ScheduleKeyDeletion", `{"KeyId":"{id}"}`, `{"keyId":"{id}","pendingWindowInDays":30}`, "deletion",
			`{"KeyId":"arn:aws:kms:us-east-1:444455556666:key/{id}"}`, `{"keyId":"arn:aws:kms:us-east-1:444455556666:key/{id}","pendingWindowInDays":30}`, "AccessDenied"),
		rw("CancelKeyDeletion", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "keyArn", `{"KeyId":"{id}"}`, `{"keyId":"{id}"}`, "KMSInvalidStateException"),
	}
	// Records name the key that was asked for.
	for op, key := range map[string]string{"Sign": "{signer}", "Verify": "{signer}", "GetPublicKey": "{signer}", "GenerateMac": "{mac}", "VerifyMac": "{mac}",
		"DeriveSharedSecret": "{agree}", "GetParametersForImport": "{waiting}", "ImportKeyMaterial": "{waiting}", "DeleteImportedKeyMaterial": "{waiting}"} {
		i := slices.IndexFunc(rows, func(r auditRow) bool { return r.op == op })
		rows[i].resources = "{arn}key/" + key
	}
	return rows
}

var englishTime = regexp.MustCompile(`^[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d{2}:\d{2} [AP]M$`)

// TestAuditRecords compares the record of every operation with the tables, and looks for secrets in everything that the node
// keeps (spec 03 AUD-55).
func TestAuditRecords(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c, ctx := s.Client(), t.Context()
	plant := func(what string, secret []byte) []byte {
		s.Plant(what, secret)
		return secret
	}
	secret := plant("a message", randomBytes(48))
	material := plant("imported material", randomBytes(32))
	context := map[string]string{"a": "b"}
	md, other, waiting := newKey(t, c), newKey(t, c), newKey(t, c, external)
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	agree := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeKeyAgreement))
	blob := do(c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: secret})).ok(t).CiphertextBlob
	sig := do(c.Sign(ctx, &kms.SignInput{KeyId: signer.KeyId, Message: secret, SigningAlgorithm: "ECDSA_SHA_256"})).ok(t).Signature
	tag := do(c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac.KeyId, Message: secret, MacAlgorithm: "HMAC_SHA_256"})).ok(t).Mac
	peer := do(c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: signer.KeyId})).ok(t).PublicKey
	in := importInput(t, c, waiting, material)
	// What the service hands out in the clear must be nowhere either, nor what only its clients should keep.
	pair := do(c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: md.KeyId, KeyPairSpec: "ECC_NIST_P256", EncryptionContext: context})).ok(t)
	shared := do(c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: agree.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: peer})).ok(t)
	size := int32(32)
	for what, b := range map[string][]byte{
		"a data key":    do(c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: md.KeyId, KeySpec: "AES_256"})).ok(t).Plaintext,
		"random bytes":  do(c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: &size})).ok(t).Plaintext,
		"a private key": pair.PrivateKeyPlaintext, "a shared secret": shared.SharedSecret, "a MAC": tag, "a signature": sig,
		"a ciphertext": blob, "wrapped material": in.EncryptedKeyMaterial, "an import token": in.ImportToken,
	} {
		plant(what, b)
	}
	newGrant := func() *kms.CreateGrantOutput {
		t.Helper()
		root := rootARN
		return do(c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: md.KeyId, GranteePrincipal: &root, Operations: []types.GrantOperation{"Decrypt"}})).ok(t)
	}
	retired, revoked := newGrant(), newGrant()
	plant("a grant token", []byte(*retired.GrantToken))
	plant("another grant token", []byte(*revoked.GrantToken))
	until := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second).UTC()
	names := strings.NewReplacer("{id}", *md.KeyId, "{key}", *md.Arn, "{other}", *other.KeyId, "{waiting}", *waiting.KeyId, "{signer}", *signer.KeyId,
		"{mac}", *mac.KeyId, "{agree}", *agree.KeyId, "{none}", noKey, "{arn}", arnHead, "{alias}", arnHead+"alias/audited", "{secret}", b64(secret),
		"{blob}", b64(blob), "{sig}", b64(sig), "{tag}", b64(tag), "{peer}", b64(peer), "{token}", b64(in.ImportToken), "{sealed}", b64(in.EncryptedKeyMaterial),
		"{policy}", fmt.Sprintf("%q", policyOf(delegation)), "{until}", fmt.Sprint(until.Unix()), "{root}", rootARN, "{grant token}", *retired.GrantToken, "{grant}", *revoked.GrantId, "{until text}", until.Format("Jan 2, 2006, 3:04:05 PM"))
	expand := func(v string) string { return names.Replace(names.Replace(v)) }
	tested := make(map[string]bool)
	for _, row := range auditRows() {
		tested[row.op] = true
		a := do(s.Call(ctx, row.op, expand(row.body))).ok(t)
		if a.Status != http.StatusOK {
			t.Errorf("%s: %s", row.op, a.Text())
			continue
		}
		made := *md.Arn
		if row.op == "CreateKey" {
			made = arnHead + "key/" + keyIDOf(t, a)
		}
		r := recordOf(t, s, a)
		checkEnvelope(t, s, r, row.op, row.readOnly, false)
		checkJSON(t, row.op+" requestParameters", r.RequestParameters, expand(row.params))
		checkElements(t, row, r, made)
		var arns []string
		for _, res := range r.Resources {
			if res.AccountID != account || res.Type != "AWS::KMS::Key" {
				t.Errorf("%s: resource %+v", row.op, res)
			}
			arns = append(arns, res.ARN)
		}
		if want := strings.Fields(strings.ReplaceAll(expand(row.resources), "{made}", made)); !slices.Equal(arns, want) {
			t.Errorf("%s: resources %v, want %v", row.op, arns, want)
		}
		f := do(s.Call(ctx, row.op, expand(row.failing))).ok(t)
		r = recordOf(t, s, f)
		checkEnvelope(t, s, r, row.op, row.readOnly, true)
		checkJSON(t, row.op+" requestParameters of a failure", r.RequestParameters, expand(row.badParam))
		_, message, _ := strings.Cut(f.Text(), ": ")
		if r.ErrorCode != row.failure || r.ErrorMessage != message || string(r.ResponseElements) != "null" {
			t.Errorf("%s: failure recorded as %q %q %s, answered %s", row.op, r.ErrorCode, r.ErrorMessage, r.ResponseElements, f.Text())
		}
	}
	for _, op := range api.Operations() {
		if !tested[op.Name] && !slices.Contains(elsewhere, op.Name) { // of those package api tests the records
			t.Errorf("%s has no row", op.Name)
		}
	}
	checkInternal(t, s, md)
}

// recordOf finds the record of an answer.
func recordOf(t *testing.T, s *trenttest.Server, a *trenttest.Answer) trenttest.Record {
	t.Helper()
	id := a.Header.Get("X-Amzn-Requestid")
	for _, r := range records(t, s) {
		if r.RequestID == id {
			return r
		}
	}
	t.Fatalf("no record of request %s", id)
	return trenttest.Record{}
}

// checkEnvelope compares the members that all records have (spec 03 A2).
func checkEnvelope(t *testing.T, s *trenttest.Server, r trenttest.Record, op string, readOnly, failed bool) {
	t.Helper()
	want := []string{
		"eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "requestParameters",
		"responseElements", "requestID", "eventID", "readOnly", "resources", "eventType", "managementEvent", "recipientAccountId", "eventCategory",
	}
	if failed {
		want = append(want, "errorCode")
		if r.ErrorMessage != "" {
			want = append(want, "errorMessage")
		}
	}
	if len(r.AdditionalEventData) > 0 {
		want = append(want, "additionalEventData")
	}
	got := slices.Sorted(maps.Keys(r.Members))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%s: members %v, want %v", op, got, want)
	}
	identity := map[string]any{"type": "Root", "principalId": account, "arn": rootARN, "accountId": account, "accessKeyId": s.AccessKeyID}
	if !reflect.DeepEqual(r.UserIdentity, identity) {
		t.Errorf("%s: userIdentity %v", op, r.UserIdentity)
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", r.EventTime); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("%s: eventTime %q", op, r.EventTime)
	}
	for what, pair := range map[string][2]string{
		"eventVersion": {r.EventVersion, "1.11"}, "eventSource": {r.EventSource, "kms.amazonaws.com"}, "eventName": {r.EventName, op},
		"awsRegion": {r.AWSRegion, "us-east-1"}, "sourceIPAddress": {r.SourceIPAddress, "127.0.0.1"}, "userAgent": {r.UserAgent, "Go-http-client/1.1"},
		"eventType": {r.EventType, "AwsApiCall"}, "eventCategory": {r.EventCategory, "Management"}, "recipientAccountId": {r.RecipientAccountID, account},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %s is %q, want %q", op, what, pair[0], pair[1])
		}
	}
	if r.ReadOnly == nil || *r.ReadOnly != readOnly || r.ManagementEvent == nil || !*r.ManagementEvent {
		t.Errorf("%s: readOnly %v, managementEvent %v", op, r.ReadOnly, r.ManagementEvent)
	}
	if materials := symmetricNotes[op]; !failed && !slices.Equal(slices.Sorted(maps.Keys(r.AdditionalEventData)), materials) {
		t.Errorf("%s: additionalEventData %v, want the members %v", op, r.AdditionalEventData, materials)
	}
}

// symmetricNotes are the members of additionalEventData (spec 03 A8).
var symmetricNotes = map[string][]string{
	"Encrypt": {"keyMaterialId"}, "Decrypt": {"keyMaterialId"}, "ReEncrypt": {"destinationKeyMaterialId", "sourceKeyMaterialId"},
	"GenerateDataKey": {"keyMaterialId"}, "GenerateDataKeyWithoutPlaintext": {"keyMaterialId"}, "GenerateDataKeyPair": {"keyMaterialId"},
	"GenerateDataKeyPairWithoutPlaintext": {"keyMaterialId"}, "RetireGrant": {"grantId"},
}

func checkJSON(t *testing.T, what string, got json.RawMessage, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatalf("%s: want %s: %v", what, want, err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s\ngot  %s\nwant %s", what, got, want)
	}
}

// checkElements compares the response elements.
func checkElements(t *testing.T, row auditRow, r trenttest.Record, made string) {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(r.ResponseElements, &e); err != nil {
		t.Fatal(err)
	}
	keyARN := ""
	for _, res := range r.Resources {
		if strings.Contains(res.ARN, ":key/") {
			keyARN = res.ARN
		}
	}
	names := slices.Sorted(maps.Keys(e))
	var want []string
	switch row.elements {
	case "null":
	case "keyArn":
		want = []string{"keyId"}
	case "keyArnAndGrant":
		want = []string{"grantId", "keyId"}
	case "keyArnAndMaterial":
		want = []string{"keyId", "keyMaterialId"}
	case "deletion":
		want = []string{"deletionDate", "keyId", "keyState", "pendingWindowInDays"}
		if date, _ := e["deletionDate"].(string); !englishTime.MatchString(date) || e["keyState"] != "PendingDeletion" || e["pendingWindowInDays"] != 30.0 {
			t.Errorf("%s: %s", row.op, r.ResponseElements)
		}
	case "keyMetadata":
		want = []string{"keyMetadata"}
		md, _ := e["keyMetadata"].(map[string]any)
		members := []string{"aWSAccountId", "arn", "creationDate", "currentKeyMaterialId", "customerMasterKeySpec", "description", "enabled", "encryptionAlgorithms",
			"keyId", "keyManager", "keySpec", "keyState", "keyUsage", "multiRegion", "origin"}
		if got := slices.Sorted(maps.Keys(md)); !slices.Equal(got, members) || md["arn"] != made {
			t.Errorf("%s: keyMetadata %v", row.op, md)
		}
		if date, _ := md["creationDate"].(string); !englishTime.MatchString(date) {
			t.Errorf("%s: creationDate %q", row.op, date)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("%s: responseElements %s, want the members %v", row.op, r.ResponseElements, want)
	}
	if _, ok := e["keyId"]; ok && e["keyId"] != keyARN {
		t.Errorf("%s: responseElements.keyId %v, want the key ARN %s", row.op, e["keyId"], keyARN)
	}
}

// checkInternal compares the region's own record of the rotation that the table asked for (spec 03 A10).
func checkInternal(t *testing.T, s *trenttest.Server, md *types.KeyMetadata) {
	t.Helper()
	all := records(t, s)
	i := slices.IndexFunc(all, func(r trenttest.Record) bool { return r.EventName == "RotateKey" })
	if i < 0 {
		t.Fatal("no RotateKey record")
	}
	r := all[i]
	want := []string{"awsRegion", "eventCategory", "eventID", "eventName", "eventSource", "eventTime", "eventType", "eventVersion", "managementEvent", "readOnly",
		"recipientAccountId", "requestParameters", "resources", "responseElements", "serviceEventDetails", "sourceIPAddress", "userAgent", "userIdentity"}
	if got := slices.Sorted(maps.Keys(r.Members)); !slices.Equal(got, want) {
		t.Errorf("RotateKey: members %v, want %v", got, want)
	}
	if !reflect.DeepEqual(r.UserIdentity, map[string]any{"accountId": account, "invokedBy": "AWS Internal"}) || r.EventType != "AwsServiceEvent" ||
		r.SourceIPAddress != "AWS Internal" || r.UserAgent != "AWS Internal" || *r.ReadOnly || !bytes.Equal(r.RequestParameters, []byte("null")) {
		t.Errorf("RotateKey: %s", r.Raw)
	}
	details := []string{"currentKeyMaterialId", "keyId", "keyOrigin", "previousKeyMaterialId", "rotationType"}
	if got := slices.Sorted(maps.Keys(r.ServiceEventDetails)); !slices.Equal(got, details) || r.ServiceEventDetails["rotationType"] != "ON_DEMAND" ||
		r.ServiceEventDetails["keyId"] != *md.KeyId || r.ServiceEventDetails["previousKeyMaterialId"] != *md.CurrentKeyMaterialId {
		t.Errorf("RotateKey: serviceEventDetails %v", r.ServiceEventDetails)
	}
}

// TestAuditOfUnsupportedOperations: a refusal is recorded like any other (AUD-03).
func TestAuditOfUnsupportedOperations(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	for op, readOnly := range map[string]bool{"CreateCustomKeyStore": false, "DescribeCustomKeyStores": true} {
		r := recordOf(t, s, do(s.Call(t.Context(), op, `{}`)).ok(t))
		if _, there := r.Members["resources"]; there || *r.ReadOnly != readOnly || string(r.RequestParameters) != "null" {
			t.Errorf("%s: %s", op, r.Raw)
		}
	}
}

// TestTLS: a node with HTTPS, seen by the SDK and in its records.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{Args: []string{"--tls"}})
	md := newKey(t, s.Client())
	a := do(s.Call(t.Context(), "DescribeKey", `{"KeyId":"`+*md.KeyId+`"}`)).ok(t)
	var tls map[string]string
	if err := json.Unmarshal(recordOf(t, s, a).Members["tlsDetails"], &tls); err != nil {
		t.Fatal(err)
	}
	if tls["tlsVersion"] != "TLSv1.3" || !strings.HasPrefix(tls["cipherSuite"], "TLS_") || tls["clientProvidedHostHeader"] != s.Address() {
		t.Errorf("tlsDetails %v", tls)
	}
}

// TestTamperedAudit: the operator's verification finds a record that was changed.
func TestTamperedAudit(t *testing.T) {
	t.Parallel()
	s, err := trenttest.Open(trenttest.Options{Dir: t.TempDir() + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	newKey(t, s.Client())
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Tamper("CreateKey", "DeleteKey"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), ": changed: ") {
		t.Errorf("after a change: %v", err)
	}
}
