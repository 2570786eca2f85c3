package keyspec

import (
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// wrappings maps the wrapping algorithms of import that are offered to the HSM's mechanisms (spec 07 WRP-02). RSAES_PKCS1_V1_5 is
// refused since 2023, SM2PKE exists in SM regions only.
var wrappings = map[shape.AlgorithmSpec]hsm.WrapMechanism{
	shape.WrappingAlgorithmOAEPSHA1:     hsm.WrapOAEPSHA1,
	shape.WrappingAlgorithmOAEPSHA256:   hsm.WrapOAEPSHA256,
	shape.WrappingAlgorithmRSAAESSHA1:   hsm.WrapRSAAESKWSHA1,
	shape.WrappingAlgorithmRSAAESSHA256: hsm.WrapRSAAESKWSHA256,
}

// wrappingKeys maps the wrapping key specs that are offered to the HSM's key types (spec 07 WRP-01).
var wrappingKeys = map[shape.WrappingKeySpec]hsm.KeyType{
	shape.WrappingKeySpecRSA2048: hsm.RSA2048,
	shape.WrappingKeySpecRSA3072: hsm.RSA3072,
	shape.WrappingKeySpecRSA4096: hsm.RSA4096,
}

// HSMWrapping is the HSM's name of a wrapping algorithm, 0 if it is not offered.
func HSMWrapping(alg shape.AlgorithmSpec) hsm.WrapMechanism { return wrappings[alg] }

// HSMWrappingKey is the HSM's key type of a wrapping key, 0 if it is not offered.
func HSMWrappingKey(spec shape.WrappingKeySpec) hsm.KeyType { return wrappingKeys[spec] }

// CheckWrapping checks that material of a key spec may be imported under a wrapping key and algorithm (spec 07 WRP-04, WRP-05).
// It is asked at GetParametersForImport already (GPI-05) and answers UnsupportedOperationException.
func CheckWrapping(spec shape.KeySpec, alg shape.AlgorithmSpec, key shape.WrappingKeySpec) error {
	mechanism := wrappings[alg]
	r, ok := Lookup(spec)
	if mechanism == 0 || wrappingKeys[key] == 0 || !ok || r.NoImport {
		return unsupportedWrapping(spec, alg, key)
	}
	direct := mechanism == hsm.WrapOAEPSHA1 || mechanism == hsm.WrapOAEPSHA256
	if direct && r.Group == GroupRSA {
		return unsupportedWrapping(spec, alg, key) // no RSA private key fits into one RSA block
	}
	if direct && spec == shape.KeySpecP521 && key == shape.WrappingKeySpecRSA2048 {
		return unsupportedWrapping(spec, alg, key) // refused by rule, even where an encoding would fit
	}
	return nil
}

func unsupportedWrapping(spec shape.KeySpec, alg shape.AlgorithmSpec, key shape.WrappingKeySpec) error {
	return fault.New(fault.UnsupportedOperationException,
		"Key material of key spec %s cannot be imported with wrapping algorithm %s and wrapping key spec %s.", spec, alg, key)
}

// WrappedBytes bounds the length of EncryptedKeyMaterial: an RSA block alone for OAEP, and for the hybrid algorithms an RSA block
// followed by at least one wrapped block of 16 bytes, a multiple of 8 (RFC 5649; spec 07 WRP-03). It is 0, 0 for what is not
// offered. Another length is answered with [fault.EncryptedKeySize].
func WrappedBytes(alg shape.AlgorithmSpec, key shape.WrappingKeySpec) (min, max int) {
	block := row(shape.KeySpec(key)).ModulusBytes
	switch wrappings[alg] {
	case hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256:
		return block, block
	case hsm.WrapRSAAESKWSHA1, hsm.WrapRSAAESKWSHA256:
		if block == 0 {
			return 0, 0
		}
		return block + 16, maxWrapped
	}
	return 0, 0
}

// maxWrapped is the model's limit on EncryptedKeyMaterial in bytes.
const maxWrapped = 6144
