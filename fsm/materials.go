package fsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
)

// findMaterial returns the position of the material with the id, -1 if there is none.
func findMaterial(materials []Material, id []byte) int {
	return slices.IndexFunc(materials, func(m Material) bool { return bytes.Equal(m.ID, id) })
}

// pendingImport reports whether a key with imported material lacks any that is permanently associated with it, that
// is, any but the one pending rotation (spec 07 IMR-05).
func (k *Key) pendingImport() bool {
	if k.Origin != originExternal {
		return false
	}
	if k.Current < 0 {
		return true
	}
	return slices.ContainsFunc(k.Materials, func(m Material) bool {
		return m.State != MaterialPendingRotation && !m.Present()
	})
}

func (k *Key) hasPendingRotation() bool {
	return slices.ContainsFunc(k.Materials, func(m Material) bool { return m.State == MaterialPendingRotation })
}

// materialOf returns a copy of a key, whose Materials may be changed too, and the position of one of them.
func (t *tx) materialOf(ref *KeyRef, id []byte) (*Key, int, outcome) {
	k, out := t.existing(ref)
	if !out.ok() {
		return nil, -1, out
	}
	i := findMaterial(k.Materials, id)
	if i < 0 {
		return nil, -1, conflict("the key has no such material")
	}
	k.Materials = slices.Clone(k.Materials)
	return k, i, done()
}

func (c *ImportMaterial) check() error {
	if len(c.Material.Blob) == 0 {
		return errors.New("no wrapped material")
	}
	return errors.Join(c.Key.check(), c.Material.check())
}

// applyImportMaterial completes a key that was pending import: such a key is enabled afterwards, while a disabled key
// that had its material stays disabled (spec 01 KST-04, KST-12).
func applyImportMaterial(t *tx, c *ImportMaterial) outcome {
	k, out := t.notPending(&c.Key)
	switch {
	case !out.ok():
		return out
	case k.Origin != originExternal:
		return conflict("the key's origin is not EXTERNAL")
	case !t.wraps(c.Material.Domain):
		return conflict(noDomain)
	}
	if k.Set != nil && k.Set.Creating {
		return stale("the key is creating")
	}
	incomplete := k.pendingImport()
	k.Materials = slices.Clone(k.Materials)
	if c.New {
		if out := t.leads(k); !out.ok() {
			return out
		}
		out = importNew(t, k, &c.Material)
	} else {
		out = importAgain(k, &c.Material)
	}
	if !out.ok() {
		return out
	}
	if incomplete && !k.pendingImport() {
		k.Enabled = true
	}
	if c.New {
		t.share(k)
	} else {
		t.tell(k)
	}
	return done(hex.EncodeToString(c.Material.ID))
}

// importNew adds material: the first one as current, another one to wait for a rotation. The state that the proposer
// gave it tells which of both it decided on.
func importNew(t *tx, k *Key, m *Material) outcome {
	state := MaterialCurrent
	if k.Current >= 0 {
		state = MaterialPendingRotation
	}
	switch {
	case findMaterial(k.Materials, m.ID) >= 0:
		return conflict("the material is already the key's")
	case state == MaterialPendingRotation && k.hasPendingRotation():
		return stale("another material is pending rotation")
	case m.State != state:
		return stale("the key has its first material, or lost it, in the meantime")
	case len(k.Materials) >= MaxMaterials:
		return stale("the key has all the materials that it can have")
	}
	t.addMaterial(k, m)
	if state == MaterialCurrent {
		k.Current = len(k.Materials) - 1
	}
	return done()
}

// addMaterial appends material that no rotation has made current yet. Materials of k is a copy.
func (t *tx) addMaterial(k *Key, m *Material) {
	fresh := *m
	fresh.RotatedAt, fresh.RotationType = 0, ""
	if fresh.AddedAt == 0 {
		fresh.AddedAt = t.now
	}
	k.Materials = append(k.Materials, fresh)
}

