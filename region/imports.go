package region

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

const (
	// importLife is how long a wrapping key and its token are good (spec 07 GPI-02).
	importLife = 24 * time.Hour
	// maxValidity is the longest life of expiring material (spec 07 IKM-04).
	maxValidity = 365 * day
)

// GetParametersForImportInput asks for a wrapping key.
type GetParametersForImportInput struct {
	KeyID             string                `wire:"KeyId,required" is:"KeyIdType"`
	WrappingAlgorithm shape.AlgorithmSpec   `wire:"WrappingAlgorithm,required"`
	WrappingKeySpec   shape.WrappingKeySpec `wire:"WrappingKeySpec,required"`
}

// Resolve implements Input.
func (in *GetParametersForImportInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{WrappingAlgorithm: string(in.WrappingAlgorithm), WrappingKeySpec: string(in.WrappingKeySpec)})
}

// GetParametersForImportOutput is a wrapping key with its token.
type GetParametersForImportOutput struct {
	KeyID             string       `wire:"KeyId"`
	ImportToken       shape.Blob   `wire:"ImportToken"`
	PublicKey         shape.Secret `wire:"PublicKey"`
	ParametersValidTo time.Time    `wire:"ParametersValidTo"`
}

// GetParametersForImport makes an RSA pair in the HSM. The token carries the wrapped private key, bound to the KMS key, the
// algorithm and the date, so that any node honours it without state (spec 07 GPI-09).
func (s *Service) GetParametersForImport(ctx context.Context, c *Call, in *GetParametersForImportInput) (*GetParametersForImportOutput, error) {
	k := c.Key()
	if err := keyspec.CheckWrapping(shape.KeySpec(k.Spec), in.WrappingAlgorithm, in.WrappingKeySpec); err != nil {
		return nil, err
	}
	if err := s.checkImport(k, in.WrappingAlgorithm); err != nil {
		return nil, err
	}
	d := c.State.ActiveDomainKey()
	if d == nil {
		return nil, fault.Unavailable(errors.New("the region has no domain key"))
	}
	t := importToken{
		Domain: d.Version, ValidTo: c.Now.Add(importLife).UnixMilli(), Algorithm: in.WrappingAlgorithm, KeySpec: in.WrappingKeySpec,
		Account: k.Account, KeyID: k.ID, Region: s.cfg.Region,
	}
	w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), keyspec.HSMWrappingKey(in.WrappingKeySpec), hsm.UseUnwrap, t.binding())
	if err != nil {
		return nil, hsmFault(err)
	}
	t.Public, t.Blob = w.Public, w.Blob
	return &GetParametersForImportOutput{
		KeyID: c.Targets[0].ARN, ImportToken: t.encode(), PublicKey: shape.NewSecret(w.Public), ParametersValidTo: millis(t.ValidTo),
	}, nil
}

// checkImport refuses what the HSM cannot unwrap, before the client wraps anything for it.
func (s *Service) checkImport(k *fsm.Key, alg shape.AlgorithmSpec) error {
	t, _, err := hsmUse(k)
	if err != nil {
		return err
	}
	if slices.Contains(s.cfg.HSM.Capabilities().Import[keyspec.HSMWrapping(alg)], t) {
		return nil
	}
	return fault.New(fault.UnsupportedOperationException, "Wrapping algorithm %s is not supported in this Region for key spec %s.", alg, k.Spec)
}

// ImportKeyMaterialInput puts material into a key of Origin EXTERNAL.
type ImportKeyMaterialInput struct {
	KeyID                  string                               `wire:"KeyId,required" is:"KeyIdType"`
	ImportToken            shape.Blob                           `wire:"ImportToken,required,hidden" is:"CiphertextType"`
	EncryptedKeyMaterial   shape.Blob                           `wire:"EncryptedKeyMaterial,required,hidden" is:"CiphertextType"`
	ValidTo                shape.Opt[time.Time]                 `wire:"ValidTo"`
	ExpirationModel        shape.Opt[shape.ExpirationModelType] `wire:"ExpirationModel"`
	ImportType             shape.Opt[shape.ImportType]          `wire:"ImportType"`
	KeyMaterialDescription shape.Opt[string]                    `wire:"KeyMaterialDescription" is:"KeyMaterialDescriptionType"`
	KeyMaterialID          shape.Opt[string]                    `wire:"KeyMaterialId" is:"BackingKeyIdType"`
}

