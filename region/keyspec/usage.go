package keyspec

import (
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// usages names the usage that a cryptographic operation needs (spec 01 GEN-19); the others need none.
var usages = map[string]shape.KeyUsageType{
	"Encrypt":                             shape.KeyUsageEncryptDecrypt,
	"Decrypt":                             shape.KeyUsageEncryptDecrypt,
	"ReEncrypt":                           shape.KeyUsageEncryptDecrypt,
	"GenerateDataKey":                     shape.KeyUsageEncryptDecrypt,
	"GenerateDataKeyWithoutPlaintext":     shape.KeyUsageEncryptDecrypt,
	"GenerateDataKeyPair":                 shape.KeyUsageEncryptDecrypt,
	"GenerateDataKeyPairWithoutPlaintext": shape.KeyUsageEncryptDecrypt,
	"GenerateMac":                         shape.KeyUsageGenerateVerifyMac,
	"VerifyMac":                           shape.KeyUsageGenerateVerifyMac,
	"Sign":                                shape.KeyUsageSignVerify,
	"Verify":                              shape.KeyUsageSignVerify,
	"DeriveSharedSecret":                  shape.KeyUsageKeyAgreement,
}

// CheckUsage checks that a key's usage fits the operation (spec 01 GEN-20). It comes after authorization and before the key
// state (spec 10 PROTO-30, spec 09 KTR-11); operations that need no usage pass.
func CheckUsage(op, arn string, usage shape.KeyUsageType) error {
	if need, ok := usages[op]; ok && need != usage {
		return fault.KeyUsage(arn, usage, op)
	}
	return nil
}

// SupportsGrant reports whether a grant on such a key may list the operation (spec 06 KIND-22, table 2).
func SupportsGrant(spec shape.KeySpec, usage shape.KeyUsageType, op shape.GrantOperation) bool {
	switch op {
	case shape.GrantOperationCreateGrant, shape.GrantOperationRetireGrant, shape.GrantOperationDescribeKey:
		return true
	case shape.GrantOperationGetPublicKey:
		return KindOf(spec) == Asymmetric
	case shape.GrantOperationReEncryptFrom, shape.GrantOperationReEncryptTo:
		return usage == shape.KeyUsageEncryptDecrypt
	case shape.GrantOperationGenerateDataKey, shape.GrantOperationGenerateDataKeyWithoutPlaintext,
		shape.GrantOperationGenerateDataKeyPair, shape.GrantOperationGenerateDataKeyPairWithoutPlaintext:
		return KindOf(spec) == Symmetric
	}
	need, ok := usages[string(op)]
	return ok && need == usage
}
