// Package keyspec is the one table of key specs: what each is, which usages and algorithms it has and in which order they are
// listed, its sizes, its HSM key type, its quota group, how its material is imported (spec 06 table 1, spec 10 section 6).
//
// The package guarantees:
//   - everything about a key spec is in one row; a spec that is not in the table is not offered (SM2, spec 09 KTR-10);
//   - the checks answer with the recorded errors, as *[fault.Error], and in the recorded order;
//   - it is data and pure functions, safe for concurrent use; slices it returns are shared and must not be changed.
package keyspec

import (
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/shape"
)

// Kind is the class of a key: an alias moves only between keys of one kind (spec 09 KTR-09).
type Kind uint8

// Kinds of keys (spec 06 KIND-09).
const (
	Symmetric  Kind = iota + 1 // symmetric encryption
	HMAC                       // symmetric, for MACs
	Asymmetric                 // RSA, elliptic curves, ML-DSA
)

// Group is the request quota that cryptographic operations with a key count against (spec 03 B2).
type Group uint8

// Quota groups of cryptographic operations.
const (
	GroupSymmetric Group = iota + 1 // symmetric encryption and HMAC keys together
	GroupRSA
	GroupECC
	GroupMLDSA
)

// Row is everything about one key spec. Lists that do not apply are empty.
type Row struct {
	Spec  shape.KeySpec
	Kind  Kind
	Group Group
	// HSM is the key type in the HSM.
	HSM hsm.KeyType
	// MaterialBytes is the length of raw material (spec 07 B4), 0 for private keys, which come as PKCS#8.
	MaterialBytes int
	// ModulusBytes is the length of an RSA modulus, of its ciphertexts and of its signatures.
	ModulusBytes int
	// SignatureBytes is the length of the longest signature: DER for ECDSA, the only one whose length varies.
	SignatureBytes int
	// NoImport refuses Origin EXTERNAL (spec 06 PQC-07).
	NoImport bool
	// Pair tells that data key pairs of this spec are made (spec 01 DKP-02).
	Pair bool

	// Algorithms per usage, in the order in which answers list them. A usage is allowed exactly if its list is not empty.
	Encryption   []shape.EncryptionAlgorithmSpec   // ENCRYPT_DECRYPT
	Signing      []shape.SigningAlgorithmSpec      // SIGN_VERIFY
	MAC          []shape.MacAlgorithmSpec          // GENERATE_VERIFY_MAC
	KeyAgreement []shape.KeyAgreementAlgorithmSpec // KEY_AGREEMENT
}

// MaxPlaintextBytes is the most that any key encrypts (spec 10 ENC-02).
const MaxPlaintextBytes = 4096

var (
	symmetricDefault = []shape.EncryptionAlgorithmSpec{shape.EncryptionAlgorithmSymmetricDefault}
	oaep             = []shape.EncryptionAlgorithmSpec{shape.EncryptionAlgorithmOAEPSHA1, shape.EncryptionAlgorithmOAEPSHA256}
	rsaSigning       = []shape.SigningAlgorithmSpec{
		shape.SigningAlgorithmPKCS1SHA256, shape.SigningAlgorithmPKCS1SHA384, shape.SigningAlgorithmPKCS1SHA512,
		shape.SigningAlgorithmPSSSHA256, shape.SigningAlgorithmPSSSHA384, shape.SigningAlgorithmPSSSHA512,
	}
	ed25519 = []shape.SigningAlgorithmSpec{shape.SigningAlgorithmEd25519, shape.SigningAlgorithmEd25519ph}
	ecdh    = []shape.KeyAgreementAlgorithmSpec{shape.KeyAgreementAlgorithmECDH}
)

// table holds a row per offered spec.
var table = []Row{
	{Spec: shape.KeySpecSymmetricDefault, Kind: Symmetric, Group: GroupSymmetric, HSM: hsm.Symmetric, MaterialBytes: 32, Encryption: symmetricDefault},
	hmac(shape.KeySpecHMAC224, hsm.HMAC224, 28, shape.MacAlgorithmHMACSHA224),
	hmac(shape.KeySpecHMAC256, hsm.HMAC256, 32, shape.MacAlgorithmHMACSHA256),
	hmac(shape.KeySpecHMAC384, hsm.HMAC384, 48, shape.MacAlgorithmHMACSHA384),
	hmac(shape.KeySpecHMAC512, hsm.HMAC512, 64, shape.MacAlgorithmHMACSHA512),
	rsa(shape.KeySpecRSA2048, hsm.RSA2048, 256),
	rsa(shape.KeySpecRSA3072, hsm.RSA3072, 384),
	rsa(shape.KeySpecRSA4096, hsm.RSA4096, 512),
	ecc(shape.KeySpecP256, hsm.P256, 72, shape.SigningAlgorithmECDSASHA256, ecdh),
	ecc(shape.KeySpecP384, hsm.P384, 104, shape.SigningAlgorithmECDSASHA384, ecdh),
	ecc(shape.KeySpecP521, hsm.P521, 139, shape.SigningAlgorithmECDSASHA512, ecdh),
	ecc(shape.KeySpecSecp256k1, hsm.Secp256k1, 72, shape.SigningAlgorithmECDSASHA256, nil),
	{Spec: shape.KeySpecEd25519, Kind: Asymmetric, Group: GroupECC, HSM: hsm.Ed25519, SignatureBytes: 64, Pair: true, Signing: ed25519},
	mldsa(shape.KeySpecMLDSA44, hsm.MLDSA44, 2420),
	mldsa(shape.KeySpecMLDSA65, hsm.MLDSA65, 3309),
	mldsa(shape.KeySpecMLDSA87, hsm.MLDSA87, 4627),
}

