package region

import (
	"encoding/hex"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region/arn"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/keystate"
	"github.com/trentkms/trent/region/shape"
)

// KeyMetadata describes a key (spec 01 KMD, spec 10 section 6).
type KeyMetadata struct {
	AWSAccountID                string                               `wire:"AWSAccountId"`
	KeyID                       string                               `wire:"KeyId"`
	Arn                         string                               `wire:"Arn"`
	CreationDate                time.Time                            `wire:"CreationDate"`
	Enabled                     bool                                 `wire:"Enabled"`
	Description                 string                               `wire:"Description"`
	KeyUsage                    shape.KeyUsageType                   `wire:"KeyUsage"`
	KeyState                    shape.KeyState                       `wire:"KeyState"`
	DeletionDate                shape.Opt[time.Time]                 `wire:"DeletionDate"`
	ValidTo                     shape.Opt[time.Time]                 `wire:"ValidTo"`
	Origin                      shape.OriginType                     `wire:"Origin"`
	ExpirationModel             shape.Opt[shape.ExpirationModelType] `wire:"ExpirationModel"`
	KeyManager                  shape.KeyManagerType                 `wire:"KeyManager"`
	CustomerMasterKeySpec       shape.CustomerMasterKeySpec          `wire:"CustomerMasterKeySpec"`
	KeySpec                     shape.KeySpec                        `wire:"KeySpec"`
	EncryptionAlgorithms        []shape.EncryptionAlgorithmSpec      `wire:"EncryptionAlgorithms"`
	SigningAlgorithms           []shape.SigningAlgorithmSpec         `wire:"SigningAlgorithms"`
	KeyAgreementAlgorithms      []shape.KeyAgreementAlgorithmSpec    `wire:"KeyAgreementAlgorithms"`
	MultiRegion                 bool                                 `wire:"MultiRegion"`
	MultiRegionConfiguration    *MultiRegionConfiguration            `wire:"MultiRegionConfiguration"`
	PendingDeletionWindowInDays shape.Opt[int32]                     `wire:"PendingDeletionWindowInDays"`
	MacAlgorithms               []shape.MacAlgorithmSpec             `wire:"MacAlgorithms"`
	CurrentKeyMaterialID        shape.Opt[string]                    `wire:"CurrentKeyMaterialId"`
}

// MultiRegionConfiguration names the related keys of a multi-Region key.
type MultiRegionConfiguration struct {
	MultiRegionKeyType shape.MultiRegionKeyType `wire:"MultiRegionKeyType"`
	PrimaryKey         *MultiRegionKey          `wire:"PrimaryKey"`
	ReplicaKeys        []MultiRegionKey         `wire:"ReplicaKeys"`
}

// MultiRegionKey is one of the related keys.
type MultiRegionKey struct {
	Arn    string `wire:"Arn"`
	Region string `wire:"Region"`
}

// Facts are the facts that a key's state follows from (spec 01 KST-05), as of now: material that has expired counts as
// gone, even if the scheduler has not removed it yet.
func Facts(k *fsm.Key, now time.Time) keystate.Facts {
	return keystate.Facts{
		Enabled:         k.Enabled,
		PendingDeletion: k.DeletionAt != 0, PendingReplicaDeletion: k.DeletionAt == 0 && k.Ending(),
		Creating: k.Set != nil && k.Set.Creating, Updating: k.Set != nil && k.Set.Updating != "",
		MissingMaterial: !materialsUsable(k, now.UnixMilli()),
		Spec:            shape.KeySpec(k.Spec), Origin: shape.OriginType(k.Origin), MultiRegion: k.MultiRegion,
		Replica:    k.Replica(),
		AWSManaged: k.Manager == string(shape.KeyManagerAWS),
	}
}

// State is a key's state now.
func State(k *fsm.Key, now time.Time) shape.KeyState { return keystate.Compute(Facts(k, now)) }

// materialsUsable tells whether every material that the key's ciphertexts may need is there (spec 07: a key with several
// imported materials is usable when all are present; one pending its first rotation does not count).
func materialsUsable(k *fsm.Key, nowMillis int64) bool {
	if k.Current < 0 {
		return false
	}
	for i := range k.Materials {
		m := &k.Materials[i]
		if m.State == fsm.MaterialPendingRotation {
			continue
		}
		if !m.Present() || expired(m, nowMillis) {
			return false
		}
	}
	return true
}

// expired enforces an expiry at use: a late scheduler never extends a material's life.
func expired(m *fsm.Material, nowMillis int64) bool { return m.Expires && nowMillis >= m.ExpiresAt }

