package fault

import (
	"maps"
	"slices"
	"strings"
)

// declared lists what each of the 54 operations declares, in the order of spec 10 section 5.
var declared = map[string][]Code{
	"CancelKeyDeletion": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"ConnectCustomKeyStore": {
		CloudHsmClusterNotActiveException, CustomKeyStoreInvalidStateException, CustomKeyStoreNotFoundException,
		KMSInternalException, CloudHsmClusterInvalidConfigurationException,
	},
	"CreateAlias": {
		DependencyTimeoutException, AlreadyExistsException, NotFoundException, InvalidAliasNameException, KMSInternalException,
		LimitExceededException, KMSInvalidStateException,
	},
	"CreateCustomKeyStore": {
		CloudHsmClusterInUseException, CustomKeyStoreNameInUseException, CloudHsmClusterNotFoundException, KMSInternalException,
		CloudHsmClusterNotActiveException, IncorrectTrustAnchorException, CloudHsmClusterInvalidConfigurationException,
		LimitExceededException, XksProxyUriInUseException, XksProxyUriEndpointInUseException, XksProxyUriUnreachableException,
		XksProxyIncorrectAuthenticationCredentialException, XksProxyVpcEndpointServiceInUseException,
		XksProxyVpcEndpointServiceNotFoundException, XksProxyVpcEndpointServiceInvalidConfigurationException,
		XksProxyInvalidResponseException, XksProxyInvalidConfigurationException,
	},
	"CreateGrant": {
		NotFoundException, DisabledException, DependencyTimeoutException, InvalidArnException, KMSInternalException,
		InvalidGrantTokenException, LimitExceededException, KMSInvalidStateException, DryRunOperationException,
	},
	"CreateKey": {
		MalformedPolicyDocumentException, DependencyTimeoutException, InvalidArnException, UnsupportedOperationException,
		KMSInternalException, LimitExceededException, TagException, CustomKeyStoreNotFoundException,
		CustomKeyStoreInvalidStateException, CloudHsmClusterInvalidConfigurationException, XksKeyInvalidConfigurationException,
		XksKeyAlreadyInUseException, XksKeyNotFoundException,
	},
	"Decrypt": {
		NotFoundException, DisabledException, InvalidCiphertextException, KeyUnavailableException, IncorrectKeyException,
		InvalidKeyUsageException, DependencyTimeoutException, InvalidGrantTokenException, KMSInternalException,
		KMSInvalidStateException, DryRunOperationException,
	},
	"DeleteAlias": {DependencyTimeoutException, NotFoundException, KMSInternalException, KMSInvalidStateException},
	"DeleteCustomKeyStore": {
		CustomKeyStoreHasCMKsException, CustomKeyStoreInvalidStateException, CustomKeyStoreNotFoundException, KMSInternalException,
	},
	"DeleteImportedKeyMaterial": {
		InvalidArnException, UnsupportedOperationException, DependencyTimeoutException, NotFoundException, KMSInternalException,
		KMSInvalidStateException,
	},
	"DeriveSharedSecret": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidGrantTokenException,
		InvalidKeyUsageException, KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"DescribeCustomKeyStores": {CustomKeyStoreNotFoundException, InvalidMarkerException, KMSInternalException},
	"DescribeKey":             {NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException},
	"DisableKey": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"DisableKeyRotation": {
		NotFoundException, DisabledException, InvalidArnException, DependencyTimeoutException, KMSInternalException,
		KMSInvalidStateException, UnsupportedOperationException,
	},
	"DisconnectCustomKeyStore": {CustomKeyStoreInvalidStateException, CustomKeyStoreNotFoundException, KMSInternalException},
	"EnableKey": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, LimitExceededException,
		KMSInvalidStateException,
	},
	"EnableKeyRotation": {
		NotFoundException, DisabledException, InvalidArnException, DependencyTimeoutException, KMSInternalException,
		KMSInvalidStateException, UnsupportedOperationException,
	},
	"Encrypt": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"GenerateDataKey": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"GenerateDataKeyPair": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, UnsupportedOperationException,
		DryRunOperationException,
	},
	"GenerateDataKeyPairWithoutPlaintext": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, UnsupportedOperationException,
		DryRunOperationException,
	},
	"GenerateDataKeyWithoutPlaintext": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"GenerateMac": {
		NotFoundException, DisabledException, KeyUnavailableException, InvalidKeyUsageException, InvalidGrantTokenException,
		KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"GenerateRandom": {
		DependencyTimeoutException, KMSInternalException, UnsupportedOperationException, CustomKeyStoreNotFoundException,
		CustomKeyStoreInvalidStateException,
	},
	"GetKeyLastUsage": {NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException},
	"GetKeyPolicy": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"GetKeyRotationStatus": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
		UnsupportedOperationException,
	},
	"GetParametersForImport": {
		InvalidArnException, UnsupportedOperationException, DependencyTimeoutException, NotFoundException, KMSInternalException,
		KMSInvalidStateException,
	},
	"GetPublicKey": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, UnsupportedOperationException,
		InvalidArnException, InvalidGrantTokenException, InvalidKeyUsageException, KMSInternalException, KMSInvalidStateException,
	},
	"ImportKeyMaterial": {
		InvalidArnException, UnsupportedOperationException, DependencyTimeoutException, NotFoundException, KMSInternalException,
		KMSInvalidStateException, InvalidCiphertextException, IncorrectKeyMaterialException, ExpiredImportTokenException,
		InvalidImportTokenException,
	},
	"ListAliases": {
		DependencyTimeoutException, InvalidMarkerException, KMSInternalException, InvalidArnException, NotFoundException,
	},
	"ListGrants": {
		NotFoundException, DependencyTimeoutException, InvalidMarkerException, InvalidGrantIdException, InvalidArnException,
		KMSInternalException, KMSInvalidStateException,
	},
	"ListKeyPolicies": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"ListKeyRotations": {
		NotFoundException, InvalidArnException, InvalidMarkerException, KMSInternalException, KMSInvalidStateException,
		UnsupportedOperationException,
	},
	"ListKeys":         {DependencyTimeoutException, KMSInternalException, InvalidMarkerException},
	"ListResourceTags": {KMSInternalException, NotFoundException, InvalidArnException, InvalidMarkerException},
	"ListRetirableGrants": {
		DependencyTimeoutException, InvalidMarkerException, InvalidArnException, NotFoundException, KMSInternalException,
	},
	"PutKeyPolicy": {
		NotFoundException, InvalidArnException, MalformedPolicyDocumentException, DependencyTimeoutException,
		UnsupportedOperationException, KMSInternalException, LimitExceededException, KMSInvalidStateException,
	},
	"ReEncrypt": {
		NotFoundException, DisabledException, InvalidCiphertextException, KeyUnavailableException, IncorrectKeyException,
		DependencyTimeoutException, InvalidKeyUsageException, InvalidGrantTokenException, KMSInternalException,
		KMSInvalidStateException, DryRunOperationException,
	},
	"ReplicateKey": {
		AlreadyExistsException, DisabledException, InvalidArnException, KMSInvalidStateException, KMSInternalException,
		LimitExceededException, MalformedPolicyDocumentException, NotFoundException, TagException, UnsupportedOperationException,
	},
	"RetireGrant": {
		InvalidArnException, InvalidGrantTokenException, InvalidGrantIdException, NotFoundException, DependencyTimeoutException,
		KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"RevokeGrant": {
		NotFoundException, DependencyTimeoutException, InvalidArnException, InvalidGrantIdException, KMSInternalException,
		KMSInvalidStateException, DryRunOperationException,
	},
	"RotateKeyOnDemand": {
		NotFoundException, DisabledException, InvalidArnException, DependencyTimeoutException, KMSInternalException,
		KMSInvalidStateException, UnsupportedOperationException, LimitExceededException, ConflictException,
	},
	"ScheduleKeyDeletion": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"Sign": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, DryRunOperationException,
	},
	"TagResource": {
		KMSInternalException, NotFoundException, InvalidArnException, KMSInvalidStateException, LimitExceededException,
		TagException,
	},
	"UntagResource": {
		KMSInternalException, NotFoundException, InvalidArnException, KMSInvalidStateException, TagException,
	},
	"UpdateAlias": {
		DependencyTimeoutException, NotFoundException, KMSInternalException, LimitExceededException, KMSInvalidStateException,
	},
	"UpdateCustomKeyStore": {
		CustomKeyStoreNotFoundException, CustomKeyStoreNameInUseException, CloudHsmClusterNotFoundException,
		CloudHsmClusterNotRelatedException, CustomKeyStoreInvalidStateException, KMSInternalException,
		CloudHsmClusterNotActiveException, CloudHsmClusterInvalidConfigurationException, XksProxyUriInUseException,
		XksProxyUriEndpointInUseException, XksProxyUriUnreachableException, XksProxyIncorrectAuthenticationCredentialException,
		XksProxyVpcEndpointServiceInUseException, XksProxyVpcEndpointServiceNotFoundException,
		XksProxyVpcEndpointServiceInvalidConfigurationException, XksProxyInvalidResponseException,
		XksProxyInvalidConfigurationException,
	},
	"UpdateKeyDescription": {
		NotFoundException, InvalidArnException, DependencyTimeoutException, KMSInternalException, KMSInvalidStateException,
	},
	"UpdatePrimaryRegion": {
		DisabledException, InvalidArnException, KMSInvalidStateException, KMSInternalException, NotFoundException,
		UnsupportedOperationException,
	},
	"Verify": {
		NotFoundException, DisabledException, KeyUnavailableException, DependencyTimeoutException, InvalidKeyUsageException,
		InvalidGrantTokenException, KMSInternalException, KMSInvalidStateException, KMSInvalidSignatureException,
		DryRunOperationException,
	},
	"VerifyMac": {
		NotFoundException, DisabledException, KeyUnavailableException, InvalidKeyUsageException, InvalidGrantTokenException,
		KMSInternalException, KMSInvalidMacException, KMSInvalidStateException, DryRunOperationException,
	},
}

