// Package keystate is the one table of what each operation does in each key state (spec 01 section 12, spec 10 section 4).
//
// The package guarantees:
//   - the state is computed from facts that are stored apart, so that no change of one of them can lose another: a key that is
//     enabled, then disconnected, then scheduled for deletion remembers all three ([Compute]);
//   - every operation of the API is in the table or is named as one without a key; another name is refused ([Check]);
//   - refusals are the recorded errors, as *[fault.Error], with the key's ARN and the endings that alarms match.
//
// It is data and pure functions, safe for concurrent use.
package keystate

import "github.com/trentkms/trent/region/shape"

// Facts is what the state of a key and the fitness of an operation follow from. The zero value is a disabled key of no spec.
type Facts struct {
	// Enabled is the customer's wish (EnableKey, DisableKey). It is remembered in every other state.
	Enabled bool
	// PendingDeletion tells that a deletion is scheduled and its waiting period runs.
	PendingDeletion bool
	// PendingReplicaDeletion tells that a deletion is scheduled and the last replica must go first; the period has not begun.
	PendingReplicaDeletion bool
	// Creating tells that a replica is still being made.
	Creating bool
	// Updating tells that the primary Region is being changed.
	Updating bool
	// Disconnected tells that the key's custom key store is disconnected.
	Disconnected bool
	// MissingMaterial tells that a key material that the key needs is absent: never imported, deleted or expired.
	MissingMaterial bool

	// The rest is not state: operations that a kind of key rules out are refused by it.

	Spec        shape.KeySpec
	Origin      shape.OriginType
	MultiRegion bool // a multi-Region key, primary or replica
	Replica     bool // a multi-Region replica
	AWSManaged  bool // KeyManager AWS
}

// Compute returns the key state (spec 01 KST-05). Deletion wins over everything, so that a scheduled deletion can always be
// cancelled (STATE-01); of its two states the one whose waiting period has not begun.
func Compute(f Facts) shape.KeyState {
	switch {
	case f.PendingReplicaDeletion:
		return shape.KeyStatePendingReplicaDeletion
	case f.PendingDeletion:
		return shape.KeyStatePendingDeletion
	case f.Creating:
		return shape.KeyStateCreating
	case f.Updating:
		return shape.KeyStateUpdating
	case f.Disconnected:
		return shape.KeyStateUnavailable
	case f.MissingMaterial:
		return shape.KeyStatePendingImport
	case !f.Enabled:
		return shape.KeyStateDisabled
	}
	return shape.KeyStateEnabled
}
