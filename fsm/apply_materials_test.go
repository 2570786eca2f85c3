package fsm

import (
	"encoding/hex"
	"slices"
	"testing"
)

func TestApplyRotation(t *testing.T) {
	due := now0 + 90*day
	on := &SetRotation{ref1(1), Rotation{true, 90, due}}
	key := []Body{newKey(account1, 1)}
	with := func(more ...Body) []Body { return append(slices.Clone(key), more...) }
	rotate := func(from, to int, kind string, next int64) *RotateKey {
		return &RotateKey{ref1(1), materialID(from), Material{ID: materialID(to), Domain: 1, Blob: []byte("new"), State: MaterialCurrent}, kind, next}
	}
	twoMaterials := []Body{externalKey(account1, 1), imported(ref1(1), 1, MaterialCurrent, true), imported(ref1(1), 2, MaterialPendingRotation, true)}
	swap := &RotateKey{Key: ref1(1), From: materialID(1), Material: Material{ID: materialID(2)}, Type: RotationOnDemand}
	off, full, other := "automatic rotation is off or not due", "the key's on-demand rotations are at the quota", "another material is current"
	rotated := func(t *testing.T, l *lab, at int64, kind string) {
		k := l.key(account1, keyID(1))
		eq(t, "current", k.Current, 1)
		eq(t, "states", []MaterialState{k.Materials[0].State, k.Materials[1].State}, []MaterialState{MaterialNonCurrent, MaterialCurrent})
		eq(t, "date", k.Materials[1].RotatedAt, at)
		eq(t, "type", k.Materials[1].RotationType, kind)
		r, _ := l.state().Remembered(commandID(int(l.index)))
		eq(t, "objects", r.Objects, []string{hex.EncodeToString(materialID(2))})
	}
	runApply(t, []applyCase{
		{name: "sets", setup: key, body: on, after: func(t *testing.T, l *lab) {
			eq(t, "rotation", *l.key(account1, keyID(1)).Rotation, on.Rotation)
		}},
		{name: "off", setup: with(on), body: &SetRotation{ref1(1), Rotation{}}, after: func(t *testing.T, l *lab) {
			eq(t, "due", len(slices.Collect(l.state().DueRotations(due))), 0)
		}},
		{name: "disabled", setup: with(&SetEnabled{ref1(1), false}), body: on, code: Stale, detail: disabled},
		{name: "pending deletion", setup: with(schedule(1, due)), body: on, code: Stale, detail: pending},
		{name: "absent", body: on, code: Conflict, detail: absent},

		{name: "automatic", setup: with(on), body: rotate(1, 2, RotationAutomatic, due+90*day), time: due, after: func(t *testing.T, l *lab) {
			rotated(t, l, due, RotationAutomatic)
			eq(t, "next", l.key(account1, keyID(1)).Rotation.NextAt, due+90*day)
			eq(t, "on demand", l.key(account1, keyID(1)).OnDemandRotations, 0)
		}},
		{name: "on demand leaves the schedule", setup: with(on), body: rotate(1, 2, RotationOnDemand, 0), time: now0 + 1, after: func(t *testing.T, l *lab) {
			rotated(t, l, now0+1, RotationOnDemand)
			eq(t, "next", l.key(account1, keyID(1)).Rotation.NextAt, due)
			eq(t, "on demand", l.key(account1, keyID(1)).OnDemandRotations, 1)
		}},
		{name: "imported", setup: twoMaterials, body: swap, time: now0 + 1, after: func(t *testing.T, l *lab) { rotated(t, l, now0+1, RotationOnDemand) }},
		{name: "once for a date", setup: with(on, &TermStart{"n"}, rotate(1, 2, RotationOnDemand, 0)), body: rotate(1, 3, RotationAutomatic, due+90*day), time: due, code: Conflict, detail: other},
		{name: "automatic is off", setup: key, body: rotate(1, 2, RotationAutomatic, due+90*day), time: due, code: Stale, detail: off},
		{name: "automatic is not due", setup: with(on), body: rotate(1, 2, RotationAutomatic, due+90*day), time: due - 1, code: Stale, detail: off},
		{name: "next date without rotation", setup: key, body: rotate(1, 2, RotationOnDemand, due), code: Stale, detail: "automatic rotation is off"},
		{name: "quota", setup: with(quotas(func(q *Quotas) { q.OnDemandRotations = 1 }), rotate(1, 2, RotationOnDemand, 0)), body: rotate(2, 3, RotationOnDemand, 0), code: Stale, detail: full},
		{name: "disabled", setup: with(&SetEnabled{ref1(1), false}), body: rotate(1, 2, RotationOnDemand, 0), code: Stale, detail: disabled},
		{name: "pending deletion", setup: with(schedule(1, due)), body: rotate(1, 2, RotationOnDemand, 0), code: Stale, detail: pending},
		{name: "pending import", setup: append(slices.Clone(twoMaterials), &DeleteMaterial{ref1(1), materialID(1)}), body: swap, code: Stale, detail: notImported},
		{name: "material known", setup: key, body: rotate(1, 1, RotationOnDemand, 0), code: Conflict, detail: "the material is already the key's"},
		{name: "unknown domain key", setup: key, body: changed(rotate(1, 2, RotationOnDemand, 0), func(c *RotateKey) { c.Material.Domain = 2 }), code: Conflict, detail: noDomain},
		{name: "nothing pending", setup: key, body: swap, code: Conflict, detail: "the material is not pending rotation"},
		{name: "absent", body: swap, code: Conflict, detail: absent},
	})
}

