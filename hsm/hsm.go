// Package hsm says what a node's hardware security module can do, as one interface: Module. The embedded module
// (hsm/soft) and PKCS#11 tokens (hsm/pkcs11) implement it; hsmtest holds the conformance suite that both must pass.
//
// The package guarantees:
//   - key material is generated, unwrapped and used inside a module and leaves it only wrapped under a domain key;
//   - a wrapped blob is authenticated together with its type, usage and binding before the module sees it, so that
//     whatever a module refuses afterwards is a fault of the module and never of the client;
//   - a mechanism that a module lacks is ErrUnsupported; nothing falls back to software silently.
package hsm

import (
	"context"
	"errors"
	"fmt"
)

// Errors of every Module. Implementations wrap them with the cause and with what an operator can do about it;
// callers compare with errors.Is.
var (
	// ErrUnsupported reports a mechanism or key type that the module lacks or that its mode (FIPS) forbids.
	ErrUnsupported = errors.New("hsm: mechanism not supported by this module")
	// ErrUnavailable reports that the module cannot answer now (token gone, session lost, time-out). The call's effect
	// on the token is nil or complete; the call may be repeated.
	ErrUnavailable = errors.New("hsm: module unavailable")
	// ErrIntegrity reports a wrapped blob whose authentication failed: changed, swapped, or of another domain key.
	ErrIntegrity = errors.New("hsm: wrapped key failed authentication")
	// ErrNoDomain reports a domain key that the module does not hold.
	ErrNoDomain = errors.New("hsm: domain key not in this module")
	// ErrDomainExists reports that a domain key of that id is already in the module.
	ErrDomainExists = errors.New("hsm: domain key already exists")
	// ErrInvalidInput reports input of the client that cannot be processed: undecodable RSA ciphertext, imported
	// material that cannot be unwrapped or has the wrong form, a peer key on another curve.
	ErrInvalidInput = errors.New("hsm: invalid input")
	// ErrWrongMaterial reports imported material that was unwrapped, but is not material of the asked type: wrong
	// length, curve, size or structure (spec 07 IKM-06). It is an ErrInvalidInput too.
	ErrWrongMaterial = fmt.Errorf("%w: imported material is not of this key type", ErrInvalidInput)
	// ErrClosed reports a Module or Key used after Close or Destroy.
	ErrClosed = errors.New("hsm: closed")
)

// KeyType is the kind of key material. The numbers are stored in replicated state and are never reused.
type KeyType uint8

// Key types. Sizes are those of the private or secret part.
const (
	Symmetric KeyType = 1  // 256-bit secret, input of the message key derivation (SYMMETRIC_DEFAULT)
	HMAC224   KeyType = 2  // 28 bytes
	HMAC256   KeyType = 3  // 32 bytes
	HMAC384   KeyType = 4  // 48 bytes
	HMAC512   KeyType = 5  // 64 bytes
	AES256    KeyType = 6  // 256-bit AES key that other keys travel under
	RSA2048   KeyType = 10 // RSA, public exponent 65537
	RSA3072   KeyType = 11
	RSA4096   KeyType = 12
	P256      KeyType = 20 // NIST curves, FIPS 186-5
	P384      KeyType = 21
	P521      KeyType = 22
	Secp256k1 KeyType = 23 // SEC 2
	Ed25519   KeyType = 24 // RFC 8032
	MLDSA44   KeyType = 30 // FIPS 204
	MLDSA65   KeyType = 31
	MLDSA87   KeyType = 32
)

// Usage is the one purpose of a key; a module sets the object's attributes by it and refuses every other use.
type Usage uint8

// Usages. The numbers are stored in replicated state and are never reused.
const (
	UseDerive  Usage = 1 // Key.DeriveKey: symmetric encryption keys
	UseMAC     Usage = 2 // Key.MAC
	UseSign    Usage = 3 // Key.Sign, Key.Verify
	UseDecrypt Usage = 4 // Key.Encrypt, Key.Decrypt (RSA)
	UseAgree   Usage = 5 // Key.Agree (ECDH)
	UseUnwrap  Usage = 6 // Module.Import: RSA pairs that others wrap material for, and AES keys that they wrap it under
	UseWrap    Usage = 7 // Module.ExportUnder: AES keys
)

// Algorithm is a signing or asymmetric encryption algorithm.
type Algorithm uint8

