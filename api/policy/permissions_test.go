package policy

import (
	"slices"
	"strings"
	"testing"
)

// reference is the permissions reference in words: action, policy type, cross-account, resource, grant, condition keys. The
// letters are the reference's groups.
const reference = `
CancelKeyDeletion                   Key No  key   -  K
ConnectCustomKeyStore               IAM No  *     -  A
CreateAlias                         IAM No  alias -  A ViaService
CreateAlias                         Key No  key   -  K
CreateCustomKeyStore                IAM No  *     -  A
CreateGrant                         Key Yes key   G  E K GrantConstraintType GranteePrincipal GrantIsForAWSResource GrantOperations RetiringPrincipal GrantConstraintSourceArn GranteeServicePrincipal RetiringServicePrincipal
CreateKey                           IAM No  *     -  A T BypassPolicyLockoutSafetyCheck KeySpec KeyUsage KeyOrigin MultiRegion MultiRegionKeyType ViaService ResourceTag
Decrypt                             Key Yes key   G  C E K R
DeleteAlias                         IAM No  alias -  A ViaService
DeleteAlias                         Key No  key   -  K
DeleteCustomKeyStore                IAM No  *     -  A
DeleteImportedKeyMaterial           Key No  key   -  K
DeriveSharedSecret                  Key Yes key   G  K KeyAgreementAlgorithm RequestAlias R
DescribeCustomKeyStores             IAM No  *     -  A
DescribeKey                         Key Yes key   G  K RequestAlias
DisableKey                          Key No  key   -  K TrailingDaysWithoutKeyUsage
DisableKeyRotation                  Key No  key   -  K
DisconnectCustomKeyStore            IAM No  *     -  A
EnableKey                           Key No  key   -  K
EnableKeyRotation                   Key No  key   -  K RotationPeriodInDays
Encrypt                             Key Yes key   G  C E K
GenerateDataKey                     Key Yes key   G  C E K R
GenerateDataKeyPair                 Key Yes key   G  C E K R DataKeyPairSpec
GenerateDataKeyPairWithoutPlaintext Key Yes key   G  C E K DataKeyPairSpec
GenerateDataKeyWithoutPlaintext     Key Yes key   G  C E K
GenerateMac                         Key Yes key   G  K MacAlgorithm RequestAlias
GenerateRandom                      IAM No  *     -  R
GetKeyLastUsage                     Key No  key   -  K
GetKeyPolicy                        Key No  key   -  K
GetKeyRotationStatus                Key Yes key   -  K
GetParametersForImport              Key No  key   -  K WrappingAlgorithm WrappingKeySpec
GetPublicKey                        Key Yes key   G  K RequestAlias
ImportKeyMaterial                   Key No  key   -  K ExpirationModel ValidTo
ListAliases                         IAM No  *     -
ListGrants                          Key Yes key   -  K GrantIsForAWSResource
ListKeyPolicies                     Key No  key   -  K
ListKeyRotations                    Key No  key   -  K
ListKeys                            IAM No  *     -
ListResourceTags                    Key No  key   -  K
ListRetirableGrants                 IAM No  *     -
PutKeyPolicy                        Key No  key   -  K BypassPolicyLockoutSafetyCheck
ReEncryptFrom                       Key Yes key   G  C E K ReEncryptOnSameKey
ReEncryptTo                         Key Yes key   G  C E K ReEncryptOnSameKey
ReplicateKey                        Key No  key   -  K ReplicaRegion
RetireGrant                         IAM Yes key   G  E A ResourceAliases ResourceTag GrantConstraintType ViaService
RevokeGrant                         Key Yes key   -  K GrantIsForAWSResource
RotateKeyOnDemand                   Key No  key   -  K
ScheduleKeyDeletion                 Key No  key   -  K ScheduleKeyDeletionPendingWindowInDays TrailingDaysWithoutKeyUsage
Sign                                Key Yes key   G  K MessageType RequestAlias SigningAlgorithm
SynchronizeMultiRegionKey           IAM No  key   -  KeySpec KeyUsage KeyOrigin MultiRegion MultiRegionKeyType ResourceAliases ResourceTag
TagResource                         Key No  key   -  K T
TagResource                         IAM No  new   -  K T
UntagResource                       Key No  key   -  K T
UpdateAlias                         IAM No  alias -  A ViaService
UpdateAlias                         Key No  key   -  K
UpdateCustomKeyStore                IAM No  *     -  A
UpdateKeyDescription                Key No  key   -  K
UpdatePrimaryRegion                 Key No  key   -  K PrimaryRegion
Verify                              Key Yes key   G  K MessageType RequestAlias SigningAlgorithm
VerifyMac                           Key Yes key   G  K MacAlgorithm RequestAlias`

