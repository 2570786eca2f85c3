package pkcs11

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
)

// probe finds out what the token can do by doing it with session objects: tokens list mechanisms that they refuse, take
// parameters that they then ignore, and generate keys that they cannot wrap. It costs one RSA-2048 generation
// and about a hundred quick calls. The result is kept for the life of the Library.
func (m *Module) probe(ctx context.Context) (*profile, error) {
	key := profileKey{m.info.Serial, m.info.Label, m.cfg.AllowHostUnwrap}
	if p := m.lib.knownProfile(key); p != nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	p, err := doWithin(ctx, m, m.cfg.OpenTimeout, func(l *lease) (*profile, error) {
		owner, err := m.takeSession(l.conn)
		if err != nil {
			return nil, err
		}
		defer m.returnSession(l.conn, owner, true) // its objects go with it
		t := &trial{lease: l, scratch: l.scratch(), owner: owner, p: newProfile()}
		defer t.drop()
		if err := t.run(); err != nil {
			return nil, err
		}
		return t.p, nil
	})
	if err != nil {
		return nil, fmt.Errorf("pkcs11: trying what the %s can do: %w", m.cfg.tokenName(), err)
	}
	m.lib.keepProfile(key, p)
	if len(p.caps.Missing) > 0 { // trent operator hsm lists them
		m.log.Info("pkcs11: the token lacks mechanisms", "token", m.cfg.tokenName(), "missing", len(p.caps.Missing))
	}
	for _, text := range p.caps.Missing {
		m.log.Debug("pkcs11: the token lacks a mechanism", "token", m.cfg.tokenName(), "what", text)
	}
	return p, nil
}

func newProfile() *profile {
	return &profile{
		caps:         hsm.Capabilities{Keys: map[hsm.KeyUse][]hsm.Algorithm{}, Import: map[hsm.WrapMechanism][]hsm.KeyType{}},
		edParams:     forms[hsm.Ed25519].params,
		refusesShort: map[hsm.KeyType]bool{},
		imports:      map[hsm.WrapMechanism]map[hsm.KeyType]route{},
	}
}

// trial is a probe in progress.
type trial struct {
	*lease
	*scratch
	owner     pkcs11.SessionHandle // of the objects, which outlive sessions with a failed operation in them
	p         *profile
	listed    map[uint]bool
	kek       pkcs11.ObjectHandle // AES, wraps and unwraps
	rsa       rsaPair             // of all RSA trials
	canDerive map[hsm.KeyType]bool
}

// run makes all trials. Only a token without what everything else needs is an error; what else fails is missing.
func (t *trial) run() error {
	if err := t.list(); err != nil {
		return err
	}
	t.canDerive = map[hsm.KeyType]bool{}
	t.m.profile = t.p // templates and mechanisms of the module depend on it; nobody else has the module yet
	defer func() { t.m.profile = nil }()
	if err := t.tryKeyWrap(); err != nil {
		return err
	}
	for _, try := range []func() error{t.trySecrets, t.tryAES, t.tryTrusted, t.tryRSA, t.tryCurves, t.tryEd25519, t.tryMLDSA} {
		if err := try(); err != nil {
			return err
		}
	}
	t.concludeImports()
	return nil
}

// list notes the token's mechanism list.
func (t *trial) list() error {
	mechanisms, err := t.ck.GetMechanismList(t.conn.slot)
	if err != nil {
		return failed("C_GetMechanismList", err)
	}
	t.listed = make(map[uint]bool, len(mechanisms))
	for _, m := range mechanisms {
		t.listed[m.Mechanism] = true
	}
	return nil
}

var errNotListed = errors.New("not in the token's mechanism list")

// need returns an error unless the token lists the mechanisms.
func (t *trial) need(mechanisms ...uint) error {
	for _, m := range mechanisms {
		if !t.listed[m] {
			return fmt.Errorf("mechanism 0x%x is %w", m, errNotListed)
		}
	}
	return nil
}

// miss notes that something is missing because of err, unless the token is gone, which it returns.
func (t *trial) miss(what string, err error) error {
	if gone := t.conn.answers(t.ck); gone != nil {
		return gone
	}
	if err := t.refresh(); err != nil {
		return err
	}
	t.p.caps.Missing = append(t.p.caps.Missing, fmt.Sprintf("%s: %v", what, err))
	return nil
}

