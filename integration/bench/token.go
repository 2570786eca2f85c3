package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/miekg/pkcs11"
)

// softHSMPaths are where distributions put SoftHSM2; SOFTHSM2_MODULE names another place.
var softHSMPaths = []string{
	os.Getenv("SOFTHSM2_MODULE"), "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so",
}

const (
	tokenPIN   = "bench-user-pin"
	tokenSOPIN = "bench-officer-pin"
	ownToken   = "bench" // of this program
	trentToken = "trent"
)

// token is a SoftHSM2 token of this program with one session: the bare calls of a PKCS#11 module.
type token struct {
	path, conf, pinFile string
	ctx                 *pkcs11.Ctx
	session             pkcs11.SessionHandle
}

// openToken makes the tokens of this program and of Trent in a directory of their own.
func (b *bench) openToken() (*token, error) {
	t := &token{}
	for _, path := range softHSMPaths {
		if _, err := os.Stat(path); err == nil && path != "" {
			t.path = path
			break
		}
	}
	if t.path == "" {
		return nil, errors.New("it is not installed, and SOFTHSM2_MODULE names no libsofthsm2.so")
	}
	dir, err := b.fresh("softhsm")
	if err != nil {
		return nil, err
	}
	tokens := filepath.Join(dir, "tokens")
	t.conf, t.pinFile = filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "pin")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens)
	if err := errors.Join(os.Mkdir(tokens, 0o700), os.WriteFile(t.conf, []byte(text), 0o600), os.WriteFile(t.pinFile, []byte(tokenPIN+"\n"), 0o600),
		os.Setenv("SOFTHSM2_CONF", t.conf)); err != nil {
		return nil, err
	}
	if t.ctx = pkcs11.New(t.path); t.ctx == nil {
		return nil, fmt.Errorf("%s cannot be loaded", t.path)
	}
	if err := t.ctx.Initialize(); err != nil {
		return nil, err
	}
	return t, errors.Join(t.init(trentToken), t.init(ownToken), t.login())
}

// init initializes the free slot.
func (t *token) init(label string) error {
	slots, err := t.ctx.GetSlotList(true)
	if err != nil {
		return err
	}
	if err := t.ctx.InitToken(slots[len(slots)-1], tokenSOPIN, label); err != nil {
		return err
	}
	slot, err := t.find(label)
	if err != nil {
		return err
	}
	s, err := t.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	return errors.Join(t.ctx.Login(s, pkcs11.CKU_SO, tokenSOPIN), t.ctx.InitPIN(s, tokenPIN), t.ctx.Logout(s), t.ctx.CloseSession(s))
}

func (t *token) find(label string) (uint, error) {
	slots, err := t.ctx.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		if info, err := t.ctx.GetTokenInfo(slot); err == nil && info.Label == label {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("token %s is not there", label)
}

func (t *token) login() error {
	slot, err := t.find(ownToken)
	if err != nil {
		return err
	}
	if t.session, err = t.ctx.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return err
	}
	return t.ctx.Login(t.session, pkcs11.CKU_USER, tokenPIN)
}

func (t *token) close() {
	_ = t.ctx.Finalize()
	t.ctx.Destroy()
}

// trentOn starts Trent with SoftHSM2 as its HSM.
func (b *bench) trentOn(ctx context.Context, t *token) (*server, error) {
	data, err := b.fresh("trent")
	if err != nil {
		return nil, err
	}
	s, err := b.startTrent(ctx, data, []string{"SOFTHSM2_CONF=" + t.conf}, "--hsm", t.path, "--hsm-token", trentToken, "--hsm-pin-file", t.pinFile)
	if err == nil {
		s.name = "Trent on SoftHSM2"
	}
	return s, err
}

func mechanism(id uint, params any) []*pkcs11.Mechanism {
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(id, params)}
}

// pair generates a key pair of the session.
func (t *token) pair(mech uint, public ...*pkcs11.Attribute) (pub, priv pkcs11.ObjectHandle, err error) {
	public = append(public, pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true))
	private := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_DERIVE, true),
	}
	return t.ctx.GenerateKeyPair(t.session, mechanism(mech, nil), public, private)
}

func (t *token) signWith(mech []*pkcs11.Mechanism, key pkcs11.ObjectHandle, in []byte) func() error {
	return func() error {
		if err := t.ctx.SignInit(t.session, mech, key); err != nil {
			return err
		}
		_, err := t.ctx.Sign(t.session, in)
		return err
	}
}

// tried runs an operation once before it is measured.
func tried(op func() error, err error) (func() error, error) {
	if err == nil {
		err = op()
	}
	return op, err
}

