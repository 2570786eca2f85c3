package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// parameters are a wrapping key with its token.
type parameters struct {
	token, public []byte
}

func getParameters(t testing.TB, c *kms.Client, md *types.KeyMetadata, alg types.AlgorithmSpec, spec types.WrappingKeySpec) parameters {
	t.Helper()
	out := do(c.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: md.KeyId, WrappingAlgorithm: alg, WrappingKeySpec: spec})).ok(t)
	near(t, "ParametersValidTo", out.ParametersValidTo, time.Now().Add(24*time.Hour))
	same(t, "GetParametersForImport", *out, kms.GetParametersForImportOutput{
		KeyId: md.Arn, ImportToken: out.ImportToken, PublicKey: out.PublicKey, ParametersValidTo: out.ParametersValidTo,
	})
	if len(out.ImportToken) > 6144 {
		t.Errorf("import token of %d bytes", len(out.ImportToken))
	}
	return parameters{out.ImportToken, out.PublicKey}
}

// seal wraps material with RSAES_OAEP_SHA_256.
func (p parameters) seal(t testing.TB, material []byte) []byte {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(p.public)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, key.(*rsa.PublicKey), material, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// importInput is an import of material that does not expire.
func importInput(t testing.TB, c *kms.Client, md *types.KeyMetadata, material []byte, change ...func(*kms.ImportKeyMaterialInput)) *kms.ImportKeyMaterialInput {
	t.Helper()
	p := getParameters(t, c, md, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa2048)
	in := &kms.ImportKeyMaterialInput{
		KeyId: md.Arn, ImportToken: p.token, EncryptedKeyMaterial: p.seal(t, material), ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	}
	for _, f := range change {
		f(in)
	}
	return in
}

func importMaterial(t testing.TB, c *kms.Client, md *types.KeyMetadata, material []byte, change ...func(*kms.ImportKeyMaterialInput)) (*kms.ImportKeyMaterialOutput, error) {
	t.Helper()
	return c.ImportKeyMaterial(t.Context(), importInput(t, c, md, material, change...))
}

func asNew(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeNewKeyMaterial }

func expiring(at time.Time) func(*kms.ImportKeyMaterialInput) {
	return func(in *kms.ImportKeyMaterialInput) {
		in.ExpirationModel, in.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &at
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// byok runs the script of the key's owner in a directory.
func byok(t testing.TB, dir string, args ...string) {
	t.Helper()
	script, err := filepath.Abs("testdata/byok.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{script}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("byok.sh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestImportByOpenSSL: material of every kind, wrapped in every way by OpenSSL, is the same key inside and outside (spec 07 WRP-08).
func TestImportByOpenSSL(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	const (
		oaep1, oaep256     = types.AlgorithmSpecRsaesOaepSha1, types.AlgorithmSpecRsaesOaepSha256
		hybrid1, hybrid256 = types.AlgorithmSpecRsaAesKeyWrapSha1, types.AlgorithmSpecRsaAesKeyWrapSha256
		rsa2048, rsa3072   = types.WrappingKeySpecRsa2048, types.WrappingKeySpecRsa3072
	)
	for _, tc := range []struct {
		spec  types.KeySpec
		usage types.KeyUsageType
		ways  map[types.AlgorithmSpec]types.WrappingKeySpec
	}{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep1: rsa2048, oaep256: types.WrappingKeySpecRsa4096, hybrid1: rsa2048, hybrid256: rsa2048}},
		{"HMAC_224", "GENERATE_VERIFY_MAC", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep1: rsa2048}},
		{"HMAC_256", "GENERATE_VERIFY_MAC", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep256: rsa2048}},
		{"HMAC_384", "GENERATE_VERIFY_MAC", map[types.AlgorithmSpec]types.WrappingKeySpec{hybrid1: rsa2048}},
		{"HMAC_512", "GENERATE_VERIFY_MAC", map[types.AlgorithmSpec]types.WrappingKeySpec{hybrid256: rsa2048}},
		{"RSA_2048", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{hybrid1: rsa2048, hybrid256: rsa3072}},
		{"RSA_3072", "ENCRYPT_DECRYPT", map[types.AlgorithmSpec]types.WrappingKeySpec{hybrid256: rsa2048}},
		{"RSA_4096", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{hybrid1: rsa2048}},
		{"ECC_NIST_P256", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep1: rsa2048, hybrid256: rsa2048}},
		{"ECC_NIST_P256", "KEY_AGREEMENT", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep256: rsa2048}},
		{"ECC_NIST_P384", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep256: rsa2048}},
		{"ECC_NIST_P521", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep256: rsa3072, hybrid1: rsa2048}},
		{"ECC_SECG_P256K1", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep1: rsa2048, hybrid256: rsa2048}},
		{"ECC_NIST_EDWARDS25519", "SIGN_VERIFY", map[types.AlgorithmSpec]types.WrappingKeySpec{oaep256: rsa2048}},
	} {
		t.Run(string(tc.spec)+" "+string(tc.usage), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			byok(t, dir, "generate", string(tc.spec))
			var id *string
			for alg, wrapping := range tc.ways {
				md := newKey(t, c, withSpec(tc.spec, tc.usage), external)
				p := getParameters(t, c, md, alg, wrapping)
				write(t, dir, "WrappingPublicKey.bin", p.public)
				byok(t, dir, "wrap", string(alg))
				out := do(c.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{
					KeyId: md.KeyId, ImportToken: p.token, EncryptedKeyMaterial: read(t, dir, "EncryptedKeyMaterial.bin"),
					ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
				})).ok(t)
				if !materialID.MatchString(aws.ToString(out.KeyMaterialId)) || aws.ToString(out.KeyId) != *md.Arn {
					t.Errorf("%s: answer %v, %v", alg, aws.ToString(out.KeyId), aws.ToString(out.KeyMaterialId))
				}
				if id != nil && *id == *out.KeyMaterialId {
					t.Error("two keys with the same material have the same material id: it tells who shares material")
				}
				id = out.KeyMaterialId
				got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
				if got.KeyState != types.KeyStateEnabled || got.ExpirationModel != types.ExpirationModelTypeKeyMaterialDoesNotExpire || got.ValidTo != nil {
					t.Errorf("%s: after the import %s, %s, %v", alg, got.KeyState, got.ExpirationModel, got.ValidTo)
				}
				checkImported(t, c, dir, got)
			}
		})
	}
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkImported compares the key with what the owner holds.
func checkImported(t *testing.T, c *kms.Client, dir string, md *types.KeyMetadata) {
	t.Helper()
	material := filepath.Join(dir, "PlaintextKeyMaterial.bin")
	message := []byte("the same inside and outside")
	write(t, dir, "message", message)
	switch md.KeyUsage {
	case types.KeyUsageTypeEncryptDecrypt:
		if md.KeySpec == types.KeySpecSymmetricDefault {
			blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: message})).ok(t).CiphertextBlob
			if got := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t).Plaintext; !bytes.Equal(got, message) {
				t.Errorf("decrypts to %q", got)
			}
			return
		}
		blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: message, EncryptionAlgorithm: "RSAES_OAEP_SHA_256"})).ok(t).CiphertextBlob
		write(t, dir, "ciphertext", blob)
		got := openssl(t, "pkeyutl", "-decrypt", "-in", filepath.Join(dir, "ciphertext"), "-inkey", material, "-keyform", "DER",
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256")
		if !bytes.Equal(got, message) {
			t.Errorf("OpenSSL decrypts to %q", got)
		}
	case types.KeyUsageTypeGenerateVerifyMac:
		alg := md.MacAlgorithms[0]
		mac := do(c.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: md.KeyId, Message: message, MacAlgorithm: alg})).ok(t).Mac
		out := openssl(t, "mac", "-digest", "SHA"+strings.TrimPrefix(string(alg), "HMAC_SHA_"),
			"-macopt", "hexkey:"+hex.EncodeToString(read(t, dir, "PlaintextKeyMaterial.bin")), "-in", filepath.Join(dir, "message"), "HMAC")
		if !strings.EqualFold(strings.TrimSpace(string(out)), hex.EncodeToString(mac)) {
			t.Errorf("OpenSSL's MAC is %s, not %x", out, mac)
		}
	case types.KeyUsageTypeKeyAgreement:
		peer := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER")
		write(t, dir, "peer.der", peer)
		public := openssl(t, "pkey", "-inform", "DER", "-in", filepath.Join(dir, "peer.der"), "-pubout", "-outform", "DER")
		write(t, dir, "peer.pub", public)
		out := do(c.DeriveSharedSecret(t.Context(), &kms.DeriveSharedSecretInput{KeyId: md.KeyId, KeyAgreementAlgorithm: "ECDH", PublicKey: public})).ok(t)
		want := openssl(t, "pkeyutl", "-derive", "-inkey", material, "-keyform", "DER", "-peerkey", filepath.Join(dir, "peer.pub"), "-peerform", "DER")
		if !bytes.Equal(out.SharedSecret, want) || out.KeyOrigin != types.OriginTypeExternal {
			t.Errorf("shared secrets differ, or origin %s", out.KeyOrigin)
		}
	case types.KeyUsageTypeSignVerify:
		want := openssl(t, "pkey", "-inform", "DER", "-in", material, "-pubout", "-outform", "DER")
		if got := do(c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.KeyId})).ok(t).PublicKey; !bytes.Equal(got, want) {
			t.Error("the public key is another one")
		}
		signed(t, c, md, md.SigningAlgorithms[0], "RAW", message)
	}
}

