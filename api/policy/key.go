package policy

import "strings"

// KeyID identifies a condition key that Trent knows. A [Context] switches over it.
type KeyID uint8

// Condition keys that exist only for some operations: [Permission.Keys] says for which (spec 05 section 6, PRM-05).
const (
	KeyUnknown KeyID = iota // any other key: look at [Key.Name]

	KeyBypassPolicyLockoutSafetyCheck
	KeyCallerAccount
	KeyDataKeyPairSpec
	KeyEncryptionAlgorithm
	KeyEncryptionContext // kms:EncryptionContext:<Variable>
	KeyEncryptionContextKeys
	KeyExpirationModel
	KeyGrantConstraintSourceArn
	KeyGrantConstraintType
	KeyGrantIsForAWSResource
	KeyGrantOperations
	KeyGranteePrincipal
	KeyGranteeServicePrincipal
	KeyKeyAgreementAlgorithm
	KeyKeyOrigin
	KeyKeySpec  // also kms:CustomerMasterKeySpec
	KeyKeyUsage // also kms:CustomerMasterKeyUsage
	KeyMacAlgorithm
	KeyMessageType
	KeyMultiRegion
	KeyMultiRegionKeyType
	KeyPrimaryRegion
	KeyReEncryptOnSameKey
	KeyRecipientImageSha384
	KeyRecipientNitroTPMPCR // kms:RecipientAttestation:NitroTPMPCR<Variable>
	KeyRecipientPCR         // kms:RecipientAttestation:PCR<Variable>
	KeyReplicaRegion
	KeyRequestAlias
	KeyResourceAliases
	KeyRetiringPrincipal
	KeyRetiringServicePrincipal
	KeyRotationPeriodInDays
	KeyScheduleKeyDeletionPendingWindowInDays
	KeySigningAlgorithm
	KeyTrailingDaysWithoutKeyUsage
	KeyValidTo
	KeyViaService
	KeyWrappingAlgorithm
	KeyWrappingKeySpec
	KeyRequestTag  // aws:RequestTag/<Variable>
	KeyResourceTag // aws:ResourceTag/<Variable>
	KeyTagKeys

	endOfRestricted // the keys above need a row that lists them; KeySet has a bit for each

	KeyCalledVia
	KeyCalledViaFirst
	KeyCalledViaLast
	KeyCurrentTime
	KeyEpochTime
	KeyFederatedProvider
	KeyMultiFactorAuthAge
	KeyMultiFactorAuthPresent
	KeyPrincipalAccount
	KeyPrincipalArn
	KeyPrincipalIsAWSService
	KeyPrincipalOrgID
	KeyPrincipalOrgPaths
	KeyPrincipalServiceName
	KeyPrincipalServiceNamesList
	KeyPrincipalTag // aws:PrincipalTag/<Variable>
	KeyPrincipalType
	KeyReferer
	KeyRequestedRegion
	KeyResourceAccount
	KeyResourceOrgID
	KeyResourceOrgPaths
	KeySecureTransport
	KeySourceAccount
	KeySourceArn
	KeySourceIdentity
	KeySourceIP
	KeySourceOrgID
	KeySourceOrgPaths
	KeySourceVpc
	KeySourceVpce
	KeyTokenIssueTime
	KeyUserAgent
	KeyUserID
	KeyUsername
	KeyViaAWSService
	KeyVpcSourceIP
	KeyVpceOrgPaths
	KeySTSExternalID
	KeySTSRoleSessionName
	KeySTSTransitiveTagKeys
)

// KeySet is a set of the condition keys that need a row of the permission table.
type KeySet uint64

// Has tells whether the set holds a key. Global keys and keys that Trent does not know belong to every set.
func (s KeySet) Has(id KeyID) bool {
	return id == KeyUnknown || id >= endOfRestricted || s>>id&1 != 0
}

// A KeySet has a bit for each restricted key: this fails to compile once they are more than that.
const _ = uint(64 - endOfRestricted)

// Key is a condition key as a policy names it, normalized when the document was compiled. Names are compared without regard
// to case, the variable part too (spec 05 CND-04).
type Key struct {
	ID KeyID
	// Name is the full canonical name in lower case, e.g. "kms:encryptioncontext:appname".
	Name string
	// Variable is the part of the name that the policy's author chose, in lower case: the encryption context key, tag key
	// or register number. Empty for keys without one. [EqualKeys] compares it.
	Variable string
	// Multi tells that the context may hold several values of this key at once (spec 05 SET-01).
	Multi bool

	written string // as the document has it
	iamOnly bool   // absent in key policies (spec 05 CND-09)
}

// String returns the key as the document wrote it.
func (k *Key) String() string { return k.written }

// keyRow declares a known condition key. A name that ends in ':' or '/' or in "pcr" is a family: what follows is the
// variable part.
type keyRow struct {
	name    string // lower case
	id      KeyID
	family  bool
	multi   bool
	iamOnly bool
}

