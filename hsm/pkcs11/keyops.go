package pkcs11

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

var errSignature = errors.New("pkcs11: the token made a signature of the wrong form")

// DeriveKey computes one block of SP 800-108r1 counter mode as HMAC-SHA-256 in the token.
func (k *key) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	in := make([]byte, 4, 4+len(fixed))
	binary.BigEndian.PutUint32(in, 1)
	in = append(in, fixed...)
	got, err := use(ctx, k, hsm.UseDerive, func(l *lease, h pkcs11.ObjectHandle) (*[32]byte, error) {
		sum, err := l.prf(h)(in)
		return &sum, err
	})
	if err != nil {
		return err
	}
	*out = *got
	clear(got[:])
	return nil
}

// MAC computes the HMAC of the key's type.
func (k *key) MAC(ctx context.Context, msg []byte) ([]byte, error) {
	msg = bytes.Clone(msg)
	return use(ctx, k, hsm.UseMAC, func(l *lease, h pkcs11.ObjectHandle) ([]byte, error) {
		return l.sign(macMechanisms[k.mat.Type], h, msg)
	})
}

// scheme returns how alg runs for this key, and what the token gets for the input.
func (k *key) scheme(alg hsm.Algorithm, in []byte) (*scheme, []byte, error) {
	s := schemes[alg]
	if s == nil || !k.m.profile.caps.CanUse(k.mat.Type, hsm.UseSign, alg) {
		return nil, nil, unsupported("the token has no %v with %v keys", alg, k.mat.Type)
	}
	if n := alg.DigestSize(); n != 0 && len(in) != n {
		return nil, nil, invalid("input of %d bytes, %v takes %d", len(in), alg, n)
	}
	input := make([]byte, 0, len(s.prefix)+len(in))
	return s, append(append(input, s.prefix...), in...), nil
}

// Sign signs in the token.
func (k *key) Sign(ctx context.Context, alg hsm.Algorithm, in []byte) ([]byte, error) {
	if k.mat.Usage != hsm.UseSign {
		return nil, unsupported("the key is for %v, not for signing", k.mat.Usage)
	}
	s, input, err := k.scheme(alg, in)
	if err != nil {
		return nil, err
	}
	return use(ctx, k, hsm.UseSign, func(l *lease, h pkcs11.ObjectHandle) ([]byte, error) {
		sig, err := l.sign(s.mechanism, h, input)
		if err != nil || s.kind != kindEC {
			return sig, err
		}
		return ecdsaToDER(sig, forms[k.mat.Type].size)
	})
}

// Verify verifies in the token. Signatures that cannot be right are false before the token sees them, since tokens
// answer some of them with errors that may mean anything.
func (k *key) Verify(ctx context.Context, alg hsm.Algorithm, in, sig []byte) (bool, error) {
	if k.mat.Usage != hsm.UseSign {
		return false, unsupported("the key is for %v, not for verifying", k.mat.Usage)
	}
	s, input, err := k.scheme(alg, in)
	if err != nil {
		return false, err
	}
	sig = bytes.Clone(sig)
	return use(ctx, k, hsm.UseSign, func(l *lease, h pkcs11.ObjectHandle) (bool, error) {
		raw, ok := k.rawSignature(sig)
		if !ok {
			return false, nil
		}
		public, err := k.publicHandle(l)
		if err != nil {
			return false, err
		}
		return l.verify(s.mechanism, public, input, raw)
	})
}

// Lengths of signatures, in bytes: Ed25519 (RFC 8032) and ML-DSA (FIPS 204 table 2) by the public key's length.
const ed25519Signature = 64

var mldsaSignature = map[int]int{1312: 2420, 1952: 3309, 2592: 4627}

// ed25519Order is the order of edwards25519's base point, RFC 8032 section 5.1.
var ed25519Order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// rawSignature returns sig in the token's form; false if it has not even the form of a signature by this key.
func (k *key) rawSignature(sig []byte) ([]byte, bool) {
	f := forms[k.mat.Type]
	switch f.kind {
	case kindEC:
		return ecdsaFromDER(sig, f)
	case kindRSA:
		return sig, len(sig) == k.modulusSize() && new(big.Int).SetBytes(sig).Cmp(k.pub.n) < 0
	case kindEd:
		if len(sig) != ed25519Signature {
			return nil, false
		}
		s := bytes.Clone(sig[32:])
		for i := range 16 {
			s[i], s[31-i] = s[31-i], s[i]
		}
		return sig, new(big.Int).SetBytes(s).Cmp(ed25519Order) < 0
	case kindMLDSA:
		return sig, len(sig) == mldsaSignature[f.pubSize]
	}
	return nil, false
}

// modulusSize is the length of an RSA modulus in bytes.
func (k *key) modulusSize() int { return k.mat.Type.ModulusBits() / 8 }

// Agree computes ECDH in the token. The curves have cofactor 1, so that plain and cofactor Diffie-Hellman are the same.
func (k *key) Agree(ctx context.Context, peer []byte) ([]byte, error) {
	if k.mat.Usage != hsm.UseAgree {
		return nil, unsupported("the key is for %v, not for key agreement", k.mat.Usage)
	}
	pub, err := parseSPKI(k.mat.Type, peer)
	if err != nil {
		return nil, invalid("the peer's public key is not a point of %v in a SubjectPublicKeyInfo", k.mat.Type)
	}
	return use(ctx, k, hsm.UseAgree, func(l *lease, h pkcs11.ObjectHandle) ([]byte, error) {
		return l.agree(h, forms[k.mat.Type], pub.point)
	})
}

// agree derives the x coordinate of a shared point as a readable session object, reads and destroys it.
func (l *lease) agree(private pkcs11.ObjectHandle, f *form, point []byte) ([]byte, error) {
	s := l.scratch()
	defer s.drop()
	template := attrs{}.with(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY).with(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET).
		with(pkcs11.CKA_TOKEN, false).with(pkcs11.CKA_PRIVATE, true).with(pkcs11.CKA_SENSITIVE, false).
		with(pkcs11.CKA_EXTRACTABLE, true).with(pkcs11.CKA_VALUE_LEN, f.size)
	if l.m.profile.derPoints {
		point = der(point)
	}
	params := pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point)
	o, err := l.derive(l.session, mech(pkcs11.CKM_ECDH1_DERIVE, params), private, template)
	if err != nil {
		return nil, err
	}
	s.keep(o)
	got, err := l.ck.GetAttributeValue(l.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if err != nil {
		return nil, l.spoil("C_GetAttributeValue", err)
	}
	secret := got[0].Value
	if len(secret) > f.size || len(secret) == 0 {
		return nil, fmt.Errorf("pkcs11: the token derived %d bytes, want %d", len(secret), f.size)
	}
	if len(secret) == f.size {
		return secret, nil
	}
	// Some tokens drop leading zeros.
	out := make([]byte, f.size)
	copy(out[f.size-len(secret):], secret)
	clear(secret)
	return out, nil
}
