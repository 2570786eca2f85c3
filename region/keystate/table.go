package keystate

// cell is what an operation does in a state.
type cell uint8

// Cells, by the abbreviations of spec 10 section 4. An operation that succeeds late (EnableKey on an unavailable key) is ok: what
// it changes is a fact that shows when the other facts allow.
const (
	ok cell = iota
	d       // DisabledException: is disabled
	pd      // KMSInvalidStateException: is pending deletion, or pending replica deletion
	pi      // KMSInvalidStateException: is pending import
	un      // KMSInvalidStateException: is unavailable
	cr      // KMSInvalidStateException: is creating
	up      // KMSInvalidStateException: is updating
	np      // KMSInvalidStateException: is not pending deletion
)

// row is one line of the table. The columns are the states; PendingDeletion and PendingReplicaDeletion share one.
type row struct {
	enabled, disabled, deletion, noMaterial, unavailable, creating, updating cell

	// before refuses kinds of keys before the state is looked at, except that a key being created or updated is answered with
	// that (spec 01 KST-09; spec 10 S7 to S10). after refuses them once the state allows the operation (spec 10 PROTO-30,
	// GPK-01). Nil refuses none.
	before, after rule
}

// The rows of spec 10 section 4. Where its table has "-" because the kinds of keys that can be in the state cannot do the
// operation, the cell holds ok if a rule refuses these kinds anyway, else the refusal of the state.
var (
	s0  = row{ok, ok, ok, ok, ok, ok, ok, nil, nil}
	s1  = row{ok, d, pd, pi, un, cr, ok, nil, nil}
	s1k = row{ok, d, pd, pi, un, cr, ok, nil, symmetricForDataKey}
	s1p = row{ok, d, pd, pi, un, cr, ok, nil, symmetricForDataKeyPair}
	s2  = row{ok, d, pd, pi, un, cr, ok, nil, nil}
	// GetPublicKey works on disabled keys: recorded of the live service in 2026, against its documentation.
	s2g = row{ok, ok, pd, pi, ok, cr, ok, nil, asymmetric}
	s3  = row{ok, ok, pd, ok, ok, ok, ok, nil, nil}
	s4  = row{np, np, ok, np, np, np, np, nil, nil}
	s5  = row{ok, d, pd, pi, ok, cr, ok, nil, nil}
	s6  = row{ok, ok, pd, pi, ok, cr, up, nil, nil}
	s7e = row{ok, d, pd, pi, ok, cr, ok, rotatesAutomatically, nil}
	s7d = row{ok, d, pd, pi, ok, cr, ok, rotationCanBeDisabled, nil}
	s7b = row{ok, d, pd, pi, ok, cr, ok, rotatesOnDemand, nil}
	s8s = row{ok, ok, ok, ok, ok, ok, ok, ownMaterial, nil}
	s8l = row{ok, ok, ok, ok, ok, ok, ok, listsRotations, nil}
	s9  = row{ok, ok, ok, ok, ok, cr, up, imported, nil}
	s10 = row{ok, ok, pd, ok, ok, cr, up, imported, nil}
	// ImportKeyMaterial goes on while the primary Region changes.
	s10b = row{ok, ok, pd, ok, ok, cr, ok, imported, nil}
	s11  = row{ok, d, pd, pi, ok, cr, up, nil, primary}
	s12  = row{ok, ok, pd, ok, ok, ok, up, nil, nil}
	s13  = row{ok, d, pd, pi, ok, cr, ok, nil, primaryOrChanging}
)

// table holds every operation on a key.
var table = map[string]*row{
	"DeleteAlias": &s0, "DescribeKey": &s0, "GetKeyPolicy": &s0, "ListAliases": &s0, "ListGrants": &s0, "ListKeyPolicies": &s0,
	"ListResourceTags": &s0, "PutKeyPolicy": &s0, "RetireGrant": &s0, "RevokeGrant": &s0, "GetKeyLastUsage": &s0,

	"Encrypt": &s1, "Decrypt": &s1, "ReEncrypt": &s1,
	"GenerateDataKey": &s1k, "GenerateDataKeyWithoutPlaintext": &s1k,
	"GenerateDataKeyPair": &s1p, "GenerateDataKeyPairWithoutPlaintext": &s1p,

	"Sign": &s2, "Verify": &s2, "GenerateMac": &s2, "VerifyMac": &s2, "DeriveSharedSecret": &s2,
	"GetPublicKey": &s2g,

	"CreateAlias": &s3, "TagResource": &s3, "UntagResource": &s3, "UpdateKeyDescription": &s3,
	"UpdateAlias": &s3, // asked for the new key only: the current one may be pending deletion (S3b)

	"CancelKeyDeletion":   &s4,
	"CreateGrant":         &s5,
	"EnableKey":           &s6,
	"DisableKey":          &s6,
	"ScheduleKeyDeletion": &s12,

	"EnableKeyRotation": &s7e, "DisableKeyRotation": &s7d, "RotateKeyOnDemand": &s7b,
	"GetKeyRotationStatus": &s8s, "ListKeyRotations": &s8l,

	"DeleteImportedKeyMaterial": &s9, "GetParametersForImport": &s10, "ImportKeyMaterial": &s10b,

	"ReplicateKey": &s11, "UpdatePrimaryRegion": &s13,
}

// keyless holds the operations that no key's state concerns (spec 01 KST-06).
var keyless = map[string]bool{
	"CreateKey": true, "ListKeys": true, "GenerateRandom": true, "ListRetirableGrants": true,
	"ConnectCustomKeyStore": true, "CreateCustomKeyStore": true, "DeleteCustomKeyStore": true,
	"DescribeCustomKeyStores": true, "DisconnectCustomKeyStore": true, "UpdateCustomKeyStore": true,
}

// Known reports whether the operation is in the table, with or without a key.
func Known(op string) bool { return table[op] != nil || keyless[op] }