func TestImportLifecycle(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, external)
	describe := func() *types.KeyMetadata {
		t.Helper()
		return do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
	}
	material := randomBytes(32)
	until := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	first := do(importMaterial(t, c, md, material, expiring(until))).ok(t)
	got := describe()
	if got.KeyState != "Enabled" || got.ExpirationModel != "KEY_MATERIAL_EXPIRES" || !got.ValidTo.Equal(until) || *got.CurrentKeyMaterialId != *first.KeyMaterialId {
		t.Errorf("after the first import: %+v", got)
	}
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("kept")})).ok(t).CiphertextBlob

	// The same material again changes the expiry and nothing else.
	again := do(importMaterial(t, c, md, material)).ok(t)
	if got = describe(); *again.KeyMaterialId != *first.KeyMaterialId || got.ExpirationModel != "KEY_MATERIAL_DOES_NOT_EXPIRE" || got.ValidTo != nil {
		t.Errorf("after importing it again: %+v", got)
	}
	do(importMaterial(t, c, md, randomBytes(32))).refused(t, "IncorrectKeyMaterialException")

	deleted := do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: md.KeyId})).ok(t)
	same(t, "DeleteImportedKeyMaterial", *deleted, kms.DeleteImportedKeyMaterialOutput{KeyId: md.Arn, KeyMaterialId: first.KeyMaterialId})
	got = describe()
	if got.KeyState != "PendingImport" || got.Enabled || got.ExpirationModel != "" || got.ValidTo != nil || *got.CurrentKeyMaterialId != *first.KeyMaterialId {
		t.Errorf("after the deletion: %+v", got)
	}
	do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).refused(t, "KMSInvalidStateException: "+*md.Arn+" is pending import.")
	do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: md.Arn})).ok(t) // without effect
	do(importMaterial(t, c, md, randomBytes(32))).refused(t, "IncorrectKeyMaterialException")
	do(importMaterial(t, c, md, material, asNew)).refused(t, "IncorrectKeyMaterialException")
	do(importMaterial(t, c, md, material)).ok(t)
	if got := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t).Plaintext; string(got) != "kept" {
		t.Errorf("after importing it again: %q", got)
	}

	// The same material in another key opens nothing (spec 01 ENV-05).
	twin := newKey(t, c, external)
	do(importMaterial(t, c, twin, material)).ok(t)
	do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: twin.KeyId})).refused(t,
		"IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation.")

	// A deletion of material leaves a pending deletion alone.
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: twin.KeyId})).ok(t)
	do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: twin.KeyId})).ok(t)
	if got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: twin.KeyId})).ok(t).KeyMetadata; got.KeyState != "PendingDeletion" {
		t.Errorf("state %s", got.KeyState)
	}
	do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: twin.KeyId})).ok(t)
	if got := do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: twin.KeyId})).ok(t).KeyMetadata; got.KeyState != "PendingImport" {
		t.Errorf("state %s", got.KeyState)
	}

	// Importing into a disabled key leaves it disabled (spec 01 KST-12).
	do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: md.KeyId})).ok(t)
	do(importMaterial(t, c, md, material)).ok(t)
	if got := describe(); got.KeyState != "Disabled" {
		t.Errorf("state %s", got.KeyState)
	}
}

