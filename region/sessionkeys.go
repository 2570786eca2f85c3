package region

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/multiregion"
)

// Session tokens of a federated region are sealed under a session key, which the HSMs of the other regions have too, and signed with the
// region's signing key, which they have not: every region opens the tokens of all, and none can make those of another.

const (
	// sessionTransferPurpose and sessionTokenPurpose separate the region's signatures over session keys and tokens from its others.
	sessionTransferPurpose = "trent/session-transfer/1"
	sessionTokenPurpose    = "trent/session-token/2"
	// sessionKeyLife is how long a region seals with one key.
	sessionKeyLife = 7 * 24 * time.Hour
	// sessionKeyLead is how long before its use a key is made: until then the other regions have it.
	sessionKeyLead = time.Minute
)

// sessionKeyBinding is what a wrapped session key is bound to, by the region that seals with it.
func sessionKeyBinding(region string, id []byte) []byte {
	return append([]byte("trent/session-key/1\x00"+region+"\x00"), id...)
}

// KeepSessionKeys implements multiregion.Sessions: another key after sessionKeyLife, after each rotation of the domain key, in a new
// incarnation, and when a region that has the last one was parted with.
func (s *Service) KeepSessionKeys(ctx context.Context, st *fsm.State) error {
	d, own := st.ActiveDomainKey(), st.OwnSessionKeys()
	if st.RegionKeys() == nil || d == nil {
		return nil
	}
	now := s.Now()
	k := fsm.SessionKey{
		ID: make([]byte, fsm.SessionKeySize), Incarnation: st.Region().Incarnation(), Domain: d.Version,
		CreatedAt: now.UnixMilli(), UseFrom: now.UnixMilli(),
	}
	if len(own) > 0 && own[0].Until == 0 && own[0].Incarnation == k.Incarnation {
		if own[0].CreatedAt >= d.CreatedAt && now.UnixMilli() < own[0].CreatedAt+sessionKeyLife.Milliseconds() {
			return nil
		}
		k.UseFrom = now.Add(sessionKeyLead).UnixMilli() // until then the last one is good
	}
	rand.Read(k.ID)
	w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), hsm.Symmetric, hsm.UseDerive, sessionKeyBinding(s.cfg.Region, k.ID))
	if err != nil {
		return fmt.Errorf("make the region's session key: %w", err)
	}
	k.Blob = w.Blob
	_, err = s.proposeOwn(ctx, &fsm.PutSessionKey{Key: k}) // a refusal means that somebody was faster
	return err
}

// HandOutSessionKeys implements multiregion.Sessions.
func (s *Service) HandOutSessionKeys(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte) (*multiregion.SessionBundle, error) {
	target := hsm.TransportKey{SPKI: to.Transport, Mechanism: hsm.WrapMechanism(to.Mechanism)}
	b := &multiregion.SessionBundle{}
	own := st.OwnSessionKeys()
	for i := range own {
		k := &own[i]
		m, err := sessionMaterial(st, s.cfg.Region, k)
		if err != nil {
			return nil, err
		}
		wrapped, err := s.cfg.HSM.Export(ctx, m, target)
		if err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
		b.Items = append(b.Items, multiregion.SessionItem{ID: k.ID, CreatedAt: k.CreatedAt, UseFrom: k.UseFrom, Until: k.Until, Wrapped: wrapped})
	}
	digest := multiregion.SessionStatement(s.handingOut(st, to, nonce), b.Items)
	var err error
	b.Signature, err = s.signRegion(ctx, st, sessionTransferPurpose, digest[:])
	return b, err
}

// handingOut and takingIn are the parties of a transfer from this region and to it.
func (s *Service) handingOut(st *fsm.State, to *fsm.OtherRegion, nonce []byte) *multiregion.Parties {
	return &multiregion.Parties{
		Source: s.cfg.Region, SourceIncarnation: st.Region().Incarnation(), Target: to.Name, TargetIncarnation: to.Incarnation, Nonce: nonce,
	}
}

func (s *Service) takingIn(st *fsm.State, from *fsm.OtherRegion, nonce []byte) *multiregion.Parties {
	return &multiregion.Parties{
		Source: from.Name, SourceIncarnation: from.Incarnation, Target: s.cfg.Region, TargetIncarnation: st.Region().Incarnation(), Nonce: nonce,
	}
}

