package keyspec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// TestCheckUsage is spec 01 GEN-19: operations by usage; every other combination is refused.
func TestCheckUsage(t *testing.T) {
	needs := map[shape.KeyUsageType]string{
		"ENCRYPT_DECRYPT":     "Encrypt Decrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext",
		"GENERATE_VERIFY_MAC": "GenerateMac VerifyMac",
		"SIGN_VERIFY":         "Sign Verify",
		"KEY_AGREEMENT":       "DeriveSharedSecret",
	}
	for have := range needs {
		for need, ops := range needs {
			for _, op := range strings.Fields(ops) {
				err := keyspec.CheckUsage(op, "arn", have)
				if have == need {
					if err != nil {
						t.Errorf("%s on %s: %v", op, have, err)
					}
					continue
				}
				wantErr(t, err, "InvalidKeyUsageException: arn key usage is "+string(have)+" which is not valid for "+op+".")
			}
		}
		for _, op := range []string{"DescribeKey", "GetPublicKey", "EnableKeyRotation", "ImportKeyMaterial", "CreateGrant", "GenerateRandom"} {
			if err := keyspec.CheckUsage(op, "arn", have); err != nil {
				t.Errorf("%s: %v", op, err)
			}
		}
	}
}

// TestSupportsGrant is spec 06 table 2, with the grant's split of ReEncrypt.
func TestSupportsGrant(t *testing.T) {
	always := "CreateGrant RetireGrant DescribeKey"
	for _, tt := range []struct {
		spec  shape.KeySpec
		usage shape.KeyUsageType
		ops   string
	}{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext"},
		{"HMAC_256", "GENERATE_VERIFY_MAC", "GenerateMac VerifyMac"},
		{"RSA_2048", "ENCRYPT_DECRYPT", "Encrypt Decrypt ReEncryptFrom ReEncryptTo GetPublicKey"},
		{"RSA_2048", "SIGN_VERIFY", "Sign Verify GetPublicKey"},
		{"ML_DSA_44", "SIGN_VERIFY", "Sign Verify GetPublicKey"},
		{"ECC_NIST_P256", "KEY_AGREEMENT", "DeriveSharedSecret GetPublicKey"},
	} {
		allowed := strings.Fields(tt.ops + " " + always)
		for _, op := range shape.GrantOperation("").Enum() {
			if got, want := keyspec.SupportsGrant(tt.spec, tt.usage, shape.GrantOperation(op)), slices.Contains(allowed, op); got != want {
				t.Errorf("%s %s %s: %v", tt.spec, tt.usage, op, got)
			}
		}
		if keyspec.SupportsGrant(tt.spec, tt.usage, "Fly") {
			t.Error("an unknown operation is supported")
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, spec := range keyspec.Specs() {
		for _, multi := range []bool{false, true} {
			if err := keyspec.CheckOrigin(spec, "AWS_KMS", multi); err != nil {
				t.Errorf("%s: %v", spec, err)
			}
			err := keyspec.CheckOrigin(spec, "EXTERNAL", multi)
			if strings.HasPrefix(string(spec), "ML_DSA") {
				wantErr(t, err, "ValidationException: EXTERNAL origin is not supported for ML-DSA keys.")
			} else if err != nil {
				t.Errorf("%s: %v", spec, err)
			}
			for _, store := range []shape.OriginType{"AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"} {
				err := keyspec.CheckOrigin(spec, store, multi)
				if ok := spec == "SYMMETRIC_DEFAULT" && !multi; ok != (err == nil) || !ok && !strings.HasPrefix(err.Error(), "UnsupportedOperationException: ") {
					t.Errorf("%s in %s, multi-Region %v: %v", spec, store, multi, err)
				}
			}
		}
	}
}

// TestCheckWrapping is spec 07 WRP-04 and WRP-05, cell by cell.
func TestCheckWrapping(t *testing.T) {
	oaep := []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	hybrid := []string{"RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"}
	for _, spec := range append(keyspec.Specs(), "SM2") {
		for _, alg := range shape.AlgorithmSpec("").Enum() {
			for _, key := range shape.WrappingKeySpec("").Enum() {
				s := string(spec)
				want := false
				switch {
				case s == "SM2" || strings.HasPrefix(s, "ML_DSA") || key == "SM2":
				case slices.Contains(hybrid, alg):
					want = true
				case slices.Contains(oaep, alg):
					want = !strings.HasPrefix(s, "RSA_") && (s != "ECC_NIST_P521" || key != "RSA_2048")
				}
				err := keyspec.CheckWrapping(spec, shape.AlgorithmSpec(alg), shape.WrappingKeySpec(key))
				if want != (err == nil) || !want && !strings.HasPrefix(err.Error(), "UnsupportedOperationException: ") {
					t.Errorf("%s, %s, %s: %v", spec, alg, key, err)
				}
				if want && (keyspec.HSMWrapping(shape.AlgorithmSpec(alg)) == 0 || keyspec.HSMWrappingKey(shape.WrappingKeySpec(key)) == 0) {
					t.Errorf("%s, %s have no HSM name", alg, key)
				}
			}
		}
	}
}

func TestWrappedBytes(t *testing.T) {
	for _, tt := range []struct {
		alg      shape.AlgorithmSpec
		key      shape.WrappingKeySpec
		min, max int
	}{
		{"RSAES_OAEP_SHA_256", "RSA_2048", 256, 256},
		{"RSAES_OAEP_SHA_1", "RSA_3072", 384, 384},
		{"RSA_AES_KEY_WRAP_SHA_256", "RSA_4096", 528, 6144},
		{"RSAES_PKCS1_V1_5", "RSA_2048", 0, 0},
		{"RSA_AES_KEY_WRAP_SHA_1", "SM2", 0, 0},
	} {
		if min, max := keyspec.WrappedBytes(tt.alg, tt.key); min != tt.min || max != tt.max {
			t.Errorf("%s %s: %d, %d", tt.alg, tt.key, min, max)
		}
	}
}