// expires tells whether the material is to expire; that is the default (spec 10 IKM-01).
func (in *ImportKeyMaterialInput) expires() bool {
	return in.ExpirationModel.Or(shape.ExpirationModelKeyMaterialExpires) == shape.ExpirationModelKeyMaterialExpires
}

// Check implements Checker.
func (in *ImportKeyMaterialInput) Check() error {
	switch {
	case in.expires() && !in.ValidTo.Set:
		return fault.ValidToRequired()
	case !in.expires() && in.ValidTo.Set:
		return fault.New(fault.ValidationException, "A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
	case in.ImportType.Value == shape.ImportNewKeyMaterial && in.KeyMaterialID.Set:
		return fault.New(fault.ValidationException, "KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL.")
	}
	return nil
}

// Resolve implements Input. An expiration model that is left out stays absent in conditions (spec 05 KCK-06).
func (in *ImportKeyMaterialInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{ExpirationModel: string(in.ExpirationModel.Value), ValidTo: in.ValidTo.Value})
}

// MaterialOutput names a key and one of its materials.
type MaterialOutput struct {
	KeyID         string            `wire:"KeyId"`
	KeyMaterialID shape.Opt[string] `wire:"KeyMaterialId"`
}

// ImportKeyMaterial unwraps the client's material inside the HSM and keeps it wrapped (spec 07 B5, B6).
func (s *Service) ImportKeyMaterial(ctx context.Context, c *Call, in *ImportKeyMaterialInput) (*MaterialOutput, error) {
	k := c.Key()
	if err := in.checkFor(k, c.Now); err != nil {
		return nil, err
	}
	t, err := s.openToken(k, in.ImportToken, c.Now)
	if err != nil {
		return nil, err
	}
	if low, high := keyspec.WrappedBytes(t.Algorithm, t.KeySpec); len(in.EncryptedKeyMaterial) < low || len(in.EncryptedKeyMaterial) > high {
		return nil, fault.EncryptedKeySize()
	}
	m, err := s.unwrapImport(ctx, c, k, t, in.EncryptedKeyMaterial)
	if err != nil {
		return nil, err
	}
	fresh, err := in.place(k, m, c.Targets[0].ARN)
	if err != nil {
		return nil, err
	}
	if m.Expires = in.expires(); m.Expires {
		m.ExpiresAt = in.ValidTo.Value.UnixMilli()
	}
	m.Description, m.AddedAt = in.KeyMaterialDescription.Value, c.Millis()
	out := &MaterialOutput{KeyID: c.Targets[0].ARN, KeyMaterialID: shape.Some(hex.EncodeToString(m.ID))}
	if _, err := s.propose(ctx, c, &fsm.ImportMaterial{Key: keyRef(k), Material: *m, New: fresh}, out); err != nil {
		return nil, err
	}
	s.changed(k)
	return out, nil
}