// Algorithms. Digest forms take the digest, not the message.
const (
	RSAPKCS1SHA256   Algorithm = 1 // RSASSA-PKCS1-v1_5, input: 32-byte digest
	RSAPKCS1SHA384   Algorithm = 2
	RSAPKCS1SHA512   Algorithm = 3
	RSAPSSSHA256     Algorithm = 4 // RSASSA-PSS, salt as long as the digest, input: digest
	RSAPSSSHA384     Algorithm = 5
	RSAPSSSHA512     Algorithm = 6
	ECDSASHA256      Algorithm = 7 // input: digest; signature: ASN.1 DER
	ECDSASHA384      Algorithm = 8
	ECDSASHA512      Algorithm = 9
	Ed25519Pure      Algorithm = 10 // input: message
	Ed25519ph        Algorithm = 11 // input: 64-byte SHA-512 prehash (RFC 8032 section 5.1, phflag 1)
	MLDSAPure        Algorithm = 12 // input: message, empty context (FIPS 204 section 5.2)
	MLDSAExternalMu  Algorithm = 13 // input: 64-byte message representative mu (FIPS 204 section 6.2)
	RSAOAEPSHA1      Algorithm = 20 // encryption, MGF1 with the same hash, empty label
	RSAOAEPSHA256    Algorithm = 21
	ECDH             Algorithm = 30 // cofactor Diffie-Hellman, raw x coordinate (SP 800-56A 5.7.1.2)
	HMACSHA224       Algorithm = 40
	HMACSHA256       Algorithm = 41
	HMACSHA384       Algorithm = 42
	HMACSHA512       Algorithm = 43
	KDFCounterSHA256 Algorithm = 50 // SP 800-108r1 counter mode, one block, HMAC-SHA-256
	AESKWP           Algorithm = 60 // AES key wrap with padding (RFC 5649) of other keys
)

// WrapMechanism is how a client (spec 07 WRP) or another module wrapped the material that is imported.
type WrapMechanism uint8

// Wrapping mechanisms of import.
const (
	WrapOAEPSHA1       WrapMechanism = 1 // RSAES-OAEP with SHA-1 directly over the material
	WrapOAEPSHA256     WrapMechanism = 2
	WrapRSAAESKWSHA1   WrapMechanism = 3 // ephemeral AES-256 key under OAEP, material under AES-KWP (PKCS#11 CKM_RSA_AES_KEY_WRAP)
	WrapRSAAESKWSHA256 WrapMechanism = 4
	WrapAESKWP         WrapMechanism = 5 // AES-KWP under an AES256 key that both modules hold (ExportUnder); of other modules only
)

// DomainID names one version of a region's domain key inside a module. Every node of a region uses the same id for
// the same version. At most 64 characters of [a-z0-9-].
type DomainID string

// Wrapped is key material outside the module.
type Wrapped struct {
	// Blob is the material wrapped under the domain key's wrapping key (AES-256 key wrap with padding, RFC 5649),
	// followed by the authentication tag over it, type, usage, binding and Public (SealWrapped).
	Blob []byte
	// Public is the DER SubjectPublicKeyInfo of asymmetric keys (RFC 5280), else nil.
	Public []byte
}

// Material names wrapped material for Load and Rewrap: what is wrapped, what it may be used for and what it belongs to.
type Material struct {
	Domain DomainID
	Type   KeyType
	Usage  Usage
	// Binding is what the blob is bound to (account, key id, material id, spec, origin), in the caller's encoding.
	Binding []byte
	Wrapped
}

// TransportKey is the public half of a module's transport key pair, under which other modules hand it domain keys.
type TransportKey struct {
	// SPKI is the DER SubjectPublicKeyInfo of an RSA key of at least 3072 bits.
	SPKI []byte
	// Mechanism is the one mechanism for this key: WrapOAEPSHA256, or WrapOAEPSHA1 where the operator allows it.
	Mechanism WrapMechanism
}

// Info describes a module to operators. It holds no secret.
type Info struct {
	Kind         string // "embedded" or "pkcs11"
	Manufacturer string
	Model        string
	Serial       string
	Firmware     string
	Label        string // of the token
	FIPS         string // mode of the module, as far as it tells: "off", "on", "only", or the token's own word
}

