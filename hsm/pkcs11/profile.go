package pkcs11

import (
	"crypto/fips140"
	"maps"
	"slices"

	"github.com/trentkms/trent/hsm"
)

// profile is what a token proved to be able to do. It is not changed once it is made.
type profile struct {
	caps hsm.Capabilities

	keyWrap   uint   // mechanism of AES key wrap with padding
	edParams  []byte // CKA_EC_PARAMS of Ed25519
	derPoints bool   // ECDH wants the peer's point in an OCTET STRING
	trusted   bool   // the user may make trusted public keys
	rawRSA    bool   // raw RSA works, and AllowHostUnwrap is set
	oaep      [oaepHashes]oaepSupport
	// tellsLength says that unwrapped secret keys tell their length; refusesShort, that HMACs refuse keys shorter than
	// their output, from which the length follows in part.
	tellsLength  bool
	refusesShort map[hsm.KeyType]bool
	imports      map[hsm.WrapMechanism]map[hsm.KeyType]route
}

// oaepSupport is what a token can do with one OAEP hash.
type oaepSupport struct {
	decrypts       bool // C_Encrypt and C_Decrypt
	transport      bool // C_WrapKey and C_UnwrapKey of secret keys
	unwrapsPrivate bool // C_UnwrapKey of private keys
	hybrid         bool // CKM_RSA_AES_KEY_WRAP
}

// route is how a wrapping mechanism of import is served.
type route int

const (
	routeNone     route = iota
	routeDirect         // C_UnwrapKey with CKM_RSA_PKCS_OAEP
	routeHybrid         // C_UnwrapKey with CKM_RSA_AES_KEY_WRAP
	routeComposed       // C_UnwrapKey of the AES key with OAEP, then of the material with that
	routeUnder          // C_UnwrapKey of the material with the AES key that it was wrapped under
	routeHostKey        // the AES key's OAEP padding is removed here; C_UnwrapKey of the material with it
	routeHost           // everything after the raw RSA operation is done here
)

// mechanism of import, taken apart.
func importParts(m hsm.WrapMechanism) (h oaepHash, hybrid, ok bool) {
	switch m {
	case hsm.WrapOAEPSHA1:
		return oaepSHA1, false, true
	case hsm.WrapOAEPSHA256:
		return oaepSHA256, false, true
	case hsm.WrapRSAAESKWSHA1:
		return oaepSHA1, true, true
	case hsm.WrapRSAAESKWSHA256:
		return oaepSHA256, true, true
	}
	return 0, false, false
}

// knowsLength reports whether the token lets the exact length of an unwrapped secret be found out. If it does not tell,
// key wrap gives an upper bound in steps of 8 bytes, and HMAC the lower one. Of AES keys key wrap alone tells it.
func (p *profile) knowsLength(t hsm.KeyType) bool {
	return p.tellsLength || t == hsm.AES256 || p.refusesShort[t] && t.SecretSize()%8 == 0
}

// route chooses the way for a mechanism and type; the ones that keep everything in the token come first. canDerive says
// that the public key of an imported private one can be found in the token.
func (p *profile) route(m hsm.WrapMechanism, t hsm.KeyType, canDerive bool) route {
	h, hybrid, _ := importParts(m)
	f, o := forms[t], p.oaep[h]
	inToken := canDerive
	if f.kind == kindSecret {
		inToken = p.knowsLength(t)
	}
	switch {
	case m == hsm.WrapAESKWP:
		if f.kind != kindMLDSA && t != hsm.AES256 && inToken && p.caps.Can(hsm.AES256, hsm.UseUnwrap) {
			return routeUnder
		}
		return routeNone
	case f.kind == kindMLDSA, f.kind == kindRSA && !hybrid, t == hsm.AES256 && !hybrid:
		return routeNone // spec 06 PQC-07, spec 07 WRP-04
	case !p.hostHash(h):
		return routeNone
	case !hybrid && inToken && f.kind == kindSecret && o.transport, !hybrid && inToken && o.unwrapsPrivate:
		return routeDirect
	case hybrid && inToken && o.hybrid:
		return routeHybrid
	case hybrid && inToken && o.transport:
		return routeComposed
	case hybrid && inToken && p.rawRSA:
		return routeHostKey
	case f.kind != kindRSA && p.rawRSA:
		return routeHost
	}
	return routeNone
}

// hostHash reports whether the mode of this process allows the hash: with fips140=only, clients get no SHA-1 from any
// module. Transport keys with SHA-1, which are the token's and the operator's affair alone, are not meant.
func (p *profile) hostHash(h oaepHash) bool { return h != oaepSHA1 || !fips140.Enforced() }

// capabilities returns a copy for callers.
func (p *profile) capabilities() hsm.Capabilities {
	c := hsm.Capabilities{
		Keys:    make(map[hsm.KeyUse][]hsm.Algorithm, len(p.caps.Keys)),
		Import:  make(map[hsm.WrapMechanism][]hsm.KeyType, len(p.caps.Import)),
		Missing: slices.Clone(p.caps.Missing),
	}
	for use, algs := range maps.All(p.caps.Keys) {
		c.Keys[use] = slices.Clone(algs)
	}
	for m, types := range maps.All(p.caps.Import) {
		c.Import[m] = slices.Clone(types)
	}
	return c
}
