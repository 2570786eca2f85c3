package integration_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

func TestDataKeys(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	context := map[string]string{"purpose": "data"}
	decrypt := func(blob []byte) []byte {
		t.Helper()
		return do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})).ok(t).Plaintext
	}
	for _, size := range []struct {
		spec  types.DataKeySpec
		bytes int32
		want  int
	}{{"AES_256", 0, 32}, {"AES_128", 0, 16}, {"", 1, 1}, {"", 64, 64}, {"", 1024, 1024}} {
		in := &kms.GenerateDataKeyInput{KeyId: md.KeyId, KeySpec: size.spec, EncryptionContext: context}
		without := &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: md.Arn, KeySpec: size.spec, EncryptionContext: context}
		if size.bytes > 0 {
			in.NumberOfBytes, without.NumberOfBytes = &size.bytes, &size.bytes
		}
		out := do(c.GenerateDataKey(t.Context(), in)).ok(t)
		same(t, "GenerateDataKey", *out, kms.GenerateDataKeyOutput{
			CiphertextBlob: out.CiphertextBlob, Plaintext: out.Plaintext, KeyId: md.Arn, KeyMaterialId: md.CurrentKeyMaterialId,
		})
		if len(out.Plaintext) != size.want || !bytes.Equal(decrypt(out.CiphertextBlob), out.Plaintext) {
			t.Errorf("data key of %d bytes, want %d, or it does not decrypt", len(out.Plaintext), size.want)
		}
		secret := do(c.GenerateDataKeyWithoutPlaintext(t.Context(), without)).ok(t)
		same(t, "GenerateDataKeyWithoutPlaintext", *secret, kms.GenerateDataKeyWithoutPlaintextOutput{
			CiphertextBlob: secret.CiphertextBlob, KeyId: md.Arn, KeyMaterialId: md.CurrentKeyMaterialId,
		})
		if got := decrypt(secret.CiphertextBlob); len(got) != size.want || size.want > 8 && bytes.Equal(got, out.Plaintext) {
			t.Errorf("data key without plaintext of %d bytes, want %d others", len(got), size.want)
		}
	}
}

func TestDataKeyRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	md := newKey(t, s.Client())
	const either = "ValidationException: Please specify either number of bytes or key spec."
	var rows []row
	for _, op := range []string{"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
		rows = append(rows,
			row{op, `{"KeyId":"{id}"}`, either},
			row{op, `{"KeyId":"{id}","KeySpec":"AES_256","NumberOfBytes":32}`, either},
			row{op, `{"KeyId":"{none}"}`, either}, // before the key is looked up
			row{op, `{"KeyId":"{none}","KeySpec":"AES_256"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
			row{op, `{"KeyId":"{id}","NumberOfBytes":0}`, invalid(violation("'0'", "numberOfBytes", "have value greater than or equal to 1"))},
			row{op, `{"KeyId":"{id}","NumberOfBytes":1025}`, invalid(violation("'1025'", "numberOfBytes", "have value less than or equal to 1024"))},
		)
	}
	refuse(t, s, append(rows,
		row{"GenerateDataKey", `{"KeyId":"{id}","KeySpec":"AES_256","Recipient":{"AttestationDocument":"AAAA"}}`,
			"ValidationException: Recipient is not supported: this Region has no attestation root configured."},
		row{"GenerateRandom", `{}`, "ValidationException: NumberOfBytes is required."},
		row{"GenerateRandom", `{"NumberOfBytes":0}`, invalid(violation("'0'", "numberOfBytes", "have value greater than or equal to 1"))},
		row{"GenerateRandom", `{"NumberOfBytes":1025}`, invalid(violation("'1025'", "numberOfBytes", "have value less than or equal to 1024"))},
		row{"GenerateRandom", `{"NumberOfBytes":8,"CustomKeyStoreId":"cks-1234567890abcdef0"}`,
			"CustomKeyStoreNotFoundException: Custom key store cks-1234567890abcdef0 is not found."},
		row{"GenerateRandom", `{"NumberOfBytes":8,"Recipient":{"AttestationDocument":"AAAA"}}`,
			"ValidationException: Recipient is not supported: this Region has no attestation root configured."},
	), "{id}", *md.KeyId, "{none}", noKey, "{arn}", arnHead)
}

func TestGenerateRandom(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	seen := make(map[string]bool)
	for _, n := range []int32{1, 32, 1024} {
		out := do(c.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: &n})).ok(t)
		same(t, "GenerateRandom", *out, kms.GenerateRandomOutput{Plaintext: out.Plaintext})
		if len(out.Plaintext) != int(n) || seen[string(out.Plaintext)] {
			t.Errorf("%d random bytes, want %d new ones", len(out.Plaintext), n)
		}
		seen[string(out.Plaintext)] = true
	}
}

// TestDataKeyPairs: the pair fits, is what its spec says, and OpenSSL reads it too.
func TestDataKeyPairs(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	context := map[string]string{"purpose": "pair"}
	for _, spec := range []struct {
		name    types.DataKeyPairSpec
		openssl string // what "openssl pkey -text" calls it
	}{
		{"RSA_2048", "(2048 bit"}, {"RSA_3072", "(3072 bit"}, {"RSA_4096", "(4096 bit"}, {"ECC_NIST_P256", "NIST CURVE: P-256"},
		{"ECC_NIST_P384", "NIST CURVE: P-384"}, {"ECC_NIST_P521", "NIST CURVE: P-521"}, {"ECC_SECG_P256K1", "secp256k1"},
		{"ECC_NIST_EDWARDS25519", "ED25519"},
	} {
		t.Run(string(spec.name), func(t *testing.T) {
			t.Parallel()
			out := do(c.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{
				KeyId: md.KeyId, KeyPairSpec: spec.name, EncryptionContext: context,
			})).ok(t)
			same(t, "GenerateDataKeyPair", *out, kms.GenerateDataKeyPairOutput{
				PrivateKeyCiphertextBlob: out.PrivateKeyCiphertextBlob, PrivateKeyPlaintext: out.PrivateKeyPlaintext, PublicKey: out.PublicKey,
				KeyId: md.Arn, KeyPairSpec: spec.name, KeyMaterialId: md.CurrentKeyMaterialId,
			})
			decrypt := func(blob []byte) []byte {
				t.Helper()
				return do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})).ok(t).Plaintext
			}
			if !bytes.Equal(decrypt(out.PrivateKeyCiphertextBlob), out.PrivateKeyPlaintext) {
				t.Error("the ciphertext is of another private key")
			}
			checkPair(t, spec.openssl, out.PrivateKeyPlaintext, out.PublicKey)
			if strings.HasPrefix(string(spec.name), "RSA_") && spec.name != "RSA_2048" {
				return // large primes take long and show nothing new
			}
			without := do(c.GenerateDataKeyPairWithoutPlaintext(t.Context(), &kms.GenerateDataKeyPairWithoutPlaintextInput{
				KeyId: md.Arn, KeyPairSpec: spec.name, EncryptionContext: context,
			})).ok(t)
			same(t, "GenerateDataKeyPairWithoutPlaintext", *without, kms.GenerateDataKeyPairWithoutPlaintextOutput{
				PrivateKeyCiphertextBlob: without.PrivateKeyCiphertextBlob, PublicKey: without.PublicKey,
				KeyId: md.Arn, KeyPairSpec: spec.name, KeyMaterialId: md.CurrentKeyMaterialId,
			})
			if bytes.Equal(without.PublicKey, out.PublicKey) {
				t.Error("the same pair twice")
			}
			checkPair(t, spec.openssl, decrypt(without.PrivateKeyCiphertextBlob), without.PublicKey)
		})
	}
}

// checkPair holds that a PKCS #8 private key belongs to a public key: by OpenSSL always, by Go where it knows the curve.
func checkPair(t *testing.T, what string, private, public []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "private.der")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	derived := openssl(t, "pkey", "-inform", "DER", "-in", file, "-pubout", "-outform", "DER")
	if !bytes.Equal(derived, public) {
		t.Error("the public key is not that of the private key")
	}
	if text := openssl(t, "pkey", "-inform", "DER", "-in", file, "-text", "-noout"); !bytes.Contains(text, []byte(what)) {
		t.Errorf("not %q:\n%s", what, text)
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		if what == "secp256k1" {
			return
		}
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if err := k.Validate(); err != nil || !k.PublicKey.Equal(pub) || k.E != 65537 {
			t.Errorf("RSA key: %v", err)
		}
	case *ecdsa.PrivateKey:
		if !k.PublicKey.Equal(pub) {
			t.Error("ECDSA keys do not fit")
		}
	case ed25519.PrivateKey:
		if !k.Public().(ed25519.PublicKey).Equal(pub) {
			t.Error("Ed25519 keys do not fit")
		}
	}
}

// openssl runs OpenSSL and returns its output. Without OpenSSL the test fails: what leaves the service has to be read by others.
func openssl(t testing.TB, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func TestDataKeyPairRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, rsaKey := newKey(t, c), newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeEncryptDecrypt))
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	const pairs = "[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, SM2, ECC_NIST_EDWARDS25519]"
	var rows []row
	for _, op := range []string{"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"} {
		rows = append(rows,
			row{op, `{"KeyId":"{none}","KeyPairSpec":"ECC_NIST_P256"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
			row{op, `{"KeyId":"{id}","KeyPairSpec":"SM2"}`, "UnsupportedOperationException: KeySpec SM2 is not supported in this Region"},
			row{op, `{"KeyId":"{id}","KeyPairSpec":"ML_DSA_44"}`, invalid(violation("'ML_DSA_44'", "keyPairSpec", "satisfy enum value set: "+pairs))},
			row{op, `{"KeyId":"{id}"}`, invalid(violation("null", "keyPairSpec", "not be null"))},
			row{op, `{"KeyId":"{mac}","KeyPairSpec":"ECC_NIST_P256"}`,
				"InvalidKeyUsageException: {arn}key/{mac} key usage is GENERATE_VERIFY_MAC which is not valid for " + op + "."},
		)
		a := do(s.Call(t.Context(), op, `{"KeyId":"`+*rsaKey.KeyId+`","KeyPairSpec":"ECC_NIST_P256"}`)).ok(t)
		if got, _, _ := strings.Cut(a.Text(), ":"); got != "InvalidKeyUsageException" {
			t.Errorf("%s under an RSA key: %s", op, a.Text())
		}
	}
	refuse(t, s, rows, "{id}", *md.KeyId, "{none}", noKey, "{mac}", *mac.KeyId, "{arn}", arnHead)
}
