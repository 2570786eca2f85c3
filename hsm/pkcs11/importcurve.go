package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k256 "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// length returns the length that the token tells of a secret; 0 if it does not.
func (l *lease) length(o pkcs11.ObjectHandle) (int, error) {
	v, err := l.attribute(o, pkcs11.CKA_VALUE_LEN)
	if err != nil || len(v) > 8 {
		return 0, err
	}
	var b [8]byte
	copy(b[:], v)
	n := binary.NativeEndian.Uint64(b[:])
	if n > 1<<20 {
		return 0, nil // CK_UNAVAILABLE_INFORMATION
	}
	return int(n), nil
}

// sample wraps a random secret as a client would.
func (j *importing) sample() (block, rest []byte, err error) {
	secret, pub := make([]byte, 32), j.k.pub
	rand.Read(secret)
	block, err = pub.encryptHere(j.hash, secret)
	if err != nil || !j.hybrid {
		return block, nil, err
	}
	cipher, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, err
	}
	rest, err = kwp.Wrap(cipher, make([]byte, 32))
	return block, rest, err
}

// unwrapHere does in this process what the token cannot: the padding of OAEP, and key wrap. The material is in memory
// in the clear until the token has made an object of it.
func (j *importing) unwrapHere(block, rest []byte) (pkcs11.ObjectHandle, *publicKey, error) {
	material, ok, err := j.decryptHere(j.hash, j.private, block)
	if err != nil {
		return 0, nil, err
	}
	defer func() { clear(material) }()
	if j.hybrid {
		aesKey := material
		if ok != 1 || len(aesKey) != 32 {
			aesKey = make([]byte, 32)
			rand.Read(aesKey)
		}
		cipher, err := aes.NewCipher(aesKey)
		clear(aesKey)
		if err != nil {
			return 0, nil, err
		}
		if material, err = kwp.Unwrap(cipher, rest); err != nil {
			return 0, nil, errUnwrap
		}
	} else if ok != 1 {
		return 0, nil, errUnwrap
	}
	return j.createFrom(material)
}

// createFrom makes an object of material in the clear.
func (j *importing) createFrom(material []byte) (pkcs11.ObjectHandle, *publicKey, error) {
	f, template := forms[j.t], j.template()
	if f.kind == kindSecret {
		if len(material) != j.t.SecretSize() {
			return 0, nil, wrong("%d bytes, want %d", len(material), j.t.SecretSize())
		}
		o, err := j.create(j.session, template.with(pkcs11.CKA_VALUE, material))
		if err == nil {
			j.keep(o)
		}
		return o, nil, err
	}
	k, err := pkcs8.Parse(j.t, material)
	if err != nil {
		return 0, nil, wrong("%v", err)
	}
	defer k.Wipe()
	spki, err := k.PublicDER()
	if err != nil {
		return 0, nil, wrong("%v", err)
	}
	public, err := parseSPKI(j.t, spki)
	if err != nil {
		return 0, nil, err
	}
	o, err := j.create(j.session, template.with(pkcs11.CKA_EC_PARAMS, j.m.ecParams(f)).with(pkcs11.CKA_VALUE, k.Secret))
	if err == nil {
		j.keep(o)
	}
	return o, public, err
}

// maxNamedCurve bounds the PrivateKeyInfo of a named curve beside its three numbers. Explicit parameters, which are
// refused (spec 07 MAT), take far more.
const maxNamedCurve = 96

// checkEC checks the curve and finds the public key.
func (j *importing) checkEC(o pkcs11.ObjectHandle, wrappedSize int) (*publicKey, error) {
	f := forms[j.t]
	params, err := j.attribute(o, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(params, f.params) || wrappedSize > 3*f.size+maxNamedCurve {
		return nil, wrong("not the named curve %v", j.t)
	}
	return j.derivePublic(o)
}

// derivePublic finds the public key of a private one that the token does not tell: ECDH with the base point gives the
// x coordinate, and a signature tells the two points with that apart. The private key needs CKA_DERIVE and CKA_SIGN.
func (j *importing) derivePublic(o pkcs11.ObjectHandle) (*publicKey, error) {
	f := forms[j.t]
	x, err := j.agree(o, f, f.generator())
	if err != nil {
		return nil, j.unusable(err)
	}
	digest := make([]byte, 32)
	rand.Read(digest)
	sig, err := j.sign(mech(pkcs11.CKM_ECDSA, nil), o, digest)
	if err != nil {
		return nil, j.unusable(err)
	}
	for _, sign := range []byte{2, 3} {
		point, err := f.decompress(append([]byte{sign}, x...))
		if err == nil && f.verifyRaw(point, digest, sig) {
			return &publicKey{t: j.t, point: point}, nil
		}
	}
	return nil, wrong("not a private key on %v", j.t)
}

// verifyRaw verifies r || s in this process.
func (f *form) verifyRaw(point, digest, sig []byte) bool {
	der, err := ecdsaToDER(sig, f.size)
	if err != nil {
		return false
	}
	if f.curve == nil {
		pub, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return false
		}
		var r, s secp256k1.ModNScalar
		if r.SetByteSlice(sig[:f.size]) || s.SetByteSlice(sig[f.size:]) {
			return false
		}
		return k256.NewSignature(&r, &s).Verify(digest, pub)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(f.curve, point)
	return err == nil && ecdsa.VerifyASN1(pub, digest, der)
}

// checkEd reads the public key, which not every token tells of private keys, and checks that it belongs to the key.
func (j *importing) checkEd(o pkcs11.ObjectHandle) (*publicKey, error) {
	info, err := j.attribute(o, ckaPublicKeyInfo)
	if err != nil {
		return nil, err
	}
	public, err := parseSPKI(j.t, info)
	if err != nil {
		return nil, wrong("not an %v private key", j.t)
	}
	msg := make([]byte, 32)
	rand.Read(msg)
	sig, err := j.sign(schemes[hsm.Ed25519Pure].mechanism, o, msg)
	if err != nil {
		return nil, j.unusable(err)
	}
	if !ed25519.Verify(public.point, msg, sig) {
		return nil, wrong("the public key in it does not belong to the private key")
	}
	return public, nil
}
