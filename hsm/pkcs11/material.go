package pkcs11

import (
	"bytes"
	"context"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// keyWrap is the token's mechanism of AES key wrap with padding (RFC 5649).
func (m *Module) keyWrap() []*pkcs11.Mechanism { return mech(m.profile.keyWrap, nil) }

// ecParams is CKA_EC_PARAMS of a curve, in the form that the token likes.
func (m *Module) ecParams(f *form) []byte {
	if f.kind == kindEd {
		return m.profile.edParams
	}
	return f.params
}

// can returns ErrUnsupported unless the token has keys of this type and usage.
func (m *Module) can(t hsm.KeyType, u hsm.Usage) error {
	if !m.profile.caps.Can(t, u) {
		return unsupported("the token has no %v keys for %v", t, u)
	}
	return nil
}

// Generate makes key material as session objects, wraps it and destroys the objects.
func (m *Module) Generate(ctx context.Context, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.can(t, u); err != nil {
		return hsm.Wrapped{}, err
	}
	if len(binding) > hsm.MaxBinding {
		return hsm.Wrapped{}, invalid("binding of %d bytes, at most %d are allowed", len(binding), hsm.MaxBinding)
	}
	binding = bytes.Clone(binding)
	limit := m.cfg.CallTimeout
	if t.ModulusBits() != 0 {
		limit = m.cfg.GenerateTimeout
	}
	return doWithin(ctx, m, limit, func(l *lease) (hsm.Wrapped, error) {
		d, err := l.domain(id)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		s := l.scratch()
		defer s.drop()
		o, public, err := s.generateKey(t, u)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		return l.seal(d, o, t, u, binding, public)
	})
}

// generateKey makes an extractable key of type t in the lease's session and returns the public key of asymmetric ones.
func (s *scratch) generateKey(t hsm.KeyType, u hsm.Usage) (pkcs11.ObjectHandle, *publicKey, error) {
	l, f := s.l, forms[t]
	granted := l.m.granted(t, u)
	if f.kind == kindSecret {
		o, err := l.generate(l.session, mech(f.generate, nil), f.keyAttrs(false, true, granted...).with(pkcs11.CKA_VALUE_LEN, t.SecretSize()))
		if err == nil {
			s.keep(o)
		}
		return o, nil, err
	}
	private := attrs{}.lifeAttrs(false, true).rights(privateRights, granted...)
	pub, priv, err := l.generatePair(l.session, mech(f.generate, nil), l.m.newPublic(t, u), private)
	if err != nil {
		return 0, nil, err
	}
	s.keep(pub)
	s.keep(priv)
	public, err := l.publicOf(pub, t)
	if err != nil {
		return 0, nil, fmt.Errorf("pkcs11: the token generated a key that is not %v: %w", t, err)
	}
	return priv, public, nil
}

// newPublic is the template of the public half of a pair to generate.
func (m *Module) newPublic(t hsm.KeyType, u hsm.Usage) attrs {
	f := forms[t]
	a := attrs{}.with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).rights(publicRights, grantedPublic(u)...)
	switch f.kind {
	case kindRSA:
		return a.with(pkcs11.CKA_MODULUS_BITS, t.ModulusBits()).with(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})
	case kindMLDSA:
		return a.with(ckaParameterSet, f.paramSet)
	}
	return a.with(pkcs11.CKA_EC_PARAMS, m.ecParams(f))
}

// seal wraps an extractable key under a domain key.
func (l *lease) seal(d domainKeys, o pkcs11.ObjectHandle, t hsm.KeyType, u hsm.Usage, binding []byte, public *publicKey) (hsm.Wrapped, error) {
	var w hsm.Wrapped
	if public != nil {
		w.Public = public.spki()
	}
	kwp, err := l.wrap(l.m.keyWrap(), d.wrap, o)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	w.Blob, err = hsm.SealWrapped(t, u, binding, w.Public, kwp, l.prf(d.auth))
	if err != nil {
		return hsm.Wrapped{}, err
	}
	return w, nil
}

// open checks the tag of m and returns what is wrapped in it, with the domain key that it is wrapped under. Whatever the
// token refuses of it from here on is the token's fault.
func (l *lease) open(m hsm.Material) (domainKeys, []byte, error) {
	d, err := l.domain(m.Domain)
	if err != nil {
		return d, nil, err
	}
	kwp, err := hsm.OpenWrapped(m, l.prf(d.auth))
	return d, kwp, err
}

// Rewrap moves material to domain key to inside the token.
func (m *Module) Rewrap(ctx context.Context, mat hsm.Material, to hsm.DomainID) (hsm.Wrapped, error) {
	if err := m.can(mat.Type, mat.Usage); err != nil {
		return hsm.Wrapped{}, err
	}
	mat = cloneMaterial(mat)
	return do(ctx, m, func(l *lease) (hsm.Wrapped, error) {
		d, kwp, err := l.open(mat)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		target, err := l.domain(to)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		s := l.scratch()
		defer s.drop()
		f := forms[mat.Type]
		o, err := l.unwrap(l.session, m.keyWrap(), d.wrap, kwp, f.keyAttrs(false, true, m.granted(mat.Type, mat.Usage)...))
		if err != nil {
			return hsm.Wrapped{}, err
		}
		s.keep(o)
		var public *publicKey
		if f.kind != kindSecret {
			if public, err = parseSPKI(mat.Type, mat.Public); err != nil {
				return hsm.Wrapped{}, fmt.Errorf("pkcs11: stored public key: %w", err)
			}
		}
		return l.seal(target, o, mat.Type, mat.Usage, mat.Binding, public)
	})
}

func cloneMaterial(m hsm.Material) hsm.Material {
	m.Binding = bytes.Clone(m.Binding)
	m.Blob = bytes.Clone(m.Blob)
	m.Public = bytes.Clone(m.Public)
	return m
}

// Load checks the material's tag and unwraps it into the anchor session.
func (m *Module) Load(ctx context.Context, mat hsm.Material) (hsm.Key, error) {
	if err := m.can(mat.Type, mat.Usage); err != nil {
		return nil, err
	}
	k := &key{m: m, mat: cloneMaterial(mat)}
	_, err := use(ctx, k, mat.Usage, func(*lease, pkcs11.ObjectHandle) (struct{}, error) { return struct{}{}, nil })
	if err != nil {
		k.retire() // a load that came too late destroys the key itself
		return nil, err
	}
	return k, nil
}
