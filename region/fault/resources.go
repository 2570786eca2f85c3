package fault

// Texts about aliases, tags, policies, grants and limits.

// AliasNotFound is for an unknown alias (spec 01 KID-08).
func AliasNotFound(aliasARN string) *Error {
	return New(NotFoundException, "Alias %s is not found.", aliasARN)
}

// AliasAsTarget is for an alias where the target key of an alias is asked for (spec 10 CAL-01).
func AliasAsTarget() *Error {
	return New(ValidationException, "Aliases must refer to keys. Not aliases")
}

// AliasPrefix is for an alias name that does not begin with alias/ (spec 10 CAL-02). The address is part of the recorded text.
func AliasPrefix() *Error {
	return New(ValidationException, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
}

// AliasReserved is for alias/aws/ names, which customers cannot create, re-point or delete (spec 10 CAL-02).
func AliasReserved() *Error { return New(NotAuthorizedException, "") }

// AliasCharacters is for a colon, which the model's pattern lets through (spec 10 CAL-02).
func AliasCharacters(name string) *Error {
	return New(ValidationException, "%s contains invalid characters for an alias", name)
}

// InvalidAliasName is for a name that is invalid otherwise, such as the bare prefix (spec 10 CAL-02).
func InvalidAliasName(name string) *Error {
	return New(InvalidAliasNameException, "%s is not a valid alias name: at least one character must follow the prefix.", name)
}

// AliasExists is for a taken alias, whatever key it points to (spec 10 CAL-03).
func AliasExists(aliasARN string) *Error {
	return New(AlreadyExistsException, "An alias with the name %s already exists", aliasARN)
}

// AliasLimit is for one alias too many on a key (spec 10 CAL-03).
func AliasLimit(quota, usage int) *Error {
	return New(LimitExceededException, "Aliases per key quota for this account in this region is %d, current usage is %d.", quota, usage)
}

// AliasUsage is for re-pointing an alias to a key with another usage (spec 10 UAL-01).
func AliasUsage[U ~string](alias string, current, target U) *Error {
	return New(ValidationException,
		"Alias %s cannot be changed from a CMK with key usage %s to a CMK with key usage %s. The key usage of the current CMK and the new CMK must be the same.",
		alias, string(current), string(target))
}

// AliasKind is for re-pointing an alias between symmetric, asymmetric and HMAC keys (spec 09 KTR-09).
func AliasKind(alias string) *Error {
	return New(ValidationException,
		"Alias %s cannot be changed to a CMK of another type. The current CMK and the new CMK must both be symmetric, both asymmetric, or both HMAC.", alias)
}

// DuplicateTags is for one tag key twice in a request (spec 10 CKY-05).
func DuplicateTags() *Error { return New(TagException, "Duplicate tag keys") }

// TooManyTags is for more than 50 tags on a key (spec 10 CKY-05).
func TooManyTags() *Error { return New(TagException, "Too many tags") }

// ReservedTag is for tag keys that begin with aws: in any letter case (spec 10 CKY-05).
func ReservedTag() *Error {
	return New(TagException, "Tags beginning with aws: are reserved")
}

// PolicyLockout is for a policy after which the caller could not change it any more (spec 10 CKY-04).
func PolicyLockout() *Error {
	return New(MalformedPolicyDocumentException, "The new key policy will not allow you to update the key policy in the future.")
}

// PolicyPrincipals is for a policy that names a principal that does not exist (spec 04 KP-10).
func PolicyPrincipals() *Error {
	return New(MalformedPolicyDocumentException, "Policy contains a statement with one or more invalid principals.")
}

// PolicyARN is for a policy with a malformed or group ARN as principal (spec 04 KP-10).
func PolicyARN() *Error {
	return New(InvalidArnException, "An ARN in the specified key policy is invalid.")
}

// MalformedPolicy is for every other defect of a policy; what it says is for the client.
func MalformedPolicy(format string, args ...any) *Error {
	return New(MalformedPolicyDocumentException, format, args...)
}

// PolicyTooLarge is for a policy above its quota, in bytes (spec 04 KP-02).
func PolicyTooLarge(quota int) *Error {
	return New(LimitExceededException, "The policy is larger than %d bytes.", quota)
}

// NoSuchPolicy is for GetKeyPolicy with another name than default (spec 10 GKY-01).
func NoSuchPolicy() *Error { return New(NotFoundException, "No such policy exists") }

// GrantPrincipal is for a grantee or retiring principal that does not exist (spec 10 CGR-03).
func GrantPrincipal(arn string) *Error {
	return New(InvalidArnException, "ARN does not refer to a valid principal: %s", arn)
}

// InvalidGrantID is for a grant id that is not one (spec 04 GM-06).
func InvalidGrantID(id string) *Error {
	return New(InvalidGrantIdException, "Grant ID %s is not valid: a grant ID has 64 hexadecimal digits.", id)
}

// InvalidGrantToken is for a grant token that this Region has not given out (spec 04 GT-07). It does not quote the token.
func InvalidGrantToken() *Error {
	return New(InvalidGrantTokenException, "The grant token is not valid in this Region.")
}

// GrantNotFound is for a grant that does not exist, or no longer (spec 04 GM-06).
func GrantNotFound(id string) *Error {
	return New(NotFoundException, "Grant ID %s is not found.", id)
}

// OnlyCreateGrant is for a grant of nothing but CreateGrant (spec 10 CGR-04).
func OnlyCreateGrant() *Error {
	return New(ValidationException, "Grants must not contain only the CreateGrant operation.")
}

// KeyLimit is for one customer managed key too many in an account and Region (spec 01 CRE-11).
func KeyLimit(quota int) *Error {
	return New(LimitExceededException, "Keys quota for this account in this region is %d.", quota)
}

// GrantLimit is for one grant too many on a key (spec 10 CGR-04).
func GrantLimit(quota int) *Error {
	return New(LimitExceededException, "Grants per key quota for this account in this region is %d.", quota)
}

// InvalidMarker is for a paging marker that this operation did not give out (spec 09 PAG-04).
func InvalidMarker() *Error { return New(InvalidMarkerException, "") }

// Throttled is for a request above its quota (spec 03 THR-01).
func Throttled() *Error {
	return New(ThrottlingException, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")
}
