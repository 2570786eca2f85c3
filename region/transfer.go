package region

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/multiregion"
)

// transferPurpose separates the region's signatures over material on its way from its other ones.
const transferPurpose = "trent/material-transfer/1"

// messageBinding is what the key of one bundle is bound to in each of the two regions, for as long as the bundle takes.
var messageBinding = []byte("trent/material-transfer/2")

// maxTransfers is how many materials are wrapped or unwrapped at once: clients' calls need the HSM too.
const maxTransfers = 4

// inParallel calls f for 0 to n-1, a few at a time.
func inParallel(n int, f func(i int)) {
	var work sync.WaitGroup
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0), maxTransfers) {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	work.Wait()
}

// passing reports an error that is of the HSM or of the caller and not of the one material: nothing more is to be tried now.
func passing(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, hsm.ErrUnavailable) || errors.Is(err, hsm.ErrClosed))
}

// HandOut implements multiregion.Materials. A material that cannot be handed out, for a reason of its own, holds up none of the others.
func (s *Service) HandOut(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte, wanted []multiregion.Wanted, shared bool) (*multiregion.Bundle, error) {
	b := &multiregion.Bundle{}
	target := hsm.TransportKey{SPKI: to.Transport, Mechanism: hsm.WrapMechanism(to.Mechanism)}
	wrap := func(m hsm.Material) ([]byte, error) { return s.cfg.HSM.Export(ctx, m, target) }
	// For one material the RSA operation is the same, and the rest is less.
	if shared && len(wanted) > 1 && s.cfg.HSM.Capabilities().Can(hsm.AES256, hsm.UseWrap) {
		key, wrapped, err := s.messageKey(ctx, st, target)
		if err != nil {
			return nil, err
		}
		defer key.Destroy()
		b.Key = wrapped
		wrap = func(m hsm.Material) ([]byte, error) { return s.cfg.HSM.ExportUnder(ctx, key, m) }
	}
	items, errs := make([]*multiregion.Item, len(wanted)), make([]error, len(wanted))
	inParallel(len(wanted), func(i int) { items[i], errs[i] = s.handOut(st, to.Name, &wanted[i], wrap) })
	for i := range items {
		switch {
		case passing(ctx, errs[i]):
			return nil, errs[i]
		case errs[i] != nil:
			s.log.Warn("multi-Region keys: a region wants material that the HSM does not hand out", "region", to.Name, "key", wanted[i].ID, "error", errs[i])
		case items[i] != nil:
			b.Items = append(b.Items, *items[i])
		}
	}
	digest := multiregion.Statement(s.handingOut(st, to, nonce), b)
	var err error
	b.Signature, err = s.signRegion(ctx, st, transferPurpose, digest[:])
	return b, err
}

// messageKey makes the key of one bundle: loaded, to wrap with, and wrapped for another region. The caller destroys the loaded one.
func (s *Service) messageKey(ctx context.Context, st *fsm.State, target hsm.TransportKey) (key hsm.Key, wrapped []byte, err error) {
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, nil, errNoDomainKey
	}
	m := hsm.Material{Domain: hsm.DomainID(d.ID), Type: hsm.AES256, Usage: hsm.UseWrap, Binding: messageBinding}
	if m.Wrapped, err = s.cfg.HSM.Generate(ctx, m.Domain, m.Type, m.Usage, m.Binding); err != nil {
		return nil, nil, err
	}
	if wrapped, err = s.cfg.HSM.Export(ctx, m, target); err != nil {
		return nil, nil, err
	}
	key, err = s.cfg.HSM.Load(ctx, m)
	return key, wrapped, err
}

// handOut wraps one material, nil if this region has not got it or the other one is not in the key's set: only generated material
// travels (spec 07 MRI-02).
func (s *Service) handOut(st *fsm.State, to string, w *multiregion.Wanted, wrap func(hsm.Material) ([]byte, error)) (*multiregion.Item, error) {
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
	wrapped, err := wrap(hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: t, Usage: u, Binding: binding(k, m.ID), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
	})
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

