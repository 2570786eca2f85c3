package fault

import "net/http"

// Code is one error of the API: a stable number, the same in every version. It is itself an error, so that
// errors.Is(err, fault.NotFoundException) asks whether a chain holds an [Error] of that code.
type Code uint16

// Common errors: every operation can answer them (spec 10 section 2). Numbers are never reused; new ones go to the end.
const (
	InternalFailure                     Code = 1  // an unexpected failure outside the modeled ones
	ServiceUnavailable                  Code = 2  // the node cannot serve now: starting, draining, no quorum
	AccessDeniedException               Code = 3  // no policy allows the request, or one denies it
	ValidationException                 Code = 4  // a member breaks a constraint of the model or a rule between members
	ThrottlingException                 Code = 5  // a request quota is used up
	UnknownOperationException           Code = 6  // the target names no operation
	SerializationException              Code = 7  // the body is no JSON object or a member has the wrong JSON type
	NotAuthorizedException              Code = 8  // an alias operation on alias/aws/
	MissingAuthenticationTokenException Code = 9  // the request is not signed
	IncompleteSignatureException        Code = 10 // a part of the signature is missing or malformed
	InvalidSignatureException           Code = 11 // the signature, its scope or its time is wrong
	UnrecognizedClientException         Code = 12 // the access key or the session token is not known
	ExpiredTokenException               Code = 13 // the session has expired
	RequestExpired                      Code = 14 // a presigned request has expired
	MalformedHttpRequestException       Code = 15 // the HTTP request cannot be read
	RequestEntityTooLargeException      Code = 16 // the body exceeds the limit
	RequestTimeoutException             Code = 17 // the client sent its request too slowly
	RequestAbortedException             Code = 18 // the client went away
)

// Modeled exceptions: an operation answers those it declares (spec 10 section 3). Numbers are never reused.
const (
	AlreadyExistsException                                  Code = 100 // the alias or replica exists
	CloudHsmClusterInUseException                           Code = 101 // the HSM cluster backs another store
	CloudHsmClusterInvalidConfigurationException            Code = 102 // the HSM cluster lacks active HSMs or is wrongly configured
	CloudHsmClusterNotActiveException                       Code = 103 // the HSM cluster is not initialized and active
	CloudHsmClusterNotFoundException                        Code = 104 // the HSM cluster is unknown
	CloudHsmClusterNotRelatedException                      Code = 105 // the HSM cluster has another certificate
	ConflictException                                       Code = 106 // an automatic rotation runs or is about to
	CustomKeyStoreHasCMKsException                          Code = 107 // the store still has keys
	CustomKeyStoreInvalidStateException                     Code = 108 // the store's connection state does not fit
	CustomKeyStoreNameInUseException                        Code = 109 // the store name is taken
	CustomKeyStoreNotFoundException                         Code = 110 // the store is unknown
	DependencyTimeoutException                              Code = 111 // a part of the service timed out
	DisabledException                                       Code = 112 // the key is disabled
	DryRunOperationException                                Code = 113 // DryRun was set and every check passed
	ExpiredImportTokenException                             Code = 114 // the import token is older than 24 hours
	IncorrectKeyException                                   Code = 115 // the named key is not the key of the ciphertext
	IncorrectKeyMaterialException                           Code = 116 // the imported material is not what was expected
	IncorrectTrustAnchorException                           Code = 117 // the certificate is not the cluster's
	InvalidAliasNameException                               Code = 118 // the alias name is not valid
	InvalidArnException                                     Code = 119 // an ARN is not valid, or an alias is not allowed
	InvalidCiphertextException                              Code = 120 // ciphertext or encryption context is wrong, or material cannot be unwrapped
	InvalidGrantIdException                                 Code = 121 // the grant id is not valid
	InvalidGrantTokenException                              Code = 122 // a grant token is not valid
	InvalidImportTokenException                             Code = 123 // the import token is not valid or of another key
	InvalidKeyUsageException                                Code = 124 // usage or algorithm does not fit the key
	InvalidMarkerException                                  Code = 125 // the paging marker is not valid
	KMSInternalException                                    Code = 126 // an internal error; nothing is known about the client's part
	KMSInvalidMacException                                  Code = 127 // the MAC is wrong
	KMSInvalidSignatureException                            Code = 128 // the signature of the message is wrong
	KMSInvalidStateException                                Code = 129 // the key state does not fit, or a key store failed
	KeyUnavailableException                                 Code = 130 // the key cannot be reached now
	LimitExceededException                                  Code = 131 // a resource quota is used up
	MalformedPolicyDocumentException                        Code = 132 // the policy is not correct
	NotFoundException                                       Code = 133 // key, alias, grant or policy does not exist
	TagException                                            Code = 134 // the tags are not valid
	UnsupportedOperationException                           Code = 135 // a parameter is not supported or the resource does not fit the operation
	XksKeyAlreadyInUseException                             Code = 136 // the external key is tied to another key of the store
	XksKeyInvalidConfigurationException                     Code = 137 // the external key is no enabled AES-256 key
	XksKeyNotFoundException                                 Code = 138 // the proxy does not know the external key
	XksProxyIncorrectAuthenticationCredentialException      Code = 139 // the proxy refused the credential
	XksProxyInvalidConfigurationException                   Code = 140 // the proxy is wrongly configured
	XksProxyInvalidResponseException                        Code = 141 // the proxy's answer was not understood
	XksProxyUriEndpointInUseException                       Code = 142 // the endpoint belongs to another store
	XksProxyUriInUseException                               Code = 143 // endpoint and path belong to another store
	XksProxyUriUnreachableException                         Code = 144 // the proxy or all its key managers cannot be reached
	XksProxyVpcEndpointServiceInUseException                Code = 145 // the endpoint service belongs to another store
	XksProxyVpcEndpointServiceInvalidConfigurationException Code = 146 // the endpoint service does not meet the requirements
	XksProxyVpcEndpointServiceNotFoundException             Code = 147 // the endpoint service is unknown
)

