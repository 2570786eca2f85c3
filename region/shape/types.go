package shape

// Kind is the JSON form of a type of the model.
type Kind uint8

// The kinds of the model's types.
const (
	KindString Kind = iota + 1
	KindBlob
	KindInteger
	KindList
)

// Unbounded is the Min or Max of a Type that has none.
const Unbounded = -1

// Type is a named type of the KMS API model with its constraints (spec 10, section 7).
type Type struct {
	Name string
	Kind Kind
	// Min and Max are inclusive: characters of a string, decoded bytes of a blob, the value of an integer, items of a list.
	Min, Max int64
	// Pattern is the regular expression that the whole string has to match, in the spelling that messages show; "" is none.
	Pattern string
	// Sensitive types are Secrets in Go.
	Sensitive bool
	// Item is the name of a list's item type, "" if it has no constraints or is a structure or an enum.
	Item string
}

// KeyIdPattern stands on every key id although the published model has no pattern there (spec 10 PROTO-37).
const KeyIdPattern = `^\p{ASCII}+$`

const no = Unbounded

// types are the constrained types of the model, in its order of names. A type without any constraint has no row.
var types = []Type{
	{"AccountIdType", KindString, 12, 12, `[0-9]{12}`, false, ""},
	{"AliasNameType", KindString, 1, 256, `^[a-zA-Z0-9:/_-]+$`, false, ""},
	{"ArnType", KindString, 20, 2048, "", false, ""},
	{"AttestationDocumentType", KindBlob, 1, 262144, "", false, ""},
	{"BackingKeyIdResponseType", KindString, 0, 64, `^[a-f0-9]+$`, false, ""},
	{"BackingKeyIdType", KindString, 64, 64, `^[a-f0-9]+$`, false, ""},
	{"CiphertextType", KindBlob, 1, 6144, "", false, ""},
	{"CloudHsmClusterIdType", KindString, 19, 24, `cluster-[2-7a-zA-Z]{11,16}`, false, ""},
	{"CustomKeyStoreIdType", KindString, 1, 64, "", false, ""},
	{"CustomKeyStoreNameType", KindString, 1, 256, "", false, ""},
	{"DescriptionType", KindString, 0, 8192, "", false, ""},
	{"GrantIdType", KindString, 1, 128, "", false, ""},
	{"GrantNameType", KindString, 1, 256, `^[a-zA-Z0-9:/_-]+$`, false, ""},
	{"GrantTokenList", KindList, 0, 10, "", false, "GrantTokenType"},
	{"GrantTokenType", KindString, 1, 8192, "", false, ""},
	{"KeyIdType", KindString, 1, 2048, KeyIdPattern, false, ""},
	{"KeyMaterialDescriptionType", KindString, 0, 256, `^[a-zA-Z0-9:/_\s.-]+$`, false, ""},
	{"KeyStorePasswordType", KindString, 7, 32, "", true, ""},
	{"LimitType", KindInteger, 1, 1000, "", false, ""},
	{"MarkerType", KindString, 1, 1024, `[\u0020-\u00FF]*`, false, ""},
	{"NumberOfBytesType", KindInteger, 1, 1024, "", false, ""},
	{"PendingWindowInDaysType", KindInteger, 1, 365, "", false, ""},
	{"PlaintextType", KindBlob, 1, 4096, "", true, ""},
	{"PolicyNameList", KindList, no, no, "", false, "PolicyNameType"},
	{"PolicyNameType", KindString, 1, 128, `[\w]+`, false, ""},
	{"PolicyType", KindString, 1, 131072, `[\u0009\u000A\u000D\u0020-\u00FF]+`, false, ""},
	{"PrincipalIdType", KindString, 1, 256, `^[\w+=,.@:/-]+$`, false, ""},
	{"PublicKeyType", KindBlob, 1, 8192, "", false, ""},
	{"RegionType", KindString, 1, 32, `^([a-z]+-){2,3}\d+$`, false, ""},
	{"RotationPeriodInDaysType", KindInteger, 90, 2560, "", false, ""},
	{"TagKeyList", KindList, no, no, "", false, "TagKeyType"},
	{"TagKeyType", KindString, 1, 128, "", false, ""},
	{"TagValueType", KindString, 0, 256, "", false, ""},
	{"TrustAnchorCertificateType", KindString, 1, 5000, "", false, ""},
	{"XksKeyIdType", KindString, 1, 128, `^[a-zA-Z0-9-_.]+$`, false, ""},
	{"XksProxyAuthenticationAccessKeyIdType", KindString, 20, 30, `^[A-Z2-7]+$`, true, ""},
	{"XksProxyAuthenticationRawSecretAccessKeyType", KindString, 43, 64, `^[a-zA-Z0-9\/+=]+$`, true, ""},
	{"XksProxyUriEndpointType", KindString, 10, 128, `^https://[a-zA-Z0-9.-]+$`, false, ""},
	{"XksProxyUriPathType", KindString, 10, 128, `^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`, false, ""},
	{"XksProxyVpcEndpointServiceNameType", KindString, 20, 64,
		`^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$`, false, ""},
}

// Lookup returns the type of that name, and false if the model puts no constraint on such a type.
func Lookup(name string) (Type, bool) {
	for _, t := range types {
		if t.Name == name {
			return t, true
		}
	}
	return Type{}, false
}
