//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated and has to work for ever

package integration_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSAES_OAEP_SHA_1 is part of the API
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// identifiers gives the key an alias and returns the four ways to name it (spec 01 KID-01).
func identifiers(t *testing.T, c *kms.Client, md *types.KeyMetadata) map[string]string {
	t.Helper()
	name := "alias/id/" + *md.KeyId
	do(c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: md.KeyId})).ok(t)
	return map[string]string{"key id": *md.KeyId, "key ARN": *md.Arn, "alias name": name, "alias ARN": arnHead + name}
}

func TestEncryptAndDecryptByEveryIdentifier(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	plaintext := []byte("by every identifier")
	for how, id := range identifiers(t, c, md) {
		out := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &id, Plaintext: plaintext})).ok(t)
		same(t, "Encrypt by "+how, *out, kms.EncryptOutput{
			CiphertextBlob: out.CiphertextBlob, KeyId: md.Arn, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault,
		})
		want := kms.DecryptOutput{
			Plaintext: plaintext, KeyId: md.Arn, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault, KeyMaterialId: md.CurrentKeyMaterialId,
		}
		for _, named := range []*string{nil, &id} {
			in := &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, KeyId: named}
			same(t, "Decrypt by "+how, *do(c.Decrypt(t.Context(), in)).ok(t), want)
		}
	}
}

func TestEncryptSizes(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	seen := make(map[string]bool)
	for _, n := range []int{1, 15, 16, 17, 1024, 4095, 4096} {
		plaintext := make([]byte, n)
		_, _ = rand.Read(plaintext)
		for range 2 {
			out := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: plaintext})).ok(t)
			if seen[string(out.CiphertextBlob)] {
				t.Error("the same ciphertext twice")
			}
			seen[string(out.CiphertextBlob)] = true
			if len(out.CiphertextBlob) > 6144 {
				t.Errorf("%d bytes of ciphertext of %d", len(out.CiphertextBlob), n)
			}
			if got := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})).ok(t).Plaintext; !bytes.Equal(got, plaintext) {
				t.Errorf("%d bytes do not come back", n)
			}
		}
	}
}

