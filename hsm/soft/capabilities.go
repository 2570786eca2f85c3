package soft

import (
	"crypto/fips140"

	"github.com/trentkms/trent/hsm"
)

// fipsMode returns the mode of Go's cryptographic module, in the words of GODEBUG=fips140.
func fipsMode() string {
	switch {
	case fips140.Enforced():
		return "only"
	case fips140.Enabled():
		return "on"
	}
	return "off"
}

// outsideFIPS are the reasons why the strict mode lacks what it lacks.
const (
	whySHA1   = "SHA-1 is not approved: RSAES-OAEP with SHA-1 is refused with fips140=only"
	whyK256   = "secp256k1 is outside the FIPS 140-3 module: refused with fips140=only"
	whyMLDSA  = "ML-DSA is outside the FIPS 140-3 module of this build: refused with fips140=only"
	whyImport = "import wrapping with SHA-1 (RSAES_OAEP_SHA_1, RSA_AES_KEY_WRAP_SHA_1) is refused with fips140=only"
)

// capabilities returns what the module can do in a FIPS mode.
func capabilities(mode string) hsm.Capabilities {
	c := hsm.Capabilities{
		Keys:   make(map[hsm.KeyUse][]hsm.Algorithm),
		Import: make(map[hsm.WrapMechanism][]hsm.KeyType),
	}
	strict := mode == "only"
	if strict {
		c.Missing = []string{whySHA1, whyK256, whyMLDSA, whyImport}
	}
	add := func(t hsm.KeyType, u hsm.Usage, algs ...hsm.Algorithm) {
		c.Keys[hsm.KeyUse{Type: t, Usage: u}] = algs
	}
	add(hsm.Symmetric, hsm.UseDerive, hsm.KDFCounterSHA256)
	add(hsm.HMAC224, hsm.UseMAC, hsm.HMACSHA224)
	add(hsm.HMAC256, hsm.UseMAC, hsm.HMACSHA256)
	add(hsm.HMAC384, hsm.UseMAC, hsm.HMACSHA384)
	add(hsm.HMAC512, hsm.UseMAC, hsm.HMACSHA512)
	add(hsm.AES256, hsm.UseWrap, hsm.AESKWP)
	add(hsm.AES256, hsm.UseUnwrap, hsm.AESKWP)
	oaep := []hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256}
	if strict {
		oaep = oaep[1:]
	}
	for _, t := range []hsm.KeyType{hsm.RSA2048, hsm.RSA3072, hsm.RSA4096} {
		add(t, hsm.UseSign, hsm.RSAPKCS1SHA256, hsm.RSAPKCS1SHA384, hsm.RSAPKCS1SHA512,
			hsm.RSAPSSSHA256, hsm.RSAPSSSHA384, hsm.RSAPSSSHA512)
		add(t, hsm.UseDecrypt, oaep...)
		add(t, hsm.UseUnwrap, oaep...)
	}
	add(hsm.P256, hsm.UseSign, hsm.ECDSASHA256)
	add(hsm.P384, hsm.UseSign, hsm.ECDSASHA384)
	add(hsm.P521, hsm.UseSign, hsm.ECDSASHA512)
	for _, t := range []hsm.KeyType{hsm.P256, hsm.P384, hsm.P521} {
		add(t, hsm.UseAgree, hsm.ECDH)
	}
	add(hsm.Ed25519, hsm.UseSign, hsm.Ed25519Pure, hsm.Ed25519ph)
	if !strict {
		add(hsm.Secp256k1, hsm.UseSign, hsm.ECDSASHA256)
		for _, t := range []hsm.KeyType{hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87} {
			add(t, hsm.UseSign, hsm.MLDSAPure, hsm.MLDSAExternalMu)
		}
	}
	addImport(&c, strict)
	return c
}

// addImport fills in the mechanisms of import. RSA keys are too long for OAEP alone (spec 07 WRP-04).
func addImport(c *hsm.Capabilities, strict bool) {
	direct := []hsm.KeyType{hsm.Symmetric, hsm.HMAC224, hsm.HMAC256, hsm.HMAC384, hsm.HMAC512,
		hsm.P256, hsm.P384, hsm.P521, hsm.Ed25519}
	if !strict {
		direct = append(direct, hsm.Secp256k1, hsm.MLDSA44, hsm.MLDSA65, hsm.MLDSA87)
	}
	hybrid := append(direct[:len(direct):len(direct)], hsm.RSA2048, hsm.RSA3072, hsm.RSA4096)
	c.Import[hsm.WrapAESKWP] = hybrid
	hybrid = append(hybrid[:len(hybrid):len(hybrid)], hsm.AES256)
	c.Import[hsm.WrapOAEPSHA256] = direct
	c.Import[hsm.WrapRSAAESKWSHA256] = hybrid
	if !strict {
		c.Import[hsm.WrapOAEPSHA1] = direct
		c.Import[hsm.WrapRSAAESKWSHA1] = hybrid
	}
}
