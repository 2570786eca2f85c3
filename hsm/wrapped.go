package hsm

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// The format of wrapped key material, the same for every kind of module, so that a region can move from one kind to
// another by handing over domain keys alone:
//
//	blob = version (1 byte, 1) || kwp || tag (32 bytes)
//	kwp  = AES-256 key wrap with padding (RFC 5649) of the material under the domain's wrapping key
//	tag  = HMAC-SHA-256 under the domain's authentication key over MACInput(LabelWrapped, body)
//	body = version || type || usage || len(binding) || binding || len(public) || public || len(kwp) || kwp
//
// Lengths are 4 bytes, big-endian. Key wrap with padding has no associated data; the tag stands in for it, and it is
// checked before the module sees anything of the blob. The tag covers the public key as well: a module that cannot
// derive it from the private key may trust it then.
//
// What is inside kwp is what C_WrapKey of PKCS#11 yields: the raw bytes of symmetric and HMAC keys, a DER
// PrivateKeyInfo (PKCS#8, RFC 5208) of asymmetric ones.
const (
	// WrappedVersion is the first byte of every blob. Another number is another format.
	WrappedVersion = 1
	// TagSize is the length of the tag that ends a blob, in bytes.
	TagSize = 32
	// MaxBinding is the longest binding, in bytes.
	MaxBinding = 16 << 10
	// MaxKWP is the longest wrapped material, in bytes. An RSA-4096 key takes about 2,400.
	MaxKWP = 16 << 10
	// MaxPublic is the longest public key, in bytes (spec 06 PUB-02).
	MaxPublic = 8 << 10

	// minKWP is the shortest output of key wrap with padding: one block of payload and the integrity block.
	minKWP = 16
)

// MACFunc computes HMAC-SHA-256 under the authentication key of one domain key, inside the module.
type MACFunc func(input []byte) ([32]byte, error)

// SealWrapped returns the blob for wrapped material kwp. The errors are those of mac, and ErrInvalidInput if a part is
// longer than this format allows.
func SealWrapped(t KeyType, u Usage, binding, public, kwp []byte, mac MACFunc) ([]byte, error) {
	if err := checkWrappedSizes(binding, public, kwp); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrInvalidInput, err)
	}
	tag, err := mac(wrappedTagInput(t, u, binding, public, kwp))
	if err != nil {
		return nil, err
	}
	blob := make([]byte, 0, 1+len(kwp)+TagSize)
	blob = append(blob, WrappedVersion)
	blob = append(blob, kwp...)
	return append(blob, tag[:]...), nil
}

// OpenWrapped verifies the tag of m.Blob in constant time and returns the wrapped material in it, which aliases m.Blob.
// ErrIntegrity if the blob is malformed or was made for another type, usage, binding, public key or domain key; else
// the errors of mac.
func OpenWrapped(m Material, mac MACFunc) (kwp []byte, err error) {
	kwp, tag, err := parseWrapped(m.Blob)
	if err == nil {
		err = checkWrappedSizes(m.Binding, m.Public, kwp)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrIntegrity, err)
	}
	want, err := mac(wrappedTagInput(m.Type, m.Usage, m.Binding, m.Public, kwp))
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(tag, want[:]) != 1 {
		return nil, ErrIntegrity
	}
	return kwp, nil
}

func parseWrapped(blob []byte) (kwp, tag []byte, err error) {
	if len(blob) < 1+minKWP+TagSize {
		return nil, nil, fmt.Errorf("blob of %d bytes is too short", len(blob))
	}
	if blob[0] != WrappedVersion {
		return nil, nil, fmt.Errorf("unknown blob version %d", blob[0])
	}
	end := len(blob) - TagSize
	return blob[1:end:end], blob[end:], nil
}

func checkWrappedSizes(binding, public, kwp []byte) error {
	switch {
	case len(kwp) < minKWP || len(kwp)%8 != 0 || len(kwp) > MaxKWP:
		return fmt.Errorf("wrapped material of %d bytes", len(kwp))
	case len(binding) > MaxBinding:
		return fmt.Errorf("binding of %d bytes, at most %d are allowed", len(binding), MaxBinding)
	case len(public) > MaxPublic:
		return fmt.Errorf("public key of %d bytes, at most %d are allowed", len(public), MaxPublic)
	}
	return nil
}

func wrappedTagInput(t KeyType, u Usage, binding, public, kwp []byte) []byte {
	n := 1 + len(LabelWrapped) + 3 + 3*4 + len(binding) + len(public) + len(kwp)
	b := appendLabel(make([]byte, 0, n), LabelWrapped)
	b = append(b, WrappedVersion, byte(t), byte(u))
	b = appendSized(b, binding)
	b = appendSized(b, public)
	return appendSized(b, kwp)
}

func appendSized(b, part []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}
