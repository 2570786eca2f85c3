package pkcs11

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/big"
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

// parseTransport reads another module's transport key.
func parseTransport(spki []byte) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, invalid("the transport key is not a SubjectPublicKeyInfo")
	}
	pub, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, invalid("the transport key is not an RSA key")
	}
	if bits := pub.N.BitLen(); bits < 3072 || bits > 16384 || bits%8 != 0 {
		return nil, invalid("the transport key has %d bits, want 3072 to 16384", bits)
	}
	if pub.E < 65537 {
		return nil, invalid("the transport key has public exponent %d, want at least 65537", pub.E)
	}
	return pub, nil
}

// ExportDomain wraps both halves of domain key id for another module.
func (m *Module) ExportDomain(ctx context.Context, id hsm.DomainID, to hsm.TransportKey) ([]byte, error) {
	h, err := transportHashOf(to.Mechanism)
	if err == nil {
		err = m.usable(h)
	}
	if err != nil {
		return nil, err
	}
	if m.cfg.NonExtractableDomains {
		return nil, unsupported("domain keys are not extractable, by the configuration of this module")
	}
	pub, err := parseTransport(to.SPKI)
	if err != nil {
		return nil, err
	}
	return do(ctx, m, func(l *lease) ([]byte, error) {
		d, err := l.domain(id)
		if err != nil {
			return nil, err
		}
		s := l.scratch()
		defer s.drop()
		key, err := l.createRSAPublic(pub, m.profile.trusted, pkcs11.CKA_WRAP)
		if err != nil {
			return nil, err
		}
		s.keep(key)
		wrapBlock, err := l.wrap(h.mechanism(), key, d.wrap)
		if err != nil {
			return nil, err
		}
		authBlock, err := l.wrap(h.mechanism(), key, d.auth)
		if err != nil {
			return nil, err
		}
		return hsm.SealDomainExport(id, wrapBlock, authBlock, l.prf(d.auth))
	})
}

// createRSAPublic makes a session object of an RSA public key.
func (l *lease) createRSAPublic(pub *rsa.PublicKey, trusted bool, granted ...uint) (pkcs11.ObjectHandle, error) {
	a := attrs{}.with(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY).with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).
		with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).rights(publicRights, granted...).
		with(pkcs11.CKA_MODULUS, pub.N.Bytes()).with(pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(pub.E)).Bytes())
	if trusted {
		a = a.with(pkcs11.CKA_TRUSTED, true)
	}
	return l.create(l.session, a)
}

// ImportDomain stores a domain key that was wrapped for one of the token's transport keys.
func (m *Module) ImportDomain(ctx context.Context, id hsm.DomainID, wrapped []byte) error {
	if err := id.Check(); err != nil {
		return err
	}
	export, err := hsm.ParseDomainExport(slices.Clone(wrapped))
	if err != nil {
		return err
	}
	_, err = do(ctx, m, func(l *lease) (struct{}, error) {
		m.tokenMu.Lock()
		defer m.tokenMu.Unlock()
		return struct{}{}, l.importDomain(id, export)
	})
	return err
}

var errForeign = fmt.Errorf("%w: not wrapped for this module's transport key", hsm.ErrIntegrity)

func (l *lease) importDomain(id hsm.DomainID, export hsm.DomainExport) error {
	pairs, err := l.transportPairs()
	if err != nil {
		return err
	}
	err = errForeign
	for _, p := range pairs {
		if err = l.importDomainFrom(id, export, p); !errors.Is(err, errForeign) {
			return err
		}
	}
	return err
}

