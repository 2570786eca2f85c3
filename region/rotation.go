package region

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

const (
	// defaultRotationDays is the period of an EnableKeyRotation that names none (spec 02 ROT-21).
	defaultRotationDays = 365
	// rotationGuard is how long before an automatic rotation an on-demand one is refused (spec 02 ROT-46).
	rotationGuard = 20 * time.Minute
)

// EnableKeyRotationInput switches automatic rotation on, or changes its period.
type EnableKeyRotationInput struct {
	KeyID                string           `wire:"KeyId,required" is:"KeyIdType"`
	RotationPeriodInDays shape.Opt[int32] `wire:"RotationPeriodInDays" is:"RotationPeriodInDaysType"`
}

// Resolve implements Input. A period that is left out counts as the default in conditions (spec 05 KCK-15).
func (in *EnableKeyRotationInput) Resolve(r *Resolver) error {
	return r.Key(in.KeyID, Conditions{RotationPeriodDays: in.RotationPeriodInDays.Or(defaultRotationDays)})
}

// EnableKeyRotation starts a fresh schedule, unless rotation is on with that period already (spec 02 ROT-23 to ROT-26).
func (s *Service) EnableKeyRotation(ctx context.Context, c *Call, in *EnableKeyRotationInput) (*None, error) {
	k := c.Key()
	days := int(in.RotationPeriodInDays.Or(defaultRotationDays))
	next := fsm.Rotation{Enabled: true, PeriodDays: days, NextAt: c.Now.Add(time.Duration(days) * day).UnixMilli()}
	if old := k.Rotation; old != nil && old.Enabled && old.PeriodDays == days {
		next.NextAt = old.NextAt
	}
	defer s.changed(k)
	return s.change(ctx, c, &fsm.SetRotation{Key: keyRef(k), Rotation: next})
}

// DisableKeyRotation ends the schedule. It succeeds without effect where there is none to end (spec 02 ROT-27, ROT-28).
func (s *Service) DisableKeyRotation(ctx context.Context, c *Call, _ *KeyInput) (*None, error) {
	k := c.Key()
	if k.Rotation == nil || !k.Rotation.Enabled {
		return &None{}, nil // nothing is proposed, so the edge records the call
	}
	defer s.changed(k)
	return s.change(ctx, c, &fsm.SetRotation{Key: keyRef(k), Rotation: fsm.Rotation{PeriodDays: k.Rotation.PeriodDays}})
}

// GetKeyRotationStatusOutput tells whether and when a key rotates.
type GetKeyRotationStatusOutput struct {
	KeyRotationEnabled        bool                 `wire:"KeyRotationEnabled"`
	KeyID                     string               `wire:"KeyId"`
	RotationPeriodInDays      shape.Opt[int32]     `wire:"RotationPeriodInDays"`
	NextRotationDate          shape.Opt[time.Time] `wire:"NextRotationDate"`
	OnDemandRotationStartDate shape.Opt[time.Time] `wire:"OnDemandRotationStartDate"`
}

// GetKeyRotationStatus tells the automatic rotation's setting; a key pending deletion reads as not rotating (spec 02 ROT-30).
// An on-demand rotation is complete when RotateKeyOnDemand answers, unless the key has replicas: then it runs until every region of
// the set has the new material.
func (s *Service) GetKeyRotationStatus(_ context.Context, c *Call, _ *KeyInput) (*GetKeyRotationStatusOutput, error) {
	k := c.Key()
	out := &GetKeyRotationStatusOutput{KeyID: c.Targets[0].ARN}
	if r := k.Rotation; r != nil && r.Enabled && !k.Ending() {
		out.KeyRotationEnabled = true
		out.RotationPeriodInDays = shape.Some(int32(r.PeriodDays))
		out.NextRotationDate = shape.Some(millis(r.NextAt))
	}
	if m := k.Spreading(); m != nil && k.Set.SpreadType == fsm.RotationOnDemand {
		out.OnDemandRotationStartDate = shape.Some(millis(m.AddedAt))
	}
	return out, nil
}

