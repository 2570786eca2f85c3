package shape

// EncryptionAlgorithmSpec is an algorithm of Encrypt, Decrypt and ReEncrypt. Messages list the recorded order (spec 10 PROTO-38).
type EncryptionAlgorithmSpec string

// The values of EncryptionAlgorithmSpec.
const (
	EncryptionAlgorithmSymmetricDefault EncryptionAlgorithmSpec = "SYMMETRIC_DEFAULT"
	EncryptionAlgorithmOAEPSHA1         EncryptionAlgorithmSpec = "RSAES_OAEP_SHA_1"
	EncryptionAlgorithmOAEPSHA256       EncryptionAlgorithmSpec = "RSAES_OAEP_SHA_256"
	EncryptionAlgorithmSM2PKE           EncryptionAlgorithmSpec = "SM2PKE"
)

var encryptionAlgorithmSpecValues = []string{
	string(EncryptionAlgorithmOAEPSHA1), string(EncryptionAlgorithmOAEPSHA256), string(EncryptionAlgorithmSM2PKE),
	string(EncryptionAlgorithmSymmetricDefault),
}

// Enum implements [Enum].
func (EncryptionAlgorithmSpec) Enum() []string { return encryptionAlgorithmSpecValues }

// SigningAlgorithmSpec is an algorithm of Sign and Verify. Messages list the recorded order (spec 10 PROTO-38).
type SigningAlgorithmSpec string

// The values of SigningAlgorithmSpec.
const (
	SigningAlgorithmPSSSHA256   SigningAlgorithmSpec = "RSASSA_PSS_SHA_256"
	SigningAlgorithmPSSSHA384   SigningAlgorithmSpec = "RSASSA_PSS_SHA_384"
	SigningAlgorithmPSSSHA512   SigningAlgorithmSpec = "RSASSA_PSS_SHA_512"
	SigningAlgorithmPKCS1SHA256 SigningAlgorithmSpec = "RSASSA_PKCS1_V1_5_SHA_256"
	SigningAlgorithmPKCS1SHA384 SigningAlgorithmSpec = "RSASSA_PKCS1_V1_5_SHA_384"
	SigningAlgorithmPKCS1SHA512 SigningAlgorithmSpec = "RSASSA_PKCS1_V1_5_SHA_512"
	SigningAlgorithmECDSASHA256 SigningAlgorithmSpec = "ECDSA_SHA_256"
	SigningAlgorithmECDSASHA384 SigningAlgorithmSpec = "ECDSA_SHA_384"
	SigningAlgorithmECDSASHA512 SigningAlgorithmSpec = "ECDSA_SHA_512"
	SigningAlgorithmSM2DSA      SigningAlgorithmSpec = "SM2DSA"
	SigningAlgorithmMLDSA       SigningAlgorithmSpec = "ML_DSA_SHAKE_256"
	SigningAlgorithmEd25519     SigningAlgorithmSpec = "ED25519_SHA_512"
	SigningAlgorithmEd25519ph   SigningAlgorithmSpec = "ED25519_PH_SHA_512"
)

var signingAlgorithmSpecValues = []string{
	string(SigningAlgorithmPSSSHA256), string(SigningAlgorithmPSSSHA384), string(SigningAlgorithmPSSSHA512),
	string(SigningAlgorithmPKCS1SHA256), string(SigningAlgorithmPKCS1SHA384), string(SigningAlgorithmPKCS1SHA512),
	string(SigningAlgorithmECDSASHA256), string(SigningAlgorithmECDSASHA384), string(SigningAlgorithmECDSASHA512),
	string(SigningAlgorithmEd25519), string(SigningAlgorithmEd25519ph), string(SigningAlgorithmSM2DSA),
	string(SigningAlgorithmMLDSA),
}

// Enum implements [Enum].
func (SigningAlgorithmSpec) Enum() []string { return signingAlgorithmSpecValues }

// MacAlgorithmSpec is an algorithm of GenerateMac and VerifyMac. Messages list the recorded order (spec 10 PROTO-38).
type MacAlgorithmSpec string

// The values of MacAlgorithmSpec.
const (
	MacAlgorithmHMACSHA224 MacAlgorithmSpec = "HMAC_SHA_224"
	MacAlgorithmHMACSHA256 MacAlgorithmSpec = "HMAC_SHA_256"
	MacAlgorithmHMACSHA384 MacAlgorithmSpec = "HMAC_SHA_384"
	MacAlgorithmHMACSHA512 MacAlgorithmSpec = "HMAC_SHA_512"
)

var macAlgorithmSpecValues = []string{
	string(MacAlgorithmHMACSHA384), string(MacAlgorithmHMACSHA256), string(MacAlgorithmHMACSHA224),
	string(MacAlgorithmHMACSHA512),
}

// Enum implements [Enum].
func (MacAlgorithmSpec) Enum() []string { return macAlgorithmSpecValues }

// KeyAgreementAlgorithmSpec is an algorithm of DeriveSharedSecret.
type KeyAgreementAlgorithmSpec string