// TestEncryptionContext: equal as a set of pairs, compared byte for byte (spec 01 CTX).
func TestEncryptionContext(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	md := newKey(t, s.Client())
	const wrong = "InvalidCiphertextException"
	for _, tc := range []struct{ name, encrypt, decrypt, want string }{
		{"equal", `{"a":"1","b":"2"}`, `{"a":"1","b":"2"}`, ""},
		{"another order", `{"a":"1","b":"2","c":"3"}`, `{"c":"3","a":"1","b":"2"}`, ""},
		{"escapes are characters", `{"\u0061":"\u00e4"}`, `{"a":"ä"}`, ""},
		{"beyond the basic plane", `{"🔑":"鍵"}`, `{"\ud83d\udd11":"\u9375"}`, ""},
		{"empty is absent", `{}`, ``, ""},
		{"null is absent", `null`, `{}`, ""},
		{"empty key and value", `{"":""}`, `{"":""}`, ""},
		{"integer is its text", `{"n":17}`, `{"n":"17"}`, ""},
		{"fraction is its text", `{"n":-1.5}`, `{"n":"-1.5"}`, ""},
		{"another value", `{"a":"1"}`, `{"a":"2"}`, wrong},
		{"case of a value", `{"a":"x"}`, `{"a":"X"}`, wrong},
		{"case of a key", `{"a":"x"}`, `{"A":"x"}`, wrong},
		{"one missing", `{"a":"1","b":"2"}`, `{"a":"1"}`, wrong},
		{"one too many", `{"a":"1"}`, `{"a":"1","b":"2"}`, wrong},
		{"absent", `{"a":"1"}`, ``, wrong},
		{"unexpected", ``, `{"a":"1"}`, wrong},
		{"shifted border", `{"ab":"c"}`, `{"a":"bc"}`, wrong},
		{"two pairs for one", `{"a":"1","b":"2"}`, `{"a":"1\u0000b\u00002"}`, wrong},
		{"no normalization", `{"\u00e9":"x"}`, `{"e\u0301":"x"}`, wrong},
		{"twice", `{"a":"1","a":"1"}`, ``, "SerializationException"},
		{"an object", `{"a":{"b":"c"}}`, ``, "SerializationException"},
		{"an array", `{"a":["b"]}`, ``, "SerializationException"},
		{"not an object", `["a"]`, ``, "SerializationException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			member := func(ec string) string {
				if ec == "" {
					return ""
				}
				return `,"EncryptionContext":` + ec
			}
			a := do(s.Call(t.Context(), "Encrypt", `{"KeyId":"`+*md.KeyId+`","Plaintext":"aGVsbG8="`+member(tc.encrypt)+`}`)).ok(t)
			if a.Status != 200 {
				if got, _, _ := strings.Cut(a.Text(), ":"); got != tc.want {
					t.Fatalf("Encrypt: %s", a.Text())
				}
				return
			}
			blob, _, _ := strings.Cut(strings.SplitN(string(a.Body), `"CiphertextBlob":"`, 2)[1], `"`)
			d := do(s.Call(t.Context(), "Decrypt", `{"CiphertextBlob":"`+blob+`"`+member(tc.decrypt)+`}`)).ok(t)
			if d.Text() != tc.want {
				t.Errorf("Decrypt: %q, want %q", d.Text(), tc.want)
			}
		})
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestDecryptRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, other, waiting := newKey(t, c), newKey(t, c), newKey(t, c, external)
	rsaKey := newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeEncryptDecrypt))
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("hello")})).ok(t).CiphertextBlob
	rsaBlob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: rsaKey.KeyId, Plaintext: []byte("hello"), EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})).ok(t).CiphertextBlob
	const incorrect = "IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation."
	rows := []row{
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{other}"}`, incorrect},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{rsa}"}`, incorrect},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{waiting}"}`, incorrect},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{signer}"}`, incorrect},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"alias/none"}`, "NotFoundException: Alias {arn}alias/none is not found."},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{md}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
			"InvalidKeyUsageException: Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}","KeyId":"{rsa}"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}","KeyId":"{rsa}","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"AAAA","KeyId":"{rsa}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
			"ValidationException: KeyId is required when the ciphertext does not name its KMS key."},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}","KeyId":"{rsa}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256","EncryptionContext":{"a":"b"}}`,
			"ValidationException: An encryption context is supported by symmetric encryption keys only."},
		{"Decrypt", `{"CiphertextBlob":"{rsablob}","KeyId":"{signer}","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
			"InvalidKeyUsageException: {arn}key/{signer} key usage is SIGN_VERIFY which is not valid for Decrypt."},
		{"Decrypt", `{}`, invalid(violation("null", "ciphertextBlob", "not be null"))},
		{"Decrypt", `{"CiphertextBlob":"AA=="}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"` + b64(bytes.Repeat([]byte{1}, 6144)) + `"}`, "InvalidCiphertextException"},
		{"Decrypt", `{"CiphertextBlob":"{blob}","Recipient":{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"AAAA"}}`,
			"ValidationException: Recipient is not supported: this Region has no attestation root configured."},
	}
	for i := range blob { // every bit of the envelope counts
		bent := bytes.Clone(blob)
		bent[i] ^= 1 << (i % 8)
		a := do(s.Call(t.Context(), "Decrypt", `{"CiphertextBlob":"`+b64(bent)+`"}`)).ok(t)
		if got := a.Text(); got != "InvalidCiphertextException" && got != hidden {
			t.Errorf("byte %d bent: %s", i, got)
		}
		if i < len(blob)-1 {
			rows = append(rows, row{"Decrypt", `{"CiphertextBlob":"` + b64(blob[:i+1]) + `"}`, "InvalidCiphertextException"})
		}
	}
	refuse(t, s, rows, "{blob}", b64(blob), "{rsablob}", b64(rsaBlob), "{md}", *md.KeyId, "{other}", *other.KeyId, "{rsa}", *rsaKey.KeyId,
		"{waiting}", *waiting.KeyId, "{signer}", *signer.KeyId, "{none}", noKey, "{arn}", arnHead)
}

// TestForeignCiphertext: a ciphertext of another region says nothing about this one's keys (spec 10 DEC-02).
func TestForeignCiphertext(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	elsewhere := trenttest.Start(t, trenttest.Options{Args: []string{"--account", "444455556666"}})
	ec := elsewhere.Client()
	foreign := newKey(t, ec)
	blob := do(ec.Encrypt(t.Context(), &kms.EncryptInput{KeyId: foreign.KeyId, Plaintext: []byte("hello")})).ok(t).CiphertextBlob
	own := newKey(t, s.Client())
	refuse(t, s, []row{
		{"Decrypt", `{"CiphertextBlob":"{blob}"}`, hidden},
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","DestinationKeyId":"{own}"}`, hidden},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{own}"}`, "IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation."},
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{foreign}"}`, denied("Decrypt")},
	}, "{blob}", b64(blob), "{own}", *own.KeyId, "{foreign}", *foreign.Arn)
}

// hidden is the answer for a ciphertext under a key that the caller may not use or that does not exist (spec 04 AE-01).
const hidden = "AccessDeniedException: The ciphertext refers to a customer master key that does not exist, does not exist in this region, " +
	"or you are not allowed to access."

