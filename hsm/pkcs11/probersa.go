package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
)

// testPublicKey is some RSA-2048 public key; nobody needs its private half.
func testPublicKey() *rsa.PublicKey {
	n := new(big.Int).SetBit(new(big.Int).SetBytes(randomBytes(256)), 2047, 1)
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: publicExponent}
}

// errStrict is why a process in the strict FIPS mode leaves out what the token may well have.
var errStrict = errors.New("not approved: refused with fips140=only")

var rsaTypes = []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096}

// rsaPair is the pair that the trials work with.
type rsaPair struct {
	private, public pkcs11.ObjectHandle
	key             *publicKey
}

// tryRSA tries all usages with RSA-2048 and believes the mechanism's word about longer keys.
func (t *trial) tryRSA() error {
	if err := t.need(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN); err != nil {
		return t.miss("RSA keys", err)
	}
	types, err := t.rsaSizes()
	if err != nil {
		return err
	}
	if err := t.generateRSA(); err != nil {
		return t.miss("RSA keys", err)
	}
	for _, try := range []func([]hsm.KeyType) error{t.trySign, t.tryOAEP, t.tryOAEPUnwrap} {
		if err := try(types); err != nil {
			return err
		}
	}
	return nil
}

// rsaSizes returns the types that the key generation claims.
func (t *trial) rsaSizes() (types []hsm.KeyType, err error) {
	info, err := t.ck.GetMechanismInfo(t.conn.slot, mech(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil))
	if err != nil {
		return nil, t.miss("RSA keys", failed("C_GetMechanismInfo", err))
	}
	most := info.MaxKeySize
	if most < 1024 {
		most *= 8 // some tokens count bytes
	}
	for _, kt := range rsaTypes {
		if bits := uint(kt.ModulusBits()); most != 0 && bits > most {
			if err := t.miss(kt.String()+" keys", fmt.Errorf("the token makes RSA keys up to %d bits", most)); err != nil {
				return nil, err
			}
			continue
		}
		types = append(types, kt)
	}
	return types, nil
}

// generateRSA makes the pair of all RSA trials: one generation, since those take long.
func (t *trial) generateRSA() error {
	f := forms[hsm.RSA2048]
	pub := attrs{}.with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).rights(publicRights, pkcs11.CKA_VERIFY).
		with(pkcs11.CKA_MODULUS_BITS, 2048).with(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})
	public, private, err := t.generatePair(t.owner, mech(f.generate, nil), pub,
		attrs{}.lifeAttrs(false, true).rights(privateRights, pkcs11.CKA_SIGN))
	if err != nil {
		return err
	}
	t.keep(public)
	t.keep(private)
	t.rsa.private = private
	t.rsa.key, err = t.publicOf(public, hsm.RSA2048)
	return err
}

// rsaFor returns the pair as stored material is loaded for a usage.
func (t *trial) rsaFor(u hsm.Usage, public ...uint) (*rsaPair, error) {
	private, err := t.rewrapped(t.rsa.private, forms[hsm.RSA2048], t.m.granted(hsm.RSA2048, u)...)
	if err != nil {
		return nil, err
	}
	created, err := t.create(t.owner, t.rsa.key.attrs(nil, public...))
	if err != nil {
		return nil, err
	}
	t.keep(created)
	return &rsaPair{private, created, t.rsa.key}, nil
}

var rsaSchemes = []hsm.Algorithm{
	hsm.RSAPKCS1SHA256, hsm.RSAPKCS1SHA384, hsm.RSAPKCS1SHA512, hsm.RSAPSSSHA256, hsm.RSAPSSSHA384, hsm.RSAPSSSHA512,
}

// trySign tries RSA signatures.
func (t *trial) trySign(types []hsm.KeyType) error {
	pair, err := t.rsaFor(hsm.UseSign, pkcs11.CKA_VERIFY)
	if err != nil {
		return t.miss("RSA keys for signing", err)
	}
	for _, alg := range rsaSchemes {
		if err := t.trySignWith(pair, alg); err != nil {
			if err := t.miss(alg.String(), err); err != nil {
				return err
			}
			continue
		}
		for _, kt := range types {
			t.can(kt, hsm.UseSign, alg)
		}
	}
	return nil
}

