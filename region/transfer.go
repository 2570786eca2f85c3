package region

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/multiregion"
)

// transferPurpose separates the region's signatures over material on its way from its other ones.
const transferPurpose = "trent/material-transfer/1"

// HandOut implements multiregion.Materials.
func (s *Service) HandOut(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte, wanted []multiregion.Wanted) (*multiregion.Bundle, error) {
	target := hsm.TransportKey{SPKI: to.Transport, Mechanism: hsm.WrapMechanism(to.Mechanism)}
	b := &multiregion.Bundle{}
	for i := range wanted {
		it, err := s.handOut(ctx, st, to.Name, target, &wanted[i])
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", wanted[i].ID, err)
		}
		if it != nil {
			b.Items = append(b.Items, *it)
		}
	}
	digest := multiregion.Statement(s.handingOut(st, to, nonce), b.Items)
	var err error
	b.Signature, err = s.signRegion(ctx, st, transferPurpose, digest[:])
	return b, err
}

// handOut wraps one material, nil if this region has not got it or the other one is not in the key's set: only generated material
// travels (spec 07 MRI-02).
func (s *Service) handOut(ctx context.Context, st *fsm.State, to string, target hsm.TransportKey, w *multiregion.Wanted) (*multiregion.Item, error) {
	k := st.Key(w.Account, w.ID)
	if k == nil || k.Set == nil || k.Set.Member(to) == nil || k.Origin != "AWS_KMS" {
		return nil, nil
	}
	m := findMaterial(k, w.Material)
	if m == nil || !m.Present() {
		return nil, nil
	}
	d := st.DomainKey(m.Domain)
	t, u, err := hsmUse(k)
	if err != nil || d == nil {
		return nil, errors.Join(err, errNoDomainKey)
	}
	wrapped, err := s.cfg.HSM.Export(ctx, hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: t, Usage: u, Binding: binding(k, m.ID), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
	}, target)
	if err != nil {
		return nil, err
	}
	return &multiregion.Item{
		Account: k.Account, ID: k.ID, Material: m.ID, Version: k.Set.Version, Spec: k.Spec, Usage: k.Usage, Origin: k.Origin,
		Wrapped: wrapped, Public: m.Public,
	}, nil
}

var errNoDomainKey = errors.New("region: the domain key version is not there")

// withTransportKey runs f with the region's own transport key loaded. The handle is cached and shared, since many bundles arrive in a
// row.
func (s *Service) withTransportKey(ctx context.Context, st *fsm.State, keys *fsm.RegionKeys, f func(hsm.Key) error) error {
	// The name cannot be a KMS key's, and a replaced pair has another public key.
	ref, err := s.keys.Acquire(ctx, cacheID("region "+string(regionTransport), keys.Transport.Public), st.Index(), func(ctx context.Context) (hsm.Key, error) {
		return s.loadRegionKey(ctx, st, regionTransport)
	})
	if err != nil {
		return err
	}
	defer ref.Release()
	return f(ref.Key())
}

// TakeIn implements multiregion.Materials. The signature is checked before the HSM sees anything of the bundle.
func (s *Service) TakeIn(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *multiregion.Bundle) ([]fsm.Material, error) {
	digest := multiregion.Statement(s.takingIn(st, from, nonce), b.Items)
	if err := verifyRegion(from.Signing, transferPurpose, digest[:], b.Signature); err != nil {
		return nil, fmt.Errorf("key material from region %s: %w", from.Name, err)
	}
	keys, active := st.RegionKeys(), st.ActiveDomainKey()
	if keys == nil || active == nil {
		return nil, errNoDomainKey
	}
	out, errs := make([]fsm.Material, len(b.Items)), make([]error, len(b.Items))
	err := s.withTransportKey(ctx, st, keys, func(key hsm.Key) error {
		// Each costs the HSM an RSA decryption.
		var work sync.WaitGroup
		var next atomic.Int64
		for range min(len(b.Items), runtime.GOMAXPROCS(0), maxTakeIn) {
			work.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(b.Items)); i = next.Add(1) - 1 {
					m, err := s.takeIn(ctx, key, hsm.WrapMechanism(keys.Mechanism), active, &b.Items[i])
					if err != nil {
						errs[i] = fmt.Errorf("key %s: %w", b.Items[i].ID, err)
						continue
					}
					out[i] = *m
				}
			})
		}
		work.Wait()
		return errors.Join(errs...)
	})
	return out, err
}

// maxTakeIn is how many materials are unwrapped at once: clients' calls need the HSM too.
const maxTakeIn = 4

func (s *Service) takeIn(ctx context.Context, key hsm.Key, mech hsm.WrapMechanism, d *fsm.DomainKey, it *multiregion.Item) (*fsm.Material, error) {
	k := &fsm.Key{Account: it.Account, ID: it.ID, Spec: it.Spec, Usage: it.Usage, Origin: it.Origin}
	t, u, err := hsmUse(k)
	if err != nil {
		return nil, err
	}
	w, err := s.cfg.HSM.Import(ctx, key, mech, it.Wrapped, hsm.DomainID(d.ID), t, u, binding(k, it.Material))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(w.Public, it.Public) {
		return nil, errors.New("the public key is not that of the private key")
	}
	return &fsm.Material{ID: it.Material, Domain: d.Version, Blob: w.Blob, Public: w.Public}, nil
}
