package fsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
)

// Types of rotation (RotationType of the API).
const (
	RotationAutomatic = "AUTOMATIC"
	RotationOnDemand  = "ON_DEMAND"
)

func (r *Rotation) check() error {
	if r.Enabled && (r.PeriodDays < 1 || r.NextAt <= 0) {
		return errors.New("automatic rotation without period or next date")
	}
	return errors.Join(checkLength("rotation period", r.PeriodDays, 1<<16), checkTime("NextAt", r.NextAt))
}

func (c *SetRotation) check() error { return errors.Join(c.Key.check(), c.Rotation.check()) }

// enabled is like notPending, and refuses a disabled key: rotation can neither be set nor done on one (spec 02 section
// 2, key states).
func (t *tx) enabled(ref *KeyRef) (*Key, outcome) {
	k, out := t.notPending(ref)
	switch {
	case !out.ok():
		return nil, out
	case k.pendingImport():
		return nil, stale("the key is pending import")
	case !k.Enabled:
		return nil, stale("the key is disabled")
	}
	return k, out
}

func applySetRotation(t *tx, c *SetRotation) outcome {
	k, out := t.enabled(&c.Key)
	if !out.ok() {
		return out
	}
	if out := t.leads(k); !out.ok() {
		return out
	}
	rotation := c.Rotation
	k.Rotation = &rotation
	t.share(k)
	return done()
}

func (c *RotateKey) check() error {
	switch {
	case c.Type != RotationAutomatic && c.Type != RotationOnDemand:
		return errors.New("rotation type is neither AUTOMATIC nor ON_DEMAND")
	case c.Type == RotationAutomatic && c.NextAt == 0:
		return errors.New("automatic rotation without the date of the next one")
	case c.NextAt < 0:
		return errors.New("NextAt is negative")
	}
	if len(c.Material.Blob) > 0 {
		if err := c.Material.check(); err != nil {
			return err
		}
	}
	return errors.Join(c.Key.check(), checkMaterialID(c.From), checkMaterialID(c.Material.ID))
}

// applyRotateKey makes one rotation of one date happen once: From names the material that must still be current
// (spec 02 ROT-32).
func applyRotateKey(t *tx, c *RotateKey) outcome {
	k, out := t.enabled(&c.Key)
	if !out.ok() {
		return out
	}
	if out := t.leads(k); !out.ok() {
		return out
	}
	if k.Current < 0 || !bytes.Equal(k.Materials[k.Current].ID, c.From) {
		return conflict("another material is current")
	}
	if k.spreading() >= 0 {
		return stale("a rotation is on its way to the other regions")
	}
	if out := t.schedule(k, c); !out.ok() {
		return out
	}
	k.Materials = slices.Clone(k.Materials)
	next, out := t.nextMaterial(k, c)
	if !out.ok() {
		return out
	}
	if k.waitsForReplicas() && len(c.Material.Blob) > 0 {
		return t.spread(k, next, c)
	}
	k.Materials[k.Current].State = MaterialNonCurrent
	m := &k.Materials[next]
	m.State, m.RotatedAt, m.RotationType = MaterialCurrent, t.now, t.d.interner.string(c.Type)
	k.Current = next
	t.share(k)
	return done(hex.EncodeToString(m.ID))
}

// spread sends new material to the other regions of the set; it becomes current once all have it (spec 07 SYN-04).
func (t *tx) spread(k *Key, next int, c *RotateKey) outcome {
	m := &k.Materials[next]
	m.State = MaterialSpreading
	s := k.Set.clone()
	s.SpreadType = t.d.interner.string(c.Type)
	s.SpreadSince = SetVersion{s.Version.Term, s.Version.Index + 1}
	k.Set = s
	t.share(k)
	return done(hex.EncodeToString(m.ID))
}

// schedule counts an on-demand rotation, or moves the date of the next automatic one.
func (t *tx) schedule(k *Key, c *RotateKey) outcome {
	if c.Type == RotationOnDemand {
		if k.OnDemandRotations >= t.d.quotas.OnDemandRotations {
			return stale("the key's on-demand rotations are at the quota")
		}
		k.OnDemandRotations++
	} else if k.Rotation == nil || !k.Rotation.Enabled || k.Rotation.NextAt > t.now {
		return stale("automatic rotation is off or not due")
	}
	if c.NextAt == 0 {
		return done()
	}
	if k.Rotation == nil || !k.Rotation.Enabled {
		return stale("automatic rotation is off")
	}
	rotation := *k.Rotation
	rotation.NextAt = c.NextAt
	k.Rotation = &rotation
	return done()
}

// heldByAll tells that every other region of the set has imported a material.
func (k *Key) heldByAll(id []byte) bool {
	if k.Set == nil {
		return true
	}
	return !slices.ContainsFunc(k.Set.Members, func(m Member) bool {
		return m.Region != k.Set.Primary && !bytes.Equal(m.Holding, id)
	})
}

// PendingElsewhere tells that another region of the set has not imported the material that waits for its rotation (spec 07 MRI-08).
func (k *Key) PendingElsewhere(m *Material) bool {
	return m.State == MaterialPendingRotation && !k.Replica() && !k.heldByAll(m.ID)
}

// nextMaterial returns the position of the material to become current: the command's, which is added, or the imported
// one pending rotation.
func (t *tx) nextMaterial(k *Key, c *RotateKey) (int, outcome) {
	known := findMaterial(k.Materials, c.Material.ID)
	if len(c.Material.Blob) == 0 {
		if known < 0 || k.Materials[known].State != MaterialPendingRotation || !k.Materials[known].Present() {
			return -1, conflict("the material is not pending rotation")
		}
		if !k.heldByAll(c.Material.ID) {
			return -1, stale("a region of the set has not imported the material")
		}
		return known, done()
	}
	switch {
	case known >= 0:
		return -1, conflict("the material is already the key's")
	case len(k.Materials) >= MaxMaterials:
		return -1, stale("the key has all the materials that it can have")
	case !t.wraps(c.Material.Domain):
		return -1, conflict(noDomain)
	}
	t.addMaterial(k, &c.Material)
	return len(k.Materials) - 1, done()
}
