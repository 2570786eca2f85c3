package keystate

import (
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// rule refuses kinds of keys that an operation is not for (spec 09 tables 1.1 to 1.3). It does not look at the state.
type rule func(f Facts, arn string) error

// kind is that of the key spec.
func (f Facts) kind() keyspec.Kind { return keyspec.KindOf(f.Spec) }

// inKeyStore tells whether a custom key store backs the key.
func (f Facts) inKeyStore() bool {
	return f.Origin == shape.OriginAWSCloudHSM || f.Origin == shape.OriginExternalKeyStore
}

// ownMaterial: GetKeyRotationStatus answers for every key whose material is here, rotating or not (spec 02 ROT-16).
func ownMaterial(f Facts, arn string) error {
	if f.inKeyStore() {
		return fault.UnsupportedOrigin(arn, f.Origin)
	}
	return nil
}

// listsRotations: ListKeyRotations is for symmetric encryption keys, imported ones included (spec 10 LKR-01).
func listsRotations(f Facts, arn string) error {
	if f.kind() != keyspec.Symmetric {
		return fault.Unsupported()
	}
	return ownMaterial(f, arn)
}

// rotatesOnDemand: as listsRotations, and set on the primary, by the customer (spec 10 ROD-02).
func rotatesOnDemand(f Facts, arn string) error {
	if err := listsRotations(f, arn); err != nil {
		return err
	}
	return setHere(f, arn)
}

// rotatesAutomatically: as rotatesOnDemand, and the material is generated, not imported (spec 10 EKR-01).
func rotatesAutomatically(f Facts, arn string) error {
	if f.kind() != keyspec.Symmetric {
		return fault.Unsupported()
	}
	return generatedHere(f, arn)
}

// rotationCanBeDisabled: as rotatesAutomatically, but asymmetric and HMAC keys are answered with success; there is nothing to
// disable (recorded; spec 09 table 1.1 note c).
func rotationCanBeDisabled(f Facts, arn string) error {
	if f.kind() == keyspec.Symmetric || f.Origin != shape.OriginAWSKMS {
		return generatedHere(f, arn)
	}
	return nil
}

func generatedHere(f Facts, arn string) error {
	if f.Origin != shape.OriginAWSKMS {
		return fault.UnsupportedOrigin(arn, f.Origin)
	}
	return setHere(f, arn)
}

// setHere refuses keys whose rotation is set elsewhere: at the primary, or by the service (spec 02 ROT-13).
func setHere(f Facts, arn string) error {
	switch {
	case f.Replica:
		return fault.NotMultiRegionPrimary(arn)
	case f.AWSManaged:
		return fault.Unsupported()
	}
	return nil
}

// imported: the import operations are for origin EXTERNAL (spec 10 GPI-01).
func imported(f Facts, arn string) error {
	if f.Origin != shape.OriginExternal {
		return fault.UnsupportedOrigin(arn, f.Origin)
	}
	return nil
}

// asymmetric: only such keys have a public key (spec 10 GPK-01).
func asymmetric(f Facts, _ string) error {
	if f.kind() != keyspec.Asymmetric {
		return fault.Unsupported()
	}
	return nil
}

// symmetricForDataKey: data keys are encrypted under symmetric encryption keys. Usage was checked before, so that only RSA
// encryption keys are left to refuse (spec 10 GDK-02).
func symmetricForDataKey(f Facts, _ string) error {
	if f.kind() != keyspec.Symmetric {
		return fault.DataKeyAsymmetric()
	}
	return nil
}

// symmetricForDataKeyPair: as symmetricForDataKey, but not in a custom key store (spec 10 GKP-01).
func symmetricForDataKeyPair(f Facts, arn string) error {
	if err := symmetricForDataKey(f, arn); err != nil {
		return err
	}
	return ownMaterial(f, arn)
}

// primary: ReplicateKey is for multi-Region primary keys (spec 10 RPK-01).
func primary(f Facts, arn string) error {
	if !f.MultiRegion || f.Replica {
		return fault.NotMultiRegionPrimary(arn)
	}
	return nil
}

// primaryOrChanging: UpdatePrimaryRegion again while the change runs reaches a key that is a replica already; the operation
// tells a repetition from another wish (spec 07 PRI-03).
func primaryOrChanging(f Facts, arn string) error {
	if f.MultiRegion && f.Updating {
		return nil
	}
	return primary(f, arn)
}
