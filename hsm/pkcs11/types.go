package pkcs11

import (
	"crypto/elliptic"
	"encoding/asn1"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// kind is the family of a key type.
type kind int

const (
	kindSecret kind = iota // CKK_GENERIC_SECRET
	kindRSA
	kindEC
	kindEd
	kindMLDSA
)

// form says how PKCS #11 knows a key type.
type form struct {
	kind     kind
	ckk      uint // CKA_KEY_TYPE
	generate uint // mechanism

	oid      asn1.ObjectIdentifier // of curves and ML-DSA parameter sets
	params   []byte                // CKA_EC_PARAMS: oid in DER
	size     int                   // of a coordinate, in bytes; of Ed25519 public keys
	curve    elliptic.Curve        // NIST curves
	paramSet uint                  // CKA_PARAMETER_SET of ML-DSA
	pubSize  int                   // of ML-DSA public keys, in bytes
}

// forms is the table of key types. It is never changed.
var forms = map[hsm.KeyType]*form{
	hsm.Symmetric: secretForm(),
	hsm.HMAC224:   secretForm(),
	hsm.HMAC256:   secretForm(),
	hsm.HMAC384:   secretForm(),
	hsm.HMAC512:   secretForm(),
	hsm.AES256:    aesForm,
	hsm.RSA2048:   rsaForm(),
	hsm.RSA3072:   rsaForm(),
	hsm.RSA4096:   rsaForm(),
	hsm.P256:      ecForm(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, 32, elliptic.P256()),
	hsm.P384:      ecForm(asn1.ObjectIdentifier{1, 3, 132, 0, 34}, 48, elliptic.P384()),
	hsm.P521:      ecForm(asn1.ObjectIdentifier{1, 3, 132, 0, 35}, 66, elliptic.P521()),
	hsm.Secp256k1: ecForm(asn1.ObjectIdentifier{1, 3, 132, 0, 10}, 32, nil),
	hsm.Ed25519:   edForm(),
	hsm.MLDSA44:   mldsaForm(17, 1, 1312),
	hsm.MLDSA65:   mldsaForm(18, 2, 1952),
	hsm.MLDSA87:   mldsaForm(19, 3, 2592),
}

// keyTypes lists the types in the order in which operators read about them.
var keyTypes = []hsm.KeyType{
	hsm.Symmetric, hsm.HMAC224, hsm.HMAC256, hsm.HMAC384, hsm.HMAC512, hsm.AES256, hsm.RSA2048, hsm.RSA3072, hsm.RSA4096,
	hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1, hsm.Ed25519, hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87,
}

func secretForm() *form {
	return &form{kind: kindSecret, ckk: pkcs11.CKK_GENERIC_SECRET, generate: pkcs11.CKM_GENERIC_SECRET_KEY_GEN}
}

func rsaForm() *form {
	return &form{kind: kindRSA, ckk: pkcs11.CKK_RSA, generate: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN}
}

func ecForm(oid asn1.ObjectIdentifier, size int, curve elliptic.Curve) *form {
	return &form{kind: kindEC, ckk: pkcs11.CKK_EC, generate: pkcs11.CKM_EC_KEY_PAIR_GEN,
		oid: oid, params: der(oid), size: size, curve: curve}
}

func edForm() *form {
	oid := asn1.ObjectIdentifier{1, 3, 101, 112}
	return &form{kind: kindEd, ckk: ckkECEdwards, generate: ckmECEdwardsKeyPairGen, oid: oid, params: der(oid), size: 32}
}

func mldsaForm(arc int, set uint, size int) *form {
	return &form{kind: kindMLDSA, ckk: ckkMLDSA, generate: ckmMLDSAKeyPairGen,
		oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, arc}, paramSet: set, pubSize: size}
}

// der encodes a value that is known to encode.
func der(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic("pkcs11: " + err.Error())
	}
	return b
}

