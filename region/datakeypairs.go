package region

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// GenerateDataKeyPairInput asks for a key pair for use outside (spec 01 DKP, spec 06 DKP).
type GenerateDataKeyPairInput struct {
	EncryptionContext shape.EncryptionContext `wire:"EncryptionContext"`
	KeyID             string                  `wire:"KeyId,required" is:"KeyIdType"`
	KeyPairSpec       shape.DataKeyPairSpec   `wire:"KeyPairSpec,required"`
	GrantTokens       []string                `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	Recipient         *RecipientInfo          `wire:"Recipient"`
	DryRun            shape.Opt[bool]         `wire:"DryRun"`
}

// Check implements Checker.
func (in *GenerateDataKeyPairInput) Check() error { return checkRecipient(in.Recipient) }

// Resolve implements Input.
func (in *GenerateDataKeyPairInput) Resolve(r *Resolver) error {
	return resolveDataKeyPair(r, in.KeyID, in.KeyPairSpec, in.EncryptionContext)
}

// GenerateDataKeyPairWithoutPlaintextInput is GenerateDataKeyPairInput without Recipient.
type GenerateDataKeyPairWithoutPlaintextInput struct {
	EncryptionContext shape.EncryptionContext `wire:"EncryptionContext"`
	KeyID             string                  `wire:"KeyId,required" is:"KeyIdType"`
	KeyPairSpec       shape.DataKeyPairSpec   `wire:"KeyPairSpec,required"`
	GrantTokens       []string                `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun            shape.Opt[bool]         `wire:"DryRun"`
}

// Resolve implements Input.
func (in *GenerateDataKeyPairWithoutPlaintextInput) Resolve(r *Resolver) error {
	return resolveDataKeyPair(r, in.KeyID, in.KeyPairSpec, in.EncryptionContext)
}

func resolveDataKeyPair(r *Resolver, keyID string, spec shape.DataKeyPairSpec, ec shape.EncryptionContext) error {
	return r.Key(keyID, Conditions{
		EncryptionContext: ec, EncryptionAlgorithm: string(shape.EncryptionAlgorithmSymmetricDefault), DataKeyPairSpec: string(spec),
	})
}

// GenerateDataKeyPairOutput is a key pair, its private key in the clear and encrypted.
type GenerateDataKeyPairOutput struct {
	PrivateKeyCiphertextBlob shape.Blob            `wire:"PrivateKeyCiphertextBlob"`
	PrivateKeyPlaintext      shape.Secret          `wire:"PrivateKeyPlaintext"`
	PublicKey                shape.Blob            `wire:"PublicKey"`
	KeyID                    string                `wire:"KeyId"`
	KeyPairSpec              shape.DataKeyPairSpec `wire:"KeyPairSpec"`
	KeyMaterialID            shape.Opt[string]     `wire:"KeyMaterialId"`
}

// GenerateDataKeyPair makes a key pair and encrypts its private key (PKCS #8) under the KMS key.
func (s *Service) GenerateDataKeyPair(ctx context.Context, c *Call, in *GenerateDataKeyPairInput) (*GenerateDataKeyPairOutput, error) {
	out, private, err := s.dataKeyPair(ctx, c, in.KeyPairSpec, in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &GenerateDataKeyPairOutput{
		PrivateKeyCiphertextBlob: out.PrivateKeyCiphertextBlob, PrivateKeyPlaintext: private, PublicKey: out.PublicKey,
		KeyID: out.KeyID, KeyPairSpec: out.KeyPairSpec, KeyMaterialID: out.KeyMaterialID,
	}, nil
}

// GenerateDataKeyPairWithoutPlaintextOutput is a key pair whose private key is only there encrypted.
type GenerateDataKeyPairWithoutPlaintextOutput struct {
	PrivateKeyCiphertextBlob shape.Blob            `wire:"PrivateKeyCiphertextBlob"`
	PublicKey                shape.Blob            `wire:"PublicKey"`
	KeyID                    string                `wire:"KeyId"`
	KeyPairSpec              shape.DataKeyPairSpec `wire:"KeyPairSpec"`
	KeyMaterialID            shape.Opt[string]     `wire:"KeyMaterialId"`
}

// GenerateDataKeyPairWithoutPlaintext makes a key pair whose private key only Decrypt shows.
func (s *Service) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, c *Call, in *GenerateDataKeyPairWithoutPlaintextInput) (*GenerateDataKeyPairWithoutPlaintextOutput, error) {
	out, private, err := s.dataKeyPair(ctx, c, in.KeyPairSpec, in.EncryptionContext)
	private.Wipe()
	return out, err
}

