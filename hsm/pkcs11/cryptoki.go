package pkcs11

import (
	"github.com/miekg/pkcs11"
)

// cryptoki is the part of Cryptoki that this package calls. *pkcs11.Ctx implements it; tests put faults and missing
// mechanisms in between. C_Logout and unloading the library are left out on purpose: the first would log out every
// session of the process, the second crashes with OpenSSL 3 below SoftHSM2.
type cryptoki interface {
	Initialize(opts ...pkcs11.InitializeOption) error
	Finalize() error
	GetInfo() (pkcs11.Info, error)
	GetSlotList(tokenPresent bool) ([]uint, error)
	GetTokenInfo(slot uint) (pkcs11.TokenInfo, error)
	GetMechanismList(slot uint) ([]*pkcs11.Mechanism, error)
	GetMechanismInfo(slot uint, m []*pkcs11.Mechanism) (pkcs11.MechanismInfo, error)

	OpenSession(slot uint, flags uint) (pkcs11.SessionHandle, error)
	CloseSession(sh pkcs11.SessionHandle) error
	GetSessionInfo(sh pkcs11.SessionHandle) (pkcs11.SessionInfo, error)
	Login(sh pkcs11.SessionHandle, userType uint, pin string) error

	CreateObject(sh pkcs11.SessionHandle, temp []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	DestroyObject(sh pkcs11.SessionHandle, oh pkcs11.ObjectHandle) error
	GetAttributeValue(sh pkcs11.SessionHandle, o pkcs11.ObjectHandle, a []*pkcs11.Attribute) ([]*pkcs11.Attribute, error)
	FindObjectsInit(sh pkcs11.SessionHandle, temp []*pkcs11.Attribute) error
	FindObjects(sh pkcs11.SessionHandle, max int) ([]pkcs11.ObjectHandle, bool, error)
	FindObjectsFinal(sh pkcs11.SessionHandle) error

	EncryptInit(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error
	Encrypt(sh pkcs11.SessionHandle, message []byte) ([]byte, error)
	DecryptInit(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error
	Decrypt(sh pkcs11.SessionHandle, cipher []byte) ([]byte, error)
	SignInit(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error
	Sign(sh pkcs11.SessionHandle, message []byte) ([]byte, error)
	VerifyInit(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle) error
	Verify(sh pkcs11.SessionHandle, data []byte, signature []byte) error

	GenerateKey(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, temp []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	GenerateKeyPair(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, public, private []*pkcs11.Attribute) (pkcs11.ObjectHandle, pkcs11.ObjectHandle, error)
	WrapKey(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, wrappingkey, key pkcs11.ObjectHandle) ([]byte, error)
	UnwrapKey(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, unwrappingkey pkcs11.ObjectHandle, wrappedkey []byte, a []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	DeriveKey(sh pkcs11.SessionHandle, m []*pkcs11.Mechanism, basekey pkcs11.ObjectHandle, a []*pkcs11.Attribute) (pkcs11.ObjectHandle, error)
	GenerateRandom(sh pkcs11.SessionHandle, length int) ([]byte, error)
}

var _ cryptoki = (*pkcs11.Ctx)(nil)

// Numbers of PKCS #11 v3.0 and v3.2 that the binding does not name.
const (
	ckkECEdwards = 0x40 // v3.0
	ckkMLDSA     = 0x4a // v3.2

	ckmECEdwardsKeyPairGen = 0x1055 // v3.0
	ckmEDDSA               = 0x1057 // v3.0
	ckmAESKeyWrapKWP       = 0x210b // v3.0: RFC 5649
	ckmMLDSAKeyPairGen     = 0x1c   // v3.2
	ckmMLDSA               = 0x1d   // v3.2

	ckaPublicKeyInfo = 0x129 // v2.40
	ckaParameterSet  = 0x61d // v3.2

	stateRWUser = 3 // CKS_RW_USER_FUNCTIONS
)

// mech returns the one-element list that the binding wants.
func mech(m uint, param any) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(m, param)}
}

// attrs is an object template.
type attrs []*pkcs11.Attribute

// with returns a copy of a with one attribute more.
func (a attrs) with(kind uint, value any) attrs {
	return append(a[:len(a):len(a)], pkcs11.NewAttribute(kind, value))
}

// flags returns a copy of a with a boolean attribute for each kind.
func (a attrs) flags(value bool, kinds ...uint) attrs {
	for _, kind := range kinds {
		a = a.with(kind, value)
	}
	return a
}
