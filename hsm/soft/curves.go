package soft

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/internal/k256"
	"github.com/trentkms/trent/hsm/internal/mldsamu"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// nistCurve returns the curve of a NIST type, else nil.
func nistCurve(t hsm.KeyType) ecdh.Curve {
	switch t {
	case hsm.P256:
		return ecdh.P256()
	case hsm.P384:
		return ecdh.P384()
	case hsm.P521:
		return ecdh.P521()
	}
	return nil
}

func ecdsaCurve(t hsm.KeyType) elliptic.Curve {
	switch t {
	case hsm.P256:
		return elliptic.P256()
	case hsm.P384:
		return elliptic.P384()
	}
	return elliptic.P521()
}

// ecdsaKey is a NIST pair for signing.
type ecdsaKey struct{ priv *ecdsa.PrivateKey }

func newECDSAKey(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	priv, err := ecdsa.ParseRawPrivateKey(ecdsaCurve(t), k.Secret)
	if err != nil {
		return nil, err
	}
	return &ecdsaKey{priv}, nil
}

func (k *ecdsaKey) sign(_ hsm.Algorithm, digest []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.priv, digest)
}

func (k *ecdsaKey) verify(_ hsm.Algorithm, digest, sig []byte) bool {
	return ecdsa.VerifyASN1(&k.priv.PublicKey, digest, sig)
}

// wipe lets go of the key: crypto/ecdsa keeps the scalar to itself.
func (k *ecdsaKey) wipe() { k.priv = nil }

// ecdhKey is a NIST pair for key agreement. The cofactor of these curves is 1.
type ecdhKey struct {
	curve ecdh.Curve
	priv  *ecdh.PrivateKey
}

func newECDHKey(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	curve := nistCurve(t)
	priv, err := curve.NewPrivateKey(k.Secret)
	if err != nil {
		return nil, err
	}
	return &ecdhKey{curve, priv}, nil
}

func (k *ecdhKey) agree(peer []byte) ([]byte, error) {
	parsed, err := x509.ParsePKIXPublicKey(peer)
	if err != nil {
		return nil, invalid("the peer's public key is not a SubjectPublicKeyInfo of a supported curve")
	}
	pub, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, invalid("the peer's public key is not an EC key")
	}
	point, err := pub.ECDH()
	if err != nil || point.Curve() != k.curve {
		return nil, invalid("the peer's public key is not on the key's curve")
	}
	secret, err := k.priv.ECDH(point)
	if err != nil {
		return nil, invalid("the peer's public key has no shared secret with this key")
	}
	return secret, nil
}

// wipe lets go of the key: crypto/ecdh keeps the scalar to itself.
func (k *ecdhKey) wipe() { k.priv = nil }

// k256Key is a secp256k1 pair.
type k256Key struct{ priv *k256.PrivateKey }

func newK256Key(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	priv, err := k256.NewPrivateKey(k.Secret)
	if err != nil {
		return nil, err
	}
	return &k256Key{priv}, nil
}

func (k *k256Key) sign(_ hsm.Algorithm, digest []byte) ([]byte, error) { return k.priv.Sign(digest) }

func (k *k256Key) verify(_ hsm.Algorithm, digest, sig []byte) bool {
	return k.priv.Public().Verify(digest, sig)
}

func (k *k256Key) wipe() { k.priv.Wipe() }

// ed25519Key is an Ed25519 pair.
type ed25519Key struct{ priv ed25519.PrivateKey }

func newEd25519Key(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	return &ed25519Key{ed25519.NewKeyFromSeed(k.Secret)}, nil
}

// ed25519Options: no hash for Ed25519, SHA-512 for Ed25519ph; the context is empty (spec 06 EDD-04).
func ed25519Options(alg hsm.Algorithm) *ed25519.Options {
	if alg == hsm.Ed25519ph {
		return &ed25519.Options{Hash: crypto.SHA512}
	}
	return &ed25519.Options{}
}

func (k *ed25519Key) sign(alg hsm.Algorithm, in []byte) ([]byte, error) {
	return k.priv.Sign(rand.Reader, in, ed25519Options(alg))
}

func (k *ed25519Key) verify(alg hsm.Algorithm, in, sig []byte) bool {
	return verifyEd25519(k.priv.Public().(ed25519.PublicKey), alg, in, sig)
}

func verifyEd25519(pub ed25519.PublicKey, alg hsm.Algorithm, in, sig []byte) bool {
	return ed25519.VerifyWithOptions(pub, in, sig, ed25519Options(alg)) == nil
}

func (k *ed25519Key) wipe() { clear(k.priv) }

// mldsaKey is an ML-DSA pair.
type mldsaKey struct {
	priv   *mldsa.PrivateKey
	public []byte
	params mldsamu.Params
}

func newMLDSAKey(t hsm.KeyType, der []byte) (primitive, error) {
	k, err := pkcs8.Parse(t, der)
	if err != nil {
		return nil, err
	}
	defer k.Wipe()
	params, muParams := mldsaParams(t)
	priv, err := mldsa.NewPrivateKey(params, k.Secret)
	if err != nil {
		return nil, err
	}
	return &mldsaKey{priv, priv.PublicKey().Bytes(), muParams}, nil
}

func mldsaParams(t hsm.KeyType) (mldsa.Parameters, mldsamu.Params) {
	switch t {
	case hsm.MLDSA44:
		return mldsa.MLDSA44(), mldsamu.MLDSA44()
	case hsm.MLDSA65:
		return mldsa.MLDSA65(), mldsamu.MLDSA65()
	}
	return mldsa.MLDSA87(), mldsamu.MLDSA87()
}

func (k *mldsaKey) sign(alg hsm.Algorithm, in []byte) ([]byte, error) {
	if alg == hsm.MLDSAExternalMu {
		return k.priv.Sign(rand.Reader, in, mldsacrypto.MLDSAMu)
	}
	return k.priv.Sign(rand.Reader, in, nil)
}

func (k *mldsaKey) verify(alg hsm.Algorithm, in, sig []byte) bool {
	if alg == hsm.MLDSAExternalMu {
		return mldsamu.Verify(k.params, k.public, in, sig)
	}
	return mldsa.Verify(k.priv.PublicKey(), in, sig, nil) == nil
}

// wipe overwrites the expanded key.
func (k *mldsaKey) wipe() { *k.priv = mldsa.PrivateKey{} }