// importDomainFrom unwraps the halves as session objects first, to check them and to compare them with what is there.
func (l *lease) importDomainFrom(id hsm.DomainID, export hsm.DomainExport, p transportPair) error {
	s := l.scratch()
	defer s.drop()
	var got domainKeys
	var err error
	unwrapHalf := func(f *form, block []byte, template attrs) (pkcs11.ObjectHandle, error) {
		return l.unwrap(l.session, p.hash.mechanism(), p.private, block, template)
	}
	if got.wrap, err = unwrapHalf(aesForm, export.WrapBlock, aesForm.keyAttrs(false, true, pkcs11.CKA_WRAP)); err != nil {
		return l.foreign(err, p)
	}
	s.keep(got.wrap)
	if got.auth, err = unwrapHalf(authForm, export.AuthBlock, authForm.keyAttrs(false, true, pkcs11.CKA_SIGN)); err != nil {
		return l.foreign(err, p)
	}
	s.keep(got.auth)
	if err := l.checkDomain(id, export, got, s); err != nil {
		return err
	}
	pairs, _, err := l.domainPairs(id)
	if err != nil {
		return err
	}
	for _, old := range pairs {
		return l.sameDomain(id, old, got, s)
	}
	return l.addDomain(id, func(f *form, template attrs) (pkcs11.ObjectHandle, error) {
		if f == aesForm {
			return unwrapHalf(f, export.WrapBlock, template)
		}
		return unwrapHalf(f, export.AuthBlock, template)
	})
}

// foreign returns errForeign for an unwrapping that the token refused, if it still does what it should with the pair.
func (l *lease) foreign(err error, p transportPair) error {
	if err := l.conn.answers(l.ck); err != nil {
		return err
	}
	s := l.scratch()
	defer s.drop()
	probe, genErr := l.generate(l.session, mech(aesForm.generate, nil), aesForm.keyAttrs(false, true).with(pkcs11.CKA_VALUE_LEN, 32))
	if genErr != nil {
		return err
	}
	s.keep(probe)
	block, wrapErr := l.wrap(p.hash.mechanism(), p.public, probe)
	if wrapErr != nil {
		return err
	}
	back, unwrapErr := l.unwrap(l.session, p.hash.mechanism(), p.private, block, aesForm.keyAttrs(false, false))
	if unwrapErr != nil {
		return err
	}
	s.keep(back)
	return errForeign
}

// checkDomain checks the tag of an export and that its wrapping key has the right length, which some tokens do not tell
// of unwrapped keys: then the length shows in how long it becomes when wrapped (an AES key of 25 to 32 bytes has 32).
func (l *lease) checkDomain(id hsm.DomainID, export hsm.DomainExport, got domainKeys, s *scratch) error {
	if err := export.Verify(id, l.prf(got.auth)); err != nil {
		return err
	}
	kek, err := l.generate(l.session, mech(aesForm.generate, nil), aesForm.keyAttrs(false, false, pkcs11.CKA_WRAP).with(pkcs11.CKA_VALUE_LEN, 32))
	if err != nil {
		return err
	}
	s.keep(kek)
	kwp, err := l.wrap(l.m.keyWrap(), kek, got.wrap)
	if err != nil {
		return err
	}
	if len(kwp) != hsm.DomainKeySize+8 {
		return fmt.Errorf("%w: its wrapping key has the wrong length", hsm.ErrIntegrity)
	}
	return nil
}

// sameDomain returns nil if two domain keys are the same: key wrap and HMAC are deterministic.
func (l *lease) sameDomain(id hsm.DomainID, old, got domainKeys, s *scratch) error {
	probe, err := l.generate(l.session, mech(authForm.generate, nil), authForm.keyAttrs(false, true, pkcs11.CKA_SIGN).with(pkcs11.CKA_VALUE_LEN, 32))
	if err != nil {
		return err
	}
	s.keep(probe)
	same := true
	for _, pair := range [][2]pkcs11.ObjectHandle{{old.wrap, got.wrap}} {
		a, err := l.wrap(l.m.keyWrap(), pair[0], probe)
		if err != nil {
			return err
		}
		b, err := l.wrap(l.m.keyWrap(), pair[1], probe)
		if err != nil {
			return err
		}
		same = same && slices.Equal(a, b)
	}
	input := []byte(labelPrefix + string(id))
	a, err := l.prf(old.auth)(input)
	if err != nil {
		return err
	}
	b, err := l.prf(got.auth)(input)
	if err != nil {
		return err
	}
	if !same || a != b {
		return fmt.Errorf("%w: %q, and it is another key", hsm.ErrDomainExists, string(id))
	}
	return nil
}
