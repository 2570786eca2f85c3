package soft

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// The token file:
//
//	header   = magic (8 bytes) || iterations (4 bytes, big-endian) || salt (32 bytes)
//	key      = PBKDF2-HMAC-SHA-256(PIN, salt, iterations), 32 bytes (SP 800-132, RFC 8018)
//	sealed   = AES-256-GCM(key, content, associated data: header), with a random nonce in front
//	file     = header || sealed || SHA-256(header || sealed)
//
// The checksum tells a damaged file from a wrong PIN. Salt and key stay for the life of the file.
const (
	magic          = "trenttk1"
	saltSize       = 32
	headerSize     = len(magic) + 4 + saltSize
	gcmOverhead    = 12 + 16
	newIterations  = 1_000_000 // of new files: about 0.2 s on a server core
	minIterations  = 600_000   // what OWASP asks of PBKDF2-HMAC-SHA-256
	maxIterations  = 10_000_000
	sealKeySize    = 32
	checksumOffset = sha256.Size // from the end
)

// seal is the key that a token file is sealed with, and its header.
type seal struct {
	header []byte
	aead   cipher.AEAD
}

// newSeal chooses a salt and derives the key.
func newSeal(pin []byte) (*seal, error) {
	header := make([]byte, headerSize)
	copy(header, magic)
	binary.BigEndian.PutUint32(header[len(magic):], newIterations)
	rand.Read(header[len(magic)+4:])
	return deriveSeal(header, pin)
}

// deriveSeal derives the key that a header describes.
func deriveSeal(header, pin []byte) (*seal, error) {
	iterations := binary.BigEndian.Uint32(header[len(magic):])
	if iterations < minIterations || iterations > maxIterations {
		return nil, fmt.Errorf("%w (%d iterations)", ErrCorrupt, iterations)
	}
	key, err := pbkdf2.Key(sha256.New, string(pin), header[len(magic)+4:], int(iterations), sealKeySize)
	if err != nil {
		return nil, fmt.Errorf("soft: deriving the sealing key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("soft: deriving the sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("soft: deriving the sealing key: %w", err)
	}
	return &seal{header: bytes.Clone(header), aead: aead}, nil
}

// seal returns the file for a content.
func (s *seal) seal(plain []byte) []byte {
	file := bytes.Clone(s.header)
	file = append(file, s.aead.Seal(nil, nil, plain, s.header)...)
	sum := sha256.Sum256(file)
	return append(file, sum[:]...)
}

// openSeal returns the content of a file, which the caller clears. ErrCorrupt or ErrPIN.
func openSeal(file, pin []byte) (*seal, []byte, error) {
	if len(file) < headerSize+gcmOverhead+checksumOffset || !bytes.HasPrefix(file, []byte(magic)) {
		return nil, nil, ErrCorrupt
	}
	body := file[:len(file)-checksumOffset]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], file[len(body):]) {
		return nil, nil, ErrCorrupt
	}
	s, err := deriveSeal(body[:headerSize], pin)
	if err != nil {
		return nil, nil, err
	}
	plain, err := s.aead.Open(nil, nil, body[headerSize:], s.header)
	if err != nil {
		return nil, nil, ErrPIN
	}
	return s, plain, nil
}