func (s *Service) dataKeyPair(ctx context.Context, c *Call, spec shape.DataKeyPairSpec, ec shape.EncryptionContext) (
	out *GenerateDataKeyPairWithoutPlaintextOutput, private shape.Secret, err error) {
	pair, err := s.newPair(ctx, spec)
	if err != nil {
		return nil, private, err
	}
	defer pair.Wipe()
	public, err := pair.PublicDER()
	if err != nil {
		return nil, private, fault.Internal(err)
	}
	k, der := c.Key(), pair.DER()
	ct, m, err := s.encrypt(ctx, c, k, shape.EncryptionAlgorithmSymmetricDefault, ec, der)
	if err != nil {
		clear(der)
		return nil, private, err
	}
	c.NoteMaterial("keyMaterialId", k, m)
	s.used(c, k)
	return &GenerateDataKeyPairWithoutPlaintextOutput{
		PrivateKeyCiphertextBlob: ct, PublicKey: public, KeyID: c.Targets[0].ARN, KeyPairSpec: spec, KeyMaterialID: materialID(k, m),
	}, shape.NewSecret(der), nil
}

// newPair makes a key pair in this process, since it is handed out in the clear. Scalars and seeds are the HSM's random bytes;
// RSA primes come from the random number generator of Go's cryptographic module, which takes no other source.
func (s *Service) newPair(ctx context.Context, spec shape.DataKeyPairSpec) (*pkcs8.Key, error) {
	row, ok := keyspec.LookupPair(spec)
	if !ok || !s.cfg.HSM.Capabilities().Can(row.HSM, hsm.UseSign) {
		return nil, fault.UnsupportedKeySpec(spec)
	}
	if row.ModulusBytes > 0 {
		key, err := rsa.GenerateKey(rand.Reader, 8*row.ModulusBytes)
		if err != nil {
			return nil, fault.Internal(err)
		}
		pair, err := pkcs8.FromRSA(row.HSM, key)
		if err != nil {
			return nil, fault.Internal(err)
		}
		return pair, nil
	}
	return s.newScalar(ctx, row.HSM)
}

// scalarSizes are the sizes of scalars and seeds in bytes.
var scalarSizes = map[hsm.KeyType]int{hsm.P256: 32, hsm.P384: 48, hsm.P521: 66, hsm.Secp256k1: 32, hsm.Ed25519: 32}

// scalarTries bounds the draws of a scalar: one in 2^32 is out of range on the worst curve.
const scalarTries = 8

// newScalar draws a private key by rejection: numbers outside the curve's order are drawn again (FIPS 186-5 A.2.2).
func (s *Service) newScalar(ctx context.Context, t hsm.KeyType) (*pkcs8.Key, error) {
	b := make([]byte, scalarSizes[t])
	defer clear(b)
	var last error
	for range scalarTries {
		if err := s.cfg.HSM.Random(ctx, b); err != nil {
			return nil, hsmFault(err)
		}
		if t == hsm.P521 {
			b[0] &= 1 // 521 bits
		}
		pair, err := pkcs8.FromSecret(t, b)
		if err == nil {
			return pair, nil
		}
		last = err
	}
	return nil, fault.Internal(fmt.Errorf("no scalar in range after %d draws: %w", scalarTries, last))
}