func TestReEncrypt(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	from, to := newKey(t, c), newKey(t, c)
	rsaKey := newKey(t, c, withSpec("RSA_2048", types.KeyUsageTypeEncryptDecrypt))
	plaintext := []byte("moves from key to key")
	first := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: from.KeyId, Plaintext: plaintext, EncryptionContext: map[string]string{"a": "1"}})).ok(t)

	moved := do(c.ReEncrypt(t.Context(), &kms.ReEncryptInput{
		CiphertextBlob: first.CiphertextBlob, SourceEncryptionContext: map[string]string{"a": "1"}, SourceKeyId: from.Arn,
		DestinationKeyId: to.KeyId, DestinationEncryptionContext: map[string]string{"b": "2"},
	})).ok(t)
	same(t, "ReEncrypt", *moved, kms.ReEncryptOutput{
		CiphertextBlob: moved.CiphertextBlob, SourceKeyId: from.Arn, KeyId: to.Arn,
		SourceEncryptionAlgorithm: "SYMMETRIC_DEFAULT", DestinationEncryptionAlgorithm: "SYMMETRIC_DEFAULT",
		SourceKeyMaterialId: from.CurrentKeyMaterialId, DestinationKeyMaterialId: to.CurrentKeyMaterialId,
	})
	again := do(c.ReEncrypt(t.Context(), &kms.ReEncryptInput{ // onto the same key, without naming the source
		CiphertextBlob: moved.CiphertextBlob, SourceEncryptionContext: map[string]string{"b": "2"}, DestinationKeyId: to.Arn,
	})).ok(t)
	out := do(c.ReEncrypt(t.Context(), &kms.ReEncryptInput{
		CiphertextBlob: again.CiphertextBlob, DestinationKeyId: rsaKey.KeyId, DestinationEncryptionAlgorithm: "RSAES_OAEP_SHA_256",
	})).ok(t)
	if out.SourceKeyMaterialId == nil || out.DestinationKeyMaterialId != nil {
		t.Errorf("material ids %v, %v: the destination is asymmetric", out.SourceKeyMaterialId, out.DestinationKeyMaterialId)
	}
	back := do(c.ReEncrypt(t.Context(), &kms.ReEncryptInput{
		CiphertextBlob: out.CiphertextBlob, SourceKeyId: rsaKey.Arn, SourceEncryptionAlgorithm: "RSAES_OAEP_SHA_256", DestinationKeyId: from.KeyId,
	})).ok(t)
	if got := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: back.CiphertextBlob, KeyId: from.Arn})).ok(t).Plaintext; !bytes.Equal(got, plaintext) {
		t.Errorf("after four moves: %q", got)
	}
	big := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: from.KeyId, Plaintext: make([]byte, 191)})).ok(t)
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	refuse(t, s, []row{
		{"ReEncrypt", `{"CiphertextBlob":"{first}","DestinationKeyId":"{to}"}`, "InvalidCiphertextException"},
		{"ReEncrypt", `{"CiphertextBlob":"AAAA","DestinationKeyId":"{to}"}`, "InvalidCiphertextException"},
		{"ReEncrypt", `{"CiphertextBlob":"{big}","SourceKeyId":"{to}","DestinationKeyId":"{to}"}`,
			"IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation."},
		{"ReEncrypt", `{"CiphertextBlob":"{big}","DestinationKeyId":"{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"ReEncrypt", `{"CiphertextBlob":"{big}","DestinationKeyId":"{rsa}"}`, "InvalidKeyUsageException: Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		{"ReEncrypt", `{"CiphertextBlob":"{big}","DestinationKeyId":"{signer}"}`,
			"InvalidKeyUsageException: {arn}key/{signer} key usage is SIGN_VERIFY which is not valid for ReEncrypt."},
		{"ReEncrypt", `{"CiphertextBlob":"{big}","DestinationKeyId":"{rsa}","DestinationEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
			"ValidationException: Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."},
		{"ReEncrypt", `{"CiphertextBlob":"{rsablob}","SourceEncryptionAlgorithm":"RSAES_OAEP_SHA_256","DestinationKeyId":"{to}"}`,
			"ValidationException: SourceKeyId is required when the ciphertext does not name its KMS key."},
		{"ReEncrypt", `{"CiphertextBlob":"{big}"}`, invalid(violation("null", "destinationKeyId", "not be null"))},
		{"ReEncrypt", `{"DestinationKeyId":"{to}"}`, invalid(violation("null", "ciphertextBlob", "not be null"))},
	}, "{first}", b64(first.CiphertextBlob), "{big}", b64(big.CiphertextBlob), "{rsablob}", b64(out.CiphertextBlob), "{to}", *to.KeyId,
		"{rsa}", *rsaKey.KeyId, "{signer}", *signer.KeyId, "{none}", noKey, "{arn}", arnHead)
}

