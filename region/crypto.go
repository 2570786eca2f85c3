package region

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// EncryptInput asks to encrypt up to 4,096 bytes (spec 10 ENC).
type EncryptInput struct {
	KeyID               string                        `wire:"KeyId,required" is:"KeyIdType"`
	Plaintext           shape.Secret                  `wire:"Plaintext,required" is:"PlaintextType"`
	EncryptionContext   shape.EncryptionContext       `wire:"EncryptionContext"`
	GrantTokens         []string                      `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
	DryRun              shape.Opt[bool]               `wire:"DryRun"`
}

// Resolve implements Input.
func (in *EncryptInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{EncryptionContext: in.EncryptionContext, EncryptionAlgorithm: string(in.EncryptionAlgorithm)})
}

// EncryptOutput is a ciphertext.
type EncryptOutput struct {
	CiphertextBlob      shape.Blob                    `wire:"CiphertextBlob"`
	KeyID               string                        `wire:"KeyId"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm"`
}

// Encrypt encrypts with a symmetric encryption key or an RSA key.
func (s *Service) Encrypt(ctx context.Context, c *Call, in *EncryptInput) (*EncryptOutput, error) {
	k := c.Key()
	ct, m, err := s.encrypt(ctx, c, k, in.EncryptionAlgorithm, in.EncryptionContext, in.Plaintext.Bytes())
	if err != nil {
		return nil, err
	}
	c.NoteMaterial("keyMaterialId", k, m)
	s.used(c, k)
	return &EncryptOutput{CiphertextBlob: ct, KeyID: c.Targets[0].ARN, EncryptionAlgorithm: in.EncryptionAlgorithm}, nil
}

// DecryptInput asks to open a ciphertext. KeyId may be left out for ciphertexts of symmetric encryption keys (spec 10 DEC).
type DecryptInput struct {
	CiphertextBlob      shape.Blob                    `wire:"CiphertextBlob" is:"CiphertextType"`
	EncryptionContext   shape.EncryptionContext       `wire:"EncryptionContext"`
	GrantTokens         []string                      `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	KeyID               shape.Opt[string]             `wire:"KeyId" is:"KeyIdType"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
	Recipient           *RecipientInfo                `wire:"Recipient"`
	DryRun              shape.Opt[bool]               `wire:"DryRun"`
	DryRunModifiers     []shape.DryRunModifierType    `wire:"DryRunModifiers"`
}

// RecipientInfo asks for an answer encrypted for an attested enclave.
type RecipientInfo struct {
	KeyEncryptionAlgorithm shape.Opt[shape.KeyEncryptionMechanism] `wire:"KeyEncryptionAlgorithm"`
	AttestationDocument    shape.Blob                              `wire:"AttestationDocument" is:"AttestationDocumentType"`
}

// checkRecipient refuses a Recipient: ignoring it would hand out the plaintext that it was meant to keep from the caller.
func checkRecipient(r *RecipientInfo) error {
	if r == nil {
		return nil
	}
	return fault.New(fault.ValidationException, "Recipient is not supported: this Region has no attestation root configured.")
}

// ignoreCiphertext tells a dry run that checks the permission alone (spec 05 DRY-05).
func ignoreCiphertext(dryRun shape.Opt[bool], modifiers []shape.DryRunModifierType) bool {
	return dryRun.Or(false) && len(modifiers) > 0
}

// Check implements Checker.
func (in *DecryptInput) Check() error {
	if err := checkRecipient(in.Recipient); err != nil {
		return err
	}
	return checkSource("KeyId", in.CiphertextBlob, in.KeyID, in.EncryptionAlgorithm, in.EncryptionContext,
		ignoreCiphertext(in.DryRun, in.DryRunModifiers))
}

// checkSource holds the rules of what is decrypted, for Decrypt and the source of ReEncrypt.
func checkSource(keyName string, blob shape.Blob, key shape.Opt[string], alg shape.EncryptionAlgorithmSpec,
	ec shape.EncryptionContext, ignore bool) error {
	switch {
	case blob == nil && !ignore:
		return fault.Invalid(fault.Null("ciphertextBlob", "Member must not be null"))
	case !key.Set && (ignore || alg != shape.EncryptionAlgorithmSymmetricDefault):
		return fault.New(fault.ValidationException, "%s is required when the ciphertext does not name its KMS key.", keyName)
	case alg != shape.EncryptionAlgorithmSymmetricDefault && ec.Len() > 0:
		return fault.ContextNotAllowed()
	}
	return nil
}

