package pkcs11

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"

	"filippo.io/mldsa"
	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// start notes an operation with an added mechanism or key.
func (b *better) start(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) (bool, error) {
	k := b.lookup(o)
	if k == nil && !isOAEP256(m[0]) {
		return false, nil
	}
	if k != nil && (k.t == hsm.Ed25519) != (m[0].Mechanism == ckmEDDSA) {
		return true, errMechanism
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.active[s] = betterOp{k, o, m[0]}
	return true, nil
}

func (b *better) end(s pkcs11.SessionHandle) (betterOp, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	op, ok := b.active[s]
	delete(b.active, s)
	return op, ok
}

func (b *better) EncryptInit(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error {
	if mine, err := b.start(s, m, o); mine {
		return err
	}
	return b.cryptoki.EncryptInit(s, m, o)
}

func (b *better) Encrypt(s pkcs11.SessionHandle, in []byte) ([]byte, error) {
	op, ok := b.end(s)
	if !ok {
		return b.cryptoki.Encrypt(s, in)
	}
	pub, err := b.rsaPublic(s, op.handle)
	if err != nil {
		return nil, err
	}
	return rsa.EncryptOAEP(oaepSHA256.crypto().New(), rand.Reader, pub, in, nil)
}

func (b *better) DecryptInit(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error {
	if mine, err := b.start(s, m, o); mine {
		return err
	}
	return b.cryptoki.DecryptInit(s, m, o)
}

func (b *better) Decrypt(s pkcs11.SessionHandle, in []byte) ([]byte, error) {
	op, ok := b.end(s)
	if !ok {
		return b.cryptoki.Decrypt(s, in)
	}
	return b.decryptOAEP(s, oaepSHA256, op.handle, in)
}

func (b *better) SignInit(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error {
	if mine, err := b.start(s, m, o); mine {
		return err
	}
	return b.cryptoki.SignInit(s, m, o)
}

func (b *better) Sign(s pkcs11.SessionHandle, in []byte) ([]byte, error) {
	op, ok := b.end(s)
	if !ok {
		return b.cryptoki.Sign(s, in)
	}
	if op.key.t == hsm.Ed25519 {
		return ed25519.NewKeyFromSeed(op.key.key.Secret).Sign(nil, in, edOptions(op.mech))
	}
	priv, err := mldsa.NewPrivateKey(mldsaParams(op.key.t), op.key.key.Secret)
	if err != nil {
		return nil, err
	}
	return priv.Sign(nil, in, &mldsa.Options{})
}

func (b *better) VerifyInit(s pkcs11.SessionHandle, m []*pkcs11.Mechanism, o pkcs11.ObjectHandle) error {
	if mine, err := b.start(s, m, o); mine {
		return err
	}
	return b.cryptoki.VerifyInit(s, m, o)
}

func (b *better) Verify(s pkcs11.SessionHandle, in, sig []byte) error {
	op, ok := b.end(s)
	if !ok {
		return b.cryptoki.Verify(s, in, sig)
	}
	var err error
	if op.key.t == hsm.Ed25519 {
		err = ed25519.VerifyWithOptions(op.key.public, in, sig, edOptions(op.mech))
	} else {
		var pub *mldsa.PublicKey
		if pub, err = mldsa.NewPublicKey(mldsaParams(op.key.t), op.key.public); err == nil {
			err = mldsa.Verify(pub, in, sig, nil)
		}
	}
	if err != nil {
		return pkcs11.Error(pkcs11.CKR_SIGNATURE_INVALID)
	}
	return nil
}

func edOptions(m *pkcs11.Mechanism) *ed25519.Options {
	if len(m.Parameter) != 0 && m.Parameter[0] == 1 {
		return &ed25519.Options{Hash: crypto.SHA512}
	}
	return &ed25519.Options{}
}

func mldsaParams(t hsm.KeyType) mldsa.Parameters {
	return map[hsm.KeyType]mldsa.Parameters{hsm.MLDSA44: mldsa.MLDSA44(), hsm.MLDSA65: mldsa.MLDSA65(), hsm.MLDSA87: mldsa.MLDSA87()}[t]
}
