package region

import (
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/shape"
)

// grantOps are the operations that a grant can allow (spec 04 GR-04), in the order of the model, in which lists show them.
var grantOps = [...]struct {
	name shape.GrantOperation
	bit  fsm.GrantOps
}{
	{shape.GrantOperationDecrypt, fsm.GrantDecrypt},
	{shape.GrantOperationEncrypt, fsm.GrantEncrypt},
	{shape.GrantOperationGenerateDataKey, fsm.GrantGenerateDataKey},
	{shape.GrantOperationGenerateDataKeyWithoutPlaintext, fsm.GrantGenerateDataKeyWithoutPlaintext},
	{shape.GrantOperationReEncryptFrom, fsm.GrantReEncryptFrom},
	{shape.GrantOperationReEncryptTo, fsm.GrantReEncryptTo},
	{shape.GrantOperationSign, fsm.GrantSign},
	{shape.GrantOperationVerify, fsm.GrantVerify},
	{shape.GrantOperationGetPublicKey, fsm.GrantGetPublicKey},
	{shape.GrantOperationCreateGrant, fsm.GrantCreateGrant},
	{shape.GrantOperationRetireGrant, fsm.GrantRetireGrant},
	{shape.GrantOperationDescribeKey, fsm.GrantDescribeKey},
	{shape.GrantOperationGenerateDataKeyPair, fsm.GrantGenerateDataKeyPair},
	{shape.GrantOperationGenerateDataKeyPairWithoutPlaintext, fsm.GrantGenerateDataKeyPairWithoutPlaintext},
	{shape.GrantOperationGenerateMac, fsm.GrantGenerateMac},
	{shape.GrantOperationVerifyMac, fsm.GrantVerifyMac},
	{shape.GrantOperationDeriveSharedSecret, fsm.GrantDeriveSharedSecret},
}

// GrantOp returns the grant operation that conveys a permission (without the prefix kms:), 0 if no grant can.
func GrantOp(permission string) fsm.GrantOps {
	for i := range grantOps {
		if string(grantOps[i].name) == permission {
			return grantOps[i].bit
		}
	}
	return 0
}

// GrantOpNames returns the names of a set of grant operations, each once.
func GrantOpNames[N ~string](ops fsm.GrantOps) []N {
	names := make([]N, 0, len(grantOps))
	for i := range grantOps {
		if ops&grantOps[i].bit != 0 {
			names = append(names, N(grantOps[i].name))
		}
	}
	return names
}

// opsOf is the set of a request's list, whose order and repetitions mean nothing.
func opsOf(names []shape.GrantOperation) (ops fsm.GrantOps) {
	for _, name := range names {
		ops |= GrantOp(string(name))
	}
	return ops
}