// Resolve finds the key in the ciphertext, compares it with the one that was named, and names it as target.
func (in *DecryptInput) Resolve(r *Resolver) error {
	cond := Conditions{EncryptionContext: in.EncryptionContext, EncryptionAlgorithm: string(in.EncryptionAlgorithm)}
	if ignoreCiphertext(in.DryRun, in.DryRunModifiers) {
		return r.Key(in.KeyID.Value, cond)
	}
	t, err := r.source(in.CiphertextBlob, in.KeyID, in.EncryptionAlgorithm)
	if err != nil {
		return err
	}
	t.Conditions = cond
	r.add(t)
	return nil
}

// source resolves the key of a ciphertext (spec 10 PROTO-32, DEC-01 to DEC-03): parsing comes first, then the key that was
// named must be the one that the ciphertext names.
func (r *Resolver) source(blob []byte, named shape.Opt[string], alg shape.EncryptionAlgorithmSpec) (Target, error) {
	if alg != shape.EncryptionAlgorithmSymmetricDefault {
		return r.Find(named.Value)
	}
	h, err := envelope.Parse(blob)
	if err != nil {
		return Target{}, fault.InvalidCiphertext()
	}
	keyID := h.KeyID()
	if !named.Set {
		k := r.Call.State.Key(h.Account(), keyID)
		return Target{Permission: r.Permission, Key: k, Account: h.Account(), ARN: r.svc.names.Key(h.Account(), keyID), FromCiphertext: true}, nil
	}
	t, err := r.named(named.Value, h.Account(), keyID)
	if err != nil {
		return Target{}, err
	}
	if t.ARN != r.svc.names.Key(h.Account(), keyID) {
		return Target{}, fault.IncorrectKey()
	}
	return t, nil
}

// named resolves the key that Decrypt names. A bare key id also means the foreign key that the ciphertext names (KID-04).
func (r *Resolver) named(id, account, keyID string) (Target, error) {
	if id == keyID && account != r.Call.Caller.Account {
		return r.Find(r.svc.names.Key(account, keyID))
	}
	return r.Find(id)
}

// DecryptOutput is a plaintext.
type DecryptOutput struct {
	KeyID               string                        `wire:"KeyId"`
	Plaintext           shape.Secret                  `wire:"Plaintext"`
	EncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"EncryptionAlgorithm"`
	KeyMaterialID       shape.Opt[string]             `wire:"KeyMaterialId"`
}

// Decrypt opens a ciphertext of Encrypt, ReEncrypt, the data key operations, or of an RSA public key.
func (s *Service) Decrypt(ctx context.Context, c *Call, in *DecryptInput) (*DecryptOutput, error) {
	k := c.Key()
	if ignoreCiphertext(in.DryRun, in.DryRunModifiers) {
		return nil, nil
	}
	pt, m, err := s.decrypt(ctx, c, k, in.EncryptionAlgorithm, in.EncryptionContext, in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	c.NoteMaterial("keyMaterialId", k, m)
	s.used(c, k)
	return &DecryptOutput{KeyID: c.Targets[0].ARN, Plaintext: pt, EncryptionAlgorithm: in.EncryptionAlgorithm, KeyMaterialID: materialID(k, m)}, nil
}

// materialID is the KeyMaterialId of an answer: symmetric encryption keys only.
func materialID(k *fsm.Key, m *fsm.Material) shape.Opt[string] {
	if k.Spec != string(shape.KeySpecSymmetricDefault) {
		return shape.Opt[string]{}
	}
	var text [2 * envelope.MaterialIDSize]byte
	return shape.Some(string(hex.AppendEncode(text[:0], m.ID)))
}

// ReEncryptInput asks to move a ciphertext under another key or context (spec 10 REN).
type ReEncryptInput struct {
	CiphertextBlob                 shape.Blob                    `wire:"CiphertextBlob" is:"CiphertextType"`
	SourceEncryptionContext        shape.EncryptionContext       `wire:"SourceEncryptionContext"`
	SourceKeyID                    shape.Opt[string]             `wire:"SourceKeyId" is:"KeyIdType"`
	DestinationKeyID               string                        `wire:"DestinationKeyId,required" is:"KeyIdType"`
	DestinationEncryptionContext   shape.EncryptionContext       `wire:"DestinationEncryptionContext"`
	SourceEncryptionAlgorithm      shape.EncryptionAlgorithmSpec `wire:"SourceEncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
	DestinationEncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"DestinationEncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
	GrantTokens                    []string                      `wire:"GrantTokens,hidden" is:"GrantTokenList"`
	DryRun                         shape.Opt[bool]               `wire:"DryRun"`
	DryRunModifiers                []shape.DryRunModifierType    `wire:"DryRunModifiers"`
}

