package fault

// Texts about cryptographic operations and imported key material.

// PlaintextTooLarge is for more plaintext than the algorithm can take; max is in bytes (spec 10 ENC-02).
func PlaintextTooLarge[A, S ~string](alg A, spec S, max int) *Error {
	return New(ValidationException, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", string(alg), string(spec), max)
}

// DataKeySize is for GenerateDataKey with both or neither of KeySpec and NumberOfBytes (spec 10 GDK-01).
func DataKeySize() *Error {
	return New(ValidationException, "Please specify either number of bytes or key spec.")
}

// NumberOfBytesRequired is for GenerateRandom without a length (spec 10 GRN-01).
func NumberOfBytesRequired() *Error {
	return New(ValidationException, "NumberOfBytes is required.")
}

// ContextNotAllowed is for an encryption context with an asymmetric key (spec 01 CTX-07).
func ContextNotAllowed() *Error {
	return New(ValidationException, "An encryption context is supported by symmetric encryption keys only.")
}

// DigestLength is for a digest that is not as long as the algorithm's hash (spec 10 SGN-01).
func DigestLength[A ~string](alg A) *Error {
	return New(ValidationException, "Digest is invalid length for algorithm %s.", string(alg))
}

// MessageTypeAlgorithm is for a message type that the algorithm does not take, such as DIGEST with ED25519_SHA_512 (spec 10
// SGN-01).
func MessageTypeAlgorithm[T, A ~string](messageType T, alg A) *Error {
	return New(ValidationException, "Message type %s is incompatible with algorithm %s.", string(messageType), string(alg))
}

// MessageTypeSpec is for a message type that the key spec does not take, such as DIGEST with ML-DSA (spec 10 SGN-01).
func MessageTypeSpec[T, S ~string](messageType T, spec S) *Error {
	return New(ValidationException, "Message type %s is incompatible with key spec %s.", string(messageType), string(spec))
}

// IncorrectKey is for a ciphertext that was not made under the named key (spec 01 ENV-06).
func IncorrectKey() *Error {
	return New(IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")
}

// InvalidCiphertext never says what was wrong with a ciphertext or its encryption context (spec 01 CTX-04, ENV-04).
func InvalidCiphertext() *Error { return New(InvalidCiphertextException, "") }

// InvalidSignature is for a signature of a message that is wrong in any way (spec 10 VFY-01).
func InvalidSignature() *Error { return New(KMSInvalidSignatureException, "") }

// InvalidMAC is for a MAC that is wrong in any way (spec 10 VMC-01).
func InvalidMAC() *Error { return New(KMSInvalidMacException, "") }

// DryRun is for a request with DryRun that would have succeeded (spec 09 DRY-03).
func DryRun() *Error {
	return New(DryRunOperationException, "The request would have succeeded, but the DryRun option is set.")
}

// ValidToRequired is for expiring material without a date (spec 10 IKM-01).
func ValidToRequired() *Error {
	return New(ValidationException, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
}

// EncryptedKeySize is for wrapped material of a length that the wrapping algorithm cannot give (spec 10 IKM-02).
func EncryptedKeySize() *Error { return New(ValidationException, "Invalid encrypted key size.") }

// InvalidImportToken is for a token that is damaged or of another key or region (spec 07 IKM-06).
func InvalidImportToken() *Error { return New(InvalidImportTokenException, "") }

// ExpiredImportToken is for a token older than 24 hours (spec 07 IKM-06).
func ExpiredImportToken() *Error { return New(ExpiredImportTokenException, "") }

// IncorrectKeyMaterial is for material that unwraps and is not what it should be (spec 07 IKM-06).
func IncorrectKeyMaterial() *Error { return New(IncorrectKeyMaterialException, "") }

// MaterialPendingRotation is for new material while other material still waits for its rotation (spec 10 IKM-03). The key is
// named by its ARN.
func MaterialPendingRotation(newID, arn, pendingID string) *Error {
	return New(KMSInvalidStateException,
		"New key material (id: %s) cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.",
		newID, arn, pendingID)
}

// NothingToRotate is for RotateKeyOnDemand on an imported key without waiting material (spec 10 ROD-02).
func NothingToRotate(arn string) *Error {
	return New(KMSInvalidStateException, "No available key material pending rotation for the key: %s.", arn)
}

// RotationLimit is for a key that has used up its on-demand rotations (spec 10 ROD-01).
func RotationLimit(arn string) *Error {
	return New(LimitExceededException,
		"The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: %s", arn)
}