// RotateKeyOnDemand makes new material current at once: generated, or for imported keys the one that waits (spec 02 ROT-38 to
// ROT-46, ROT-51 to ROT-54). The switch is one change, so no node encrypts with material that another lacks.
func (s *Service) RotateKeyOnDemand(ctx context.Context, c *Call, _ *KeyInput) (*KeyOutput, error) {
	k := c.Key()
	if k.OnDemandRotations >= c.State.Quotas().OnDemandRotations {
		return nil, fault.RotationLimit(c.Targets[0].ARN)
	}
	if k.Spreading() != nil {
		return nil, fault.New(fault.ConflictException, "A rotation of %s is in progress.", c.Targets[0].ARN)
	}
	if r := k.Rotation; r != nil && r.Enabled && r.NextAt-c.Millis() < rotationGuard.Milliseconds() {
		return nil, fault.New(fault.ConflictException, "An automatic rotation of %s is due within 20 minutes.", c.Targets[0].ARN)
	}
	next, err := s.nextMaterial(ctx, c.State, k, c.Now)
	if err != nil {
		return nil, err
	}
	if next == nil {
		return nil, fault.NothingToRotate(c.Targets[0].ARN)
	}
	out := &KeyOutput{KeyID: c.Targets[0].ARN}
	body := &fsm.RotateKey{Key: keyRef(k), From: current(k).ID, Material: *next, Type: string(shape.RotationOnDemand)}
	c.Also = append(c.Also, s.rotateEvent(k, body, c.Now))
	if _, err := s.propose(ctx, c, body, out); err != nil {
		return nil, err
	}
	s.changed(k)
	return out, nil
}

// nextMaterial is the material that a rotation makes current, nil if an imported key has none waiting.
func (s *Service) nextMaterial(ctx context.Context, st *fsm.State, k *fsm.Key, now time.Time) (*fsm.Material, error) {
	if k.Origin == string(shape.OriginExternal) {
		for i := range k.Materials {
			if m := &k.Materials[i]; m.State == fsm.MaterialPendingRotation && m.Present() && !expired(m, now.UnixMilli()) && !k.PendingElsewhere(m) {
				return &fsm.Material{ID: m.ID, State: fsm.MaterialCurrent}, nil
			}
		}
		return nil, nil
	}
	fresh := *k
	fresh.CreatedAt = now.UnixMilli()
	m, err := s.generate(ctx, st, &fresh)
	return &m, err
}

// rotateEvent is the service's own record of a rotation, beside the caller's (spec 03 A10).
func (s *Service) rotateEvent(k *fsm.Key, body *fsm.RotateKey, now time.Time) InternalEvent {
	return InternalEvent{Name: "RotateKey", Key: k, KeyARN: s.KeyARN(k), At: now, Details: []Note{
		{"rotationType", body.Type}, {"keyId", k.ID}, {"keyOrigin", k.Origin},
		{"previousKeyMaterialId", hex.EncodeToString(body.From)}, {"currentKeyMaterialId", hex.EncodeToString(body.Material.ID)},
	}}
}

// rotateDue makes the automatic rotation that is due, if the key's state lets it: a disabled key is rotated when it is enabled
// again, once however many dates were missed (spec 02 ROT-29 to ROT-31).
func (s *Service) rotateDue(ctx context.Context, st *fsm.State, k *fsm.Key, now time.Time) error {
	if State(k, now) != shape.KeyStateEnabled || keyspec.KindOf(shape.KeySpec(k.Spec)) != keyspec.Symmetric {
		return nil
	}
	m, err := s.nextMaterial(ctx, st, k, now)
	if err != nil || m == nil {
		return err
	}
	r := k.Rotation
	body := &fsm.RotateKey{
		Key: keyRef(k), From: current(k).ID, Material: *m, Type: string(shape.RotationAutomatic),
		NextAt: nextRotation(r.NextAt, r.PeriodDays, now.UnixMilli()),
	}
	defer s.changed(k)
	return s.proposeInternal(ctx, body, s.rotateEvent(k, body, now))
}

// nextRotation is the date after the one that was due: the period counts from that date, or from now if dates were missed.
func nextRotation(due int64, days int, now int64) int64 {
	period := (time.Duration(days) * day).Milliseconds()
	if next := due + period; next > now {
		return next
	}
	return now + period
}

// ListKeyRotationsInput asks for a page of a key's rotations.
type ListKeyRotationsInput struct {
	KeyID              string                              `wire:"KeyId,required" is:"KeyIdType"`
	IncludeKeyMaterial shape.Opt[shape.IncludeKeyMaterial] `wire:"IncludeKeyMaterial"`
	Limit              shape.Opt[int32]                    `wire:"Limit" is:"LimitType"`
	Marker             shape.Opt[string]                   `wire:"Marker" is:"MarkerType"`
}

// Resolve implements Input.
func (in *ListKeyRotationsInput) Resolve(r *Resolver) error { return r.Key(in.KeyID, Conditions{}) }