// ImportKeyMaterialAgain answers a repeated import with the material that it put.
func (s *Service) ImportKeyMaterialAgain(_ context.Context, c *Call, in *ImportKeyMaterialInput) (*MaterialOutput, error) {
	k, err := s.again(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	out := &MaterialOutput{KeyID: s.KeyARN(k)}
	if len(c.Objects) == 1 {
		out.KeyMaterialID = shape.Some(c.Objects[0])
	}
	return out, nil
}

// checkFor holds the rules that depend on the key and the time.
func (in *ImportKeyMaterialInput) checkFor(k *fsm.Key, now time.Time) error {
	if in.expires() {
		switch to := in.ValidTo.Value; {
		case !to.After(now):
			return fault.New(fault.ValidationException, "ValidTo must be in the future.")
		case to.After(now.Add(maxValidity)):
			return fault.New(fault.ValidationException, "ValidTo must be at most 365 days in the future.")
		}
	}
	if k.Spec != string(shape.KeySpecSymmetricDefault) && (in.ImportType.Set || in.KeyMaterialDescription.Set || in.KeyMaterialID.Set) {
		return fault.New(fault.ValidationException,
			"ImportType, KeyMaterialDescription and KeyMaterialId are only supported for symmetric encryption keys.")
	}
	return nil
}

// openToken reads an import token; its blob is authenticated when the HSM loads it.
func (s *Service) openToken(k *fsm.Key, token []byte, now time.Time) (*importToken, error) {
	t, err := parseImportToken(token)
	if err != nil || t.KeyID != k.ID || t.Account != k.Account || t.Region != s.cfg.Region {
		return nil, fault.InvalidImportToken()
	}
	if now.UnixMilli() >= t.ValidTo {
		return nil, fault.ExpiredImportToken()
	}
	return t, nil
}

// unwrapImport brings the material into the HSM and returns it wrapped, with its id. What it is bound to contains its id, which
// is known only once it is in the HSM; so it is unwrapped twice, the first time bound to nothing that the state accepts.
func (s *Service) unwrapImport(ctx context.Context, c *Call, k *fsm.Key, t *importToken, encrypted []byte) (*fsm.Material, error) {
	td, d := c.State.DomainKey(t.Domain), c.State.ActiveDomainKey()
	if td == nil || d == nil {
		return nil, fault.InvalidImportToken()
	}
	wrapping, err := s.cfg.HSM.Load(ctx, hsm.Material{
		Domain: hsm.DomainID(td.ID), Type: keyspec.HSMWrappingKey(t.KeySpec), Usage: hsm.UseUnwrap, Binding: t.binding(),
		Wrapped: hsm.Wrapped{Blob: t.Blob, Public: t.Public},
	})
	if errors.Is(err, hsm.ErrIntegrity) {
		return nil, fault.InvalidImportToken()
	}
	if err != nil {
		return nil, hsmFault(err)
	}
	defer wrapping.Destroy()
	use, usage, err := hsmUse(k)
	if err != nil {
		return nil, err
	}
	probe := append([]byte("trent/import-probe/1\x00"), k.ID...)
	w, err := s.importAs(ctx, wrapping, t, encrypted, d, use, usage, probe)
	if err != nil {
		return nil, err
	}
	id, err := s.fingerprint(ctx, hsm.Material{Domain: hsm.DomainID(d.ID), Type: use, Usage: usage, Binding: probe, Wrapped: w}, k)
	if err != nil {
		return nil, err
	}
	if w, err = s.importAs(ctx, wrapping, t, encrypted, d, use, usage, binding(k, id)); err != nil {
		return nil, err
	}
	return &fsm.Material{ID: id, Domain: d.Version, Blob: w.Blob, Public: w.Public}, nil
}

func (s *Service) importAs(ctx context.Context, wrapping hsm.Key, t *importToken, encrypted []byte, d *fsm.DomainKey,
	use hsm.KeyType, usage hsm.Usage, bind []byte) (hsm.Wrapped, error) {
	w, err := s.cfg.HSM.Import(ctx, wrapping, keyspec.HSMWrapping(t.Algorithm), encrypted, hsm.DomainID(d.ID), use, usage, bind)
	switch {
	case errors.Is(err, hsm.ErrWrongMaterial):
		return w, fault.IncorrectKeyMaterial()
	case errors.Is(err, hsm.ErrInvalidInput):
		return w, fault.InvalidCiphertext()
	}
	return w, hsmFault(err)
}

// fingerprintLabel separates the fingerprint of material from its other uses.
const fingerprintLabel = "trent/fingerprint/1"

// fingerprint computes the id of imported material: a one-way function of the material and the key that it is imported into,
// computed by the HSM, so that the same material is recognized again and nothing is told about it.
func (s *Service) fingerprint(ctx context.Context, m hsm.Material, k *fsm.Key) ([]byte, error) {
	key, err := s.cfg.HSM.Load(ctx, m)
	if err != nil {
		return nil, hsmFault(err)
	}
	defer key.Destroy()
	input := []byte(fingerprintLabel + "\x00" + k.Account + "\x00" + k.ID)
	switch m.Usage {
	case hsm.UseDerive:
		var out [32]byte
		err = key.DeriveKey(ctx, input, &out)
		return out[:], hsmFault(err)
	case hsm.UseMAC:
		// A message of GenerateMac has at most 4,096 bytes, so no client can ask for this tag.
		tag, err := key.MAC(ctx, append(input, make([]byte, keyspec.MaxPlaintextBytes)...))
		sum := sha256.Sum256(tag)
		return sum[:], hsmFault(err)
	}
	sum := sha256.Sum256(append(input, m.Public...))
	return sum[:], nil
}

// place decides whether the material is new to the key or one that it knows (spec 07 IKM-06, IMR-01 to IMR-03).
func (in *ImportKeyMaterialInput) place(k *fsm.Key, m *fsm.Material, arn string) (fresh bool, err error) {
	known := findMaterial(k, m.ID) != nil
	if in.KeyMaterialID.Set && in.KeyMaterialID.Value != hex.EncodeToString(m.ID) {
		return false, fault.IncorrectKeyMaterial()
	}
	kind := shape.ImportExistingKeyMaterial
	if len(k.Materials) == 0 {
		kind = shape.ImportNewKeyMaterial
	}
	fresh = in.ImportType.Or(kind) == shape.ImportNewKeyMaterial
	if fresh == known || fresh && k.Replica() { // new material comes by way of the primary (spec 07 MRI-08)
		return false, fault.IncorrectKeyMaterial()
	}
	m.State = fsm.MaterialCurrent
	if !fresh || k.Current < 0 {
		return fresh, nil
	}
	m.State = fsm.MaterialPendingRotation
	for i := range k.Materials {
		if w := &k.Materials[i]; w.State == fsm.MaterialPendingRotation {
			return false, fault.MaterialPendingRotation(hex.EncodeToString(m.ID), arn, hex.EncodeToString(w.ID))
		}
	}
	return true, nil
}

// DeleteImportedKeyMaterialInput names imported material; without KeyMaterialId it is the current one.
type DeleteImportedKeyMaterialInput struct {
	KeyID         string            `wire:"KeyId,required" is:"KeyIdType"`
	KeyMaterialID shape.Opt[string] `wire:"KeyMaterialId" is:"BackingKeyIdType"`
}

// Resolve implements Input.
func (in *DeleteImportedKeyMaterialInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{})
}

