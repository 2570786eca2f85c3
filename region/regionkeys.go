package region

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// The region's own key pairs towards other regions. Every node of the region can load them: they are wrapped under the domain key.

// regionKeyRole is what a key pair of the region is for. What it is bound to begins with it.
type regionKeyRole string

const (
	// regionTransport is the RSA pair for which other regions wrap key material.
	regionTransport regionKeyRole = "transport"
	// regionSigning is the P-256 pair that signs what this region hands out.
	regionSigning regionKeyRole = "signing"
)

// binding is what the wrapped pair is bound to.
func (r regionKeyRole) binding() []byte { return []byte("trent/region-key/1\x00" + string(r)) }

func (r regionKeyRole) kind() (hsm.KeyType, hsm.Usage) {
	if r == regionTransport {
		return hsm.RSA3072, hsm.UseUnwrap
	}
	return hsm.P256, hsm.UseSign
}

// ensureRegionKeys makes the region's key pairs in the HSM if it has none.
func (s *Service) ensureRegionKeys(ctx context.Context) (*fsm.State, error) {
	st, err := s.View(ctx)
	if err != nil || st.RegionKeys() != nil {
		return st, err
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, errors.New("the region is not initialized")
	}
	mech, err := s.regionMechanism(ctx)
	if err != nil {
		return nil, err
	}
	keys := fsm.RegionKeys{Domain: d.Version, Mechanism: uint8(mech)}
	for role, pair := range map[regionKeyRole]*fsm.RegionPair{regionTransport: &keys.Transport, regionSigning: &keys.Signing} {
		t, u := role.kind()
		w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), t, u, role.binding())
		if err != nil {
			return nil, fmt.Errorf("make the region's %s key: %w", role, err)
		}
		pair.Public, pair.Blob = w.Public, w.Blob
	}
	res, err := s.proposeOwn(ctx, &fsm.PutRegionKeys{Keys: keys})
	if err != nil {
		return nil, err
	}
	if res.Code != fsm.OK && res.Code != fsm.Stale { // stale: another node made them meanwhile
		return nil, fmt.Errorf("the state refused the region's keys: code %d, %s", res.Code, res.Detail)
	}
	return s.View(ctx)
}

// regionMechanism is how other regions wrap material for this one: the best that the HSM can unwrap, with SHA-1 only where the
// operator has allowed it for the HSM's own transport key.
func (s *Service) regionMechanism(ctx context.Context) (hsm.WrapMechanism, error) {
	can := s.cfg.HSM.Capabilities().Import
	for _, m := range []hsm.WrapMechanism{hsm.WrapRSAAESKWSHA256, hsm.WrapOAEPSHA256, hsm.WrapRSAAESKWSHA1, hsm.WrapOAEPSHA1} {
		if !slices.Contains(can[m], hsm.Symmetric) {
			continue
		}
		if m == hsm.WrapRSAAESKWSHA1 || m == hsm.WrapOAEPSHA1 {
			// Asked only now: a module that has no transport key yet makes one for the answer.
			if own, err := s.cfg.HSM.Transport(ctx); err != nil || own.Mechanism != hsm.WrapOAEPSHA1 {
				break
			}
		}
		return m, nil
	}
	return 0, fmt.Errorf("%w: the HSM has no mechanism by which other regions could hand it key material (RSA with OAEP and SHA-256)", hsm.ErrUnsupported)
}

// loadRegionKey loads one of the region's key pairs. The caller destroys it.
func (s *Service) loadRegionKey(ctx context.Context, st *fsm.State, role regionKeyRole) (hsm.Key, error) {
	keys := st.RegionKeys()
	if keys == nil {
		return nil, errors.New("the region has no key pairs yet")
	}
	pair := keys.Signing
	if role == regionTransport {
		pair = keys.Transport
	}
	d := st.DomainKey(keys.DomainOf(&pair))
	if d == nil {
		return nil, fmt.Errorf("the region's key pairs are wrapped under domain key version %d, which the region has not", keys.DomainOf(&pair))
	}
	t, u := role.kind()
	return s.cfg.HSM.Load(ctx, hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: t, Usage: u, Binding: role.binding(), Wrapped: hsm.Wrapped{Blob: pair.Blob, Public: pair.Public},
	})
}

// signRegion signs a message in the region's name: ECDSA on P-256 over the SHA-256 of purpose, a zero byte and the message, DER.
func (s *Service) signRegion(ctx context.Context, st *fsm.State, purpose string, message []byte) ([]byte, error) {
	key, err := s.loadRegionKey(ctx, st, regionSigning)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	return key.Sign(ctx, hsm.ECDSASHA256, regionDigest(purpose, message))
}

func regionDigest(purpose string, message []byte) []byte {
	h := sha256.New()
	h.Write([]byte(purpose + "\x00"))
	h.Write(message)
	return h.Sum(nil)
}

// errSignature reports that something was not signed by the region that it is said to be of.
var errSignature = errors.New("the signature is not that of the region")

// verifyRegion checks what signRegion made, with the region's public key (DER SubjectPublicKeyInfo).
func verifyRegion(signing []byte, purpose string, message, signature []byte) error {
	k, err := x509.ParsePKIXPublicKey(signing)
	if err != nil {
		return fmt.Errorf("signing key of the region: %w", err)
	}
	pub, ok := k.(*ecdsa.PublicKey)
	if !ok || pub.Curve.Params().BitSize != 256 {
		return errors.New("signing key of the region: it is not ECDSA on P-256")
	}
	if !ecdsa.VerifyASN1(pub, regionDigest(purpose, message), signature) {
		return errSignature
	}
	return nil
}