// importAgain puts material that the key knows, with a new expiry (spec 07 IKM-08). A description that is left out
// keeps the last one (IMR-07). Where the material stands in the key's history does not change.
func importAgain(k *Key, m *Material) outcome {
	i := findMaterial(k.Materials, m.ID)
	if i < 0 {
		return conflict("the key has no such material")
	}
	known := &k.Materials[i]
	known.Domain, known.Blob, known.Public = m.Domain, m.Blob, m.Public
	known.Expires, known.ExpiresAt = m.Expires, m.ExpiresAt
	if m.Description != "" {
		known.Description = m.Description
	}
	return done()
}

func (c *DeleteMaterial) check() error {
	return errors.Join(c.Key.check(), checkMaterialID(c.MaterialID))
}

// applyDeleteMaterial works in every key state, and on material that is gone already without effect (spec 07 DIM-05).
// It clears the expiry, so that the row tells deleted material from expired.
func applyDeleteMaterial(t *tx, c *DeleteMaterial) outcome {
	k, i, out := t.materialOf(&c.Key, c.MaterialID)
	switch {
	case !out.ok():
		return out
	case k.Origin != originExternal:
		return conflict("the key's origin is not EXTERNAL")
	}
	k.Materials[i].Expires, k.Materials[i].ExpiresAt = false, 0
	t.dropMaterial(k, i)
	return done()
}

// dropMaterial stages a key without one of its materials. Material that is permanently associated leaves its id
// behind; material pending rotation leaves nothing, so that another one can be imported (spec 07 IMR-02).
func (t *tx) dropMaterial(k *Key, i int) {
	t.event(EventMaterialGone, k.Account, k.ID, k.Materials[i].ID)
	if k.Materials[i].State == MaterialPendingRotation && !k.Replica() {
		k.Materials = slices.Delete(k.Materials, i, i+1)
		if i < k.Current {
			k.Current--
		}
		t.share(k)
		return
	}
	m := &k.Materials[i]
	m.Domain, m.Blob, m.Public = 0, nil, nil
	t.tell(k)
}

func (c *ExpireMaterial) check() error {
	if c.ExpiresAt <= 0 {
		return errors.New("no expiry")
	}
	return errors.Join(c.Key.check(), checkMaterialID(c.MaterialID))
}

// applyExpireMaterial keeps the expiry, which clients still see (spec 07 SML-03). It goes by the expiry that the
// scheduler saw and by the command's own time, as applyDeleteKey does.
func applyExpireMaterial(t *tx, c *ExpireMaterial) outcome {
	k, i, out := t.materialOf(&c.Key, c.MaterialID)
	if !out.ok() {
		return out
	}
	m := &k.Materials[i]
	switch {
	case !m.expires() || m.ExpiresAt != c.ExpiresAt:
		return conflict("the material is gone or has another expiry")
	case t.time < m.ExpiresAt:
		return conflict("the material has not expired")
	case t.held():
		return conflict("region time has jumped; nothing is destroyed for a day")
	}
	t.dropMaterial(k, i)
	return done()
}

func (c *RewrapMaterial) check() error {
	if c.From == c.Domain {
		return errors.New("re-wrapping under the same domain key version")
	}
	return errors.Join(c.Key.check(), checkMaterialID(c.MaterialID), checkBytes("wrapped material", c.Blob, 1, maxBlob))
}

func applyRewrapMaterial(t *tx, c *RewrapMaterial) outcome {
	k, i, out := t.materialOf(&c.Key, c.MaterialID)
	if !out.ok() {
		return out
	}
	m := &k.Materials[i]
	switch {
	case !m.Present() || m.Domain != c.From:
		return conflict("the material is gone or wrapped under another version")
	case !t.wraps(c.Domain):
		return conflict(noDomain)
	}
	m.Domain, m.Blob = c.Domain, c.Blob
	t.putKey(k)
	return done()
}
