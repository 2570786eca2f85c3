package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"reflect"
	"slices"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// better is SoftHSM2 with what it lacks, to run the paths that need more than SoftHSM2: RSAES-OAEP with SHA-256,
// CKM_RSA_AES_KEY_WRAP, Ed25519 and Ed25519ph, ML-DSA, and lengths and public keys that the token tells. The added
// mechanisms are computed here, on values that the overlay makes SoftHSM2 tell it; nothing else is changed.
type better struct {
	cryptoki
	mu     sync.Mutex
	keys   map[pkcs11.ObjectHandle]*betterKey
	next   pkcs11.ObjectHandle
	active map[pkcs11.SessionHandle]betterOp
}

// betterKey is an Ed25519 or ML-DSA key, or half of one.
type betterKey struct {
	session pkcs11.SessionHandle
	t       hsm.KeyType
	key     *pkcs8.Key // nil for public keys
	public  []byte
}

type betterOp struct {
	key    *betterKey
	handle pkcs11.ObjectHandle
	mech   *pkcs11.Mechanism
}

func newBetter(ck cryptoki) *better {
	return &better{cryptoki: ck, keys: map[pkcs11.ObjectHandle]*betterKey{}, next: 1 << 32, active: map[pkcs11.SessionHandle]betterOp{}}
}

const (
	errMechanism = pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID)
	errWrapped   = pkcs11.Error(pkcs11.CKR_WRAPPED_KEY_INVALID)
)

func (b *better) add(k *betterKey) pkcs11.ObjectHandle {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	b.keys[b.next] = k
	return b.next
}

func (b *better) lookup(o pkcs11.ObjectHandle) *betterKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[o]
}

func (b *better) GetMechanismList(slot uint) ([]*pkcs11.Mechanism, error) {
	list, err := b.cryptoki.GetMechanismList(slot)
	for _, m := range []uint{pkcs11.CKM_RSA_AES_KEY_WRAP, ckmMLDSAKeyPairGen, ckmMLDSA} {
		list = append(list, pkcs11.NewMechanism(m, nil))
	}
	return list, err
}

func (b *better) CloseSession(s pkcs11.SessionHandle) error {
	b.mu.Lock()
	for o, k := range b.keys {
		if k.session == s {
			delete(b.keys, o)
		}
	}
	b.mu.Unlock()
	return b.cryptoki.CloseSession(s)
}

func valueOf(a []*pkcs11.Attribute, kind uint) []byte {
	for _, x := range a {
		if x.Type == kind {
			return x.Value
		}
	}
	return nil
}

func ulong(b []byte) uint {
	if len(b) != 8 {
		return 0
	}
	return uint(binary.NativeEndian.Uint64(b))
}

// typeOf returns the added key type that a template asks for; 0 if it is SoftHSM2's business.
func typeOf(ckk uint, paramSet uint) hsm.KeyType {
	switch ckk {
	case ckkECEdwards:
		return hsm.Ed25519
	case ckkMLDSA:
		return hsm.MLDSA44 + hsm.KeyType(paramSet-1)
	}
	return 0
}

func (b *better) GenerateKeyPair(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, public, private []*pkcs11.Attribute) (pkcs11.ObjectHandle, pkcs11.ObjectHandle, error) {
	var t hsm.KeyType
	switch m[0].Mechanism {
	case ckmECEdwardsKeyPairGen:
		t = hsm.Ed25519
		if !bytes.Equal(valueOf(public, pkcs11.CKA_EC_PARAMS)[:1], []byte{0x13}) {
			return 0, 0, pkcs11.Error(pkcs11.CKR_DOMAIN_PARAMS_INVALID) // knows the curve by name only
		}
	case ckmMLDSAKeyPairGen:
		t = typeOf(ckkMLDSA, ulong(valueOf(public, ckaParameterSet)))
	default:
		return b.cryptoki.GenerateKeyPair(s, m, public, b.readable(private))
	}
	k, err := pkcs8.FromSecret(t, randomBytes(32))
	if err != nil {
		return 0, 0, err
	}
	pub := barePublic(k)
	return b.add(&betterKey{session: s, t: t, public: pub}), b.add(&betterKey{session: s, t: t, key: k, public: pub}), nil
}

