package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// maxLabel bounds a token's label, in bytes; maxDomains the number of domain keys in a token, so that its file stays
// below maxFile.
const (
	maxLabel   = 64
	maxDomains = 4096
)

// transportType is the type of the transport pair.
const transportType = hsm.RSA3072

// state is what a token holds. It is not changed once the module uses it, but for being wiped.
type state struct {
	serial    string
	label     string
	domains   map[hsm.DomainID]*domain
	transport *rsa.PrivateKey // nil until it is asked for
	seal      *seal           // what the token file is sealed with; nil in memory
}

func newState(label string) *state {
	var serial [8]byte
	rand.Read(serial[:])
	return &state{serial: hex.EncodeToString(serial[:]), label: label, domains: make(map[hsm.DomainID]*domain)}
}

// clone returns a copy that shares the keys.
func (s *state) clone() *state {
	c := *s
	c.domains = maps.Clone(s.domains)
	return &c
}

// wipeUnless clears the keys that other does not share.
func (s *state) wipeUnless(other *state) {
	for id, d := range s.domains {
		if other.domains[id] != d {
			d.wipe()
		}
	}
	if s.transport != nil && s.transport != other.transport {
		pkcs8.WipeRSA(s.transport)
	}
}

func (s *state) wipe() { s.wipeUnless(&state{}) }

func (s *state) domain(id hsm.DomainID) (*domain, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	d, ok := s.domains[id]
	if !ok {
		return nil, fmt.Errorf("%w: %q", hsm.ErrNoDomain, string(id))
	}
	return d, nil
}

// domain is one domain key.
type domain struct {
	secret [2 * hsm.DomainKeySize]byte // wrapping key || authentication key
	block  cipher.Block                // of the wrapping key
	mac    *macPool                    // of the authentication key
}

// newDomain takes over the two keys, which the caller clears.
func newDomain(wrapKey, authKey []byte) (*domain, error) {
	if len(wrapKey) != hsm.DomainKeySize || len(authKey) != hsm.DomainKeySize {
		return nil, fmt.Errorf("soft: domain key of %d and %d bytes", len(wrapKey), len(authKey))
	}
	d := new(domain)
	copy(d.secret[:], wrapKey)
	copy(d.secret[hsm.DomainKeySize:], authKey)
	var err error
	if d.block, err = aes.NewCipher(d.wrapKey()); err != nil {
		return nil, err
	}
	d.mac = newMACPool(func() hash.Hash { return sha256.New() }, d.authKey())
	return d, nil
}

func (d *domain) wrapKey() []byte { return d.secret[:hsm.DomainKeySize] }
func (d *domain) authKey() []byte { return d.secret[hsm.DomainKeySize:] }

// prf is the hsm.MACFunc of the domain key.
func (d *domain) prf(input []byte) (out [32]byte, err error) {
	d.mac.sum(out[:], nil, input)
	return out, nil
}

func (d *domain) wipe() {
	clear(d.secret[:])
	d.mac.wipe()
}
