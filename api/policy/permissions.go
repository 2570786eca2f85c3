package policy

// ResourceType is what a permission applies to (spec 04 RES-01, IDP-05 to IDP-07).
type ResourceType uint8

// Resource types.
const (
	ResourceNone    ResourceType = iota + 1 // no particular resource: only a Resource of "*" or "arn:…:*" covers it
	ResourceKey                             // a KMS key; has a key policy and grants
	ResourceAlias                           // an alias
	ResourceNewKey                          // the key that CreateKey is about to make: it has an ARN, its policy does not count yet
	ResourceGrantee                         // the principal that ListRetirableGrants names; "*" or a pattern of its ARN covers it
	ResourceRole                            // an IAM role that is being assumed; has a trust policy
	ResourceOther                           // anything else with an ARN, without a policy of its own
)

// Permission is one row of the permissions reference: an action on one type of resource (spec 05 PRM-05).
type Permission struct {
	Action   string // "kms:" and the operation's name; ReEncrypt has two, ReEncryptFrom and ReEncryptTo
	Resource ResourceType
	// KeyPolicy tells that the action takes effect in a key policy. If not, only identity policies can allow it (PRM-01).
	KeyPolicy bool
	// CrossAccount tells that it is effective on the resources of another account (PRM-02, spec 04 XA-02).
	CrossAccount bool
	// Grant is the grant operation that conveys it, 0 if no grant can.
	Grant GrantOperation
	// Keys are the restricted condition keys that exist in its context. Global keys always may.
	Keys KeySet
}

// Groups of condition keys as the reference names them (PRM-05: K, C, E, R, T).
const (
	keysOfCaller = 1<<KeyCallerAccount | 1<<KeyViaService
	keysOfKey    = keysOfCaller | 1<<KeyKeySpec | 1<<KeyKeyUsage | 1<<KeyKeyOrigin | 1<<KeyMultiRegion | 1<<KeyMultiRegionKeyType |
		1<<KeyResourceAliases | 1<<KeyResourceTag
	keysOfCrypto      = 1<<KeyEncryptionAlgorithm | 1<<KeyRequestAlias
	keysOfContext     = 1<<KeyEncryptionContext | 1<<KeyEncryptionContextKeys
	keysOfAttestation = 1<<KeyRecipientImageSha384 | 1<<KeyRecipientPCR | 1<<KeyRecipientNitroTPMPCR
	keysOfTags        = 1<<KeyRequestTag | 1<<KeyTagKeys
	keysOfNewGrant    = 1<<KeyGrantConstraintType | 1<<KeyGranteePrincipal | 1<<KeyGrantIsForAWSResource | 1<<KeyGrantOperations |
		1<<KeyRetiringPrincipal | 1<<KeyGrantConstraintSourceArn | 1<<KeyGranteeServicePrincipal | 1<<KeyRetiringServicePrincipal
	keysOfNewKey = keysOfCaller | 1<<KeyBypassPolicyLockoutSafetyCheck | 1<<KeyKeySpec | 1<<KeyKeyUsage | 1<<KeyKeyOrigin |
		1<<KeyMultiRegion | 1<<KeyMultiRegionKeyType | 1<<KeyResourceTag
	keysOfSigning = 1<<KeyMessageType | 1<<KeyRequestAlias | 1<<KeySigningAlgorithm
	keysOfData    = keysOfCrypto | keysOfContext | keysOfKey
)