// Check implements Checker.
func (in *ReEncryptInput) Check() error {
	return checkSource("SourceKeyId", in.CiphertextBlob, in.SourceKeyID, in.SourceEncryptionAlgorithm,
		in.SourceEncryptionContext, ignoreCiphertext(in.DryRun, in.DryRunModifiers))
}

// Resolve needs kms:ReEncryptFrom on the source key and kms:ReEncryptTo on the destination key, each with its own side's
// values (spec 05 KCK-09).
func (in *ReEncryptInput) Resolve(r *Resolver) error {
	from, err := in.resolveSource(r)
	if err != nil {
		return err
	}
	to, err := r.Find(in.DestinationKeyID)
	if err != nil {
		return err
	}
	same := shape.Some(from.ARN == to.ARN)
	from.Permission, to.Permission = "ReEncryptFrom", "ReEncryptTo"
	from.Conditions = Conditions{
		EncryptionContext: in.SourceEncryptionContext, EncryptionAlgorithm: string(in.SourceEncryptionAlgorithm), ReEncryptOnSameKey: same,
	}
	to.Conditions = Conditions{
		EncryptionContext: in.DestinationEncryptionContext, EncryptionAlgorithm: string(in.DestinationEncryptionAlgorithm), ReEncryptOnSameKey: same,
	}
	r.add(from)
	r.add(to)
	return nil
}

func (in *ReEncryptInput) resolveSource(r *Resolver) (Target, error) {
	if ignoreCiphertext(in.DryRun, in.DryRunModifiers) {
		return r.Find(in.SourceKeyID.Value)
	}
	return r.source(in.CiphertextBlob, in.SourceKeyID, in.SourceEncryptionAlgorithm)
}

// ReEncryptOutput is a ciphertext under the destination key.
type ReEncryptOutput struct {
	CiphertextBlob                 shape.Blob                    `wire:"CiphertextBlob"`
	SourceKeyID                    string                        `wire:"SourceKeyId"`
	KeyID                          string                        `wire:"KeyId"`
	SourceEncryptionAlgorithm      shape.EncryptionAlgorithmSpec `wire:"SourceEncryptionAlgorithm"`
	DestinationEncryptionAlgorithm shape.EncryptionAlgorithmSpec `wire:"DestinationEncryptionAlgorithm"`
	SourceKeyMaterialID            shape.Opt[string]             `wire:"SourceKeyMaterialId"`
	DestinationKeyMaterialID       shape.Opt[string]             `wire:"DestinationKeyMaterialId"`
}