// TestImportedMaterialExpires waits for the node to remove it.
func TestImportedMaterialExpires(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, external)
	material := randomBytes(32)
	until := time.Now().Add(5 * time.Second).Truncate(time.Millisecond)
	do(importMaterial(t, c, md, material, expiring(until))).ok(t)
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("kept")})).ok(t).CiphertextBlob
	describe := func() *types.KeyMetadata {
		return do(c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
	}
	eventually(t, "the key waits for material again", func() bool { return describe().KeyState == types.KeyStatePendingImport })
	if time.Now().Before(until) {
		t.Error("expired too early")
	}
	got := describe() // what has expired still shows when (spec 07 SML-03)
	if got.ExpirationModel != "KEY_MATERIAL_EXPIRES" || got.ValidTo == nil || !got.ValidTo.Equal(until) {
		t.Errorf("after the expiry: %s, %v, want %v", got.ExpirationModel, got.ValidTo, until)
	}
	do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).refused(t, "KMSInvalidStateException: "+*md.Arn+" is pending import.")
	eventually(t, "the expiry is in the audit log", func() bool {
		return slices.ContainsFunc(records(t, trenttest.Shared(t)), func(r trenttest.Record) bool {
			return r.EventName == "DeleteExpiredKeyMaterial" && r.ServiceEventDetails["keyId"] == *md.KeyId
		})
	})
	do(importMaterial(t, c, md, material)).ok(t)
	if got := do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t).Plaintext; string(got) != "kept" {
		t.Errorf("after importing it again: %q", got)
	}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for poll := time.NewTicker(20 * time.Millisecond); !holds(); {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 30 s: %s", what)
		case <-poll.C:
		}
	}
}

