package keyspec

import (
	"slices"

	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// CheckPair checks the spec and usage of CreateKey (spec 10 CKY-02): a spec that is not offered, a missing usage, a pair that
// does not exist. An absent usage is allowed for SYMMETRIC_DEFAULT only, where it means ENCRYPT_DECRYPT.
func CheckPair(spec shape.KeySpec, usage shape.Opt[shape.KeyUsageType]) error {
	r, ok := Lookup(spec)
	switch {
	case !ok:
		return fault.UnsupportedKeySpec(spec)
	case !usage.Set && r.Kind != Symmetric:
		return fault.KeyUsageRequired()
	case usage.Set && !slices.Contains(r.Usages(), usage.Value):
		return fault.KeyUsageSpec(usage.Value, spec)
	}
	return nil
}

// CheckOrigin checks where the material of a new key comes from (spec 06 KIND-14, PQC-07; spec 09 KTR-04). The spec has passed
// [CheckPair].
func CheckOrigin(spec shape.KeySpec, origin shape.OriginType, multiRegion bool) error {
	switch origin {
	case shape.OriginExternal:
		if row(spec).NoImport {
			return fault.New(fault.ValidationException, "EXTERNAL origin is not supported for ML-DSA keys.")
		}
	case shape.OriginAWSCloudHSM, shape.OriginExternalKeyStore:
		if row(spec).Kind != Symmetric {
			return fault.New(fault.UnsupportedOperationException, "KeySpec %s is not supported in a custom key store.", spec)
		}
		if multiRegion {
			return fault.New(fault.UnsupportedOperationException, "Multi-Region keys are not supported in a custom key store.")
		}
	}
	return nil
}

// CheckEncryption checks that an ENCRYPT_DECRYPT key of the spec has the algorithm (spec 01 GEN-20).
func CheckEncryption(spec shape.KeySpec, alg shape.EncryptionAlgorithmSpec) error {
	return check(row(spec).Encryption, spec, alg)
}

// CheckSigning checks that a SIGN_VERIFY key of the spec has the algorithm.
func CheckSigning(spec shape.KeySpec, alg shape.SigningAlgorithmSpec) error {
	return check(row(spec).Signing, spec, alg)
}

// CheckMAC checks that a GENERATE_VERIFY_MAC key of the spec has the algorithm.
func CheckMAC(spec shape.KeySpec, alg shape.MacAlgorithmSpec) error {
	return check(row(spec).MAC, spec, alg)
}

// CheckKeyAgreement checks that a KEY_AGREEMENT key of the spec has the algorithm.
func CheckKeyAgreement(spec shape.KeySpec, alg shape.KeyAgreementAlgorithmSpec) error {
	return check(row(spec).KeyAgreement, spec, alg)
}

func check[A ~string](algorithms []A, spec shape.KeySpec, alg A) error {
	if slices.Contains(algorithms, alg) {
		return nil
	}
	return fault.Algorithm(alg, spec)
}

// MaxPlaintext is the most bytes that the algorithm encrypts with a key of the spec (spec 10 ENC-02), 0 if they do not fit
// together. For OAEP it is the modulus less two hashes and two bytes (RFC 8017 section 7.1.1).
func MaxPlaintext(spec shape.KeySpec, alg shape.EncryptionAlgorithmSpec) int {
	r := row(spec)
	switch {
	case !slices.Contains(r.Encryption, alg):
		return 0
	case r.Kind == Symmetric:
		return MaxPlaintextBytes
	}
	return r.ModulusBytes - 2*encryption[alg].hashBytes - 2
}

// CheckPlaintext checks the length of a plaintext, after [CheckEncryption] let the algorithm pass.
func CheckPlaintext(spec shape.KeySpec, alg shape.EncryptionAlgorithmSpec, n int) error {
	if max := MaxPlaintext(spec, alg); n > max {
		return fault.PlaintextTooLarge(alg, spec, max)
	}
	return nil
}

// externalMuBytes is the length of the message representative of ML-DSA (FIPS 204 section 6.2).
const externalMuBytes = 64

// CheckMessage checks message type and length of Sign and Verify, after [CheckSigning] let the algorithm pass (spec 10 SGN-01,
// spec 06 SIG-06, EDD, PQC).
func CheckMessage(spec shape.KeySpec, alg shape.SigningAlgorithmSpec, t shape.MessageType, n int) error {
	ml := row(spec).Group == GroupMLDSA
	r := signing[alg]
	switch {
	case ml && t == shape.MessageDigest, !ml && t == shape.MessageExternalMu:
		return fault.MessageTypeSpec(t, spec)
	case t == shape.MessageExternalMu:
		if n != externalMuBytes {
			return fault.DigestLength(alg)
		}
	case t == shape.MessageDigest:
		if !r.digested {
			return fault.MessageTypeAlgorithm(t, alg)
		}
		if n != r.digest.Size() {
			return fault.DigestLength(alg)
		}
	case !r.raw:
		return fault.MessageTypeAlgorithm(t, alg)
	}
	return nil
}
