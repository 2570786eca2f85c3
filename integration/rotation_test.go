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

func TestAutomaticRotationSetting(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	day := 24 * time.Hour
	status := func() *kms.GetKeyRotationStatusOutput {
		t.Helper()
		return do(c.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t)
	}
	off := kms.GetKeyRotationStatusOutput{KeyId: md.Arn}
	same(t, "never enabled", *status(), off)
	do(c.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: md.KeyId})).ok(t) // without effect
	enable := func(days *int32) *kms.GetKeyRotationStatusOutput {
		t.Helper()
		do(c.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: md.Arn, RotationPeriodInDays: days})).ok(t)
		want := aws.Int32(365)
		if days != nil {
			want = days
		}
		got := status()
		near(t, "NextRotationDate", got.NextRotationDate, time.Now().Add(time.Duration(*want)*day))
		same(t, "enabled", *got, kms.GetKeyRotationStatusOutput{KeyId: md.Arn, KeyRotationEnabled: true, RotationPeriodInDays: want, NextRotationDate: got.NextRotationDate})
		return got
	}
	first := enable(nil)
	if again := enable(aws.Int32(365)); !again.NextRotationDate.Equal(*first.NextRotationDate) {
		t.Error("enabling with the same period moves the date (ROT-26)")
	}
	enable(aws.Int32(90))
	enable(aws.Int32(2560))
	enable(nil)
	do(c.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: md.KeyId})).ok(t)
	same(t, "disabled", *status(), off)

	// A disabled key keeps its setting; one pending deletion shows none until it is cancelled (spec 02 ROT-29, ROT-30).
	kept := enable(aws.Int32(100))
	do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: md.KeyId})).ok(t)
	same(t, "of a disabled key", *status(), *kept)
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	same(t, "pending deletion", *status(), off)
	do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	same(t, "cancelled", *status(), *kept)
}

func TestRotateKeyOnDemand(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	do(c.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: md.KeyId, RotationPeriodInDays: aws.Int32(730)})).ok(t)
	before := do(c.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t)
	var blobs [][]byte
	materials := []string{*md.CurrentKeyMaterialId}
	encrypt := func() {
		blobs = append(blobs, do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: fmt.Appendf(nil, "version %d", len(blobs))})).ok(t).CiphertextBlob)
	}
	encrypt()
	const limit = 25
	for range limit {
		out := do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).ok(t)
		same(t, "RotateKeyOnDemand", *out, kms.RotateKeyOnDemandOutput{KeyId: md.Arn})
		now := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
		materials = append(materials, *now.CurrentKeyMaterialId)
		encrypt()
	}
	do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).refused(t, "LimitExceededException: "+
		"The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: "+*md.Arn)
	for i, blob := range blobs { // every version still decrypts, by the material that made it
		out := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t)
		if string(out.Plaintext) != fmt.Sprintf("version %d", i) || *out.KeyMaterialId != materials[i] {
			t.Errorf("version %d decrypts to %q by %s, want %s", i, out.Plaintext, *out.KeyMaterialId, materials[i])
		}
	}
	after := do(c.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t)
	same(t, "the schedule is as before (ROT-39)", *after, *before)

	list := do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: md.KeyId})).ok(t)
	if len(list.Rotations) != limit || list.Truncated || list.NextMarker != nil {
		t.Fatalf("%d rotations, truncated %v", len(list.Rotations), list.Truncated)
	}
	for i, r := range list.Rotations {
		state := types.KeyMaterialStateNonCurrent
		if i == limit-1 {
			state = types.KeyMaterialStateCurrent
		}
		near(t, "RotationDate", r.RotationDate, time.Now())
		same(t, fmt.Sprintf("rotation %d", i), r, types.RotationsListEntry{
			KeyId: md.KeyId, KeyMaterialId: &materials[i+1], KeyMaterialState: state, RotationDate: r.RotationDate, RotationType: types.RotationTypeOnDemand,
		})
	}
	all := do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: md.Arn, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})).ok(t)
	if len(all.Rotations) != limit+1 {
		t.Fatalf("%d materials", len(all.Rotations))
	}
	same(t, "the first material", all.Rotations[0], types.RotationsListEntry{KeyId: md.KeyId, KeyMaterialId: &materials[0], KeyMaterialState: types.KeyMaterialStateNonCurrent})
}

