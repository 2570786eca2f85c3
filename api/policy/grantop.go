package policy

import "fmt"

// GrantOperation is one operation of a grant; values are bits, so that a set of them is a [GrantOperations].
type GrantOperation uint32

// GrantOperations is a set of grant operations.
type GrantOperations uint32

// Operations that a grant can allow (spec 04 GR-04).
const (
	GrantCreateGrant GrantOperation = 1 << iota
	GrantDecrypt
	GrantDeriveSharedSecret
	GrantDescribeKey
	GrantEncrypt
	GrantGenerateDataKey
	GrantGenerateDataKeyPair
	GrantGenerateDataKeyPairWithoutPlaintext
	GrantGenerateDataKeyWithoutPlaintext
	GrantGenerateMac
	GrantGetPublicKey
	GrantReEncryptFrom
	GrantReEncryptTo
	GrantRetireGrant
	GrantSign
	GrantVerify
	GrantVerifyMac
)

// grantNames are the operations' names, in the order of their bits.
var grantNames = [...]string{
	"CreateGrant", "Decrypt", "DeriveSharedSecret", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetPublicKey", "ReEncryptFrom",
	"ReEncryptTo", "RetireGrant", "Sign", "Verify", "VerifyMac",
}

// ParseGrantOperations makes a set of operation names. It fails on a name that is none, saying which.
func ParseGrantOperations(names []string) (GrantOperations, error) {
	var set GrantOperations
next:
	for _, name := range names {
		for i, known := range grantNames {
			if name == known {
				set |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%s is not a grant operation; use one of %v", quote(name), grantNames)
	}
	return set, nil
}

// Has tells whether the set holds an operation.
func (s GrantOperations) Has(op GrantOperation) bool { return op != 0 && s&GrantOperations(op) != 0 }

// Names returns the names of the set, sorted.
func (s GrantOperations) Names() []string {
	var names []string
	for i, name := range grantNames {
		if s>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}