func TestApplyImport(t *testing.T) {
	empty := []Body{externalKey(account1, 1)}
	one := append(slices.Clone(empty), imported(ref1(1), 1, MaterialCurrent, true))
	two := append(slices.Clone(one), imported(ref1(1), 2, MaterialPendingRotation, true))
	again := changed(imported(ref1(1), 1, MaterialCurrent, false), func(c *ImportMaterial) {
		c.Material.Blob, c.Material.Expires, c.Material.ExpiresAt = []byte("again"), true, now0+day
	})
	const known, unknown, moved = "the material is already the key's", "the key has no such material", "the key has its first material, or lost it, in the meantime"
	runApply(t, []applyCase{
		{name: "first enables", setup: []Body{changed(externalKey(account1, 1), func(c *CreateKey) { c.Key.Enabled = false })}, body: imported(ref1(1), 1, MaterialCurrent, true), after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "enabled", k.Enabled, true)
			eq(t, "current", k.Current, 0)
			eq(t, "state", k.Materials[0].State, MaterialCurrent)
		}},
		{name: "second waits", setup: one, body: imported(ref1(1), 2, MaterialPendingRotation, true), after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "current", k.Current, 0)
			eq(t, "state", k.Materials[1].State, MaterialPendingRotation)
		}},
		{name: "again, disabled stays disabled", setup: append(slices.Clone(one), &SetEnabled{ref1(1), false}), body: again, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "enabled", k.Enabled, false)
			eq(t, "blob", k.Materials[0].Blob, []byte("again"))
			eq(t, "expiry", k.Materials[0].ExpiresAt, now0+day)
		}},
		{name: "again after deletion enables", setup: append(slices.Clone(one), &SetEnabled{ref1(1), false}, &DeleteMaterial{ref1(1), materialID(1)}), body: again, after: func(t *testing.T, l *lab) {
			eq(t, "enabled", l.key(account1, keyID(1)).Enabled, true)
		}},
		{name: "keeps its history and description", setup: append(slices.Clone(empty), changed(imported(ref1(1), 1, MaterialCurrent, true), func(c *ImportMaterial) { c.Material.Description = "first" })),
			body: changed(imported(ref1(1), 1, MaterialPendingRotation, false), func(c *ImportMaterial) { c.Material.AddedAt = 1 }), after: func(t *testing.T, l *lab) {
				m := l.key(account1, keyID(1)).Materials[0]
				eq(t, "state", m.State, MaterialCurrent)
				eq(t, "added", m.AddedAt, now0)
				eq(t, "description", m.Description, "first")
			}},
		{name: "new but known", setup: one, body: imported(ref1(1), 1, MaterialPendingRotation, true), code: Conflict, detail: known},
		{name: "known but new", setup: one, body: imported(ref1(1), 2, MaterialCurrent, false), code: Conflict, detail: unknown},
		{name: "decided on an empty key", setup: one, body: imported(ref1(1), 2, MaterialCurrent, true), code: Stale, detail: moved},
		{name: "decided on a key with material", setup: empty, body: imported(ref1(1), 2, MaterialPendingRotation, true), code: Stale, detail: moved},
		{name: "a third", setup: two, body: imported(ref1(1), 3, MaterialPendingRotation, true), code: Stale, detail: "another material is pending rotation"},
		{name: "pending deletion", setup: append(slices.Clone(empty), schedule(1, now0+7*day)), body: imported(ref1(1), 1, MaterialCurrent, true), code: Stale, detail: pending},
		{name: "generated key", setup: []Body{newKey(account1, 1)}, body: imported(ref1(1), 1, MaterialCurrent, false), code: Conflict, detail: "the key's origin is not EXTERNAL"},
		{name: "unknown domain key", setup: empty, body: changed(imported(ref1(1), 1, MaterialCurrent, true), func(c *ImportMaterial) { c.Material.Domain = 2 }), code: Conflict, detail: noDomain},
		{name: "absent", body: imported(ref1(1), 1, MaterialCurrent, true), code: Conflict, detail: absent},
	})
}

