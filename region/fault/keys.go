package fault

// Texts about keys: identifiers, key states, usage and algorithms. The parameters of enum types are generic over string, so that
// callers pass the API's enum types as they are.

// KeyNotFound is for a well-formed identifier without a key (spec 01 KID-08). The ARN is built of what the caller sent, with its
// own account and Region for a bare key ID.
func KeyNotFound(arn string) *Error { return New(NotFoundException, "Key '%s' does not exist", arn) }

// InvalidKeyID is for a bare key ID that is neither a UUID nor mrk- and 32 hex digits (spec 01 KID-08).
func InvalidKeyID(id string) *Error { return New(NotFoundException, "Invalid keyId '%s'", id) }

// InvalidKeyIDInARN is the same inside a key ARN; the recorded text has no quotation marks (spec 10 section 3).
func InvalidKeyIDInARN(id string) *Error { return New(NotFoundException, "Invalid keyId %s", id) }

// InvalidARNRegion is for the ARN of another Region; region is the one the ARN names (spec 01 KID-08).
func InvalidARNRegion(region string) *Error {
	return New(NotFoundException, "Invalid arn %s", region)
}

// InvalidARN is for what begins like an ARN and is none of a key or alias. Operations that do not declare InvalidArnException
// answer NotFoundException with the same text.
func InvalidARN(arn string) *Error { return New(InvalidArnException, "Invalid arn %s", arn) }

// AliasNotSupported is for an alias where only key ID or key ARN is allowed (spec 10 PROTO-31).
func AliasNotSupported() *Error {
	return New(InvalidArnException, "Key Aliases are not supported for this operation.")
}

// Disabled is for a disabled key (spec 01 KST-07 [1]).
func Disabled(arn string) *Error { return New(DisabledException, "%s is disabled.", arn) }

// PendingDeletion is for a key whose deletion is scheduled. Alarms match the end of the text (spec 01 DEL-16).
func PendingDeletion(arn string) *Error {
	return New(KMSInvalidStateException, "%s is pending deletion.", arn)
}

// PendingReplicaDeletion is for a multi-Region primary that waits for its replicas to be deleted (spec 01 KST-08).
func PendingReplicaDeletion(arn string) *Error {
	return New(KMSInvalidStateException, "%s is pending replica deletion.", arn)
}

// NotPendingDeletion is for a deletion that cannot be cancelled because none is scheduled (spec 01 KST-07 [4]).
func NotPendingDeletion(arn string) *Error {
	return New(KMSInvalidStateException, "%s is not pending deletion.", arn)
}

// PendingImport is for a key without key material (spec 01 KST-07 [5]).
func PendingImport(arn string) *Error {
	return New(KMSInvalidStateException, "%s is pending import.", arn)
}

// KeyStoreDisconnected is for a key whose custom key store is disconnected (spec 10 section 4, "un").
func KeyStoreDisconnected(arn string) *Error {
	return New(KMSInvalidStateException, "%s is unavailable. You cannot perform this operation on an unavailable KMS key.", arn)
}

// Creating is for a replica that is still being made (spec 01 KST-07 [14]).
func Creating(arn string) *Error { return New(KMSInvalidStateException, "%s is creating.", arn) }

// Updating is for a multi-Region key whose primary Region is being changed (spec 01 KST-07 [15]).
func Updating(arn string) *Error { return New(KMSInvalidStateException, "%s is updating.", arn) }

// KeyUnavailable is for a key whose HSM or store cannot be reached now; nothing was done, the request can be retried.
func KeyUnavailable(cause error) *Error {
	return Wrap(KeyUnavailableException, cause, "The key cannot be reached now. The request can be retried.")
}

// Unsupported is UnsupportedOperationException without message (spec 10 PROTO-21).
func Unsupported() *Error { return New(UnsupportedOperationException, "") }

// UnsupportedOrigin is for an operation that the key's origin rules out (spec 01 KST-07 [6], [9]).
func UnsupportedOrigin[O ~string](arn string, origin O) *Error {
	return New(UnsupportedOperationException, "%s origin is %s which is not valid for this operation.", arn, string(origin))
}

// NotMultiRegionPrimary is for ReplicateKey and UpdatePrimaryRegion on any other key (spec 10 RPK-01).
func NotMultiRegionPrimary(arn string) *Error {
	return New(UnsupportedOperationException, "%s is not a multi-region primary key.", arn)
}

// UnsupportedKeySpec is for a key spec that the region does not offer (spec 09 KTR-10).
func UnsupportedKeySpec[S ~string](spec S) *Error {
	return New(UnsupportedOperationException, "KeySpec %s is not supported in this Region", string(spec))
}

// KeyUsage is for an operation that the key's usage rules out (spec 01 GEN-20).
func KeyUsage[U ~string](arn string, usage U, op string) *Error {
	return New(InvalidKeyUsageException, "%s key usage is %s which is not valid for %s.", arn, string(usage), op)
}

// Algorithm is for an algorithm foreign to the key spec (spec 01 GEN-20).
func Algorithm[A, S ~string](alg A, spec S) *Error {
	return New(InvalidKeyUsageException, "Algorithm %s is incompatible with key spec %s.", string(alg), string(spec))
}

// DataKeyAsymmetric is for a data key under an RSA encryption key (spec 10 GDK-02).
func DataKeyAsymmetric() *Error {
	return New(InvalidKeyUsageException, "You cannot generate a data key with an asymmetric CMK")
}

// BothKeySpecs is for CreateKey with KeySpec and its deprecated twin (spec 10 CKY-02).
func BothKeySpecs() *Error {
	return New(ValidationException, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
}

// KeyUsageRequired is for CreateKey without usage for any spec but SYMMETRIC_DEFAULT (spec 10 CKY-02).
func KeyUsageRequired() *Error {
	return New(ValidationException, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
}

// KeyUsageSpec is for CreateKey with a usage that the spec does not allow (spec 10 CKY-02).
func KeyUsageSpec[U, S ~string](usage U, spec S) *Error {
	return New(ValidationException, "KeyUsage %s is not compatible with KeySpec %s", string(usage), string(spec))
}