// mechanism lists the operations that may meet a mechanism which the HSM, or strict FIPS mode, lacks. They answer
// UnsupportedOperationException although the model does not declare it for all of them: no declared exception tells a client
// that the fault is neither in its request nor transient. Nothing else goes beyond the model.
var mechanism = []string{
	"Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "ReEncrypt",
	"Sign", "Verify", "VerifyMac",
}

// replacement names, for a code that an operation does not declare, the codes that come nearest, best first (spec 10 PROTO-51).
// A last resort follows: ValidationException where the caller is at fault, KMSInternalException where the service is; both are
// possible everywhere.
var replacement = map[Code][]Code{
	InvalidArnException:     {NotFoundException},
	DisabledException:       {KMSInvalidStateException},
	KeyUnavailableException: {DependencyTimeoutException},
}

// Operations returns the names of all operations, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(declared)) }

// DeclaredBy returns the modeled exceptions that op may answer, without the common errors; nil for an unknown operation. The
// caller must not change the slice.
func DeclaredBy(op string) []Code { return declared[op] }

// Declared returns what op answers instead of code: code itself if the operation declares it or every operation may answer it,
// else the nearest one that it may (spec 10 PROTO-51). For an operation that is not in the table every modeled exception is
// taken as declared: the other doors of the API have no such list.
func Declared(op string, code Code) Code {
	list, known := declared[op]
	if !known || code.Common() || slices.Contains(list, code) || deviates(op, code) {
		return code
	}
	for _, c := range replacement[code] {
		if slices.Contains(list, c) {
			return c
		}
	}
	if code.SenderFault() {
		return ValidationException
	}
	return KMSInternalException
}

func deviates(op string, code Code) bool {
	return code == UnsupportedOperationException && slices.Contains(mechanism, op)
}

// ForOperation returns e with a code that op may answer. Message and cause are kept; a ValidationException that would be without
// a message names what was wrong, because that exception has many meanings.
func (e *Error) ForOperation(op string) *Error {
	code := Declared(op, e.Code)
	if code == e.Code {
		return e
	}
	message := e.Message
	if message == "" && code == ValidationException {
		message = "The request is not valid: " + strings.TrimSuffix(e.Code.Name(), "Exception") + "."
	}
	return &Error{Code: code, Message: message, cause: e}
}