func TestApplyMaterialLoss(t *testing.T) {
	expiring := changed(imported(ref1(1), 1, MaterialCurrent, true), func(c *ImportMaterial) { c.Material.Expires, c.Material.ExpiresAt = true, now0+day })
	one := []Body{externalKey(account1, 1), expiring}
	two := append(slices.Clone(one), imported(ref1(1), 2, MaterialPendingRotation, true))
	lost := func(n int) []Event { return []Event{{EventMaterialGone, 0, account1, keyID(1), materialID(n)}} }
	events := func(t *testing.T, l *lab, want []Event) {
		want[0].Index = l.index
		eq(t, "events", l.events, want)
	}
	otherExpiry := "the material is gone or has another expiry"
	runApply(t, []applyCase{
		{name: "leaves the id, not the expiry", setup: append(slices.Clone(one), schedule(1, now0+7*day)), body: &DeleteMaterial{ref1(1), materialID(1)}, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "material", k.Materials[0], Material{ID: materialID(1), State: MaterialCurrent, AddedAt: now0})
			eq(t, "pending import", k.pendingImport(), true)
			events(t, l, lost(1))
		}},
		{name: "pending one goes for good", setup: two, body: &DeleteMaterial{ref1(1), materialID(2)}, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "materials", len(k.Materials), 1)
			eq(t, "pending import", k.pendingImport(), false)
			events(t, l, lost(2))
		}},
		{name: "pending one before the current one", setup: []Body{changed(externalKey(account1, 1), func(c *CreateKey) {
			c.Key.Materials = []Material{{ID: materialID(2), State: MaterialPendingRotation}, {ID: materialID(1), State: MaterialCurrent}}
			c.Key.Current = 1
		})}, body: &DeleteMaterial{ref1(1), materialID(2)}, after: func(t *testing.T, l *lab) {
			eq(t, "current", l.key(account1, keyID(1)).Current, 0)
		}},
		{name: "twice", setup: append(slices.Clone(one), &DeleteMaterial{ref1(1), materialID(1)}), body: &DeleteMaterial{ref1(1), materialID(1)}},
		{name: "unknown", setup: one, body: &DeleteMaterial{ref1(1), materialID(9)}, code: Conflict, detail: "the key has no such material"},
		{name: "generated", setup: []Body{newKey(account1, 1)}, body: &DeleteMaterial{ref1(1), materialID(1)}, code: Conflict, detail: "the key's origin is not EXTERNAL"},
		{name: "absent", body: &DeleteMaterial{ref1(1), materialID(1)}, code: Conflict, detail: absent},

		{name: "leaves id and expiry", setup: one, body: &ExpireMaterial{ref1(1), materialID(1), now0 + day}, time: now0 + day, after: func(t *testing.T, l *lab) {
			k := l.key(account1, keyID(1))
			eq(t, "material", k.Materials[0], Material{ID: materialID(1), State: MaterialCurrent, AddedAt: now0, Expires: true, ExpiresAt: now0 + day})
			events(t, l, lost(1))
			for range l.state().DueExpiries(now0 + 2*day) {
				t.Error("expired material expires again")
			}
		}},
		{name: "not yet", setup: one, body: &ExpireMaterial{ref1(1), materialID(1), now0 + day}, time: now0 + day - 1, code: Conflict, detail: "the material has not expired"},
		{name: "another expiry", setup: one, body: &ExpireMaterial{ref1(1), materialID(1), now0 + day - 1}, time: now0 + day, code: Conflict, detail: otherExpiry},
		{name: "gone", setup: append(slices.Clone(one), &DeleteMaterial{ref1(1), materialID(1)}), body: &ExpireMaterial{ref1(1), materialID(1), now0 + day}, time: now0 + day, code: Conflict, detail: otherExpiry},
		{name: "unknown", setup: one, body: &ExpireMaterial{ref1(1), materialID(9), now0 + day}, time: now0 + day, code: Conflict, detail: "the key has no such material"},
		{name: "absent", body: &ExpireMaterial{ref1(1), materialID(1), now0 + day}, time: now0 + day, code: Conflict, detail: absent},
	})
}

func TestApplyRewrap(t *testing.T) {
	second := &PutDomainKey{DomainKey{Version: 2, ID: "domain-2", Active: true}}
	key := []Body{newKey(account1, 1), second}
	rewrap := &RewrapMaterial{ref1(1), materialID(1), 1, 2, []byte("rewrapped")}
	runApply(t, []applyCase{
		{name: "replaces", setup: key, body: rewrap, after: func(t *testing.T, l *lab) {
			m := l.key(account1, keyID(1)).Materials[0]
			eq(t, "blob", m.Blob, []byte("rewrapped"))
			eq(t, "domain", m.Domain, 2)
			eq(t, "events", l.events, nil)
			for range l.state().MaterialsUnder(1, KeyRef{}) {
				t.Error("material is still under version 1")
			}
		}},
		{name: "done already", setup: append(slices.Clone(key), rewrap), body: rewrap, code: Conflict, detail: "the material is gone or wrapped under another version"},
		{name: "unknown version", setup: key[:1], body: rewrap, code: Conflict, detail: noDomain},
		{name: "unknown material", setup: key, body: changed(&RewrapMaterial{ref1(1), materialID(9), 1, 2, []byte("b")}, func(*RewrapMaterial) {}), code: Conflict, detail: "the key has no such material"},
		{name: "absent", body: rewrap, code: Conflict, detail: absent},
	})
}
