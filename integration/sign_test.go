package integration_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// hashes of signing algorithms by their ending.
func hashOf(alg types.SigningAlgorithmSpec) crypto.Hash {
	switch {
	case strings.HasSuffix(string(alg), "SHA_256"):
		return crypto.SHA256
	case strings.HasSuffix(string(alg), "SHA_384"):
		return crypto.SHA384
	}
	return crypto.SHA512
}

func digestOf(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

// verifyOutside verifies a signature of a RAW message with Go's cryptography.
func verifyOutside(public any, alg types.SigningAlgorithmSpec, message, sig []byte) error {
	h := hashOf(alg)
	switch p := public.(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(string(alg), "RSASSA_PSS") {
			return rsa.VerifyPSS(p, h, digestOf(h, message), sig, &rsa.PSSOptions{SaltLength: h.Size()})
		}
		return rsa.VerifyPKCS1v15(p, h, digestOf(h, message), sig)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(p, digestOf(h, message), sig) {
			return errors.New("ECDSA signature is wrong")
		}
		return nil
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(p, message, sig, &ed25519.Options{})
	}
	return fmt.Errorf("no verifier for %T", public)
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	for _, kind := range keyKinds() {
		if kind.sig == nil || kind.spec == "ECC_SECG_P256K1" || strings.HasPrefix(string(kind.spec), "ML_DSA") {
			continue // Go's cryptography lacks them; they have tests of their own
		}
		t.Run(string(kind.spec), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(kind.spec, kind.usage))
			public := publicKey(t, c, md)
			message := []byte("signed inside, verified outside")
			for _, alg := range kind.sig {
				if alg == "ED25519_PH_SHA_512" {
					continue
				}
				sig := signed(t, c, md, alg, "RAW", message)
				if err := verifyOutside(public, alg, message, sig); err != nil {
					t.Errorf("%s: %v", alg, err)
				}
				if alg == "ED25519_SHA_512" {
					continue
				}
				sig = signed(t, c, md, alg, "DIGEST", digestOf(hashOf(alg), message))
				if err := verifyOutside(public, alg, message, sig); err != nil {
					t.Errorf("%s of a digest: %v", alg, err)
				}
			}
		})
	}
}

// signed signs a message and checks both answers; Verify must accept the signature and refuse every other.
func signed(t *testing.T, c *kms.Client, md *types.KeyMetadata, alg types.SigningAlgorithmSpec, kind types.MessageType, message []byte) []byte {
	t.Helper()
	out := do(c.Sign(t.Context(), &kms.SignInput{KeyId: md.KeyId, Message: message, MessageType: kind, SigningAlgorithm: alg})).ok(t)
	same(t, "Sign", *out, kms.SignOutput{KeyId: md.Arn, Signature: out.Signature, SigningAlgorithm: alg})
	in := &kms.VerifyInput{KeyId: md.Arn, Message: message, MessageType: kind, SigningAlgorithm: alg, Signature: out.Signature}
	same(t, "Verify", *do(c.Verify(t.Context(), in)).ok(t), kms.VerifyOutput{KeyId: md.Arn, SignatureValid: true, SigningAlgorithm: alg})
	for _, bad := range [][]byte{bent(out.Signature), {0}, out.Signature[:len(out.Signature)-1], append(bytes.Clone(out.Signature), 0), make([]byte, 6144)} {
		in.Signature = bad
		do(c.Verify(t.Context(), in)).refused(t, "KMSInvalidSignatureException")
	}
	in.Signature, in.Message = out.Signature, bent(message)
	do(c.Verify(t.Context(), in)).refused(t, "KMSInvalidSignatureException")
	return out.Signature
}

// bent is a copy with one bit changed.
func bent(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// TestSecp256k1 is verified by OpenSSL, as Go's cryptography lacks the curve.
func TestSecp256k1(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, withSpec("ECC_SECG_P256K1", types.KeyUsageTypeSignVerify))
	message := []byte("signed on a Koblitz curve")
	sig := signed(t, c, md, "ECDSA_SHA_256", "RAW", message)
	public := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.Arn})).ok(t).PublicKey
	opensslVerifies(t, public, message, sig, "-sha256")
	digest := sha256.Sum256(message)
	opensslVerifies(t, public, message, signed(t, c, md, "ECDSA_SHA_256", "DIGEST", digest[:]), "-sha256")
}

