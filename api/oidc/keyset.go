package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

// Limits of a key set.
const (
	MaxKeySet = 64 << 10 // bytes
	maxKeys   = 100
	minRSA    = 2048 // bits
	maxRSA    = 8192
)

// KeySet are the keys of an issuer that can verify tokens. It is immutable.
type KeySet struct{ keys []key }

// key is one public key.
type key struct {
	id        string // "" if it has none
	algorithm string // the only one that it is for, "" for all that fit
	public    crypto.PublicKey
}

// ParseKeySet reads a JSON Web Key Set. Keys that are not for signatures or of a kind that no accepted algorithm uses are passed
// over, as RFC 7517 wants it; a set that leaves no key is refused. The error is an [ErrKeySet].
func ParseKeySet(data []byte) (*KeySet, error) {
	if len(data) > MaxKeySet {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrKeySet, len(data), MaxKeySet)
	}
	o, err := parseObject(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	var list []json.RawMessage
	if json.Unmarshal(o["keys"], &list) != nil || len(list) > maxKeys {
		return nil, fmt.Errorf("%w: it has no list of at most %d keys", ErrKeySet, maxKeys)
	}
	s := &KeySet{}
	for i, raw := range list {
		k, err := parseObject(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrKeySet, i+1, err)
		}
		if _, private := k["d"]; private {
			return nil, fmt.Errorf("%w: key %d is a private key, which nobody but the issuer may have", ErrKeySet, i+1)
		}
		if parsed, ok := parseKey(k); ok {
			s.keys = append(s.keys, parsed)
		}
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("%w: none of its %d keys can verify a token", ErrKeySet, len(list))
	}
	return s, nil
}

// IDs are the ids of the keys, in their order; "" for a key without.
func (s *KeySet) IDs() []string {
	ids := make([]string, len(s.keys))
	for i := range s.keys {
		ids[i] = s.keys[i].id
	}
	return ids
}

// parseKey reads one key; ok is false for one that is of no use here.
func parseKey(o object) (k key, ok bool) {
	var kind, use string
	for name, to := range map[string]*string{"kid": &k.id, "alg": &k.algorithm, "kty": &kind, "use": &use} {
		if *to, _, ok = o.text(name); !ok {
			return key{}, false
		}
	}
	if use != "" && use != "sig" {
		return key{}, false
	}
	if raw, limited := o["key_ops"]; limited {
		if ops, ok := texts(raw); !ok || !slices.Contains(ops, "verify") {
			return key{}, false
		}
	}
	switch kind {
	case "RSA":
		k.public, ok = rsaKey(o)
	case "EC":
		k.public, ok = ecKey(o)
	case "OKP":
		k.public, ok = edKey(o)
	default:
		return key{}, false
	}
	return k, ok
}

// octets is a member in base64url.
func (o object) octets(name string) ([]byte, bool) {
	s, present, ok := o.text(name)
	if !present || !ok {
		return nil, false
	}
	b, err := part(s)
	return b, err == nil
}

func rsaKey(o object) (crypto.PublicKey, bool) {
	n, ok := o.octets("n")
	e, also := o.octets("e")
	if !ok || !also || len(e) > 4 || len(n) > maxRSA/8 {
		return nil, false
	}
	k := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	fits := k.N.BitLen() >= minRSA && k.N.Bit(0) == 1 && k.E >= 3 && k.E&1 == 1 && k.E < 1<<31
	return k, fits
}

func ecKey(o object) (crypto.PublicKey, bool) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	name, _, _ := o.text("crv")
	c := curve[name]
	x, ok := o.octets("x")
	y, also := o.octets("y")
	if c == nil || !ok || !also {
		return nil, false
	}
	size := (c.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return nil, false
	}
	k, err := ecdsa.ParseUncompressedPublicKey(c, slices.Concat([]byte{4}, x, y))
	return k, err == nil
}

func edKey(o object) (crypto.PublicKey, bool) {
	name, _, _ := o.text("crv")
	x, ok := o.octets("x")
	return ed25519.PublicKey(x), ok && name == "Ed25519" && len(x) == ed25519.PublicKeySize
}
