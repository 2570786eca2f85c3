package hsm

import "context"

// observedKey reports the calls of a key. Destroy is reported as well, since it is a call to the module.
type observedKey struct {
	Key
	*watch
}

func (k *observedKey) DeriveKey(ctx context.Context, fixed []byte, out *[32]byte) error {
	t := k.begin()
	err := k.Key.DeriveKey(ctx, fixed, out)
	k.end("Key.DeriveKey", t, err)
	return err
}

func (k *observedKey) MAC(ctx context.Context, msg []byte) ([]byte, error) {
	t := k.begin()
	mac, err := k.Key.MAC(ctx, msg)
	k.end("Key.MAC", t, err)
	return mac, err
}

func (k *observedKey) Sign(ctx context.Context, alg Algorithm, in []byte) ([]byte, error) {
	t := k.begin()
	sig, err := k.Key.Sign(ctx, alg, in)
	k.end("Key.Sign", t, err)
	return sig, err
}

func (k *observedKey) Verify(ctx context.Context, alg Algorithm, in, sig []byte) (bool, error) {
	t := k.begin()
	ok, err := k.Key.Verify(ctx, alg, in, sig)
	k.end("Key.Verify", t, err)
	return ok, err
}

func (k *observedKey) Encrypt(ctx context.Context, alg Algorithm, plaintext []byte) ([]byte, error) {
	t := k.begin()
	ciphertext, err := k.Key.Encrypt(ctx, alg, plaintext)
	k.end("Key.Encrypt", t, err)
	return ciphertext, err
}

func (k *observedKey) Decrypt(ctx context.Context, alg Algorithm, ciphertext []byte) ([]byte, error) {
	t := k.begin()
	plaintext, err := k.Key.Decrypt(ctx, alg, ciphertext)
	k.end("Key.Decrypt", t, err)
	return plaintext, err
}

func (k *observedKey) Agree(ctx context.Context, peer []byte) ([]byte, error) {
	t := k.begin()
	secret, err := k.Key.Agree(ctx, peer)
	k.end("Key.Agree", t, err)
	return secret, err
}

func (k *observedKey) Destroy() {
	t := k.begin()
	k.Key.Destroy()
	k.end("Key.Destroy", t, nil)
}
