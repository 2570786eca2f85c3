package shape

// GrantOperation is an operation that a grant may allow.
type GrantOperation string

// The values of GrantOperation.
const (
	GrantOperationDecrypt                             GrantOperation = "Decrypt"
	GrantOperationEncrypt                             GrantOperation = "Encrypt"
	GrantOperationGenerateDataKey                     GrantOperation = "GenerateDataKey"
	GrantOperationGenerateDataKeyWithoutPlaintext     GrantOperation = "GenerateDataKeyWithoutPlaintext"
	GrantOperationReEncryptFrom                       GrantOperation = "ReEncryptFrom"
	GrantOperationReEncryptTo                         GrantOperation = "ReEncryptTo"
	GrantOperationSign                                GrantOperation = "Sign"
	GrantOperationVerify                              GrantOperation = "Verify"
	GrantOperationGetPublicKey                        GrantOperation = "GetPublicKey"
	GrantOperationCreateGrant                         GrantOperation = "CreateGrant"
	GrantOperationRetireGrant                         GrantOperation = "RetireGrant"
	GrantOperationDescribeKey                         GrantOperation = "DescribeKey"
	GrantOperationGenerateDataKeyPair                 GrantOperation = "GenerateDataKeyPair"
	GrantOperationGenerateDataKeyPairWithoutPlaintext GrantOperation = "GenerateDataKeyPairWithoutPlaintext"
	GrantOperationGenerateMac                         GrantOperation = "GenerateMac"
	GrantOperationVerifyMac                           GrantOperation = "VerifyMac"
	GrantOperationDeriveSharedSecret                  GrantOperation = "DeriveSharedSecret"
)

var grantOperationValues = []string{
	string(GrantOperationDecrypt), string(GrantOperationEncrypt), string(GrantOperationGenerateDataKey),
	string(GrantOperationGenerateDataKeyWithoutPlaintext), string(GrantOperationReEncryptFrom),
	string(GrantOperationReEncryptTo), string(GrantOperationSign), string(GrantOperationVerify),
	string(GrantOperationGetPublicKey), string(GrantOperationCreateGrant), string(GrantOperationRetireGrant),
	string(GrantOperationDescribeKey), string(GrantOperationGenerateDataKeyPair),
	string(GrantOperationGenerateDataKeyPairWithoutPlaintext), string(GrantOperationGenerateMac),
	string(GrantOperationVerifyMac), string(GrantOperationDeriveSharedSecret),
}

// Enum implements [Enum].
func (GrantOperation) Enum() []string { return grantOperationValues }

// KeyLastUsageTrackingOperation is an operation that counts as use of a key.
type KeyLastUsageTrackingOperation string

// The values of KeyLastUsageTrackingOperation.
const (
	LastUsageDecrypt                             KeyLastUsageTrackingOperation = "Decrypt"
	LastUsageDeriveSharedSecret                  KeyLastUsageTrackingOperation = "DeriveSharedSecret"
	LastUsageEncrypt                             KeyLastUsageTrackingOperation = "Encrypt"
	LastUsageGenerateDataKey                     KeyLastUsageTrackingOperation = "GenerateDataKey"
	LastUsageGenerateDataKeyPair                 KeyLastUsageTrackingOperation = "GenerateDataKeyPair"
	LastUsageGenerateDataKeyPairWithoutPlaintext KeyLastUsageTrackingOperation = "GenerateDataKeyPairWithoutPlaintext"
	LastUsageGenerateDataKeyWithoutPlaintext     KeyLastUsageTrackingOperation = "GenerateDataKeyWithoutPlaintext"
	LastUsageGenerateMac                         KeyLastUsageTrackingOperation = "GenerateMac"
	LastUsageReEncrypt                           KeyLastUsageTrackingOperation = "ReEncrypt"
	LastUsageSign                                KeyLastUsageTrackingOperation = "Sign"
	LastUsageVerify                              KeyLastUsageTrackingOperation = "Verify"
	LastUsageVerifyMac                           KeyLastUsageTrackingOperation = "VerifyMac"
)

var keyLastUsageTrackingOperationValues = []string{
	string(LastUsageDecrypt), string(LastUsageDeriveSharedSecret), string(LastUsageEncrypt),
	string(LastUsageGenerateDataKey), string(LastUsageGenerateDataKeyPair),
	string(LastUsageGenerateDataKeyPairWithoutPlaintext), string(LastUsageGenerateDataKeyWithoutPlaintext),
	string(LastUsageGenerateMac), string(LastUsageReEncrypt), string(LastUsageSign), string(LastUsageVerify),
	string(LastUsageVerifyMac),
}

// Enum implements [Enum].
func (KeyLastUsageTrackingOperation) Enum() []string { return keyLastUsageTrackingOperationValues }
