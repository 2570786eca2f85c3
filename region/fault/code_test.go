package fault_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/trentkms/trent/region/fault"
)

// numbers is the golden copy of the numbers, which replicated results hold: a line here is never changed or removed.
var numbers = map[fault.Code]string{
	1: "InternalFailure", 2: "ServiceUnavailable", 3: "AccessDeniedException", 4: "ValidationException", 5: "ThrottlingException",
	6: "UnknownOperationException", 7: "SerializationException", 8: "NotAuthorizedException",
	9: "MissingAuthenticationTokenException", 10: "IncompleteSignatureException", 11: "InvalidSignatureException",
	12: "UnrecognizedClientException", 13: "ExpiredTokenException", 14: "RequestExpired", 15: "MalformedHttpRequestException",
	16: "RequestEntityTooLargeException", 17: "RequestTimeoutException", 18: "RequestAbortedException",
	100: "AlreadyExistsException", 101: "CloudHsmClusterInUseException", 102: "CloudHsmClusterInvalidConfigurationException",
	103: "CloudHsmClusterNotActiveException", 104: "CloudHsmClusterNotFoundException",
	105: "CloudHsmClusterNotRelatedException", 106: "ConflictException", 107: "CustomKeyStoreHasCMKsException",
	108: "CustomKeyStoreInvalidStateException", 109: "CustomKeyStoreNameInUseException",
	110: "CustomKeyStoreNotFoundException", 111: "DependencyTimeoutException", 112: "DisabledException",
	113: "DryRunOperationException", 114: "ExpiredImportTokenException", 115: "IncorrectKeyException",
	116: "IncorrectKeyMaterialException", 117: "IncorrectTrustAnchorException", 118: "InvalidAliasNameException",
	119: "InvalidArnException", 120: "InvalidCiphertextException", 121: "InvalidGrantIdException",
	122: "InvalidGrantTokenException", 123: "InvalidImportTokenException", 124: "InvalidKeyUsageException",
	125: "InvalidMarkerException", 126: "KMSInternalException", 127: "KMSInvalidMacException",
	128: "KMSInvalidSignatureException", 129: "KMSInvalidStateException", 130: "KeyUnavailableException",
	131: "LimitExceededException", 132: "MalformedPolicyDocumentException", 133: "NotFoundException", 134: "TagException",
	135: "UnsupportedOperationException", 136: "XksKeyAlreadyInUseException", 137: "XksKeyInvalidConfigurationException",
	138: "XksKeyNotFoundException", 139: "XksProxyIncorrectAuthenticationCredentialException",
	140: "XksProxyInvalidConfigurationException", 141: "XksProxyInvalidResponseException",
	142: "XksProxyUriEndpointInUseException", 143: "XksProxyUriInUseException", 144: "XksProxyUriUnreachableException",
	145: "XksProxyVpcEndpointServiceInUseException", 146: "XksProxyVpcEndpointServiceInvalidConfigurationException",
	147: "XksProxyVpcEndpointServiceNotFoundException",
}

func TestNumbersAreStable(t *testing.T) {
	for n, name := range numbers {
		if !n.Valid() || n.Name() != name {
			t.Errorf("code %d is %q, was %q", n, n.Name(), name)
		}
		if c, ok := fault.ByName(name); !ok || c != n {
			t.Errorf("ByName(%q) = %d, %v", name, c, ok)
		}
	}
	for _, c := range fault.Codes() {
		if _, ok := numbers[c]; !ok {
			t.Errorf("code %d (%s) is new: add it to the golden copy", c, c)
		}
	}
}

// TestStatusAndRetry writes the exceptions from the rule out of spec 10 PROTO-23, PROTO-40 and section 2.2.
func TestStatusAndRetry(t *testing.T) {
	status := map[string]int{
		"InternalFailure": 500, "KMSInternalException": 500, "DependencyTimeoutException": 500, "KeyUnavailableException": 500,
		"ServiceUnavailable": 503, "RequestEntityTooLargeException": 413, "RequestTimeoutException": 408,
	}
	retry := []string{
		"InternalFailure", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "ServiceUnavailable",
		"ThrottlingException", "RequestTimeoutException",
	}
	for _, c := range fault.Codes() {
		want := status[c.Name()]
		if want == 0 {
			want = 400
		}
		if c.HTTPStatus() != want {
			t.Errorf("%s: HTTP %d, want %d", c, c.HTTPStatus(), want)
		}
		if c.SenderFault() != (want < 500) {
			t.Errorf("%s: SenderFault = %v", c, c.SenderFault())
		}
		if got := slices.Contains(retry, c.Name()); c.Retryable() != got {
			t.Errorf("%s: Retryable = %v", c, c.Retryable())
		}
	}
}