func opensslVerifies(t *testing.T, public, message, sig []byte, options ...string) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"public.der": public, "message": message, "sig": sig} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl(t, "pkey", "-pubin", "-inform", "DER", "-in", filepath.Join(dir, "public.der"), "-out", filepath.Join(dir, "public.pem"))
	args := append([]string{"dgst"}, options...)
	openssl(t, append(args, "-verify", filepath.Join(dir, "public.pem"), "-signature", filepath.Join(dir, "sig"), filepath.Join(dir, "message"))...)
}

// TestOpenSSLVerifies: the encodings of signatures and public keys are everybody's.
func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	message := []byte("for a verifier that knows nothing of this service")
	rsaKey := newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeSignVerify))
	public := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: rsaKey.Arn})).ok(t).PublicKey
	opensslVerifies(t, public, message, signed(t, c, rsaKey, "RSASSA_PKCS1_V1_5_SHA_512", "RAW", message), "-sha512")
	opensslVerifies(t, public, message, signed(t, c, rsaKey, "RSASSA_PSS_SHA_384", "RAW", message), "-sha384",
		"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48")
	ecKey := newKey(t, c, withSpec("ECC_NIST_P384", types.KeyUsageTypeSignVerify))
	public = do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: ecKey.Arn})).ok(t).PublicKey
	opensslVerifies(t, public, message, signed(t, c, ecKey, "ECDSA_SHA_384", "RAW", message), "-sha384")
}

// TestEd25519ph: the client's digest is hashed once more, with the prefix of the prehashed variant (spec 06 EDD-04).
func TestEd25519ph(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, withSpec("ECC_NIST_EDWARDS25519", types.KeyUsageTypeSignVerify))
	public := publicKey(t, c, md).(ed25519.PublicKey)
	digest := sha512.Sum512([]byte("a long document"))
	sig := signed(t, c, md, "ED25519_PH_SHA_512", "DIGEST", digest[:])
	again := sha512.Sum512(digest[:])
	if err := ed25519.VerifyWithOptions(public, again[:], sig, &ed25519.Options{Hash: crypto.SHA512}); err != nil {
		t.Error(err)
	}
}

func TestMLDSA(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	for spec, size := range map[types.KeySpec]int{"ML_DSA_44": mldsa.MLDSA44SignatureSize, "ML_DSA_65": mldsa.MLDSA65SignatureSize, "ML_DSA_87": mldsa.MLDSA87SignatureSize} {
		t.Run(string(spec), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(spec, types.KeyUsageTypeSignVerify))
			der := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.KeyId})).ok(t).PublicKey
			parsed, err := mldsax509.ParsePKIXPublicKey(der)
			if err != nil {
				t.Fatal(err)
			}
			public := parsed.(*mldsa.PublicKey)
			message := []byte("signed for a time with quantum computers")
			sig := signed(t, c, md, "ML_DSA_SHAKE_256", "RAW", message)
			if err := mldsa.Verify(public, message, sig, nil); err != nil || len(sig) != size {
				t.Errorf("%d bytes, want %d: %v", len(sig), size, err)
			}
			mu := make([]byte, 64)
			_, _ = rand.Read(mu)
			signed(t, c, md, "ML_DSA_SHAKE_256", "EXTERNAL_MU", mu)
		})
	}
}

func TestSignRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	rsaKey := newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeSignVerify))
	ed := newKey(t, c, withSpec("ECC_NIST_EDWARDS25519", types.KeyUsageTypeSignVerify))
	ml := newKey(t, c, withSpec("ML_DSA_44", types.KeyUsageTypeSignVerify))
	sym := newKey(t, c)
	var rows []row
	for _, op := range []string{"Sign", "Verify"} {
		body := func(key, alg, kind string, n int) string {
			return fmt.Sprintf(`{"KeyId":"%s","SigningAlgorithm":"%s","MessageType":"%s","Message":"%s","Signature":"AAAA"}`, key, alg, kind, b64(make([]byte, n)))
		}
		rows = append(rows,
			row{op, body("{none}", "ECDSA_SHA_256", "RAW", 5), "NotFoundException: Key '{arn}key/{none}' does not exist"},
			row{op, body("{sym}", "ECDSA_SHA_256", "RAW", 5), "InvalidKeyUsageException: {arn}key/{sym} key usage is ENCRYPT_DECRYPT which is not valid for " + op + "."},
			row{op, body("{rsa}", "ECDSA_SHA_256", "RAW", 5), "InvalidKeyUsageException: Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048."},
			row{op, body("{rsa}", "ECDSA_SHA_256", "DIGEST", 5), "InvalidKeyUsageException: Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048."},
			row{op, body("{rsa}", "RSASSA_PSS_SHA_256", "DIGEST", 31), "ValidationException: Digest is invalid length for algorithm RSASSA_PSS_SHA_256."},
			row{op, body("{rsa}", "RSASSA_PKCS1_V1_5_SHA_512", "DIGEST", 48), "ValidationException: Digest is invalid length for algorithm RSASSA_PKCS1_V1_5_SHA_512."},
			row{op, body("{rsa}", "RSASSA_PSS_SHA_256", "EXTERNAL_MU", 64), "ValidationException: Message type EXTERNAL_MU is incompatible with key spec RSA_2048."},
			row{op, body("{ed}", "ED25519_SHA_512", "DIGEST", 64), "ValidationException: Message type DIGEST is incompatible with algorithm ED25519_SHA_512."},
			row{op, body("{ed}", "ED25519_PH_SHA_512", "RAW", 64), "ValidationException: Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
			row{op, body("{ed}", "ED25519_PH_SHA_512", "DIGEST", 63), "ValidationException: Digest is invalid length for algorithm ED25519_PH_SHA_512."},
			row{op, body("{ml}", "ML_DSA_SHAKE_256", "DIGEST", 64), "ValidationException: Message type DIGEST is incompatible with key spec ML_DSA_44."},
			row{op, body("{ml}", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 63), "ValidationException: Digest is invalid length for algorithm ML_DSA_SHAKE_256."},
			row{op, body("{rsa}", "RSASSA_PSS_SHA_256", "RAW", 0), invalid(violation("", "message", "have length greater than or equal to 1"))},
			row{op, body("{rsa}", "RSASSA_PSS_SHA_256", "RAW", 4097), invalid(violation("", "message", "have length less than or equal to 4096"))},
		)
	}
	refuse(t, s, append(rows,
		row{"GetPublicKey", `{"KeyId":"{sym}"}`, "UnsupportedOperationException"},
		row{"GetPublicKey", `{"KeyId":"{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		row{"GetPublicKey", `{"KeyId":"arn:nonsense"}`, "InvalidArnException: Invalid arn arn:nonsense"},
	), "{none}", noKey, "{arn}", arnHead, "{rsa}", *rsaKey.KeyId, "{ed}", *ed.KeyId, "{ml}", *ml.KeyId, "{sym}", *sym.KeyId)
	if sig := signed(t, c, rsaKey, "RSASSA_PSS_SHA_256", "RAW", make([]byte, 4096)); len(sig) != 256 {
		t.Errorf("signature of %d bytes over the longest message", len(sig))
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for spec, alg := range map[types.KeySpec]types.MacAlgorithmSpec{
		"HMAC_224": "HMAC_SHA_224", "HMAC_256": "HMAC_SHA_256", "HMAC_384": "HMAC_SHA_384", "HMAC_512": "HMAC_SHA_512",
	} {
		t.Run(string(spec), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(spec, types.KeyUsageTypeGenerateVerifyMac))
			message := []byte("authenticated")
			out := do(c.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: md.KeyId, Message: message, MacAlgorithm: alg})).ok(t)
			same(t, "GenerateMac", *out, kms.GenerateMacOutput{Mac: out.Mac, MacAlgorithm: alg, KeyId: md.Arn})
			if again := do(c.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: md.Arn, Message: message, MacAlgorithm: alg})).ok(t); !bytes.Equal(again.Mac, out.Mac) {
				t.Error("two MACs of one message differ")
			}
			if bits := 8 * len(out.Mac); fmt.Sprintf("HMAC_%d", bits) != string(spec) {
				t.Errorf("a MAC of %d bits", bits)
			}
			in := &kms.VerifyMacInput{KeyId: md.KeyId, Message: message, MacAlgorithm: alg, Mac: out.Mac}
			same(t, "VerifyMac", *do(c.VerifyMac(t.Context(), in)).ok(t), kms.VerifyMacOutput{KeyId: md.Arn, MacValid: true, MacAlgorithm: alg})
			for _, bad := range [][]byte{bent(out.Mac), out.Mac[:len(out.Mac)-1], {0}, append(bytes.Clone(out.Mac), 0), make([]byte, 6144)} {
				in.Mac = bad
				do(c.VerifyMac(t.Context(), in)).refused(t, "KMSInvalidMacException")
			}
		})
	}
	md, sym := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac)), newKey(t, c)
	var rows []row
	for _, op := range []string{"GenerateMac", "VerifyMac"} {
		rows = append(rows,
			row{op, `{"KeyId":"{id}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_512","Mac":"AAAA"}`,
				"InvalidKeyUsageException: Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256."},
			row{op, `{"KeyId":"{sym}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA"}`,
				"InvalidKeyUsageException: {arn}key/{sym} key usage is ENCRYPT_DECRYPT which is not valid for " + op + "."},
			row{op, `{"KeyId":"{none}","Message":"aGk=","MacAlgorithm":"HMAC_SHA_256","Mac":"AAAA"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		)
	}
	refuse(t, s, rows, "{id}", *md.KeyId, "{sym}", *sym.KeyId, "{none}", noKey, "{arn}", arnHead)
}

// TestMACIsHMAC compares with Go's HMAC over material that the test knows, because it imported it.
func TestMACIsHMAC(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for spec, h := range map[types.KeySpec]struct {
		hash func() hash.Hash
		alg  types.MacAlgorithmSpec
		size int
	}{
		"HMAC_224": {sha256.New224, "HMAC_SHA_224", 28}, "HMAC_256": {sha256.New, "HMAC_SHA_256", 32},
		"HMAC_384": {sha512.New384, "HMAC_SHA_384", 48}, "HMAC_512": {sha512.New, "HMAC_SHA_512", 64},
	} {
		md := newKey(t, c, withSpec(spec, types.KeyUsageTypeGenerateVerifyMac), external)
		material := make([]byte, h.size)
		_, _ = rand.Read(material)
		do(importMaterial(t, c, md, material)).ok(t)
		want := hmac.New(h.hash, material)
		message := bytes.Repeat([]byte("m"), 4096)
		want.Write(message)
		out := do(c.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: md.KeyId, Message: message, MacAlgorithm: h.alg})).ok(t)
		if !bytes.Equal(out.Mac, want.Sum(nil)) {
			t.Errorf("%s is not HMAC", spec)
		}
	}
}