func (t *token) verifyWith(mech []*pkcs11.Mechanism, public, private pkcs11.ObjectHandle, in []byte) (func() error, error) {
	if err := t.ctx.SignInit(t.session, mech, private); err != nil {
		return nil, err
	}
	sig, err := t.ctx.Sign(t.session, in)
	return tried(func() error {
		if err := t.ctx.VerifyInit(t.session, mech, public); err != nil {
			return err
		}
		return t.ctx.Verify(t.session, in, sig)
	}, err)
}

var hmacMechanisms = map[crypto.Hash]uint{
	crypto.SHA224: pkcs11.CKM_SHA224_HMAC, crypto.SHA256: pkcs11.CKM_SHA256_HMAC, crypto.SHA384: pkcs11.CKM_SHA384_HMAC, crypto.SHA512: pkcs11.CKM_SHA512_HMAC,
}

func (t *token) mac(hash crypto.Hash) (func() error, error) {
	key, err := t.ctx.GenerateKey(t.session, mechanism(pkcs11.CKM_GENERIC_SECRET_KEY_GEN, nil), []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, hash.Size()), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
	})
	return tried(t.signWith(mechanism(hmacMechanisms[hash], nil), key, message32), err)
}

// rsa makes a pair and what is signed with it: for PKCS#1 v1.5 the DigestInfo.
func (t *token) rsa(bits int, pss bool) (mech []*pkcs11.Mechanism, public, private pkcs11.ObjectHandle, in []byte, err error) {
	public, private, err = t.pair(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN,
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	if pss {
		params := pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32)
		return mechanism(pkcs11.CKM_RSA_PKCS_PSS, params), public, private, digested(), err
	}
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20} // of SHA-256 (RFC 8017 section 9.2)
	return mechanism(pkcs11.CKM_RSA_PKCS, nil), public, private, append(prefix, digested()...), err
}

func (t *token) rsaSign(bits int, pss bool) (func() error, error) {
	mech, _, private, in, err := t.rsa(bits, pss)
	return tried(t.signWith(mech, private, in), err)
}

func (t *token) rsaVerify(bits int, pss bool) (func() error, error) {
	mech, public, private, in, err := t.rsa(bits, pss)
	if err != nil {
		return nil, err
	}
	return t.verifyWith(mech, public, private, in)
}

func (t *token) ec(c *curve) (public, private pkcs11.ObjectHandle, err error) {
	return t.pair(pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, c.oid))
}

func (t *token) ecdsaSign(c *curve) (func() error, error) {
	_, private, err := t.ec(c)
	return tried(t.signWith(mechanism(pkcs11.CKM_ECDSA, nil), private, c.digest()), err)
}

func (t *token) ecdsaVerify(c *curve) (func() error, error) {
	public, private, err := t.ec(c)
	if err != nil {
		return nil, err
	}
	return t.verifyWith(mechanism(pkcs11.CKM_ECDSA, nil), public, private, c.digest())
}

// agree derives a shared secret as an object of the session and destroys it.
func (t *token) agree(c *curve) (func() error, error) {
	_, private, err := t.ec(c)
	if err != nil {
		return nil, err
	}
	public, _, err := t.ec(c)
	if err != nil {
		return nil, err
	}
	point, err := t.ctx.GetAttributeValue(t.session, public, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	if err != nil {
		return nil, err
	}
	mech := mechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point[0].Value))
	secret := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, (c.ecdsa.Params().BitSize+7)/8),
	}
	return tried(func() error {
		key, err := t.ctx.DeriveKey(t.session, mech, private, secret)
		if err != nil {
			return err
		}
		return t.ctx.DestroyObject(t.session, key)
	}, nil)
}

// Numbers of PKCS#11 v3.0 that the binding does not name.
const (
	ckmEdwardsPairGen = 0x1055
	ckmEDDSA          = 0x1057
)

// edwardsCurve is the PrintableString edwards25519, as SoftHSM2 takes it.
var edwardsCurve = append([]byte{0x13, 0x0c}, "edwards25519"...)

func (t *token) edwardsSign() (func() error, error) {
	_, private, err := t.pair(ckmEdwardsPairGen, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, edwardsCurve))
	return tried(t.signWith(mechanism(ckmEDDSA, nil), private, message32), err)
}

func (t *token) edwardsVerify() (func() error, error) {
	public, private, err := t.pair(ckmEdwardsPairGen, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, edwardsCurve))
	if err != nil {
		return nil, err
	}
	return t.verifyWith(mechanism(ckmEDDSA, nil), public, private, message32)
}

func (t *token) random() (func() error, error) {
	return tried(func() error {
		_, err := t.ctx.GenerateRandom(t.session, 32)
		return err
	}, nil)
}
