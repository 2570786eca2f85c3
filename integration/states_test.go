package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// stateTable is spec 10 section 4 for the states that keys of this region can be in, as the chapters settle it: what each
// operation answers for a key made here (own) that is Enabled, Disabled or PendingDeletion, and for one with imported material
// (ext) that is Enabled, Disabled, PendingDeletion or PendingImport.
//
//	ok  success       d   is disabled             pd  is pending deletion     pi  is pending import
//	np  is not pending deletion                   or  the origin is not valid for this operation
//	nm  no material is pending rotation           -   not asked
const stateTable = `
usage     operation                            own           ext
symmetric Encrypt                              ok d  pd      ok d  pd pi
symmetric Decrypt                              ok d  pd      ok d  pd pi
symmetric ReEncryptFrom                        ok d  pd      ok d  pd pi
symmetric ReEncryptTo                          ok d  pd      ok d  pd pi
symmetric GenerateDataKey                      ok d  pd      ok d  pd pi
symmetric GenerateDataKeyWithoutPlaintext      ok d  pd      ok d  pd pi
symmetric GenerateDataKeyPair                  ok d  pd      ok d  pd pi
symmetric GenerateDataKeyPairWithoutPlaintext  ok d  pd      ok d  pd pi
sign      Sign                                 ok d  pd      ok d  pd pi
sign      Verify                               ok d  pd      ok d  pd pi
sign      GetPublicKey                         ok ok pd      ok ok pd pi
mac       GenerateMac                          ok d  pd      ok d  pd pi
mac       VerifyMac                            ok d  pd      ok d  pd pi
agree     DeriveSharedSecret                   ok d  pd      ok d  pd pi
symmetric DescribeKey                          ok ok ok      ok ok ok ok
symmetric GetKeyPolicy                         ok ok ok      ok ok ok ok
symmetric PutKeyPolicy                         ok ok ok      ok ok ok ok
symmetric ListAliases                          ok ok ok      ok ok ok ok
symmetric ListKeyPolicies                      ok ok ok      ok ok ok ok
symmetric ListGrants                           ok ok ok      ok ok ok ok
symmetric CreateGrant                          ok d  pd      ok d  pd pi
symmetric ListResourceTags                     ok ok ok      ok ok ok ok
symmetric GetKeyLastUsage                      ok ok ok      ok ok ok ok
symmetric CreateAlias                          ok ok pd      ok ok pd ok
symmetric UpdateAlias                          ok ok pd      ok ok pd ok
symmetric DeleteAlias                          ok ok ok      ok ok ok ok
symmetric TagResource                          ok ok pd      ok ok pd ok
symmetric UntagResource                        ok ok pd      ok ok pd ok
symmetric UpdateKeyDescription                 ok ok pd      ok ok pd ok
symmetric EnableKeyRotation                    ok d  pd      or or or or
symmetric DisableKeyRotation                   ok d  pd      or or or or
symmetric GetKeyRotationStatus                 ok ok ok      ok ok ok ok
symmetric ListKeyRotations                     ok ok ok      ok ok ok ok
symmetric RotateKeyOnDemand                    ok d  pd      nm d  pd pi
symmetric GetParametersForImport               or or or      ok ok pd ok
symmetric ImportKeyMaterial                    or or or      ok ok pd ok
symmetric DeleteImportedKeyMaterial            or or or      ok ok ok ok
symmetric CancelKeyDeletion                    np np ok      np np ok np
symmetric ScheduleKeyDeletion                  ok ok pd      ok ok pd ok
symmetric DisableKey                           ok ok pd      ok ok pd pi
symmetric EnableKey                            ok ok pd      ok ok pd pi
`

var usages = map[string]func(*kms.CreateKeyInput){
	"symmetric": func(*kms.CreateKeyInput) {}, "sign": withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify),
	"mac": withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac), "agree": withSpec("ECC_NIST_P256", types.KeyUsageTypeKeyAgreement),
}

