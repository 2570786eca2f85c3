package awsjson_test

import (
	"time"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/shape"
)

// The shapes that the tests use are those of the API, so that a test reads like a request.

type encryptInput struct {
	KeyId               string                        `wire:"KeyId,required" is:"KeyIdType"`
	Plaintext           shape.Secret                  `wire:"Plaintext,required" is:"PlaintextType"`
	EncryptionContext   shape.EncryptionContext       `wire:"EncryptionContext"`
	GrantTokens         []string                      `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
	DryRun              shape.Opt[bool]               `wire:"DryRun"`
}

type encryptOutput struct {
	CiphertextBlob      shape.Blob                    `wire:"CiphertextBlob" is:"CiphertextType"`
	KeyId               string                        `wire:"KeyId" is:"KeyIdType"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm"`
}

type tag struct {
	TagKey   string `wire:"TagKey,required" is:"TagKeyType"`
	TagValue string `wire:"TagValue,required" is:"TagValueType"`
}

type createKeyInput struct {
	Policy                         shape.Opt[string]             `wire:"Policy" is:"PolicyType"`
	Description                    shape.Opt[string]             `wire:"Description" is:"DescriptionType"`
	KeyUsage                       shape.Opt[shape.KeyUsageType] `wire:"KeyUsage"`
	KeySpec                        shape.Opt[shape.KeySpec]      `wire:"KeySpec"`
	Origin                         shape.OriginType              `wire:"Origin" default:"AWS_KMS"`
	BypassPolicyLockoutSafetyCheck bool                          `wire:"BypassPolicyLockoutSafetyCheck"`
	Tags                           []tag                         `wire:"Tags"`
	MultiRegion                    shape.Opt[bool]               `wire:"MultiRegion"`
}

type generateDataKeyInput struct {
	KeyId         string                       `wire:"KeyId,required" is:"KeyIdType"`
	NumberOfBytes shape.Opt[int32]             `wire:"NumberOfBytes" is:"NumberOfBytesType"`
	KeySpec       shape.Opt[shape.DataKeySpec] `wire:"KeySpec"`
}

type grantConstraints struct {
	_                       struct{}                `refuse:"*"`
	EncryptionContextSubset shape.EncryptionContext `wire:"EncryptionContextSubset"`
	EncryptionContextEquals shape.EncryptionContext `wire:"EncryptionContextEquals"`
}

type createGrantInput struct {
	_                 struct{}               `refuse:"GranteeServicePrincipal,RetiringServicePrincipal"`
	KeyId             string                 `wire:"KeyId,required" is:"KeyIdType"`
	GranteePrincipal  string                 `wire:"GranteePrincipal,required" is:"PrincipalIdType"`
	RetiringPrincipal shape.Opt[string]      `wire:"RetiringPrincipal" is:"PrincipalIdType"`
	Operations        []shape.GrantOperation `wire:"Operations,required"`
	Constraints       *grantConstraints      `wire:"Constraints"`
	GrantTokens       []string               `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	Name              shape.Opt[string]      `wire:"Name" is:"GrantNameType"`
}

type verifyInput struct {
	KeyId            string                     `wire:"KeyId,required" is:"KeyIdType"`
	Message          shape.Secret               `wire:"Message,required" is:"PlaintextType"`
	MessageType      shape.MessageType          `wire:"MessageType" default:"RAW"`
	Signature        shape.Blob                 `wire:"Signature,required" is:"CiphertextType"`
	SigningAlgorithm shape.SigningAlgorithmSpec `wire:"SigningAlgorithm,required"`
}

type importKeyMaterialInput struct {
	KeyId           string                    `wire:"KeyId,required" is:"KeyIdType"`
	ValidTo         shape.Opt[time.Time]      `wire:"ValidTo"`
	ExpirationModel shape.ExpirationModelType `wire:"ExpirationModel" default:"KEY_MATERIAL_EXPIRES"`
}

type credential struct {
	AccessKeyId        shape.Secret `wire:"AccessKeyId,required" is:"XksProxyAuthenticationAccessKeyIdType"`
	RawSecretAccessKey shape.Secret `wire:"RawSecretAccessKey,required" is:"XksProxyAuthenticationRawSecretAccessKeyType"`
}

type createStoreInput struct {
	CustomKeyStoreName string            `wire:"CustomKeyStoreName,required" is:"CustomKeyStoreNameType"`
	CloudHsmClusterId  shape.Opt[string] `wire:"CloudHsmClusterId" is:"CloudHsmClusterIdType"`
	KeyStorePassword   shape.Secret      `wire:"KeyStorePassword" is:"KeyStorePasswordType"`
	Credential         *credential       `wire:"XksProxyAuthenticationCredential"`
}

type multiRegionKey struct {
	Arn    string `wire:"Arn" is:"ArnType"`
	Region string `wire:"Region" is:"RegionType"`
}

type keyMetadata struct {
	AWSAccountId string                          `wire:"AWSAccountId"`
	KeyId        string                          `wire:"KeyId,required" is:"KeyIdType"`
	CreationDate time.Time                       `wire:"CreationDate"`
	Enabled      bool                            `wire:"Enabled"`
	DeletionDate shape.Opt[time.Time]            `wire:"DeletionDate"`
	Algorithms   []shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithms"`
	PrimaryKey   *multiRegionKey                 `wire:"PrimaryKey"`
	ReplicaKeys  []multiRegionKey                `wire:"ReplicaKeys"`
	Window       shape.Opt[int32]                `wire:"PendingDeletionWindowInDays" is:"PendingWindowInDaysType"`
	Index        uint64                          `wire:"Index"`
}

type createKeyOutput struct {
	KeyMetadata keyMetadata `wire:"KeyMetadata"`
}

var (
	encryptShape     = awsjson.Compile[encryptInput]()
	encryptOutShape  = awsjson.Compile[encryptOutput]()
	createKeyShape   = awsjson.Compile[createKeyInput]()
	createKeyOut     = awsjson.Compile[createKeyOutput]()
	dataKeyShape     = awsjson.Compile[generateDataKeyInput]()
	createGrantShape = awsjson.Compile[createGrantInput]()
	verifyShape      = awsjson.Compile[verifyInput]()
	importShape      = awsjson.Compile[importKeyMaterialInput]()
	createStoreShape = awsjson.Compile[createStoreInput]()
)
