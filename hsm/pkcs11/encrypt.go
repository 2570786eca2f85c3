package pkcs11

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// oaep returns the hash of an encryption algorithm that this key supports.
func (k *key) oaep(alg hsm.Algorithm) (oaepHash, error) {
	h, ok := oaepOf(alg)
	if !ok || !k.m.profile.caps.CanUse(k.mat.Type, hsm.UseDecrypt, alg) {
		return 0, unsupported("the token has no %v with %v keys", alg, k.mat.Type)
	}
	return h, nil
}

// Encrypt encrypts with the public key: in the token, or in this process where the token lacks the OAEP hash and
// AllowHostUnwrap is set (nothing secret is in the process then but the plaintext, which came with the call).
func (k *key) Encrypt(ctx context.Context, alg hsm.Algorithm, plaintext []byte) ([]byte, error) {
	if k.mat.Usage != hsm.UseDecrypt {
		return nil, unsupported("the key is for %v, not for encryption", k.mat.Usage)
	}
	h, err := k.oaep(alg)
	if err != nil {
		return nil, err
	}
	if limit := h.maxPlain(k.modulusSize()); len(plaintext) > limit {
		return nil, invalid("%v with %v keys encrypts at most %d bytes", alg, k.mat.Type, limit)
	}
	plaintext = bytes.Clone(plaintext)
	out, err := use(ctx, k, hsm.UseDecrypt, func(l *lease, _ pkcs11.ObjectHandle) ([]byte, error) {
		if !k.m.profile.oaep[h].decrypts {
			return k.pub.encryptHere(h, plaintext)
		}
		public, err := k.publicHandle(l)
		if err != nil {
			return nil, err
		}
		return l.encrypt(h.mechanism(), public, plaintext)
	})
	if !errors.Is(err, hsm.ErrUnavailable) {
		clear(plaintext) // no call is left that uses it
	}
	return out, err
}

// encryptHere is RSAES-OAEP in this process.
func (p *publicKey) encryptHere(h oaepHash, plaintext []byte) ([]byte, error) {
	if h == oaepSHA1 && fips140.Enforced() {
		return nil, unsupported("SHA-1 in this process with fips140=only")
	}
	return rsa.EncryptOAEP(h.crypto().New(), rand.Reader, p.rsaPublic(), plaintext, nil)
}

var errDecrypt = invalid("the ciphertext cannot be decrypted")

// Decrypt decrypts in the token; where it lacks the OAEP hash and AllowHostUnwrap is set, the raw RSA operation is the
// token's and the padding is removed here.
func (k *key) Decrypt(ctx context.Context, alg hsm.Algorithm, ciphertext []byte) ([]byte, error) {
	if k.mat.Usage != hsm.UseDecrypt {
		return nil, unsupported("the key is for %v, not for decryption", k.mat.Usage)
	}
	h, err := k.oaep(alg)
	if err != nil {
		return nil, err
	}
	ciphertext = bytes.Clone(ciphertext)
	return use(ctx, k, hsm.UseDecrypt, func(l *lease, private pkcs11.ObjectHandle) ([]byte, error) {
		if !k.inRange(ciphertext) {
			return nil, errDecrypt
		}
		if !k.m.profile.oaep[h].decrypts {
			plain, ok, err := l.decryptHere(h, private, ciphertext)
			if err == nil && ok != 1 {
				err = errDecrypt
			}
			return plain, err
		}
		plain, err := l.decrypt(h.mechanism(), private, ciphertext)
		if err != nil {
			return nil, k.blame(l, h, private, err)
		}
		return plain, nil
	})
}

// inRange reports whether c is a number below the modulus, of its length. Neither c nor the modulus is secret.
func (k *key) inRange(c []byte) bool {
	return len(c) == k.modulusSize() && new(big.Int).SetBytes(c).Cmp(k.pub.n) < 0
}

// decryptHere runs the raw RSA operation in the token and removes the padding here, in constant time. ok is 1, or 0 if
// the padding is wrong.
func (l *lease) decryptHere(h oaepHash, private pkcs11.ObjectHandle, ciphertext []byte) (plain []byte, ok int, err error) {
	raw, err := l.decrypt(mech(pkcs11.CKM_RSA_X_509, nil), private, ciphertext)
	if err != nil {
		return nil, 0, err
	}
	defer clear(raw)
	if len(raw) > len(ciphertext) {
		return nil, 0, fmt.Errorf("pkcs11: the raw RSA operation gave %d bytes for a modulus of %d", len(raw), len(ciphertext))
	}
	// Right results begin with a zero byte, which some tokens leave out.
	em := make([]byte, len(ciphertext))
	copy(em[len(em)-len(raw):], raw)
	plain, ok = unpadOAEP(h, em)
	return plain, ok, nil
}

// blame finds out whether the token refused a ciphertext for its padding. Many tokens say CKR_GENERAL_ERROR for that,
// and for being broken: one that decrypts what was just encrypted for it is not. All that is wrong with a ciphertext
// takes the same way here.
func (k *key) blame(l *lease, h oaepHash, private pkcs11.ObjectHandle, cause error) error {
	if l.conn.answers(l.ck) != nil {
		return cause
	}
	public, err := k.publicHandle(l)
	if err != nil {
		return cause
	}
	if err := l.refresh(); err != nil {
		return cause
	}
	probe := []byte("is this token well?")
	c, err := l.encrypt(h.mechanism(), public, probe)
	if err != nil {
		return cause
	}
	if got, err := l.decrypt(h.mechanism(), private, c); err != nil || !bytes.Equal(got, probe) {
		return cause
	}
	return errDecrypt
}
