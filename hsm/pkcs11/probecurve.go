package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/mldsa"
	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// pair generates a pair of a type, and returns it wrapped and unwrapped again, as stored material is loaded.
func (t *trial) pair(kt hsm.KeyType, granted []uint, public ...uint) (private pkcs11.ObjectHandle, key *publicKey, err error) {
	f := forms[kt]
	pub := attrs{}.with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).rights(publicRights, public...)
	if f.kind == kindMLDSA {
		pub = pub.with(ckaParameterSet, f.paramSet)
	} else {
		pub = pub.with(pkcs11.CKA_EC_PARAMS, t.m.ecParams(f))
	}
	o, priv, err := t.generatePair(t.owner, mech(f.generate, nil), pub, attrs{}.lifeAttrs(false, true).rights(privateRights, granted...))
	if err != nil {
		return 0, nil, err
	}
	t.keep(o)
	t.keep(priv)
	if key, err = t.publicOf(o, kt); err != nil {
		return 0, nil, err
	}
	private, err = t.rewrapped(priv, f, granted...)
	return private, key, err
}

// tryCurves tries ECDSA and ECDH on each curve.
func (t *trial) tryCurves() error {
	for _, kt := range keyTypes {
		if forms[kt].kind != kindEC {
			continue
		}
		if kt == hsm.Secp256k1 && fips140.Enforced() {
			if err := t.miss(kt.String()+" keys", errStrict); err != nil {
				return err
			}
			continue
		}
		signErr := t.tryECDSA(kt)
		if signErr == nil {
			t.can(kt, hsm.UseSign, map[hsm.KeyType]hsm.Algorithm{
				hsm.P256: hsm.ECDSASHA256, hsm.P384: hsm.ECDSASHA384, hsm.P521: hsm.ECDSASHA512, hsm.Secp256k1: hsm.ECDSASHA256}[kt])
		} else if err := t.miss(kt.String()+" keys for signing", signErr); err != nil {
			return err
		}
		agreeErr := t.tryECDH(kt)
		if agreeErr == nil && slices.Contains(usages(kt), hsm.UseAgree) {
			t.can(kt, hsm.UseAgree, hsm.ECDH)
		}
		if agreeErr != nil {
			if err := t.miss(kt.String()+" keys for key agreement, and import of such keys inside the token", agreeErr); err != nil {
				return err
			}
		}
		t.canDerive[kt] = signErr == nil && agreeErr == nil
	}
	return nil
}

func (t *trial) tryECDSA(kt hsm.KeyType) error {
	if err := t.need(pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDSA); err != nil {
		return err
	}
	private, key, err := t.pair(kt, []uint{pkcs11.CKA_SIGN}, pkcs11.CKA_VERIFY)
	if err != nil {
		return err
	}
	digest, m := randomBytes(32), mech(pkcs11.CKM_ECDSA, nil)
	sig, err := t.sign(m, private, digest)
	if err != nil {
		return err
	}
	if !forms[kt].verifyRaw(key.point, digest, sig) {
		return errors.New("the token makes wrong signatures")
	}
	public, err := t.create(t.owner, key.attrs(forms[kt].params, pkcs11.CKA_VERIFY))
	if err != nil {
		return err
	}
	t.keep(public)
	return t.verifies(m, public, digest, sig)
}

// tryECDH agrees on a secret with the base point, whose product with the private key is the public key: that is also how
// import finds public keys.
func (t *trial) tryECDH(kt hsm.KeyType) error {
	if err := t.need(pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDH1_DERIVE); err != nil {
		return err
	}
	private, key, err := t.pair(kt, []uint{pkcs11.CKA_DERIVE})
	if err != nil {
		return err
	}
	f := forms[kt]
	x, err := t.agree(private, f, f.generator())
	if err != nil && !t.p.derPoints {
		if err := t.refresh(); err != nil {
			return err
		}
		t.p.derPoints = true
		if x, err = t.agree(private, f, f.generator()); err != nil {
			t.p.derPoints = false
		}
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(x, key.point[1:1+f.size]) {
		return errors.New("the token derives a wrong secret")
	}
	return t.tryPeer(private, key, f)
}

// tryPeer compares a shared secret with the one computed here, on the curves that this process knows.
func (t *trial) tryPeer(private pkcs11.ObjectHandle, key *publicKey, f *form) error {
	curve := map[int]ecdh.Curve{32: ecdh.P256(), 48: ecdh.P384(), 66: ecdh.P521()}[f.size]
	if f.curve == nil {
		return nil
	}
	peer, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	own, err := curve.NewPublicKey(key.point)
	if err != nil {
		return err
	}
	want, err := peer.ECDH(own)
	if err != nil {
		return err
	}
	got, err := t.agree(private, f, peer.PublicKey().Bytes())
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("the token derives a wrong secret")
	}
	return err
}

// tryEd25519 tries both ways to name the curve (PKCS #11 v3.0 section 2.3.10 knows both), and both algorithms.
func (t *trial) tryEd25519() error {
	const kt = hsm.Ed25519
	if err := t.need(ckmECEdwardsKeyPairGen, ckmEDDSA); err != nil {
		return t.miss("Ed25519 keys", err)
	}
	name, err := asn1.MarshalWithParams("edwards25519", "printable")
	if err != nil {
		return err
	}
	var private pkcs11.ObjectHandle
	var key *publicKey
	for _, params := range [][]byte{forms[kt].params, name} {
		t.p.edParams = params
		if private, key, err = t.pair(kt, []uint{pkcs11.CKA_SIGN}, pkcs11.CKA_VERIFY); err == nil {
			break
		}
		if err := t.refresh(); err != nil {
			return err
		}
	}
	if err != nil {
		return t.miss("Ed25519 keys", err)
	}
	public, err := t.create(t.owner, key.attrs(t.p.edParams, pkcs11.CKA_VERIFY))
	if err != nil {
		return t.miss("Ed25519 keys", err)
	}
	t.keep(public)
	for _, alg := range []hsm.Algorithm{hsm.Ed25519Pure, hsm.Ed25519ph} {
		if err := t.tryEdDSA(alg, private, public, key); err != nil {
			if err := t.miss(alg.String(), err); err != nil {
				return err
			}
			continue
		}
		t.can(kt, hsm.UseSign, alg)
	}
	info, err := t.attribute(private, ckaPublicKeyInfo)
	t.canDerive[kt] = err == nil && bytes.Equal(info, key.spki())
	return t.refresh()
}

