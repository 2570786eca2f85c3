package soft

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/trentkms/trent/hsm"
)

// key is a loaded key. It implements hsm.Key.
type key struct {
	m    *Module
	typ  hsm.KeyType
	use  hsm.Usage
	algs []hsm.Algorithm // that the module claims for type and usage

	mu sync.RWMutex // held for reading during a call, so that destroy waits
	p  primitive    // nil once destroyed; guarded by mu
}

// primitive is the secret of a key in the form that its algorithms need. Which of the interfaces below it implements
// follows from type and usage.
type primitive interface{ wipe() }

type (
	signer interface {
		sign(alg hsm.Algorithm, in []byte) ([]byte, error)
		verify(alg hsm.Algorithm, in, sig []byte) bool
	}
	agreer interface {
		agree(peer []byte) ([]byte, error)
	}
)

// newPrimitive reads stored material.
func newPrimitive(t hsm.KeyType, u hsm.Usage, secret []byte) (primitive, error) {
	switch {
	case t == hsm.AES256:
		return newAESKey(secret)
	case !t.Asymmetric():
		return newMACKey(t, secret)
	case t.ModulusBits() != 0:
		return newRSAKey(t, secret)
	case u == hsm.UseAgree:
		return newECDHKey(t, secret)
	case nistCurve(t) != nil:
		return newECDSAKey(t, secret)
	case t == hsm.Secp256k1:
		return newK256Key(t, secret)
	case t == hsm.Ed25519:
		return newEd25519Key(t, secret)
	}
	return newMLDSAKey(t, secret)
}

// register makes the module destroy the key at Close.
func (m *Module) register(k *key) (hsm.Key, error) {
	m.keysMu.Lock()
	defer m.keysMu.Unlock()
	if m.keys == nil {
		k.p.wipe()
		return nil, hsm.ErrClosed
	}
	m.keys[k] = struct{}{}
	return k, nil
}

// begin starts a call: it returns the primitive, with k.mu held for reading, or an error, with k.mu free.
func (k *key) begin(ctx context.Context, u hsm.Usage, alg hsm.Algorithm) (primitive, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	k.mu.RLock()
	if k.p == nil {
		k.mu.RUnlock()
		return nil, hsm.ErrClosed
	}
	if k.use != u || !slices.Contains(k.algs, alg) {
		k.mu.RUnlock()
		return nil, unsupported("%v with a %v key for %v", alg, k.typ, k.use)
	}
	return k.p, nil
}

// Type is the key's type.
func (k *key) Type() hsm.KeyType { return k.typ }

// Format writes a stand-in: a key is never printed.
func (k *key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%v key for %v", k.typ, k.use) }

// counterOne is the counter of the only block (SP 800-108r1 section 4.1).
var counterOne = []byte{0, 0, 0, 1}

// DeriveKey computes one block of the counter-mode KDF.
func (k *key) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	p, err := k.begin(ctx, hsm.UseDerive, hsm.KDFCounterSHA256)
	if err != nil {
		return err
	}
	p.(*macKey).pool.sum(out[:], counterOne, fixed)
	k.mu.RUnlock()
	return nil
}

// MAC computes the HMAC of the key's type.
func (k *key) MAC(ctx context.Context, msg []byte) ([]byte, error) {
	p, err := k.begin(ctx, hsm.UseMAC, macAlgorithm(k.typ))
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	mac := make([]byte, k.typ.SecretSize()) // the tags of HMAC types are as long as their keys
	p.(*macKey).pool.sum(mac, nil, msg)
	return mac, nil
}

// Sign signs a digest or message.
func (k *key) Sign(ctx context.Context, alg hsm.Algorithm, in []byte) ([]byte, error) {
	p, err := k.begin(ctx, hsm.UseSign, alg)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	if err := checkInput(alg, in); err != nil {
		return nil, err
	}
	return p.(signer).sign(alg, in)
}

// Verify reports whether sig is a signature of in.
func (k *key) Verify(ctx context.Context, alg hsm.Algorithm, in, sig []byte) (bool, error) {
	p, err := k.begin(ctx, hsm.UseSign, alg)
	if err != nil {
		return false, err
	}
	defer k.mu.RUnlock()
	if err := checkInput(alg, in); err != nil {
		return false, err
	}
	return p.(signer).verify(alg, in, sig), nil
}

func checkInput(alg hsm.Algorithm, in []byte) error {
	if want := alg.DigestSize(); want != 0 && len(in) != want {
		return invalid("%v takes %d bytes, got %d", alg, want, len(in))
	}
	return nil
}

// Encrypt encrypts with the public key.
func (k *key) Encrypt(ctx context.Context, alg hsm.Algorithm, plaintext []byte) ([]byte, error) {
	p, err := k.begin(ctx, hsm.UseDecrypt, alg)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	return p.(*rsaKey).encrypt(alg, plaintext)
}

// Decrypt decrypts; every failure is the same.
func (k *key) Decrypt(ctx context.Context, alg hsm.Algorithm, ciphertext []byte) ([]byte, error) {
	p, err := k.begin(ctx, hsm.UseDecrypt, alg)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	return p.(*rsaKey).decrypt(alg, ciphertext)
}

// Agree computes the raw shared secret with a peer.
func (k *key) Agree(ctx context.Context, peer []byte) ([]byte, error) {
	p, err := k.begin(ctx, hsm.UseAgree, hsm.ECDH)
	if err != nil {
		return nil, err
	}
	defer k.mu.RUnlock()
	return p.(agreer).agree(peer)
}

// Destroy clears the secret once no call uses it.
func (k *key) Destroy() {
	k.m.keysMu.Lock()
	delete(k.m.keys, k)
	k.m.keysMu.Unlock()
	k.destroy()
}

func (k *key) destroy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.p != nil {
		k.p.wipe()
		k.p = nil
	}
}