// permissions is THE table, sorted by action; the rows of one action stand together, its key row first.
var permissions = [...]Permission{
	{Action: "kms:CancelKeyDeletion", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:ConnectCustomKeyStore", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:CreateAlias", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:CreateAlias", Resource: ResourceAlias, Keys: keysOfCaller},
	{Action: "kms:CreateCustomKeyStore", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:CreateGrant", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantCreateGrant, Keys: keysOfContext | keysOfKey | keysOfNewGrant},
	{Action: "kms:CreateKey", Resource: ResourceNone, Keys: keysOfTags | keysOfNewKey},
	{Action: "kms:Decrypt", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantDecrypt, Keys: keysOfData | keysOfAttestation},
	{Action: "kms:DeleteAlias", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:DeleteAlias", Resource: ResourceAlias, Keys: keysOfCaller},
	{Action: "kms:DeleteCustomKeyStore", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:DeleteImportedKeyMaterial", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:DeriveSharedSecret", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantDeriveSharedSecret, Keys: keysOfKey | keysOfAttestation | 1<<KeyKeyAgreementAlgorithm | 1<<KeyRequestAlias},
	{Action: "kms:DescribeCustomKeyStores", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:DescribeKey", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantDescribeKey, Keys: keysOfKey | 1<<KeyRequestAlias},
	{Action: "kms:DisableKey", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyTrailingDaysWithoutKeyUsage},
	{Action: "kms:DisableKeyRotation", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:DisconnectCustomKeyStore", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:EnableKey", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:EnableKeyRotation", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyRotationPeriodInDays},
	{Action: "kms:Encrypt", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantEncrypt, Keys: keysOfData},
	{Action: "kms:GenerateDataKey", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGenerateDataKey, Keys: keysOfData | keysOfAttestation},
	{Action: "kms:GenerateDataKeyPair", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGenerateDataKeyPair, Keys: keysOfData | keysOfAttestation | 1<<KeyDataKeyPairSpec},
	{Action: "kms:GenerateDataKeyPairWithoutPlaintext", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGenerateDataKeyPairWithoutPlaintext, Keys: keysOfData | 1<<KeyDataKeyPairSpec},
	{Action: "kms:GenerateDataKeyWithoutPlaintext", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGenerateDataKeyWithoutPlaintext, Keys: keysOfData},
	{Action: "kms:GenerateMac", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGenerateMac, Keys: keysOfKey | 1<<KeyMacAlgorithm | 1<<KeyRequestAlias},
	{Action: "kms:GenerateRandom", Resource: ResourceNone, Keys: keysOfAttestation},
	{Action: "kms:GetKeyLastUsage", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:GetKeyPolicy", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:GetKeyRotationStatus", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Keys: keysOfKey},
	{Action: "kms:GetParametersForImport", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyWrappingAlgorithm | 1<<KeyWrappingKeySpec},
	{Action: "kms:GetPublicKey", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantGetPublicKey, Keys: keysOfKey | 1<<KeyRequestAlias},
	{Action: "kms:ImportKeyMaterial", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyExpirationModel | 1<<KeyValidTo},
	{Action: "kms:ListAliases", Resource: ResourceNone},
	{Action: "kms:ListGrants", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Keys: keysOfKey | 1<<KeyGrantIsForAWSResource},
	{Action: "kms:ListKeyPolicies", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:ListKeyRotations", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:ListKeys", Resource: ResourceNone},
	{Action: "kms:ListResourceTags", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:ListRetirableGrants", Resource: ResourceNone},
	{Action: "kms:PutKeyPolicy", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyBypassPolicyLockoutSafetyCheck},
	{Action: "kms:ReEncryptFrom", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantReEncryptFrom, Keys: keysOfData | 1<<KeyReEncryptOnSameKey},
	{Action: "kms:ReEncryptTo", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantReEncryptTo, Keys: keysOfData | 1<<KeyReEncryptOnSameKey},
	{Action: "kms:ReplicateKey", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyReplicaRegion},
	{Action: "kms:RetireGrant", Resource: ResourceKey, CrossAccount: true, Grant: GrantRetireGrant, Keys: keysOfContext | 1<<KeyResourceAliases | 1<<KeyResourceTag | 1<<KeyGrantConstraintType | keysOfCaller},
	{Action: "kms:RevokeGrant", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Keys: keysOfKey | 1<<KeyGrantIsForAWSResource},
	{Action: "kms:RotateKeyOnDemand", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:ScheduleKeyDeletion", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyScheduleKeyDeletionPendingWindowInDays | 1<<KeyTrailingDaysWithoutKeyUsage},
	{Action: "kms:Sign", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantSign, Keys: keysOfKey | keysOfSigning},
	{Action: "kms:SynchronizeMultiRegionKey", Resource: ResourceKey, Keys: keysOfKey &^ keysOfCaller},
	{Action: "kms:TagResource", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | keysOfTags},
	{Action: "kms:TagResource", Resource: ResourceNewKey, Keys: keysOfKey | keysOfTags},
	{Action: "kms:UntagResource", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | keysOfTags},
	{Action: "kms:UpdateAlias", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:UpdateAlias", Resource: ResourceAlias, Keys: keysOfCaller},
	{Action: "kms:UpdateCustomKeyStore", Resource: ResourceNone, Keys: 1 << KeyCallerAccount},
	{Action: "kms:UpdateKeyDescription", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey},
	{Action: "kms:UpdatePrimaryRegion", Resource: ResourceKey, KeyPolicy: true, Keys: keysOfKey | 1<<KeyPrimaryRegion},
	{Action: "kms:Verify", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantVerify, Keys: keysOfKey | keysOfSigning},
	{Action: "kms:VerifyMac", Resource: ResourceKey, KeyPolicy: true, CrossAccount: true, Grant: GrantVerifyMac, Keys: keysOfKey | 1<<KeyMacAlgorithm | 1<<KeyRequestAlias},
}

// Permissions returns the permissions reference, sorted by action.
func Permissions() []Permission { return append([]Permission(nil), permissions[:]...) }

// PermissionFor returns the row of an action, written as in the table, on a type of resource.
func PermissionFor(action string, t ResourceType) (Permission, bool) {
	first := findPermission(action)
	if first < 0 {
		return Permission{}, false
	}
	i := permissionRow(first, t)
	return permissions[i], permissions[i].Resource == t || t == ResourceGrantee && permissions[i].Resource == ResourceNone
}

// findPermission returns the index of an action's first row, -1 if the table has none. It compares exactly: a request's
// action is Trent's own text.
func findPermission(action string) int {
	low, high := 0, len(permissions)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if permissions[middle].Action < action {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(permissions) && permissions[low].Action == action {
		return low
	}
	return -1
}

// permissionRow returns the row for a type of resource among the rows of one action, or the action's first row if it has
// none for that type.
func permissionRow(first int, t ResourceType) int {
	if t == ResourceGrantee {
		t = ResourceNone
	}
	for i := first; i < len(permissions) && permissions[i].Action == permissions[first].Action; i++ {
		if permissions[i].Resource == t {
			return i
		}
	}
	return first
}

// actionBits is a set of rows of the table.
type actionBits [2]uint64

// The table must fit into actionBits: this fails to compile once it does not.
const _ = uint(64*len(actionBits{}) - len(permissions))

func (b *actionBits) add(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b *actionBits) has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }
