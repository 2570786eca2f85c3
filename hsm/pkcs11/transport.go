package pkcs11

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// The transport key is an RSA-3072 pair of token objects with one random CKA_ID. Its label names the one OAEP hash that
// it is for.
const (
	transportType  = hsm.RSA3072
	labelTransport = labelPrefix + "transport-"
)

func transportLabel(h oaepHash) string {
	return labelTransport + [...]string{"sha1", "sha256"}[h]
}

// transportPair is a transport key on the token.
type transportPair struct {
	id      string // CKA_ID
	hash    oaepHash
	private pkcs11.ObjectHandle
	public  pkcs11.ObjectHandle
}

// transportHash returns the hash for new transport keys: SHA-256, or SHA-1 where the token lacks that and the operator
// allows it.
func (m *Module) transportHash() (oaepHash, error) {
	if m.profile.oaep[oaepSHA256].transport {
		return oaepSHA256, nil
	}
	if !m.profile.oaep[oaepSHA1].transport {
		return 0, unsupported("the token unwraps secret keys with neither SHA-256 nor SHA-1 in CKM_RSA_PKCS_OAEP, so that it can have no transport key")
	}
	if !m.cfg.AllowOAEPSHA1Transport {
		return 0, unsupported("the token unwraps with CKM_RSA_PKCS_OAEP and SHA-1 only: allow transport keys with SHA-1, or share one partition among the nodes")
	}
	return oaepSHA1, nil
}

// usable reports whether the configuration and the token let a transport mechanism be used.
func (m *Module) usable(h oaepHash) error {
	if h == oaepSHA1 && !m.cfg.AllowOAEPSHA1Transport {
		return unsupported("transport keys with RSAES-OAEP and SHA-1 are not allowed by the configuration of this module")
	}
	if !m.profile.oaep[h].transport {
		return unsupported("the token does not wrap with CKM_RSA_PKCS_OAEP and %v", h)
	}
	return nil
}

func transportHashOf(mechanism hsm.WrapMechanism) (oaepHash, error) {
	switch mechanism {
	case hsm.WrapOAEPSHA1:
		return oaepSHA1, nil
	case hsm.WrapOAEPSHA256:
		return oaepSHA256, nil
	}
	return 0, unsupported("transport mechanism %v", mechanism)
}

// Transport returns the transport key, and generates it at the first call.
func (m *Module) Transport(ctx context.Context) (hsm.TransportKey, error) {
	return doWithin(ctx, m, m.cfg.GenerateTimeout, func(l *lease) (hsm.TransportKey, error) {
		m.tokenMu.Lock()
		defer m.tokenMu.Unlock()
		pairs, err := l.transportPairs()
		if err != nil {
			return hsm.TransportKey{}, err
		}
		for _, p := range pairs {
			if m.usable(p.hash) == nil {
				return l.transportKey(p)
			}
		}
		return l.newTransport()
	})
}

// ReplaceTransport generates a new transport pair, then destroys all others.
func (m *Module) ReplaceTransport(ctx context.Context) (hsm.TransportKey, error) {
	return doWithin(ctx, m, m.cfg.GenerateTimeout, func(l *lease) (hsm.TransportKey, error) {
		m.tokenMu.Lock()
		defer m.tokenMu.Unlock()
		old, err := l.transportPairs()
		if err != nil {
			return hsm.TransportKey{}, err
		}
		key, err := l.newTransport()
		if err != nil {
			return hsm.TransportKey{}, err
		}
		for _, p := range old {
			if err := l.destroyAll([]pkcs11.ObjectHandle{p.private, p.public}); err != nil {
				return hsm.TransportKey{}, err
			}
		}
		return key, nil
	})
}

// transportPairs returns the complete pairs on the token: one, or more after an interrupted replacement. SHA-256 comes
// first, then the order of CKA_ID, so that all nodes of a shared partition agree.
func (l *lease) transportPairs() (pairs []transportPair, err error) {
	for _, h := range []oaepHash{oaepSHA256, oaepSHA1} {
		publics, err := l.byID(transportLabel(h), pkcs11.CKO_PUBLIC_KEY)
		if err != nil {
			return nil, err
		}
		privates, err := l.byID(transportLabel(h), pkcs11.CKO_PRIVATE_KEY)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Sorted(maps.Keys(privates)) {
			if public, ok := publics[id]; ok {
				pairs = append(pairs, transportPair{id: id, hash: h, private: privates[id], public: public})
			}
		}
	}
	return pairs, nil
}

// newTransport generates a pair and returns its public half. The caller holds tokenMu.
func (l *lease) newTransport() (hsm.TransportKey, error) {
	h, err := l.m.transportHash()
	if err != nil {
		return hsm.TransportKey{}, err
	}
	id, err := l.ck.GenerateRandom(l.session, pairIDSize)
	if err != nil {
		return hsm.TransportKey{}, l.spoil("C_GenerateRandom", err)
	}
	name := attrs{}.with(pkcs11.CKA_LABEL, transportLabel(h)).with(pkcs11.CKA_ID, id)
	public := append(attrs{}.with(pkcs11.CKA_TOKEN, true).rights(publicRights, pkcs11.CKA_WRAP).
		with(pkcs11.CKA_MODULUS_BITS, transportType.ModulusBits()).with(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}), name...)
	private := append(attrs{}.lifeAttrs(true, false).rights(privateRights, pkcs11.CKA_UNWRAP), name...)
	pub, priv, err := l.generatePair(l.session, mech(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil), public, private)
	if err != nil {
		return hsm.TransportKey{}, err
	}
	return l.transportKey(transportPair{hash: h, private: priv, public: pub})
}

// transportKey reads the public half of a pair.
func (l *lease) transportKey(p transportPair) (hsm.TransportKey, error) {
	pub, err := l.publicOf(p.public, transportType)
	if err != nil {
		return hsm.TransportKey{}, fmt.Errorf("pkcs11: the transport key on the token: %w", err)
	}
	return hsm.TransportKey{
		SPKI:      pub.spki(),
		Mechanism: [...]hsm.WrapMechanism{hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256}[p.hash],
	}, nil
}