var referenceGroups = map[string]string{
	"K": "kms:CallerAccount kms:KeySpec kms:KeyUsage kms:KeyOrigin kms:MultiRegion kms:MultiRegionKeyType kms:ResourceAliases aws:ResourceTag/k kms:ViaService",
	"A": "kms:CallerAccount", "C": "kms:EncryptionAlgorithm kms:RequestAlias", "E": "kms:EncryptionContext:k kms:EncryptionContextKeys",
	"R": "kms:RecipientAttestation:ImageSha384 kms:RecipientAttestation:PCR0 kms:RecipientAttestation:NitroTPMPCR0",
	"T": "aws:RequestTag/k aws:TagKeys", "ResourceTag": "aws:ResourceTag/k",
}

// TestPermissionsPRM05 compares the table with the reference, row by row.
func TestPermissionsPRM05(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(reference), "\n")
	if len(rows) != len(permissions) {
		t.Errorf("the reference has %d rows, the table %d", len(rows), len(permissions))
	}
	for _, row := range rows {
		f := strings.Fields(row)
		action := "kms:" + f[0]
		resource := map[string]ResourceType{"key": ResourceKey, "alias": ResourceAlias, "*": ResourceNone, "new": ResourceNewKey}[f[3]]
		p, ok := PermissionFor(action, resource)
		if !ok {
			t.Errorf("%s on %s is not in the table", action, f[3])
			continue
		}
		if p.KeyPolicy != (f[1] == "Key") || p.CrossAccount != (f[2] == "Yes") || (p.Grant != 0) != (f[4] == "G") {
			t.Errorf("%s on %s: %+v", action, f[3], p)
		}
		var want KeySet
		for _, name := range f[5:] {
			full, ok := referenceGroups[name]
			if !ok {
				full = "kms:" + name
			}
			for _, key := range strings.Fields(full) {
				id := newKey(key).ID
				if id == KeyUnknown || id >= endOfRestricted {
					t.Fatalf("%s is no restricted key", key)
				}
				want |= 1 << id
			}
		}
		if p.Keys != want {
			t.Errorf("%s on %s: keys %b, want %b", action, f[3], p.Keys, want)
		}
	}
}

func TestPermissionTable(t *testing.T) {
	if !slices.IsSortedFunc(permissions[:], func(a, b Permission) int { return strings.Compare(a.Action, b.Action) }) {
		t.Error("the table is not sorted")
	}
	if _, ok := PermissionFor("kms:ReEncrypt", ResourceKey); ok {
		t.Error("kms:ReEncrypt is a permission")
	}
	if _, ok := PermissionFor("kms:Encrypt", ResourceAlias); ok {
		t.Error("Encrypt applies to an alias")
	}
	if p, ok := PermissionFor("kms:ListRetirableGrants", ResourceGrantee); !ok || p.Resource != ResourceNone {
		t.Error("ListRetirableGrants does not apply to a grantee")
	}
	if n := len(Permissions()); n != len(permissions) {
		t.Errorf("%d rows", n)
	}
	if !slices.IsSortedFunc(keyRows[:], func(a, b keyRow) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the condition keys are not sorted")
	}
	// Every restricted key belongs to some operation, or no policy could ever use it.
	var used KeySet
	for _, p := range permissions {
		used |= p.Keys
	}
	for id := KeyID(1); id < endOfRestricted; id++ {
		if !used.Has(id) {
			t.Errorf("no operation has the key %d", id)
		}
	}
}

// TestWildcardsDET07: the wildcards of the default statements reach the operations that they reach in AWS.
func TestWildcardsDET07(t *testing.T) {
	tests := map[string][]string{
		"kms:Create*":          {"kms:CreateAlias", "kms:CreateCustomKeyStore", "kms:CreateGrant", "kms:CreateKey"},
		"kms:Describe*":        {"kms:DescribeCustomKeyStores", "kms:DescribeKey"},
		"kms:Enable*":          {"kms:EnableKey", "kms:EnableKeyRotation"},
		"kms:List*":            {"kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations", "kms:ListKeys", "kms:ListResourceTags", "kms:ListRetirableGrants"},
		"kms:Put*":             {"kms:PutKeyPolicy"},
		"kms:Update*":          {"kms:UpdateAlias", "kms:UpdateCustomKeyStore", "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion"},
		"kms:Revoke*":          {"kms:RevokeGrant"},
		"kms:Disable*":         {"kms:DisableKey", "kms:DisableKeyRotation"},
		"kms:Get*":             {"kms:GetKeyLastUsage", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:GetParametersForImport", "kms:GetPublicKey"},
		"kms:Delete*":          {"kms:DeleteAlias", "kms:DeleteCustomKeyStore", "kms:DeleteImportedKeyMaterial"},
		"kms:GenerateDataKey*": {"kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext"},
		"kms:ReEncrypt*":       {"kms:ReEncryptFrom", "kms:ReEncryptTo"},
	}
	for pattern, want := range tests {
		set := compileActions([]string{pattern}, false)
		var got []string
		for row, p := range permissions {
			if set.match(p.Action, row) && !slices.Contains(got, p.Action) {
				got = append(got, p.Action)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}
