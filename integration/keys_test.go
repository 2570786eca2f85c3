//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated and has to work for ever

package integration_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// keyKind is an allowed pair of spec and usage with the algorithms that the answer lists, in their recorded order (spec 10 CKY,
// section 6).
type keyKind struct {
	spec  types.KeySpec
	usage types.KeyUsageType
	enc   []types.EncryptionAlgorithmSpec
	sig   []types.SigningAlgorithmSpec
	mac   []types.MacAlgorithmSpec
	agree []types.KeyAgreementAlgorithmSpec
}

func keyKinds() []keyKind {
	const (
		ed = types.KeyUsageTypeEncryptDecrypt
		sv = types.KeyUsageTypeSignVerify
		gm = types.KeyUsageTypeGenerateVerifyMac
		ka = types.KeyUsageTypeKeyAgreement
	)
	oaep := []types.EncryptionAlgorithmSpec{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	rsa := []types.SigningAlgorithmSpec{
		"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
	}
	signs := func(a ...types.SigningAlgorithmSpec) []types.SigningAlgorithmSpec { return a }
	macs := func(a types.MacAlgorithmSpec) []types.MacAlgorithmSpec { return []types.MacAlgorithmSpec{a} }
	ecdh := []types.KeyAgreementAlgorithmSpec{"ECDH"}
	return []keyKind{
		{spec: "SYMMETRIC_DEFAULT", usage: ed, enc: []types.EncryptionAlgorithmSpec{"SYMMETRIC_DEFAULT"}},
		{spec: "RSA_2048", usage: ed, enc: oaep}, {spec: "RSA_2048", usage: sv, sig: rsa},
		{spec: "RSA_3072", usage: ed, enc: oaep}, {spec: "RSA_3072", usage: sv, sig: rsa},
		{spec: "RSA_4096", usage: ed, enc: oaep}, {spec: "RSA_4096", usage: sv, sig: rsa},
		{spec: "ECC_NIST_P256", usage: sv, sig: signs("ECDSA_SHA_256")}, {spec: "ECC_NIST_P256", usage: ka, agree: ecdh},
		{spec: "ECC_NIST_P384", usage: sv, sig: signs("ECDSA_SHA_384")}, {spec: "ECC_NIST_P384", usage: ka, agree: ecdh},
		{spec: "ECC_NIST_P521", usage: sv, sig: signs("ECDSA_SHA_512")}, {spec: "ECC_NIST_P521", usage: ka, agree: ecdh},
		{spec: "ECC_SECG_P256K1", usage: sv, sig: signs("ECDSA_SHA_256")},
		{spec: "ECC_NIST_EDWARDS25519", usage: sv, sig: signs("ED25519_SHA_512", "ED25519_PH_SHA_512")},
		{spec: "ML_DSA_44", usage: sv, sig: signs("ML_DSA_SHAKE_256")},
		{spec: "ML_DSA_65", usage: sv, sig: signs("ML_DSA_SHAKE_256")},
		{spec: "ML_DSA_87", usage: sv, sig: signs("ML_DSA_SHAKE_256")},
		{spec: "HMAC_224", usage: gm, mac: macs("HMAC_SHA_224")}, {spec: "HMAC_256", usage: gm, mac: macs("HMAC_SHA_256")},
		{spec: "HMAC_384", usage: gm, mac: macs("HMAC_SHA_384")}, {spec: "HMAC_512", usage: gm, mac: macs("HMAC_SHA_512")},
	}
}

var (
	singleID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	multiID    = regexp.MustCompile(`^mrk-[0-9a-f]{32}$`)
	materialID = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// checkMetadata compares every member of a fresh key's metadata (spec 10 section 6).
func checkMetadata(t *testing.T, md *types.KeyMetadata, kind keyKind, origin types.OriginType, multi bool, description string) {
	t.Helper()
	id, state := singleID, types.KeyStateEnabled
	if multi {
		id = multiID
	}
	if origin == types.OriginTypeExternal {
		state = types.KeyStatePendingImport
	}
	if !id.MatchString(aws.ToString(md.KeyId)) {
		t.Errorf("KeyId %q", aws.ToString(md.KeyId))
	}
	near(t, "CreationDate", md.CreationDate, time.Now())
	want := types.KeyMetadata{
		AWSAccountId: aws.String(account), KeyId: md.KeyId, Arn: aws.String(arnHead + "key/" + *md.KeyId), CreationDate: md.CreationDate,
		Enabled: state == types.KeyStateEnabled, Description: aws.String(description), KeyUsage: kind.usage, KeyState: state, Origin: origin,
		KeyManager: types.KeyManagerTypeCustomer, KeySpec: kind.spec, CustomerMasterKeySpec: types.CustomerMasterKeySpec(kind.spec),
		EncryptionAlgorithms: kind.enc, SigningAlgorithms: kind.sig, MacAlgorithms: kind.mac, KeyAgreementAlgorithms: kind.agree,
		MultiRegion: aws.Bool(multi),
	}
	if multi {
		want.MultiRegionConfiguration = &types.MultiRegionConfiguration{
			MultiRegionKeyType: types.MultiRegionKeyTypePrimary,
			PrimaryKey:         &types.MultiRegionKey{Arn: md.Arn, Region: aws.String("us-east-1")}, ReplicaKeys: []types.MultiRegionKey{},
		}
	}
	if kind.spec == types.KeySpecSymmetricDefault && origin == types.OriginTypeAwsKms {
		if !materialID.MatchString(aws.ToString(md.CurrentKeyMaterialId)) {
			t.Errorf("CurrentKeyMaterialId %q", aws.ToString(md.CurrentKeyMaterialId))
		}
		want.CurrentKeyMaterialId = md.CurrentKeyMaterialId
	}
	same(t, "KeyMetadata", *md, want)
}

func TestCreateKeyOfEveryKind(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for _, kind := range keyKinds() {
		t.Run(string(kind.spec)+" "+string(kind.usage), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(kind.spec, kind.usage))
			checkMetadata(t, md, kind, types.OriginTypeAwsKms, false, "")
			described := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.Arn})).ok(t).KeyMetadata
			same(t, "DescribeKey", *described, *md)
			if kind.enc == nil || len(kind.enc) > 1 { // HMAC and asymmetric
				in := &kms.CreateKeyInput{
					CustomerMasterKeySpec: types.CustomerMasterKeySpec(kind.spec), KeyUsage: kind.usage, MultiRegion: aws.Bool(true),
					Description: aws.String("twin"), Origin: types.OriginTypeExternal,
				}
				if slices.Contains([]types.KeySpec{"ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519"}, kind.spec) {
					in.CustomerMasterKeySpec, in.KeySpec = "", kind.spec // the deprecated enum lacks them
				}
				if kind.sig != nil && kind.sig[0] == "ML_DSA_SHAKE_256" {
					in.Origin = types.OriginTypeAwsKms
				}
				twin := do(c.CreateKey(t.Context(), in)).ok(t).KeyMetadata
				checkMetadata(t, twin, kind, in.Origin, true, "twin")
			}
		})
	}
}

func TestCreateKeyDefaults(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	symmetric := keyKinds()[0]
	checkMetadata(t, newKey(t, c), symmetric, types.OriginTypeAwsKms, false, "")
	checkMetadata(t, newKey(t, c, external), symmetric, types.OriginTypeExternal, false, "")
	checkMetadata(t, newKey(t, c, multiRegion), symmetric, types.OriginTypeAwsKms, true, "")
	checkMetadata(t, newKey(t, c, external, multiRegion), symmetric, types.OriginTypeExternal, true, "")
}

func TestCreateKeyRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	const usageMissing = "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
	refuse(t, s, []row{
		{"CreateKey", `{"KeySpec":"RSA_2048","CustomerMasterKeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`,
			"ValidationException: You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
		{"CreateKey", `{"KeySpec":"RSA_2048"}`, usageMissing},
		{"CreateKey", `{"KeySpec":"HMAC_256"}`, usageMissing},
		{"CreateKey", `{"CustomerMasterKeySpec":"ECC_NIST_P256"}`, usageMissing},
		{"CreateKey", `{"KeyUsage":"SIGN_VERIFY"}`, "ValidationException: KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
		{"CreateKey", `{"KeySpec":"HMAC_512","KeyUsage":"ENCRYPT_DECRYPT"}`, "ValidationException: KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_512"},
		{"CreateKey", `{"KeySpec":"ECC_SECG_P256K1","KeyUsage":"KEY_AGREEMENT"}`, "ValidationException: KeyUsage KEY_AGREEMENT is not compatible with KeySpec ECC_SECG_P256K1"},
		{"CreateKey", `{"KeySpec":"ECC_NIST_P256","KeyUsage":"ENCRYPT_DECRYPT"}`, "ValidationException: KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256"},
		{"CreateKey", `{"KeySpec":"RSA_4096","KeyUsage":"GENERATE_VERIFY_MAC"}`, "ValidationException: KeyUsage GENERATE_VERIFY_MAC is not compatible with KeySpec RSA_4096"},
		{"CreateKey", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`, "UnsupportedOperationException: KeySpec SM2 is not supported in this Region"},
		{"CreateKey", `{"KeySpec":"ML_DSA_65","KeyUsage":"SIGN_VERIFY","Origin":"EXTERNAL"}`, "ValidationException: EXTERNAL origin is not supported for ML-DSA keys."},
		{"CreateKey", `{"Origin":"AWS_CLOUDHSM","CustomKeyStoreId":"cks-1234567890abcdef0"}`,
			"UnsupportedOperationException: Origin AWS_CLOUDHSM needs a custom key store, which this Region does not have."},
		{"CreateKey", `{"Origin":"EXTERNAL_KEY_STORE","KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`,
			"UnsupportedOperationException: KeySpec RSA_2048 is not supported in a custom key store."},
		{"CreateKey", `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`, "CustomKeyStoreNotFoundException: Custom key store cks-1234567890abcdef0 is not found."},
		{"CreateKey", `{"XksKeyId":"bb8562717f809024"}`, "ValidationException: XksKeyId is only valid with the Origin EXTERNAL_KEY_STORE."},
	})
}

func TestDescribeKeyBadIdentifiers(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	md := newKey(t, s.Client())
	upper := "ABCDEF00-0000-4000-8000-000000000000"
	refuse(t, s, []row{
		{"DescribeKey", `{"KeyId":"{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"DescribeKey", `{"KeyId":"{arn}key/{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"DescribeKey", `{"KeyId":"{upper}"}`, "NotFoundException: Key '{arn}key/{upper}' does not exist"},
		{"DescribeKey", `{"KeyId":"mrk-0123456789abcdef0123456789abcdef"}`, "NotFoundException: Key '{arn}key/mrk-0123456789abcdef0123456789abcdef' does not exist"},
		{"DescribeKey", `{"KeyId":"nonsense"}`, "NotFoundException: Invalid keyId 'nonsense'"},
		{"DescribeKey", `{"KeyId":"mrk-123"}`, "NotFoundException: Invalid keyId 'mrk-123'"},
		{"DescribeKey", `{"KeyId":"1234abcd12ab34cd56ef1234567890ab"}`, "NotFoundException: Invalid keyId '1234abcd12ab34cd56ef1234567890ab'"},
		{"DescribeKey", `{"KeyId":"{arn}key/nonsense"}`, "NotFoundException: Invalid keyId nonsense"},
		{"DescribeKey", `{"KeyId":"arn:aws:kms:eu-west-1:111122223333:key/{id}"}`, "NotFoundException: Invalid arn eu-west-1"},
		{"DescribeKey", `{"KeyId":"arn:aws:s3:us-east-1:111122223333:key/{id}"}`, "InvalidArnException: Invalid arn arn:aws:s3:us-east-1:111122223333:key/{id}"},
		{"DescribeKey", `{"KeyId":"arn:nonsense"}`, "InvalidArnException: Invalid arn arn:nonsense"},
		{"DescribeKey", `{"KeyId":"alias/none"}`, "NotFoundException: Alias {arn}alias/none is not found."},
		{"DescribeKey", `{"KeyId":"{arn}alias/none"}`, "NotFoundException: Alias {arn}alias/none is not found."},
		{"DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:key/{id}"}`, denied("DescribeKey")},
		{"DescribeKey", `{"KeyId":"arn:aws:kms:us-east-1:444455556666:alias/none"}`, denied("DescribeKey")},
	}, "{arn}", arnHead, "{none}", noKey, "{upper}", upper, "{id}", *md.KeyId)
}

// denied is the answer for a key of another account, existing or not (spec 10 P-4).
func denied(op string) string {
	return "AccessDeniedException: User: " + rootARN + " is not authorized to perform: kms:" + op + " on this resource because the resource " +
		"does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
}

func TestUpdateKeyDescription(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	for _, text := range []string{"Schlüssel für „Bestellungen“ 🔑", "second", ""} {
		do(c.UpdateKeyDescription(t.Context(), &kms.UpdateKeyDescriptionInput{KeyId: md.KeyId, Description: &text})).ok(t)
		got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
		if *got.Description != text {
			t.Errorf("description %q, want %q", *got.Description, text)
		}
	}
}

func TestEnableDisable(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	state := func(want types.KeyState) {
		t.Helper()
		got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
		if got.KeyState != want || got.Enabled != (want == types.KeyStateEnabled) {
			t.Errorf("state %s, enabled %v, want %s", got.KeyState, got.Enabled, want)
		}
	}
	for range 2 { // both are idempotent
		do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: md.Arn})).ok(t)
		state(types.KeyStateDisabled)
	}
	for range 2 {
		do(c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: md.KeyId})).ok(t)
		state(types.KeyStateEnabled)
	}
}

func TestScheduleAndCancelDeletion(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for _, days := range []int32{7, 30, 0} {
		md := newKey(t, c)
		in := &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId}
		want := int32(30)
		if days > 0 {
			in.PendingWindowInDays, want = &days, days
		}
		out := do(c.ScheduleKeyDeletion(t.Context(), in)).ok(t)
		at := time.Now().Add(time.Duration(want) * 24 * time.Hour)
		near(t, "DeletionDate", out.DeletionDate, at)
		same(t, "ScheduleKeyDeletion", *out, kms.ScheduleKeyDeletionOutput{
			KeyId: md.Arn, DeletionDate: out.DeletionDate, KeyState: types.KeyStatePendingDeletion, PendingWindowInDays: &want,
		})
		got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
		if got.KeyState != types.KeyStatePendingDeletion || got.Enabled || !got.DeletionDate.Equal(*out.DeletionDate) || got.PendingDeletionWindowInDays != nil {
			t.Errorf("pending deletion: %+v", got)
		}
		do(c.ScheduleKeyDeletion(t.Context(), in)).refused(t, "KMSInvalidStateException: "+*md.Arn+" is pending deletion.")
		cancelled := do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: md.KeyId})).ok(t)
		if aws.ToString(cancelled.KeyId) != *md.Arn {
			t.Errorf("CancelKeyDeletion answers %q", aws.ToString(cancelled.KeyId))
		}
		got = do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
		if got.KeyState != types.KeyStateDisabled || got.DeletionDate != nil {
			t.Errorf("after the cancellation: %+v", got)
		}
		do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: md.KeyId})).refused(t,
			"KMSInvalidStateException: "+*md.Arn+" is not pending deletion.")
	}
	// A key without material is without material again (spec 01 DEL-10).
	md := newKey(t, c, external)
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	if got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata; got.KeyState != types.KeyStatePendingImport {
		t.Errorf("cancelled deletion of a key without material: %s", got.KeyState)
	}
}