func barePublic(k *pkcs8.Key) []byte {
	spki, err := k.PublicDER()
	if err != nil {
		panic(err)
	}
	p, err := parseSPKI(k.Type, spki)
	if err != nil {
		panic(err)
	}
	return p.point
}

// readable gives unwrapping keys the right to decrypt, which the overlay needs for the raw RSA operation.
func (b *better) readable(template []*pkcs11.Attribute) []*pkcs11.Attribute {
	if !bytes.Equal(valueOf(template, pkcs11.CKA_UNWRAP), []byte{1}) || valueOf(template, pkcs11.CKA_ENCRYPT) != nil {
		return template
	}
	return override(template, pkcs11.CKA_DECRYPT, true)
}

func override(template []*pkcs11.Attribute, kind uint, value any) []*pkcs11.Attribute {
	out := slices.DeleteFunc(slices.Clone(template), func(a *pkcs11.Attribute) bool { return a.Type == kind })
	return append(out, pkcs11.NewAttribute(kind, value))
}

func (b *better) CreateObject(s pkcs11.SessionHandle, a []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	t := typeOf(ulong(valueOf(a, pkcs11.CKA_KEY_TYPE)), ulong(valueOf(a, ckaParameterSet)))
	switch {
	case t == 0:
		return b.cryptoki.CreateObject(s, a)
	case ulong(valueOf(a, pkcs11.CKA_CLASS)) == pkcs11.CKO_PRIVATE_KEY:
		return b.addPrivate(s, t, valueOf(a, pkcs11.CKA_VALUE))
	case t == hsm.Ed25519:
		return b.add(&betterKey{session: s, t: t, public: unwrapPoint(valueOf(a, pkcs11.CKA_EC_POINT), forms[t])}), nil
	}
	return b.add(&betterKey{session: s, t: t, public: valueOf(a, pkcs11.CKA_VALUE)}), nil
}

func (b *better) addPrivate(s pkcs11.SessionHandle, t hsm.KeyType, secret []byte) (pkcs11.ObjectHandle, error) {
	k, err := pkcs8.FromSecret(t, secret)
	if err != nil {
		return 0, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_VALUE_INVALID)
	}
	return b.add(&betterKey{session: s, t: t, key: k, public: barePublic(k)}), nil
}

func (b *better) DestroyObject(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) error {
	if b.lookup(o) == nil {
		return b.cryptoki.DestroyObject(s, o)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.keys, o)
	return nil
}

func (b *better) GetAttributeValue(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, a []*pkcs11.Attribute) ([]*pkcs11.Attribute, error) {
	k := b.lookup(o)
	if k == nil {
		return b.secretLength(s, o, a)
	}
	switch kind := a[0].Type; {
	case kind == pkcs11.CKA_EC_POINT && k.key == nil:
		return attrs{}.with(kind, der(k.public)), nil
	case kind == pkcs11.CKA_VALUE && k.key == nil:
		return attrs{}.with(kind, k.public), nil
	case kind == ckaPublicKeyInfo:
		return attrs{}.with(kind, (&publicKey{t: k.t, point: k.public}).spki()), nil
	}
	return nil, pkcs11.Error(pkcs11.CKR_ATTRIBUTE_TYPE_INVALID)
}

// secretLength tells the length of extractable secrets, where SoftHSM2 tells 0 of what it unwrapped.
func (b *better) secretLength(s pkcs11.SessionHandle, o pkcs11.ObjectHandle, a []*pkcs11.Attribute) ([]*pkcs11.Attribute, error) {
	got, err := b.cryptoki.GetAttributeValue(s, o, a)
	if err == nil && len(a) == 1 && a[0].Type == pkcs11.CKA_VALUE_LEN && ulong(got[0].Value) == 0 {
		if value, err := b.value(s, o); err == nil {
			return attrs{}.with(pkcs11.CKA_VALUE_LEN, len(value)), nil
		}
		return attrs{}.with(pkcs11.CKA_VALUE_LEN, 32), nil // not extractable: only the trial asks, of 32 bytes
	}
	return got, err
}