// DeleteImportedKeyMaterial removes imported material at once; its id stays, so that only the same material comes back (spec 07
// B7). Without material there is nothing to do.
func (s *Service) DeleteImportedKeyMaterial(ctx context.Context, c *Call, in *DeleteImportedKeyMaterialInput) (*MaterialOutput, error) {
	k := c.Key()
	out := &MaterialOutput{KeyID: c.Targets[0].ARN}
	m := current(k)
	if in.KeyMaterialID.Set {
		id, _ := hex.DecodeString(in.KeyMaterialID.Value) // the shape lets nothing else pass
		if m = findMaterial(k, id); m == nil {
			return nil, fault.IncorrectKeyMaterial()
		}
	}
	if m == nil {
		return out, nil
	}
	out.KeyMaterialID = shape.Some(hex.EncodeToString(m.ID))
	if !m.Present() {
		return out, nil
	}
	if _, err := s.propose(ctx, c, &fsm.DeleteMaterial{Key: keyRef(k), MaterialID: m.ID}, out); err != nil {
		return nil, err
	}
	s.changed(k)
	return out, nil
}

// DeleteImportedKeyMaterialAgain answers a repeated deletion.
func (s *Service) DeleteImportedKeyMaterialAgain(_ context.Context, c *Call, in *DeleteImportedKeyMaterialInput) (*MaterialOutput, error) {
	k, err := s.again(c, in.KeyID)
	if err != nil {
		return nil, err
	}
	out := &MaterialOutput{KeyID: s.KeyARN(k), KeyMaterialID: in.KeyMaterialID}
	if m := current(k); m != nil && !in.KeyMaterialID.Set {
		out.KeyMaterialID = shape.Some(hex.EncodeToString(m.ID))
	}
	return out, nil
}
