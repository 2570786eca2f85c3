package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// errUnwrap is the one answer to material that cannot be unwrapped, whatever the reason.
var errUnwrap = invalid("the imported material cannot be unwrapped")

// wrong returns ErrWrongMaterial with the reason.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", hsm.ErrWrongMaterial, fmt.Sprintf(format, args...))
}

// Import unwraps what was wrapped for wrapping or under it, checks its form, and wraps it under domain key id, inside the token
// wherever the token can do and check that. Config.AllowHostUnwrap says what else there is.
func (m *Module) Import(ctx context.Context, wrapping hsm.Key, mechanism hsm.WrapMechanism, encrypted []byte, id hsm.DomainID, t hsm.KeyType, u hsm.Usage, binding []byte) (hsm.Wrapped, error) {
	if err := m.can(t, u); err != nil {
		return hsm.Wrapped{}, err
	}
	way := m.profile.imports[mechanism][t]
	if way == routeNone {
		return hsm.Wrapped{}, unsupported("the token cannot import %v keys with %v", t, mechanism)
	}
	k, err := m.own(wrapping)
	if err != nil {
		return hsm.Wrapped{}, err
	}
	if (mechanism == hsm.WrapAESKWP) != (k.mat.Type == hsm.AES256) {
		return hsm.Wrapped{}, unsupported("%v with a key of type %v", mechanism, k.mat.Type)
	}
	if len(binding) > hsm.MaxBinding {
		return hsm.Wrapped{}, invalid("binding of %d bytes, at most %d are allowed", len(binding), hsm.MaxBinding)
	}
	h, hybrid, _ := importParts(mechanism)
	binding, encrypted = bytes.Clone(binding), bytes.Clone(encrypted)
	return use(ctx, k, hsm.UseUnwrap, func(l *lease, private pkcs11.ObjectHandle) (hsm.Wrapped, error) {
		d, err := l.domain(id)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		s := l.scratch()
		defer s.drop()
		j := &importing{lease: l, scratch: s, k: k, private: private, kek: d.wrap, t: t, u: u, hash: h, hybrid: hybrid || way == routeUnder, way: way}
		o, public, err := j.run(encrypted)
		if err != nil {
			return hsm.Wrapped{}, err
		}
		return l.seal(d, o, t, u, binding, public)
	})
}

// importing is one import in progress.
type importing struct {
	*lease
	*scratch
	k       *key
	private pkcs11.ObjectHandle // of the wrapping key, or of the AES key of routeUnder
	kek     pkcs11.ObjectHandle // of the domain key, to find out lengths with
	t       hsm.KeyType
	u       hsm.Usage
	hash    oaepHash
	hybrid  bool
	way     route
}

// run returns the imported key as an extractable object that the scratch destroys, and the public key of asymmetric ones.
func (j *importing) run(encrypted []byte) (pkcs11.ObjectHandle, *publicKey, error) {
	size := j.k.modulusSize()
	if !j.hybrid && len(encrypted) != size || j.hybrid && len(encrypted) < size+16 || len(encrypted) > size+hsm.MaxKWP {
		return 0, nil, errUnwrap
	}
	block, rest := encrypted[:size], encrypted[size:]
	if j.way != routeUnder && !j.k.inRange(block) || len(rest)%8 != 0 {
		return 0, nil, errUnwrap
	}
	if j.way == routeHost {
		return j.unwrapHere(block, rest)
	}
	o, err := j.unwrapInToken(block, rest, j.template())
	if err != nil {
		return 0, nil, j.blame(block, rest, err)
	}
	j.keep(o)
	public, err := j.check(o, len(rest))
	return o, public, err
}

// template is that of the imported key while it is checked. Private keys get the rights that the checks need; what is
// stored carries no rights.
func (j *importing) template() attrs {
	f := forms[j.t]
	granted := j.m.granted(j.t, j.u)
	switch f.kind {
	case kindRSA, kindEd:
		granted = []uint{pkcs11.CKA_SIGN}
	case kindEC:
		granted = []uint{pkcs11.CKA_SIGN, pkcs11.CKA_DERIVE}
	}
	return f.keyAttrs(false, true, granted...)
}

// unwrapInToken makes an object of the material without seeing it.
func (j *importing) unwrapInToken(block, rest []byte, template attrs) (pkcs11.ObjectHandle, error) {
	switch j.way {
	case routeDirect:
		return j.unwrap(j.session, j.hash.mechanism(), j.private, block, template)
	case routeUnder:
		return j.unwrap(j.session, j.m.keyWrap(), j.private, rest, template)
	case routeHybrid:
		whole := append(block[:len(block):len(block)], rest...)
		return j.unwrap(j.session, j.hash.hybrid(), j.private, whole, template)
	}
	aes, err := j.ephemeral(block)
	if err != nil {
		return 0, err
	}
	j.keep(aes)
	return j.unwrap(j.session, j.m.keyWrap(), aes, rest, template)
}