// TestRSAEncryption: what Go encrypts with the public key, the service decrypts, up to the documented sizes (spec 10 ENC-02).
func TestRSAEncryption(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	for _, kind := range []struct {
		spec         types.KeySpec
		sha1, sha256 int
	}{{"RSA_2048", 214, 190}, {"RSA_3072", 342, 318}, {"RSA_4096", 470, 446}} {
		t.Run(string(kind.spec), func(t *testing.T) {
			t.Parallel()
			md := newKey(t, c, withSpec(kind.spec, types.KeyUsageTypeEncryptDecrypt))
			public := publicKey(t, c, md).(*rsa.PublicKey)
			for _, alg := range []struct {
				spec types.EncryptionAlgorithmSpec
				hash func() hash.Hash
				max  int
			}{{"RSAES_OAEP_SHA_1", sha1.New, kind.sha1}, {"RSAES_OAEP_SHA_256", sha256.New, kind.sha256}} {
				plaintext := make([]byte, alg.max)
				_, _ = rand.Read(plaintext)
				outside, err := rsa.EncryptOAEP(alg.hash(), rand.Reader, public, plaintext, nil)
				if err != nil {
					t.Fatal(err)
				}
				inside := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: plaintext, EncryptionAlgorithm: alg.spec})).ok(t)
				same(t, "Encrypt", *inside, kms.EncryptOutput{CiphertextBlob: inside.CiphertextBlob, KeyId: md.Arn, EncryptionAlgorithm: alg.spec})
				for _, blob := range [][]byte{outside, inside.CiphertextBlob} {
					out := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: md.Arn, EncryptionAlgorithm: alg.spec})).ok(t)
					same(t, "Decrypt", *out, kms.DecryptOutput{Plaintext: plaintext, KeyId: md.Arn, EncryptionAlgorithm: alg.spec})
				}
				tooLong := fmt.Sprintf(`{"KeyId":"%s","Plaintext":"%s","EncryptionAlgorithm":"%s"}`, *md.KeyId, b64(make([]byte, alg.max+1)), alg.spec)
				refuse(t, s, []row{{"Encrypt", tooLong, fmt.Sprintf(
					"ValidationException: Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", alg.spec, kind.spec, alg.max)}})
			}
			refuse(t, s, []row{
				{"Encrypt", `{"KeyId":"{id}","Plaintext":"aGk="}`, "InvalidKeyUsageException: Algorithm SYMMETRIC_DEFAULT is incompatible with key spec {spec}."},
				{"Encrypt", `{"KeyId":"{id}","Plaintext":"aGk=","EncryptionAlgorithm":"RSAES_OAEP_SHA_256","EncryptionContext":{"a":"b"}}`,
					"ValidationException: An encryption context is supported by symmetric encryption keys only."},
				{"GenerateDataKey", `{"KeyId":"{id}","KeySpec":"AES_256"}`, "InvalidKeyUsageException: You cannot generate a data key with an asymmetric CMK"},
				{"GenerateDataKeyWithoutPlaintext", `{"KeyId":"{id}","NumberOfBytes":7}`, "InvalidKeyUsageException: You cannot generate a data key with an asymmetric CMK"},
			}, "{id}", *md.KeyId, "{spec}", string(kind.spec))
		})
	}
}

// publicKey fetches a key's public key and checks the answer's other members.
func publicKey(t *testing.T, c *kms.Client, md *types.KeyMetadata) any {
	t.Helper()
	out := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.KeyId})).ok(t)
	same(t, "GetPublicKey", *out, kms.GetPublicKeyOutput{
		KeyId: md.Arn, PublicKey: out.PublicKey, KeySpec: md.KeySpec, CustomerMasterKeySpec: types.CustomerMasterKeySpec(md.KeySpec),
		KeyUsage: md.KeyUsage, EncryptionAlgorithms: md.EncryptionAlgorithms, SigningAlgorithms: md.SigningAlgorithms,
		KeyAgreementAlgorithms: md.KeyAgreementAlgorithms,
	})
	key, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		t.Fatalf("public key of %s: %v", md.KeySpec, err)
	}
	return key
}

func TestEncryptRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	refuse(t, s, []row{
		{"Encrypt", `{"KeyId":"{none}","Plaintext":"aGk="}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"Encrypt", `{"KeyId":"arn:nonsense","Plaintext":"aGk="}`, "NotFoundException: Invalid arn arn:nonsense"},
		{"Encrypt", `{"KeyId":"{mac}","Plaintext":"aGk="}`, "InvalidKeyUsageException: {arn}key/{mac} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt."},
		{"GenerateDataKey", `{"KeyId":"{mac}","KeySpec":"AES_256"}`,
			"InvalidKeyUsageException: {arn}key/{mac} key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKey."},
	}, "{none}", noKey, "{mac}", *mac.KeyId, "{arn}", arnHead)
	do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("alias/none"), Plaintext: []byte("x")})).refused(t,
		"NotFoundException: Alias "+arnHead+"alias/none is not found.")
}
