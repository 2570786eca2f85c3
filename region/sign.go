package region

import (
	"context"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// SignInput asks for a signature over a message, its digest, or the external mu of ML-DSA (spec 06 SIG).
type SignInput struct {
	KeyID            string                     `wire:"KeyId,required" is:"KeyIdType"`
	Message          shape.Secret               `wire:"Message,required" is:"PlaintextType"`
	MessageType      shape.MessageType          `wire:"MessageType" default:"RAW"`
	GrantTokens      []string                   `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	SigningAlgorithm shape.SigningAlgorithmSpec `wire:"SigningAlgorithm,required"`
	DryRun           shape.Opt[bool]            `wire:"DryRun"`
}

// Resolve implements Input.
func (in *SignInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{MessageType: string(in.MessageType), SigningAlgorithm: string(in.SigningAlgorithm)})
}

// SignOutput is a signature.
type SignOutput struct {
	KeyID            string                     `wire:"KeyId"`
	Signature        shape.Blob                 `wire:"Signature"`
	SigningAlgorithm shape.SigningAlgorithmSpec `wire:"SigningAlgorithm"`
}

// Sign signs inside the HSM (spec 10 SGN).
func (s *Service) Sign(ctx context.Context, c *Call, in *SignInput) (*SignOutput, error) {
	k := c.Key()
	alg, data, err := signInput(k, in.SigningAlgorithm, in.MessageType, in.Message.Bytes())
	if err != nil {
		return nil, err
	}
	out := &SignOutput{KeyID: c.Targets[0].ARN, SigningAlgorithm: in.SigningAlgorithm}
	err = s.withKey(ctx, c.State, k, current(k), func(key hsm.Key) error {
		sig, err := key.Sign(ctx, alg, data)
		out.Signature = sig
		return hsmFault(err)
	})
	if err != nil {
		return nil, err
	}
	s.used(c, k)
	return out, nil
}

// signInput checks algorithm, message type and length, in this order, and makes what the HSM signs or verifies.
func signInput(k *fsm.Key, a shape.SigningAlgorithmSpec, t shape.MessageType, message []byte) (hsm.Algorithm, []byte, error) {
	spec := shape.KeySpec(k.Spec)
	if err := keyspec.CheckSigning(spec, a); err != nil {
		return 0, nil, err
	}
	if err := keyspec.CheckMessage(spec, a, t, len(message)); err != nil {
		return 0, nil, err
	}
	hash, alg := keyspec.Signing(a, t)
	if hash == 0 {
		return alg, message, nil
	}
	h := hash.New()
	h.Write(message)
	return alg, h.Sum(nil), nil
}

// VerifyInput asks whether a signature is good (spec 06 SIG).
type VerifyInput struct {
	KeyID            string                     `wire:"KeyId,required" is:"KeyIdType"`
	Message          shape.Secret               `wire:"Message,required" is:"PlaintextType"`
	MessageType      shape.MessageType          `wire:"MessageType" default:"RAW"`
	Signature        shape.Blob                 `wire:"Signature,required" is:"CiphertextType"`
	SigningAlgorithm shape.SigningAlgorithmSpec `wire:"SigningAlgorithm,required"`
	GrantTokens      []string                   `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun           shape.Opt[bool]            `wire:"DryRun"`
}

// Resolve implements Input.
func (in *VerifyInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{MessageType: string(in.MessageType), SigningAlgorithm: string(in.SigningAlgorithm)})
}

// VerifyOutput says that the signature is good; a bad one is an error.
type VerifyOutput struct {
	KeyID            string                     `wire:"KeyId"`
	SignatureValid   bool                       `wire:"SignatureValid"`
	SigningAlgorithm shape.SigningAlgorithmSpec `wire:"SigningAlgorithm"`
}

// Verify verifies a signature inside the HSM; every bad one is KMSInvalidSignatureException (spec 06 SIG-03).
func (s *Service) Verify(ctx context.Context, c *Call, in *VerifyInput) (*VerifyOutput, error) {
	k := c.Key()
	alg, data, err := signInput(k, in.SigningAlgorithm, in.MessageType, in.Message.Bytes())
	if err != nil {
		return nil, err
	}
	err = s.withKey(ctx, c.State, k, current(k), func(key hsm.Key) error {
		ok, err := key.Verify(ctx, alg, data, in.Signature)
		if err == nil && !ok {
			return fault.InvalidSignature()
		}
		return hsmFault(err)
	})
	if err != nil {
		return nil, err
	}
	s.used(c, k)
	return &VerifyOutput{KeyID: c.Targets[0].ARN, SignatureValid: true, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// GetPublicKeyInput names an asymmetric key.
type GetPublicKeyInput struct {
	KeyID       string   `wire:"KeyId,required" is:"KeyIdType"`
	GrantTokens []string `wire:"GrantTokens,hidden" is:"GrantTokenList"`
}

// Resolve implements Input.
func (in *GetPublicKeyInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// GetPublicKeyOutput is a public key with what may be done with it.
type GetPublicKeyOutput struct {
	KeyID                  string                            `wire:"KeyId"`
	PublicKey              shape.Blob                        `wire:"PublicKey"`
	CustomerMasterKeySpec  shape.CustomerMasterKeySpec       `wire:"CustomerMasterKeySpec"`
	KeySpec                shape.KeySpec                     `wire:"KeySpec"`
	KeyUsage               shape.KeyUsageType                `wire:"KeyUsage"`
	EncryptionAlgorithms   []shape.EncryptionAlgorithmSpec   `wire:"EncryptionAlgorithms"`
	SigningAlgorithms      []shape.SigningAlgorithmSpec      `wire:"SigningAlgorithms"`
	KeyAgreementAlgorithms []shape.KeyAgreementAlgorithmSpec `wire:"KeyAgreementAlgorithms"`
}

// GetPublicKey returns the DER SubjectPublicKeyInfo of an asymmetric key (spec 06 PUB).
func (s *Service) GetPublicKey(_ context.Context, c *Call, _ *GetPublicKeyInput) (*GetPublicKeyOutput, error) {
	k := c.Key()
	md := KeyMetadata{KeyUsage: shape.KeyUsageType(k.Usage)}
	md.setAlgorithms(shape.KeySpec(k.Spec))
	return &GetPublicKeyOutput{
		KeyID: c.Targets[0].ARN, PublicKey: current(k).Public, KeySpec: shape.KeySpec(k.Spec),
		CustomerMasterKeySpec: keyspec.Deprecated(shape.KeySpec(k.Spec)), KeyUsage: md.KeyUsage,
		EncryptionAlgorithms: md.EncryptionAlgorithms, SigningAlgorithms: md.SigningAlgorithms,
		KeyAgreementAlgorithms: md.KeyAgreementAlgorithms,
	}, nil
}
