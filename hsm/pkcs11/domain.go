package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// A domain key is two token objects with the same CKA_ID, 16 random bytes, so that the halves of two attempts are told
// apart: an AES key labelled "trent/<id>/wrap" and a generic secret labelled "trent/<id>/auth". The pair counts once
// both are there. A half that a crash left behind is ignored until DestroyDomain removes it: it might as well be one that
// another node of a shared partition is about to complete.
const (
	labelPrefix = "trent/"
	labelWrap   = "/wrap"
	labelAuth   = "/auth"
	pairIDSize  = 16
)

// domainKeys are the handles of a domain key.
type domainKeys struct{ wrap, auth pkcs11.ObjectHandle }

// aesForm is the wrapping key's form, as forms are of key types.
var (
	aesForm  = &form{kind: kindSecret, ckk: pkcs11.CKK_AES, generate: pkcs11.CKM_AES_KEY_GEN}
	authForm = secretForm()
)

func wrapLabel(id hsm.DomainID) string { return labelPrefix + string(id) + labelWrap }
func authLabel(id hsm.DomainID) string { return labelPrefix + string(id) + labelAuth }

// wrapTemplate and authTemplate are those of the two halves, without what says their values.
func (m *Module) wrapTemplate(token bool) attrs {
	return m.domainAttrs(aesForm, token, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP)
}

func (m *Module) authTemplate(token bool) attrs {
	return m.domainAttrs(authForm, token, pkcs11.CKA_SIGN)
}

// domainAttrs makes domain keys extractable, since other nodes get them wrapped, but only under trusted keys where the
// token lets this program vouch for the transport keys of other nodes.
func (m *Module) domainAttrs(f *form, token bool, granted ...uint) attrs {
	a := f.keyAttrs(token, !m.cfg.NonExtractableDomains, granted...)
	if m.profile != nil && m.profile.trusted && !m.cfg.NonExtractableDomains {
		a = a.with(pkcs11.CKA_WRAP_WITH_TRUSTED, true)
	}
	return a
}

// domain returns the handles of domain key id. ErrNoDomain if it is not there.
func (l *lease) domain(id hsm.DomainID) (domainKeys, error) {
	l.conn.mu.Lock()
	d, ok := l.conn.domains[id]
	l.conn.mu.Unlock()
	if ok {
		return d, nil
	}
	pairs, _, err := l.domainPairs(id)
	if err != nil {
		return d, err
	}
	if len(pairs) == 0 {
		return d, fmt.Errorf("%w: %q", hsm.ErrNoDomain, string(id))
	}
	if len(pairs) > 1 {
		return d, fmt.Errorf("pkcs11: the token holds %d domain keys labelled %q: remove what does not belong there", len(pairs), wrapLabel(id))
	}
	d = slices.Collect(maps.Values(pairs))[0]
	if err := errors.Join(l.checkSensitive(d.wrap, wrapLabel(id)), l.checkSensitive(d.auth, authLabel(id))); err != nil {
		return domainKeys{}, err
	}
	l.conn.mu.Lock()
	defer l.conn.mu.Unlock()
	l.conn.domains[id] = d
	return d, nil
}

// checkSensitive refuses keys whose value the token would tell: nobody made those with this program.
func (l *lease) checkSensitive(o pkcs11.ObjectHandle, label string) error {
	v, err := l.attribute(o, pkcs11.CKA_SENSITIVE)
	if err != nil {
		return err
	}
	if !bytes.Equal(v, []byte{1}) {
		return fmt.Errorf("pkcs11: the key %q on the token is not sensitive: it is not a domain key of this program", label)
	}
	return nil
}

// domainPairs returns the complete pairs of id by CKA_ID, and the objects that have no other half.
func (l *lease) domainPairs(id hsm.DomainID) (pairs map[string]domainKeys, halves []pkcs11.ObjectHandle, err error) {
	wraps, err := l.byID(wrapLabel(id), pkcs11.CKO_SECRET_KEY)
	if err != nil {
		return nil, nil, err
	}
	auths, err := l.byID(authLabel(id), pkcs11.CKO_SECRET_KEY)
	if err != nil {
		return nil, nil, err
	}
	pairs = map[string]domainKeys{}
	for pair, w := range wraps {
		if a, ok := auths[pair]; ok {
			pairs[pair] = domainKeys{wrap: w, auth: a}
			delete(auths, pair)
		} else {
			halves = append(halves, w)
		}
	}
	for _, a := range auths {
		halves = append(halves, a)
	}
	return pairs, halves, nil
}

// byID finds the token objects of a label and returns them by CKA_ID. Other nodes of a shared partition may destroy what
// was found before its CKA_ID is read; tokens have no one error for that, so that the search is made again.
func (l *lease) byID(label string, class uint) (map[string]pkcs11.ObjectHandle, error) {
	const tries = 3
	template := attrs{}.with(pkcs11.CKA_CLASS, class).with(pkcs11.CKA_TOKEN, true).with(pkcs11.CKA_LABEL, label)
	for try := 1; ; try++ {
		found, err := l.find(template)
		if err != nil {
			return nil, err
		}
		out, err := l.idsOf(found)
		if err == nil || try == tries {
			return out, err
		}
		if err := l.refresh(); err != nil {
			return nil, err
		}
	}
}