// stateCalls are the requests, with what prepare puts in. ReEncrypt is asked for each of its two keys.
var stateCalls = map[string]string{
	"Encrypt":                             `{"KeyId":"{id}","Plaintext":"aGk="}`,
	"Decrypt":                             `{"CiphertextBlob":"{blob}"}`,
	"ReEncryptFrom":                       `{"CiphertextBlob":"{blob}","DestinationKeyId":"{good}"}`,
	"ReEncryptTo":                         `{"CiphertextBlob":"{good blob}","DestinationKeyId":"{id}"}`,
	"GenerateDataKey":                     `{"KeyId":"{id}","KeySpec":"AES_256"}`,
	"GenerateDataKeyWithoutPlaintext":     `{"KeyId":"{id}","KeySpec":"AES_256"}`,
	"GenerateDataKeyPair":                 `{"KeyId":"{id}","KeyPairSpec":"ECC_NIST_P256"}`,
	"GenerateDataKeyPairWithoutPlaintext": `{"KeyId":"{id}","KeyPairSpec":"ECC_NIST_P256"}`,
	"Sign":                                `{"KeyId":"{id}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`,
	"Verify":                              `{"KeyId":"{id}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256","Signature":"{sig}"}`,
	"GenerateMac":                         `{"KeyId":"{id}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256"}`,
	"VerifyMac":                           `{"KeyId":"{id}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"{mac}"}`,
	"DeriveSharedSecret":                  `{"KeyId":"{id}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{peer}"}`,
	"PutKeyPolicy":                        fmt.Sprintf(`{"KeyId":"{id}","Policy":%q}`, policyOf(delegation)),
	"CreateGrant":                         `{"KeyId":"{id}","GranteePrincipal":"` + rootARN + `","Operations":["Encrypt"]}`,
	"CreateAlias":                         `{"AliasName":"alias/new/{id}","TargetKeyId":"{id}"}`,
	"UpdateAlias":                         `{"AliasName":"alias/elsewhere/{id}","TargetKeyId":"{id}"}`,
	"DeleteAlias":                         `{"AliasName":"alias/here/{id}"}`,
	"TagResource":                         `{"KeyId":"{id}","Tags":[{"TagKey":"a","TagValue":"b"}]}`,
	"UntagResource":                       `{"KeyId":"{id}","TagKeys":["a"]}`,
	"UpdateKeyDescription":                `{"KeyId":"{id}","Description":"changed"}`,
	"GetParametersForImport":              `{"KeyId":"{id}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`,
	"ImportKeyMaterial":                   `{"KeyId":"{id}","ImportToken":"{token}","EncryptedKeyMaterial":"{sealed}","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}`,
}

// specimen is a key with everything that the calls need, made while it was enabled.
type specimen struct {
	md    *types.KeyMetadata
	names []string // placeholders and values
}

// good is an enabled key beside the specimens.
type good struct {
	md   *types.KeyMetadata
	blob []byte
	peer []byte
}

// prepare makes a key and its artifacts.
func prepare(t *testing.T, c *kms.Client, usage string, imported bool, g good) specimen {
	t.Helper()
	token, sealed := []byte{1}, []byte{1}
	change := []func(*kms.CreateKeyInput){usages[usage]}
	if imported {
		change = append(change, external)
	}
	md := newKey(t, c, change...)
	if imported {
		in := importInput(t, c, md, materialFor(t, usage))
		do(c.ImportKeyMaterial(t.Context(), in)).ok(t)
		token, sealed = in.ImportToken, in.EncryptedKeyMaterial
	}
	names := []string{"{id}", *md.KeyId, "{arn}", *md.Arn, "{good}", *g.md.KeyId, "{good blob}", b64(g.blob), "{peer}", b64(g.peer),
		"{token}", b64(token), "{sealed}", b64(sealed)}
	ctx := t.Context()
	switch usage {
	case "symmetric":
		names = append(names, "{blob}", b64(do(c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("hi")})).ok(t).CiphertextBlob))
	case "sign":
		names = append(names, "{sig}", b64(do(c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: []byte("hi"), SigningAlgorithm: "ECDSA_SHA_256"})).ok(t).Signature))
	case "mac":
		names = append(names, "{mac}", b64(do(c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: md.KeyId, Message: []byte("hi"), MacAlgorithm: "HMAC_SHA_256"})).ok(t).Mac))
	}
	return specimen{md, names}
}

