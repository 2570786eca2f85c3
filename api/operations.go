package api

import "github.com/trentkms/trent/region"

// service abbreviates the receiver of the operations' functions.
type service = *region.Service

// Operations returns THE table of the operations that this service performs, in the order of their names. The operations of
// the model that are not here are in Unsupported.
func Operations() []*Operation {
	return []*Operation{
		repeatable(define(Row{
			Name: "CancelKeyDeletion", Class: Write, Request: []string{"KeyId"}, Response: RespondKeyARN,
		}, service.CancelKeyDeletion), service.KeyOutputAgain),
		define(Row{
			Name: "CreateAlias", Class: Write, Request: []string{"AliasName", "TargetKeyId"}, Response: RespondKeyARN,
		}, service.CreateAlias),
		repeatable(define(Row{
			Name: "CreateGrant", Class: Write, CrossAccount: true,
			Request:  []string{"KeyId", "GranteePrincipal", "RetiringPrincipal", "Operations", "Constraints", "Name", "DryRun"},
			Response: RespondOutputAndKey, Output: []string{"GrantId"},
		}, service.CreateGrant), service.CreateGrantAgain),
		repeatable(define(Row{
			Name: "CreateKey", Class: Write,
			Request: []string{"Policy", "Description", "KeyUsage", "CustomerMasterKeySpec", "KeySpec", "Origin", "CustomKeyStoreId",
				"BypassPolicyLockoutSafetyCheck", "Tags", "MultiRegion", "XksKeyId"},
			Response: RespondOutput, Output: []string{"KeyMetadata"},
		}, service.CreateKey), service.CreateKeyAgain),
		define(Row{
			Name: "Decrypt", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"EncryptionContext", "KeyId", "EncryptionAlgorithm", "DryRun", "DryRunModifiers"},
		}, service.Decrypt),
		define(Row{
			Name: "DeleteAlias", Class: Write, Request: []string{"AliasName"}, Response: RespondKeyARN,
		}, service.DeleteAlias),
		repeatable(define(Row{
			Name: "DeleteImportedKeyMaterial", Class: Write, Request: []string{"KeyId", "KeyMaterialId"},
			Response: RespondOutput, Output: []string{"KeyId", "KeyMaterialId"},
		}, service.DeleteImportedKeyMaterial), service.DeleteImportedKeyMaterialAgain),
		define(Row{
			Name: "DeriveSharedSecret", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "KeyAgreementAlgorithm", "DryRun"},
		}, service.DeriveSharedSecret),
		define(Row{
			Name: "DescribeKey", Class: Read, Aliases: true, CrossAccount: true, Request: []string{"KeyId"},
		}, service.DescribeKey),
		define(Row{
			Name: "DisableKey", Class: Write, Request: []string{"KeyId"}, Response: RespondKeyARN,
		}, service.DisableKey),
		define(Row{
			Name: "DisableKeyRotation", Class: Write, Request: []string{"KeyId"},
		}, service.DisableKeyRotation),
		define(Row{
			Name: "EnableKey", Class: Write, Request: []string{"KeyId"}, Response: RespondKeyARN,
		}, service.EnableKey),
		define(Row{
			Name: "EnableKeyRotation", Class: Write, Request: []string{"KeyId", "RotationPeriodInDays"}, Response: RespondKeyARN,
		}, service.EnableKeyRotation),
		define(Row{
			Name: "Encrypt", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun"},
		}, service.Encrypt),
		define(Row{
			Name: "GenerateDataKey", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun"},
		}, service.GenerateDataKey),
		define(Row{
			Name: "GenerateDataKeyPair", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"EncryptionContext", "KeyId", "KeyPairSpec", "DryRun"},
		}, service.GenerateDataKeyPair),
		define(Row{
			Name: "GenerateDataKeyPairWithoutPlaintext", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"EncryptionContext", "KeyId", "KeyPairSpec", "DryRun"},
		}, service.GenerateDataKeyPairWithoutPlaintext),
		define(Row{
			Name: "GenerateDataKeyWithoutPlaintext", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "EncryptionContext", "KeySpec", "NumberOfBytes", "DryRun"},
		}, service.GenerateDataKeyWithoutPlaintext),
		define(Row{
			Name: "GenerateMac", Class: Crypto, Aliases: true, CrossAccount: true, Request: []string{"KeyId", "MacAlgorithm", "DryRun"},
		}, service.GenerateMac),
		define(Row{Name: "GenerateRandom", Class: Crypto}, service.GenerateRandom),
		define(Row{
			Name: "GetKeyLastUsage", Class: Read, Request: []string{"KeyId"},
		}, service.GetKeyLastUsage),
		define(Row{
			Name: "GetKeyPolicy", Class: Read, Request: []string{"KeyId", "PolicyName"},
		}, service.GetKeyPolicy),
		define(Row{
			Name: "GetKeyRotationStatus", Class: Read, CrossAccount: true, Request: []string{"KeyId"},
		}, service.GetKeyRotationStatus),
		define(Row{
			Name: "GetParametersForImport", Class: Crypto, Request: []string{"KeyId", "WrappingAlgorithm", "WrappingKeySpec"},
		}, service.GetParametersForImport),
		define(Row{
			Name: "GetPublicKey", Class: Read, Aliases: true, CrossAccount: true, Request: []string{"KeyId"},
		}, service.GetPublicKey),
		repeatable(define(Row{
			Name: "ImportKeyMaterial", Class: Write,
			Request:  []string{"KeyId", "ValidTo", "ExpirationModel", "ImportType", "KeyMaterialDescription", "KeyMaterialId"},
			Response: RespondOutput, Output: []string{"KeyId", "KeyMaterialId"},
		}, service.ImportKeyMaterial), service.ImportKeyMaterialAgain),
		define(Row{
			Name: "ListAliases", Class: Read, Request: []string{"KeyId", "Limit", "Marker"},
		}, service.ListAliases),
		define(Row{
			Name: "ListGrants", Class: Read, CrossAccount: true, Request: []string{"Limit", "Marker", "KeyId", "GrantId", "GranteePrincipal"},
		}, service.ListGrants),
		define(Row{
			Name: "ListKeyPolicies", Class: Read, Request: []string{"KeyId", "Limit", "Marker"},
		}, service.ListKeyPolicies),
		define(Row{
			Name: "ListKeyRotations", Class: Read, Request: []string{"KeyId", "IncludeKeyMaterial", "Limit", "Marker"},
		}, service.ListKeyRotations),
		define(Row{
			Name: "ListKeys", Class: Read, Request: []string{"Limit", "Marker"},
		}, service.ListKeys),
		define(Row{
			Name: "ListResourceTags", Class: Read, Request: []string{"KeyId", "Limit", "Marker"},
		}, service.ListResourceTags),
		define(Row{
			Name: "ListRetirableGrants", Class: Read, Request: []string{"Limit", "Marker", "RetiringPrincipal"},
		}, service.ListRetirableGrants),
		define(Row{
			Name: "PutKeyPolicy", Class: Write,
			Request: []string{"KeyId", "PolicyName", "Policy", "BypassPolicyLockoutSafetyCheck"},
		}, service.PutKeyPolicy),
		define(Row{
			Name: "ReEncrypt", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"SourceEncryptionContext", "SourceKeyId", "DestinationKeyId", "DestinationEncryptionContext",
				"SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm", "DryRun", "DryRunModifiers"},
		}, service.ReEncrypt),
		repeatable(define(Row{
			Name: "ReplicateKey", Class: Write,
			Request:  []string{"KeyId", "ReplicaRegion", "Policy", "BypassPolicyLockoutSafetyCheck", "Description", "Tags"},
			Response: RespondOutput, Output: []string{"ReplicaKeyMetadata", "ReplicaPolicy", "ReplicaTags"},
		}, service.ReplicateKey), service.ReplicateKeyAgain),
		define(Row{Name: "RetireGrant", Class: Write, CrossAccount: true}, service.RetireGrant),
		define(Row{
			Name: "RevokeGrant", Class: Write, CrossAccount: true, Request: []string{"KeyId", "GrantId", "DryRun"},
		}, service.RevokeGrant),
		repeatable(define(Row{
			Name: "RotateKeyOnDemand", Class: Write, Request: []string{"KeyId"}, Response: RespondKeyARN,
		}, service.RotateKeyOnDemand), service.KeyOutputAgain),
		repeatable(define(Row{
			Name: "ScheduleKeyDeletion", Class: Write, Request: []string{"KeyId", "PendingWindowInDays"},
			Response: RespondOutput, Output: []string{"KeyId", "DeletionDate", "KeyState", "PendingWindowInDays"},
		}, service.ScheduleKeyDeletion), service.ScheduleKeyDeletionAgain),
		define(Row{
			Name: "Sign", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "MessageType", "SigningAlgorithm", "DryRun"},
		}, service.Sign),
		define(Row{
			Name: "TagResource", Class: Write, Request: []string{"KeyId", "Tags"}, Response: RespondKeyARN,
		}, service.TagResource),
		define(Row{
			Name: "UntagResource", Class: Write, Request: []string{"KeyId", "TagKeys"}, Response: RespondKeyARN,
		}, service.UntagResource),
		define(Row{
			Name: "UpdateAlias", Class: Write, StateOfFirst: true, Request: []string{"AliasName", "TargetKeyId"}, Response: RespondKeyARN,
		}, service.UpdateAlias),
		define(Row{
			Name: "UpdateKeyDescription", Class: Write, Request: []string{"KeyId", "Description"},
		}, service.UpdateKeyDescription),
		define(Row{
			Name: "UpdatePrimaryRegion", Class: Write, Request: []string{"KeyId", "PrimaryRegion"}, Response: RespondKeyARN,
		}, service.UpdatePrimaryRegion),
		define(Row{
			Name: "Verify", Class: Crypto, Aliases: true, CrossAccount: true,
			Request: []string{"KeyId", "MessageType", "SigningAlgorithm", "DryRun"},
		}, service.Verify),
		define(Row{
			Name: "VerifyMac", Class: Crypto, Aliases: true, CrossAccount: true, Request: []string{"KeyId", "MacAlgorithm", "DryRun"},
		}, service.VerifyMac),
	}
}

// Unsupported returns the operations of the model that this service does not perform: they are answered with
// UnsupportedOperationException.
func Unsupported() []string {
	return []string{
		"ConnectCustomKeyStore", "CreateCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores",
		"DisconnectCustomKeyStore", "UpdateCustomKeyStore",
	}
}