func hmac(spec shape.KeySpec, t hsm.KeyType, bytes int, alg shape.MacAlgorithmSpec) Row {
	return Row{Spec: spec, Kind: HMAC, Group: GroupSymmetric, HSM: t, MaterialBytes: bytes, MAC: []shape.MacAlgorithmSpec{alg}}
}

func rsa(spec shape.KeySpec, t hsm.KeyType, modulus int) Row {
	return Row{
		Spec: spec, Kind: Asymmetric, Group: GroupRSA, HSM: t, ModulusBytes: modulus, SignatureBytes: modulus, Pair: true,
		Encryption: oaep, Signing: rsaSigning,
	}
}

func ecc(spec shape.KeySpec, t hsm.KeyType, signature int, alg shape.SigningAlgorithmSpec, agreement []shape.KeyAgreementAlgorithmSpec) Row {
	return Row{
		Spec: spec, Kind: Asymmetric, Group: GroupECC, HSM: t, SignatureBytes: signature, Pair: true,
		Signing: []shape.SigningAlgorithmSpec{alg}, KeyAgreement: agreement,
	}
}

func mldsa(spec shape.KeySpec, t hsm.KeyType, signature int) Row {
	return Row{
		Spec: spec, Kind: Asymmetric, Group: GroupMLDSA, HSM: t, SignatureBytes: signature, NoImport: true,
		Signing: []shape.SigningAlgorithmSpec{shape.SigningAlgorithmMLDSA},
	}
}

// none stands for a spec that is not offered: nothing fits it.
var none Row

// Lookup finds a spec's row. ok is false for a spec that is not offered; the row is then empty and fits nothing.
func Lookup(spec shape.KeySpec) (row *Row, ok bool) {
	for i := range table {
		if table[i].Spec == spec {
			return &table[i], true
		}
	}
	return &none, false
}

// LookupPair finds the row of a data key pair's spec; ok is false if such pairs are not made.
func LookupPair(spec shape.DataKeyPairSpec) (row *Row, ok bool) {
	row, ok = Lookup(shape.KeySpec(spec))
	if !ok || !row.Pair {
		return &none, false
	}
	return row, true
}

// Specs returns all offered specs, in the order of the table.
func Specs() []shape.KeySpec {
	all := make([]shape.KeySpec, len(table))
	for i := range table {
		all[i] = table[i].Spec
	}
	return all
}

// KindOf is the kind of a spec, 0 if it is not offered.
func KindOf(spec shape.KeySpec) Kind { return row(spec).Kind }

// GroupOf is the quota group of a spec, 0 if it is not offered.
func GroupOf(spec shape.KeySpec) Group { return row(spec).Group }

// EncryptionAlgorithms lists what an ENCRYPT_DECRYPT key of the spec can do.
func EncryptionAlgorithms(spec shape.KeySpec) []shape.EncryptionAlgorithmSpec {
	return row(spec).Encryption
}

// SigningAlgorithms lists what a SIGN_VERIFY key of the spec can do.
func SigningAlgorithms(spec shape.KeySpec) []shape.SigningAlgorithmSpec { return row(spec).Signing }

// MacAlgorithms lists what a GENERATE_VERIFY_MAC key of the spec can do.
func MacAlgorithms(spec shape.KeySpec) []shape.MacAlgorithmSpec { return row(spec).MAC }

// KeyAgreementAlgorithms lists what a KEY_AGREEMENT key of the spec can do.
func KeyAgreementAlgorithms(spec shape.KeySpec) []shape.KeyAgreementAlgorithmSpec {
	return row(spec).KeyAgreement
}

func row(spec shape.KeySpec) *Row {
	r, _ := Lookup(spec)
	return r
}

// Usages returns the allowed usages, at most three.
func (r *Row) Usages() []shape.KeyUsageType {
	var usages []shape.KeyUsageType
	for _, u := range []struct {
		usage shape.KeyUsageType
		n     int
	}{
		{shape.KeyUsageEncryptDecrypt, len(r.Encryption)},
		{shape.KeyUsageSignVerify, len(r.Signing)},
		{shape.KeyUsageGenerateVerifyMac, len(r.MAC)},
		{shape.KeyUsageKeyAgreement, len(r.KeyAgreement)},
	} {
		if u.n > 0 {
			usages = append(usages, u.usage)
		}
	}
	return usages
}

// Deprecated is the value of CustomerMasterKeySpec: always that of KeySpec, also where the deprecated enum lacks it (spec 06
// KIND-07).
func Deprecated(spec shape.KeySpec) shape.CustomerMasterKeySpec {
	return shape.CustomerMasterKeySpec(spec)
}
