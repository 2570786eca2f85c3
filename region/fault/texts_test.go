package fault_test

import (
	"testing"

	"github.com/trentkms/trent/region/fault"
)

type enum string

const (
	key   = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	alias = "arn:aws:kms:us-east-1:111122223333:alias/a"
)

// TestTexts spells every recorded text out: client tools match them.
func TestTexts(t *testing.T) {
	d := fault.Denial{Caller: "arn:aws:iam::111122223333:user/u", Action: "kms:Decrypt", Resource: key}
	u := "User: arn:aws:iam::111122223333:user/u is not authorized to perform: kms:Decrypt"
	tail := "the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	keyless := fault.Denial{Caller: d.Caller, Action: "kms:TagResource"}

	tests := []struct {
		got  *fault.Error
		code fault.Code
		text string
	}{
		{fault.KeyNotFound(key), fault.NotFoundException, "Key '" + key + "' does not exist"},
		{fault.InvalidKeyID("x"), fault.NotFoundException, "Invalid keyId 'x'"},
		{fault.InvalidKeyIDInARN("x"), fault.NotFoundException, "Invalid keyId x"},
		{fault.InvalidARNRegion("eu-west-1"), fault.NotFoundException, "Invalid arn eu-west-1"},
		{fault.InvalidARN("arn:x"), fault.InvalidArnException, "Invalid arn arn:x"},
		{fault.AliasNotSupported(), fault.InvalidArnException, "Key Aliases are not supported for this operation."},
		{fault.AliasNotFound(alias), fault.NotFoundException, "Alias " + alias + " is not found."},
		{fault.AliasAsTarget(), fault.ValidationException, "Aliases must refer to keys. Not aliases"},
		{fault.AliasPrefix(), fault.ValidationException, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{fault.AliasReserved(), fault.NotAuthorizedException, ""},
		{fault.AliasCharacters("alias/a:b"), fault.ValidationException, "alias/a:b contains invalid characters for an alias"},
		{fault.AliasExists(alias), fault.AlreadyExistsException, "An alias with the name " + alias + " already exists"},
		{fault.AliasLimit(50, 50), fault.LimitExceededException, "Aliases per key quota for this account in this region is 50, current usage is 50."},
		{fault.AliasUsage("alias/a", enum("SIGN_VERIFY"), "ENCRYPT_DECRYPT"), fault.ValidationException, "Alias alias/a cannot be changed from a CMK with key usage SIGN_VERIFY to a CMK with key usage ENCRYPT_DECRYPT. The key usage of the current CMK and the new CMK must be the same."},

		{fault.Disabled(key), fault.DisabledException, key + " is disabled."},
		{fault.PendingDeletion(key), fault.KMSInvalidStateException, key + " is pending deletion."},
		{fault.PendingReplicaDeletion(key), fault.KMSInvalidStateException, key + " is pending replica deletion."},
		{fault.NotPendingDeletion(key), fault.KMSInvalidStateException, key + " is not pending deletion."},
		{fault.PendingImport(key), fault.KMSInvalidStateException, key + " is pending import."},
		{fault.KeyStoreDisconnected(key), fault.KMSInvalidStateException, key + " is unavailable. You cannot perform this operation on an unavailable KMS key."},
		{fault.Creating(key), fault.KMSInvalidStateException, key + " is creating."},
		{fault.Updating(key), fault.KMSInvalidStateException, key + " is updating."},

		{fault.Unsupported(), fault.UnsupportedOperationException, ""},
		{fault.UnsupportedOrigin(key, enum("EXTERNAL")), fault.UnsupportedOperationException, key + " origin is EXTERNAL which is not valid for this operation."},
		{fault.NotMultiRegionPrimary(key), fault.UnsupportedOperationException, key + " is not a multi-region primary key."},
		{fault.UnsupportedKeySpec(enum("SM2")), fault.UnsupportedOperationException, "KeySpec SM2 is not supported in this Region"},
		{fault.KeyUsage(key, enum("SIGN_VERIFY"), "Encrypt"), fault.InvalidKeyUsageException, key + " key usage is SIGN_VERIFY which is not valid for Encrypt."},
		{fault.Algorithm(enum("SYMMETRIC_DEFAULT"), enum("RSA_2048")), fault.InvalidKeyUsageException, "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		{fault.DataKeyAsymmetric(), fault.InvalidKeyUsageException, "You cannot generate a data key with an asymmetric CMK"},
		{fault.BothKeySpecs(), fault.ValidationException, "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
		{fault.KeyUsageRequired(), fault.ValidationException, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{fault.KeyUsageSpec(enum("SIGN_VERIFY"), enum("HMAC_256")), fault.ValidationException, "KeyUsage SIGN_VERIFY is not compatible with KeySpec HMAC_256"},

		{fault.PlaintextTooLarge(enum("RSAES_OAEP_SHA_256"), enum("RSA_2048"), 190), fault.ValidationException, "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."},
		{fault.DataKeySize(), fault.ValidationException, "Please specify either number of bytes or key spec."},
		{fault.NumberOfBytesRequired(), fault.ValidationException, "NumberOfBytes is required."},
		{fault.DigestLength(enum("ECDSA_SHA_256")), fault.ValidationException, "Digest is invalid length for algorithm ECDSA_SHA_256."},
		{fault.MessageTypeAlgorithm(enum("DIGEST"), enum("ED25519_SHA_512")), fault.ValidationException, "Message type DIGEST is incompatible with algorithm ED25519_SHA_512."},
		{fault.MessageTypeSpec(enum("DIGEST"), enum("ML_DSA_44")), fault.ValidationException, "Message type DIGEST is incompatible with key spec ML_DSA_44."},
		{fault.IncorrectKey(), fault.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation."},
		{fault.InvalidCiphertext(), fault.InvalidCiphertextException, ""},
		{fault.InvalidSignature(), fault.KMSInvalidSignatureException, ""},
		{fault.InvalidMAC(), fault.KMSInvalidMacException, ""},
		{fault.DryRun(), fault.DryRunOperationException, "The request would have succeeded, but the DryRun option is set."},
		{fault.ValidToRequired(), fault.ValidationException, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		{fault.EncryptedKeySize(), fault.ValidationException, "Invalid encrypted key size."},
		{fault.InvalidImportToken(), fault.InvalidImportTokenException, ""},
		{fault.ExpiredImportToken(), fault.ExpiredImportTokenException, ""},
		{fault.IncorrectKeyMaterial(), fault.IncorrectKeyMaterialException, ""},
		{fault.MaterialPendingRotation("aa", key, "bb"), fault.KMSInvalidStateException, "New key material (id: aa) cannot be imported into KMS key " + key + ", because another key material (id: bb) is pending rotation."},
		{fault.NothingToRotate(key), fault.KMSInvalidStateException, "No available key material pending rotation for the key: " + key + "."},
		{fault.RotationLimit(key), fault.LimitExceededException, "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: " + key},

		{fault.DuplicateTags(), fault.TagException, "Duplicate tag keys"},
		{fault.TooManyTags(), fault.TagException, "Too many tags"},
		{fault.ReservedTag(), fault.TagException, "Tags beginning with aws: are reserved"},
		{fault.PolicyLockout(), fault.MalformedPolicyDocumentException, "The new key policy will not allow you to update the key policy in the future."},
		{fault.PolicyPrincipals(), fault.MalformedPolicyDocumentException, "Policy contains a statement with one or more invalid principals."},
		{fault.PolicyARN(), fault.InvalidArnException, "An ARN in the specified key policy is invalid."},
		{fault.NoSuchPolicy(), fault.NotFoundException, "No such policy exists"},
		{fault.GrantPrincipal(d.Caller), fault.InvalidArnException, "ARN does not refer to a valid principal: " + d.Caller},
		{fault.OnlyCreateGrant(), fault.ValidationException, "Grants must not contain only the CreateGrant operation."},
		{fault.InvalidMarker(), fault.InvalidMarkerException, ""},
		{fault.Throttled(), fault.ThrottlingException, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."},

		{d.Implicit(fault.IdentityPolicy), fault.AccessDeniedException, u + " on resource: " + key + " because no identity-based policy allows the kms:Decrypt action"},
		{d.Implicit(fault.ResourcePolicy), fault.AccessDeniedException, u + " on resource: " + key + " because no resource-based policy allows the kms:Decrypt action"},
		{d.Implicit(fault.EndpointPolicy), fault.AccessDeniedException, u + " on resource: " + key + " because no VPC endpoint policy allows the kms:Decrypt action"},
		{d.Explicit(fault.ResourcePolicy), fault.AccessDeniedException, u + " on resource: " + key + " with an explicit deny in a resource-based policy"},
		{d.Explicit(fault.IdentityPolicy), fault.AccessDeniedException, u + " on resource: " + key + " with an explicit deny in an identity-based policy"},
		{d.Explicit(fault.SessionPolicy), fault.AccessDeniedException, u + " on resource: " + key + " with an explicit deny in a session policy"},
		{d.Foreign(), fault.AccessDeniedException, u + " on this resource because " + tail},
		{d.ForeignCaller(), fault.AccessDeniedException, u + " on this resource because no identity-based policy allows the kms:Decrypt action"},
		{d.Ciphertext(), fault.AccessDeniedException, u + " on the resource associated with this ciphertext because " + tail},
		{keyless.Implicit(fault.IdentityPolicy), fault.AccessDeniedException, "User: " + d.Caller + " is not authorized to perform: kms:TagResource because no identity-based policy allows the kms:TagResource action"},
	}
	for _, tt := range tests {
		if tt.got.Code != tt.code || tt.got.Message != tt.text {
			t.Errorf("got  %v\nwant %s: %s", tt.got, tt.code, tt.text)
		}
	}
}

// TestOwnTexts are ours: no recording exists, only the exception is given.
func TestOwnTexts(t *testing.T) {
	for _, tt := range []struct {
		got  *fault.Error
		code fault.Code
	}{
		{fault.InvalidAliasName("alias/"), fault.InvalidAliasNameException},
		{fault.AliasKind("alias/a"), fault.ValidationException},
		{fault.ContextNotAllowed(), fault.ValidationException},
		{fault.PolicyTooLarge(32768), fault.LimitExceededException},
		{fault.KeyLimit(100000), fault.LimitExceededException},
		{fault.GrantLimit(50000), fault.LimitExceededException},
		{fault.InvalidGrantID("x"), fault.InvalidGrantIdException},
		{fault.InvalidGrantToken(), fault.InvalidGrantTokenException},
		{fault.GrantNotFound("x"), fault.NotFoundException},
		{fault.MalformedPolicy("line %d: unknown element", 3), fault.MalformedPolicyDocumentException},
		{fault.Denied("The account %s is suspended.", "111122223333"), fault.AccessDeniedException},
	} {
		if tt.got.Code != tt.code || tt.got.Message == "" {
			t.Errorf("%v, want %s with a text", tt.got, tt.code)
		}
	}
}

func TestInvalidListsEveryViolation(t *testing.T) {
	empty := []fault.Violation{
		fault.Value("", "keyId", fault.MinLength(1)), fault.Value("", "keyId", fault.Pattern(`^\p{ASCII}+$`)),
	}
	tests := []struct {
		violations []fault.Violation
		text       string
	}{
		{empty, `2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\p{ASCII}+$`},
		{[]fault.Violation{fault.Hidden("plaintext", fault.MaxLength(4096))}, "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{[]fault.Violation{fault.Null("signature", fault.NotNull)}, "1 validation error detected: Value null at 'signature' failed to satisfy constraint: Member must not be null"},
		{[]fault.Violation{fault.Value("8", "limit", fault.MinValue(9)), fault.Value("8", "limit", fault.MaxValue(7))}, "2 validation errors detected: Value '8' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 9; Value '8' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 7"},
		{[]fault.Violation{fault.Value("X", "m", fault.Enum([]enum{"A", "B"}))}, "1 validation error detected: Value 'X' at 'm' failed to satisfy constraint: Member must satisfy enum value set: [A, B]"},
		{[]fault.Violation{fault.Value("[X]", "m", fault.EnumList([]enum{"A", "B"}))}, "1 validation error detected: Value '[X]' at 'm' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [A, B]]"},
	}
	for _, tt := range tests {
		got := fault.Invalid(tt.violations...)
		if got.Code != fault.ValidationException || got.Message != tt.text {
			t.Errorf("got  %v\nwant %s", got, tt.text)
		}
	}
}