// TakeInSessionKeys implements multiregion.Sessions. The signature is checked before the HSM sees anything of the bundle.
func (s *Service) TakeInSessionKeys(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *multiregion.SessionBundle) ([]fsm.SessionKey, error) {
	digest := multiregion.SessionStatement(s.takingIn(st, from, nonce), b.Items)
	if err := verifyRegion(from.Signing, sessionTransferPurpose, digest[:], b.Signature); err != nil {
		return nil, fmt.Errorf("session keys from region %s: %w", from.Name, err)
	}
	keys, active := st.RegionKeys(), st.ActiveDomainKey()
	if keys == nil || active == nil {
		return nil, errNoDomainKey
	}
	out := make([]fsm.SessionKey, len(b.Items))
	err := s.withTransportKey(ctx, st, keys, func(key hsm.Key) error {
		for i := range b.Items {
			it := &b.Items[i]
			w, err := s.cfg.HSM.Import(ctx, key, hsm.WrapMechanism(keys.Mechanism), it.Wrapped, hsm.DomainID(active.ID), hsm.Symmetric, hsm.UseDerive,
				sessionKeyBinding(from.Name, it.ID))
			if err != nil {
				return fmt.Errorf("session key from region %s: %w", from.Name, err)
			}
			out[i] = fsm.SessionKey{
				ID: it.ID, Incarnation: from.Incarnation, Domain: active.Version, Blob: w.Blob, CreatedAt: it.CreatedAt, UseFrom: it.UseFrom, Until: it.Until,
			}
		}
		return nil
	})
	return out, err
}

// sessionMaterial is a region's session key as it stands in a state.
func sessionMaterial(st *fsm.State, region string, k *fsm.SessionKey) (hsm.Material, error) {
	d := st.DomainKey(k.Domain)
	if d == nil {
		return hsm.Material{}, fmt.Errorf("%w: a session key is wrapped under domain key version %d", hsm.ErrNoDomain, k.Domain)
	}
	return hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: hsm.Symmetric, Usage: hsm.UseDerive, Binding: sessionKeyBinding(region, k.ID), Wrapped: hsm.Wrapped{Blob: k.Blob},
	}, nil
}

// sessionKeyPRF is a session key as a pseudo-random function. The handle is cached and shared.
func (s *Service) sessionKeyPRF(st *fsm.State, region string, k *fsm.SessionKey) envelope.PRF {
	return func(ctx context.Context, label string, input []byte) (out [32]byte, err error) {
		ref, err := s.keys.Acquire(ctx, cacheID("session key of "+region, k.ID), st.Index(), func(ctx context.Context) (hsm.Key, error) {
			m, err := sessionMaterial(st, region, k)
			if err != nil {
				return nil, err
			}
			key, err := s.cfg.HSM.Load(ctx, m)
			if !errors.Is(err, hsm.ErrNoDomain) {
				return key, err
			}
			// The domain key version was destroyed meanwhile: the newest state has the key under another one.
			newest := s.cfg.Cluster.State()
			again := newest.SessionKey(region, k.ID)
			if again == nil {
				return nil, err
			}
			if m, err = sessionMaterial(newest, region, again); err != nil {
				return nil, err
			}
			return s.cfg.HSM.Load(ctx, m)
		})
		if err != nil {
			return out, err
		}
		defer ref.Release()
		fixed := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(label)+len(input)), uint32(len(label))), label...)
		err = ref.Key().DeriveKey(ctx, append(fixed, input...), &out)
		return out, err
	}
}

// signToken signs a session token in the region's name.
func (s *Service) signToken(ctx context.Context, st *fsm.State, accessKeyID string, token []byte) ([]byte, error) {
	ref, err := s.keys.Acquire(ctx, cacheID("region "+string(regionSigning), st.RegionKeys().Signing.Public), st.Index(), func(ctx context.Context) (hsm.Key, error) {
		return s.loadRegionKey(ctx, st, regionSigning)
	})
	if err != nil {
		return nil, err
	}
	defer ref.Release()
	return ref.Key().Sign(ctx, hsm.ECDSASHA256, regionDigest(sessionTokenPurpose, tokenMessage(accessKeyID, token)))
}

// tokenMessage is what is signed: the access key id behind its length, then the token without its signature.
func tokenMessage(accessKeyID string, token []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(accessKeyID)+len(token)), uint32(len(accessKeyID)))
	return append(append(b, accessKeyID...), token...)
}

// verifyToken checks that a region has signed a token.
func (s *Service) verifyToken(st *fsm.State, region, accessKeyID string, token, signature []byte) bool {
	var spki []byte
	if region == s.cfg.Region {
		if keys := st.RegionKeys(); keys != nil {
			spki = keys.Signing.Public
		}
	} else if o := st.OtherRegion(region); o != nil {
		spki = o.Signing
	}
	return verifyRegion(spki, sessionTokenPurpose, tokenMessage(accessKeyID, token), signature) == nil
}
