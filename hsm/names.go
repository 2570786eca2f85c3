package hsm

import "fmt"

// DigestSize returns how long the input of a signing algorithm must be, in bytes; 0 if it takes a message of any length
// or does not sign.
func (a Algorithm) DigestSize() int {
	switch a {
	case RSAPKCS1SHA256, RSAPSSSHA256, ECDSASHA256:
		return 32
	case RSAPKCS1SHA384, RSAPSSSHA384, ECDSASHA384:
		return 48
	case RSAPKCS1SHA512, RSAPSSSHA512, ECDSASHA512, Ed25519ph, MLDSAExternalMu:
		return 64
	}
	return 0
}

// Asymmetric reports whether keys of the type have a public half.
func (t KeyType) Asymmetric() bool { return t >= RSA2048 }

// SecretSize returns the length of the raw bytes of symmetric, AES and HMAC keys; 0 for asymmetric ones.
func (t KeyType) SecretSize() int {
	switch t {
	case Symmetric, HMAC256, AES256:
		return 32
	case HMAC224:
		return 28
	case HMAC384:
		return 48
	case HMAC512:
		return 64
	}
	return 0
}

// ModulusBits returns the size of RSA keys; 0 for all others.
func (t KeyType) ModulusBits() int {
	switch t {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

var keyTypeNames = map[KeyType]string{
	Symmetric: "symmetric-256", HMAC224: "HMAC-224", HMAC256: "HMAC-256", HMAC384: "HMAC-384", HMAC512: "HMAC-512",
	AES256:  "AES-256",
	RSA2048: "RSA-2048", RSA3072: "RSA-3072", RSA4096: "RSA-4096",
	P256: "P-256", P384: "P-384", P521: "P-521", Secp256k1: "secp256k1", Ed25519: "Ed25519",
	MLDSA44: "ML-DSA-44", MLDSA65: "ML-DSA-65", MLDSA87: "ML-DSA-87",
}

var usageNames = map[Usage]string{
	UseDerive: "derive", UseMAC: "mac", UseSign: "sign", UseDecrypt: "decrypt", UseAgree: "agree", UseUnwrap: "unwrap", UseWrap: "wrap",
}

var algorithmNames = map[Algorithm]string{
	RSAPKCS1SHA256: "RSASSA-PKCS1-v1_5-SHA-256", RSAPKCS1SHA384: "RSASSA-PKCS1-v1_5-SHA-384", RSAPKCS1SHA512: "RSASSA-PKCS1-v1_5-SHA-512",
	RSAPSSSHA256: "RSASSA-PSS-SHA-256", RSAPSSSHA384: "RSASSA-PSS-SHA-384", RSAPSSSHA512: "RSASSA-PSS-SHA-512",
	ECDSASHA256: "ECDSA-SHA-256", ECDSASHA384: "ECDSA-SHA-384", ECDSASHA512: "ECDSA-SHA-512",
	Ed25519Pure: "Ed25519", Ed25519ph: "Ed25519ph", MLDSAPure: "ML-DSA", MLDSAExternalMu: "ML-DSA-external-mu",
	RSAOAEPSHA1: "RSAES-OAEP-SHA-1", RSAOAEPSHA256: "RSAES-OAEP-SHA-256", ECDH: "ECDH",
	HMACSHA224: "HMAC-SHA-224", HMACSHA256: "HMAC-SHA-256", HMACSHA384: "HMAC-SHA-384", HMACSHA512: "HMAC-SHA-512",
	KDFCounterSHA256: "KDF-counter-HMAC-SHA-256", AESKWP: "AES-key-wrap-padded",
}

var mechanismNames = map[WrapMechanism]string{
	WrapOAEPSHA1: "RSAES-OAEP-SHA-1", WrapOAEPSHA256: "RSAES-OAEP-SHA-256",
	WrapRSAAESKWSHA1: "RSA-AES-key-wrap-SHA-1", WrapRSAAESKWSHA256: "RSA-AES-key-wrap-SHA-256",
	WrapAESKWP: "AES-key-wrap-padded",
}

// String returns the type's name, for operators.
func (t KeyType) String() string { return name(keyTypeNames, t, "key type") }

// String returns the usage's name, for operators.
func (u Usage) String() string { return name(usageNames, u, "usage") }

// String returns the algorithm's name, for operators.
func (a Algorithm) String() string { return name(algorithmNames, a, "algorithm") }

// String returns the mechanism's name, for operators.
func (m WrapMechanism) String() string { return name(mechanismNames, m, "wrap mechanism") }

func name[N ~uint8](names map[N]string, n N, kind string) string {
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprintf("%s %d", kind, uint8(n))
}
