package pkcs11

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

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
	pub, err := to.Public()
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

// Export wraps material for another module: a fresh AES-256 key under the other's RSA key, the material under that key, all in the
// token.
func (m *Module) Export(ctx context.Context, mat hsm.Material, to hsm.TransportKey) ([]byte, error) {
	if err := m.can(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	h, hybrid, ok := importParts(to.Mechanism)
	if !ok || !hybrid {
		return nil, unsupported("export with %v", to.Mechanism)
	}
	if err := m.usable(h); err != nil {
		return nil, err
	}
	pub, err := to.Public()
	if err != nil {
		return nil, err
	}
	mat = cloneMaterial(mat)
	return do(ctx, m, func(l *lease) ([]byte, error) {
		s := l.scratch()
		defer s.drop()
		material, err := l.exportable(mat, s)
		if err != nil {
			return nil, err
		}
		kek, err := l.generate(l.session, mech(aesForm.generate, nil), aesForm.keyAttrs(false, true, pkcs11.CKA_WRAP).with(pkcs11.CKA_VALUE_LEN, 32))
		if err != nil {
			return nil, err
		}
		s.keep(kek)
		key, err := l.createRSAPublic(pub, m.profile.trusted, pkcs11.CKA_WRAP)
		if err != nil {
			return nil, err
		}
		s.keep(key)
		block, err := l.wrap(h.mechanism(), key, kek)
		if err != nil {
			return nil, err
		}
		rest, err := l.wrap(m.keyWrap(), kek, material)
		if err != nil {
			return nil, err
		}
		return append(block, rest...), nil
	})
}

// ExportUnder wraps material under a loaded AES key, all in the token.
func (m *Module) ExportUnder(ctx context.Context, wrapping hsm.Key, mat hsm.Material) ([]byte, error) {
	if err := m.can(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	k, err := m.own(wrapping)
	if err != nil {
		return nil, err
	}
	mat = cloneMaterial(mat)
	return use(ctx, k, hsm.UseWrap, func(l *lease, kek pkcs11.ObjectHandle) ([]byte, error) {
		s := l.scratch()
		defer s.drop()
		material, err := l.exportable(mat, s)
		if err != nil {
			return nil, err
		}
		return l.wrap(m.keyWrap(), kek, material)
	})
}

// own is a wrapping key as this module's own, which it has to be.
func (m *Module) own(wrapping hsm.Key) (*key, error) {
	k, ok := wrapping.(*key)
	if !ok || k.m != m {
		return nil, unsupported("the wrapping key is not a key of this module")
	}
	return k, nil
}

// exportable makes an extractable object of stored material, which the scratch destroys.
func (l *lease) exportable(mat hsm.Material, s *scratch) (pkcs11.ObjectHandle, error) {
	d, kwp, err := l.open(mat)
	if err != nil {
		return 0, err
	}
	o, err := l.unwrap(l.session, l.m.keyWrap(), d.wrap, kwp, forms[mat.Type].keyAttrs(false, true, l.m.granted(mat.Type, mat.Usage)...))
	if err == nil {
		s.keep(o)
	}
	return o, err
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
	unwrapHalf := func(block []byte, template attrs) (pkcs11.ObjectHandle, error) {
		return l.unwrap(l.session, p.hash.mechanism(), p.private, block, template)
	}
	if got.wrap, err = unwrapHalf(export.WrapBlock, aesForm.keyAttrs(false, true, pkcs11.CKA_WRAP)); err != nil {
		return l.foreign(err, p)
	}
	s.keep(got.wrap)
	if got.auth, err = unwrapHalf(export.AuthBlock, authForm.keyAttrs(false, true, pkcs11.CKA_SIGN)); err != nil {
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
			return unwrapHalf(export.WrapBlock, template)
		}
		return unwrapHalf(export.AuthBlock, template)
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
	x, err := l.wrap(l.m.keyWrap(), old.wrap, probe)
	if err != nil {
		return err
	}
	y, err := l.wrap(l.m.keyWrap(), got.wrap, probe)
	if err != nil {
		return err
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
	if a != b || !slices.Equal(x, y) {
		return fmt.Errorf("%w: %q, and it is another key", hsm.ErrDomainExists, string(id))
	}
	return nil
}