func (t *trial) trySignWith(pair *rsaPair, alg hsm.Algorithm) error {
	s, digest := schemes[alg], randomBytes(alg.DigestSize())
	if err := t.need(s.mechanism[0].Mechanism); err != nil {
		return err
	}
	input := append(bytes.Clone(s.prefix), digest...)
	sig, err := t.sign(s.mechanism, pair.private, input)
	if err != nil {
		return err
	}
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	if s.prefix != nil {
		err = rsa.VerifyPKCS1v15(pair.key.rsaPublic(), hash, digest, sig)
	} else {
		err = rsa.VerifyPSS(pair.key.rsaPublic(), hash, digest, sig, &rsa.PSSOptions{SaltLength: hash.Size()})
	}
	if err != nil {
		return errors.New("the token makes wrong signatures")
	}
	return t.verifies(s.mechanism, pair.public, input, sig)
}

// verifies returns an error unless the token tells a right signature from a wrong one.
func (t *trial) verifies(m []*pkcs11.Mechanism, public pkcs11.ObjectHandle, input, sig []byte) error {
	ok, err := t.verify(m, public, input, sig)
	if err != nil {
		return err
	}
	input = bytes.Clone(input)
	input[len(input)-1] ^= 1
	bad, err := t.verify(m, public, input, sig)
	if err != nil {
		return err
	}
	if !ok || bad {
		return errors.New("the token verifies wrongly")
	}
	return nil
}

// tryOAEP tries RSA encryption with both hashes, and the raw operation that may stand in.
func (t *trial) tryOAEP(types []hsm.KeyType) error {
	pair, err := t.rsaFor(hsm.UseDecrypt, pkcs11.CKA_ENCRYPT)
	if err != nil {
		return t.miss("RSA keys for encryption", err)
	}
	if t.m.cfg.AllowHostUnwrap {
		if err := t.tryRaw(pair); err != nil {
			if err := t.miss("raw RSA (CKM_RSA_X_509) for allow_host_unwrap", err); err != nil {
				return err
			}
		} else {
			t.p.rawRSA = true
		}
	}
	for h := range oaepHashes {
		if !t.p.hostHash(h) {
			if err := t.miss("RSAES-OAEP and import with "+h.String(), errStrict); err != nil {
				return err
			}
			continue
		}
		err := t.tryOAEPWith(pair, h)
		t.p.oaep[h].decrypts = err == nil
		here := t.p.rawRSA
		if err != nil {
			if here {
				err = fmt.Errorf("%w; this process removes the padding itself, because allow_host_unwrap is set", err)
			}
			if err := t.miss(h.algorithm().String()+" encryption", err); err != nil {
				return err
			}
		}
		for _, kt := range types {
			if t.p.oaep[h].decrypts || here {
				t.can(kt, hsm.UseDecrypt, h.algorithm())
			}
		}
	}
	return nil
}

func (t *trial) tryOAEPWith(pair *rsaPair, h oaepHash) error {
	if err := t.need(pkcs11.CKM_RSA_PKCS_OAEP); err != nil {
		return err
	}
	plain := randomBytes(32)
	c, err := t.encrypt(h.mechanism(), pair.public, plain)
	if err != nil {
		return err
	}
	if got, err := t.decrypt(h.mechanism(), pair.private, c); err != nil || !bytes.Equal(got, plain) {
		return errors.Join(err, errors.New("the token does not decrypt what it encrypted"))
	}
	if c, err = pair.key.encryptHere(h, plain); err != nil {
		return err
	}
	if got, err := t.decrypt(h.mechanism(), pair.private, c); err != nil || !bytes.Equal(got, plain) {
		return errors.Join(err, errors.New("the token does not decrypt RSAES-OAEP made elsewhere"))
	}
	return nil
}

