package hsm

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
)

// DomainKeySize is the length of each of the two keys of a domain key, in bytes: AES-256 for wrapping, and a key for
// HMAC-SHA-256.
const DomainKeySize = 32

// Labels that DomainPRF never serves. All labels that begin with ReservedLabelPrefix are the modules' own.
const (
	ReservedLabelPrefix = "hsm/"
	// LabelWrapped is for the tags of wrapped blobs.
	LabelWrapped = "hsm/wrapped-key"
	// LabelDomainExport is for the tags of exported domain keys.
	LabelDomainExport = "hsm/domain-export"
)

// MaxLabel is the longest label of DomainPRF, in bytes.
const MaxLabel = 64

// Check returns ErrInvalidInput unless id is 1 to 64 characters of [a-z0-9-].
func (id DomainID) Check() error {
	if len(id) == 0 || len(id) > 64 {
		return fmt.Errorf("%w: domain id of %d characters, 1 to 64 are allowed", ErrInvalidInput, len(id))
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w: domain id %q may hold only a-z, 0-9 and '-'", ErrInvalidInput, string(id))
		}
	}
	return nil
}

// PRFInput returns what DomainPRF feeds to HMAC-SHA-256: the label's length in one byte, the label, the input.
// ErrInvalidInput if the label is empty, longer than MaxLabel or reserved.
func PRFInput(label string, input []byte) ([]byte, error) {
	if len(label) == 0 || len(label) > MaxLabel {
		return nil, fmt.Errorf("%w: label of %d bytes, 1 to %d are allowed", ErrInvalidInput, len(label), MaxLabel)
	}
	if strings.HasPrefix(label, ReservedLabelPrefix) {
		return nil, fmt.Errorf("%w: label %q is reserved for the module", ErrInvalidInput, label)
	}
	b := appendLabel(make([]byte, 0, 1+len(label)+len(input)), label)
	return append(b, input...), nil
}

func appendLabel(b []byte, label string) []byte {
	b = append(b, byte(len(label)))
	return append(b, label...)
}

// The format of an exported domain key, the same for every kind of module. A PKCS#11 token wraps one key at a time, so
// the two keys travel as two RSAES-OAEP blocks under the receiver's transport key, each with DomainKeySize bytes:
//
//	export = version (1 byte, 1) || block length (2 bytes, big-endian) || wrapping block || authentication block || tag
//	tag    = HMAC-SHA-256 under the domain's authentication key over
//	         LabelDomainExport with its length || len(id) (1 byte) || id || wrapping block
//
// The tag binds the halves to each other and to the id. It does not say who made the export, since anybody can encrypt
// to a transport key: exports are authenticated by the replicated log that carries them.
const (
	domainExportVersion = 1
	minExportBlock      = 3072 / 8
	maxExportBlock      = 16384 / 8
)

// DomainExport is an exported domain key, taken apart.
type DomainExport struct {
	// WrapBlock and AuthBlock are RSAES-OAEP ciphertexts of the wrapping and the authentication key.
	WrapBlock, AuthBlock []byte
	// Tag is checked with Verify once the authentication key is unwrapped.
	Tag [TagSize]byte
}

// SealDomainExport returns the export of domain key id from its two OAEP blocks, of equal length. mac computes under
// the authentication key of id.
func SealDomainExport(id DomainID, wrapBlock, authBlock []byte, mac MACFunc) ([]byte, error) {
	n := len(wrapBlock)
	if n < minExportBlock || n > maxExportBlock || len(authBlock) != n {
		return nil, fmt.Errorf("%w: transport blocks of %d and %d bytes", ErrInvalidInput, n, len(authBlock))
	}
	tag, err := mac(domainExportTagInput(id, wrapBlock))
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 3+2*n+TagSize)
	b = append(b, domainExportVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(append(b, wrapBlock...), authBlock...)
	return append(b, tag[:]...), nil
}

// ParseDomainExport takes an export apart. The blocks alias wrapped. ErrIntegrity if it is malformed.
func ParseDomainExport(wrapped []byte) (DomainExport, error) {
	if len(wrapped) < 3 || wrapped[0] != domainExportVersion {
		return DomainExport{}, fmt.Errorf("%w: not an exported domain key", ErrIntegrity)
	}
	n := int(binary.BigEndian.Uint16(wrapped[1:]))
	if n < minExportBlock || n > maxExportBlock || len(wrapped) != 3+2*n+TagSize {
		return DomainExport{}, fmt.Errorf("%w: exported domain key has the wrong length", ErrIntegrity)
	}
	e := DomainExport{WrapBlock: wrapped[3 : 3+n : 3+n], AuthBlock: wrapped[3+n : 3+2*n : 3+2*n]}
	copy(e.Tag[:], wrapped[3+2*n:])
	return e, nil
}

// Verify checks the tag in constant time; mac computes under the authentication key that was in AuthBlock. ErrIntegrity
// if the halves do not belong together or to id.
func (e DomainExport) Verify(id DomainID, mac MACFunc) error {
	want, err := mac(domainExportTagInput(id, e.WrapBlock))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(e.Tag[:], want[:]) != 1 {
		return fmt.Errorf("%w: exported domain key does not belong to %q", ErrIntegrity, string(id))
	}
	return nil
}

func domainExportTagInput(id DomainID, wrapBlock []byte) []byte {
	b := appendLabel(make([]byte, 0, 2+len(LabelDomainExport)+len(id)+len(wrapBlock)), LabelDomainExport)
	b = appendLabel(b, string(id))
	return append(b, wrapBlock...)
}