func (f *form) class() uint {
	if f.kind == kindSecret {
		return pkcs11.CKO_SECRET_KEY
	}
	return pkcs11.CKO_PRIVATE_KEY
}

// usages are what a key of the type may be made for.
func usages(t hsm.KeyType) []hsm.Usage {
	switch forms[t].kind {
	case kindSecret:
		switch t {
		case hsm.Symmetric:
			return []hsm.Usage{hsm.UseDerive}
		case hsm.AES256:
			return []hsm.Usage{hsm.UseUnwrap, hsm.UseWrap}
		}
		return []hsm.Usage{hsm.UseMAC}
	case kindRSA:
		return []hsm.Usage{hsm.UseSign, hsm.UseDecrypt, hsm.UseUnwrap}
	case kindEC:
		if t != hsm.Secp256k1 {
			return []hsm.Usage{hsm.UseSign, hsm.UseAgree}
		}
	}
	return []hsm.Usage{hsm.UseSign}
}

// Attributes that permit something. What is not named in a template is up to the token, so that all are named.
var (
	secretRights  = []uint{pkcs11.CKA_SIGN, pkcs11.CKA_VERIFY, pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE}
	privateRights = []uint{pkcs11.CKA_SIGN, pkcs11.CKA_SIGN_RECOVER, pkcs11.CKA_DECRYPT, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE}
	publicRights  = []uint{pkcs11.CKA_VERIFY, pkcs11.CKA_VERIFY_RECOVER, pkcs11.CKA_ENCRYPT, pkcs11.CKA_WRAP}
)

// rights sets one attribute for each of all, true for the granted.
func (a attrs) rights(all []uint, granted ...uint) attrs {
	for _, right := range all {
		on := false
		for _, g := range granted {
			on = on || g == right
		}
		a = a.with(right, on)
	}
	return a
}

// granted are the rights that a usage gives to the private or secret half of a key.
func (m *Module) granted(t hsm.KeyType, u hsm.Usage) []uint {
	switch u {
	case hsm.UseDerive, hsm.UseMAC, hsm.UseSign:
		return []uint{pkcs11.CKA_SIGN}
	case hsm.UseDecrypt:
		return []uint{pkcs11.CKA_DECRYPT}
	case hsm.UseAgree:
		return []uint{pkcs11.CKA_DERIVE}
	case hsm.UseWrap:
		return []uint{pkcs11.CKA_WRAP}
	case hsm.UseUnwrap:
		if m.cfg.AllowHostUnwrap && t.Asymmetric() {
			return []uint{pkcs11.CKA_UNWRAP, pkcs11.CKA_DECRYPT}
		}
		return []uint{pkcs11.CKA_UNWRAP}
	}
	return nil
}

// grantedPublic are the rights that a usage gives to the public half.
func grantedPublic(u hsm.Usage) []uint {
	switch u {
	case hsm.UseSign:
		return []uint{pkcs11.CKA_VERIFY}
	case hsm.UseDecrypt:
		return []uint{pkcs11.CKA_ENCRYPT}
	}
	return nil
}

// keyAttrs is the template of a private or secret key with the given rights, except for what says its value. Sensitive
// always; extractable, which still means only wrapped, for keys that are about to be wrapped.
func (f *form) keyAttrs(token, extractable bool, granted ...uint) attrs {
	a := attrs{}.with(pkcs11.CKA_CLASS, f.class()).with(pkcs11.CKA_KEY_TYPE, f.ckk)
	return a.lifeAttrs(token, extractable).rights(f.allRights(), granted...)
}

func (f *form) allRights() []uint {
	if f.kind == kindSecret {
		return secretRights
	}
	return privateRights
}

func (a attrs) lifeAttrs(token, extractable bool) attrs {
	return a.with(pkcs11.CKA_TOKEN, token).flags(true, pkcs11.CKA_PRIVATE, pkcs11.CKA_SENSITIVE).
		with(pkcs11.CKA_EXTRACTABLE, extractable)
}
