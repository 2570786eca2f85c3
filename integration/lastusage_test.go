package integration_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// TestGetKeyLastUsage: the last use is the one in the audit log, by its ids (spec 03 AUD-54).
func TestGetKeyLastUsage(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, other := newKey(t, c), newKey(t, c)
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	last := func(md *types.KeyMetadata) *types.KeyLastUsageData {
		t.Helper()
		out := do(c.GetKeyLastUsage(t.Context(), &kms.GetKeyLastUsageInput{KeyId: md.Arn})).ok(t)
		if out.KeyLastUsage == nil {
			t.Fatal("no KeyLastUsage")
		}
		same(t, "GetKeyLastUsage", *out, kms.GetKeyLastUsageOutput{
			KeyId: md.KeyId, KeyLastUsage: out.KeyLastUsage, TrackingStartDate: md.CreationDate, KeyCreationDate: md.CreationDate,
		})
		return out.KeyLastUsage
	}
	same(t, "never used", *last(md), types.KeyLastUsageData{})
	used := func(md *types.KeyMetadata, op types.KeyLastUsageTrackingOperation) {
		t.Helper()
		got := last(md)
		near(t, "Timestamp", got.Timestamp, time.Now())
		i := slices.IndexFunc(records(t, s), func(r trenttest.Record) bool { return r.EventID == aws.ToString(got.CloudTrailEventId) })
		if i < 0 {
			t.Fatalf("%s: event %s is not in the audit log", op, aws.ToString(got.CloudTrailEventId))
		}
		if r := records(t, s)[i]; got.Operation != op || r.EventName != string(op) || r.RequestID != aws.ToString(got.KmsRequestId) {
			t.Errorf("last use %s (%s), recorded as %s (%s)", got.Operation, aws.ToString(got.KmsRequestId), r.EventName, r.RequestID)
		}
	}
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})).ok(t).CiphertextBlob
	used(md, "Encrypt")
	do(c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: other.KeyId})).ok(t)
	used(md, "ReEncrypt")
	used(other, "ReEncrypt")
	do(c.GenerateDataKeyPairWithoutPlaintext(t.Context(), &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: md.KeyId, KeyPairSpec: "ECC_NIST_P256"})).ok(t)
	used(md, "GenerateDataKeyPairWithoutPlaintext")
	do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})).refused(t, "InvalidCiphertextException")
	used(md, "GenerateDataKeyPairWithoutPlaintext") // a failure is no use
	do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t)
	used(md, "GenerateDataKeyPairWithoutPlaintext")
	do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: md.KeyId})).ok(t)
	used(md, "GenerateDataKeyPairWithoutPlaintext")
	do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: signer.KeyId})).ok(t)
	same(t, "a public key is not used", *last(signer), types.KeyLastUsageData{})
	sig := signed(t, c, signer, "ECDSA_SHA_256", "RAW", []byte("x"))
	do(c.Verify(t.Context(), &kms.VerifyInput{KeyId: signer.KeyId, Message: []byte("x"), Signature: sig, SigningAlgorithm: "ECDSA_SHA_256"})).ok(t)
	used(signer, "Verify")
}
