package region

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// hsmUse is the HSM's key type and usage of a key.
func hsmUse(k *fsm.Key) (hsm.KeyType, hsm.Usage, error) {
	spec := shape.KeySpec(k.Spec)
	row, ok := keyspec.Lookup(spec)
	if !ok {
		return 0, 0, fault.UnsupportedKeySpec(spec)
	}
	return row.HSM, keyspec.HSMUsage(spec, shape.KeyUsageType(k.Usage)), nil
}

// binding is what a material's wrapped blob is bound to: no blob can be moved to another key, material, spec, usage or
// origin. Every part is free of NUL.
func binding(k *fsm.Key, materialID []byte) []byte {
	b := make([]byte, 0, 192)
	for _, part := range []string{"trent/material/1", k.Account, k.ID, k.Spec, k.Usage, k.Origin} {
		b = append(append(b, part...), 0)
	}
	return append(b, materialID...)
}

// generate makes material for key k under the region's active domain key. k has its id, spec, usage and origin.
func (s *Service) generate(ctx context.Context, st *fsm.State, k *fsm.Key) (fsm.Material, error) {
	t, u, err := hsmUse(k)
	if err != nil {
		return fsm.Material{}, err
	}
	if !s.cfg.HSM.Capabilities().Can(t, u) {
		return fsm.Material{}, fault.UnsupportedKeySpec(k.Spec)
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return fsm.Material{}, fault.Unavailable(errors.New("the region has no domain key; initialize it first"))
	}
	m := fsm.Material{ID: make([]byte, 32), Domain: d.Version, State: fsm.MaterialCurrent, AddedAt: k.CreatedAt}
	if err := s.cfg.HSM.Random(ctx, m.ID); err != nil {
		return m, hsmFault(err)
	}
	w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), t, u, binding(k, m.ID))
	if err != nil {
		return m, hsmFault(err)
	}
	m.Blob, m.Public = w.Blob, w.Public
	return m, nil
}

// withKey runs f with material m of key k loaded in the HSM. The handle is cached and shared.
func (s *Service) withKey(ctx context.Context, st *fsm.State, k *fsm.Key, m *fsm.Material, f func(hsm.Key) error) error {
	ref, err := s.keys.Acquire(ctx, cacheID(k.ID, m.ID), st.Index(), func(ctx context.Context) (hsm.Key, error) {
		return s.load(ctx, st, k, m)
	})
	if err != nil {
		return hsmFault(err)
	}
	defer ref.Release()
	return f(ref.Key())
}

// load loads material as a state has it. If the domain key version that wraps it there is destroyed meanwhile, the material
// has been wrapped anew, and is loaded as the newest state has it.
func (s *Service) load(ctx context.Context, st *fsm.State, k *fsm.Key, m *fsm.Material) (hsm.Key, error) {
	key, err := s.loadWrapped(ctx, st, k, m)
	if !errors.Is(err, hsm.ErrNoDomain) {
		return key, err
	}
	newest := s.cfg.Cluster.State()
	if k := newest.Key(k.Account, k.ID); k != nil {
		if again := findMaterial(k, m.ID); again != nil && again.Present() && again.Domain != m.Domain {
			return s.loadWrapped(ctx, newest, k, again)
		}
	}
	return nil, err
}

func (s *Service) loadWrapped(ctx context.Context, st *fsm.State, k *fsm.Key, m *fsm.Material) (hsm.Key, error) {
	d := st.DomainKey(m.Domain)
	if d == nil {
		return nil, fmt.Errorf("%w: key %s: material is wrapped under domain key version %d, which the region has not", hsm.ErrNoDomain, k.ID, m.Domain)
	}
	t, u, err := hsmUse(k)
	if err != nil {
		return nil, err
	}
	return s.cfg.HSM.Load(ctx, hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: t, Usage: u,
		Binding: binding(k, m.ID), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
	})
}

// findMaterial finds a material of a key by its id, present or not; nil if the key never had it.
func findMaterial(k *fsm.Key, id []byte) *fsm.Material {
	for i := range k.Materials {
		if m := &k.Materials[i]; bytes.Equal(m.ID, id) {
			return m
		}
	}
	return nil
}

// cacheID names a material in the cache of loaded keys. Key ids are unique in a region.
func cacheID(keyID string, materialID []byte) hsm.CacheID {
	return hsm.CacheID{Key: keyID, Material: string(materialID)}
}

// hsmFault says what a client is told of an HSM error. Integrity failures are the operator's to hear, loudly: replicated
// state or the HSM's domain key is damaged.
func hsmFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hsm.ErrDropped):
		// The key was disabled, deleted or lost its material after the state was read that this call was decided on.
		return &RetryError{Detail: "the key was taken out of the HSM meanwhile"}
	case errors.Is(err, hsm.ErrUnsupported):
		return fault.Wrap(fault.UnsupportedOperationException, err, "This Region's HSM does not support the operation with this key and algorithm.")
	case errors.Is(err, context.Canceled):
		return fault.From(err) // the client went away, and nothing is wrong with the key
	case errors.Is(err, hsm.ErrUnavailable), errors.Is(err, hsm.ErrClosed), errors.Is(err, hsm.ErrNoDomain):
		return fault.KeyUnavailable(err)
	}
	return fault.From(err)
}