// RotationsListEntry is one rotation, or one material without a rotation.
type RotationsListEntry struct {
	KeyID                  string                               `wire:"KeyId"`
	KeyMaterialID          string                               `wire:"KeyMaterialId"`
	KeyMaterialDescription shape.Opt[string]                    `wire:"KeyMaterialDescription"`
	ImportState            shape.Opt[shape.ImportState]         `wire:"ImportState"`
	KeyMaterialState       shape.KeyMaterialState               `wire:"KeyMaterialState"`
	ExpirationModel        shape.Opt[shape.ExpirationModelType] `wire:"ExpirationModel"`
	ValidTo                shape.Opt[time.Time]                 `wire:"ValidTo"`
	RotationDate           shape.Opt[time.Time]                 `wire:"RotationDate"`
	RotationType           shape.Opt[shape.RotationType]        `wire:"RotationType"`
}

// ListKeyRotationsOutput is a page of rotations, oldest first.
type ListKeyRotationsOutput struct {
	Rotations  []RotationsListEntry `wire:"Rotations"`
	NextMarker shape.Opt[string]    `wire:"NextMarker"`
	Truncated  bool                 `wire:"Truncated"`
}

// ListKeyRotations lists completed rotations, or all materials (spec 02 ROT-48, ROT-49).
func (s *Service) ListKeyRotations(_ context.Context, c *Call, in *ListKeyRotationsInput) (*ListKeyRotationsOutput, error) {
	k := c.Key()
	// The default is not the input's, since the record shows it only if the caller gave it (spec 03 AUD-27).
	include := in.IncludeKeyMaterial.Or(shape.IncludeRotationsOnly)
	scope := pageScope{"ListKeyRotations", k.Account, k.ID + string(include)}
	after, err := scope.open(in.Marker)
	if err != nil {
		return nil, err
	}
	first := 0
	if after != "" {
		n, err := strconv.Atoi(after)
		if err != nil || n < 0 || n >= len(k.Materials) {
			return nil, fault.InvalidMarker()
		}
		first = n + 1
	}
	var listed []int
	for i := first; i < len(k.Materials); i++ {
		if include == shape.IncludeAllKeyMaterial || k.Materials[i].RotatedAt != 0 {
			listed = append(listed, i)
		}
	}
	out := &ListKeyRotationsOutput{Rotations: []RotationsListEntry{}}
	out.NextMarker, out.Truncated = fill(scope, slices.Values(listed), int(in.Limit.Or(100)), func(i int) string {
		out.Rotations = append(out.Rotations, rotationEntry(k, &k.Materials[i], c.Millis()))
		return strconv.Itoa(i)
	})
	return out, nil
}

var materialStates = map[fsm.MaterialState]shape.KeyMaterialState{
	fsm.MaterialCurrent:         shape.KeyMaterialStateCurrent,
	fsm.MaterialNonCurrent:      shape.KeyMaterialStateNonCurrent,
	fsm.MaterialPendingRotation: shape.KeyMaterialStatePendingRotation,
	fsm.MaterialSpreading:       shape.KeyMaterialStatePendingRotation,
}

func rotationEntry(k *fsm.Key, m *fsm.Material, nowMillis int64) RotationsListEntry {
	e := RotationsListEntry{KeyID: k.ID, KeyMaterialID: hex.EncodeToString(m.ID), KeyMaterialState: materialStates[m.State]}
	if k.PendingElsewhere(m) {
		e.KeyMaterialState = shape.KeyMaterialStatePendingMultiRegionImportAndRotation
	}
	if m.RotatedAt != 0 {
		e.RotationDate = shape.Some(millis(m.RotatedAt))
		e.RotationType = shape.Some(shape.RotationType(m.RotationType))
	}
	if k.Origin != string(shape.OriginExternal) {
		return e
	}
	e.ImportState = shape.Some(shape.ImportStatePendingImport)
	if m.Description != "" {
		e.KeyMaterialDescription = shape.Some(m.Description)
	}
	if !m.Present() || expired(m, nowMillis) {
		return e
	}
	e.ImportState = shape.Some(shape.ImportStateImported)
	e.ExpirationModel = shape.Some(shape.ExpirationModelKeyMaterialDoesNotExpire)
	if m.Expires {
		e.ExpirationModel = shape.Some(shape.ExpirationModelKeyMaterialExpires)
		e.ValidTo = shape.Some(millis(m.ExpiresAt))
	}
	return e
}