// materialFor makes material to import.
func materialFor(t *testing.T, usage string) []byte {
	if usage == "symmetric" || usage == "mac" {
		return randomBytes(32)
	}
	dir := t.TempDir()
	byok(t, dir, "generate", "ECC_NIST_P256")
	return read(t, dir, "PlaintextKeyMaterial.bin")
}

// bring brings a specimen into a state.
func (s specimen) bring(t *testing.T, c *kms.Client, state types.KeyState) {
	t.Helper()
	switch state {
	case types.KeyStateDisabled:
		do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: s.md.KeyId})).ok(t)
	case types.KeyStatePendingDeletion:
		do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: s.md.KeyId})).ok(t)
	case types.KeyStatePendingImport:
		do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: s.md.KeyId})).ok(t)
	}
	if got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: s.md.KeyId})).ok(t).KeyMetadata.KeyState; got != state {
		t.Fatalf("the specimen is %s, not %s", got, state)
	}
}

// cellText is what a cell of the table stands for.
func cellText(cell string, origin types.OriginType) string {
	return map[string]string{
		"ok": "", "d": "DisabledException: {arn} is disabled.", "pd": "KMSInvalidStateException: {arn} is pending deletion.",
		"pi": "KMSInvalidStateException: {arn} is pending import.", "np": "KMSInvalidStateException: {arn} is not pending deletion.",
		"or": "UnsupportedOperationException: {arn} origin is " + string(origin) + " which is not valid for this operation.",
		"nm": "KMSInvalidStateException: No available key material pending rotation for the key: {arn}.",
	}[cell]
}

// TestKeyStates walks the whole table. Keys are shared by the operations that leave their state alone; the others get their own.
func TestKeyStates(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	g := good{md: newKey(t, c)}
	g.blob = do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: g.md.KeyId, Plaintext: []byte("hi")})).ok(t).CiphertextBlob
	peer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeKeyAgreement))
	g.peer = do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: peer.KeyId})).ok(t).PublicKey
	changes := map[string]bool{
		"RotateKeyOnDemand": true, "ImportKeyMaterial": true, "DeleteImportedKeyMaterial": true, "CancelKeyDeletion": true,
		"ScheduleKeyDeletion": true, "DisableKey": true, "EnableKey": true,
	}
	columns := []struct {
		imported bool
		state    types.KeyState
	}{
		{false, "Enabled"}, {false, "Disabled"}, {false, "PendingDeletion"},
		{true, "Enabled"}, {true, "Disabled"}, {true, "PendingDeletion"}, {true, "PendingImport"},
	}
	rows := strings.Split(strings.TrimSpace(stateTable), "\n")[1:]
	for i, column := range columns {
		origin := types.OriginTypeAwsKms
		if column.imported {
			origin = types.OriginTypeExternal
		}
		t.Run(string(origin)+" "+string(column.state), func(t *testing.T) {
			t.Parallel()
			shared := make(map[string]specimen)
			for _, line := range rows {
				f := strings.Fields(line)
				usage, op, cell := f[0], f[1], f[2+i]
				sp, ok := shared[usage]
				if !ok || changes[op] {
					sp = prepare(t, c, usage, column.imported, g)
					if !changes[op] {
						createAlias(t, c, "alias/here/"+*sp.md.KeyId, sp.md)
						if usage == "symmetric" {
							createAlias(t, c, "alias/elsewhere/"+*sp.md.KeyId, g.md)
						}
						shared[usage] = sp
					}
					sp.bring(t, c, column.state)
				}
				body, listed := stateCalls[op]
				if !listed {
					body = `{"KeyId":"{id}"}`
				}
				op = strings.TrimSuffix(strings.TrimSuffix(op, "From"), "To")
				refuse(t, s, []row{{op, body, cellText(cell, origin)}}, sp.names...)
			}
		})
	}
}