// can notes what keys can do.
func (t *trial) can(kt hsm.KeyType, u hsm.Usage, algs ...hsm.Algorithm) {
	use := hsm.KeyUse{Type: kt, Usage: u}
	t.p.caps.Keys[use] = append(t.p.caps.Keys[use], algs...)
}

// secret generates an extractable generic secret for HMACs.
func (t *trial) secret(n int) (pkcs11.ObjectHandle, error) {
	f := secretForm()
	o, err := t.generate(t.owner, mech(f.generate, nil), f.keyAttrs(false, true, pkcs11.CKA_SIGN).with(pkcs11.CKA_VALUE_LEN, n))
	if err == nil {
		t.keep(o)
	}
	return o, err
}

// rewrapped wraps a key and unwraps it as stored material is: not extractable, with the given rights.
func (t *trial) rewrapped(o pkcs11.ObjectHandle, f *form, granted ...uint) (pkcs11.ObjectHandle, error) {
	kwp, err := t.wrap(t.m.keyWrap(), t.kek, o)
	if err != nil {
		return 0, err
	}
	back, err := t.unwrap(t.owner, t.m.keyWrap(), t.kek, kwp, f.keyAttrs(false, false, granted...))
	if err == nil {
		t.keep(back)
	}
	return back, err
}

// sameSecret returns an error unless two generic secrets have the same HMAC-SHA-256.
func (t *trial) sameSecret(a, b pkcs11.ObjectHandle) error {
	x, err := t.sign(hmacSHA256, a, []byte("same?"))
	if err != nil {
		return err
	}
	y, err := t.sign(hmacSHA256, b, []byte("same?"))
	if err == nil && !bytes.Equal(x, y) {
		err = errors.New("what is unwrapped is not what was wrapped")
	}
	return err
}

// tryKeyWrap finds the mechanism of RFC 5649. CKM_AES_KEY_WRAP_PAD stands for that with some tokens, and for PKCS #7
// padding with others: the lengths tell.
func (t *trial) tryKeyWrap() (err error) {
	t.kek, err = t.generate(t.owner, mech(aesForm.generate, nil), aesForm.keyAttrs(false, false, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP).with(pkcs11.CKA_VALUE_LEN, 32))
	if err != nil {
		return fmt.Errorf("AES-256 keys for wrapping: %w", err)
	}
	t.keep(t.kek)
	var reasons []error
	for _, m := range []uint{ckmAESKeyWrapKWP, pkcs11.CKM_AES_KEY_WRAP_PAD} {
		if err := t.need(m); err != nil {
			reasons = append(reasons, err)
			continue
		}
		t.p.keyWrap = m
		err := t.tryKeyWrapWith()
		if err == nil {
			return t.tryExactWrap()
		}
		reasons = append(reasons, err)
		if err := t.refresh(); err != nil {
			return err
		}
	}
	return unsupported("no AES key wrap with padding (RFC 5649), without which no key can be stored: %v", errors.Join(reasons...))
}

func (t *trial) tryKeyWrapWith() error {
	for _, n := range []int{28, 32} {
		o, err := t.secret(n)
		if err != nil {
			return err
		}
		kwp, err := t.wrap(t.m.keyWrap(), t.kek, o)
		if err != nil {
			return err
		}
		if len(kwp) != 40 {
			return fmt.Errorf("mechanism 0x%x wraps %d bytes into %d: not RFC 5649", t.p.keyWrap, n, len(kwp))
		}
		if n < 32 {
			continue
		}
		back, err := t.rewrapped(o, secretForm(), pkcs11.CKA_SIGN)
		if err != nil {
			return err
		}
		if err := t.sameSecret(o, back); err != nil {
			return err
		}
		if n, err = t.length(back); err != nil {
			return err
		}
		t.p.tellsLength = n == 32
	}
	return nil
}