// The values of KeyAgreementAlgorithmSpec.
const (
	KeyAgreementAlgorithmECDH KeyAgreementAlgorithmSpec = "ECDH"
)

var keyAgreementAlgorithmSpecValues = []string{
	string(KeyAgreementAlgorithmECDH),
}

// Enum implements [Enum].
func (KeyAgreementAlgorithmSpec) Enum() []string { return keyAgreementAlgorithmSpecValues }

// MessageType says what the message of Sign and Verify is: the message, its digest, or the external mu of ML-DSA.
type MessageType string

// The values of MessageType.
const (
	MessageRaw        MessageType = "RAW"
	MessageDigest     MessageType = "DIGEST"
	MessageExternalMu MessageType = "EXTERNAL_MU"
)

var messageTypeValues = []string{
	string(MessageRaw), string(MessageDigest), string(MessageExternalMu),
}

// Enum implements [Enum].
func (MessageType) Enum() []string { return messageTypeValues }

// KeyEncryptionMechanism is how an answer is encrypted for a Recipient.
type KeyEncryptionMechanism string

// The values of KeyEncryptionMechanism.
const (
	KeyEncryptionOAEPSHA256 KeyEncryptionMechanism = "RSAES_OAEP_SHA_256"
)

var keyEncryptionMechanismValues = []string{
	string(KeyEncryptionOAEPSHA256),
}

// Enum implements [Enum].
func (KeyEncryptionMechanism) Enum() []string { return keyEncryptionMechanismValues }

// DataKeySpec is the size of a data key. A wrong value is answered with the list of KMS key specs, as the service does
// (spec 10 GDK-01, PROTO-38).
type DataKeySpec string

// The values of DataKeySpec.
const (
	DataKeySpecAES256 DataKeySpec = "AES_256"
	DataKeySpecAES128 DataKeySpec = "AES_128"
)

var dataKeySpecValues = []string{
	string(DataKeySpecAES256), string(DataKeySpecAES128),
}

// Enum implements [Enum].
func (DataKeySpec) Enum() []string { return dataKeySpecValues }

// dataKeySpecMessage is the list that the live service was seen to answer: that of KMS key specs, in an order of its own.
var dataKeySpecMessage = []string{
	string(KeySpecRSA2048), string(KeySpecRSA3072), string(KeySpecRSA4096), string(KeySpecP256), string(KeySpecP384),
	string(KeySpecP521), string(KeySpecSecp256k1), string(KeySpecEd25519), string(KeySpecSymmetricDefault),
	string(KeySpecHMAC224), string(KeySpecHMAC256), string(KeySpecHMAC384), string(KeySpecHMAC512), string(KeySpecSM2),
	string(KeySpecMLDSA44), string(KeySpecMLDSA65), string(KeySpecMLDSA87),
}

// EnumMessage implements [EnumMessage].
func (DataKeySpec) EnumMessage() []string { return dataKeySpecMessage }

// DataKeyPairSpec is the kind of a data key pair.
type DataKeyPairSpec string

// The values of DataKeyPairSpec.
const (
	DataKeyPairSpecRSA2048   DataKeyPairSpec = "RSA_2048"
	DataKeyPairSpecRSA3072   DataKeyPairSpec = "RSA_3072"
	DataKeyPairSpecRSA4096   DataKeyPairSpec = "RSA_4096"
	DataKeyPairSpecP256      DataKeyPairSpec = "ECC_NIST_P256"
	DataKeyPairSpecP384      DataKeyPairSpec = "ECC_NIST_P384"
	DataKeyPairSpecP521      DataKeyPairSpec = "ECC_NIST_P521"
	DataKeyPairSpecSecp256k1 DataKeyPairSpec = "ECC_SECG_P256K1"
	DataKeyPairSpecSM2       DataKeyPairSpec = "SM2"
	DataKeyPairSpecEd25519   DataKeyPairSpec = "ECC_NIST_EDWARDS25519"
)

var dataKeyPairSpecValues = []string{
	string(DataKeyPairSpecRSA2048), string(DataKeyPairSpecRSA3072), string(DataKeyPairSpecRSA4096),
	string(DataKeyPairSpecP256), string(DataKeyPairSpecP384), string(DataKeyPairSpecP521),
	string(DataKeyPairSpecSecp256k1), string(DataKeyPairSpecSM2), string(DataKeyPairSpecEd25519),
}

// Enum implements [Enum].
func (DataKeyPairSpec) Enum() []string { return dataKeyPairSpecValues }

// DryRunModifierType loosens what a dry run checks.
type DryRunModifierType string

// The values of DryRunModifierType.
const (
	DryRunModifierIgnoreCiphertext DryRunModifierType = "IGNORE_CIPHERTEXT"
)

var dryRunModifierTypeValues = []string{
	string(DryRunModifierIgnoreCiphertext),
}

// Enum implements [Enum].
func (DryRunModifierType) Enum() []string { return dryRunModifierTypeValues }