func records(t testing.TB, s *trenttest.Server) []trenttest.Record {
	t.Helper()
	r, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md, other, own := newKey(t, c, external), newKey(t, c, external), newKey(t, c)
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify), external)
	p, q := getParameters(t, c, md, "RSAES_OAEP_SHA_256", "RSA_2048"), getParameters(t, c, other, "RSAES_OAEP_SHA_256", "RSA_2048")
	r := getParameters(t, c, signer, "RSAES_OAEP_SHA_256", "RSA_2048")
	soon, late := time.Now().Add(time.Hour).Unix(), time.Now().Add(366*24*time.Hour).Unix()
	body := func(key, token, material, more string) string {
		return fmt.Sprintf(`{"KeyId":"%s","ImportToken":"%s","EncryptedKeyMaterial":"%s"%s}`, key, token, material, more)
	}
	const forever = `,"ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"`
	const op = "ImportKeyMaterial"
	rows := []row{
		{op, body("{md}", "{token}", "{sealed}", ``), "ValidationException: A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		{op, body("{md}", "{token}", "{sealed}", `,"ExpirationModel":"KEY_MATERIAL_EXPIRES"`), "ValidationException: A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		{op, body("{md}", "{token}", "{sealed}", fmt.Sprintf(`%s,"ValidTo":%d`, forever, soon)),
			"ValidationException: A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"},
		{op, body("{md}", "{token}", "{sealed}", `,"ValidTo":1700000000`), "ValidationException: ValidTo must be in the future."},
		{op, body("{md}", "{token}", "{sealed}", fmt.Sprintf(`,"ValidTo":%d`, late)), "ValidationException: ValidTo must be at most 365 days in the future."},
		{op, body("{md}", "{token}", "{sealed}", forever+`,"ImportType":"NEW_KEY_MATERIAL","KeyMaterialId":"`+strings.Repeat("0", 64)+`"`),
			"ValidationException: KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL."},
		{op, body("{md}", "{token}", "{sealed}", forever+`,"ImportType":"EXISTING_KEY_MATERIAL"`), "IncorrectKeyMaterialException"},
		{op, body("{md}", "{token}", "{sealed}", forever+`,"KeyMaterialId":"`+strings.Repeat("0", 64)+`"`), "IncorrectKeyMaterialException"},
		{op, body("{md}", "{other token}", "{sealed}", forever), "InvalidImportTokenException"},
		{op, body("{md}", "AAAA", "{sealed}", forever), "InvalidImportTokenException"},
		{op, body("{md}", "{token}", "{other sealed}", forever), "InvalidCiphertextException"},
		{op, body("{md}", "{token}", "AAAA", forever), "ValidationException: Invalid encrypted key size."},
		{op, body("{md}", "{token}", "{short}", forever), "IncorrectKeyMaterialException"},
		{op, body("{signer}", "{signer token}", "{signer junk}", forever), "IncorrectKeyMaterialException"},
		{op, body("{signer}", "{signer token}", "{signer junk}", forever+`,"KeyMaterialDescription":"mine"`),
			"ValidationException: ImportType, KeyMaterialDescription and KeyMaterialId are only supported for symmetric encryption keys."},
		{op, body("{own}", "{token}", "{sealed}", forever), "UnsupportedOperationException: {arn}key/{own} origin is AWS_KMS which is not valid for this operation."},
		{op, body("{none}", "{token}", "{sealed}", forever), "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{op, body("alias/none", "{token}", "{sealed}", forever), "InvalidArnException: Key Aliases are not supported for this operation."},
		{"GetParametersForImport", `{"KeyId":"{own}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`,
			"UnsupportedOperationException: {arn}key/{own} origin is AWS_KMS which is not valid for this operation."},
		{"GetParametersForImport", `{"KeyId":"{none}","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
		{"GetParametersForImport", `{"KeyId":"{md}","WrappingAlgorithm":"RSAES_PKCS1_V1_5","WrappingKeySpec":"RSA_2048"}`,
			"UnsupportedOperationException: Key material of key spec SYMMETRIC_DEFAULT cannot be imported with wrapping algorithm RSAES_PKCS1_V1_5 and wrapping key spec RSA_2048."},
		{"GetParametersForImport", `{"KeyId":"{md}","WrappingAlgorithm":"SM2PKE","WrappingKeySpec":"SM2"}`,
			"UnsupportedOperationException: Key material of key spec SYMMETRIC_DEFAULT cannot be imported with wrapping algorithm SM2PKE and wrapping key spec SM2."},
		{"DeleteImportedKeyMaterial", `{"KeyId":"{own}"}`, "UnsupportedOperationException: {arn}key/{own} origin is AWS_KMS which is not valid for this operation."},
		{"DeleteImportedKeyMaterial", `{"KeyId":"{md}","KeyMaterialId":"` + strings.Repeat("0", 64) + `"}`, "ValidationException: The request is not valid: IncorrectKeyMaterial."},
		{"DeleteImportedKeyMaterial", `{"KeyId":"{none}"}`, "NotFoundException: Key '{arn}key/{none}' does not exist"},
	}
	for _, i := range []int{0, 3, 5, 11, 16, len(p.token) / 2, len(p.token) - 1} { // whatever is changed in a token
		token := bytes.Clone(p.token)
		token[i] ^= 1
		rows = append(rows, row{op, body("{md}", b64(token), "{sealed}", forever), "InvalidImportTokenException"})
	}
	refuse(t, s, rows, "{md}", *md.KeyId, "{own}", *own.KeyId, "{signer}", *signer.KeyId, "{none}", noKey, "{arn}", arnHead,
		"{token}", b64(p.token), "{other token}", b64(q.token), "{signer token}", b64(r.token), "{sealed}", b64(p.seal(t, randomBytes(32))),
		"{other sealed}", b64(q.seal(t, randomBytes(32))), "{short}", b64(p.seal(t, randomBytes(31))), "{signer junk}", b64(r.seal(t, randomBytes(138))))
	for _, tc := range []struct {
		spec types.KeySpec
		alg  string
	}{{"RSA_2048", "RSAES_OAEP_SHA_256"}, {"ECC_NIST_P521", "RSAES_OAEP_SHA_1"}, {"ECC_NIST_P521", "RSAES_OAEP_SHA_256"}} {
		key := newKey(t, c, withSpec(tc.spec, types.KeyUsageTypeSignVerify), external)
		refuse(t, s, []row{{"GetParametersForImport", fmt.Sprintf(`{"KeyId":"%s","WrappingAlgorithm":"%s","WrappingKeySpec":"RSA_2048"}`, *key.KeyId, tc.alg),
			fmt.Sprintf("UnsupportedOperationException: Key material of key spec %s cannot be imported with wrapping algorithm %s and wrapping key spec RSA_2048.", tc.spec, tc.alg)}})
	}
}