// tryExactWrap looks at what is inside of a wrapped key, under a key that this process knows, if the token takes that.
// SoftHSM2 2.6 fills keys up with zeros first. It reads both forms itself.
func (t *trial) tryExactWrap() error {
	known := randomBytes(32)
	kek, err := t.create(t.owner, aesForm.keyAttrs(false, false, pkcs11.CKA_WRAP).with(pkcs11.CKA_VALUE, known))
	if err != nil {
		return t.refresh()
	}
	t.keep(kek)
	o, err := t.secret(28)
	if err != nil {
		return err
	}
	wrapped, err := t.wrap(t.m.keyWrap(), kek, o)
	if err != nil {
		return t.refresh()
	}
	block, err := aes.NewCipher(known)
	if err != nil {
		return err
	}
	inside, err := kwp.Unwrap(block, wrapped)
	switch {
	case err != nil:
		return unsupported("mechanism 0x%x is not AES key wrap with padding (RFC 5649)", t.p.keyWrap)
	case len(inside) != 28:
		return t.miss("exact key wrap", errors.New("the token puts zeros behind keys up to a multiple of 8 bytes before it wraps them: "+
			"not every other module reads RSA, curve and HMAC-224 keys that this one has wrapped"))
	}
	return nil
}

// trySecrets tries symmetric and HMAC keys.
func (t *trial) trySecrets() error {
	for _, kt := range keyTypes {
		if forms[kt].kind != kindSecret || kt == hsm.AES256 {
			continue
		}
		if err := t.trySecret(kt); err != nil {
			if err := t.miss(kt.String()+" keys", err); err != nil {
				return err
			}
			continue
		}
		if kt == hsm.Symmetric {
			t.can(kt, hsm.UseDerive, hsm.KDFCounterSHA256)
		} else {
			t.can(kt, hsm.UseMAC, hsm.HMACSHA224+hsm.Algorithm(kt-hsm.HMAC224))
		}
	}
	return nil
}

func (t *trial) trySecret(kt hsm.KeyType) error {
	n := kt.SecretSize()
	o, err := t.secret(n)
	if err != nil {
		return err
	}
	back, err := t.rewrapped(o, forms[kt], pkcs11.CKA_SIGN)
	if err != nil {
		return err
	}
	sum, err := t.sign(macMechanisms[kt], back, []byte("long enough?"))
	if err != nil {
		return err
	}
	if len(sum) != n {
		return fmt.Errorf("HMAC of %d bytes, want %d", len(sum), n)
	}
	short, err := t.secret(n - 1)
	if err != nil {
		return nil
	}
	_, err = t.sign(macMechanisms[kt], short, []byte("refused?"))
	t.p.refusesShort[kt] = isCode(err, pkcs11.CKR_KEY_SIZE_RANGE)
	return t.refresh()
}

// tryAES tries AES keys that other keys travel under: stored ones that wrap alone and unwrap alone.
func (t *trial) tryAES() error {
	if err := t.tryAESWith(); err != nil {
		return t.miss(hsm.AES256.String()+" keys for other keys to travel under, which then travel between regions one by one", err)
	}
	t.can(hsm.AES256, hsm.UseWrap, hsm.AESKWP)
	t.can(hsm.AES256, hsm.UseUnwrap, hsm.AESKWP)
	return nil
}

func (t *trial) tryAESWith() error {
	o, err := t.generate(t.owner, mech(aesForm.generate, nil), aesForm.keyAttrs(false, true, pkcs11.CKA_WRAP).with(pkcs11.CKA_VALUE_LEN, 32))
	if err != nil {
		return err
	}
	t.keep(o)
	wraps, err := t.rewrapped(o, aesForm, t.m.granted(hsm.AES256, hsm.UseWrap)...)
	if err != nil {
		return err
	}
	unwraps, err := t.rewrapped(o, aesForm, t.m.granted(hsm.AES256, hsm.UseUnwrap)...)
	if err != nil {
		return err
	}
	secret, err := t.secret(32)
	if err != nil {
		return err
	}
	kwp, err := t.wrap(t.m.keyWrap(), wraps, secret)
	if err != nil {
		return err
	}
	back, err := t.unwrap(t.owner, t.m.keyWrap(), unwraps, kwp, secretForm().keyAttrs(false, false, pkcs11.CKA_SIGN))
	if err != nil {
		return err
	}
	t.keep(back)
	return t.sameSecret(secret, back)
}

// tryTrusted finds out whether the user may vouch for other modules' transport keys. Most tokens leave that to the
// security officer; domain keys are then extractable under any key that this program's user may wrap with.
func (t *trial) tryTrusted() error {
	o, err := t.createRSAPublic(testPublicKey(), true, pkcs11.CKA_WRAP)
	if err == nil {
		t.keep(o)
		v, err := t.attribute(o, pkcs11.CKA_TRUSTED)
		t.p.trusted = err == nil && bytes.Equal(v, []byte{1})
	}
	return t.refresh()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
