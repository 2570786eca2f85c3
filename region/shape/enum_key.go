package shape

// KeySpec is the kind of key material of a KMS key. Messages list the order recorded in 2023, newer specs last (spec 10 PROTO-38).
type KeySpec string

// The values of KeySpec.
const (
	KeySpecRSA2048          KeySpec = "RSA_2048"
	KeySpecRSA3072          KeySpec = "RSA_3072"
	KeySpecRSA4096          KeySpec = "RSA_4096"
	KeySpecP256             KeySpec = "ECC_NIST_P256"
	KeySpecP384             KeySpec = "ECC_NIST_P384"
	KeySpecP521             KeySpec = "ECC_NIST_P521"
	KeySpecSecp256k1        KeySpec = "ECC_SECG_P256K1"
	KeySpecSymmetricDefault KeySpec = "SYMMETRIC_DEFAULT"
	KeySpecHMAC224          KeySpec = "HMAC_224"
	KeySpecHMAC256          KeySpec = "HMAC_256"
	KeySpecHMAC384          KeySpec = "HMAC_384"
	KeySpecHMAC512          KeySpec = "HMAC_512"
	KeySpecSM2              KeySpec = "SM2"
	KeySpecMLDSA44          KeySpec = "ML_DSA_44"
	KeySpecMLDSA65          KeySpec = "ML_DSA_65"
	KeySpecMLDSA87          KeySpec = "ML_DSA_87"
	KeySpecEd25519          KeySpec = "ECC_NIST_EDWARDS25519"
)

var keySpecValues = []string{
	string(KeySpecRSA2048), string(KeySpecP384), string(KeySpecP256), string(KeySpecP521), string(KeySpecHMAC384),
	string(KeySpecRSA3072), string(KeySpecSecp256k1), string(KeySpecRSA4096), string(KeySpecSymmetricDefault),
	string(KeySpecHMAC256), string(KeySpecHMAC224), string(KeySpecHMAC512), string(KeySpecSM2), string(KeySpecMLDSA44),
	string(KeySpecMLDSA65), string(KeySpecMLDSA87), string(KeySpecEd25519),
}

// Enum implements [Enum].
func (KeySpec) Enum() []string { return keySpecValues }

// CustomerMasterKeySpec is the deprecated name of KeySpec; it lacks the specs added since (spec 10 CKY-02). An answer may
// carry a value outside the enum, because both members always hold the same spec.
type CustomerMasterKeySpec string

// The values of CustomerMasterKeySpec.
const (
	CustomerMasterKeySpecRSA2048          CustomerMasterKeySpec = "RSA_2048"
	CustomerMasterKeySpecRSA3072          CustomerMasterKeySpec = "RSA_3072"
	CustomerMasterKeySpecRSA4096          CustomerMasterKeySpec = "RSA_4096"
	CustomerMasterKeySpecP256             CustomerMasterKeySpec = "ECC_NIST_P256"
	CustomerMasterKeySpecP384             CustomerMasterKeySpec = "ECC_NIST_P384"
	CustomerMasterKeySpecP521             CustomerMasterKeySpec = "ECC_NIST_P521"
	CustomerMasterKeySpecSecp256k1        CustomerMasterKeySpec = "ECC_SECG_P256K1"
	CustomerMasterKeySpecSymmetricDefault CustomerMasterKeySpec = "SYMMETRIC_DEFAULT"
	CustomerMasterKeySpecHMAC224          CustomerMasterKeySpec = "HMAC_224"
	CustomerMasterKeySpecHMAC256          CustomerMasterKeySpec = "HMAC_256"
	CustomerMasterKeySpecHMAC384          CustomerMasterKeySpec = "HMAC_384"
	CustomerMasterKeySpecHMAC512          CustomerMasterKeySpec = "HMAC_512"
	CustomerMasterKeySpecSM2              CustomerMasterKeySpec = "SM2"
)

