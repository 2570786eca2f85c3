package region

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/trentkms/trent/hsm"
)

// lateDomains is a module that takes a domain key version in when it is first asked for. Nodes take new versions in before
// these become active; a node that was away meanwhile meets them in the state when it is back.
type lateDomains struct {
	hsm.Module
	// fetch imports a version that the state holds wrapped for this node; nil while the node has no membership.
	fetch atomic.Pointer[func(context.Context, hsm.DomainID) error]
}

// late runs a call, and again if it needed a domain key that the module could take in.
func late[T any](ctx context.Context, l *lateDomains, id hsm.DomainID, call func() (T, error)) (T, error) {
	out, err := call()
	if !errors.Is(err, hsm.ErrNoDomain) {
		return out, err
	}
	fetch := l.fetch.Load()
	if fetch == nil || (*fetch)(ctx, id) != nil {
		return out, err
	}
	return call()
}

// DomainPRF implements hsm.Module.
func (l *lateDomains) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) ([32]byte, error) {
	return late(ctx, l, id, func() ([32]byte, error) { return l.Module.DomainPRF(ctx, id, label, input) })
}

// ExportDomain implements hsm.Module.
func (l *lateDomains) ExportDomain(ctx context.Context, id hsm.DomainID, to hsm.TransportKey) ([]byte, error) {
	return late(ctx, l, id, func() ([]byte, error) { return l.Module.ExportDomain(ctx, id, to) })
}

// Generate implements hsm.Module.
func (l *lateDomains) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	return late(ctx, l, id, func() (hsm.Wrapped, error) { return l.Module.Generate(ctx, id, t, u, binding) })
}

// Load implements hsm.Module.
func (l *lateDomains) Load(ctx context.Context, m hsm.Material) (hsm.Key, error) {
	return late(ctx, l, m.Domain, func() (hsm.Key, error) { return l.Module.Load(ctx, m) })
}

// Rewrap implements hsm.Module. Either version may be the one that is missing.
func (l *lateDomains) Rewrap(ctx context.Context, m hsm.Material, to hsm.DomainID) (hsm.Wrapped, error) {
	return late(ctx, l, m.Domain, func() (hsm.Wrapped, error) {
		return late(ctx, l, to, func() (hsm.Wrapped, error) { return l.Module.Rewrap(ctx, m, to) })
	})
}

// Export implements hsm.Module.
func (l *lateDomains) Export(ctx context.Context, m hsm.Material, to hsm.TransportKey) ([]byte, error) {
	return late(ctx, l, m.Domain, func() ([]byte, error) { return l.Module.Export(ctx, m, to) })
}

// ExportUnder implements hsm.Module.
func (l *lateDomains) ExportUnder(ctx context.Context, key hsm.Key, m hsm.Material) ([]byte, error) {
	return late(ctx, l, m.Domain, func() ([]byte, error) { return l.Module.ExportUnder(ctx, key, m) })
}

// Import implements hsm.Module.
func (l *lateDomains) Import(ctx context.Context, key hsm.Key, mech hsm.WrapMechanism, encrypted []byte, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	return late(ctx, l, id, func() (hsm.Wrapped, error) { return l.Module.Import(ctx, key, mech, encrypted, id, t, u, binding) })
}
