package region

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// GenerateMacInput asks for the MAC of a message (spec 06 HMC).
type GenerateMacInput struct {
	Message      shape.Secret           `wire:"Message,required" is:"PlaintextType"`
	KeyID        string                 `wire:"KeyId,required" is:"KeyIdType"`
	MacAlgorithm shape.MacAlgorithmSpec `wire:"MacAlgorithm,required"`
	GrantTokens  []string               `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun       shape.Opt[bool]        `wire:"DryRun"`
}

// Resolve implements Input.
func (in *GenerateMacInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{MacAlgorithm: string(in.MacAlgorithm)})
}

// GenerateMacOutput is a MAC.
type GenerateMacOutput struct {
	Mac          shape.Blob             `wire:"Mac"`
	MacAlgorithm shape.MacAlgorithmSpec `wire:"MacAlgorithm"`
	KeyID        string                 `wire:"KeyId"`
}

// GenerateMac computes an HMAC inside the HSM (spec 10 GMC).
func (s *Service) GenerateMac(ctx context.Context, c *Call, in *GenerateMacInput) (*GenerateMacOutput, error) {
	k := c.Key()
	mac, err := s.mac(ctx, c, k, in.MacAlgorithm, in.Message.Bytes())
	if err != nil {
		return nil, err
	}
	s.used(c, k)
	return &GenerateMacOutput{Mac: mac, MacAlgorithm: in.MacAlgorithm, KeyID: c.Targets[0].ARN}, nil
}

func (s *Service) mac(ctx context.Context, c *Call, k *fsm.Key, alg shape.MacAlgorithmSpec, message []byte) (mac []byte, err error) {
	if err := keyspec.CheckMAC(shape.KeySpec(k.Spec), alg); err != nil {
		return nil, err
	}
	err = s.withKey(ctx, c.State, k, current(k), func(key hsm.Key) error {
		mac, err = key.MAC(ctx, message)
		return hsmFault(err)
	})
	return mac, err
}

// VerifyMacInput asks whether a MAC is good.
type VerifyMacInput struct {
	Message      shape.Secret           `wire:"Message,required" is:"PlaintextType"`
	KeyID        string                 `wire:"KeyId,required" is:"KeyIdType"`
	MacAlgorithm shape.MacAlgorithmSpec `wire:"MacAlgorithm,required"`
	Mac          shape.Blob             `wire:"Mac,required" is:"CiphertextType"`
	GrantTokens  []string               `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun       shape.Opt[bool]        `wire:"DryRun"`
}

// Resolve implements Input.
func (in *VerifyMacInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{MacAlgorithm: string(in.MacAlgorithm)})
}

// VerifyMacOutput says that the MAC is good; a bad one is an error.
type VerifyMacOutput struct {
	KeyID        string                 `wire:"KeyId"`
	MacValid     bool                   `wire:"MacValid"`
	MacAlgorithm shape.MacAlgorithmSpec `wire:"MacAlgorithm"`
}

// VerifyMac computes the HMAC again and compares in constant time; a bad one is KMSInvalidMacException (spec 10 VMC).
func (s *Service) VerifyMac(ctx context.Context, c *Call, in *VerifyMacInput) (*VerifyMacOutput, error) {
	k := c.Key()
	mac, err := s.mac(ctx, c, k, in.MacAlgorithm, in.Message.Bytes())
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(mac, in.Mac) != 1 {
		return nil, fault.InvalidMAC()
	}
	s.used(c, k)
	return &VerifyMacOutput{KeyID: c.Targets[0].ARN, MacValid: true, MacAlgorithm: in.MacAlgorithm}, nil
}

// DeriveSharedSecretInput asks for the shared secret with a peer's public key (spec 06 KAG).
type DeriveSharedSecretInput struct {
	KeyID                 string                          `wire:"KeyId,required" is:"KeyIdType"`
	KeyAgreementAlgorithm shape.KeyAgreementAlgorithmSpec `wire:"KeyAgreementAlgorithm,required"`
	PublicKey             shape.Blob                      `wire:"PublicKey,required" is:"PublicKeyType"`
	GrantTokens           []string                        `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun                shape.Opt[bool]                 `wire:"DryRun"`
	Recipient             *RecipientInfo                  `wire:"Recipient"`
}

// Check implements Checker.
func (in *DeriveSharedSecretInput) Check() error { return checkRecipient(in.Recipient) }

// Resolve implements Input.
func (in *DeriveSharedSecretInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{KeyAgreementAlgorithm: string(in.KeyAgreementAlgorithm)})
}

// DeriveSharedSecretOutput is the raw shared secret.
type DeriveSharedSecretOutput struct {
	KeyID                 string                          `wire:"KeyId"`
	SharedSecret          shape.Secret                    `wire:"SharedSecret"`
	KeyAgreementAlgorithm shape.KeyAgreementAlgorithmSpec `wire:"KeyAgreementAlgorithm"`
	KeyOrigin             shape.OriginType                `wire:"KeyOrigin"`
}

// DeriveSharedSecret computes cofactor ECDH inside the HSM (spec 10 DSS).
func (s *Service) DeriveSharedSecret(ctx context.Context, c *Call, in *DeriveSharedSecretInput) (*DeriveSharedSecretOutput, error) {
	k := c.Key()
	if err := keyspec.CheckKeyAgreement(shape.KeySpec(k.Spec), in.KeyAgreementAlgorithm); err != nil {
		return nil, err
	}
	out := &DeriveSharedSecretOutput{
		KeyID: c.Targets[0].ARN, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm, KeyOrigin: shape.OriginType(k.Origin),
	}
	err := s.withKey(ctx, c.State, k, current(k), func(key hsm.Key) error {
		secret, err := key.Agree(ctx, in.PublicKey)
		if errors.Is(err, hsm.ErrInvalidInput) {
			return fault.New(fault.ValidationException, "")
		}
		out.SharedSecret = shape.NewSecret(secret)
		return hsmFault(err)
	})
	if err != nil {
		return nil, err
	}
	s.used(c, k)
	return out, nil
}