// current is the material that encrypts, nil before the first import.
func current(k *fsm.Key) *fsm.Material {
	if k.Current < 0 || k.Current >= len(k.Materials) {
		return nil
	}
	if planted.Bug(planted.FirstMaterial) {
		return &k.Materials[0]
	}
	return &k.Materials[k.Current]
}

const day = 24 * time.Hour

// millis is a time of the state: milliseconds since 1970.
func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// metadata renders a key for DescribeKey, CreateKey and ReplicateKey.
func (s *Service) metadata(k *fsm.Key, now time.Time) *KeyMetadata { return describe(s.names, k, now) }

// describe renders the key of a region.
func describe(home arn.Scope, k *fsm.Key, now time.Time) *KeyMetadata {
	state := State(k, now)
	spec := shape.KeySpec(k.Spec)
	md := &KeyMetadata{
		AWSAccountID: k.Account, KeyID: k.ID, Arn: home.Key(k.Account, k.ID), CreationDate: millis(k.CreatedAt),
		Enabled: state == shape.KeyStateEnabled, Description: k.Description,
		KeyUsage: shape.KeyUsageType(k.Usage), KeyState: state, Origin: shape.OriginType(k.Origin),
		KeyManager: shape.KeyManagerType(k.Manager), KeySpec: spec,
		CustomerMasterKeySpec: keyspec.Deprecated(spec), MultiRegion: k.MultiRegion,
	}
	md.setAlgorithms(spec)
	if k.DeletionAt != 0 {
		md.DeletionDate = shape.Some(millis(k.DeletionAt))
	}
	md.setMaterial(k)
	if k.DeletionAt == 0 && k.Ending() {
		md.PendingDeletionWindowInDays = shape.Some(int32(k.PendingWindowDays))
	}
	if k.MultiRegion {
		md.MultiRegionConfiguration = related(home, k)
	}
	return md
}

// related names the related keys of a multi-Region key (spec 07 MRK-20; ReplicaKeys leaves the primary out).
func related(home arn.Scope, k *fsm.Key) *MultiRegionConfiguration {
	in := func(region string) MultiRegionKey {
		return MultiRegionKey{Arn: arn.Scope{Partition: home.Partition, Region: region}.Key(k.Account, k.ID), Region: region}
	}
	c := &MultiRegionConfiguration{MultiRegionKeyType: shape.MultiRegionKeyPrimary, ReplicaKeys: []MultiRegionKey{}}
	if k.Replica() {
		c.MultiRegionKeyType = shape.MultiRegionKeyReplica
	}
	primary := in(home.Region)
	if k.Set != nil {
		primary = in(k.Set.Primary)
		for i := range k.Set.Members {
			if name := k.Set.Members[i].Region; name != k.Set.Primary {
				c.ReplicaKeys = append(c.ReplicaKeys, in(name))
			}
		}
	}
	c.PrimaryKey = &primary
	return c
}

// setAlgorithms fills exactly one of the lists, by usage (spec 06 KIND-08).
func (md *KeyMetadata) setAlgorithms(spec shape.KeySpec) {
	switch md.KeyUsage {
	case shape.KeyUsageEncryptDecrypt:
		md.EncryptionAlgorithms = keyspec.EncryptionAlgorithms(spec)
	case shape.KeyUsageSignVerify:
		md.SigningAlgorithms = keyspec.SigningAlgorithms(spec)
	case shape.KeyUsageGenerateVerifyMac:
		md.MacAlgorithms = keyspec.MacAlgorithms(spec)
	case shape.KeyUsageKeyAgreement:
		md.KeyAgreementAlgorithms = keyspec.KeyAgreementAlgorithms(spec)
	}
}

// setMaterial fills what describes the material: its id for symmetric encryption keys, expiry for imported material. Deleted
// material shows none any more, expired material still its own (spec 07 SML-03); material that waits for its rotation does not
// count (IMR-06).
func (md *KeyMetadata) setMaterial(k *fsm.Key) {
	m := current(k)
	if m == nil {
		return
	}
	if md.KeySpec == shape.KeySpecSymmetricDefault {
		md.CurrentKeyMaterialID = shape.Some(hex.EncodeToString(m.ID))
	}
	if md.Origin != shape.OriginExternal || !m.Present() && !m.Expires {
		return
	}
	model, earliest := shape.ExpirationModelKeyMaterialDoesNotExpire, int64(0)
	for i := range k.Materials {
		m := &k.Materials[i]
		if !m.Expires || m.State == fsm.MaterialPendingRotation {
			continue
		}
		model = shape.ExpirationModelKeyMaterialExpires
		if earliest == 0 || m.ExpiresAt < earliest {
			earliest = m.ExpiresAt
		}
	}
	md.ExpirationModel = shape.Some(model)
	if earliest != 0 {
		md.ValidTo = shape.Some(millis(earliest))
	}
}