// ephemeral makes an object of the client's AES-256 key, the only size allowed (spec 07 WRP-03).
func (j *importing) ephemeral(block []byte) (pkcs11.ObjectHandle, error) {
	template := aesForm.keyAttrs(false, true, pkcs11.CKA_UNWRAP)
	if j.way == routeHostKey {
		key, ok, err := j.decryptHere(j.hash, j.private, block)
		if err != nil {
			return 0, err
		}
		if ok != 1 || len(key) != 32 {
			// With a random key the next step fails as it does for wrong material, so that padding is not told apart.
			key = make([]byte, 32)
			rand.Read(key)
		}
		defer clear(key)
		return j.create(j.session, template.with(pkcs11.CKA_VALUE, key))
	}
	aes, err := j.unwrap(j.session, j.hash.mechanism(), j.private, block, template)
	if err != nil {
		return 0, err
	}
	// The token may not tell the length: an AES key that takes 40 bytes when wrapped has 32.
	kwp, err := j.wrap(j.m.keyWrap(), j.kek, aes)
	if err == nil && len(kwp) != 40 {
		err = errUnwrap
	}
	if err != nil {
		j.keep(aes)
	}
	return aes, err
}

// blame finds out what it means that the token did not unwrap the material: tokens say the same of a wrong padding, of a
// PrivateKeyInfo that they cannot read, and of themselves being broken.
func (j *importing) blame(block, rest []byte, cause error) error {
	if told(cause) {
		return cause
	}
	if err := j.conn.answers(j.ck); err != nil {
		return err
	}
	if err := j.refresh(); err != nil {
		return cause
	}
	anything := secretForm().keyAttrs(false, false)
	if forms[j.t].kind != kindSecret {
		if o, err := j.unwrapInToken(block, rest, anything); err == nil {
			j.keep(o)
			return wrong("not a private key that the token can read as %v", j.t)
		}
	}
	// A token that unwraps what was wrapped properly just now is well.
	if j.way == routeUnder {
		return j.blameUnder(cause)
	}
	block, rest, err := j.sample()
	if err != nil {
		return cause
	}
	o, err := j.unwrapInToken(block, rest, anything)
	if err != nil {
		return cause
	}
	j.keep(o)
	return errUnwrap
}

// blameUnder is the end of blame where only the token has the key: the domain key shows whether it unwraps.
func (j *importing) blameUnder(cause error) error {
	probe, err := j.generate(j.session, mech(authForm.generate, nil), authForm.keyAttrs(false, true).with(pkcs11.CKA_VALUE_LEN, 32))
	if err != nil {
		return cause
	}
	j.keep(probe)
	kwp, err := j.wrap(j.m.keyWrap(), j.kek, probe)
	if err != nil {
		return cause
	}
	back, err := j.unwrap(j.session, j.m.keyWrap(), j.kek, kwp, secretForm().keyAttrs(false, false))
	if err != nil {
		return cause
	}
	j.keep(back)
	return errUnwrap
}

// check finds out whether the object is a key of the asked type.
func (j *importing) check(o pkcs11.ObjectHandle, wrappedSize int) (*publicKey, error) {
	switch forms[j.t].kind {
	case kindSecret:
		return nil, j.checkSecret(o)
	case kindRSA:
		return j.checkRSA(o)
	case kindEC:
		return j.checkEC(o, wrappedSize)
	}
	return j.checkEd(o)
}

// checkSecret checks the length of a secret: as the token tells it, or between the bounds that knowsLength explains.
func (j *importing) checkSecret(o pkcs11.ObjectHandle) error {
	n, err := j.length(o)
	if err != nil {
		return err
	}
	kwp, err := j.wrap(j.m.keyWrap(), j.kek, o)
	if err != nil {
		return err
	}
	if len(kwp) != (j.t.SecretSize()+7)/8*8+8 || n != 0 && n != j.t.SecretSize() {
		return wrong("not %d bytes", j.t.SecretSize())
	}
	if n != 0 || j.t == hsm.AES256 {
		return nil // an AES key of 25 to 32 bytes has 32
	}
	if _, err = j.sign(macMechanisms[j.t], o, []byte("length")); isCode(err, pkcs11.CKR_KEY_SIZE_RANGE) {
		return wrong("not %d bytes", j.t.SecretSize())
	}
	return err
}

// checkRSA reads size and exponent, and signs and verifies: a key of more than two primes, or whose numbers do not belong
// together, does not sign right.
func (j *importing) checkRSA(o pkcs11.ObjectHandle) (*publicKey, error) {
	public, err := j.publicOf(o, j.t)
	if err != nil {
		var code pkcs11.Error
		if errors.As(err, &code) {
			return nil, err
		}
		return nil, wrong("not %v with public exponent %d", j.t, publicExponent)
	}
	for range 2 {
		digest := make([]byte, 32)
		rand.Read(digest)
		scheme := schemes[hsm.RSAPKCS1SHA256]
		sig, err := j.sign(scheme.mechanism, o, append(bytes.Clone(scheme.prefix), digest...))
		if err != nil {
			return nil, j.unusable(err)
		}
		if rsa.VerifyPKCS1v15(public.rsaPublic(), crypto.SHA256, digest, sig) != nil {
			return nil, wrong("the numbers of the RSA key do not belong together")
		}
	}
	return public, nil
}

// unusable tells a key that the token cannot compute with from a token that is gone.
func (j *importing) unusable(err error) error {
	if gone := j.conn.answers(j.ck); gone != nil {
		return gone
	}
	return wrong("the token cannot compute with the key: %v", err)
}