// value finds out an extractable secret by having it wrapped under an RSA key of the overlay.
func (b *better) value(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) ([]byte, error) {
	priv, err := testRSA()
	if err != nil {
		return nil, err
	}
	template := attrs{}.with(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY).with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).
		with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, false).with(pkcs11.CKA_WRAP, true).
		with(pkcs11.CKA_MODULUS, priv.N.Bytes()).with(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})
	pub, err := b.cryptoki.CreateObject(s, template)
	if err != nil {
		return nil, err
	}
	defer b.cryptoki.DestroyObject(s, pub)
	c, err := b.cryptoki.WrapKey(s, oaepSHA1.mechanism(), pub, o)
	if err != nil {
		return nil, err
	}
	return rsa.DecryptOAEP(oaepSHA1.crypto().New(), nil, priv, c, nil)
}

// isOAEP256 recognizes the mechanism.
func isOAEP256(m *pkcs11.Mechanism) bool {
	return m.Mechanism == pkcs11.CKM_RSA_PKCS_OAEP && hashOf(m) == pkcs11.CKM_SHA256
}

// hashOf reads the OAEP hash out of a mechanism; the binding keeps such parameters to itself.
func hashOf(m *pkcs11.Mechanism) uint64 {
	params := reflect.ValueOf(m).Elem().FieldByName("generator").Elem().Elem()
	if inner := params.FieldByName("OAEPParams"); inner.IsValid() {
		params = inner
	}
	return params.FieldByName("HashAlg").Uint()
}

func (b *better) WrapKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, wrapping, o pkcs11.ObjectHandle) ([]byte, error) {
	if isOAEP256(m[0]) {
		secret, err := b.value(s, o)
		if err != nil {
			return nil, err
		}
		pub, err := b.rsaPublic(s, wrapping)
		if err != nil {
			return nil, err
		}
		return rsa.EncryptOAEP(oaepSHA256.crypto().New(), rand.Reader, pub, secret, nil)
	}
	if k := b.lookup(o); k != nil {
		// The PrivateKeyInfo goes through SoftHSM2 as a generic secret.
		secret, err := b.cryptoki.CreateObject(s, secretForm().keyAttrs(false, true).with(pkcs11.CKA_VALUE, k.key.DER()))
		if err != nil {
			return nil, err
		}
		defer b.cryptoki.DestroyObject(s, secret)
		o = secret
	}
	wrapped, err := b.cryptoki.WrapKey(s, m, wrapping, o)
	if err != nil {
		return nil, err
	}
	return b.exact(s, wrapping, o, wrapped), nil
}

// exact takes out the zeros that SoftHSM2 2.6 puts behind keys before it wraps them, if the wrapping key can be told.
func (b *better) exact(s pkcs11.SessionHandle, wrapping, o pkcs11.ObjectHandle, wrapped []byte) []byte {
	kek, err := b.value(s, wrapping)
	if err != nil {
		return wrapped
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return wrapped
	}
	material, err := kwp.Unwrap(block, wrapped)
	if err != nil {
		return wrapped
	}
	if secret, err := b.value(s, o); err == nil {
		material = secret
	}
	out, err := kwp.Wrap(block, derOnly(material))
	if err != nil {
		return wrapped
	}
	return out
}

func (b *better) rsaPublic(s pkcs11.SessionHandle, o pkcs11.ObjectHandle) (*rsa.PublicKey, error) {
	got, err := b.cryptoki.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil)})
	if err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(got[0].Value), E: publicExponent}, nil
}

func (b *better) UnwrapKey(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, wrapped []byte, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	ckk := ulong(valueOf(template, pkcs11.CKA_KEY_TYPE))
	added := ckk == ckkECEdwards || ckk == ckkMLDSA
	switch {
	case m[0].Mechanism == pkcs11.CKM_RSA_AES_KEY_WRAP:
		return b.unwrapHybrid(s, m[0], key, wrapped, template)
	case isOAEP256(m[0]), m[0].Mechanism == pkcs11.CKM_RSA_PKCS_OAEP && added:
		h := oaepSHA1
		if isOAEP256(m[0]) {
			h = oaepSHA256
		}
		secret, err := b.decryptOAEP(s, h, key, wrapped)
		if err != nil {
			return 0, errWrapped
		}
		return b.createFrom(s, secret, template)
	case added:
		secret, err := b.unwrapValue(s, m, key, wrapped)
		if err != nil {
			return 0, err
		}
		return b.createFrom(s, secret, template)
	}
	return b.cryptoki.UnwrapKey(s, m, key, wrapped, b.readable(template))
}

