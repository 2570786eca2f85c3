//go:build chaos

package main

import (
	"context"
	"fmt"

	"github.com/trentkms/trent/hsm"
)

// disturbedModule is the HSM with a failpoint in every call: a module that answers late, with an error, or never.
type disturbedModule struct {
	hsm.Module
	points *failpoints
}

func (m *disturbedModule) pass(ctx context.Context) error {
	if err := m.points.pass(ctx, "hsm"); err != nil {
		return fmt.Errorf("%w: %w", hsm.ErrUnavailable, err)
	}
	return nil
}

func (m *disturbedModule) Health(ctx context.Context) error {
	if err := m.pass(ctx); err != nil {
		return err
	}
	return m.Module.Health(ctx)
}

func (m *disturbedModule) Random(ctx context.Context, b []byte) error {
	if err := m.pass(ctx); err != nil {
		return err
	}
	return m.Module.Random(ctx, b)
}

func (m *disturbedModule) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) ([32]byte, error) {
	if err := m.pass(ctx); err != nil {
		return [32]byte{}, err
	}
	return m.Module.DomainPRF(ctx, id, label, input)
}

func (m *disturbedModule) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.pass(ctx); err != nil {
		return hsm.Wrapped{}, err
	}
	return m.Module.Generate(ctx, id, t, u, binding)
}

func (m *disturbedModule) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	if err := m.pass(ctx); err != nil {
		return nil, err
	}
	k, err := m.Module.Load(ctx, mat)
	if err != nil {
		return nil, err
	}
	return &disturbedKey{k, m}, nil
}

func (m *disturbedModule) ExportUnder(ctx context.Context, key hsm.Key, mat hsm.Material) ([]byte, error) {
	if err := m.pass(ctx); err != nil {
		return nil, err
	}
	if k, ok := key.(*disturbedKey); ok {
		key = k.Key
	}
	return m.Module.ExportUnder(ctx, key, mat)
}

func (m *disturbedModule) Import(ctx context.Context, key hsm.Key, mech hsm.WrapMechanism, encrypted []byte, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.pass(ctx); err != nil {
		return hsm.Wrapped{}, err
	}
	if k, ok := key.(*disturbedKey); ok {
		key = k.Key
	}
	return m.Module.Import(ctx, key, mech, encrypted, id, t, u, binding)
}

// disturbedKey is a loaded key of a disturbedModule.
type disturbedKey struct {
	hsm.Key
	m *disturbedModule
}

func (k *disturbedKey) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	if err := k.m.pass(ctx); err != nil {
		return err
	}
	return k.Key.DeriveKey(ctx, fixed, out)
}

func (k *disturbedKey) MAC(ctx context.Context, msg []byte) ([]byte, error) {
	if err := k.m.pass(ctx); err != nil {
		return nil, err
	}
	return k.Key.MAC(ctx, msg)
}

func (k *disturbedKey) Sign(ctx context.Context, alg hsm.Algorithm, in []byte) ([]byte, error) {
	if err := k.m.pass(ctx); err != nil {
		return nil, err
	}
	return k.Key.Sign(ctx, alg, in)
}
