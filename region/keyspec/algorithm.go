package keyspec

import (
	"crypto"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/shape"
)

// encryptionRow is an encryption algorithm: its HSM algorithm, and for OAEP the hash, which bounds the plaintext.
type encryptionRow struct {
	hsm       hsm.Algorithm
	hashBytes int
}

var encryption = map[shape.EncryptionAlgorithmSpec]encryptionRow{
	shape.EncryptionAlgorithmSymmetricDefault: {hsm.KDFCounterSHA256, 0},
	shape.EncryptionAlgorithmOAEPSHA1:         {hsm.RSAOAEPSHA1, 20},
	shape.EncryptionAlgorithmOAEPSHA256:       {hsm.RSAOAEPSHA256, 32},
}

// signingRow is a signing algorithm: the digest it takes (0: none, the message itself), its HSM algorithm, and the message types
// that it takes.
type signingRow struct {
	digest        crypto.Hash
	hsm           hsm.Algorithm
	raw, digested bool
}

var signing = map[shape.SigningAlgorithmSpec]signingRow{
	shape.SigningAlgorithmPKCS1SHA256: {crypto.SHA256, hsm.RSAPKCS1SHA256, true, true},
	shape.SigningAlgorithmPKCS1SHA384: {crypto.SHA384, hsm.RSAPKCS1SHA384, true, true},
	shape.SigningAlgorithmPKCS1SHA512: {crypto.SHA512, hsm.RSAPKCS1SHA512, true, true},
	shape.SigningAlgorithmPSSSHA256:   {crypto.SHA256, hsm.RSAPSSSHA256, true, true},
	shape.SigningAlgorithmPSSSHA384:   {crypto.SHA384, hsm.RSAPSSSHA384, true, true},
	shape.SigningAlgorithmPSSSHA512:   {crypto.SHA512, hsm.RSAPSSSHA512, true, true},
	shape.SigningAlgorithmECDSASHA256: {crypto.SHA256, hsm.ECDSASHA256, true, true},
	shape.SigningAlgorithmECDSASHA384: {crypto.SHA384, hsm.ECDSASHA384, true, true},
	shape.SigningAlgorithmECDSASHA512: {crypto.SHA512, hsm.ECDSASHA512, true, true},
	shape.SigningAlgorithmEd25519:     {0, hsm.Ed25519Pure, true, false},
	shape.SigningAlgorithmEd25519ph:   {crypto.SHA512, hsm.Ed25519ph, false, true},
	shape.SigningAlgorithmMLDSA:       {0, hsm.MLDSAPure, true, false},
}

// macRow is a MAC algorithm: its HSM algorithm and the length of its tags.
type macRow struct {
	hsm   hsm.Algorithm
	bytes int
}

var macs = map[shape.MacAlgorithmSpec]macRow{
	shape.MacAlgorithmHMACSHA224: {hsm.HMACSHA224, 28},
	shape.MacAlgorithmHMACSHA256: {hsm.HMACSHA256, 32},
	shape.MacAlgorithmHMACSHA384: {hsm.HMACSHA384, 48},
	shape.MacAlgorithmHMACSHA512: {hsm.HMACSHA512, 64},
}

// HSMEncryption is the HSM's name of an encryption algorithm, 0 if there is none. SYMMETRIC_DEFAULT is the key derivation, the
// only part of it that the HSM computes.
func HSMEncryption(alg shape.EncryptionAlgorithmSpec) hsm.Algorithm { return encryption[alg].hsm }

// HSMMAC is the HSM's name of a MAC algorithm, 0 if there is none.
func HSMMAC(alg shape.MacAlgorithmSpec) hsm.Algorithm { return macs[alg].hsm }

// MACBytes is the length of a MAC algorithm's tags.
func MACBytes(alg shape.MacAlgorithmSpec) int { return macs[alg].bytes }

// Signing tells how a message is signed or verified after [CheckMessage] let it pass: the service first applies hash to it (0:
// nothing) and gives the result to the HSM under algorithm alg. A message is hashed exactly if its type is RAW and the algorithm
// takes a digest; ED25519_PH_SHA_512 hashes the client's digest once more (spec 06 EDD-04).
func Signing(a shape.SigningAlgorithmSpec, t shape.MessageType) (hash crypto.Hash, alg hsm.Algorithm) {
	r := signing[a]
	switch {
	case t == shape.MessageExternalMu:
		return 0, hsm.MLDSAExternalMu
	case a == shape.SigningAlgorithmEd25519ph, t == shape.MessageRaw:
		return r.digest, r.hsm
	}
	return 0, r.hsm
}

// DigestBytes is the length of a message of type DIGEST, 0 if the algorithm takes no digest.
func DigestBytes(alg shape.SigningAlgorithmSpec) int {
	if r := signing[alg]; r.digested {
		return r.digest.Size()
	}
	return 0
}

// HSMUsage is the HSM's name of a usage. Symmetric encryption keys only ever derive message keys.
func HSMUsage(spec shape.KeySpec, usage shape.KeyUsageType) hsm.Usage {
	switch usage {
	case shape.KeyUsageSignVerify:
		return hsm.UseSign
	case shape.KeyUsageGenerateVerifyMac:
		return hsm.UseMAC
	case shape.KeyUsageKeyAgreement:
		return hsm.UseAgree
	case shape.KeyUsageEncryptDecrypt:
		if KindOf(spec) == Symmetric {
			return hsm.UseDerive
		}
		return hsm.UseDecrypt
	}
	return 0
}

// DataKeyBytes is the length of a data key, 0 for an unknown spec.
func DataKeyBytes(spec shape.DataKeySpec) int {
	switch spec {
	case shape.DataKeySpecAES128:
		return 16
	case shape.DataKeySpecAES256:
		return 32
	}
	return 0
}
