package shape

// AlgorithmSpec is how key material is wrapped for import.
type AlgorithmSpec string

// The values of AlgorithmSpec.
const (
	WrappingAlgorithmPKCS1        AlgorithmSpec = "RSAES_PKCS1_V1_5"
	WrappingAlgorithmOAEPSHA1     AlgorithmSpec = "RSAES_OAEP_SHA_1"
	WrappingAlgorithmOAEPSHA256   AlgorithmSpec = "RSAES_OAEP_SHA_256"
	WrappingAlgorithmRSAAESSHA1   AlgorithmSpec = "RSA_AES_KEY_WRAP_SHA_1"
	WrappingAlgorithmRSAAESSHA256 AlgorithmSpec = "RSA_AES_KEY_WRAP_SHA_256"
	WrappingAlgorithmSM2PKE       AlgorithmSpec = "SM2PKE"
)

var algorithmSpecValues = []string{
	string(WrappingAlgorithmPKCS1), string(WrappingAlgorithmOAEPSHA1), string(WrappingAlgorithmOAEPSHA256),
	string(WrappingAlgorithmRSAAESSHA1), string(WrappingAlgorithmRSAAESSHA256), string(WrappingAlgorithmSM2PKE),
}

// Enum implements [Enum].
func (AlgorithmSpec) Enum() []string { return algorithmSpecValues }

// WrappingKeySpec is the kind of the public key that wraps material for import.
type WrappingKeySpec string

// The values of WrappingKeySpec.
const (
	WrappingKeySpecRSA2048 WrappingKeySpec = "RSA_2048"
	WrappingKeySpecRSA3072 WrappingKeySpec = "RSA_3072"
	WrappingKeySpecRSA4096 WrappingKeySpec = "RSA_4096"
	WrappingKeySpecSM2     WrappingKeySpec = "SM2"
)

var wrappingKeySpecValues = []string{
	string(WrappingKeySpecRSA2048), string(WrappingKeySpecRSA3072), string(WrappingKeySpecRSA4096),
	string(WrappingKeySpecSM2),
}

// Enum implements [Enum].
func (WrappingKeySpec) Enum() []string { return wrappingKeySpecValues }

// ExpirationModelType tells whether imported material expires.
type ExpirationModelType string

// The values of ExpirationModelType.
const (
	ExpirationModelKeyMaterialExpires       ExpirationModelType = "KEY_MATERIAL_EXPIRES"
	ExpirationModelKeyMaterialDoesNotExpire ExpirationModelType = "KEY_MATERIAL_DOES_NOT_EXPIRE"
)

var expirationModelTypeValues = []string{
	string(ExpirationModelKeyMaterialExpires), string(ExpirationModelKeyMaterialDoesNotExpire),
}

// Enum implements [Enum].
func (ExpirationModelType) Enum() []string { return expirationModelTypeValues }

// ImportType says whether an import brings new material or material known before.
type ImportType string

// The values of ImportType.
const (
	ImportNewKeyMaterial      ImportType = "NEW_KEY_MATERIAL"
	ImportExistingKeyMaterial ImportType = "EXISTING_KEY_MATERIAL"
)

var importTypeValues = []string{
	string(ImportNewKeyMaterial), string(ImportExistingKeyMaterial),
}

// Enum implements [Enum].
func (ImportType) Enum() []string { return importTypeValues }

// ImportState says whether material is present.
type ImportState string

// The values of ImportState.
const (
	ImportStateImported      ImportState = "IMPORTED"
	ImportStatePendingImport ImportState = "PENDING_IMPORT"
)

var importStateValues = []string{
	string(ImportStateImported), string(ImportStatePendingImport),
}

// Enum implements [Enum].
func (ImportState) Enum() []string { return importStateValues }

// KeyMaterialState is the role of one material among those of its key.
type KeyMaterialState string

// The values of KeyMaterialState.
const (
	KeyMaterialStateNonCurrent                          KeyMaterialState = "NON_CURRENT"
	KeyMaterialStateCurrent                             KeyMaterialState = "CURRENT"
	KeyMaterialStatePendingRotation                     KeyMaterialState = "PENDING_ROTATION"
	KeyMaterialStatePendingMultiRegionImportAndRotation KeyMaterialState = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
)

var keyMaterialStateValues = []string{
	string(KeyMaterialStateNonCurrent), string(KeyMaterialStateCurrent), string(KeyMaterialStatePendingRotation),
	string(KeyMaterialStatePendingMultiRegionImportAndRotation),
}

// Enum implements [Enum].
func (KeyMaterialState) Enum() []string { return keyMaterialStateValues }

// RotationType is what caused a rotation.
type RotationType string

// The values of RotationType.
const (
	RotationAutomatic RotationType = "AUTOMATIC"
	RotationOnDemand  RotationType = "ON_DEMAND"
)

var rotationTypeValues = []string{
	string(RotationAutomatic), string(RotationOnDemand),
}

// Enum implements [Enum].
func (RotationType) Enum() []string { return rotationTypeValues }

// IncludeKeyMaterial selects what ListKeyRotations lists.
type IncludeKeyMaterial string

// The values of IncludeKeyMaterial.
const (
	IncludeAllKeyMaterial IncludeKeyMaterial = "ALL_KEY_MATERIAL"
	IncludeRotationsOnly  IncludeKeyMaterial = "ROTATIONS_ONLY"
)

var includeKeyMaterialValues = []string{
	string(IncludeAllKeyMaterial), string(IncludeRotationsOnly),
}

// Enum implements [Enum].
func (IncludeKeyMaterial) Enum() []string { return includeKeyMaterialValues }