// unwrapValue unwraps something and tells its value.
func (b *better) unwrapValue(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, key pkcs11.ObjectHandle, wrapped []byte) ([]byte, error) {
	template := attrs{}.with(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY).with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET).
		with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_SENSITIVE, false).with(pkcs11.CKA_EXTRACTABLE, true)
	o, err := b.cryptoki.UnwrapKey(s, m, key, wrapped, template)
	if err != nil {
		return nil, err
	}
	defer b.cryptoki.DestroyObject(s, o)
	got, err := b.cryptoki.GetAttributeValue(s, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if err != nil {
		return nil, err
	}
	return got[0].Value, nil
}

func (b *better) decryptOAEP(s pkcs11.SessionHandle, h oaepHash, key pkcs11.ObjectHandle, c []byte) ([]byte, error) {
	if err := b.cryptoki.DecryptInit(s, mech(pkcs11.CKM_RSA_X_509, nil), key); err != nil {
		return nil, err
	}
	em, err := b.cryptoki.Decrypt(s, c)
	if err != nil {
		return nil, err
	}
	plain, ok := unpadOAEP(h, em)
	if ok != 1 {
		return nil, pkcs11.Error(pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	}
	return plain, nil
}

func (b *better) unwrapHybrid(s pkcs11.SessionHandle, m *pkcs11.Mechanism, key pkcs11.ObjectHandle, wrapped []byte, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	pub, err := b.rsaPublic(s, key)
	if err != nil {
		return 0, err
	}
	h := oaepSHA256
	if hashOf(m) == pkcs11.CKM_SHA_1 {
		h = oaepSHA1
	}
	if len(wrapped) < pub.Size() {
		return 0, errWrapped
	}
	kek, err := b.decryptOAEP(s, h, key, wrapped[:pub.Size()])
	if err != nil || len(kek) != 32 {
		return 0, errWrapped
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return 0, err
	}
	secret, err := kwp.Unwrap(block, wrapped[pub.Size():])
	if err != nil {
		return 0, errWrapped
	}
	return b.createFrom(s, secret, template)
}

// createFrom makes an object of unwrapped material.
func (b *better) createFrom(s pkcs11.SessionHandle, secret []byte, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	if ulong(valueOf(template, pkcs11.CKA_CLASS)) == pkcs11.CKO_SECRET_KEY {
		if len(secret) == 0 {
			return 0, errWrapped
		}
		return b.cryptoki.CreateObject(s, attrs(template).with(pkcs11.CKA_VALUE, secret))
	}
	if ckk := ulong(valueOf(template, pkcs11.CKA_KEY_TYPE)); ckk == ckkECEdwards || ckk == ckkMLDSA {
		for t := range forms {
			if forms[t].ckk != ckk {
				continue
			}
			if k, err := pkcs8.Parse(t, derOnly(secret)); err == nil {
				return b.addPrivate(s, t, k.Secret)
			}
		}
		return 0, errWrapped
	}
	// Other private keys go in under an AES key of the overlay.
	kek := randomBytes(32)
	o, err := b.cryptoki.CreateObject(s, aesForm.keyAttrs(false, false, pkcs11.CKA_UNWRAP).with(pkcs11.CKA_VALUE, kek))
	if err != nil {
		return 0, err
	}
	defer b.cryptoki.DestroyObject(s, o)
	block, err := aes.NewCipher(kek)
	if err != nil {
		return 0, err
	}
	wrapped, err := kwp.Wrap(block, secret)
	if err != nil {
		return 0, errWrapped
	}
	return b.cryptoki.UnwrapKey(s, mech(pkcs11.CKM_AES_KEY_WRAP_PAD, nil), o, wrapped, template)
}

// derOnly cuts off the zeros that SoftHSM2 2.6 puts behind what it wraps.
func derOnly(b []byte) []byte {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(b, &v)
	if err != nil || len(bytes.Trim(rest, "\x00")) != 0 || len(rest) > 7 {
		return b
	}
	return v.FullBytes
}