var customerMasterKeySpecValues = []string{
	string(CustomerMasterKeySpecRSA2048), string(CustomerMasterKeySpecRSA3072), string(CustomerMasterKeySpecRSA4096),
	string(CustomerMasterKeySpecP256), string(CustomerMasterKeySpecP384), string(CustomerMasterKeySpecP521),
	string(CustomerMasterKeySpecSecp256k1), string(CustomerMasterKeySpecSymmetricDefault),
	string(CustomerMasterKeySpecHMAC224), string(CustomerMasterKeySpecHMAC256), string(CustomerMasterKeySpecHMAC384),
	string(CustomerMasterKeySpecHMAC512), string(CustomerMasterKeySpecSM2),
}

// Enum implements [Enum].
func (CustomerMasterKeySpec) Enum() []string { return customerMasterKeySpecValues }

// KeyUsageType is what a KMS key is for. Messages list the recorded order (spec 10 PROTO-38).
type KeyUsageType string

// The values of KeyUsageType.
const (
	KeyUsageSignVerify        KeyUsageType = "SIGN_VERIFY"
	KeyUsageEncryptDecrypt    KeyUsageType = "ENCRYPT_DECRYPT"
	KeyUsageGenerateVerifyMac KeyUsageType = "GENERATE_VERIFY_MAC"
	KeyUsageKeyAgreement      KeyUsageType = "KEY_AGREEMENT"
)

var keyUsageTypeValues = []string{
	string(KeyUsageEncryptDecrypt), string(KeyUsageSignVerify), string(KeyUsageGenerateVerifyMac),
	string(KeyUsageKeyAgreement),
}

// Enum implements [Enum].
func (KeyUsageType) Enum() []string { return keyUsageTypeValues }

// KeyState is the state of a KMS key (spec 10 STATE-03).
type KeyState string

// The values of KeyState.
const (
	KeyStateCreating               KeyState = "Creating"
	KeyStateEnabled                KeyState = "Enabled"
	KeyStateDisabled               KeyState = "Disabled"
	KeyStatePendingDeletion        KeyState = "PendingDeletion"
	KeyStatePendingImport          KeyState = "PendingImport"
	KeyStatePendingReplicaDeletion KeyState = "PendingReplicaDeletion"
	KeyStateUnavailable            KeyState = "Unavailable"
	KeyStateUpdating               KeyState = "Updating"
)

var keyStateValues = []string{
	string(KeyStateCreating), string(KeyStateEnabled), string(KeyStateDisabled), string(KeyStatePendingDeletion),
	string(KeyStatePendingImport), string(KeyStatePendingReplicaDeletion), string(KeyStateUnavailable),
	string(KeyStateUpdating),
}

// Enum implements [Enum].
func (KeyState) Enum() []string { return keyStateValues }

// OriginType is where the key material of a KMS key comes from.
type OriginType string

// The values of OriginType.
const (
	OriginAWSKMS           OriginType = "AWS_KMS"
	OriginExternal         OriginType = "EXTERNAL"
	OriginAWSCloudHSM      OriginType = "AWS_CLOUDHSM"
	OriginExternalKeyStore OriginType = "EXTERNAL_KEY_STORE"
)

var originTypeValues = []string{
	string(OriginAWSKMS), string(OriginExternal), string(OriginAWSCloudHSM), string(OriginExternalKeyStore),
}

// Enum implements [Enum].
func (OriginType) Enum() []string { return originTypeValues }

// KeyManagerType tells customer managed from AWS managed keys.
type KeyManagerType string

// The values of KeyManagerType.
const (
	KeyManagerAWS      KeyManagerType = "AWS"
	KeyManagerCustomer KeyManagerType = "CUSTOMER"
)

var keyManagerTypeValues = []string{
	string(KeyManagerAWS), string(KeyManagerCustomer),
}

// Enum implements [Enum].
func (KeyManagerType) Enum() []string { return keyManagerTypeValues }

// MultiRegionKeyType is the role of a multi-Region key.
type MultiRegionKeyType string

// The values of MultiRegionKeyType.
const (
	MultiRegionKeyPrimary MultiRegionKeyType = "PRIMARY"
	MultiRegionKeyReplica MultiRegionKeyType = "REPLICA"
)

var multiRegionKeyTypeValues = []string{
	string(MultiRegionKeyPrimary), string(MultiRegionKeyReplica),
}

// Enum implements [Enum].
func (MultiRegionKeyType) Enum() []string { return multiRegionKeyTypeValues }