// keyRows are sorted by name. A family precedes no other key that it would swallow.
var keyRows = [...]keyRow{
	{name: "aws:calledvia", id: KeyCalledVia, multi: true},
	{name: "aws:calledviafirst", id: KeyCalledViaFirst},
	{name: "aws:calledvialast", id: KeyCalledViaLast},
	{name: "aws:currenttime", id: KeyCurrentTime},
	{name: "aws:epochtime", id: KeyEpochTime},
	{name: "aws:federatedprovider", id: KeyFederatedProvider},
	{name: "aws:multifactorauthage", id: KeyMultiFactorAuthAge},
	{name: "aws:multifactorauthpresent", id: KeyMultiFactorAuthPresent},
	{name: "aws:principalaccount", id: KeyPrincipalAccount},
	{name: "aws:principalarn", id: KeyPrincipalArn},
	{name: "aws:principalisawsservice", id: KeyPrincipalIsAWSService},
	{name: "aws:principalorgid", id: KeyPrincipalOrgID},
	{name: "aws:principalorgpaths", id: KeyPrincipalOrgPaths, multi: true},
	{name: "aws:principalservicename", id: KeyPrincipalServiceName},
	{name: "aws:principalservicenameslist", id: KeyPrincipalServiceNamesList, multi: true},
	{name: "aws:principaltag/", id: KeyPrincipalTag, family: true},
	{name: "aws:principaltype", id: KeyPrincipalType},
	{name: "aws:referer", id: KeyReferer},
	{name: "aws:requestedregion", id: KeyRequestedRegion},
	{name: "aws:requesttag/", id: KeyRequestTag, family: true},
	{name: "aws:resourceaccount", id: KeyResourceAccount},
	{name: "aws:resourceorgid", id: KeyResourceOrgID},
	{name: "aws:resourceorgpaths", id: KeyResourceOrgPaths, multi: true},
	{name: "aws:resourcetag/", id: KeyResourceTag, family: true, iamOnly: true},
	{name: "aws:securetransport", id: KeySecureTransport},
	{name: "aws:sourceaccount", id: KeySourceAccount},
	{name: "aws:sourcearn", id: KeySourceArn},
	{name: "aws:sourceidentity", id: KeySourceIdentity},
	{name: "aws:sourceip", id: KeySourceIP},
	{name: "aws:sourceorgid", id: KeySourceOrgID},
	{name: "aws:sourceorgpaths", id: KeySourceOrgPaths, multi: true},
	{name: "aws:sourcevpc", id: KeySourceVpc},
	{name: "aws:sourcevpce", id: KeySourceVpce},
	{name: "aws:tagkeys", id: KeyTagKeys, multi: true},
	{name: "aws:tokenissuetime", id: KeyTokenIssueTime},
	{name: "aws:useragent", id: KeyUserAgent},
	{name: "aws:userid", id: KeyUserID},
	{name: "aws:username", id: KeyUsername},
	{name: "aws:viaawsservice", id: KeyViaAWSService},
	{name: "aws:vpceorgpaths", id: KeyVpceOrgPaths, multi: true},
	{name: "aws:vpcsourceip", id: KeyVpcSourceIP},
	{name: "kms:bypasspolicylockoutsafetycheck", id: KeyBypassPolicyLockoutSafetyCheck},
	{name: "kms:calleraccount", id: KeyCallerAccount},
	{name: "kms:customermasterkeyspec", id: KeyKeySpec},
	{name: "kms:customermasterkeyusage", id: KeyKeyUsage},
	{name: "kms:datakeypairspec", id: KeyDataKeyPairSpec},
	{name: "kms:encryptionalgorithm", id: KeyEncryptionAlgorithm},
	{name: "kms:encryptioncontext:", id: KeyEncryptionContext, family: true},
	{name: "kms:encryptioncontextkeys", id: KeyEncryptionContextKeys, multi: true},
	{name: "kms:expirationmodel", id: KeyExpirationModel},
	{name: "kms:grantconstraintsourcearn", id: KeyGrantConstraintSourceArn},
	{name: "kms:grantconstrainttype", id: KeyGrantConstraintType},
	{name: "kms:granteeprincipal", id: KeyGranteePrincipal},
	{name: "kms:granteeserviceprincipal", id: KeyGranteeServicePrincipal},
	{name: "kms:grantisforawsresource", id: KeyGrantIsForAWSResource},
	{name: "kms:grantoperations", id: KeyGrantOperations, multi: true},
	{name: "kms:keyagreementalgorithm", id: KeyKeyAgreementAlgorithm},
	{name: "kms:keyorigin", id: KeyKeyOrigin},
	{name: "kms:keyspec", id: KeyKeySpec},
	{name: "kms:keyusage", id: KeyKeyUsage},
	{name: "kms:macalgorithm", id: KeyMacAlgorithm},
	{name: "kms:messagetype", id: KeyMessageType},
	{name: "kms:multiregion", id: KeyMultiRegion},
	{name: "kms:multiregionkeytype", id: KeyMultiRegionKeyType},
	{name: "kms:primaryregion", id: KeyPrimaryRegion},
	{name: "kms:recipientattestation:imagesha384", id: KeyRecipientImageSha384},
	{name: "kms:recipientattestation:nitrotpmpcr", id: KeyRecipientNitroTPMPCR, family: true},
	{name: "kms:recipientattestation:pcr", id: KeyRecipientPCR, family: true},
	{name: "kms:reencryptonsamekey", id: KeyReEncryptOnSameKey},
	{name: "kms:replicaregion", id: KeyReplicaRegion},
	{name: "kms:requestalias", id: KeyRequestAlias},
	{name: "kms:resourcealiases", id: KeyResourceAliases, multi: true, iamOnly: true},
	{name: "kms:retiringprincipal", id: KeyRetiringPrincipal},
	{name: "kms:retiringserviceprincipal", id: KeyRetiringServicePrincipal},
	{name: "kms:rotationperiodindays", id: KeyRotationPeriodInDays},
	{name: "kms:schedulekeydeletionpendingwindowindays", id: KeyScheduleKeyDeletionPendingWindowInDays},
	{name: "kms:signingalgorithm", id: KeySigningAlgorithm},
	{name: "kms:trailingdayswithoutkeyusage", id: KeyTrailingDaysWithoutKeyUsage},
	{name: "kms:validto", id: KeyValidTo},
	{name: "kms:viaservice", id: KeyViaService},
	{name: "kms:wrappingalgorithm", id: KeyWrappingAlgorithm},
	{name: "kms:wrappingkeyspec", id: KeyWrappingKeySpec},
	{name: "sts:externalid", id: KeySTSExternalID},
	{name: "sts:rolesessionname", id: KeySTSRoleSessionName},
	{name: "sts:transitivetagkeys", id: KeySTSTransitiveTagKeys, multi: true},
}