// TestRotateImportedKey: new material waits, becomes current by a rotation, and old material stays needed (spec 02 section 6,
// spec 07 B6).
func TestRotateImportedKey(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, external)
	rotate := func() answer[*kms.RotateKeyOnDemandOutput] {
		return do(c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: md.KeyId}))
	}
	list := func() []types.RotationsListEntry {
		t.Helper()
		return do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: md.KeyId, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})).ok(t).Rotations
	}
	describe := func() *types.KeyMetadata {
		t.Helper()
		return do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
	}
	rotate().refused(t, "KMSInvalidStateException: "+*md.Arn+" is pending import.")
	first, second, third := randomBytes(32), randomBytes(32), randomBytes(32)
	described := func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialDescription = aws.String("the first one") }
	one := do(importMaterial(t, c, md, first, described)).ok(t)
	rotate().refused(t, "KMSInvalidStateException: No available key material pending rotation for the key: "+*md.Arn+".")
	old := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("old")})).ok(t).CiphertextBlob

	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	two := do(importMaterial(t, c, md, second, asNew, expiring(until))).ok(t)
	entries := list()
	if len(entries) != 2 {
		t.Fatalf("%d materials", len(entries))
	}
	forever, until1 := types.ExpirationModelTypeKeyMaterialDoesNotExpire, entries[1].ValidTo
	same(t, "current", entries[0], types.RotationsListEntry{
		KeyId: md.KeyId, KeyMaterialId: one.KeyMaterialId, KeyMaterialState: "CURRENT", ImportState: "IMPORTED", ExpirationModel: forever,
		KeyMaterialDescription: aws.String("the first one"),
	})
	same(t, "waiting", entries[1], types.RotationsListEntry{
		KeyId: md.KeyId, KeyMaterialId: two.KeyMaterialId, KeyMaterialState: "PENDING_ROTATION", ImportState: "IMPORTED", ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo: until1,
	})
	near(t, "ValidTo", until1, until)
	if got := describe(); *got.CurrentKeyMaterialId != *one.KeyMaterialId || got.ExpirationModel != forever || got.ValidTo != nil {
		t.Errorf("material that waits shows in the metadata: %+v", got)
	}
	// Another one cannot wait besides; deleting the one that waits makes room.
	refusal := do(importMaterial(t, c, md, third, asNew))
	if got := text(refusal.err); !strings.HasPrefix(got, "KMSInvalidStateException: New key material (id: ") ||
		!strings.HasSuffix(got, fmt.Sprintf(") cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.", *md.Arn, *two.KeyMaterialId)) {
		t.Errorf("a second material that waits: %s", got)
	}
	do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: md.KeyId, KeyMaterialId: two.KeyMaterialId})).ok(t)
	if entries = list(); len(entries) != 1 || describe().KeyState != "Enabled" {
		t.Errorf("after deleting what waited: %d materials, %s", len(entries), describe().KeyState)
	}
	three := do(importMaterial(t, c, md, third, asNew)).ok(t)
	rotate().ok(t)
	entries = list()
	same(t, "rotated out", entries[0], types.RotationsListEntry{
		KeyId: md.KeyId, KeyMaterialId: one.KeyMaterialId, KeyMaterialState: "NON_CURRENT", ImportState: "IMPORTED", ExpirationModel: forever,
		KeyMaterialDescription: aws.String("the first one"),
	})
	same(t, "rotated in", entries[1], types.RotationsListEntry{
		KeyId: md.KeyId, KeyMaterialId: three.KeyMaterialId, KeyMaterialState: "CURRENT", ImportState: "IMPORTED", ExpirationModel: forever,
		RotationDate: entries[1].RotationDate, RotationType: "ON_DEMAND",
	})
	young := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("new")})).ok(t).CiphertextBlob
	decrypts := func(blob []byte, want string, by *string) {
		t.Helper()
		out := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t)
		if string(out.Plaintext) != want || *out.KeyMaterialId != *by {
			t.Errorf("%q by %s", out.Plaintext, *out.KeyMaterialId)
		}
	}
	decrypts(old, "old", one.KeyMaterialId)
	decrypts(young, "new", three.KeyMaterialId)

	// Without the old material the key is not usable; only that material brings it back, named or not.
	do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: md.KeyId, KeyMaterialId: one.KeyMaterialId})).ok(t)
	if got := describe().KeyState; got != "PendingImport" {
		t.Errorf("state %s", got)
	}
	named := func(id *string) func(*kms.ImportKeyMaterialInput) {
		return func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialId = id }
	}
	do(importMaterial(t, c, md, first, named(three.KeyMaterialId))).refused(t, "IncorrectKeyMaterialException")
	do(importMaterial(t, c, md, second)).refused(t, "IncorrectKeyMaterialException")
	do(importMaterial(t, c, md, first, named(one.KeyMaterialId))).ok(t)
	if entries = list(); aws.ToString(entries[0].KeyMaterialDescription) != "the first one" {
		t.Errorf("the description is not kept: %v", aws.ToString(entries[0].KeyMaterialDescription))
	}
	decrypts(old, "old", one.KeyMaterialId)
	same(t, "status", *do(c.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t), kms.GetKeyRotationStatusOutput{KeyId: md.Arn})
}

func TestRotationRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	ec := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	waiting, imported := newKey(t, c, external), newKey(t, c, external)
	do(importMaterial(t, c, imported, randomBytes(32))).ok(t)
	const origin = "UnsupportedOperationException: {arn}key/%s origin is EXTERNAL which is not valid for this operation."
	rows := []row{
		{"EnableKeyRotation", `{"KeyId":"{none}","RotationPeriodInDays":89}`, invalid(violation("'89'", "rotationPeriodInDays", "have value greater than or equal to 90"))},
		{"EnableKeyRotation", `{"KeyId":"{none}","RotationPeriodInDays":2561}`, invalid(violation("'2561'", "rotationPeriodInDays", "have value less than or equal to 2560"))},
		{"ListKeyRotations", `{"KeyId":"{mac}"}`, "UnsupportedOperationException"},
		{"ListKeyRotations", `{"KeyId":"{ec}"}`, "UnsupportedOperationException"},
		{"RotateKeyOnDemand", `{"KeyId":"{waiting}"}`, "KMSInvalidStateException: {arn}key/{waiting} is pending import."},
	}
	for _, key := range []string{"{mac}", "{ec}"} {
		rows = append(rows, row{"EnableKeyRotation", `{"KeyId":"` + key + `"}`, "UnsupportedOperationException"},
			row{"RotateKeyOnDemand", `{"KeyId":"` + key + `"}`, "UnsupportedOperationException"})
	}
	for _, key := range []string{"{waiting}", "{imported}"} {
		rows = append(rows, row{"EnableKeyRotation", `{"KeyId":"` + key + `"}`, fmt.Sprintf(origin, key)},
			row{"DisableKeyRotation", `{"KeyId":"` + key + `"}`, fmt.Sprintf(origin, key)})
	}
	refuse(t, s, rows, "{none}", noKey, "{mac}", *mac.KeyId, "{ec}", *ec.KeyId, "{waiting}", *waiting.KeyId, "{imported}", *imported.KeyId, "{arn}", arnHead)
	for _, md := range []*types.KeyMetadata{mac, ec, waiting, imported} { // they do not rotate, which is no error (spec 02 ROT-16)
		same(t, string(md.KeySpec), *do(c.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t), kms.GetKeyRotationStatusOutput{KeyId: md.Arn})
	}
	for _, md := range []*types.KeyMetadata{mac, ec} {
		do(c.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: md.KeyId})).ok(t)
	}
}