// entry is one row of the table.
type entry struct {
	name   string // on the wire, in __type and x-amzn-ErrorType
	status int    // HTTP status (spec 10 PROTO-23)
	retry  bool   // the same request may succeed later, unchanged
}

// table is indexed by code; gaps have no name.
var table = [...]entry{
	InternalFailure:                                         {"InternalFailure", http.StatusInternalServerError, true},
	ServiceUnavailable:                                      {"ServiceUnavailable", http.StatusServiceUnavailable, true},
	AccessDeniedException:                                   {"AccessDeniedException", http.StatusBadRequest, false},
	ValidationException:                                     {"ValidationException", http.StatusBadRequest, false},
	ThrottlingException:                                     {"ThrottlingException", http.StatusBadRequest, true},
	UnknownOperationException:                               {"UnknownOperationException", http.StatusBadRequest, false},
	SerializationException:                                  {"SerializationException", http.StatusBadRequest, false},
	NotAuthorizedException:                                  {"NotAuthorizedException", http.StatusBadRequest, false},
	MissingAuthenticationTokenException:                     {"MissingAuthenticationTokenException", http.StatusBadRequest, false},
	IncompleteSignatureException:                            {"IncompleteSignatureException", http.StatusBadRequest, false},
	InvalidSignatureException:                               {"InvalidSignatureException", http.StatusBadRequest, false},
	UnrecognizedClientException:                             {"UnrecognizedClientException", http.StatusBadRequest, false},
	ExpiredTokenException:                                   {"ExpiredTokenException", http.StatusBadRequest, false},
	RequestExpired:                                          {"RequestExpired", http.StatusBadRequest, false},
	MalformedHttpRequestException:                           {"MalformedHttpRequestException", http.StatusBadRequest, false},
	RequestEntityTooLargeException:                          {"RequestEntityTooLargeException", http.StatusRequestEntityTooLarge, false},
	RequestTimeoutException:                                 {"RequestTimeoutException", http.StatusRequestTimeout, true},
	RequestAbortedException:                                 {"RequestAbortedException", http.StatusBadRequest, false},
	AlreadyExistsException:                                  {"AlreadyExistsException", http.StatusBadRequest, false},
	CloudHsmClusterInUseException:                           {"CloudHsmClusterInUseException", http.StatusBadRequest, false},
	CloudHsmClusterInvalidConfigurationException:            {"CloudHsmClusterInvalidConfigurationException", http.StatusBadRequest, false},
	CloudHsmClusterNotActiveException:                       {"CloudHsmClusterNotActiveException", http.StatusBadRequest, false},
	CloudHsmClusterNotFoundException:                        {"CloudHsmClusterNotFoundException", http.StatusBadRequest, false},
	CloudHsmClusterNotRelatedException:                      {"CloudHsmClusterNotRelatedException", http.StatusBadRequest, false},
	ConflictException:                                       {"ConflictException", http.StatusBadRequest, false},
	CustomKeyStoreHasCMKsException:                          {"CustomKeyStoreHasCMKsException", http.StatusBadRequest, false},
	CustomKeyStoreInvalidStateException:                     {"CustomKeyStoreInvalidStateException", http.StatusBadRequest, false},
	CustomKeyStoreNameInUseException:                        {"CustomKeyStoreNameInUseException", http.StatusBadRequest, false},
	CustomKeyStoreNotFoundException:                         {"CustomKeyStoreNotFoundException", http.StatusBadRequest, false},
	DependencyTimeoutException:                              {"DependencyTimeoutException", http.StatusInternalServerError, true},
	DisabledException:                                       {"DisabledException", http.StatusBadRequest, false},
	DryRunOperationException:                                {"DryRunOperationException", http.StatusBadRequest, false},
	ExpiredImportTokenException:                             {"ExpiredImportTokenException", http.StatusBadRequest, false},
	IncorrectKeyException:                                   {"IncorrectKeyException", http.StatusBadRequest, false},
	IncorrectKeyMaterialException:                           {"IncorrectKeyMaterialException", http.StatusBadRequest, false},
	IncorrectTrustAnchorException:                           {"IncorrectTrustAnchorException", http.StatusBadRequest, false},
	InvalidAliasNameException:                               {"InvalidAliasNameException", http.StatusBadRequest, false},
	InvalidArnException:                                     {"InvalidArnException", http.StatusBadRequest, false},
	InvalidCiphertextException:                              {"InvalidCiphertextException", http.StatusBadRequest, false},
	InvalidGrantIdException:                                 {"InvalidGrantIdException", http.StatusBadRequest, false},
	InvalidGrantTokenException:                              {"InvalidGrantTokenException", http.StatusBadRequest, false},
	InvalidImportTokenException:                             {"InvalidImportTokenException", http.StatusBadRequest, false},
	InvalidKeyUsageException:                                {"InvalidKeyUsageException", http.StatusBadRequest, false},
	InvalidMarkerException:                                  {"InvalidMarkerException", http.StatusBadRequest, false},
	KMSInternalException:                                    {"KMSInternalException", http.StatusInternalServerError, true},
	KMSInvalidMacException:                                  {"KMSInvalidMacException", http.StatusBadRequest, false},
	KMSInvalidSignatureException:                            {"KMSInvalidSignatureException", http.StatusBadRequest, false},
	KMSInvalidStateException:                                {"KMSInvalidStateException", http.StatusBadRequest, false},
	KeyUnavailableException:                                 {"KeyUnavailableException", http.StatusInternalServerError, true},
	LimitExceededException:                                  {"LimitExceededException", http.StatusBadRequest, false},
	MalformedPolicyDocumentException:                        {"MalformedPolicyDocumentException", http.StatusBadRequest, false},
	NotFoundException:                                       {"NotFoundException", http.StatusBadRequest, false},
	TagException:                                            {"TagException", http.StatusBadRequest, false},
	UnsupportedOperationException:                           {"UnsupportedOperationException", http.StatusBadRequest, false},
	XksKeyAlreadyInUseException:                             {"XksKeyAlreadyInUseException", http.StatusBadRequest, false},
	XksKeyInvalidConfigurationException:                     {"XksKeyInvalidConfigurationException", http.StatusBadRequest, false},
	XksKeyNotFoundException:                                 {"XksKeyNotFoundException", http.StatusBadRequest, false},
	XksProxyIncorrectAuthenticationCredentialException:      {"XksProxyIncorrectAuthenticationCredentialException", http.StatusBadRequest, false},
	XksProxyInvalidConfigurationException:                   {"XksProxyInvalidConfigurationException", http.StatusBadRequest, false},
	XksProxyInvalidResponseException:                        {"XksProxyInvalidResponseException", http.StatusBadRequest, false},
	XksProxyUriEndpointInUseException:                       {"XksProxyUriEndpointInUseException", http.StatusBadRequest, false},
	XksProxyUriInUseException:                               {"XksProxyUriInUseException", http.StatusBadRequest, false},
	XksProxyUriUnreachableException:                         {"XksProxyUriUnreachableException", http.StatusBadRequest, false},
	XksProxyVpcEndpointServiceInUseException:                {"XksProxyVpcEndpointServiceInUseException", http.StatusBadRequest, false},
	XksProxyVpcEndpointServiceInvalidConfigurationException: {"XksProxyVpcEndpointServiceInvalidConfigurationException", http.StatusBadRequest, false},
	XksProxyVpcEndpointServiceNotFoundException:             {"XksProxyVpcEndpointServiceNotFoundException", http.StatusBadRequest, false},
}