// deprecated names mean the same keys as their successors (spec 05 section 6).
var deprecated = [...]struct{ old, name string }{
	{"kms:customermasterkeyspec", "kms:keyspec"},
	{"kms:customermasterkeyusage", "kms:keyusage"},
}

// newKey normalizes a condition key's name.
func newKey(written string) *Key {
	k := &Key{Name: strings.ToLower(written), written: written}
	for _, d := range deprecated {
		if k.Name == d.old {
			k.Name = d.name
		}
	}
	row := findKey(k.Name)
	if row == nil {
		return k
	}
	k.ID, k.Multi, k.iamOnly = row.id, row.multi, row.iamOnly
	if row.family {
		k.Variable = k.Name[len(row.name):]
	}
	return k
}

func findKey(name string) *keyRow {
	for i := range keyRows {
		r := &keyRows[i]
		if r.name == name && !r.family || r.family && len(name) > len(r.name) && strings.HasPrefix(name, r.name) {
			return r
		}
	}
	return nil
}

// looseMessage is the refusal of ForAllValues with the single-valued families that it makes overly permissive, "" for
// other keys (spec 04 KP-13).
func (k *Key) looseMessage() string {
	switch k.ID {
	case KeyEncryptionContext:
		return looseContextMessage
	case KeyRequestTag:
		return looseTagMessage
	}
	return ""
}

// isAttestation tells the keys whose policy values may carry a 0x that means nothing (spec 05 ATT-07).
func (k *Key) isAttestation() bool {
	return k.ID == KeyRecipientImageSha384 || k.ID == KeyRecipientPCR || k.ID == KeyRecipientNitroTPMPCR
}

// KnownServices are the services that kms:ViaService names (spec 05 VIA-05). The engine compares the names as text and knows
// no list; this one is for linters and for the registry of service integrations.
func KnownServices() []string { return strings.Fields(knownServices) }

const knownServices = `aiops airflow aoss appfabric appflow apprunner apptest ards athena auditmanager backup backup-gateway bedrock
cassandra chimevoiceconnector cleanrooms-ml codeartifact codeguru-reviewer comprehend connect custom-packages dax deepracer
directoryservice dms docdb-elastic dynamodb ec2 ecr elasticache elasticfilesystem entityresolution es events finspace firehose
forecast fsx geo glue groundstation healthlake importexport iotsitewise kafka kendra kinesis kinesisvideo lambda lex
license-manager lookoutequipment lookoutmetrics lookoutvision m2 macie malware-protection managedblockchain mediatailor
memorydb mgn monitron mq nimble omics profile proton qldb rds redshift redshift-serverless rekognition s3 s3tables sagemaker
secretsmanager securitylake ses sns sqlworkbench sqs ssm ssm-contacts ssm-incidents states storagegateway supportauthz
thinclient timestream translate verified-access wisdom workmail workspaces workspaces-web xray`
