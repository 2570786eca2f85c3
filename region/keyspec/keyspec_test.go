package keyspec_test

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/keyspec"
	"github.com/trentkms/trent/region/shape"
)

// table1 is spec 06 table 1 in its own words: spec, usage, algorithms in the order in which answers list them.
const table1 = `
SYMMETRIC_DEFAULT ENCRYPT_DECRYPT SYMMETRIC_DEFAULT
HMAC_224 GENERATE_VERIFY_MAC HMAC_SHA_224
HMAC_256 GENERATE_VERIFY_MAC HMAC_SHA_256
HMAC_384 GENERATE_VERIFY_MAC HMAC_SHA_384
HMAC_512 GENERATE_VERIFY_MAC HMAC_SHA_512
RSA_2048 ENCRYPT_DECRYPT RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256
RSA_3072 ENCRYPT_DECRYPT RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256
RSA_4096 ENCRYPT_DECRYPT RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256
RSA_2048 SIGN_VERIFY RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
RSA_3072 SIGN_VERIFY RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
RSA_4096 SIGN_VERIFY RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512
ECC_NIST_P256 SIGN_VERIFY ECDSA_SHA_256
ECC_NIST_P384 SIGN_VERIFY ECDSA_SHA_384
ECC_NIST_P521 SIGN_VERIFY ECDSA_SHA_512
ECC_NIST_P256 KEY_AGREEMENT ECDH
ECC_NIST_P384 KEY_AGREEMENT ECDH
ECC_NIST_P521 KEY_AGREEMENT ECDH
ECC_SECG_P256K1 SIGN_VERIFY ECDSA_SHA_256
ECC_NIST_EDWARDS25519 SIGN_VERIFY ED25519_SHA_512 ED25519_PH_SHA_512
ML_DSA_44 SIGN_VERIFY ML_DSA_SHAKE_256
ML_DSA_65 SIGN_VERIFY ML_DSA_SHAKE_256
ML_DSA_87 SIGN_VERIFY ML_DSA_SHAKE_256
`

func pairs() map[[2]string][]string {
	m := map[[2]string][]string{}
	for line := range strings.Lines(strings.TrimSpace(table1)) {
		f := strings.Fields(line)
		m[[2]string{f[0], f[1]}] = f[2:]
	}
	return m
}

func text[S ~string](list []S) []string {
	var s []string
	for _, v := range list {
		s = append(s, string(v))
	}
	return s
}