func (l *lease) idsOf(found []pkcs11.ObjectHandle) (map[string]pkcs11.ObjectHandle, error) {
	out := make(map[string]pkcs11.ObjectHandle, len(found))
	for _, o := range found {
		id, err := l.attribute(o, pkcs11.CKA_ID)
		if err != nil {
			return nil, err
		}
		out[string(id)] = o
	}
	return out, nil
}

// HasDomain tells whether the token holds domain key id. It always asks the token, which other nodes may share.
func (m *Module) HasDomain(ctx context.Context, id hsm.DomainID) (bool, error) {
	if err := id.Check(); err != nil {
		return false, err
	}
	return do(ctx, m, func(l *lease) (bool, error) {
		pairs, _, err := l.domainPairs(id)
		return len(pairs) > 0, err
	})
}

// CreateDomain generates domain key id as token objects.
func (m *Module) CreateDomain(ctx context.Context, id hsm.DomainID) error {
	if err := id.Check(); err != nil {
		return err
	}
	_, err := do(ctx, m, func(l *lease) (struct{}, error) {
		m.tokenMu.Lock()
		defer m.tokenMu.Unlock()
		return struct{}{}, l.addDomain(id, l.generateHalf)
	})
	return err
}

// addDomain makes the two halves with half and makes sure that they are the only pair: another node of a shared
// partition may be doing the same. Who completes a pair looks for others afterwards and gives way to them, so that of
// two the one completed later sees the other; both may give way, but never both stay. The caller holds tokenMu.
func (l *lease) addDomain(id hsm.DomainID, half func(f *form, template attrs) (pkcs11.ObjectHandle, error)) error {
	pairs, _, err := l.domainPairs(id)
	if err != nil {
		return err
	}
	if len(pairs) > 0 {
		return fmt.Errorf("%w: %q", hsm.ErrDomainExists, string(id))
	}
	pair, err := l.ck.GenerateRandom(l.session, pairIDSize)
	if err != nil {
		return l.spoil("C_GenerateRandom", err)
	}
	auth, err := half(authForm, l.m.authTemplate(true).with(pkcs11.CKA_LABEL, authLabel(id)).with(pkcs11.CKA_ID, pair))
	if err != nil {
		return err
	}
	wrap, err := half(aesForm, l.m.wrapTemplate(true).with(pkcs11.CKA_LABEL, wrapLabel(id)).with(pkcs11.CKA_ID, pair))
	if err != nil {
		return errors.Join(err, l.destroy(auth))
	}
	pairs, _, err = l.domainPairs(id)
	if err == nil {
		if _, mine := pairs[string(pair)]; mine && len(pairs) == 1 {
			return nil
		}
		err = unavailable(fmt.Errorf("domain key %q is being made by somebody else at the same time", string(id)))
	}
	return errors.Join(err, l.destroyAll([]pkcs11.ObjectHandle{wrap, auth}))
}

// generateHalf generates one half in the token.
func (l *lease) generateHalf(f *form, template attrs) (pkcs11.ObjectHandle, error) {
	return l.generate(l.session, mech(f.generate, nil), template.with(pkcs11.CKA_VALUE_LEN, hsm.DomainKeySize))
}

// destroyAll destroys the objects, all that can be.
func (l *lease) destroyAll(objects []pkcs11.ObjectHandle) error {
	var errs []error
	for _, o := range objects {
		errs = append(errs, l.destroy(o))
	}
	return errors.Join(errs...)
}

// DestroyDomain removes domain key id, and whatever an interrupted CreateDomain left of it.
func (m *Module) DestroyDomain(ctx context.Context, id hsm.DomainID) error {
	if err := id.Check(); err != nil {
		return err
	}
	_, err := do(ctx, m, func(l *lease) (struct{}, error) {
		m.tokenMu.Lock()
		defer m.tokenMu.Unlock()
		l.conn.forget()
		pairs, objects, err := l.domainPairs(id)
		if err != nil {
			return struct{}{}, err
		}
		for _, d := range pairs {
			objects = append(objects, d.wrap, d.auth)
		}
		return struct{}{}, l.destroyAll(objects)
	})
	return err
}

// DomainPRF computes HMAC-SHA-256 under the authentication key of id.
func (m *Module) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) (out [32]byte, err error) {
	in, err := hsm.PRFInput(label, input)
	if err != nil {
		return out, err
	}
	got, err := do(ctx, m, func(l *lease) (*[32]byte, error) {
		d, err := l.domain(id)
		if err != nil {
			return nil, err
		}
		sum, err := l.prf(d.auth)(in)
		return &sum, err
	})
	if err != nil {
		return out, err
	}
	clear(in)
	out = *got
	clear(got[:])
	return out, nil
}

// prf returns the function that authenticates wrapped blobs under key auth.
func (l *lease) prf(auth pkcs11.ObjectHandle) hsm.MACFunc {
	return func(in []byte) (out [32]byte, err error) {
		sum, err := l.sign(hmacSHA256, auth, in)
		if err == nil && len(sum) != len(out) {
			err = fmt.Errorf("pkcs11: HMAC-SHA-256 of %d bytes", len(sum))
		}
		if err != nil {
			return out, err
		}
		copy(out[:], sum)
		clear(sum)
		return out, nil
	}
}