func TestAccessDeniedIsSpeltItsOwnWay(t *testing.T) {
	for _, c := range fault.Codes() {
		audit, member := c.Name(), "message"
		if c.Name() == "AccessDeniedException" {
			audit, member = "AccessDenied", "Message"
		}
		if c.AuditCode() != audit || c.MessageMember() != member {
			t.Errorf("%s: audit %q, member %q", c, c.AuditCode(), c.MessageMember())
		}
	}
}

func TestUnknownCodeIsAnInternalError(t *testing.T) {
	for _, c := range []fault.Code{0, 19, 99, 148, 60000} {
		if c.Valid() || c.HTTPStatus() != 500 || c.Name() != "InternalFailure" || c.Common() {
			t.Errorf("code %d: %s %d", c, c, c.HTTPStatus())
		}
	}
	if _, ok := fault.ByName(""); ok {
		t.Error("the empty name is a code")
	}
}

// TestModeledExceptionsAreTheSDKs holds the table against the exceptions that a published SDK knows.
func TestModeledExceptionsAreTheSDKs(t *testing.T) {
	known := map[string]smithy.APIError{}
	for _, e := range sdkExceptions {
		known[e.ErrorCode()] = e
	}
	for _, c := range fault.Codes() {
		e, ok := known[c.Name()]
		if c.Common() {
			if ok {
				t.Errorf("%s is modeled, not common", c)
			}
			continue
		}
		if !ok {
			t.Errorf("%s is not in the SDK", c)
			continue
		}
		delete(known, c.Name())
		if server := e.ErrorFault() == smithy.FaultServer; server == c.SenderFault() {
			t.Errorf("%s: the SDK takes it for a server fault: %v", c, server)
		}
	}
	for name := range known {
		t.Errorf("the table lacks %s", name)
	}
}

var sdkExceptions = []smithy.APIError{
	&types.AlreadyExistsException{}, &types.CloudHsmClusterInUseException{}, &types.CloudHsmClusterInvalidConfigurationException{},
	&types.CloudHsmClusterNotActiveException{}, &types.CloudHsmClusterNotFoundException{},
	&types.CloudHsmClusterNotRelatedException{}, &types.ConflictException{}, &types.CustomKeyStoreHasCMKsException{},
	&types.CustomKeyStoreInvalidStateException{}, &types.CustomKeyStoreNameInUseException{},
	&types.CustomKeyStoreNotFoundException{}, &types.DependencyTimeoutException{}, &types.DisabledException{},
	&types.DryRunOperationException{}, &types.ExpiredImportTokenException{}, &types.IncorrectKeyException{},
	&types.IncorrectKeyMaterialException{}, &types.IncorrectTrustAnchorException{}, &types.InvalidAliasNameException{},
	&types.InvalidArnException{}, &types.InvalidCiphertextException{}, &types.InvalidGrantIdException{},
	&types.InvalidGrantTokenException{}, &types.InvalidImportTokenException{}, &types.InvalidKeyUsageException{},
	&types.InvalidMarkerException{}, &types.KMSInternalException{}, &types.KMSInvalidMacException{},
	&types.KMSInvalidSignatureException{}, &types.KMSInvalidStateException{}, &types.KeyUnavailableException{},
	&types.LimitExceededException{}, &types.MalformedPolicyDocumentException{}, &types.NotFoundException{}, &types.TagException{},
	&types.UnsupportedOperationException{}, &types.XksKeyAlreadyInUseException{}, &types.XksKeyInvalidConfigurationException{},
	&types.XksKeyNotFoundException{}, &types.XksProxyIncorrectAuthenticationCredentialException{},
	&types.XksProxyInvalidConfigurationException{}, &types.XksProxyInvalidResponseException{},
	&types.XksProxyUriEndpointInUseException{}, &types.XksProxyUriInUseException{}, &types.XksProxyUriUnreachableException{},
	&types.XksProxyVpcEndpointServiceInUseException{}, &types.XksProxyVpcEndpointServiceInvalidConfigurationException{},
	&types.XksProxyVpcEndpointServiceNotFoundException{},
}

// TestNamesAreConstants guards against a constant bound to another name's row.
func TestNamesAreConstants(t *testing.T) {
	for _, e := range sdkExceptions {
		c, _ := fault.ByName(e.ErrorCode())
		if got := reflect.TypeOf(e).Elem().Name(); !strings.EqualFold(got, c.Name()) {
			t.Errorf("%s is %s in the SDK", c, got)
		}
	}
}