// TakesShared implements multiregion.Materials: what the HSM takes in one by one it must take in under a key as well.
func (s *Service) TakesShared(st *fsm.State) bool {
	keys := st.RegionKeys()
	if keys == nil {
		return false
	}
	caps := s.cfg.HSM.Capabilities()
	alone, under := caps.Import[hsm.WrapMechanism(keys.Mechanism)], caps.Import[hsm.WrapAESKWP]
	return caps.Can(hsm.AES256, hsm.UseUnwrap) && slices.Contains(alone, hsm.AES256) &&
		!slices.ContainsFunc(alone, func(t hsm.KeyType) bool { return t != hsm.AES256 && !slices.Contains(under, t) })
}

// TakeIn implements multiregion.Materials. The signature is checked before the HSM sees anything of the bundle.
func (s *Service) TakeIn(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *multiregion.Bundle) (out []multiregion.Taken, err error) {
	digest := multiregion.Statement(s.takingIn(st, from, nonce), b)
	if err := verifyRegion(from.Signing, transferPurpose, digest[:], b.Signature); err != nil {
		return nil, fmt.Errorf("key material from region %s: %w", from.Name, err)
	}
	keys, active := st.RegionKeys(), st.ActiveDomainKey()
	if keys == nil || active == nil {
		return nil, errNoDomainKey
	}
	mech := hsm.WrapMechanism(keys.Mechanism)
	err = s.withTransportKey(ctx, st, keys, func(key hsm.Key) error {
		if len(b.Key) > 0 {
			message, err := s.takeInMessageKey(ctx, key, mech, active, b.Key)
			if err != nil {
				return fmt.Errorf("key of a bundle from region %s: %w", from.Name, err)
			}
			defer message.Destroy()
			key, mech = message, hsm.WrapAESKWP
		}
		out = make([]multiregion.Taken, len(b.Items))
		inParallel(len(b.Items), func(i int) { out[i] = s.takeIn(ctx, key, mech, active, &b.Items[i]) })
		for i := range out {
			if passing(ctx, out[i].Err) {
				return out[i].Err
			}
		}
		return nil
	})
	return out, err
}

// takeInMessageKey loads the key of one bundle. The caller destroys it.
func (s *Service) takeInMessageKey(ctx context.Context, transport hsm.Key, mech hsm.WrapMechanism, d *fsm.DomainKey, wrapped []byte) (hsm.Key, error) {
	m := hsm.Material{Domain: hsm.DomainID(d.ID), Type: hsm.AES256, Usage: hsm.UseUnwrap, Binding: messageBinding}
	var err error
	if m.Wrapped, err = s.cfg.HSM.Import(ctx, transport, mech, wrapped, m.Domain, m.Type, m.Usage, m.Binding); err != nil {
		return nil, err
	}
	return s.cfg.HSM.Load(ctx, m)
}

func (s *Service) takeIn(ctx context.Context, key hsm.Key, mech hsm.WrapMechanism, d *fsm.DomainKey, it *multiregion.Item) multiregion.Taken {
	fail := func(err error) multiregion.Taken { return multiregion.Taken{Err: fmt.Errorf("key %s: %w", it.ID, err)} }
	k := &fsm.Key{Account: it.Account, ID: it.ID, Spec: it.Spec, Usage: it.Usage, Origin: it.Origin}
	t, u, err := hsmUse(k)
	if err != nil {
		return fail(err)
	}
	w, err := s.cfg.HSM.Import(ctx, key, mech, it.Wrapped, hsm.DomainID(d.ID), t, u, binding(k, it.Material))
	if err != nil {
		return fail(err)
	}
	if !bytes.Equal(w.Public, it.Public) {
		return fail(errors.New("the public key is not that of the private key"))
	}
	return multiregion.Taken{Material: fsm.Material{ID: it.Material, Domain: d.Version, Blob: w.Blob, Public: w.Public}}
}