// tryEdDSA checks the signature here: some tokens take the parameters of Ed25519ph and sign as if there were none.
func (t *trial) tryEdDSA(alg hsm.Algorithm, private, public pkcs11.ObjectHandle, key *publicKey) error {
	msg, s := randomBytes(64), schemes[alg]
	sig, err := t.sign(s.mechanism, private, msg)
	if err != nil {
		return err
	}
	options := &ed25519.Options{}
	if alg == hsm.Ed25519ph {
		options.Hash = crypto.SHA512
	}
	if ed25519.VerifyWithOptions(key.point, msg, sig, options) != nil {
		return errors.New("the token makes signatures of another kind")
	}
	return t.verifies(s.mechanism, public, msg, sig)
}

// tryMLDSA tries ML-DSA with the numbers of PKCS #11 v3.2.
func (t *trial) tryMLDSA() error {
	var lacking []string
	var why error
	for kt, params := range map[hsm.KeyType]mldsa.Parameters{hsm.MLDSA44: mldsa.MLDSA44(), hsm.MLDSA65: mldsa.MLDSA65(), hsm.MLDSA87: mldsa.MLDSA87()} {
		err := t.tryMLDSAWith(kt, params)
		if err == nil {
			t.can(kt, hsm.UseSign, hsm.MLDSAPure)
			continue
		}
		lacking, why = append(lacking, kt.String()), err
		if err := t.refresh(); err != nil {
			return err
		}
	}
	slices.Sort(lacking)
	if why != nil {
		return t.miss(strings.Join(lacking, ", ")+" keys", why)
	}
	return t.miss(hsm.MLDSAExternalMu.String(), errors.New("PKCS #11 v3.2 has no mechanism for it"))
}

func (t *trial) tryMLDSAWith(kt hsm.KeyType, params mldsa.Parameters) error {
	if err := t.need(ckmMLDSAKeyPairGen, ckmMLDSA); err != nil {
		return err
	}
	private, key, err := t.pair(kt, []uint{pkcs11.CKA_SIGN}, pkcs11.CKA_VERIFY)
	if err != nil {
		return err
	}
	msg, m := randomBytes(64), schemes[hsm.MLDSAPure].mechanism
	sig, err := t.sign(m, private, msg)
	if err != nil {
		return err
	}
	pub, err := mldsa.NewPublicKey(params, key.point)
	if err != nil {
		return err
	}
	if err := mldsa.Verify(pub, msg, sig, nil); err != nil {
		return fmt.Errorf("the token makes wrong signatures: %w", err)
	}
	public, err := t.create(t.owner, key.attrs(nil, pkcs11.CKA_VERIFY))
	if err != nil {
		return err
	}
	t.keep(public)
	return t.verifies(m, public, msg, sig)
}

// concludeImports chooses the route of each mechanism and type that the token has keys of, and tells what is left out.
func (t *trial) concludeImports() {
	for _, m := range []hsm.WrapMechanism{hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256, hsm.WrapRSAAESKWSHA1, hsm.WrapRSAAESKWSHA256, hsm.WrapAESKWP} {
		routes := map[hsm.KeyType]route{}
		var lacking []string
		for _, kt := range keyTypes {
			if !t.p.usable(kt) || forms[kt].kind == kindMLDSA {
				continue
			}
			way := t.p.route(m, kt, t.canDerive[kt] || forms[kt].kind == kindRSA)
			if way == routeNone {
				if _, hybrid, _ := importParts(m); hybrid || m == hsm.WrapAESKWP && kt != hsm.AES256 || forms[kt].kind != kindRSA && kt != hsm.AES256 {
					lacking = append(lacking, kt.String())
				}
				continue
			}
			routes[kt] = way
			t.p.caps.Import[m] = append(t.p.caps.Import[m], kt)
		}
		t.p.imports[m] = routes
		if len(lacking) > 0 {
			t.p.caps.Missing = append(t.p.caps.Missing, fmt.Sprintf("import with %v of %s: %s", m, strings.Join(lacking, ", "), t.whyNoImport(m)))
		}
	}
}

// usable reports whether the token has keys of the type at all.
func (p *profile) usable(kt hsm.KeyType) bool {
	return slices.ContainsFunc(usages(kt), func(u hsm.Usage) bool { return p.caps.Can(kt, u) })
}

func (t *trial) whyNoImport(m hsm.WrapMechanism) string {
	h, _, _ := importParts(m)
	switch {
	case m == hsm.WrapAESKWP:
		return "such keys travel between regions one by one, as far as the token can take them in at all"
	case !t.p.hostHash(h):
		return errStrict.Error()
	case t.p.rawRSA:
		return "the token cannot unwrap or check it, and this process cannot either"
	case !t.p.oaep[h].transport && !t.p.oaep[h].hybrid:
		return fmt.Sprintf("the token does not unwrap with %v; allow_host_unwrap would let this process remove the padding", h)
	}
	return "the token does not tell the length or the public key of what it unwrapped; allow_host_unwrap would let this process check it"
}