func TestPairsAndAlgorithms(t *testing.T) {
	want := pairs()
	var spec shape.KeySpec
	var usage shape.KeyUsageType
	seen := 0
	for _, s := range spec.Enum() {
		for _, u := range usage.Enum() {
			spec, usage := shape.KeySpec(s), shape.KeyUsageType(u)
			algorithms, allowed := want[[2]string{s, u}]
			err := keyspec.CheckPair(spec, shape.Some(usage))
			switch {
			case allowed && err != nil:
				t.Errorf("%s %s: %v", s, u, err)
			case s == "SM2":
				wantErr(t, err, "UnsupportedOperationException: KeySpec SM2 is not supported in this Region")
			case !allowed:
				wantErr(t, err, fmt.Sprintf("ValidationException: KeyUsage %s is not compatible with KeySpec %s", u, s))
			}
			if !allowed {
				continue
			}
			seen++
			got := map[shape.KeyUsageType][]string{
				shape.KeyUsageEncryptDecrypt:    text(keyspec.EncryptionAlgorithms(spec)),
				shape.KeyUsageSignVerify:        text(keyspec.SigningAlgorithms(spec)),
				shape.KeyUsageGenerateVerifyMac: text(keyspec.MacAlgorithms(spec)),
				shape.KeyUsageKeyAgreement:      text(keyspec.KeyAgreementAlgorithms(spec)),
			}[usage]
			if !slices.Equal(got, algorithms) {
				t.Errorf("%s %s: %v, want %v", s, u, got, algorithms)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d pairs seen, %d in the table", seen, len(want))
	}
}

func TestUsageMayBeLeftOutForSymmetricKeysOnly(t *testing.T) {
	absent := shape.Opt[shape.KeyUsageType]{}
	if err := keyspec.CheckPair(shape.KeySpecSymmetricDefault, absent); err != nil {
		t.Error(err)
	}
	for _, spec := range keyspec.Specs()[1:] {
		wantErr(t, keyspec.CheckPair(spec, absent), "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
	wantErr(t, keyspec.CheckPair(shape.KeySpecSM2, absent), "UnsupportedOperationException: KeySpec SM2 is not supported in this Region")
}

// TestAlgorithmChecks asks every spec for every algorithm.
func TestAlgorithmChecks(t *testing.T) {
	want := pairs()
	for _, spec := range keyspec.Specs() {
		one := func(usage, alg string, err error) {
			t.Helper()
			if slices.Contains(want[[2]string{string(spec), usage}], alg) {
				if err != nil {
					t.Errorf("%s %s: %v", spec, alg, err)
				}
				return
			}
			wantErr(t, err, fmt.Sprintf("InvalidKeyUsageException: Algorithm %s is incompatible with key spec %s.", alg, spec))
		}
		for _, a := range shape.EncryptionAlgorithmSpec("").Enum() {
			one("ENCRYPT_DECRYPT", a, keyspec.CheckEncryption(spec, shape.EncryptionAlgorithmSpec(a)))
		}
		for _, a := range shape.SigningAlgorithmSpec("").Enum() {
			one("SIGN_VERIFY", a, keyspec.CheckSigning(spec, shape.SigningAlgorithmSpec(a)))
		}
		for _, a := range shape.MacAlgorithmSpec("").Enum() {
			one("GENERATE_VERIFY_MAC", a, keyspec.CheckMAC(spec, shape.MacAlgorithmSpec(a)))
		}
		for _, a := range shape.KeyAgreementAlgorithmSpec("").Enum() {
			one("KEY_AGREEMENT", a, keyspec.CheckKeyAgreement(spec, shape.KeyAgreementAlgorithmSpec(a)))
		}
	}
}

func wantErr(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestKindsAndGroups(t *testing.T) {
	for _, spec := range keyspec.Specs() {
		kind, group := keyspec.Asymmetric, keyspec.GroupECC
		switch s := string(spec); {
		case s == "SYMMETRIC_DEFAULT":
			kind, group = keyspec.Symmetric, keyspec.GroupSymmetric
		case strings.HasPrefix(s, "HMAC_"):
			kind, group = keyspec.HMAC, keyspec.GroupSymmetric
		case strings.HasPrefix(s, "RSA_"):
			group = keyspec.GroupRSA
		case strings.HasPrefix(s, "ML_DSA_"):
			group = keyspec.GroupMLDSA
		}
		if keyspec.KindOf(spec) != kind || keyspec.GroupOf(spec) != group {
			t.Errorf("%s: kind %d, group %d", spec, keyspec.KindOf(spec), keyspec.GroupOf(spec))
		}
		if string(keyspec.Deprecated(spec)) != string(spec) {
			t.Errorf("%s: twin %s", spec, keyspec.Deprecated(spec))
		}
	}
	if keyspec.KindOf("SM2") != 0 || keyspec.GroupOf("nonsense") != 0 {
		t.Error("a spec that is not offered has a kind")
	}
}

// TestPlaintextLimits is spec 10 ENC-02.
func TestPlaintextLimits(t *testing.T) {
	for _, tt := range []struct {
		spec shape.KeySpec
		alg  shape.EncryptionAlgorithmSpec
		max  int
	}{
		{"SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT", 4096},
		{"RSA_2048", "RSAES_OAEP_SHA_1", 214}, {"RSA_2048", "RSAES_OAEP_SHA_256", 190},
		{"RSA_3072", "RSAES_OAEP_SHA_1", 342}, {"RSA_3072", "RSAES_OAEP_SHA_256", 318},
		{"RSA_4096", "RSAES_OAEP_SHA_1", 470}, {"RSA_4096", "RSAES_OAEP_SHA_256", 446},
		{"RSA_2048", "SYMMETRIC_DEFAULT", 0}, {"ECC_NIST_P256", "RSAES_OAEP_SHA_1", 0}, {"SM2", "SM2PKE", 0},
	} {
		if got := keyspec.MaxPlaintext(tt.spec, tt.alg); got != tt.max {
			t.Errorf("%s %s: %d, want %d", tt.spec, tt.alg, got, tt.max)
		}
		if err := keyspec.CheckPlaintext(tt.spec, tt.alg, tt.max); err != nil {
			t.Error(err)
		}
		wantErr(t, keyspec.CheckPlaintext(tt.spec, tt.alg, tt.max+1), fmt.Sprintf(
			"ValidationException: Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", tt.alg, tt.spec, tt.max))
	}
}

func TestCheckMessage(t *testing.T) {
	digestLength := func(alg string) string {
		return "ValidationException: Digest is invalid length for algorithm " + alg + "."
	}
	typeAlg := func(typ, alg string) string {
		return "ValidationException: Message type " + typ + " is incompatible with algorithm " + alg + "."
	}
	typeSpec := func(typ, spec string) string {
		return "ValidationException: Message type " + typ + " is incompatible with key spec " + spec + "."
	}
	for _, tt := range []struct {
		spec shape.KeySpec
		alg  shape.SigningAlgorithmSpec
		typ  shape.MessageType
		n    int
		want string
	}{
		{"RSA_2048", "RSASSA_PSS_SHA_256", "RAW", 1, ""},
		{"RSA_2048", "RSASSA_PSS_SHA_256", "RAW", 32, ""},
		{"RSA_2048", "RSASSA_PSS_SHA_256", "DIGEST", 32, ""},
		{"RSA_2048", "RSASSA_PSS_SHA_384", "DIGEST", 48, ""},
		{"RSA_2048", "RSASSA_PSS_SHA_512", "DIGEST", 64, ""},
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "DIGEST", 31, digestLength("RSASSA_PKCS1_V1_5_SHA_256")},
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_384", "DIGEST", 64, digestLength("RSASSA_PKCS1_V1_5_SHA_384")},
		{"ECC_NIST_P521", "ECDSA_SHA_512", "DIGEST", 64, ""},
		{"ECC_SECG_P256K1", "ECDSA_SHA_256", "DIGEST", 33, digestLength("ECDSA_SHA_256")},
		{"RSA_2048", "RSASSA_PSS_SHA_256", "EXTERNAL_MU", 64, typeSpec("EXTERNAL_MU", "RSA_2048")},
		{"ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "RAW", 4096, ""},
		{"ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST", 64, typeAlg("DIGEST", "ED25519_SHA_512")},
		{"ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "DIGEST", 64, ""},
		{"ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "DIGEST", 63, digestLength("ED25519_PH_SHA_512")},
		{"ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "RAW", 64, typeAlg("RAW", "ED25519_PH_SHA_512")},
		{"ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "EXTERNAL_MU", 64, typeSpec("EXTERNAL_MU", "ECC_NIST_EDWARDS25519")},
		{"ML_DSA_44", "ML_DSA_SHAKE_256", "RAW", 4096, ""},
		{"ML_DSA_44", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 64, ""},
		{"ML_DSA_65", "ML_DSA_SHAKE_256", "EXTERNAL_MU", 32, digestLength("ML_DSA_SHAKE_256")},
		{"ML_DSA_44", "ML_DSA_SHAKE_256", "DIGEST", 64, typeSpec("DIGEST", "ML_DSA_44")},
	} {
		err := keyspec.CheckMessage(tt.spec, tt.alg, tt.typ, tt.n)
		if tt.want == "" && err != nil {
			t.Errorf("%v: %v", tt, err)
		} else if tt.want != "" {
			wantErr(t, err, tt.want)
		}
	}
}

func TestSigningTellsWhatTheHSMGets(t *testing.T) {
	for _, tt := range []struct {
		alg  shape.SigningAlgorithmSpec
		typ  shape.MessageType
		hash crypto.Hash
		hsm  hsm.Algorithm
	}{
		{"RSASSA_PSS_SHA_384", "RAW", crypto.SHA384, hsm.RSAPSSSHA384},
		{"RSASSA_PSS_SHA_384", "DIGEST", 0, hsm.RSAPSSSHA384},
		{"RSASSA_PKCS1_V1_5_SHA_512", "RAW", crypto.SHA512, hsm.RSAPKCS1SHA512},
		{"ECDSA_SHA_256", "RAW", crypto.SHA256, hsm.ECDSASHA256},
		{"ECDSA_SHA_256", "DIGEST", 0, hsm.ECDSASHA256},
		{"ED25519_SHA_512", "RAW", 0, hsm.Ed25519Pure},
		{"ED25519_PH_SHA_512", "DIGEST", crypto.SHA512, hsm.Ed25519ph},
		{"ML_DSA_SHAKE_256", "RAW", 0, hsm.MLDSAPure},
		{"ML_DSA_SHAKE_256", "EXTERNAL_MU", 0, hsm.MLDSAExternalMu},
	} {
		if hash, alg := keyspec.Signing(tt.alg, tt.typ); hash != tt.hash || alg != tt.hsm {
			t.Errorf("%s %s: hash %v, algorithm %d", tt.alg, tt.typ, hash, alg)
		}
	}
	if keyspec.DigestBytes("ECDSA_SHA_384") != 48 || keyspec.DigestBytes("ED25519_SHA_512") != 0 || keyspec.DigestBytes("ML_DSA_SHAKE_256") != 0 {
		t.Error("DigestBytes")
	}
}

// TestEveryAlgorithmHasAnHSMName: what an answer lists, the HSM can be asked for, and no two algorithms share a name.
func TestEveryAlgorithmHasAnHSMName(t *testing.T) {
	names := map[hsm.Algorithm]string{}
	add := func(name hsm.Algorithm, alg string) {
		if prev, ok := names[name]; name == 0 || ok && prev != alg {
			t.Errorf("%s and %s share HSM algorithm %d", alg, prev, name)
		}
		names[name] = alg
	}
	types := map[hsm.KeyType]bool{}
	for _, spec := range keyspec.Specs() {
		r, ok := keyspec.Lookup(spec)
		if !ok || r.Spec != spec || types[r.HSM] || r.HSM == 0 {
			t.Errorf("%s: HSM type %d", spec, r.HSM)
		}
		types[r.HSM] = true
		for _, a := range r.Encryption {
			add(keyspec.HSMEncryption(a), string(a))
		}
		for _, a := range r.Signing {
			_, name := keyspec.Signing(a, shape.MessageRaw)
			add(name, string(a))
		}
		for _, a := range r.MAC {
			add(keyspec.HSMMAC(a), string(a))
			if keyspec.MACBytes(a) != r.MaterialBytes {
				t.Errorf("%s: %d-byte tags of a %d-byte key", a, keyspec.MACBytes(a), r.MaterialBytes)
			}
		}
		for _, u := range r.Usages() {
			if keyspec.HSMUsage(spec, u) == 0 {
				t.Errorf("%s %s has no HSM usage", spec, u)
			}
		}
	}
	if keyspec.HSMUsage("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT") != hsm.UseDerive || keyspec.HSMUsage("RSA_2048", "ENCRYPT_DECRYPT") != hsm.UseDecrypt {
		t.Error("a symmetric key derives, an RSA key decrypts")
	}
	if keyspec.HSMUsage("RSA_2048", "SIGN_VERIFY") != hsm.UseSign || keyspec.HSMUsage("ECC_NIST_P256", "KEY_AGREEMENT") != hsm.UseAgree || keyspec.HSMUsage("HMAC_224", "GENERATE_VERIFY_MAC") != hsm.UseMAC {
		t.Error("HSMUsage")
	}
}

func TestSizes(t *testing.T) {
	for spec, want := range map[shape.KeySpec][2]int{ // material, longest signature
		"SYMMETRIC_DEFAULT": {32, 0}, "HMAC_224": {28, 0}, "HMAC_256": {32, 0}, "HMAC_384": {48, 0}, "HMAC_512": {64, 0},
		"RSA_2048": {0, 256}, "RSA_3072": {0, 384}, "RSA_4096": {0, 512},
		"ECC_NIST_P256": {0, 72}, "ECC_NIST_P384": {0, 104}, "ECC_NIST_P521": {0, 139}, "ECC_SECG_P256K1": {0, 72},
		"ECC_NIST_EDWARDS25519": {0, 64}, "ML_DSA_44": {0, 2420}, "ML_DSA_65": {0, 3309}, "ML_DSA_87": {0, 4627},
	} {
		r, _ := keyspec.Lookup(spec)
		if r.MaterialBytes != want[0] || r.SignatureBytes != want[1] {
			t.Errorf("%s: %d, %d", spec, r.MaterialBytes, r.SignatureBytes)
		}
	}
	if keyspec.DataKeyBytes("AES_128") != 16 || keyspec.DataKeyBytes("AES_256") != 32 || keyspec.DataKeyBytes("") != 0 {
		t.Error("DataKeyBytes")
	}
}

// TestDataKeyPairs is spec 01 DKP-02.
func TestDataKeyPairs(t *testing.T) {
	for _, s := range append(shape.DataKeyPairSpec("").Enum(), "ML_DSA_44", "SYMMETRIC_DEFAULT", "HMAC_256", "") {
		r, ok := keyspec.LookupPair(shape.DataKeyPairSpec(s))
		want := strings.HasPrefix(s, "RSA_") || strings.HasPrefix(s, "ECC_")
		if ok != want || ok && string(r.Spec) != s {
			t.Errorf("%q: %v", s, ok)
		}
	}
}
