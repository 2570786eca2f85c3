package keystate

import (
	"fmt"

	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// Check tells whether a key's state and kind allow the operation: steps 11 and 12 of spec 10 PROTO-30 but for the algorithm. It
// comes after authorization and the usage check (keyspec.CheckUsage). arn is the key's ARN, which most texts begin with.
//
// The error is a *[fault.Error]. ReEncrypt asks for both keys; UpdateAlias asks for the new key only. An operation that concerns
// no key passes; one that is not in the table is an internal error, so that a forgotten row refuses instead of allowing.
func Check(op string, f Facts, arn string) error {
	r := table[op]
	if r == nil {
		if keyless[op] {
			return nil
		}
		return fault.Internal(fmt.Errorf("keystate: operation %q has no row; add it to the table", op))
	}
	state := Compute(f)
	c := r.cell(state)
	if c == cr || c == up {
		return c.refuse(state, arn)
	}
	if err := r.before.check(f, arn); err != nil {
		return err
	}
	if err := c.refuse(state, arn); err != nil {
		return err
	}
	return r.after.check(f, arn)
}

func (r rule) check(f Facts, arn string) error {
	if r == nil {
		return nil
	}
	return r(f, arn)
}

// cell is the row's column of a state.
func (r *row) cell(state shape.KeyState) cell {
	switch state {
	case shape.KeyStateEnabled:
		return r.enabled
	case shape.KeyStateDisabled:
		return r.disabled
	case shape.KeyStatePendingDeletion, shape.KeyStatePendingReplicaDeletion:
		return r.deletion
	case shape.KeyStatePendingImport:
		return r.noMaterial
	case shape.KeyStateUnavailable:
		return r.unavailable
	case shape.KeyStateCreating:
		return r.creating
	}
	return r.updating
}

// refuse is the error of a cell, nil for ok (spec 01 KST-07, its footnotes).
func (c cell) refuse(state shape.KeyState, arn string) error {
	switch c {
	case d:
		return fault.Disabled(arn)
	case pd:
		if state == shape.KeyStatePendingReplicaDeletion {
			return fault.PendingReplicaDeletion(arn)
		}
		return fault.PendingDeletion(arn)
	case pi:
		return fault.PendingImport(arn)
	case un:
		return fault.KeyStoreDisconnected(arn)
	case cr:
		return fault.Creating(arn)
	case up:
		return fault.Updating(arn)
	case np:
		return fault.NotPendingDeletion(arn)
	}
	return nil
}
