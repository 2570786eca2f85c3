package recovery

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"

	"github.com/trentkms/trent/hsm"
)

const (
	// iterations is what new files use; maxIterations bounds what a file can make this program compute.
	iterations    = 1_000_000
	minIterations = 100_000
	maxIterations = 50_000_000
	saltSize      = 16
	fileBlock     = "ENCRYPTED PRIVATE KEY"
	publicBlock   = "PUBLIC KEY"
	maxFile       = 64 << 10
	// MinPassphrase is the shortest passphrase of a new file, in bytes.
	MinPassphrase = 12
)

// Object identifiers of RFC 8018 and NIST.
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 are PBES2-params (RFC 8018 appendix A.4).
type pbes2 struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

// kdfParams are PBKDF2-params (RFC 8018 appendix A.2).
type kdfParams struct {
	Salt       []byte
	Iterations int
	KeyLength  int `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier
}

// Seal encrypts the key by a passphrase, as a PEM file.
func (k *Key) Seal(passphrase []byte) ([]byte, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("recovery: a passphrase has at least %d characters", MinPassphrase)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.pair)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	var random [saltSize + aes.BlockSize]byte
	rand.Read(random[:])
	salt, iv := random[:saltSize], random[saltSize:]
	pad := aes.BlockSize - len(der)%aes.BlockSize
	der = append(der, bytes.Repeat([]byte{byte(pad)}, pad)...)
	defer clear(der)
	block, err := cipherOf(passphrase, salt, iterations)
	if err != nil {
		return nil, err
	}
	data := make([]byte, len(der))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, der)
	out, err := marshalFile(salt, iv, data)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: fileBlock, Bytes: out}), nil
}

func marshalFile(salt, iv, data []byte) ([]byte, error) {
	kdf, err := asn1.Marshal(kdfParams{Salt: salt, Iterations: iterations, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}})
	if err != nil {
		return nil, err
	}
	vector, err := asn1.Marshal(iv)
	if err != nil {
		return nil, err
	}
	params, err := asn1.Marshal(pbes2{
		KDF:    pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2, Parameters: asn1.RawValue{FullBytes: kdf}},
		Cipher: pkix.AlgorithmIdentifier{Algorithm: oidAES256CBC, Parameters: asn1.RawValue{FullBytes: vector}},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(encryptedKey{pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: asn1.RawValue{FullBytes: params}}, data})
}

func cipherOf(passphrase, salt []byte, n int) (cipher.Block, error) {
	key, err := pbkdf2.Key(sha256.New, string(passphrase), salt, n, 32)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	defer clear(key)
	return aes.NewCipher(key)
}

var errFile = errors.New("recovery: not a recovery key file")

// Parse opens a file that Seal made. It takes about as long as Seal, on purpose.
func Parse(file, passphrase []byte) (*Key, error) {
	salt, iv, data, n, err := parseFile(file)
	if err != nil {
		return nil, err
	}
	block, err := cipherOf(passphrase, salt, n)
	if err != nil {
		return nil, err
	}
	der := make([]byte, len(data))
	defer clear(der)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(der, data)
	pad := int(der[len(der)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, ErrPassphrase
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der[:len(der)-pad])
	if err != nil {
		return nil, ErrPassphrase
	}
	pair, ok := parsed.(*rsa.PrivateKey)
	if !ok || pair.N.BitLen() < 3072 {
		return nil, fmt.Errorf("%w: it holds another kind of key", errFile)
	}
	return &Key{pair}, nil
}

// parseFile takes a file apart.
func parseFile(file []byte) (salt, iv, data []byte, n int, err error) {
	if len(file) > maxFile {
		return nil, nil, nil, 0, errFile
	}
	p, _ := pem.Decode(file)
	if p == nil || p.Type != fileBlock {
		return nil, nil, nil, 0, errFile
	}
	var (
		outer  encryptedKey
		scheme pbes2
		kdf    kdfParams
	)
	for _, part := range []struct {
		der  func() []byte
		into any
	}{
		{func() []byte { return p.Bytes }, &outer},
		{func() []byte { return outer.Algorithm.Parameters.FullBytes }, &scheme},
		{func() []byte { return scheme.KDF.Parameters.FullBytes }, &kdf},
		{func() []byte { return scheme.Cipher.Parameters.FullBytes }, &iv},
	} {
		rest, err := asn1.Unmarshal(part.der(), part.into)
		if err != nil || len(rest) > 0 {
			return nil, nil, nil, 0, errFile
		}
	}
	switch {
	case !outer.Algorithm.Algorithm.Equal(oidPBES2), !scheme.KDF.Algorithm.Equal(oidPBKDF2), !scheme.Cipher.Algorithm.Equal(oidAES256CBC),
		!kdf.PRF.Algorithm.Equal(oidHMACSHA256):
		return nil, nil, nil, 0, fmt.Errorf("%w: it uses other algorithms than PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC", errFile)
	case kdf.Iterations < minIterations || kdf.Iterations > maxIterations, len(kdf.Salt) < 8, len(kdf.Salt) > 64, len(iv) != aes.BlockSize,
		len(outer.Data) == 0, len(outer.Data)%aes.BlockSize != 0:
		return nil, nil, nil, 0, errFile
	}
	return kdf.Salt, iv, outer.Data, kdf.Iterations, nil
}

// PublicPEM is the public half as a PEM file, for registering.
func (k *Key) PublicPEM() ([]byte, error) {
	spki, err := k.Public()
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: spki}), nil
}

// ParsePublic reads a PEM file with a public key and returns its DER SubjectPublicKeyInfo.
func ParsePublic(file []byte) ([]byte, error) {
	p, _ := pem.Decode(file)
	if p == nil || p.Type != publicBlock || len(file) > maxFile {
		return nil, errors.New("recovery: not a PEM file with a public key")
	}
	return p.Bytes, nil
}

func transportHash(m hsm.WrapMechanism) (func() hash.Hash, error) {
	switch m {
	case hsm.WrapOAEPSHA256:
		return sha256.New, nil
	case hsm.WrapOAEPSHA1: // the module under the transport key has allowed it
		return sha1.New, nil
	}
	return nil, fmt.Errorf("%w: transport mechanism %v", hsm.ErrUnsupported, m)
}
