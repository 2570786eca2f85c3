package region

import (
	"context"

	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// GenerateDataKeyInput asks for a data key (spec 10 GDK).
type GenerateDataKeyInput struct {
	KeyID             string                       `wire:"KeyId,required" is:"KeyIdType"`
	EncryptionContext shape.EncryptionContext      `wire:"EncryptionContext"`
	NumberOfBytes     shape.Opt[int32]             `wire:"NumberOfBytes" is:"NumberOfBytesType"`
	KeySpec           shape.Opt[shape.DataKeySpec] `wire:"KeySpec"`
	GrantTokens       []string                     `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	Recipient         *RecipientInfo               `wire:"Recipient"`
	DryRun            shape.Opt[bool]              `wire:"DryRun"`
}

// Check implements Checker.
func (in *GenerateDataKeyInput) Check() error {
	if err := checkRecipient(in.Recipient); err != nil {
		return err
	}
	return checkDataKeySize(in.KeySpec, in.NumberOfBytes)
}

// Resolve implements Input.
func (in *GenerateDataKeyInput) Resolve(r *Resolver) error {
	return resolveDataKey(r, in.KeyID, in.EncryptionContext)
}

// GenerateDataKeyWithoutPlaintextInput is GenerateDataKeyInput without Recipient.
type GenerateDataKeyWithoutPlaintextInput struct {
	KeyID             string                       `wire:"KeyId,required" is:"KeyIdType"`
	EncryptionContext shape.EncryptionContext      `wire:"EncryptionContext"`
	KeySpec           shape.Opt[shape.DataKeySpec] `wire:"KeySpec"`
	NumberOfBytes     shape.Opt[int32]             `wire:"NumberOfBytes" is:"NumberOfBytesType"`
	GrantTokens       []string                     `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun            shape.Opt[bool]              `wire:"DryRun"`
}

// Check implements Checker.
func (in *GenerateDataKeyWithoutPlaintextInput) Check() error {
	return checkDataKeySize(in.KeySpec, in.NumberOfBytes)
}

// Resolve implements Input.
func (in *GenerateDataKeyWithoutPlaintextInput) Resolve(r *Resolver) error {
	return resolveDataKey(r, in.KeyID, in.EncryptionContext)
}

// resolveDataKey names the key. The algorithm that is used counts as the request's (spec 05 KCK-02).
func resolveDataKey(r *Resolver, keyID string, ec shape.EncryptionContext) error {
	return r.Key(keyID, Conditions{EncryptionContext: ec, EncryptionAlgorithm: string(shape.EncryptionAlgorithmSymmetricDefault)})
}

func checkDataKeySize(spec shape.Opt[shape.DataKeySpec], n shape.Opt[int32]) error {
	if spec.Set == n.Set {
		return fault.DataKeySize()
	}
	return nil
}

// dataKeyBytes is the size of a data key in bytes.
func dataKeyBytes(spec shape.Opt[shape.DataKeySpec], n shape.Opt[int32]) int {
	if spec.Set {
		return keyspec.DataKeyBytes(spec.Value)
	}
	return int(n.Value)
}

// GenerateDataKeyOutput is a data key, in the clear and encrypted.
type GenerateDataKeyOutput struct {
	CiphertextBlob shape.Blob        `wire:"CiphertextBlob"`
	Plaintext      shape.Secret      `wire:"Plaintext"`
	KeyID          string            `wire:"KeyId"`
	KeyMaterialID  shape.Opt[string] `wire:"KeyMaterialId"`
}

// GenerateDataKey makes a data key of random bytes from the HSM (spec 01 DK).
func (s *Service) GenerateDataKey(ctx context.Context, c *Call, in *GenerateDataKeyInput) (*GenerateDataKeyOutput, error) {
	out, plaintext, err := s.dataKey(ctx, c, dataKeyBytes(in.KeySpec, in.NumberOfBytes), in.EncryptionContext)
	if err != nil {
		return nil, err
	}
	return &GenerateDataKeyOutput{
		CiphertextBlob: out.CiphertextBlob, Plaintext: plaintext, KeyID: out.KeyID, KeyMaterialID: out.KeyMaterialID,
	}, nil
}

// GenerateDataKeyWithoutPlaintextOutput is an encrypted data key.
type GenerateDataKeyWithoutPlaintextOutput struct {
	CiphertextBlob shape.Blob        `wire:"CiphertextBlob"`
	KeyID          string            `wire:"KeyId"`
	KeyMaterialID  shape.Opt[string] `wire:"KeyMaterialId"`
}

// GenerateDataKeyWithoutPlaintext makes a data key that only Decrypt shows.
func (s *Service) GenerateDataKeyWithoutPlaintext(ctx context.Context, c *Call, in *GenerateDataKeyWithoutPlaintextInput) (*GenerateDataKeyWithoutPlaintextOutput, error) {
	out, plaintext, err := s.dataKey(ctx, c, dataKeyBytes(in.KeySpec, in.NumberOfBytes), in.EncryptionContext)
	plaintext.Wipe()
	return out, err
}

func (s *Service) dataKey(ctx context.Context, c *Call, size int, ec shape.EncryptionContext) (*GenerateDataKeyWithoutPlaintextOutput, shape.Secret, error) {
	k := c.Key()
	if k.Spec != string(shape.KeySpecSymmetricDefault) {
		return nil, shape.Secret{}, fault.DataKeyAsymmetric()
	}
	b := make([]byte, size)
	if err := s.cfg.HSM.Random(ctx, b); err != nil {
		return nil, shape.Secret{}, hsmFault(err)
	}
	ct, m, err := s.encrypt(ctx, c, k, shape.EncryptionAlgorithmSymmetricDefault, ec, b)
	if err != nil {
		clear(b)
		return nil, shape.Secret{}, err
	}
	c.NoteMaterial("keyMaterialId", k, m)
	s.used(c, k)
	return &GenerateDataKeyWithoutPlaintextOutput{CiphertextBlob: ct, KeyID: c.Targets[0].ARN, KeyMaterialID: materialID(k, m)},
		shape.NewSecret(b), nil
}

// GenerateRandomInput asks for random bytes (spec 10 GRN).
type GenerateRandomInput struct {
	NumberOfBytes    shape.Opt[int32]  `wire:"NumberOfBytes" is:"NumberOfBytesType"`
	CustomKeyStoreID shape.Opt[string] `wire:"CustomKeyStoreId" is:"CustomKeyStoreIdType"`
	Recipient        *RecipientInfo    `wire:"Recipient"`
}

// Check implements Checker.
func (in *GenerateRandomInput) Check() error {
	if err := checkRecipient(in.Recipient); err != nil {
		return err
	}
	if !in.NumberOfBytes.Set {
		return fault.NumberOfBytesRequired()
	}
	return nil
}

// Resolve implements Input.
func (in *GenerateRandomInput) Resolve(r *Resolver) error { return r.None(Conditions{}) }

// GenerateRandomOutput holds random bytes.
type GenerateRandomOutput struct {
	Plaintext shape.Secret `wire:"Plaintext"`
}

// GenerateRandom returns bytes of the HSM's random number generator.
func (s *Service) GenerateRandom(ctx context.Context, _ *Call, in *GenerateRandomInput) (*GenerateRandomOutput, error) {
	if in.CustomKeyStoreID.Set {
		return nil, fault.New(fault.CustomKeyStoreNotFoundException, "Custom key store %s is not found.", in.CustomKeyStoreID.Value)
	}
	b := make([]byte, in.NumberOfBytes.Value)
	if err := s.cfg.HSM.Random(ctx, b); err != nil {
		return nil, hsmFault(err)
	}
	return &GenerateRandomOutput{Plaintext: shape.NewSecret(b)}, nil
}