// modeled is the first code of a modeled exception; the ones below are common errors.
const modeled = AlreadyExistsException

// Valid reports whether the code is in the table.
func (c Code) Valid() bool { return int(c) < len(table) && table[c].name != "" }

// row returns the code's row; a number that is in no table, which only a newer version could have sent, is an internal error.
func (c Code) row() entry {
	if !c.Valid() {
		return table[InternalFailure]
	}
	return table[c]
}

// Name is the name on the wire, such as "NotFoundException".
func (c Code) Name() string { return c.row().name }

// String is Name.
func (c Code) String() string { return c.Name() }

// Error is Name: a code can stand for an error without message.
func (c Code) Error() string { return c.Name() }

// HTTPStatus is the status of the answer (spec 10 PROTO-23).
func (c Code) HTTPStatus() int { return c.row().status }

// Retryable reports whether the same request may succeed later without a change (spec 10 PROTO-40). LimitExceededException is
// not: SDKs retry it, but nobody but the customer can make room.
func (c Code) Retryable() bool { return c.row().retry }

// SenderFault reports whether the caller has to change something; else the fault is the service's (model: "fault").
func (c Code) SenderFault() bool { return c.row().status < http.StatusInternalServerError }

// Common reports whether every operation may answer the code (spec 10 section 2).
func (c Code) Common() bool { return c.Valid() && c < modeled }

// AuditCode is the errorCode of the audit record: the name, except AccessDenied for AccessDeniedException (spec 03 AUD-34).
func (c Code) AuditCode() string {
	if c == AccessDeniedException {
		return "AccessDenied"
	}
	return c.Name()
}

// MessageMember is the member of the error body that holds the message: "Message" for AccessDeniedException, else "message"
// (spec 10 PROTO-22).
func (c Code) MessageMember() string {
	if c == AccessDeniedException {
		return "Message"
	}
	return "message"
}

// Codes returns every code of the table in ascending order.
func Codes() []Code {
	var all []Code
	for i := range table {
		if c := Code(i); c.Valid() {
			all = append(all, c)
		}
	}
	return all
}

// ByName finds a code by its name on the wire.
func ByName(name string) (Code, bool) {
	for i := range table {
		if name != "" && table[i].name == name {
			return Code(i), true
		}
	}
	return 0, false
}