func (t *trial) tryRaw(pair *rsaPair) error {
	if err := t.need(pkcs11.CKM_RSA_X_509); err != nil {
		return err
	}
	plain := randomBytes(32)
	c, err := pair.key.encryptHere(oaepSHA256, plain)
	if err != nil {
		return err
	}
	got, ok, err := t.decryptHere(oaepSHA256, pair.private, c)
	if err == nil && (ok != 1 || !bytes.Equal(got, plain)) {
		err = errors.New("the token computes wrongly")
	}
	return err
}

// tryOAEPUnwrap tries what transport keys and import need.
func (t *trial) tryOAEPUnwrap(types []hsm.KeyType) error {
	pair, err := t.rsaFor(hsm.UseUnwrap, pkcs11.CKA_WRAP)
	if err != nil {
		return t.miss("RSA keys for unwrapping", err)
	}
	for h := range oaepHashes {
		o := &t.p.oaep[h]
		if err := t.tryTransport(pair, h); err != nil {
			if err := t.miss("unwrapping secret keys with RSAES-OAEP and "+h.String(), err); err != nil {
				return err
			}
		} else {
			o.transport = true
			o.unwrapsPrivate = t.tryUnwrapPrivate(pair, h) == nil
		}
		if err := t.refresh(); err != nil {
			return err
		}
		o.hybrid = t.tryHybrid(pair, h) == nil
		if err := t.refresh(); err != nil {
			return err
		}
		if t.p.hostHash(h) && (o.transport || o.hybrid || t.p.rawRSA) {
			for _, kt := range types {
				t.can(kt, hsm.UseUnwrap, h.algorithm())
			}
		}
	}
	return nil
}

// tryTransport wraps and unwraps a secret key in the token.
func (t *trial) tryTransport(pair *rsaPair, h oaepHash) error {
	if err := t.need(pkcs11.CKM_RSA_PKCS_OAEP); err != nil {
		return err
	}
	o, err := t.secret(32)
	if err != nil {
		return err
	}
	c, err := t.wrap(h.mechanism(), pair.public, o)
	if err != nil {
		return err
	}
	back, err := t.unwrap(t.owner, h.mechanism(), pair.private, c, secretForm().keyAttrs(false, false, pkcs11.CKA_SIGN))
	if err != nil {
		return err
	}
	t.keep(back)
	return t.sameSecret(o, back)
}

// tryUnwrapPrivate unwraps a private key that was encrypted elsewhere.
func (t *trial) tryUnwrapPrivate(pair *rsaPair, h oaepHash) error {
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return err
	}
	c, err := pair.key.encryptHere(h, pkcs8)
	if err != nil {
		return err
	}
	f := forms[hsm.P256]
	o, err := t.unwrap(t.owner, h.mechanism(), pair.private, c, f.keyAttrs(false, false, pkcs11.CKA_SIGN))
	if err != nil {
		return err
	}
	t.keep(o)
	params, err := t.attribute(o, pkcs11.CKA_EC_PARAMS)
	if err == nil && !bytes.Equal(params, f.params) {
		err = errors.New("the token unwraps another key")
	}
	return err
}

// tryHybrid unwraps a secret with CKM_RSA_AES_KEY_WRAP.
func (t *trial) tryHybrid(pair *rsaPair, h oaepHash) error {
	if err := t.need(pkcs11.CKM_RSA_AES_KEY_WRAP); err != nil {
		return err
	}
	key := randomBytes(32)
	block, err := pair.key.encryptHere(h, key)
	if err != nil {
		return err
	}
	cipher, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	rest, err := kwp.Wrap(cipher, randomBytes(32))
	if err != nil {
		return err
	}
	o, err := t.unwrap(t.owner, h.hybrid(), pair.private, append(block, rest...), secretForm().keyAttrs(false, false, pkcs11.CKA_SIGN))
	if err == nil {
		t.keep(o)
	}
	return err
}