// ReEncrypt opens a ciphertext and encrypts its content again; the plaintext stays inside.
func (s *Service) ReEncrypt(ctx context.Context, c *Call, in *ReEncryptInput) (*ReEncryptOutput, error) {
	from, to := c.Targets[0].Key, c.Targets[1].Key
	if ignoreCiphertext(in.DryRun, in.DryRunModifiers) {
		return nil, nil
	}
	pt, fromMaterial, err := s.decrypt(ctx, c, from, in.SourceEncryptionAlgorithm, in.SourceEncryptionContext, in.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	defer pt.Wipe()
	ct, toMaterial, err := s.encrypt(ctx, c, to, in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext, pt.Bytes())
	if err != nil {
		return nil, err
	}
	c.NoteMaterial("sourceKeyMaterialId", from, fromMaterial)
	c.NoteMaterial("destinationKeyMaterialId", to, toMaterial)
	s.used(c, from)
	s.used(c, to)
	return &ReEncryptOutput{
		CiphertextBlob: ct, SourceKeyID: c.Targets[0].ARN, KeyID: c.Targets[1].ARN,
		SourceEncryptionAlgorithm: in.SourceEncryptionAlgorithm, DestinationEncryptionAlgorithm: in.DestinationEncryptionAlgorithm,
		SourceKeyMaterialID: materialID(from, fromMaterial), DestinationKeyMaterialID: materialID(to, toMaterial),
	}, nil
}

// encrypt encrypts under the current material of k.
func (s *Service) encrypt(ctx context.Context, c *Call, k *fsm.Key, alg shape.EncryptionAlgorithmSpec, ec shape.EncryptionContext,
	plaintext []byte) (ct []byte, m *fsm.Material, err error) {
	spec := shape.KeySpec(k.Spec)
	if err := keyspec.CheckEncryption(spec, alg); err != nil {
		return nil, nil, err
	}
	if err := keyspec.CheckPlaintext(spec, alg, len(plaintext)); err != nil {
		return nil, nil, err
	}
	if err := checkHeard(c.State, k); err != nil {
		return nil, nil, err
	}
	m = current(k)
	err = s.withKey(ctx, c.State, k, m, func(key hsm.Key) (err error) {
		if spec != shape.KeySpecSymmetricDefault {
			if ec.Len() > 0 {
				return fault.ContextNotAllowed()
			}
			ct, err = key.Encrypt(ctx, keyspec.HSMEncryption(alg), plaintext)
			return hsmFault(err)
		}
		h, err := header(k, m)
		if err != nil {
			return err
		}
		ct, err = envelope.Seal(ctx, key, h, ec, plaintext, nil)
		return hsmFault(err)
	})
	return ct, m, err
}

// header is the clear part of the ciphertext of a symmetric encryption key.
func header(k *fsm.Key, m *fsm.Material) (envelope.Header, error) {
	h, err := envelope.NewHeader(k.Account, k.ID, m.ID)
	if err != nil {
		return h, fault.Internal(fmt.Errorf("key %s: %w", k.ID, err))
	}
	return h, nil
}

// decrypt opens a ciphertext that Resolve found to be k's.
func (s *Service) decrypt(ctx context.Context, c *Call, k *fsm.Key, alg shape.EncryptionAlgorithmSpec, ec shape.EncryptionContext,
	blob []byte) (pt shape.Secret, m *fsm.Material, err error) {
	spec := shape.KeySpec(k.Spec)
	if err := keyspec.CheckEncryption(spec, alg); err != nil {
		return pt, nil, err
	}
	if spec != shape.KeySpecSymmetricDefault {
		m = current(k)
		err = s.withKey(ctx, c.State, k, m, func(key hsm.Key) error {
			b, err := key.Decrypt(ctx, keyspec.HSMEncryption(alg), blob)
			if errors.Is(err, hsm.ErrInvalidInput) {
				return fault.InvalidCiphertext()
			}
			pt = shape.NewSecret(b)
			return hsmFault(err)
		})
		return pt, m, err
	}
	h, err := envelope.Parse(blob)
	if err != nil {
		return pt, nil, fault.InvalidCiphertext()
	}
	if m = findMaterial(k, h.MaterialID()); m == nil || !m.Present() {
		return pt, nil, fault.InvalidCiphertext()
	}
	// The header comes from the state's own row, so that a mix-up of keys cannot decrypt.
	if h, err = header(k, m); err != nil {
		return pt, nil, err
	}
	err = s.withKey(ctx, c.State, k, m, func(key hsm.Key) error {
		b, err := envelope.Open(ctx, key, h, ec, blob, nil)
		if errors.Is(err, envelope.ErrInvalid) {
			return fault.InvalidCiphertext()
		}
		pt = shape.NewSecret(b)
		return hsmFault(err)
	})
	return pt, m, err
}

// used reports the use of a key.
func (s *Service) used(c *Call, k *fsm.Key) {
	if c.DryRun {
		return
	}
	s.cfg.Usage.Observe(Use{
		Account: k.Account, KeyID: k.ID, Operation: c.Operation, At: c.Now, EventID: c.EventID, RequestID: c.RequestID,
	})
}
