package pkcs11

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"math/big"
	"math/bits"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// scheme is how the token runs a signing algorithm.
type scheme struct {
	kind      kind
	mechanism []*pkcs11.Mechanism
	prefix    []byte // put before the digest: DigestInfo of PKCS #1 v1.5
}

// schemes is the table of signing algorithms. It is never changed. ML-DSA with an external mu has no mechanism in
// PKCS #11 v3.2.
var schemes = map[hsm.Algorithm]*scheme{
	hsm.RSAPKCS1SHA256: pkcs1(0x01, 32),
	hsm.RSAPKCS1SHA384: pkcs1(0x02, 48),
	hsm.RSAPKCS1SHA512: pkcs1(0x03, 64),
	hsm.RSAPSSSHA256:   pss(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32),
	hsm.RSAPSSSHA384:   pss(pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, 48),
	hsm.RSAPSSSHA512:   pss(pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, 64),
	hsm.ECDSASHA256:    {kind: kindEC, mechanism: mech(pkcs11.CKM_ECDSA, nil)},
	hsm.ECDSASHA384:    {kind: kindEC, mechanism: mech(pkcs11.CKM_ECDSA, nil)},
	hsm.ECDSASHA512:    {kind: kindEC, mechanism: mech(pkcs11.CKM_ECDSA, nil)},
	hsm.Ed25519Pure:    {kind: kindEd, mechanism: mech(ckmEDDSA, nil)},
	hsm.Ed25519ph:      {kind: kindEd, mechanism: mech(ckmEDDSA, prehashParams())},
	hsm.MLDSAPure:      {kind: kindMLDSA, mechanism: mech(ckmMLDSA, nil)},
}

// pkcs1 gives the token the DigestInfo (RFC 8017 section 9.2, note 1), since the digest is all there is of the message.
// arc is the last of the hash's OBJECT IDENTIFIER.
func pkcs1(arc, size byte) *scheme {
	return &scheme{kind: kindRSA, mechanism: mech(pkcs11.CKM_RSA_PKCS, nil), prefix: []byte{
		0x30, 17 + size, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, arc, 5, 0, 4, size}}
}

// pss has a salt as long as the digest (spec 06 RSA-10).
func pss(hash, mgf, size uint) *scheme {
	return &scheme{kind: kindRSA, mechanism: mech(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(hash, mgf, size))}
}

// prehashParams is CK_EDDSA_PARAMS with phFlag set and no context: a byte, a CK_ULONG and a pointer, aligned.
func prehashParams() []byte {
	b := make([]byte, 3*bits.UintSize/8)
	b[0] = 1
	return b
}

// macMechanisms are the HMACs of key types. It is never changed.
var macMechanisms = map[hsm.KeyType][]*pkcs11.Mechanism{
	hsm.Symmetric: mech(pkcs11.CKM_SHA256_HMAC, nil),
	hsm.HMAC224:   mech(pkcs11.CKM_SHA224_HMAC, nil),
	hsm.HMAC256:   mech(pkcs11.CKM_SHA256_HMAC, nil),
	hsm.HMAC384:   mech(pkcs11.CKM_SHA384_HMAC, nil),
	hsm.HMAC512:   mech(pkcs11.CKM_SHA512_HMAC, nil),
}

var hmacSHA256 = mech(pkcs11.CKM_SHA256_HMAC, nil)

// oaepHash is a hash of RSAES-OAEP, for label and MGF1 alike (spec 06 RSA-02).
type oaepHash int

const (
	oaepSHA1 oaepHash = iota
	oaepSHA256
	oaepHashes
)

func (h oaepHash) String() string { return [...]string{"SHA-1", "SHA-256"}[h] }

func (h oaepHash) crypto() crypto.Hash { return [...]crypto.Hash{crypto.SHA1, crypto.SHA256}[h] }

// maxPlain is the longest plaintext under a modulus of n bytes.
func (h oaepHash) maxPlain(n int) int { return n - 2*h.crypto().Size() - 2 }

func (h oaepHash) params() *pkcs11.OAEPParams {
	if h == oaepSHA1 {
		return pkcs11.NewOAEPParams(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, pkcs11.CKZ_DATA_SPECIFIED, nil)
	}
	return pkcs11.NewOAEPParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, pkcs11.CKZ_DATA_SPECIFIED, nil)
}

func (h oaepHash) mechanism() []*pkcs11.Mechanism { return mech(pkcs11.CKM_RSA_PKCS_OAEP, h.params()) }

// hybrid is CKM_RSA_AES_KEY_WRAP with an AES-256 key.
func (h oaepHash) hybrid() []*pkcs11.Mechanism {
	return mech(pkcs11.CKM_RSA_AES_KEY_WRAP, &pkcs11.RSAAESKeyWrapParams{AESKeyBits: 256, OAEPParams: *h.params()})
}

func (h oaepHash) algorithm() hsm.Algorithm {
	return [...]hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256}[h]
}

// oaepOf returns the hash of an encryption algorithm.
func oaepOf(alg hsm.Algorithm) (oaepHash, bool) {
	switch alg {
	case hsm.RSAOAEPSHA1:
		return oaepSHA1, true
	case hsm.RSAOAEPSHA256:
		return oaepSHA256, true
	}
	return 0, false
}

// ecdsaSignature is the DER form of ECDSA signatures (spec 06 ECC-03); tokens use r || s.
type ecdsaSignature struct{ R, S *big.Int }

// ecdsaToDER turns r || s into DER.
func ecdsaToDER(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size {
		return nil, errSignature
	}
	return asn1.Marshal(ecdsaSignature{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}

// ecdsaFromDER turns a strict DER signature with both numbers in [1, n-1] into r || s.
func ecdsaFromDER(sig []byte, f *form) ([]byte, bool) {
	var v ecdsaSignature
	if rest, err := asn1.Unmarshal(sig, &v); err != nil || len(rest) != 0 {
		return nil, false
	}
	if again, err := asn1.Marshal(v); err != nil || !bytes.Equal(again, sig) {
		return nil, false
	}
	n := new(big.Int).SetBytes(f.order())
	for _, x := range []*big.Int{v.R, v.S} {
		if x.Sign() <= 0 || x.Cmp(n) >= 0 {
			return nil, false
		}
	}
	raw := make([]byte, 2*f.size)
	v.R.FillBytes(raw[:f.size])
	v.S.FillBytes(raw[f.size:])
	return raw, true
}