// Module is one node's HSM. All methods are safe for concurrent use and honour the context's deadline; a call whose
// context ends returns ErrUnavailable wrapping the context's error, and its effect on the token is nil or complete.
type Module interface {
	// Info describes the module. It does no I/O.
	Info() Info
	// Capabilities tells what the module can do. The value is fixed while the module is open.
	Capabilities() Capabilities
	// Health returns nil if the module answers now; the error says what an operator can do.
	Health(ctx context.Context) error
	// Random fills b from the module's random number generator.
	Random(ctx context.Context, b []byte) error

	// CreateDomain generates a domain key in the module, durably: an AES-256 wrapping key and a 256-bit authentication
	// key. ErrDomainExists if id is there.
	CreateDomain(ctx context.Context, id DomainID) error
	// HasDomain tells whether the module holds domain key id.
	HasDomain(ctx context.Context, id DomainID) (bool, error)
	// DestroyDomain removes domain key id, durably. Removing an absent one succeeds.
	DestroyDomain(ctx context.Context, id DomainID) error
	// ExportDomain returns domain key id wrapped for another module's transport key. It refuses keys under 3072 bits
	// and mechanisms that it was not told to allow.
	ExportDomain(ctx context.Context, id DomainID, to TransportKey) ([]byte, error)
	// ImportDomain stores, durably, a domain key that was wrapped for this module's transport key. Importing the one
	// it already holds succeeds.
	ImportDomain(ctx context.Context, id DomainID, wrapped []byte) error
	// DomainPRF computes HMAC-SHA-256 under the authentication key of id over len(label) || label || input. Labels
	// separate purposes; the label of wrapped blobs cannot be asked for.
	DomainPRF(ctx context.Context, id DomainID, label string, input []byte) ([32]byte, error)

	// Transport returns the module's transport key, generating it durably at the first call.
	Transport(ctx context.Context) (TransportKey, error)
	// ReplaceTransport generates a new transport key pair and destroys the old one, durably.
	ReplaceTransport(ctx context.Context) (TransportKey, error)

	// Generate makes key material and returns it wrapped under domain key id and bound to binding.
	Generate(ctx context.Context, id DomainID, t KeyType, u Usage, binding []byte) (Wrapped, error)
	// Load unwraps material into the module for use. The caller must Destroy the key.
	Load(ctx context.Context, m Material) (Key, error)
	// Rewrap moves material to domain key to, without the material leaving the module in the clear.
	Rewrap(ctx context.Context, m Material, to DomainID) (Wrapped, error)
	// Export returns material wrapped for another module: to.SPKI is the public key of an RSA pair with UseUnwrap there, and
	// to.Mechanism, WrapRSAAESKWSHA256 or, where the operator allows it, WrapRSAAESKWSHA1, is what its Import is then called with.
	// The material does not leave the module in the clear. What it is and whose is not part of the result: the caller binds that.
	// It refuses keys under 3072 bits.
	Export(ctx context.Context, m Material, to TransportKey) ([]byte, error)
	// ExportUnder returns material wrapped under key, an AES256 key with UseWrap: what Import with WrapAESKWP takes in, in a module
	// that holds the same key with UseUnwrap. Many materials travel for one RSA operation that way. The material does not leave the
	// module in the clear, and as with Export it is for the caller to bind what it is and whose.
	ExportUnder(ctx context.Context, key Key, m Material) ([]byte, error)
	// Import unwraps what was wrapped for key, or under it (key has UseUnwrap), and returns it wrapped under domain key id.
	// ErrInvalidInput if it cannot be unwrapped; ErrWrongMaterial if it can, but is not material of type t.
	Import(ctx context.Context, key Key, mech WrapMechanism, encrypted []byte, id DomainID, t KeyType, u Usage, binding []byte) (Wrapped, error)
	// Close releases the module: sessions, handles, secrets in memory. Later calls return ErrClosed.
	Close() error
}

// Key is a key loaded in a module. Methods are safe for concurrent use. A method outside the key's usage returns
// ErrUnsupported; after Destroy it returns ErrClosed.
type Key interface {
	// Type is the key's type.
	Type() KeyType
	// DeriveKey computes HMAC-SHA-256(key, 0x00000001 || fixed) inside the module: one block of SP 800-108r1 counter
	// mode with a 32-bit counter before the fixed input. UseDerive only.
	DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error
	// MAC computes the HMAC of the key's type over msg. UseMAC only.
	MAC(ctx context.Context, msg []byte) ([]byte, error)
	// Sign signs in, which is a digest or a message as alg says. UseSign only.
	Sign(ctx context.Context, alg Algorithm, in []byte) ([]byte, error)
	// Verify reports whether sig is a signature of in. A malformed signature is false, not an error. UseSign only.
	Verify(ctx context.Context, alg Algorithm, in, sig []byte) (bool, error)
	// Encrypt encrypts with the public key. UseDecrypt only.
	Encrypt(ctx context.Context, alg Algorithm, plaintext []byte) ([]byte, error)
	// Decrypt decrypts. ErrInvalidInput, without detail and without a timing difference, if the padding is wrong.
	// UseDecrypt only.
	Decrypt(ctx context.Context, alg Algorithm, ciphertext []byte) ([]byte, error)
	// Agree computes the raw shared secret with a peer's DER SubjectPublicKeyInfo. ErrInvalidInput if that is not a
	// valid point of the same curve. UseAgree only.
	Agree(ctx context.Context, peer []byte) ([]byte, error)
	// Destroy removes the key from the module. It waits for calls in flight and may be called again.
	Destroy()
}

// Capabilities is what a module can do, found out at run time.
type Capabilities struct {
	// Keys holds the usable (type, usage) pairs with their algorithms.
	Keys map[KeyUse][]Algorithm
	// Import holds the usable wrapping mechanisms of import for each key type.
	Import map[WrapMechanism][]KeyType
	// Missing explains, for operators, what the module lacks and why ("CKM_RSA_PKCS_OAEP with SHA-256: ...").
	Missing []string
}

// KeyUse is a key type with one usage.
type KeyUse struct {
	Type  KeyType
	Usage Usage
}

// Can reports whether keys of type t may be made and used for u.
func (c Capabilities) Can(t KeyType, u Usage) bool {
	_, ok := c.Keys[KeyUse{t, u}]
	return ok
}

// CanUse reports whether keys of type t and usage u support alg.
func (c Capabilities) CanUse(t KeyType, u Usage, alg Algorithm) bool {
	for _, a := range c.Keys[KeyUse{t, u}] {
		if a == alg {
			return true
		}
	}
	return false
}