// TestKeyAgreement: both sides derive the same secret, the other one with Go's ECDH.
func TestKeyAgreement(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for spec, curve := range map[types.KeySpec]ecdh.Curve{"ECC_NIST_P256": ecdh.P256(), "ECC_NIST_P384": ecdh.P384(), "ECC_NIST_P521": ecdh.P521()} {
		t.Run(string(spec), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(spec, types.KeyUsageTypeKeyAgreement))
			service, err := publicKey(t, c, md).(*ecdsa.PublicKey).ECDH()
			if err != nil {
				t.Fatal(err)
			}
			mine, err := curve.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			want, err := mine.ECDH(service)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(mine.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			in := &kms.DeriveSharedSecretInput{KeyId: md.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: der}
			same(t, "DeriveSharedSecret", *do(c.DeriveSharedSecret(t.Context(), in)).ok(t), kms.DeriveSharedSecretOutput{
				KeyId: md.Arn, SharedSecret: want, KeyAgreementAlgorithm: "ECDH", KeyOrigin: types.OriginTypeAwsKms,
			})
			for _, bad := range [][]byte{{0}, der[:len(der)-1], append(bytes.Clone(der), 0), bent(der)} {
				in.PublicKey = bad
				do(c.DeriveSharedSecret(t.Context(), in)).refused(t, "ValidationException")
			}
		})
	}
	md, other := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeKeyAgreement)), newKey(t, c, withSpec("ECC_NIST_P384", types.KeyUsageTypeKeyAgreement))
	foreign := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: other.KeyId})).ok(t).PublicKey
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	refuse(t, s, []row{
		{"DeriveSharedSecret", `{"KeyId":"{id}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{foreign}"}`, "ValidationException"},
		{"DeriveSharedSecret", `{"KeyId":"{signer}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{foreign}"}`,
			"InvalidKeyUsageException: {arn}key/{signer} key usage is SIGN_VERIFY which is not valid for DeriveSharedSecret."},
		{"DeriveSharedSecret", `{"KeyId":"{none}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{foreign}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"DeriveSharedSecret", `{"KeyId":"{id}","KeyAgreementAlgorithm":"ECDH","PublicKey":"{foreign}","Recipient":{"AttestationDocument":"AAAA"}}`,
			"ValidationException: Recipient is not supported: this Region has no attestation root configured."},
		{"DeriveSharedSecret", `{"KeyId":"{id}","KeyAgreementAlgorithm":"DH","PublicKey":"{foreign}"}`, invalid(violation("'DH'", "keyAgreementAlgorithm", "satisfy enum value set: [ECDH]"))},
	}, "{id}", *md.KeyId, "{signer}", *signer.KeyId, "{none}", noKey, "{arn}", arnHead, "{foreign}", b64(foreign))
}
